//! Floor 1. Memory with a name on Linux: a file in /dev/shm, as `shm_open` makes them.
//!
//! The file has the user's bytes and nothing else. What is known of it besides lies in the kernel:
//! - the sticky bit, which means nothing for a file, says that it was made here;
//! - whoever uses it holds a shared lock on the byte [`USED`], far behind all bytes of files;
//! - its creator holds one on a byte whose place spells the number and the start of the process;
//! - a seat is an exclusive lock on a byte of its own.
//!
//! They are locks of open files (F_OFD_SETLK): the kernel drops them when the last copy of the file
//! number is closed, and so when the process dies. A file with the mark that nobody uses is stale.

use super::super::Errno;
use super::super::section::Backing;
use super::super::shared::{CLAIMS, Named, Process};
use super::folder::visit_files;
use super::process::{close, memory_and_swap_len, process_id, read_file};
use super::raw::syscall;
use super::section::{allocate_len, status};
use crate::ds::share_name::{LEN_MAX, ShareName};
use crate::error::Call;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use core::sync::atomic::AtomicU32;

const FOLDER: &[u8] = b"/dev/shm/";

/// The byte that users of a file lock.
const USED: u64 = 1 << 61;
/// From here on lies the byte that its creator locks.
const CREATOR: u64 = 1 << 62;
/// Bits of the start of a process: 174 years in hundredths of a second.
const STARTED_BITS: u32 = 39;
/// From here on lie the bytes of the seats.
const SEATS: u64 = USED - CLAIMS;

/// More changes of hands than a name sees while it is opened once.
const TRIES: usize = 1000;

/// A text that ends with NUL.
struct Path([u8; FOLDER.len() + LEN_MAX + 1]);

impl Path {
    fn of(name: &ShareName) -> Self {
        Self::join(FOLDER, name.as_str().as_bytes())
    }

    /// Another name of an open file.
    fn of_number(mut number: usize) -> Self {
        let mut digits = [0u8; 20];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return Self::join(b"/proc/self/fd/", &digits[first..]);
            }
        }
    }

    fn join(folder: &[u8], name: &[u8]) -> Self {
        let mut text = [0; FOLDER.len() + LEN_MAX + 1];
        let used = folder.iter().chain(name);
        text.iter_mut().zip(used).for_each(|(place, &byte)| *place = byte);
        Path(text)
    }

    fn addr(&self) -> usize {
        self.0.as_ptr().addr()
    }
}

fn open(path: &Path, flags: i32, mode: u32) -> Result<usize, Errno> {
    let flags = flags | libc::O_RDWR | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    let args = [libc::AT_FDCWD as usize, path.addr(), flags as usize, mode as usize, 0, 0];
    // SAFETY: the path ends with NUL and outlives the call.
    unsafe { syscall(libc::SYS_openat, args) }
}

/// Another open file of what is open already, whose locks are its own. Without O_NOFOLLOW: the name
/// is a link by nature.
fn open_again(file: usize) -> Result<usize, Errno> {
    let (path, flags) = (Path::of_number(file), (libc::O_RDWR | libc::O_CLOEXEC) as usize);
    // SAFETY: the path ends with NUL and outlives the call.
    unsafe { syscall(libc::SYS_openat, [libc::AT_FDCWD as usize, path.addr(), flags, 0, 0, 0]) }
}

/// One of the requests of fcntl about locks, on `len` bytes at `start`; 0 is all behind it.
fn lock(file: usize, request: i32, kind: i32, start: u64, len: u64) -> Result<libc::flock, Errno> {
    let mut lock = libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: start as i64,
        l_len: len as i64,
        l_pid: 0,
    };
    let target = (&raw mut lock).expose_provenance();
    loop {
        // SAFETY: the kernel reads and writes the structure, which lives through the call.
        match unsafe { syscall(libc::SYS_fcntl, [file, request as usize, target, 0, 0, 0]) } {
            Err(Errno(libc::EINTR, _)) => {}
            done => return done.map(|_| lock),
        }
    }
}

