//! From one range that is too long for the cache to many that are not, in place.

mod digits;
mod distribute;
mod exchange;
mod prefetch;

pub(crate) use digits::Digits;
pub(crate) use distribute::{FILL, FLUSHED, distribute};
pub(crate) use exchange::{exchange_misplaced, reverse};
