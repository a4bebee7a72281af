//! The orders of numbers and of records with keys: what `--type`, `--record` and `--key` mean.
//!
//! ```
//! use granule_sort::order::{Key, Records};
//! use granule_sort::shape::Shape;
//!
//! // By the number in bytes 4 to 7, the highest first, and then by the first 4 bytes.
//! let keys = ["4..8:u32:desc".parse::<Key>()?, "0..4".parse()?];
//! let records = Records::new(10, keys)?;
//! assert!(records.compare(b"bbbb\x02\0\0\0..", b"aaaa\x01\0\0\0..").is_lt());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod bits;
mod key;
mod number;
mod record;

pub(crate) use bits::{Plain, RankBits, form};
pub use key::{Key, KeyError};
pub use number::{Endian, Number, NumberKind, Numbers, NumbersOf};
pub use record::{RecordError, Records};
