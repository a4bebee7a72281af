//! Floor 1. The process on Linux: small files, the environment, identities, the last words.

use super::super::Errno;
use super::raw::syscall;
use core::ffi::CStr;
#[cfg(target_arch = "x86_64")]
use core::sync::atomic::{AtomicUsize, Ordering};

/// Reads the start of a file into `buffer`. `None` if it cannot be opened or read.
pub(crate) fn read_file<'a>(path: &CStr, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let file = open_read(path).ok()?;
    let count = read(file, buffer);
    close(file);
    count.ok().map(|count| &buffer[..count])
}

/// The number of lines of a file, however long it is. `None` if it cannot be read to its end.
pub(super) fn count_lines(path: &CStr) -> Option<usize> {
    let file = open_read(path).ok()?;
    let mut block = [0u8; 4096];
    let mut lines = 0;
    let count = loop {
        match read(file, &mut block) {
            Ok(0) => break Some(lines),
            Ok(count) => lines += block[..count].iter().filter(|&&byte| byte == b'\n').count(),
            Err(Errno(libc::EINTR, _)) => {}
            Err(_) => break None,
        }
    };
    close(file);
    count
}

pub(super) fn open_read(path: &CStr) -> Result<usize, Errno> {
    let flags = (libc::O_RDONLY | libc::O_CLOEXEC) as usize;
    let at = libc::AT_FDCWD as usize;
    // SAFETY: the path is NUL-terminated and outlives the call.
    unsafe { syscall(libc::SYS_openat, [at, path.as_ptr().addr(), flags, 0, 0, 0]) }
}

pub(super) fn read(file: usize, buffer: &mut [u8]) -> Result<usize, Errno> {
    let target = buffer.as_mut_ptr().expose_provenance();
    // SAFETY: the kernel writes at most `buffer.len()` bytes into a buffer we own.
    unsafe { syscall(libc::SYS_read, [file, target, buffer.len(), 0, 0, 0]) }
}

pub(crate) fn close(file: usize) {
    // SAFETY: the descriptor was opened by us and is not used again. Its error says nothing we
    // could act on.
    let _ = unsafe { syscall(libc::SYS_close, [file, 0, 0, 0, 0, 0]) };
}

/// Copies the value of an environment variable, as the program was started with it, into `buffer`
/// and returns its length; `None` if it is not set or does not fit.
///
/// Reads /proc/self/environ and not `environ`: the first `malloc` can come before the C library has
/// set the latter, and another thread may be changing it.
pub(crate) fn env(name: &[u8], buffer: &mut [u8]) -> Option<usize> {
    let file = open_read(c"/proc/self/environ").ok()?;
    let found = find_variable(file, name, buffer);
    close(file);
    found
}

/// True when the variable `name` has exactly the value `value`.
pub(crate) fn env_is(name: &[u8], value: &[u8]) -> bool {
    let mut buffer = [0u8; 64];
    env(name, &mut buffer).is_some_and(|len| &buffer[..len] == value)
}

/// Streams NUL-terminated `NAME=value` records; a long environment needs no long buffer.
fn find_variable(file: usize, name: &[u8], value: &mut [u8]) -> Option<usize> {
    let mut block = [0u8; 4096];
    let mut position = 0; // in the current record
    let mut matching = true; // the record still spells `name=`
    loop {
        let count = read(file, &mut block).ok().filter(|&count| count > 0)?;
        for &byte in &block[..count] {
            if byte == 0 {
                if matching && position > name.len() {
                    return Some(position - name.len() - 1);
                }
                (position, matching) = (0, true);
                continue;
            }
            if matching && position > name.len() {
                *value.get_mut(position - name.len() - 1)? = byte;
            } else if matching {
                let wanted = if position == name.len() { b'=' } else { name[position] };
                matching = byte == wanted;
            }
            position += 1;
        }
    }
}

/// The kernel's number of the calling thread.
pub(crate) fn thread_id() -> u32 {
    // SAFETY: takes no argument and touches nothing.
    unsafe { syscall(libc::SYS_gettid, [0; 6]) }.map_or(0, |id| id as u32)
}

