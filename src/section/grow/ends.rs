//! Floor 4, uses floors 0 to 3. One who appends to a growing file, and those who read meanwhile.

use super::{Pod, Shared, Writer, check, pod};
use crate::error::{Error, Op};
use crate::section::{Durability, bytes_of};
use core::ops::Range;
use core::sync::atomic::Ordering;

/// The one who appends to a [`GrowMap`](super::GrowMap); from
/// [`GrowMap::split`](super::GrowMap::split).
///
/// ```
/// use granule::section::GrowMap;
/// # let path = std::env::temp_dir().join(format!("granule-appender-{}", std::process::id()));
/// // SAFETY: (1), (2): the file is this program's own.
/// let mut log = unsafe { GrowMap::open(&path) }?;
/// let (mut appender, reader) = log.split();
/// let place = appender.push(7u32)?;
/// assert_eq!(reader.as_slice()[place..], 7u32.to_ne_bytes());
/// # drop(log);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct GrowAppender<'a> {
    pub(super) shared: &'a Shared,
    pub(super) writer: &'a mut Writer,
}

// SAFETY: see `GrowMap`.
unsafe impl Send for GrowAppender<'_> {}

/// One of those who read a [`GrowMap`](super::GrowMap) while it grows; from
/// [`GrowMap::split`](super::GrowMap::split). It can be copied, and given to any thread.
///
/// ```
/// use granule::section::GrowMap;
/// # let path = std::env::temp_dir().join(format!("granule-reader-{}", std::process::id()));
/// // SAFETY: (1), (2): the file is this program's own.
/// let mut log = unsafe { GrowMap::open(&path) }?;
/// let (mut appender, reader) = log.split();
/// appender.append(b"one")?;
/// let before = reader.as_slice();
/// appender.append(b"two")?;
/// assert_eq!((before, reader.as_slice()), (&b"one"[..], &b"onetwo"[..]));
/// # drop(log);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GrowReader<'a> {
    pub(super) shared: &'a Shared,
}

// SAFETY: see `GrowMap`.
unsafe impl Send for GrowReader<'_> {}
// SAFETY: see `GrowMap`.
unsafe impl Sync for GrowReader<'_> {}

impl GrowAppender<'_> {
    /// Appends bytes, and tells where they are. Readers see all of them or none.
    ///
    /// Now and then the file grows: see [`GrowMap`](super::GrowMap) for the calls.
    ///
    /// # Errors
    /// Nothing was appended.
    /// - `OutOfRange`: that is more than the maximum.
    /// - `DiskFull`: there is no place for it.
    /// - `AddressTaken`: on Windows, somebody else has taken the addresses.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> Result<Range<usize>, Error> {
        let start = self.shared.len.load(Ordering::Relaxed);
        let end = self.room(start, bytes.len())?;
        // SAFETY: inside the area.
        let place = unsafe { self.shared.start.add(start) };
        // SAFETY: mapped for writing, and behind all that anybody has a slice of.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), place.as_ptr(), bytes.len()) };
        self.shared.len.store(end, Ordering::Release);
        self.writer.record.publish(end);
        Ok(start..end)
    }

    /// Appends the bytes of a value, and tells where they begin: at a multiple of its size if all
    /// that was appended before is of that size.
    ///
    /// # Errors
    /// As for [`append`](Self::append).
    #[inline]
    pub fn push<T: Pod>(&mut self, value: T) -> Result<usize, Error> {
        self.append(bytes_of(&[value])).map(|place| place.start)
    }

    /// Appends the bytes of values, and tells where they are.
    ///
    /// # Errors
    /// As for [`append`](Self::append).
    pub fn extend_from_slice<T: Pod>(&mut self, values: &[T]) -> Result<Range<usize>, Error> {
        self.append(bytes_of(values))
    }

    /// Has the file grow now if the next `len` bytes would need it: they can be appended without a
    /// call of the system.
    ///
    /// # Errors
    /// As for [`append`](Self::append).
    pub fn reserve_additional(&mut self, len: usize) -> Result<(), Error> {
        self.room(self.shared.len.load(Ordering::Relaxed), len).map(drop)
    }

    /// Brings a part of the content to the disk; [`Durability`] says how far. With `Data` and
    /// `Full` its length follows, if it is the first time for these bytes: two waits for the disk,
    /// so that there is no length of bytes that are not there.
    ///
    /// For the calls see [`Durability`].
    ///
    /// # Errors
    /// - `OutOfRange`: the range is inverted, or leaves the content.
    /// - `DiskFull`, `Other`: the disk could not write it. The bytes are still in memory, but
    ///   whether another flush writes them is up to the system.
    pub fn flush(&self, range: Range<usize>, durability: Durability) -> Result<(), Error> {
        check(&range, self.shared.len(), Op::Flush)?;
        self.writer.flush(range, durability)
    }

    /// Where content of `start` bytes ends if `len` are added, for which there is room then.
    #[inline]
    fn room(&mut self, start: usize, len: usize) -> Result<usize, Error> {
        match start.checked_add(len) {
            Some(end) if end <= self.writer.limit => Ok(end),
            needed => {
                self.writer.make_room(start, needed)?;
                Ok(start + len)
            }
        }
    }
}

impl<'a> GrowReader<'a> {
    /// Bytes of content now.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.len()
    }

    /// True without content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The content now. It stays as it is; what is appended later is in later slices, at the same
    /// addresses.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &'a [u8] {
        self.shared.as_slice()
    }

    /// The content now as values of another type, as far as they are whole.
    #[must_use]
    pub fn as_slice_of<T: Pod>(&self) -> &'a [T] {
        let bytes = self.as_slice();
        let whole = bytes.len() - bytes.len().checked_rem(size_of::<T>()).unwrap_or(bytes.len());
        pod::cast(&bytes[..whole], 0).expect("whole values, and the content begins at a page")
    }
}

/// Appends; `flush` has nothing to do, as nothing is held back from other readers of the file.
#[cfg(feature = "std")]
impl std::io::Write for GrowAppender<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(self.append(bytes)?.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
