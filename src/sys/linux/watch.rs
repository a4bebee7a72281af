//! Floor 1. Write watch on Linux: which pages were written since one asked last.
//!
//! userfaultfd in its asynchronous mode (Linux 6.7) keeps a bit in every entry of the page table:
//! "not written". The first write clears it, inside the kernel, and nobody is woken. The ioctl
//! PAGEMAP_SCAN of /proc/self/pagemap reads the bits of a range and sets them again, page by page
//! in one step, so no write is lost between the two.
//!
//! ```text
//!   entry of the page table         the quick scan      the exact scan
//!   empty, or no table at all       may be written      -
//!   the zero page, only read        may be written      -
//!   a guard marker                  may be written      -
//!   memory, bit set                 -                   -
//!   memory, bit clear; swapped out  may be written      written
//! ```
//! The kernel has a quick scan that looks at the bit only, and an exact one that takes twice as
//! long where there is memory. The quick one finds candidates, the exact one decides on those
//! alone. No bit is set where there is no memory: that would take a table of entries for every
//! stretch of mere addresses.

use super::super::{CommitPolicy, Errno, GuardKind};
use super::kept_file::KeptFile;
use super::pagemap::{
    Filter, PAGE_IS_GUARD, PAGE_IS_PFNZERO, PAGE_IS_PRESENT, PAGE_IS_SWAPPED, PAGE_IS_WRITTEN,
    Region, ask,
};
use super::pages::{madvise, release, reserve, reserve_at};
use super::process::close;
use super::raw::syscall;
use crate::ds::extents::Extents;
use crate::error::Op;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, Ordering};

/// `struct uffdio_api`.
#[repr(C)]
struct Api {
    version: u64,
    features: u64,
    ioctls: u64,
}

