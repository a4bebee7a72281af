//! Floor 1. The same memory twice, side by side, on macOS and FreeBSD: shared memory whose name is
//! taken away at once, mapped two times over a range that is ours.

use super::super::{CommitPolicy, Errno};
use super::call::checked;
use super::info::limits;
use super::pages::{release, reserve};
use crate::error::{Call, Op};
use core::ffi::{c_char, c_int, c_void};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

/// Names that may be taken by others before we give up.
const ATTEMPTS: usize = 64;
/// What every name begins with; the number of the process and a count follow.
const PREFIX: &[u8] = b"/granule-";
/// Room for the prefix, two numbers of 8 digits, a dash and the closing zero. macOS allows 31.
const NAME_LEN: usize = PREFIX.len() + 18;
/// `VM_INHERIT_NONE` of macOS, `INHERIT_NONE` of FreeBSD: the child of a fork has nothing there.
const INHERIT_NONE: c_int = 2;

/// `2 * len` bytes of addresses whose second half is the same memory as the first, reading zero.
/// These systems take memory at first touch, whatever is asked. The child of a fork does not get
/// the range. An error names the step that failed.
///
/// Calls: shm_open, shm_unlink, ftruncate, mmap three times (munmap to trim), minherit, close.
///
/// `len` is a multiple of the granularity, not 0, and twice of it fits an address.
pub(crate) fn mirror(len: usize) -> Result<NonNull<u8>, (Op, Errno)> {
    let file = memory_file(len).map_err(|errno| (Op::Mirror, errno))?;
    let made = map_twice(file, len);
    close(file);
    made
}

/// Gives a mirror back. Call: munmap.
///
/// # Safety
/// 1. `ptr` was made by [`mirror`] of `len` bytes in this generation of the process, and nobody
///    uses it any more.
pub(crate) unsafe fn unmirror(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1) the whole range, both views.
    unsafe { release(ptr, 2 * len) }
}

/// Shared memory of `len` bytes, without a name.
pub(super) fn memory_file(len: usize) -> Result<c_int, Errno> {
    let file = nameless_file()?;
    let Ok(file_len) = libc::off_t::try_from(len) else {
        close(file);
        return Err(Errno(libc::EFBIG, Call::None));
    };
    // SAFETY: a file of ours.
    let call = || unsafe { libc::ftruncate(file, file_len) };
    let sized = checked(Call::Ftruncate, [0, len], || (call() == 0).then_some(()));
    sized.map(|()| file).inspect_err(|_| close(file))
}

/// Opens a name that nobody has, and takes the name away.
fn nameless_file() -> Result<c_int, Errno> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mut last = Errno(libc::EEXIST, Call::ShmOpen);
    for _ in 0..ATTEMPTS {
        let name = name_of(super::generation(), COUNT.fetch_add(1, Ordering::Relaxed));
        let name = name.as_ptr().cast::<c_char>();
        // SAFETY: (1) the name ends with a zero and lives that long.
        let open = || unsafe { open_new(name) };
        let opened = checked(Call::ShmOpen, [0, 0], || Some(open()).filter(|&file| file >= 0));
        let file = match opened {
            Err(errno) if errno.0 == libc::EEXIST => {
                last = errno;
                continue;
            }
            opened => opened?,
        };
        #[cfg(test)]
        super::super::inject::opened(file as usize);
        // SAFETY: the name made above.
        let unlink = || unsafe { libc::shm_unlink(name) };
        let unlinked = checked(Call::ShmUnlink, [0, 0], || (unlink() == 0).then_some(()));
        return unlinked.map(|()| file).inspect_err(|_| close(file));
    }
    Err(last)
}

/// Shared memory for this user alone, closed by exec as all of it is.
///
/// # Safety
/// 1. The name ends with a zero.
unsafe fn open_new(name: *const c_char) -> c_int {
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
    let mode = libc::S_IRUSR | libc::S_IWUSR;
    // A number that C's rules for open argument lists widen.
    #[cfg(target_os = "macos")]
    let mode = c_int::from(mode);
    // SAFETY: (1).
    unsafe { libc::shm_open(name, flags, mode) }
}

/// `/granule-PPPPPPPP-CCCCCCCC`, both numbers in hexadecimal, and a zero.
fn name_of(process: u32, count: u32) -> [u8; NAME_LEN] {
    let mut name = [0; NAME_LEN];
    name[..PREFIX.len()].copy_from_slice(PREFIX);
    let digit =
        |number: u32, place: usize| b"0123456789abcdef"[(number >> (4 * place)) as usize & 15];
    for place in 0..8 {
        name[PREFIX.len() + 7 - place] = digit(process, place);
        name[PREFIX.len() + 16 - place] = digit(count, place);
    }
    name[PREFIX.len() + 8] = b'-';
    name
}

/// Reserves the range and lays both views over it, so that no other thread can get in between.
fn map_twice(file: c_int, len: usize) -> Result<NonNull<u8>, (Op, Errno)> {
    // SAFETY: (1) not zero, whole pages; the granularity is a power of two.
    let base = unsafe { reserve(0, 2 * len, limits().granularity, CommitPolicy::Lazy) }
        .map_err(|errno| (Op::Reserve, errno))?;
    // SAFETY: both views lie in the range reserved above.
    let views = [base, unsafe { base.add(len) }];
    // SAFETY: (1) the range reserved above, which nobody knows.
    let done = views.into_iter().try_for_each(|view| unsafe { map_view(file, view, len) });
    let start = base.as_ptr().cast::<c_void>();
    // SAFETY: the range reserved above; this changes nothing for this process.
    let keep = || unsafe { minherit(start, 2 * len, INHERIT_NONE) };
    let kept =
        || checked(Call::Other, [base.addr().get(), 2 * len], || (keep() == 0).then_some(()));
    done.and_then(|()| kept()).map(|()| base).map_err(|errno| {
        // SAFETY: (1) the range reserved above, known to nobody. The first error is the one to
        // tell.
        let _ = unsafe { release(base, 2 * len) };
        (Op::Mirror, errno)
    })
}

/// # Safety
/// 1. `view..view + len` is the caller's, and nobody uses what is there.
unsafe fn map_view(file: c_int, view: NonNull<u8>, len: usize) -> Result<(), Errno> {
    let (rights, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED);
    // SAFETY: (1).
    let call = || unsafe { libc::mmap(view.as_ptr().cast(), len, rights, flags, file, 0) };
    let mapped = || (call() != libc::MAP_FAILED).then_some(());
    checked(Call::Mmap, [view.addr().get(), len], mapped)?;
    #[cfg(test)]
    super::super::inject::mapped(view.addr().get(), len);
    Ok(())
}

pub(super) fn close(file: c_int) {
    // SAFETY: opened by us and not used again. Its error says nothing we could act on.
    let call = || unsafe { libc::close(file) };
    let _ = checked(Call::Close, [file as usize, 0], || (call() == 0).then_some(()));
    #[cfg(test)]
    super::super::inject::closed(file as usize);
}

unsafe extern "C" {
    /// How the child of a fork gets a range.
    fn minherit(addr: *mut c_void, len: usize, inherit: c_int) -> c_int;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_end() {
        assert_eq!(&name_of(0x12ab, u32::MAX), b"/granule-000012ab-ffffffff\0");
    }
}
