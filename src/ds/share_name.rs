//! Floor 0, pure. The name of memory that processes share, as every system takes it.
#![forbid(unsafe_code)]

/// Bytes of a name. Windows takes 260 characters, of which some are ours.
pub(crate) const LEN_MAX: usize = 200;

/// A name that was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShareName {
    len: u8,
    bytes: [u8; LEN_MAX],
}

impl ShareName {
    /// `None` for a name that some system would not take, or take for a path.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let is_path = |byte| matches!(byte, b'/' | b'\\' | 0);
        let is_folder = matches!(name, "." | "..");
        if name.is_empty() || name.len() > LEN_MAX || is_folder || name.bytes().any(is_path) {
            return None;
        }
        let mut bytes = [0; LEN_MAX];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Some(ShareName { len: name.len() as u8, bytes })
    }

    pub(crate) fn as_str(&self) -> &str {
        // It was made of a text.
        core::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

#[cfg(all(test, not(granule_loom)))]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_paths() {
        let longest = "x".repeat(LEN_MAX);
        for good in ["a", "granule.test-1", "...", "\u{e9}", longest.as_str()] {
            assert_eq!(ShareName::new(good).expect(good).as_str(), good);
        }
        let too_long = "x".repeat(LEN_MAX + 1);
        for bad in ["", ".", "..", "a/b", "/a", "a\\b", "a\0b", too_long.as_str()] {
            assert_eq!(ShareName::new(bad), None, "{bad:?}");
        }
    }
}
