//! Floor 4. Arrays that never move: they reserve the most that they can become, and take memory as
//! they grow or as they are touched.

mod fault_region;
mod fault_vec;
#[cfg_attr(not(test), expect(dead_code, reason = "the arrays follow"))]
mod schedule;
#[cfg(test)]
mod tests;
mod zeroable;

pub use fault_region::{CHUNK_LEN, Decision, Engine, FaultBuilder, FaultRegion, Touch};
pub use fault_vec::{FaultVec, FaultVecBuilder};
pub use zeroable::Zeroable;
