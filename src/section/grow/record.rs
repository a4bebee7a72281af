//! Floor 4, uses floors 0 to 3. What stands at the end of a file while it is open to grow: how many
//! of its bytes count.
//!
//! ```text
//!   |bytes of the user ......|bytes that nobody has written yet ....|record|
//!   0                       len                                      4 KiB
//! ```
//! The numbers are stored by the processor, in pages of the file: they outlive the process, however
//! it ends. Closing cuts the file behind the bytes of the user. A file that was not closed ends
//! with a record, and the next opener finds it.

use super::schedule::UNIT;
use crate::error::Error;
use crate::section::Section;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a record.
pub(super) const LEN: usize = 4096;

/// How it begins.
const MAGIC: [u8; 16] = *b"granule grows\r\n\0";
const END: usize = 16;
const CONTENT: usize = 24;
const FLUSHED: usize = 32;
const WORDS: usize = 64;
/// For whoever looks at such a file.
const SENTENCE: &[u8] = b"This file was not closed. The length of its content stands above, at \
    byte 24 of this record (little-endian); granule cuts it there when it is opened and closed.\n";

/// What a file that was not closed said about itself: its program was killed, or the machine
/// stopped. See [`GrowMap::recovered`](super::GrowMap::recovered).
///
/// ```
/// use granule::section::{Durability, GrowMap};
/// # let path = std::env::temp_dir().join(format!("granule-recovered-{}", std::process::id()));
/// // SAFETY: (1), (2): the file is this program's own.
/// let mut log = unsafe { GrowMap::open(&path) }?;
/// log.append(b"one")?;
/// log.flush(0..3, Durability::Data)?;
/// log.append(b"two")?;
/// let as_if_killed = std::fs::read(&path)?;
/// drop(log);
/// std::fs::write(&path, as_if_killed)?;
/// // SAFETY: (1), (2): as above.
/// let log = unsafe { GrowMap::open(&path) }?;
/// assert_eq!(log.as_slice(), b"onetwo");
/// let recovered = log.recovered().expect("it was not closed");
/// assert_eq!((recovered.len, recovered.flushed_len), (6, 3));
/// # drop(log);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Bytes that were appended. After the death of a process they are all there.
    pub len: usize,
    /// Bytes from the beginning on that were flushed. After a power loss these are there; of the
    /// others nobody knows.
    pub flushed_len: usize,
}

/// The record of a file that is `end` bytes long with it.
pub(super) fn page(end: usize, told: Recovered) -> [u8; LEN] {
    let mut page = [0; LEN];
    page[..END].copy_from_slice(&MAGIC);
    for (place, number) in [(END, end), (CONTENT, told.len), (FLUSHED, told.flushed_len)] {
        page[place..place + 8].copy_from_slice(&(number as u64).to_le_bytes());
    }
    page[WORDS..WORDS + SENTENCE.len()].copy_from_slice(SENTENCE);
    page
}

/// What a page says that is the last one of a file of `end` bytes. `None`: it is no record.
fn parse(page: &[u8], end: u64) -> Option<Recovered> {
    let number = |place: usize| {
        let bytes = page.get(place..place + 8)?.try_into().ok()?;
        Some(u64::from_le_bytes(bytes))
    };
    let (len, flushed_len) = (number(CONTENT)?, number(FLUSHED)?);
    let is_record = page.starts_with(&MAGIC) && number(END)? == end;
    if !is_record || flushed_len > len || len > end - LEN as u64 {
        return None;
    }
    let [len, flushed_len] = [len, flushed_len].map(usize::try_from);
    Some(Recovered { len: len.ok()?, flushed_len: flushed_len.ok()? })
}

/// Whether content ends as a file does that was not closed.
pub(super) fn is_at_end_of(content: &[u8]) -> bool {
    let end = content.len();
    end >= LEN && end.is_multiple_of(UNIT) && parse(&content[end - LEN..], end as u64).is_some()
}

/// The record of a file, if it has one.
///
/// # Safety
/// 1. Nobody writes to the file or makes it shorter meanwhile.
pub(super) unsafe fn find(section: &Section) -> Result<Option<Recovered>, Error> {
    let end = section.len();
    if end == 0 || !end.is_multiple_of(UNIT as u64) {
        return Ok(None);
    }
    // SAFETY: (1).
    let page = unsafe { section.view(end - LEN as u64..end) }?;
    Ok(parse(&page, end))
}

/// The record of an open file, where it is mapped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record(NonNull<u8>);

impl Record {
    /// # Safety
    /// 1. A record is mapped at `place` for writing, aligned to its length, and nobody accesses it
    ///    but by this type.
    pub(super) const unsafe fn at(place: NonNull<u8>) -> Self {
        Record(place)
    }

    fn number(&self, place: usize) -> &AtomicU64 {
        // SAFETY: inside the record.
        let number = unsafe { self.0.add(place) };
        // SAFETY: mapped and aligned, and accessed by atomic instructions only.
        unsafe { AtomicU64::from_ptr(number.as_ptr().cast()) }
    }

    /// So many bytes count from now on: those that were written before this.
    #[inline]
    pub(super) fn publish(&self, len: usize) {
        self.number(CONTENT).store((len as u64).to_le(), Ordering::Release);
    }

    pub(super) fn flushed_len(&self) -> usize {
        u64::from_le(self.number(FLUSHED).load(Ordering::Relaxed)) as usize
    }

    pub(super) fn set_flushed_len(&self, len: usize) {
        self.number(FLUSHED).store((len as u64).to_le(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_what_was_written_and_nothing_else_does() {
        let told = Recovered { len: 1000, flushed_len: 10 };
        let page = page(UNIT, told);
        assert_eq!(parse(&page, UNIT as u64), Some(told));
        assert_eq!(parse(&page, 2 * UNIT as u64), None);
        assert_eq!(parse(&[0; LEN], UNIT as u64), None);
        assert_eq!(parse(b"", 0), None);
        for broken in [0, 15, END, CONTENT + 7, FLUSHED + 6] {
            let mut page = page;
            page[broken] ^= 0x40;
            assert_eq!(parse(&page, UNIT as u64), None, "byte {broken}");
        }
    }
}