/// The calling thread's number without a system call, where that is possible: for books that are
/// written at every allocation.
///
/// glibc keeps the number in the thread's control block and keeps it right across fork. Where in
/// the block is no part of its interface, so it is looked for once, and if it is not found the
/// kernel is asked every time. In the child of a vfork or of a bare clone the answer may be the
/// parent's.
#[cfg(target_arch = "x86_64")]
pub(crate) fn thread_id_quick() -> u32 {
    const UNKNOWN: usize = 0;
    const NOWHERE: usize = usize::MAX;
    static PLACE: AtomicUsize = AtomicUsize::new(UNKNOWN);
    match PLACE.load(Ordering::Relaxed) {
        UNKNOWN => {
            let id = thread_id();
            let found = (FIRST_WORD..LAST_WORD).find(|&place| control_word(place) == id);
            PLACE.store(found.unwrap_or(NOWHERE), Ordering::Relaxed);
            id
        }
        NOWHERE => thread_id(),
        place => control_word(place),
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn thread_id_quick() -> u32 {
    thread_id()
}

/// The words of a control block that may hold the number, counted in four bytes: behind the part
/// that the ABI fixes, inside the smallest block that a glibc has had.
#[cfg(target_arch = "x86_64")]
const FIRST_WORD: usize = 16;
#[cfg(target_arch = "x86_64")]
const LAST_WORD: usize = 256;

/// A word of the calling thread's control block.
#[cfg(target_arch = "x86_64")]
fn control_word(place: usize) -> u32 {
    let word: u32;
    // SAFETY: fs points to the control block of the thread, which is longer than LAST_WORD words.
    unsafe {
        core::arch::asm!(
            "mov {word:e}, dword ptr fs:[{place} * 4]",
            word = out(reg) word, place = in(reg) place,
            options(nostack, readonly, preserves_flags)
        );
    }
    word
}

/// The number of the process.
pub(crate) fn process_id() -> u32 {
    // SAFETY: takes no argument and touches nothing.
    unsafe { syscall(libc::SYS_getpid, [0; 6]) }.map_or(0, |id| id as u32)
}

/// Bytes of memory and swap in the machine; the largest number if the kernel does not say.
pub(crate) fn memory_and_swap_len() -> usize {
    let Ok(info) = system() else { return usize::MAX };
    let units = (info.totalram as usize).saturating_add(info.totalswap as usize);
    units.saturating_mul(info.mem_unit as usize)
}

/// Bytes of memory in the machine. Call: sysinfo.
pub(crate) fn memory_len() -> Result<usize, Errno> {
    system().map(|info| (info.totalram as usize).saturating_mul(info.mem_unit as usize))
}

fn system() -> Result<libc::sysinfo, Errno> {
    let mut info = core::mem::MaybeUninit::<libc::sysinfo>::zeroed();
    let target = info.as_mut_ptr().expose_provenance();
    // SAFETY: the kernel fills the struct, which lives through the call.
    unsafe { syscall(libc::SYS_sysinfo, [target, 0, 0, 0, 0, 0]) }?;
    // SAFETY: zeroed and filled; all its fields are numbers.
    Ok(unsafe { info.assume_init() })
}

/// Lets another thread run.
pub(crate) fn yield_now() {
    // SAFETY: takes no argument and touches nothing. It cannot fail.
    let _ = unsafe { syscall(libc::SYS_sched_yield, [0; 6]) };
}

/// Writes to standard error, all of it or until the first error: there is no one left to tell.
pub(crate) fn write_error(mut text: &[u8]) {
    while !text.is_empty() {
        let source = text.as_ptr().addr();
        // SAFETY: the kernel reads `text.len()` bytes from a slice we hold.
        match unsafe { syscall(libc::SYS_write, [2, source, text.len(), 0, 0, 0]) } {
            Ok(0) => return,
            Ok(count) => text = &text[count.min(text.len())..],
            Err(Errno(libc::EINTR, _)) => {}
            Err(_) => return,
        }
    }
}

/// Ends the process at once, with `status`.
pub(crate) fn exit_now(status: i32) -> ! {
    loop {
        // SAFETY: ends every thread of the process; nothing runs after it.
        let _ = unsafe { syscall(libc::SYS_exit_group, [status as usize, 0, 0, 0, 0, 0]) };
    }
}

/// True if the process has one thread. Call: newfstatat of its task directory, one entry a thread.
pub(crate) fn is_single_threaded() -> bool {
    let mut status = core::mem::MaybeUninit::<libc::stat>::zeroed();
    let target = status.as_mut_ptr().expose_provenance();
    let path = c"/proc/self/task".as_ptr().addr();
    let args = [libc::AT_FDCWD as usize, path, target, 0, 0, 0];
    // SAFETY: the path is NUL-terminated, the kernel fills the struct, both live through the call.
    if unsafe { syscall(libc::SYS_newfstatat, args) }.is_err() {
        return false;
    }
    // SAFETY: zeroed and filled; all its fields are numbers.
    let status = unsafe { status.assume_init() };
    status.st_nlink == 2 + 1
}

/// True if a thread of this process has the number `id`.
pub(crate) fn is_thread(id: u32) -> bool {
    let args = [process_id() as usize, id as usize, 0, 0, 0, 0];
    // SAFETY: signal 0 is sent to nobody; only the answer counts.
    unsafe { syscall(libc::SYS_tgkill, args) }.is_ok()
}

/// Calls `function` when the process exits in order. Call: atexit.
pub(crate) fn call_at_exit(function: extern "C" fn()) {
    // SAFETY: the function lives as long as the program, and takes and returns nothing. If the C
    // library has no room for it, it is not called.
    let _ = unsafe { libc::atexit(function) };
}

/// Ends the process by SIGABRT, whatever it does with that signal. Calls: rt_sigaction, tgkill.
pub(crate) fn abort() -> ! {
    super::die_by(super::ABORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_number_is_the_kernels_in_every_thread() {
        let both = || (0..3).map(|_| (thread_id(), thread_id_quick())).collect::<Vec<_>>();
        let mut threads = vec![both()];
        threads.extend((0..4).map(|_| std::thread::spawn(both).join().expect("no panic")));
        for (asked, read) in threads.into_iter().flatten() {
            assert_eq!(asked, read);
        }
    }
}
