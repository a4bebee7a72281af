//! Floor 0, pure. Reads little-endian numbers out of bytes nobody vouches for.
#![forbid(unsafe_code)]

/// A place in `bytes`. Every read is checked; one past the end is `None`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts at `position`, which may lie outside: then every read is `None`.
    pub(super) fn new(bytes: &'a [u8], position: usize) -> Self {
        Reader { bytes, position }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Moves to `position`.
    pub(super) fn seek(&mut self, position: usize) {
        self.position = position;
    }

    pub(super) fn at_end(&self) -> bool {
        self.position >= self.bytes.len()
    }

    /// The next `len` bytes.
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let end = self.position.checked_add(len)?;
        let taken = self.bytes.get(self.position..end)?;
        self.position = end;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// An unsigned number in base 128. Bits above 64 are lost.
    pub(super) fn uleb(&mut self) -> Option<u64> {
        let (value, _, _) = self.leb()?;
        Some(value)
    }

    /// A signed number in base 128.
    pub(super) fn sleb(&mut self) -> Option<i64> {
        let (value, shift, last) = self.leb()?;
        let negative = last & 0x40 != 0 && shift < 64;
        Some(if negative { (value | (u64::MAX << shift)) as i64 } else { value as i64 })
    }

    /// The bits, how many there were, and the last byte.
    fn leb(&mut self) -> Option<(u64, u32, u8)> {
        let mut value = 0;
        let mut shift = 0;
        loop {
            let byte = self.u8()?;
            if shift < 64 {
                value |= u64::from(byte & 0x7f) << shift;
                shift += 7;
            }
            if byte & 0x80 == 0 {
                return Some((value, shift, byte));
            }
        }
    }

    /// The bytes up to the next NUL, which is skipped.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.position..)?;
        let len = rest.iter().position(|&byte| byte == 0)?;
        self.position += len + 1;
        rest.get(..len)
    }
}
