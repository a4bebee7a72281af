//! Sorts files through memory: numbers and records in place, lines into a new file.
//!
//! | module | what is there |
//! |---|---|
//! | [`shape`] | what one element is, and which of two comes first |

mod engine;
mod error;
mod guardian;
mod in_place;
mod journal;
mod kernel;
mod memory;
mod prefault;
pub mod shape;
mod spread;
#[cfg(test)]
mod tests;
mod threads;
mod watch;

pub use engine::Found;
pub use error::Error;
pub use in_place::{Options, Recovery, Report, recover, sort_file_in_place};
pub use memory::{sort, sort_in_memory, sort_in_memory_stable, stable_order};
