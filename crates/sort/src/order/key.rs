//! A key of a record: where it lies, what it is, which end comes first.

use super::number::Number;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// A part of a record that its order depends on.
///
/// Written `FROM..TO`, the first byte and the one behind the last, from 0; then, in any order and
/// each behind a colon, a type of numbers (see [`Number`]) or `bytes`, and `asc` or `desc`. Without
/// a type the bytes themselves are compared, as `memcmp` does.
///
/// ```
/// use granule_sort::order::Key;
/// let key: Key = "16..24:u64be:desc".parse()?;
/// assert_eq!((key.range(), key.is_descending()), (16..24, true));
/// assert!("16..20:u64".parse::<Key>().is_err()); // 4 bytes are no u64
/// # Ok::<(), granule_sort::order::KeyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    from: usize,
    to: usize,
    /// None: bytes.
    number: Option<Number>,
    descending: bool,
}

/// What is wrong with the text of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError(String);

impl fmt::Display for KeyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for KeyError {}

impl Key {
    /// The bytes of `range` as `memcmp` orders them.
    ///
    /// # Panics
    /// If the range is empty or inverted.
    #[must_use]
    pub fn bytes(range: Range<usize>) -> Self {
        assert!(range.start < range.end, "a key has at least one byte");
        Key { from: range.start, to: range.end, number: None, descending: false }
    }

    /// The number that begins at byte `from`.
    #[must_use]
    pub fn number(from: usize, number: Number) -> Self {
        Key { from, to: from + number.len(), number: Some(number), descending: false }
    }

    /// The highest first, or not.
    #[must_use]
    pub fn descending(mut self, descending: bool) -> Self {
        self.descending = descending;
        self
    }

    /// Its bytes in the record.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.from..self.to
    }

    /// Whether the highest comes first.
    #[must_use]
    pub fn is_descending(&self) -> bool {
        self.descending
    }

    /// Bits that its whole rank would have.
    pub(super) fn rank_bits(&self) -> usize {
        8 * (self.to - self.from)
    }

    /// A number that orders as the keys of records do, as far as their first `bits` go: at most 64
    /// and, of a key of bytes, whole bytes.
    #[inline]
    pub(super) fn rank(&self, record: &[u8], bits: usize) -> u64 {
        let rank = match self.number {
            Some(number) => number.rank(&record[self.range()]) >> (self.rank_bits() - bits),
            None => big_endian(&record[self.from..self.from + bits / 8]),
        };
        if self.descending { !rank & (u64::MAX >> (64 - bits)) } else { rank }
    }

    /// Which of two records has the key that comes first.
    pub(super) fn compare(&self, left: &[u8], right: &[u8]) -> Ordering {
        let (left, right) = (&left[self.range()], &right[self.range()]);
        let order = match self.number {
            Some(number) => number.rank(left).cmp(&number.rank(right)),
            None => left.cmp(right),
        };
        if self.descending { order.reverse() } else { order }
    }
}

/// Up to 8 bytes as a number.
#[inline]
fn big_endian(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(whole) => u64::from_be_bytes(*whole),
        None => bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)),
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut words = text.split(':');
        let range = words.next().and_then(parse_range).ok_or_else(|| {
            KeyError(format!(
                "`{text}` does not begin with the bytes of the key: say FROM..TO, for example \
                 0..10 for the first ten"
            ))
        })?;
        let mut key = Key::bytes(range);
        let (mut has_type, mut has_direction) = (false, false);
        for word in words {
            let again = match word {
                "asc" | "desc" => {
                    key.descending = word == "desc";
                    std::mem::replace(&mut has_direction, true)
                }
                "bytes" => std::mem::replace(&mut has_type, true),
                _ => {
                    key.number = Some(key.number_named(word, text)?);
                    std::mem::replace(&mut has_type, true)
                }
            };
            if again {
                return Err(KeyError(format!("`{text}` says two times what the key is")));
            }
        }
        Ok(key)
    }
}

impl Key {
    fn number_named(&self, word: &str, text: &str) -> Result<Number, KeyError> {
        let number = word.parse::<Number>().map_err(|_| {
            KeyError(format!(
                "`{word}` in the key `{text}` is neither a type (u8 to u64, i8 to i64, f32, f64, \
                 with le or be behind it, or bytes) nor asc or desc"
            ))
        })?;
        let len = self.to - self.from;
        if number.len() != len {
            let right = self.from + number.len();
            return Err(KeyError(format!(
                "the key `{text}` has {len} bytes, and {number} has {}: say {}..{right}:{word}",
                number.len(),
                self.from
            )));
        }
        Ok(number)
    }
}

fn parse_range(text: &str) -> Option<Range<usize>> {
    let (from, to) = text.split_once("..")?;
    let number = |text: &str| text.parse().ok().filter(|_| !text.starts_with('+'));
    let (from, to) = (number(from)?, number(to)?);
    (from < to).then_some(from..to)
}

impl fmt::Display for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}..{}", self.from, self.to)?;
        if let Some(number) = self.number {
            write!(out, ":{number}")?;
        }
        out.write_str(if self.descending { ":desc" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        text.parse::<Key>().expect_err(text).to_string()
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        for text in ["0..10", "16..24:u64", "4..8:i32be:desc", "3..4:desc", "8..16:f64"] {
            assert_eq!(text.parse::<Key>().expect(text).to_string(), text);
        }
        let key: Key = "4..8:desc:i32be".parse().expect("in any order");
        assert_eq!(key, "4..8:i32be:desc".parse().expect("the usual order"));
        assert_eq!("1..2:bytes:asc".parse(), Ok(Key::bytes(1..2)));
        assert_eq!("2..4:u16".parse(), Ok(Key::number(2, "u16".parse().expect("a type"))));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for bad in ["", "5", "5..", "..5", "5..5", "7..5", "a..b", "0..=9", "-1..4", "+1..4"] {
            assert!(error(bad).contains("FROM..TO"), "{bad}: {}", error(bad));
        }
        assert!(error("0..4:u64").contains("has 4 bytes, and u64 has 8: say 0..8:u64"));
        assert!(error("0..4:word").contains("`word`"));
        assert!(error("0..4:").contains("neither a type"));
        assert!(error("0..4:u32:i32").contains("two times"));
        assert!(error("0..4:asc:desc").contains("two times"));
    }
}