/// `struct uffdio_register`.
#[repr(C)]
struct Register {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

const READ_AND_WRITE: usize = 3 << 30;
/// `_IOWR(0xAA, 0x3F, struct uffdio_api)`.
const UFFDIO_API: usize = READ_AND_WRITE | size_of::<Api>() << 16 | 0xaa << 8 | 0x3f;
/// `_IOWR(0xAA, 0x00, struct uffdio_register)`.
const UFFDIO_REGISTER: usize = READ_AND_WRITE | size_of::<Register>() << 16 | 0xaa << 8;

const UFFD_VERSION: u64 = 0xaa;
/// Faults of the kernel on our behalf need no message: there are none in this mode. So the file may
/// be had without a privilege.
const UFFD_USER_MODE_ONLY: i32 = 1;
const UFFD_FEATURE_WP_UNPOPULATED: u64 = 1 << 13;
const UFFD_FEATURE_WP_ASYNC: u64 = 1 << 15;
const UFFDIO_REGISTER_MODE_WP: u64 = 2;

const PM_SCAN_WP_MATCHING: u64 = 1;
/// Refuse (EPERM) a range that is not watched.
const PM_SCAN_CHECK_WPASYNC: u64 = 2;

/// Exactly what the kernel has its quick way for.
const CANDIDATE: Filter = Filter { inverted: 0, mask: PAGE_IS_WRITTEN, any: 0 };
/// Memory, and not guarded as far as the kernel can tell.
fn written_filter() -> Filter {
    let others = PAGE_IS_PFNZERO | if knows_guards() { PAGE_IS_GUARD } else { 0 };
    let any = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
    Filter { inverted: others, mask: PAGE_IS_WRITTEN | others, any }
}

/// Candidates that one scan can answer with.
const BATCH: usize = 64;
/// Written runs that one scan can answer with, 6 KiB of them: a scan that marks pages costs several
/// microseconds whatever it finds.
const WRITTEN_BATCH: usize = 256;
/// Candidates that are not further apart than this many bytes are decided by one exact scan: the
/// pages between them cost less than a system call.
const NEAR: u64 = 128 * 4096;
/// After as many candidates as one scan can answer with, so many times the distance is scanned
/// exactly, without looking for candidates first.
const DENSE: u64 = 8;

/// Watches all ranges of the process: with one for each reservation there would soon be none left.
static WATCHER: KeptFile = KeptFile::new(open_watcher);

fn open_watcher() -> Result<usize, Errno> {
    let flags = libc::O_CLOEXEC | libc::O_NONBLOCK | UFFD_USER_MODE_ONLY;
    // SAFETY: makes a file and touches no memory.
    let file = unsafe { syscall(libc::SYS_userfaultfd, [flags as usize, 0, 0, 0, 0, 0]) }?;
    let features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED;
    let mut api = Api { version: UFFD_VERSION, features, ioctls: 0 };
    let target = (&raw mut api).expose_provenance();
    // SAFETY: the kernel fills the structure of that request, which lives through the call.
    match unsafe { syscall(libc::SYS_ioctl, [file, UFFDIO_API, target, 0, 0, 0]) } {
        Ok(_) => Ok(file),
        Err(errno) => {
            close(file);
            Err(errno)
        }
    }
}

/// Free -> Reserved, and watched: at `addr`, or if that is 0 anywhere. An error names the step that
/// failed. Calls: those of [`reserve`] or [`reserve_at`], ioctl twice, madvise; the first time in a
/// process also userfaultfd, openat, fcntl and close.
///
/// # Safety
/// 1. As for [`reserve`] and [`reserve_at`].
pub(crate) unsafe fn reserve_watched(
    addr: usize,
    len: usize,
    align: usize,
    policy: CommitPolicy,
) -> Result<NonNull<u8>, (Op, Errno)> {
    let base = if addr == 0 {
        // SAFETY: (1).
        unsafe { reserve(0, len, align, policy) }
    } else {
        // SAFETY: (1).
        unsafe { reserve_at(addr, len, policy) }
    };
    let base = base.map_err(|errno| (Op::Reserve, errno))?;
    // SAFETY: (1) the range reserved above.
    let watched = unsafe { watch_again(base, len) };
    // SAFETY: (1) as above. A page that nobody has touched: this shows whether the kernel can tell.
    let asked = watched.and_then(|()| unsafe { forget_written(base, super::limits().page_len) });
    asked.map(|()| base).map_err(|errno| {
        // SAFETY: (1) as above, known to nobody. The first error is the one to tell.
        let _ = unsafe { release(base, len) };
        (Op::Watch, errno)
    })
}

/// Watches pages that a new mapping was laid over. Calls: ioctl(UFFDIO_REGISTER), madvise.
///
/// # Safety
/// 1. The range lies in one reservation of ours that is to be watched.
pub(crate) unsafe fn watch_again(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    let start = ptr.as_ptr().expose_provenance() as u64;
    let register = |file: usize| {
        let mode = UFFDIO_REGISTER_MODE_WP;
        let mut request = Register { start, len: len as u64, mode, ioctls: 0 };
        let target = (&raw mut request).expose_provenance();
        // SAFETY: (1); the kernel fills the structure of that request, which lives that long.
        unsafe { syscall(libc::SYS_ioctl, [file, UFFDIO_REGISTER, target, 0, 0, 0]) }
    };
    match register(WATCHER.number()?) {
        Err(Errno(libc::EBADF | libc::ENOTTY, _)) => register(WATCHER.reopen()?),
        done => done,
    }?;
    // A huge page is written as a whole. A kernel that has none has nothing to be told.
    // SAFETY: (1); the advice changes no content.
    let _ = unsafe { madvise(ptr, len, libc::MADV_NOHUGEPAGE as usize) };
    Ok(())
}

/// True when the pages of a guard of this kind can be told from written ones.
pub(crate) fn can_watch_guards(kind: GuardKind) -> bool {
    kind == GuardKind::Split || knows_guards()
}

/// Whether a scan can ask for guard markers; tried once. Two threads that come first agree.
fn knows_guards() -> bool {
    const UNKNOWN: u8 = 0;
    const NO: u8 = 1;
    const YES: u8 = 2;
    static KNOWN: AtomicU8 = AtomicU8::new(UNKNOWN);
    match KNOWN.load(Ordering::Relaxed) {
        UNKNOWN => {
            // No pages are asked about, but what is asked for is checked.
            let filter = Filter { inverted: PAGE_IS_GUARD, mask: PAGE_IS_GUARD, any: 0 };
            let known = match ask(&mut (0..0), filter, 0, &mut []) {
                Ok(_) => YES,
                Err(Errno(libc::EINVAL, _)) => NO,
                // Whoever asks for more will be told what is wrong.
                Err(_) => return true,
            };
            KNOWN.store(known, Ordering::Relaxed);
            known == YES
        }
        known => known == YES,
    }
}

/// Adds the pages that were written to `found`, as addresses, and with `take` forgets them.
/// Returns the address where it stopped: the end of the range, or before a written page for which
/// there was no room. Calls: ioctl(PAGEMAP_SCAN), at least one.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn written(
    ptr: NonNull<u8>,
    len: usize,
    take: bool,
    found: &mut Extents<'_>,
) -> Result<usize, Errno> {
    let start = ptr.as_ptr().expose_provenance() as u64;
    let mut rest = start..start + len as u64;
    match scan_all(&mut rest, take, found) {
        // What was taken has to be told. The error comes again when one goes on.
        Err(errno) if found.count() == 0 => Err(errno),
        _ => Ok(rest.start as usize),
    }
}

