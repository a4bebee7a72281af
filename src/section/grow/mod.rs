//! Floor 4, uses floors 0 to 3. Files that grow, as memory that never moves.
//!
//! ```text
//!   addresses |=== content ===|--- room ---|record|      reserved, up to the maximum      |
//!   file      |===============|------------|------|
//!             start          len                 end
//! ```
//! The addresses are taken once. The file is longer than its content while it is open: the room has
//! a place on the disk, so that no store finds the disk full.

mod ahead;
mod builder;
mod ends;
mod record;
mod schedule;

pub use builder::GrowBuilder;
pub use ends::{GrowAppender, GrowReader};
pub use record::Recovered;

use super::{Durability, Pod, Prefault, pod};
use crate::addr::align_down;
use crate::error::{Error, ErrorKind, Op};
use crate::sys::{self, Area, Backing, Errno};
use ahead::Ahead;
use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::{Deref, Range};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use record::Record;
use schedule::Place;

/// A file that grows, as memory: append to it, and read all of it as one slice whose address never
/// changes.
///
/// ```
/// use granule::section::GrowMap;
/// # let path = std::env::temp_dir().join(format!("granule-grow-{}", std::process::id()));
/// // SAFETY: (1), (2): the file is this program's own.
/// let mut log = unsafe { GrowMap::open(&path) }?;
/// let first = log.append(b"one ")?;
/// let place = log.as_slice().as_ptr();
/// for _ in 0..100_000 {
///     log.append(b"more ")?;
/// }
/// assert_eq!((&log[first], log.as_slice().as_ptr()), (&b"one "[..], place));
/// log.close()?;
/// assert_eq!(std::fs::metadata(&path)?.len(), 500_004);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # How it grows
/// While it is open the file is longer than its content, by 64 KiB at first, then by as much as
/// there is, and from 64 MiB on in steps of that ([`GrowBuilder::step`]). Each step takes its place
/// on the disk: a disk that is full is an error then, and never the death of the process at a
/// store. (On file systems that write every block to a new place, as btrfs and ZFS do, a place can
/// be lost all the same.) Closing, or dropping, cuts the file to its content.
///
/// Appends find their pages in memory: on Linux zeros are written to the next 256 KiB of the room,
/// by one call, where that saves faults (ext4, XFS, tmpfs, as [`Prefault::Auto`] finds out), and
/// once 256 KiB were appended since the last flush. [`GrowBuilder::prefault`] changes that.
///
/// # If the process dies
/// Whatever was appended is in the system's cache of files, and the number of its bytes stands in
/// the last 4 KiB of the file. Whoever opens it next with this type has the content as it was, and
/// is told so ([`recovered`](Self::recovered)); others see the content, room, and those 4 KiB
/// until it has been opened and closed again. A file that was closed has the bytes of its user and
/// nothing else. (One whose last bytes are themselves such a record, at its place, is left as it
/// was while it was open, so that nobody takes them for one.)
///
/// # If the power fails
/// What was flushed is there: [`flush`](Self::flush) brings the bytes to the disk first and then
/// their number, and [`Recovered::flushed_len`] tells it. Behind that, pages may have been written
/// or not, in any order. If the file has grown since the last flush and the record was not written,
/// the room counts as content, and reads zero: records that tell their length find out.
///
/// # Fork
/// The child of a fork has the map, too, and closes it when it is dropped there, which breaks the
/// promise (2): forget it, or end the child by `exec` or `_exit`.
///
/// # System calls
/// | | Linux | Windows |
/// |---|---|---|
/// | open | those of a section and a view; mmap | the same; `VirtualAlloc` |
/// | grow | prlimit64, fcntl, fallocate, pwrite64 | `WriteFile`, and for the view those below |
/// | each 256 KiB | pwritev, and at first those of [`prefault`](super::prefault) | none |
/// | close | munmap, ftruncate, close | `UnmapViewOfFile`, `SetFileInformationByHandle` |
///
/// Where fallocate is not to be had (Linux), on FreeBSD, and where macOS does not know
/// F_PREALLOCATE, zeros are written to the room.
///
/// Windows (`CreateFileMapping`, `VirtualFree`, `MapViewOfFileEx`, `VirtualAlloc`) maps what is new
/// behind what is there. If another thread takes just these addresses in the moment when they are
/// not reserved, it is tried again, and in the end the append fails; what is there stays.
#[doc(alias("mremap", "append-only", "log", "memory-mapped file"))]
pub struct GrowMap {
    shared: Shared,
    writer: Writer,
    recovered: Option<Recovered>,
}

