//! Floor 4, uses floors 0 to 3. The pages of a file that is going to be rewritten, brought in
//! before the first touch, in the way that is cheapest for this file.

mod rule;
#[cfg(all(test, feature = "std"))]
mod tests;

use crate::error::{Error, Op};
use crate::sys::{self, Access, Errno};
use core::ptr::NonNull;
use rule::{Found, PIECE, Step};
pub(super) use rule::{LOOK_MIN, RUN_MIN};

/// Whether pages of a file are brought into memory before they are written.
///
/// ```
/// use granule::section::{prefault, Prefault, Section};
/// let memory = Section::anonymous(1 << 20)?;
/// // SAFETY: (1) to (3): nobody else knows this memory.
/// let mut view = unsafe { memory.view_mut(0..1 << 20) }?;
/// prefault(&mut view, Prefault::default())?;
/// view.fill(7); // on Linux without a fault
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Prefault {
    /// In the way that is cheapest for this file: see [`prefault`]. Nothing where the system cannot
    /// do it, and for more bytes than half of the memory.
    #[default]
    Auto,
    /// All of them, ready to be written, by one call.
    Always,
    /// None: each comes when it is touched.
    Never,
}

/// Brings the pages of a mapped file into memory that is going to be rewritten as a whole: the
/// first stores to it, or loads, are cheaper then. The content stays. Pages of which the slice has
/// a part only are left alone.
///
/// How much it saves depends on how many pages a fault brings, and that on the pieces in which the
/// cache keeps this file, not on the file system's name. [`Prefault::Auto`] finds it out: it
/// touches the first page of each 2 MiB and looks how many pages have come with it. If those are 64
/// KiB or more, it touches once for each such run; else it has the system bring in the rest page by
/// page. Whether a touch for reading is enough (tmpfs) or it has to be one for writing it tries out
/// on the first 64 KiB. So it is never much slower than the stores alone, and where a program
/// loads before it stores, which costs a fault for each page of most files, several times as fast.
///
/// All these pages count as written from then on: the system writes them to the disk some time
/// later, and holes get a place.
///
/// Linux: madvise(MADV_POPULATE_READ and MADV_POPULATE_WRITE, 5.14), and for `Auto` sysinfo,
/// getrusage, ioctl(PAGEMAP_SCAN, 6.7); where it does not tell `Auto` is `Always`. Elsewhere `Auto`
/// is `Never`, and `Always` touches the pages.
///
/// # Errors
/// - `Other`, `NoMemory`: a page could not be read, or found no place on the disk.
pub fn prefault(bytes: &mut [u8], how: Prefault) -> Result<(), Error> {
    let Some((start, len)) = whole_pages(bytes) else { return Ok(()) };
    let done = match how {
        Prefault::Never => Ok(()),
        // SAFETY: (1) whole pages of a slice that may be written.
        Prefault::Always => unsafe { sys::populate(start, len, Access::Write) },
        Prefault::Auto if !is_worth(len) => Ok(()),
        // SAFETY: (1) as above.
        Prefault::Auto => unsafe { Pager::new().bring_in(start, len) }.map(drop),
    };
    done.map_err(|errno| errno.of(Op::Populate, start.addr().get(), len))
}

fn is_worth(len: usize) -> bool {
    sys::CAN_POPULATE
        && (len < PIECE
            || sys::memory_len().is_ok_and(|memory_len| rule::is_worth(len, memory_len)))
}

/// The pages that lie in `bytes` as a whole; `None` without one.
fn whole_pages(bytes: &mut [u8]) -> Option<(NonNull<u8>, usize)> {
    let page_len = sys::limits().page_len;
    let lead = bytes.as_ptr().addr().wrapping_neg() % page_len;
    let inside = bytes.get_mut(lead..)?;
    let len = inside.len() - inside.len() % page_len;
    (len > 0).then(|| (NonNull::from(inside).cast(), len))
}

/// What is known about how pages of a file come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pager {
    /// The touch that makes pages ready to be written. `None`: not tried out yet.
    access: Option<Access>,
}

impl Pager {
    pub(super) const fn new() -> Self {
        Pager { access: None }
    }

    /// The touch that makes pages ready to be written, if it was tried out.
    pub(super) const fn access(&self) -> Option<Access> {
        self.access
    }

