//! Floor 4. Arrays that never move: they reserve the most that they can become, and take memory as
//! they grow or as they are touched.

mod schedule;
pub mod shared_vec;
pub mod stable_vec;

pub use shared_vec::SharedVec;
pub use stable_vec::{StableVec, trim};
