//! Floor 0. Data structures that allocate nothing. All are pure but [`once`].

pub(crate) mod batches;
pub(crate) mod cfi;
pub(crate) mod depot;
pub(crate) mod name;
pub(crate) mod once;
pub(crate) mod page_table;
pub(crate) mod primitive;
pub(crate) mod ready_stack;
pub(crate) mod ring;

pub(crate) use primitive::AtomicU64 as Word;
