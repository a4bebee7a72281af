//! Floor 4, uses floors 0 to 3. Opening a file that is to grow.

use super::record::{self, Record};
use super::schedule::{self, STEP, UNIT};
use super::{Ahead, GrowMap, Prefault, Recovered, Shared, Writer};
use crate::error::{Error, ErrorKind, Op};
#[cfg(feature = "std")]
use crate::section::Access;
use crate::section::Section;
use crate::sys::{self, Errno};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Bytes of content that there are addresses for, unless told otherwise.
const USUAL_MAX: usize = if usize::BITS >= 64 { 1 << 36 } else { 1 << 27 };

/// How a [`GrowMap`] is opened; from [`GrowMap::builder`].
///
/// ```
/// use granule::section::GrowMap;
/// use granule::ErrorKind;
/// # let path = std::env::temp_dir().join(format!("granule-builder-{}", std::process::id()));
/// let builder = GrowMap::builder().max(1 << 20).step(128 << 10);
/// // SAFETY: (1), (2): the file is this program's own.
/// let mut map = unsafe { builder.open(&path) }?;
/// map.append(&[1; 1 << 20])?;
/// let error = map.append(&[1]).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::OutOfRange);
/// # drop(map);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GrowBuilder {
    max: usize,
    step: usize,
    prefault: Prefault,
}

impl GrowBuilder {
    pub(super) const fn new() -> Self {
        GrowBuilder { max: USUAL_MAX, step: STEP, prefault: Prefault::Auto }
    }

    /// Bytes that the content can have at most. They cost addresses, not memory and not disk.
    #[must_use]
    pub const fn max(mut self, bytes: usize) -> Self {
        self.max = bytes;
        self
    }

    /// Bytes that the file grows by once it is so long; 64 MiB unless told otherwise. Rounded up to
    /// 64 KiB.
    #[must_use]
    pub const fn step(mut self, bytes: usize) -> Self {
        self.step = if bytes == 0 { 1 } else { bytes };
        self
    }

    /// Which pages of the room are brought into memory before they are needed. `Auto`: the next 256
    /// KiB, where that saves faults. `Always`: all of it, whenever the file grows, which then takes
    /// longer, and appends touch no page for the first time. `Never`: none, for a program that
    /// appends a little now and then: a page that is in memory is written to the disk. Nothing but
    /// Linux knows this.
    ///
    /// ```
    /// use granule::section::{GrowMap, Prefault};
    /// # let path = std::env::temp_dir().join(format!("granule-ahead-{}", std::process::id()));
    /// let builder = GrowMap::builder().prefault(Prefault::Never);
    /// // SAFETY: (1), (2): the file is this program's own.
    /// let mut map = unsafe { builder.open(&path) }?;
    /// map.append(b"now and then")?;
    /// # drop(map);
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub const fn prefault(mut self, prefault: Prefault) -> Self {
        self.prefault = prefault;
        self
    }

    /// Opens a file, or makes one, and maps it.
    ///
    /// # Errors
    /// As for [`GrowMap::open`].
    ///
    /// # Safety
    /// 1. and 2. As for [`GrowMap::open`].
    #[cfg(feature = "std")]
    pub unsafe fn open(self, path: impl AsRef<std::path::Path>) -> std::io::Result<GrowMap> {
        let how = &mut std::fs::File::options();
        let file = how.read(true).write(true).create(true).truncate(false).open(path)?;
        // SAFETY: (1), (2).
        Ok(unsafe { self.of_file(&file) }?)
    }

    /// Maps a file that is open for reading and writing. The map holds its own handle of it.
    ///
    /// # Errors
    /// As for [`GrowMap::open`].
    ///
    /// # Safety
    /// 1. and 2. As for [`GrowMap::open`].
    #[cfg(feature = "std")]
    pub unsafe fn of_file(self, file: &std::fs::File) -> Result<GrowMap, Error> {
        let section = Section::of_file(file, Access::Write)?;
        // SAFETY: (1), (2).
        unsafe { self.of_section(section) }
    }

    /// Maps the file of a section for writing, which must not be memory.
    ///
    /// # Safety
    /// 1. and 2. As for [`GrowMap::open`].
    unsafe fn of_section(self, section: Section) -> Result<GrowMap, Error> {
        let file_len = section.len();
        // SAFETY: (1) by (1) and (2).
        let recovered = unsafe { record::find(&section) }?;
        let refused = |kind| Error::new(Op::Map, kind, 0, file_len as usize, 0);
        let content = recovered.map_or(usize::try_from(file_len).ok(), |told| Some(told.len));
        let Some(len) = content.filter(|&len| len <= self.max) else {
            return Err(refused(ErrorKind::OutOfRange));
        };
        // What a file has that was open with a larger maximum is mapped, too.
        let kept = recovered.map_or(0, |_| file_len as usize);
        let area_len = self.max.checked_add(record::LEN).and_then(schedule::covering);
        let Some(area_len) = area_len.filter(|&len| len <= isize::MAX as usize) else {
            return Err(refused(ErrorKind::OutOfRange));
        };
        let failed = |errno: Errno| errno.of(Op::Map, 0, area_len);
        // SAFETY: (1) open.
        let file = unsafe { sys::backing_again(section.backing, false) }.map_err(failed)?;
        drop(section); // on Windows it would hold the length of the file
        // SAFETY: (1) open, as the section was.
        let area = unsafe { sys::reserve_area(file, area_len.max(kept)) }.map_err(|errno| {
            // SAFETY: (1) ours, and not used again.
            unsafe { sys::close_backing(file) };
            failed(errno)
        })?;
        // SAFETY: (1) it is not used before the file was extended.
        let record = unsafe { Record::at(area.start) };
        let writer = Writer {
            area,
            file,
            end: 0,
            record,
            is_record_flushed: AtomicBool::new(false),
            limit: 0,
            hole_end: len,
            ahead: Ahead::new(self.prefault),
            max: self.max,
            step: self.step.max(UNIT),
        };
        let shared = Shared { start: area.start, len: AtomicUsize::new(len) };
        let mut map = GrowMap { shared, writer, recovered };
        map.begin(file_len as usize)?;
        Ok(map)
    }
}

impl GrowMap {
    /// Maps the file, which is `file_len` bytes long, and has it end with a record.
    fn begin(&mut self, file_len: usize) -> Result<(), Error> {
        let (writer, len) = (&mut self.writer, self.shared.len.load(Ordering::Relaxed));
        let failed = |errno: Errno| errno.of(Op::Map, 0, file_len);
        let end = match self.recovered {
            Some(_) => file_len,
            None => {
                let end = schedule::covering(len + record::LEN).unwrap_or(writer.area.len);
                let page = record::page(end, Recovered { len, flushed_len: len });
                // SAFETY: (1) ours, open for both, and so long.
                unsafe { sys::extend_file(writer.file.file, len as u64, end as u64, &page) }
                    .map_err(|errno| errno.in_step(Op::Resize, Op::Map, len, end - len))?;
                writer.end = end; // what was added is taken away again
                end
            }
        };
        // SAFETY: (1) it is so long.
        unsafe { sys::extend_area(writer.file, &mut writer.area, end) }.map_err(failed)?;
        // On Windows it may have got another place.
        self.shared.start = writer.area.start;
        // SAFETY: (1) it is mapped now.
        writer.record = unsafe { Record::at(writer.area.start) };
        writer.use_record(end);
        writer.limit = writer.room();
        Ok(())
    }
}
