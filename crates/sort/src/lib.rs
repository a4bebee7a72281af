//! Sorts files through memory: numbers and records in place, lines into a new file.
//!
//! | module | what is there |
//! |---|---|
//! | [`shape`] | what one element is, and which of two comes first |
//! | [`order`] | the orders of numbers and of records with keys |
//! | [`lines`] | the order of lines |
//! | [`external`] | sorting into a new file, in as much memory as there may be |

pub mod external;
pub mod lines;
pub mod order;
pub mod shape;