/// What readers see.
#[derive(Debug)]
struct Shared {
    /// The first byte.
    start: NonNull<u8>,
    /// So many are written, and do not change while somebody may have a slice of them.
    len: AtomicUsize,
}

/// What only the one who appends has.
#[derive(Debug)]
struct Writer {
    area: Area,
    file: Backing,
    /// Bytes of the file with room and record; 0 before it was extended.
    end: usize,
    /// At the end of the file.
    record: Record,
    /// It is on the disk, at this place.
    is_record_flushed: AtomicBool,
    /// Bytes that can be used without a look ahead.
    limit: usize,
    /// Before this there may be bytes without a place on the disk.
    hole_end: usize,
    /// What is in memory already behind the content.
    ahead: Ahead,
    max: usize,
    step: usize,
}

// SAFETY: addresses and files are the process' and not a thread's; content is bytes.
unsafe impl Send for GrowMap {}
// SAFETY: what `&self` does: it reads bytes that do not change meanwhile, and flushes, which any
// thread may do at any time.
unsafe impl Sync for GrowMap {}

impl Shared {
    #[inline]
    fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// The bytes that are published now.
    #[inline]
    fn as_slice(&self) -> &[u8] {
        // SAFETY: so many are mapped and written, before the length was; that nobody else changes
        // or takes them was promised when the map was made, and we change them with `&mut` only.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len()) }
    }
}

impl GrowMap {
    /// Opens a file, or makes one, and maps it with addresses for 64 GiB (128 MiB where addresses
    /// have 32 bits).
    ///
    /// # Errors
    /// - What opening the file can fail with.
    /// - `Denied`: the file may not be written, or is open for appending only.
    /// - `NoAddressSpace`, `OutOfRange`: there are no such addresses, or the file has more bytes.
    /// - `DiskFull`: there is no place for 64 KiB.
    ///
    /// # Safety
    /// While the map lives:
    /// 1. Nobody else writes to the file: no process, through no view and by no call.
    /// 2. Nobody makes it shorter. A touch of what is lost ends the process (SIGBUS); Windows
    ///    refuses to shorten a file that is mapped.
    #[cfg(feature = "std")]
    pub unsafe fn open(path: impl AsRef<std::path::Path>) -> std::io::Result<Self> {
        // SAFETY: (1), (2).
        unsafe { Self::builder().open(path) }
    }

    /// With another maximum or step.
    #[must_use]
    pub const fn builder() -> GrowBuilder {
        GrowBuilder::new()
    }

    /// What the file said about itself if it had not been closed the last time; its content is the
    /// longer of the two. After a power loss, [truncate](Self::truncate) it to the shorter one.
    #[must_use]
    pub const fn recovered(&self) -> Option<Recovered> {
        self.recovered
    }

