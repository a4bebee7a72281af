//! Records of one length, ordered by keys.

use super::key::Key;
use crate::shape::Shape;
use std::cmp::Ordering;
use std::fmt;

/// Bits of a rank.
const RANK_BITS: usize = u64::BITS as usize;

/// A file of records of one length, ordered by their keys: the first, where it is equal the second,
/// and so on. Records with equal keys are in no order; a stable sort leaves them in theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    len: usize,
    keys: Vec<Key>,
    /// How many bits of the rank each of the first keys has.
    bits: Vec<usize>,
}

/// Why there are no such records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// A record of no bytes.
    Empty,
    /// A key leaves the record.
    KeyOutside {
        /// The key.
        key: Key,
        /// Bytes of the record.
        len: usize,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Empty => out.write_str("a record has at least one byte"),
            RecordError::KeyOutside { key, len } => write!(
                out,
                "the key `{key}` leaves the record of {len} bytes: keys end at {len} at most"
            ),
        }
    }
}

impl std::error::Error for RecordError {}

impl Records {
    /// Records of `len` bytes. Without a key all their bytes are one.
    ///
    /// # Errors
    /// A length of 0; a key that leaves the record.
    pub fn new(len: usize, keys: impl IntoIterator<Item = Key>) -> Result<Self, RecordError> {
        if len == 0 {
            return Err(RecordError::Empty);
        }
        let mut keys: Vec<Key> = keys.into_iter().collect();
        if keys.is_empty() {
            keys.push(Key::bytes(0..len));
        }
        if let Some(key) = keys.iter().find(|key| key.range().end > len) {
            return Err(RecordError::KeyOutside { key: key.clone(), len });
        }
        let bits = ranked(&keys);
        Ok(Records { len, keys, bits })
    }

    /// The same with every key turned around, or not.
    #[must_use]
    pub fn reversed(mut self, reversed: bool) -> Self {
        for key in &mut self.keys {
            *key = key.clone().descending(key.is_descending() != reversed);
        }
        self
    }

    /// The keys, the most important first.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }
}

/// How many bits of the first keys fit into a rank: of the last of them perhaps not all.
fn ranked(keys: &[Key]) -> Vec<usize> {
    let mut left = RANK_BITS;
    let mut all = Vec::new();
    for key in keys {
        // Keys are whole bytes, and so is what they leave.
        let bits = key.rank_bits().min(left);
        if bits == 0 {
            break;
        }
        all.push(bits);
        left -= bits;
    }
    all
}

impl Shape for Records {
    fn width(&self) -> usize {
        self.len
    }

    #[inline]
    fn rank(&self, element: &[u8]) -> u64 {
        let (mut rank, mut left) = (0, RANK_BITS);
        for (key, &bits) in self.keys.iter().zip(&self.bits) {
            left -= bits;
            rank |= key.rank(element, bits) << left;
        }
        rank
    }

    fn rank_decides(&self) -> bool {
        self.keys.iter().map(Key::rank_bits).sum::<usize>() <= RANK_BITS
    }

    fn compare(&self, left: &[u8], right: &[u8]) -> Ordering {
        let keys = self.keys.iter().map(|key| key.compare(left, right));
        keys.fold(Ordering::Equal, Ordering::then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records(len: usize, keys: &[&str]) -> Records {
        let keys = keys.iter().map(|key| key.parse::<Key>().expect("a good key"));
        Records::new(len, keys).expect("good records")
    }

    #[test]
    fn the_first_key_decides_and_then_the_next() {
        let by = records(6, &["4..6:u16", "0..2:desc"]);
        let (a, b, c) = (b"aa..\x01\0", b"zz..\x01\0", b"zz..\0\x01");
        assert!(by.compare(b, a).is_lt() && by.compare(a, c).is_lt());
        assert!(by.rank(b) < by.rank(a) && by.rank(a) < by.rank(c));
        assert!(by.rank_decides());
        let turned = by.reversed(true);
        assert!(turned.compare(a, b).is_lt() && turned.compare(c, a).is_lt());
    }

    #[test]
    fn a_rank_has_8_bytes() {
        let by = records(12, &["0..10"]);
        assert!(!by.rank_decides());
        assert_eq!(by.rank(b"abcdefghijkl"), u64::from_be_bytes(*b"abcdefgh"));
        assert!(by.compare(b"abcdefghik..", b"abcdefghij..").is_gt());
        let by = records(12, &["0..4:u32", "4..12:u64"]);
        assert_eq!(by.rank(b"\x01\0\0\0\0\0\0\0\x02\0\0\0"), 1 << 32 | 2);
        assert!(records(12, &[]).keys()[0].range() == (0..12));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert_eq!(Records::new(0, []), Err(RecordError::Empty));
        let error = Records::new(9, ["2..10".parse().expect("a key")]).expect_err("outside");
        assert!(error.to_string().contains("`2..10` leaves the record of 9 bytes"), "{error}");
    }

    fn any_key(len: usize) -> impl Strategy<Value = Key> {
        let types = ["u8", "u16be", "i32", "u32be", "i64", "f64be", "f32"];
        let number =
            (0..types.len(), 0..len - 8, any::<bool>()).prop_map(move |(which, from, desc)| {
                Key::number(from, types[which].parse().expect("a type")).descending(desc)
            });
        let bytes = (0..len - 1, 1..len, any::<bool>()).prop_map(move |(from, n, desc)| {
            Key::bytes(from..(from + n).min(len)).descending(desc)
        });
        prop_oneof![number, bytes]
    }

    fn few_values() -> impl Strategy<Value = u8> {
        prop::sample::select(vec![0_u8, 1, 127, 128, 255])
    }

    proptest! {
        #[test]
        fn rank_and_comparison_agree(
            keys in prop::collection::vec(any_key(20), 1..4),
            // Few values, so that keys are often equal.
            left in prop::collection::vec(few_values(), 20),
            mut right in prop::collection::vec(few_values(), 20),
            same in 0_usize..20,
        ) {
            right[..same].copy_from_slice(&left[..same]);
            let by = Records::new(20, keys).expect("inside");
            let (order, ranks) = (by.compare(&left, &right), by.rank(&left).cmp(&by.rank(&right)));
            prop_assert!(ranks.is_eq() || ranks == order);
            if by.rank_decides() {
                prop_assert_eq!(ranks, order);
            }
            prop_assert_eq!(by.compare(&right, &left), order.reverse());
        }
    }
}
