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
mod engine;
mod error;
pub mod external;
mod fingerprint;
mod fuse;
mod guardian;
mod in_place;
mod journal;
mod kernel;
pub mod limits;
pub mod lines;
mod memory;
pub mod order;
mod others;
mod prefault;
pub mod shape;
mod spread;
#[cfg(test)]
mod tests;
mod threads;
mod watch;

pub use engine::Found;
pub use error::{Error, Evidence};
pub use in_place::{Options, Recovery, Report, recover, sort_file_in_place};
pub use memory::{sort, sort_in_memory, sort_in_memory_stable, stable_order};
pub use others::{Kept, open_to_sort};
