//! Floor 0, pure. A short name that is kept inside whatever has it.
#![forbid(unsafe_code)]

use core::fmt;
use core::num::NonZeroU8;

/// Bytes of a name.
const LEN_MAX: usize = 47;

/// What stands in front of a name whose beginning was cut off.
const CUT: &[u8] = b"...";

/// The name of a region: text of at most 47 bytes, kept inside, so that it can be copied in a
/// signal handler.
///
/// A longer text is shortened to its end, behind three dots: the end of a path says more than its
/// beginning. Bytes that are not printable ASCII become `?`.
///
/// ```
/// use granule::vm::Name;
/// assert_eq!(Name::new(b"heap of the parser").as_str(), "heap of the parser");
/// let path = b"/usr/lib/some-architecture-linux-gnu/libsomething.so.2.1.0";
/// let name = Name::new(path);
/// assert!(name.as_str().starts_with("...") && name.as_str().ends_with("/libsomething.so.2.1.0"));
/// assert_eq!(name.as_str().len(), 47);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
// Copied in words, and as long without a name as with one.
#[repr(align(8))]
pub struct Name {
    len_and_one: NonZeroU8,
    bytes: [u8; LEN_MAX],
}

impl Name {
    /// Words that hold a name: see [`Name::to_words`].
    pub(crate) const WORDS: usize = (1 + LEN_MAX) / 8;

    /// The name that says `text`, or the end of it.
    pub fn new(text: &[u8]) -> Self {
        let mut name = Name { len_and_one: NonZeroU8::MIN, bytes: [0; LEN_MAX] };
        let is_cut = text.len() > LEN_MAX;
        let cut = if is_cut { CUT } else { &[] };
        let kept = &text[text.len() - text.len().min(LEN_MAX - cut.len())..];
        for (place, &byte) in name.bytes.iter_mut().zip(cut.iter().chain(kept)) {
            *place = if byte == b' ' || byte.is_ascii_graphic() { byte } else { b'?' };
            name.len_and_one = name.len_and_one.saturating_add(1);
        }
        name
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Only ASCII gets in, so this is never the empty answer of a failure.
        core::str::from_utf8(&self.bytes[..usize::from(self.len_and_one.get() - 1)])
            .unwrap_or_default()
    }

    /// The name in words; the first one is not 0.
    pub(crate) fn to_words(self) -> [u64; Self::WORDS] {
        let mut all = [0; 1 + LEN_MAX];
        all[0] = self.len_and_one.get();
        all[1..].copy_from_slice(&self.bytes);
        let (words, _) = all.as_chunks::<8>();
        core::array::from_fn(|index| u64::from_le_bytes(words[index]))
    }

    /// What [`to_words`](Name::to_words) made words of. `None` if the first word is 0; any words
    /// give some name.
    pub(crate) fn from_words(words: [u64; Self::WORDS]) -> Option<Self> {
        let mut all = [0; 1 + LEN_MAX];
        for (place, word) in all.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        let len = usize::from(all[0]).checked_sub(1)?;
        Some(Name::new(&all[1..][..len.min(LEN_MAX)]))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), out)
    }
}

#[cfg(all(test, not(granule_loom)))]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn long_names_keep_their_end() {
        let exact = [b'x'; LEN_MAX];
        assert_eq!(Name::new(&exact).as_str().as_bytes(), exact);
        let mut long = [b'a'; 100];
        long[99] = b'z';
        let name = Name::new(&long);
        assert_eq!(name.as_str().len(), LEN_MAX);
        assert!(name.as_str().starts_with("...a") && name.as_str().ends_with("az"));
        assert_eq!(Name::new(b"").as_str(), "");
        assert_eq!(format!("{:>4}|{:?}", Name::new(b"a\nb"), Name::new(b"\xff")), " a?b|\"?\"");
    }

    #[test]
    fn words_and_back() {
        for text in [&b""[..], b"a", b"exactly", b"eight  8", &[b'q'; LEN_MAX], &[b'w'; 60]] {
            let name = Name::new(text);
            assert_ne!(name.to_words()[0], 0);
            assert_eq!(Name::from_words(name.to_words()), Some(name));
        }
        assert_eq!(Name::from_words([0; Name::WORDS]), None);
        assert!(Name::from_words([u64::MAX; Name::WORDS]).is_some());
    }
}