/// Takes a lock on one byte unless somebody has it: true if it is ours.
fn try_lock(file: usize, kind: i32, byte: u64) -> Result<bool, Errno> {
    match lock(file, libc::F_OFD_SETLK, kind, byte, 1) {
        Ok(_) => Ok(true),
        Err(Errno(libc::EAGAIN | libc::EACCES, _)) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Somebody else's lock on these bytes.
fn lock_of_others(file: usize, start: u64, len: u64) -> Result<Option<libc::flock>, Errno> {
    let found = lock(file, libc::F_OFD_GETLK, libc::F_WRLCK, start, len)?;
    Ok((found.l_type != libc::F_UNLCK as i16).then_some(found))
}

/// Runs `work` on a file; closes it if that failed.
fn or_close<T>(file: usize, work: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    work().inspect_err(|_| close(file))
}

/// Makes memory of `len` bytes that reads zero, and gives it its name when it is finished. EEXIST:
/// somebody uses the name, or has put there what is not ours. Calls: openat, fallocate, fcntl,
/// linkat; over a stale one openat, fstat, fcntl, unlinkat, close.
pub(crate) fn create_named(name: &ShareName, len: u64, mode: u32) -> Result<Named, Errno> {
    if len > memory_and_swap_len() as u64 {
        return Err(Errno(libc::ENOMEM, Call::None));
    }
    let file = open_unnamed(mode & 0o777 | libc::S_ISVTX)?;
    let path = Path::of(name);
    or_close(file, || {
        // SAFETY: (1) a file that is ours alone.
        unsafe { allocate_len(file, 0, len) }?;
        try_lock(file, libc::F_RDLCK, USED)?;
        try_lock(file, libc::F_RDLCK, byte_of(this_process()))?;
        for _ in 0..TRIES {
            match link(file, &path) {
                Err(Errno(libc::EEXIST, _)) if remove_stale(&path)? => {}
                done => return done,
            }
        }
        Err(Errno(libc::EEXIST, Call::Linkat))
    })?;
    Ok(Named { backing: Backing { file, object: Backing::NOTHING }, record: 1 })
}

/// A new file without a name: nothing is left of it if this process ends half-way.
fn open_unnamed(mode: u32) -> Result<usize, Errno> {
    let flags = libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC;
    let folder = c"/dev/shm".as_ptr().addr();
    let args = [libc::AT_FDCWD as usize, folder, flags as usize, mode as usize, 0, 0];
    // SAFETY: the path ends with NUL and lives for ever.
    unsafe { syscall(libc::SYS_openat, args) }
}

/// Gives a file a name that nobody has.
fn link(file: usize, path: &Path) -> Result<(), Errno> {
    let (at, from) = (libc::AT_FDCWD as usize, Path::of_number(file));
    let args = [at, from.addr(), at, path.addr(), libc::AT_SYMLINK_FOLLOW as usize, 0];
    // SAFETY: both paths end with NUL and outlive the call.
    unsafe { syscall(libc::SYS_linkat, args) }.map(drop)
}

fn unlink(path: &Path) -> Result<(), Errno> {
    let args = [libc::AT_FDCWD as usize, path.addr(), 0, 0, 0, 0];
    // SAFETY: the path ends with NUL and outlives the call.
    unsafe { syscall(libc::SYS_unlinkat, args) }.map(drop)
}

/// Removes a name that nobody uses: true if it is gone.
fn remove_stale(path: &Path) -> Result<bool, Errno> {
    let file = match open(path, 0, 0) {
        Ok(file) => file,
        Err(Errno(libc::ENOENT, _)) => return Ok(true),
        Err(Errno(number, _)) if is_foreign(number) => return Ok(false),
        Err(errno) => return Err(errno),
    };
    let gone = status(file).and_then(|found| {
        // As long as we look at it, we are among those who use it: the last one may be us.
        Ok(is_ours(&found) && (is_stale(file, path)? || leave(file, path)?))
    });
    close(file);
    gone
}

/// Not to be opened: no rights, or no memory.
const fn is_foreign(number: i32) -> bool {
    matches!(number, libc::EACCES | libc::ELOOP | libc::EISDIR | libc::ENXIO)
}

/// Removes all names that processes have left which were killed; how many. What is refused about
/// one is told when all were looked at. Calls: openat, getdents64; of each file newfstatat; of each
/// with our mark openat, fstat, fcntl; of a stale one unlinkat.
pub(crate) fn reclaim_abandoned() -> Result<usize, Errno> {
    let (mut count, mut refused) = (0, None);
    visit_files(c"/dev/shm", |name| {
        if name.len() > LEN_MAX {
            return;
        }
        match remove_abandoned(&Path::join(FOLDER, name)) {
            Ok(is_removed) => count += usize::from(is_removed),
            Err(errno) => refused = refused.or(Some(errno)),
        }
    })?;
    refused.map_or(Ok(count), Err)
}

/// Removes a name of ours that nobody uses: true if it was removed here and now. Whoever asks does
/// not become one of those who use it, and waits for nobody.
fn remove_abandoned(path: &Path) -> Result<bool, Errno> {
    // Opening what is another program's could break a lease that this has of it.
    let told = status_at(path).and_then(|found| match is_ours(&found) {
        true => open(path, 0, 0).map(Some),
        false => Ok(None),
    });
    let file = match told {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(false),
        Err(Errno(number, _)) if number == libc::ENOENT || is_foreign(number) => return Ok(false),
        Err(errno) => return Err(errno),
    };
    // Another file may have the name by now.
    let removed = status(file).and_then(|found| {
        Ok(is_ours(&found) && try_lock(file, libc::F_WRLCK, USED)? && unlink_once(file, path)?)
    });
    close(file);
    removed
}

/// What a name stands for, without opening it.
fn status_at(path: &Path) -> Result<libc::stat, Errno> {
    let mut status = MaybeUninit::<libc::stat>::zeroed();
    let target = status.as_mut_ptr().expose_provenance();
    let flags = libc::AT_SYMLINK_NOFOLLOW as usize;
    let args = [libc::AT_FDCWD as usize, path.addr(), target, flags, 0, 0];
    // SAFETY: the path ends with NUL and outlives the call; the kernel fills the structure, which
    // lives through it and is the kernel's own on 64-bit systems.
    unsafe { syscall(libc::SYS_newfstatat, args) }?;
    // SAFETY: zeroed and filled; its fields are numbers.
    Ok(unsafe { status.assume_init() })
}

/// Removes the name of a file that we have locked for ourselves alone: true if it had one still.
fn unlink_once(file: usize, path: &Path) -> Result<bool, Errno> {
    let is_linked = status(file)?.st_nlink > 0;
    if is_linked {
        unlink(path)?;
    }
    Ok(is_linked)
}

/// Ends the use of a file; true if its name is gone with it, because it was the last one.
fn leave(file: usize, path: &Path) -> Result<bool, Errno> {
    let unlock = || lock(file, libc::F_OFD_SETLK, libc::F_UNLCK, USED, 0);
    let try_alone = || try_lock(file, libc::F_WRLCK, USED);
    // The last one has it for itself alone in one step, and nobody comes between. Of several who
    // leave at once each is in the way of the others, until it has let go.
    let is_alone = try_alone().or_else(|errno| unlock().and(Err(errno)))?;
    if !is_alone {
        unlock()?;
        if !try_alone()? {
            return Ok(false);
        }
    }
    let found = status(file);
    let done = found.and_then(|found| match (is_ours(&found), found.st_nlink) {
        (true, 0) => Ok(true),
        (true, _) => unlink(path).map(|()| true),
        _ => Ok(false),
    });
    // Views may keep the file open.
    unlock()?;
    done
}

/// Made here, by this user.
fn is_ours(found: &libc::stat) -> bool {
    found.st_mode & libc::S_IFMT == libc::S_IFREG
        && found.st_mode & libc::S_ISVTX != 0
        && found.st_uid == user()
}

fn user() -> u32 {
    // SAFETY: takes no argument and touches nothing.
    unsafe { syscall(libc::SYS_geteuid, [0; 6]) }.map_or(u32::MAX, |user| user as u32)
}

/// True for a marked file that nobody uses: its name is removed. Else it is used by us, too.
fn is_stale(file: usize, path: &Path) -> Result<bool, Errno> {
    if try_lock(file, libc::F_WRLCK, USED)? {
        unlink_once(file, path)?;
        return Ok(true);
    }
    // Whoever has it for itself alone is about to remove it.
    lock(file, libc::F_OFD_SETLKW, libc::F_RDLCK, USED, 1)?;
    Ok(status(file)?.st_nlink == 0)
}

/// Opens what has the name, and its length. ENOENT: nobody uses it, so that it is gone now; EPERM:
/// it belongs to another user, and `of_anybody` is not allowed; ENODEV: it is no memory. Calls:
/// openat, fstat, fcntl; over a stale one unlinkat, close.
pub(crate) fn open_named(name: &ShareName, of_anybody: bool) -> Result<(Named, u64), Errno> {
    let path = Path::of(name);
    for _ in 0..TRIES {
        let file = open(&path, 0, 0)?;
        let len = or_close(file, || use_named(file, &path, of_anybody))?;
        match len {
            Some(len) => {
                let backing = Backing { file, object: Backing::NOTHING };
                return Ok((Named { backing, record: Backing::NOTHING }, len));
            }
            None => close(file),
        }
    }
    Err(Errno(libc::ENOENT, Call::None))
}

/// Takes part in the use of an open file; `None` if it is stale, and gone now.
fn use_named(file: usize, path: &Path, of_anybody: bool) -> Result<Option<u64>, Errno> {
    let found = status(file)?;
    if found.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err(Errno(libc::ENODEV, Call::None));
    }
    if found.st_uid != user() && !of_anybody {
        return Err(Errno(libc::EPERM, Call::None));
    }
    if found.st_mode & libc::S_ISVTX == 0 {
        // Another program's, which tells nobody how long it is used.
        return Ok(Some(found.st_size as u64));
    }
    Ok((!is_stale(file, path)?).then_some(found.st_size as u64))
}

/// Takes the name away; what is open stays. Calls: fstat, unlinkat.
///
/// # Safety
/// 1. `named` is open, and has or had this name.
pub(crate) unsafe fn unlink_named(name: &ShareName, named: Named) -> Result<(), Errno> {
    if status(named.backing.file)?.st_nlink == 0 {
        return Ok(());
    }
    match unlink(&Path::of(name)) {
        Err(Errno(libc::ENOENT, _)) => Ok(()),
        done => done,
    }
}

/// Ends the use of the name; of a copy of the process (fork) `is_copy`, which leaves everything to
/// the other. The last one who uses a marked file removes its name. Calls: fcntl, fstat, unlinkat.
///
/// # Safety
/// 1. `named` is open, and is closed next.
pub(crate) unsafe fn leave_named(name: &ShareName, named: Named, is_copy: bool) {
    if !is_copy {
        // What is refused here is left to whoever opens or makes the name next.
        let _ = leave(named.backing.file, &Path::of(name));
    }
}

/// This process: its number and its start, in clock ticks since the machine's; 0 if it is not told.
fn this_process() -> Process {
    const START: &CStr = c"/proc/self/stat";
    let mut text = [0; 1024];
    let started = read_file(START, &mut text).and_then(|text| {
        // Behind the name, which may have anything in it, 19 numbers come first.
        let rest = text.iter().rposition(|&byte| byte == b')').map(|end| &text[end + 1..])?;
        let rest = core::str::from_utf8(rest).ok()?;
        rest.split_ascii_whitespace().nth(19)?.parse::<u64>().ok()
    });
    (process_id(), started.unwrap_or(0))
}

fn byte_of((number, started): Process) -> u64 {
    let started = started & ((1 << STARTED_BITS) - 1);
    CREATOR + (u64::from(number) << STARTED_BITS) + started
}

/// The process that made it, while it lives and has it open. Call: fcntl; about ourselves openat,
/// read.
///
/// # Safety
/// 1. `named` is open.
pub(crate) unsafe fn creator(_: &ShareName, named: Named) -> Result<Option<Process>, Errno> {
    if named.record != Backing::NOTHING {
        return Ok(Some(this_process()));
    }
    let told = lock_of_others(named.backing.file, CREATOR, 0)?;
    Ok(told.map(|lock| {
        let place = (lock.l_start as u64).saturating_sub(CREATOR);
        ((place >> STARTED_BITS) as u32, place & ((1 << STARTED_BITS) - 1))
    }))
}

/// Takes a seat; `None` if somebody has it. Calls: openat, fcntl.
///
/// # Safety
/// 1. `named` is open.
/// 2. `number` is below [`CLAIMS`].
pub(crate) unsafe fn claim(
    _: &ShareName,
    named: Named,
    number: u64,
) -> Result<Option<usize>, Errno> {
    let file = open_again(named.backing.file)?;
    let is_ours = or_close(file, || try_lock(file, libc::F_WRLCK, SEATS + number))?;
    if !is_ours {
        close(file);
    }
    Ok(is_ours.then_some(file))
}

/// True while somebody has the seat. Call: fcntl.
///
/// # Safety
/// 1. `named` is open.
/// 2. `number` is below [`CLAIMS`].
pub(crate) unsafe fn is_claimed(_: &ShareName, named: Named, number: u64) -> Result<bool, Errno> {
    lock_of_others(named.backing.file, SEATS + number, 1).map(|lock| lock.is_some())
}

/// Gives a seat up. Call: close.
///
/// # Safety
/// 1. `seat` was taken by [`claim`], and is not used again.
pub(crate) unsafe fn release_claim(seat: usize) {
    close(seat);
}

/// A bell is its word: there is nothing to open.
pub(crate) fn open_bell(_: &ShareName, _: u64) -> Result<usize, Errno> {
    Ok(Backing::NOTHING)
}

/// # Safety
/// 1. `bell` was opened by [`open_bell`], and is not used again.
pub(crate) unsafe fn close_bell(_: usize) {}

/// Sleeps while `word`, which lies in shared memory, has this value, until it is rung for or so
/// many nanoseconds are over, or for no reason. Call: futex(FUTEX_WAIT).
///
/// # Safety
/// 1. `bell` is open, and the one of `word`.
pub(crate) unsafe fn wait_bell(
    _: usize,
    word: &AtomicU32,
    value: u32,
    nanoseconds: u64,
) -> Result<(), Errno> {
    const SECOND: u64 = 1_000_000_000;
    let limit = libc::timespec {
        tv_sec: (nanoseconds / SECOND) as i64,
        tv_nsec: (nanoseconds % SECOND) as i64,
    };
    let (addr, limit) = (word.as_ptr().expose_provenance(), (&raw const limit).addr());
    let args = [addr, libc::FUTEX_WAIT as usize, value as usize, limit, 0, 0];
    // SAFETY: the kernel reads the word and the limit, which live through the call.
    match unsafe { syscall(libc::SYS_futex, args) } {
        Err(Errno(libc::EAGAIN | libc::EINTR | libc::ETIMEDOUT, _)) => Ok(()),
        done => done.map(drop),
    }
}

/// Wakes as many of those who sleep at `word`. Call: futex(FUTEX_WAKE).
///
/// # Safety
/// 1. `bell` is open, and the one of `word`.
pub(crate) unsafe fn ring_bell(_: usize, word: &AtomicU32, count: u32) {
    let addr = word.as_ptr().expose_provenance();
    let count = count.min(i32::MAX as u32) as usize;
    // SAFETY: only the address counts. Memory that was taken away has no sleepers.
    let _ = unsafe { syscall(libc::SYS_futex, [addr, libc::FUTEX_WAKE as usize, count, 0, 0, 0]) };
}

/// Nanoseconds of a clock that never turns back. Call: clock_gettime.
pub(crate) fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let args = [libc::CLOCK_MONOTONIC as usize, (&raw mut now).expose_provenance(), 0, 0, 0, 0];
    // SAFETY: the kernel fills the structure, which lives through the call. This clock is always
    // there.
    let _ = unsafe { syscall(libc::SYS_clock_gettime, args) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
