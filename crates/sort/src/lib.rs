//! Sorts files through memory: numbers and records in place, lines into a new file.
//!
//! | module | what is there |
//! |---|---|
//! | [`shape`] | what one element is, and which of two comes first |

pub mod shape;