    /// Makes pages ready to be written. Tells how many bytes a touch has brought where there were
    /// so many, at least; 0 if nobody looked.
    ///
    /// # Safety
    /// 1. `start..start + len` are whole pages that are mapped and may be written.
    pub(super) unsafe fn bring_in(
        &mut self,
        start: NonNull<u8>,
        len: usize,
    ) -> Result<usize, Errno> {
        if len < LOOK_MIN {
            // SAFETY: (1).
            return unsafe { sys::populate(start, len, Access::Write) }.map(|()| 0);
        }
        // Neighbours come by aligned runs.
        let lead = start.addr().get().wrapping_neg() % RUN_MIN;
        let trial_len = if lead == 0 { RUN_MIN } else { lead };
        // SAFETY: (1) a part of it, as so many are not few.
        let mut done = match unsafe { sys::first_mapped(start, trial_len) } {
            // SAFETY: (1). The system does not tell.
            Err(_) => return unsafe { sys::populate(start, len, Access::Write) }.map(|()| 0),
            Ok(None) if self.access.is_none() => {
                // SAFETY: (1) as above.
                unsafe { self.try_out(start, trial_len) }?;
                trial_len
            }
            Ok(_) if lead == 0 => 0,
            Ok(_) => {
                let access = self.access.unwrap_or(Access::Write);
                // SAFETY: (1) as above.
                unsafe { sys::populate(start, lead, access) }?;
                lead
            }
        };
        let mut least = PIECE;
        while done < len {
            // SAFETY: inside the range.
            let piece = unsafe { start.add(done) };
            let piece_len = (PIECE - piece.addr().get() % PIECE).min(len - done);
            // SAFETY: (1) a part of it.
            least = least.min(unsafe { self.bring_in_piece(piece, piece_len) }?);
            done += piece_len;
        }
        Ok(least)
    }

    /// Finds out which touch is needed: a store to what was brought in for reading faults, or does
    /// not. The pages are ready then.
    ///
    /// # Safety
    /// 1. As for [`bring_in`](Self::bring_in). None of them was touched before.
    unsafe fn try_out(&mut self, start: NonNull<u8>, len: usize) -> Result<(), Errno> {
        let page_len = sys::limits().page_len;
        // SAFETY: (1) the first page.
        unsafe { sys::populate(start, page_len, Access::Read) }?;
        let before = sys::fault_count();
        // SAFETY: (1) as above.
        unsafe { sys::populate(start, page_len, Access::Write) }?;
        let is_ready = matches!((before, sys::fault_count()), (Ok(one), Ok(two)) if one == two);
        self.access = Some(if is_ready { Access::Read } else { Access::Write });
        // Those that came for reading have to be made ready one by one.
        // SAFETY: (1).
        unsafe { sys::populate(start, len, Access::Write) }
    }

    /// The same for one piece.
    ///
    /// # Safety
    /// 1. As for [`bring_in`](Self::bring_in).
    unsafe fn bring_in_piece(&self, start: NonNull<u8>, len: usize) -> Result<usize, Errno> {
        // SAFETY: (1).
        let found = unsafe { self.touch(start, len) }?;
        let run_len = found.map_or(0, |found| found.run);
        let ready = match found.map_or(Step::All, |found| rule::step(len, found)) {
            Step::Nothing => len,
            Step::All => 0,
            Step::Each(stride) => {
                for place in (stride..len).step_by(stride) {
                    // SAFETY: (1) a page of it.
                    unsafe { self.touch_at(start, place) }?;
                }
                // Other runs can be shorter.
                // SAFETY: (1).
                unsafe { run(start, len) }.unwrap_or(0)
            }
        };
        if ready == len {
            return Ok(if run_len < len { run_len } else { PIECE });
        }
        // SAFETY: inside the piece.
        let rest = unsafe { start.add(ready) };
        // SAFETY: (1) a part of it.
        unsafe { sys::populate(rest, len - ready, Access::Write) }.map(|()| run_len)
    }

    /// Touches the first page. `None`: the system does not tell what that has brought.
    ///
    /// # Safety
    /// 1. As for [`bring_in`](Self::bring_in).
    unsafe fn touch(&self, start: NonNull<u8>, len: usize) -> Result<Option<Found>, Errno> {
        // SAFETY: (1).
        let before = unsafe { sys::first_mapped(start, len) };
        let faults_before = sys::fault_count();
        // SAFETY: (1) a page of it.
        unsafe { self.touch_at(start, 0) }?;
        let faults = sys::fault_count();
        // SAFETY: (1).
        let run = unsafe { run(start, len) };
        Ok(match (before, faults_before, faults, run) {
            (Ok(before), Ok(faults_before), Ok(faults), Ok(run)) => Some(Found {
                run,
                was_mapped: before.is_some(),
                has_faulted: faults != faults_before,
            }),
            _ => None,
        })
    }

    /// Touches a page, as it was found to be needed.
    ///
    /// # Safety
    /// 1. As for [`bring_in`](Self::bring_in), and `place` is the beginning of a page of it.
    unsafe fn touch_at(&self, start: NonNull<u8>, place: usize) -> Result<(), Errno> {
        // SAFETY: inside the range.
        let page = unsafe { start.add(place) };
        let access = self.access.unwrap_or(Access::Write);
        // SAFETY: (1) a page of it.
        unsafe { sys::populate(page, sys::limits().page_len, access) }
    }
}

/// Bytes from `start` on that are mapped.
///
/// # Safety
/// 1. `start..start + len` are whole pages that are mapped.
unsafe fn run(start: NonNull<u8>, len: usize) -> Result<usize, Errno> {
    // SAFETY: (1).
    let first = unsafe { sys::first_mapped(start, len) }?;
    Ok(first.map_or(0, |first| if first.start == 0 { first.end } else { 0 }))
}
