//! Floor 4. Arrays that never move: they reserve the most that they can become, and take memory as
//! they grow or as they are touched.

#[cfg_attr(not(test), expect(dead_code, reason = "the arrays follow"))]
mod schedule;
