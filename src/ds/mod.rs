//! Floor 0, pure. Data structures that allocate nothing.

pub(crate) mod cfi;
pub(crate) mod depot;
mod primitive;
pub(crate) mod ring;
