//! From one range that is too long for the cache to many that are not, in place.

mod digits;
mod distribute;
mod exchange;
mod prefetch;
mod split;

pub(crate) use digits::Digits;
pub(crate) use distribute::{FILL, FLUSHED, digit, distribute};
pub(crate) use exchange::{Leaving, exchange_misplaced, reverse};
pub(crate) use split::split;