    /// Bytes of content.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.len()
    }

    /// True without content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the content can have at most.
    #[must_use]
    pub const fn max(&self) -> usize {
        self.writer.max
    }

    /// Bytes that the content can have before the file grows again.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.writer.room()
    }

    /// The content.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.shared.as_slice()
    }

    /// The content as values of another type.
    ///
    /// # Errors
    /// - `OutOfRange`: its length is no multiple of the type's size.
    pub fn as_slice_of<T: Pod>(&self) -> Result<&[T], Error> {
        pod::cast(self, 0)
    }

    /// A part of the content, to be changed. Bytes that have no place on the disk, because they are
    /// in a hole that was punched or came with the file, get one now.
    ///
    /// Linux: fallocate, of a file that may have holes in the range.
    ///
    /// # Errors
    /// - `OutOfRange`: the range is inverted, or leaves the content.
    /// - `DiskFull`: there is no place for a hole.
    pub fn as_mut_slice(&mut self, range: Range<usize>) -> Result<&mut [u8], Error> {
        self.check(&range, Op::Access)?;
        self.writer.fill_holes(range.clone())?;
        // SAFETY: inside the content.
        let first = unsafe { self.shared.start.add(range.start) };
        // SAFETY: mapped for writing; `&mut self`: nobody else here has a slice, and elsewhere
        // nobody has by the promise.
        Ok(unsafe { core::slice::from_raw_parts_mut(first.as_ptr(), range.len()) })
    }

    /// See [`GrowAppender::append`].
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> Result<Range<usize>, Error> {
        self.appender().append(bytes)
    }

    /// See [`GrowAppender::push`].
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn push<T: Pod>(&mut self, value: T) -> Result<usize, Error> {
        self.appender().push(value)
    }

    /// See [`GrowAppender::extend_from_slice`].
    ///
    /// # Errors
    /// As there.
    pub fn extend_from_slice<T: Pod>(&mut self, values: &[T]) -> Result<Range<usize>, Error> {
        self.appender().extend_from_slice(values)
    }

    /// See [`GrowAppender::reserve_additional`].
    ///
    /// # Errors
    /// As there.
    pub fn reserve_additional(&mut self, len: usize) -> Result<(), Error> {
        self.appender().reserve_additional(len)
    }

    /// Gives up the content behind the first `len` bytes, if there are so many. The file becomes
    /// shorter when it is closed.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len() {
            self.shared.len.store(len, Ordering::Release);
            self.writer.record.publish(len);
            let flushed_len = self.writer.record.flushed_len().min(len);
            self.writer.record.set_flushed_len(flushed_len);
            *self.writer.is_record_flushed.get_mut() = false;
            if len < self.writer.hole_end {
                self.writer.limit = 0; // appends shall look
            }
        }
    }

    /// Makes a part of the content read zero, and gives its place on the disk back, page by page.
    /// Windows, macOS, FreeBSD, and file systems without holes: zeros are written.
    ///
    /// Linux: fallocate(FALLOC_FL_PUNCH_HOLE).
    ///
    /// # Errors
    /// - `OutOfRange`: the range is inverted, or leaves the content.
    /// - `DiskFull`: there was a hole, and zeros have no place.
    pub fn punch(&mut self, range: Range<usize>) -> Result<(), Error> {
        self.check(&range, Op::Discard)?;
        if range.is_empty() {
            return Ok(());
        }
        let (from, to) = (range.start as u64, range.end as u64);
        // SAFETY: (1) ours, and open; (2) that is what the caller wants.
        if unsafe { sys::punch_hole(self.writer.file.file, from, to) }.is_ok() {
            self.writer.hole_end = self.writer.hole_end.max(range.end);
        } else {
            self.as_mut_slice(range).map_err(|error| error.as_part_of(Op::Discard))?.fill(0);
        }
        Ok(())
    }

    /// See [`GrowAppender::flush`].
    ///
    /// # Errors
    /// As there.
    pub fn flush(&self, range: Range<usize>, durability: Durability) -> Result<(), Error> {
        self.check(&range, Op::Flush)?;
        self.writer.flush(range, durability)
    }

    /// One who appends, and any number who read meanwhile.
    ///
    /// ```
    /// use granule::section::GrowMap;
    /// # let path = std::env::temp_dir().join(format!("granule-split-{}", std::process::id()));
    /// // SAFETY: (1), (2): the file is this program's own.
    /// let mut log = unsafe { GrowMap::open(&path) }?;
    /// let (mut appender, reader) = log.split();
    /// std::thread::scope(|scope| {
    ///     scope.spawn(move || {
    ///         while reader.len() < 1000 {
    ///             std::thread::yield_now();
    ///         }
    ///         assert!(reader.as_slice().iter().all(|&byte| byte == 7));
    ///     });
    ///     (0..1000).try_for_each(|_| appender.append(&[7]).map(drop))
    /// })?;
    /// # drop(log);
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn split(&mut self) -> (GrowAppender<'_>, GrowReader<'_>) {
        let GrowMap { shared, writer, .. } = self;
        (GrowAppender { shared, writer }, GrowReader { shared })
    }

    fn appender(&mut self) -> GrowAppender<'_> {
        self.split().0
    }

    /// Cuts the file to its content, and closes it.
    ///
    /// What was not flushed is written by the system some time later.
    ///
    /// # Errors
    /// `Denied`, `BadState`, `Other`: the system refused to cut it. The next opener finds the
    /// content as if the process had died.
    pub fn close(self) -> Result<(), Error> {
        ManuallyDrop::new(self).finish(false)
    }

    /// The same, and waits until content and length are on the disk (as [`Durability::Full`] has
    /// it).
    ///
    /// # Errors
    /// As for [`close`](Self::close) and [`flush`](Self::flush).
    pub fn close_durably(self) -> Result<(), Error> {
        ManuallyDrop::new(self).finish(true)
    }

    /// Called once, and last.
    fn finish(&mut self, is_durable: bool) -> Result<(), Error> {
        let Writer { area, file, end, .. } = self.writer;
        let len = self.len();
        let is_to_be_cut = end != 0 && !record::is_at_end_of(self.as_slice());
        // SAFETY: (1) the map is not used again.
        let mut done = unsafe { sys::release_area(area) };
        if is_to_be_cut {
            // SAFETY: (1) ours, and open; (2) behind the content is nobody's.
            done = done.and(unsafe { sys::set_len(file.file, len as u64) });
        }
        let done = done.map_err(|errno| errno.of(Op::Resize, len, end.saturating_sub(len)));
        let synced = match done {
            // SAFETY: (1) ours, and open.
            Ok(()) if is_durable => unsafe { sys::sync_file(file.file) },
            _ => Ok(()),
        };
        // SAFETY: (1) ours, and not used again.
        unsafe { sys::close_backing(file) };
        done.and(synced.map_err(|errno| errno.in_step(Op::Flush, Op::Resize, 0, len)))
    }

    fn check(&self, range: &Range<usize>, op: Op) -> Result<(), Error> {
        check(range, self.len(), op)
    }
}

