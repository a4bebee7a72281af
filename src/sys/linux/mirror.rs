//! Floor 1. The same memory twice, side by side, on Linux: a memory file, mapped two times over a
//! range that is ours.

use super::super::{CommitPolicy, Errno};
use super::info::limits;
use super::pages::{decommit, release, reserve};
use super::process::{close, memory_and_swap_len};
use super::raw::syscall;
use crate::error::{Call, Op};
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// `2 * len` bytes of addresses whose second half is the same memory as the first, reading zero.
/// All of the memory is taken now: a page that the system could not give later would be a SIGBUS.
/// The child of a fork does not get the range. An error names the step that failed.
///
/// Calls: prlimit64, sysinfo, memfd_create, fallocate, mmap three times (munmap to trim), madvise,
/// close.
///
/// `len` is a multiple of the granularity, not 0, and twice of it fits an address.
pub(crate) fn mirror(len: usize) -> Result<NonNull<u8>, (Op, Errno)> {
    let file = memory_file(len).map_err(|errno| (Op::Mirror, errno))?;
    let made = map_twice(file, len);
    close(file);
    made
}

/// Gives a mirror back. Call: munmap; where it is refused the addresses stay taken, and mmap over
/// them gives the memory back at least.
///
/// # Safety
/// 1. `ptr` was made by [`mirror`] of `len` bytes in this generation of the process, and nobody
///    uses it any more.
pub(crate) unsafe fn unmirror(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1) the whole range, both views.
    let released = unsafe { release(ptr, 2 * len) };
    if released.is_err() {
        // SAFETY: (1) as above. If this is refused too, nothing is left to try.
        let _ = unsafe { decommit(ptr, 2 * len, CommitPolicy::Lazy) };
    }
    released
}

/// A file of `len` bytes of memory that has no name in any folder.
fn memory_file(len: usize) -> Result<usize, Errno> {
    // Growing a file beyond `ulimit -f` kills by a signal, and asking for more memory than there is
    // ends in the out-of-memory killer. Both are errors here.
    if len as u64 > file_len_max() {
        return Err(Errno(libc::EFBIG, Call::None));
    }
    if len > memory_and_swap_len() {
        return Err(Errno(libc::ENOMEM, Call::None));
    }
    let name = c"granule-ring".as_ptr().addr();
    let args = [name, libc::MFD_CLOEXEC as usize, 0, 0, 0, 0];
    // SAFETY: the name is NUL-terminated and lives for ever.
    let file = unsafe { syscall(libc::SYS_memfd_create, args) }?;
    loop {
        // SAFETY: a file that is ours alone.
        match unsafe { syscall(libc::SYS_fallocate, [file, 0, 0, len, 0, 0]) } {
            Ok(_) => return Ok(file),
            // A signal came in between; the kernel has given back what it had taken.
            Err(Errno(libc::EINTR, _)) => {}
            Err(errno) => {
                close(file);
                return Err(errno);
            }
        }
    }
}

/// The soft limit of `ulimit -f`, in bytes.
pub(super) fn file_len_max() -> u64 {
    let mut limit = MaybeUninit::<libc::rlimit64>::zeroed();
    let target = limit.as_mut_ptr().expose_provenance();
    let args = [0, libc::RLIMIT_FSIZE as usize, 0, target, 0, 0];
    // SAFETY: asks about this process; the kernel fills the struct, which lives through the call.
    if unsafe { syscall(libc::SYS_prlimit64, args) }.is_err() {
        return u64::MAX;
    }
    // SAFETY: zeroed and filled; its fields are numbers.
    unsafe { limit.assume_init() }.rlim_cur
}

/// Reserves the range and lays both views over it, so that no other thread can get in between.
///
/// A view that is refused leaves the reservation as it was: what the kernel refuses a shared file
/// mapping for, its limits, it looks at before it takes the old pages away.
fn map_twice(file: usize, len: usize) -> Result<NonNull<u8>, (Op, Errno)> {
    // SAFETY: (1) not zero, whole pages; the granularity is a power of two.
    let base = unsafe { reserve(0, 2 * len, limits().granularity, CommitPolicy::Lazy) }
        .map_err(|errno| (Op::Reserve, errno))?;
    let addr = base.as_ptr().expose_provenance();
    // SAFETY: both views lie in the range reserved above, which nobody knows.
    let views = [addr, addr + len].map(|view| unsafe { map_view(file, view, len) });
    let advice = [addr, 2 * len, libc::MADV_DONTFORK as usize, 0, 0, 0];
    let done = views.into_iter().collect::<Result<(), Errno>>();
    // SAFETY: the range reserved above; the advice changes nothing for this process.
    let done = done.and_then(|()| unsafe { syscall(libc::SYS_madvise, advice) });
    match done {
        Ok(_) => Ok(base),
        Err(errno) => {
            // SAFETY: (1) the range reserved above, known to nobody. The first error is the one to
            // tell.
            let _ = unsafe { release(base, 2 * len) };
            Err((Op::Mirror, errno))
        }
    }
}

/// # Safety
/// 1. `addr..addr + len` is the caller's, and nobody uses what is there.
unsafe fn map_view(file: usize, addr: usize, len: usize) -> Result<(), Errno> {
    let rights = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags = (libc::MAP_SHARED | libc::MAP_FIXED) as usize;
    // SAFETY: (1).
    unsafe { syscall(libc::SYS_mmap, [addr, len, rights, flags, file, 0]) }.map(drop)
}
