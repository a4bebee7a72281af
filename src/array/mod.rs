//! Floor 4. Arrays that never move: they reserve the most that they can become, and take memory as
//! they grow or as they are touched.
//!
//! | array | grows | for |
//! |---|---|---|
//! | [`StableVec`] | as a `Vec` does | what must not move, or grows long |
//! | [`SharedVec`] | by appends of many threads | logs, interners, tables that are read meanwhile |
//! | [`FaultVec`], [`FaultRegion`] | where it is touched | sparse tables, guest memory |

mod fault_region;
mod fault_vec;
mod schedule;
pub mod shared_vec;
pub mod stable_vec;
#[cfg(test)]
mod tests;
mod zeroable;

pub use fault_region::{CHUNK_LEN, Decision, Engine, FaultBuilder, FaultRegion, Touch};
pub use fault_vec::{FaultVec, FaultVecBuilder};
pub use shared_vec::SharedVec;
pub use stable_vec::{StableVec, trim};
pub use zeroable::Zeroable;