/// Refuses a range that is not in the content.
fn check(range: &Range<usize>, len: usize, op: Op) -> Result<(), Error> {
    if range.start > range.end || range.end > len {
        let wanted = range.end.saturating_sub(range.start);
        return Err(Error::new(op, ErrorKind::OutOfRange, range.start, wanted, 0));
    }
    Ok(())
}

impl Writer {
    /// Makes `needed` bytes of content possible, of which `len` are there.
    #[cold]
    fn make_room(&mut self, len: usize, needed: Option<usize>) -> Result<(), Error> {
        let Some(needed) = needed.filter(|&needed| needed <= self.max) else {
            let more = needed.unwrap_or(usize::MAX) - len;
            return Err(Error::new(Op::Resize, ErrorKind::OutOfRange, len, more, 0));
        };
        if len < self.hole_end {
            self.fill_holes(len..self.hole_end)?;
            self.hole_end = len;
        }
        let least = needed + record::LEN;
        if least > self.end {
            let end = schedule::next(self.end, least, self.step, self.area.len);
            let least_end = schedule::covering(least).map_or(end, |least| least.min(end));
            match self.extend(len, end) {
                Err(error) if error.kind() == ErrorKind::DiskFull && least_end < end => {
                    self.extend(len, least_end)
                }
                done => done,
            }?;
        }
        self.limit = self.look_ahead(len, needed)?;
        Ok(())
    }

    /// Brings pages into memory that appends will need. Tells when to look again: at that length.
    fn look_ahead(&mut self, len: usize, needed: usize) -> Result<usize, Error> {
        let (room, ready) = (self.room(), self.ahead.ready());
        let flushed_len = self.record.flushed_len().min(len);
        let place = Place { len, needed, unflushed: len - flushed_len, ready, room };
        let range = match self.ahead.how() {
            Prefault::Never => return Ok(room),
            Prefault::Auto => schedule::ahead(place),
            Prefault::Always => schedule::all(place),
        };
        if range.is_empty() {
            return Ok(needed.saturating_add(schedule::AHEAD).min(room));
        }
        // SAFETY: (1) ours, mapped from its first byte on, and the range ends in the room; (2) it
        // begins behind the content.
        unsafe { self.ahead.bring_in(self.file.file, self.area.start, range.clone()) }
            .map_err(|errno| errno.of(Op::Resize, range.start, range.len()))?;
        Ok(if room - range.end < schedule::UNIT { room } else { range.end })
    }