/// Scans until the end of `rest`, or until there is no more room; what is left stays in `rest`.
fn scan_all(rest: &mut Range<u64>, take: bool, found: &mut Extents<'_>) -> Result<(), Errno> {
    let mut candidates = [Region::default(); BATCH];
    while !rest.is_empty() {
        let mut seen = rest.clone();
        let count = ask(&mut seen, CANDIDATE, PM_SCAN_CHECK_WPASYNC, &mut candidates)?;
        if count == BATCH {
            // Many: looking twice does not pay. As dense as here, it will be for a while.
            let mut run =
                rest.start..(seen.start + DENSE * (seen.start - rest.start)).min(rest.end);
            decide(&mut run, take, found)?;
            rest.start = run.start;
            if run.is_empty() {
                continue;
            }
            return Ok(());
        }
        let mut candidates = candidates[..count].iter().map(|found| found.start..found.end);
        let mut run = candidates.next();
        while let Some(mut joined) = run {
            run = candidates.next();
            while let Some(near) = run.take_if(|next| next.start - joined.end <= NEAR) {
                joined.end = near.end;
                run = candidates.next();
            }
            decide(&mut joined, take, found)?;
            rest.start = joined.start;
            if !joined.is_empty() {
                return Ok(());
            }
        }
        rest.start = seen.start;
    }
    Ok(())
}

/// Scans a run of candidates exactly. What is left of it, for want of room, stays in `run`.
fn decide(run: &mut Range<u64>, take: bool, found: &mut Extents<'_>) -> Result<(), Errno> {
    let flags = PM_SCAN_CHECK_WPASYNC | if take { PM_SCAN_WP_MATCHING } else { 0 };
    let mut written = [Region::default(); WRITTEN_BATCH];
    let filter = written_filter();
    // What there is no room for must not be taken.
    while !run.is_empty() && found.room() > 0 {
        let room = found.room().min(WRITTEN_BATCH);
        let count = ask(run, filter, flags, &mut written[..room])?;
        for region in &written[..count] {
            let is_told = found.push(region.start as usize..region.end as usize);
            debug_assert!(is_told, "no more was asked for than there is room for");
        }
    }
    Ok(())
}

/// Forgets all writes to a range. Call: ioctl(PAGEMAP_SCAN); where the range has lost its watch,
/// because the program closed our file or this is the child of a fork, first those of
/// [`watch_again`].
///
/// # Safety
/// 1. The range lies in one reservation of ours that is to be watched.
pub(crate) unsafe fn forget_written(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    let start = ptr.as_ptr().expose_provenance() as u64;
    let range = start..start + len as u64;
    match mark_written(range.clone()) {
        Err(Errno(libc::EPERM, _)) => {
            // SAFETY: (1).
            unsafe { watch_again(ptr, len) }?;
            mark_written(range)
        }
        done => done,
    }
}

/// Sets the bit for the written pages of a range.
fn mark_written(mut range: Range<u64>) -> Result<(), Errno> {
    let mut marked = [Region::default(); WRITTEN_BATCH];
    let (filter, flags) = (written_filter(), PM_SCAN_CHECK_WPASYNC | PM_SCAN_WP_MATCHING);
    while !range.is_empty() {
        ask(&mut range, filter, flags, &mut marked)?;
    }
    Ok(())
}
