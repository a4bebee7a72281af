//! Floor 0, pure. Data structures that allocate nothing.

pub(crate) mod cfi;
pub(crate) mod depot;
pub(crate) mod once;
mod primitive;
pub(crate) mod ring;

pub(crate) use primitive::AtomicU64 as Word;
