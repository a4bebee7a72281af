//! Sorts files through memory: numbers and records in place, lines into a new file.
//!
//! | module | what is there |
//! |---|---|
//! | [`shape`] | what one element is, and which of two comes first |
//! | [`order`] | the orders of numbers and of records with keys |
//! | [`lines`] | the order of lines |
//! | [`external`] | sorting into a new file, in as much memory as there may be |
//! | [`check`] | whether a file is sorted |
//! | [`limits`] | how much memory and how many threads there are for it |

pub mod check;
pub mod external;
pub mod limits;
pub mod lines;
pub mod order;
pub mod shape;