    /// Bytes of content that the file has room for.
    const fn room(&self) -> usize {
        let before_record = self.end - record::LEN;
        if before_record < self.max { before_record } else { self.max }
    }

    /// Makes the file `end` bytes long, with the record at the new end.
    fn extend(&mut self, len: usize, end: usize) -> Result<(), Error> {
        let (from, to) = (self.end as u64, end as u64);
        let told = Recovered { len, flushed_len: self.record.flushed_len() };
        let page = record::page(end, told);
        let failed = |errno: Errno| errno.of(Op::Resize, from as usize, (to - from) as usize);
        // SAFETY: (1) ours, open for both, and so long.
        unsafe { sys::extend_file(self.file.file, from, to, &page) }.map_err(failed)?;
        // SAFETY: (1) it is so long now.
        if let Err(errno) = unsafe { sys::extend_area(self.file, &mut self.area, end) } {
            // The old record is the last one again. If even this is refused, and the process dies,
            // the new one counts, with the length of now.
            // SAFETY: (1) ours; (2) nobody has seen more.
            let _ = unsafe { sys::set_len(self.file.file, from) };
            return Err(failed(errno));
        }
        self.use_record(end);
        Ok(())
    }

    /// From now on the file is `end` bytes long.
    fn use_record(&mut self, end: usize) {
        self.end = end;
        // SAFETY: inside the area.
        let place = unsafe { self.area.start.add(end - record::LEN) };
        // SAFETY: (1) mapped, at a multiple of 4 KiB, and behind all content.
        self.record = unsafe { Record::at(place) };
        *self.is_record_flushed.get_mut() = false;
    }

    /// Takes a place on the disk for the bytes of `range` that may have none.
    fn fill_holes(&self, range: Range<usize>) -> Result<(), Error> {
        let (from, to) = (range.start as u64, range.end.min(self.hole_end) as u64);
        // SAFETY: (1) ours, and open.
        unsafe { sys::allocate_len(self.file.file, from, to) }
            .map_err(|errno| errno.of(Op::Resize, range.start, range.len()))
    }

    /// The range is inside the content.
    fn flush(&self, range: Range<usize>, durability: Durability) -> Result<(), Error> {
        if range.is_empty() {
            return Ok(());
        }
        let flushed_len = self.record.flushed_len();
        let is_longer = range.start <= flushed_len && range.end > flushed_len;
        let is_recorded = !is_longer && self.is_record_flushed.load(Ordering::Acquire);
        if durability == Durability::Start || is_recorded {
            return self.flush_pages(range, durability);
        }
        self.flush_pages(range.clone(), Durability::Data)?;
        if is_longer {
            self.record.set_flushed_len(range.end);
        }
        self.flush_pages(self.end - record::LEN..self.end, durability)?;
        self.is_record_flushed.store(true, Ordering::Release);
        Ok(())
    }

    fn flush_pages(&self, range: Range<usize>, durability: Durability) -> Result<(), Error> {
        let from = align_down(range.start, sys::limits().page_len);
        let len = range.end - from;
        // SAFETY: (1) inside the area, which is one of this file.
        unsafe { sys::flush_area(self.file, &self.area, from, len, durability) }
            .map_err(|errno| errno.of(Op::Flush, from, len))
    }
}

impl Drop for GrowMap {
    fn drop(&mut self) {
        // There is nobody to tell; the next opener finds the content all the same.
        let _ = self.finish(false);
    }
}

impl Deref for GrowMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for GrowMap {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for GrowMap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "GrowMap({} bytes of at most {})", self.len(), self.max())
    }
}

/// Appends; `flush` has nothing to do, as nothing is held back from other readers of the file.
#[cfg(feature = "std")]
impl std::io::Write for GrowMap {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.appender().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
