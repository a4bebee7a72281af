//! Floor 4, uses floors 0 to 3. Memory that processes share, by a name or by a handle, and what
//! they need in it: seats, events, locks, rings.
//!
//! ```text
//!   process A                   the system                      process B
//!   SharedMemory::create  --->  "name", bytes  <---  SharedMemory::open
//!     views: Racy, ViewMut      |............|         views
//!     Event, Lock at offsets    seats: who lives       Event, Lock at the same offsets
//!   Producer              --->  a ring of its own <--  Consumer
//! ```
//!
//! # Names
//! On Linux a name is a file in /dev/shm, as `shm_open` makes it: a C program finds the same bytes
//! under it, from offset 0 on and with the same length, and we find those of a C program. On
//! Windows it is a section of the page file, `Local\NAME`, for `OpenFileMapping`. macOS and FreeBSD
//! have no locks that would end with the process: names are `Unsupported` there.
//!
//! # When a process dies
//! Everything here that says "somebody lives" is held by the kernel and let go by it, however the
//! process ends; no number of a process is written down and believed.
//!
//! | who dies | the name | the others |
//! |---|---|---|
//! | all but one, by any signal | goes when that one drops its [`SharedMemory`] | go on |
//! | the last one, by a signal | Windows: goes with it; Linux: see below | |
//! | anybody after [`unlink`](SharedMemory::unlink) | Linux: is gone already | go on |
//! | the holder of a [`Lock`] | | get it, and are told: [`Held::Abandoned`] |
//! | one side of a ring | is gone since both came | get what was sent, then `PeerGone` |
//!
//! Where the last one is killed on Linux, the name stays in /dev/shm and belongs to nobody, until
//! any process of this user comes upon it:
//! - the first [`create`](SharedMemory::create) of each process, of whatever name, removes all that
//!   were left by then;
//! - the next `create` of that very name replaces it, and the next [`open`](SharedMemory::open)
//!   removes it and says `NotFound`;
//! - [`SharedMemory::reclaim_abandoned`] removes all of them when it is called: in a program that
//!   runs for long and starts others, say, each time one of these was killed.
//!
//! A file is taken for one of these if it has the mark of this library (the sticky bit, which says
//! nothing else of a file), belongs to this user, may be written, and nobody holds its lock. What
//! other programs have put there stays. Which names were left is not told: the memory is lost.
//!
//! A process that is made by `fork` without `exec` shares what its parent holds: its parent's
//! seats, locks and use of the name live for as long as one of the two does. It should open anew.
//!
//! # Trust
//! Any process that can open the memory can write anything anywhere in it, at any time. What is
//! read from it is checked: a peer can make a call here fail, with `Corrupt` or `Truncated`, or
//! wait, and nothing worse. That holds for the safe functions; each `unsafe` one says what it needs
//! from the peer.

mod cell;
mod event;
mod header;
mod lock;
mod message;
#[cfg(feature = "std")]
mod pass;
mod ring;
mod seat;
#[cfg(test)]
mod tests;
mod wait;

pub use event::{Event, Reset};
pub use lock::{Held, Lock, LockGuard};
pub use message::{Message, Slot};
pub use ring::{Consumer, Producer};
pub use seat::Seat;

use super::{Access, Racy, Section};
use crate::ds::share_name::ShareName;
use crate::error::{Error, ErrorKind, Op};
use crate::sys::{self, Errno, Named};
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

/// How memory with a name is made and opened.
///
/// ```
/// use granule::section::shared::SharedMemory;
/// # let name = format!("granule-doc-options-{}", std::process::id());
/// let memory = SharedMemory::options().mode(0o660).create(&name, 4096);
/// # if memory.as_ref().is_err_and(|error| error.kind() == granule::ErrorKind::Unsupported) {
/// #     return Ok(());
/// # }
/// assert_eq!(memory?.len(), 4096);
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Options {
    mode: u32,
    of_anybody: bool,
}

impl Options {
    /// The rights of what is made, as for `chmod`: nine bits, of which the process's umask takes
    /// some. 0600 unless it is given: this user's processes. Nothing on Windows, where the
    /// process's token says who may open it.
    pub const fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Opens what another user has made, if its rights allow it. Without it that is `Denied`: what
    /// somebody else has put under a well-known name is not what the program thinks it is. Nothing
    /// on Windows.
    pub const fn of_anybody(mut self, allowed: bool) -> Self {
        self.of_anybody = allowed;
        self
    }

    /// See [`SharedMemory::create`].
    ///
    /// # Errors
    /// As there.
    pub fn create(self, name: &str, len: usize) -> Result<SharedMemory, Error> {
        let refused = |kind| Error::new(Op::Share, kind, 0, len, 0);
        let name = ShareName::new(name).ok_or(refused(ErrorKind::BadName))?;
        if len == 0 || len > isize::MAX as usize {
            return Err(refused(ErrorKind::OutOfRange));
        }
        reclaim_once();
        let named = sys::create_named(&name, len as u64, self.mode)
            .map_err(|errno| errno.of(Op::Share, 0, len))?;
        SharedMemory::of(name, named, len as u64)
    }

    /// See [`SharedMemory::open`].
    ///
    /// # Errors
    /// As there.
    pub fn open(self, name: &str) -> Result<SharedMemory, Error> {
        let refused = Error::new(Op::Share, ErrorKind::BadName, 0, 0, 0);
        let name = ShareName::new(name).ok_or(refused)?;
        let (named, len) =
            sys::open_named(&name, self.of_anybody).map_err(|errno| errno.of(Op::Share, 0, 0))?;
        SharedMemory::of(name, named, len)
    }

    /// See [`SharedMemory::open_or_create`].
    ///
    /// # Errors
    /// As there.
    pub fn open_or_create(self, name: &str, len: usize) -> Result<SharedMemory, Error> {
        /// Between the two somebody else may have made it, and removed it again.
        const TRIES: usize = 100;
        let mut told = self.open(name);
        for _ in 0..TRIES {
            told = match told {
                Err(error) if error.kind() == ErrorKind::NotFound => self.create(name, len),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => self.open(name),
                done => return done,
            };
        }
        told
    }
}

/// Removes what killed processes have left, when a process makes its first name: its memory may be
/// needed now. To look at all names each time would take longer than to make one.
fn reclaim_once() {
    static IS_DONE: AtomicBool = AtomicBool::new(false);
    if !IS_DONE.swap(true, Ordering::Relaxed) {
        // Done for others: what is refused about their names is no failure of this one.
        let _ = sys::reclaim_abandoned();
    }
}

/// The process that has made some memory.
///
/// ```
/// use granule::section::shared::SharedMemory;
/// # let name = format!("granule-doc-creator-{}", std::process::id());
/// let Ok(memory) = SharedMemory::create(&name, 1) else { return Ok(()) };
/// let creator = memory.creator()?.expect("it lives");
/// assert_eq!(creator.id, std::process::id());
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Creator {
    /// The number of the process.
    pub id: u32,
    /// When it was started, so that a number that is used again is told from it. Linux: in clock
    /// ticks since the machine was; Windows: in 100 ns since 1601. 0 if the system does not say.
    pub started: u64,
}

/// Memory that has a name. Whoever opens the name has the same bytes.
///
/// Dropping it ends the use of the name, and the last one who uses it takes it away; views stay.
/// The module tells what happens when processes die.
///
/// ```
/// use granule::section::shared::SharedMemory;
/// # let name = format!("granule-doc-shared-{}", std::process::id());
/// # let name = name.as_str();
/// let Ok(memory) = SharedMemory::create(name, 64) else { return Ok(()) };
/// // In another process, or here:
/// let same = SharedMemory::open(name)?;
/// let numbers = same.section().racy::<u64>(0..64)?;
/// numbers.store(7, 42)?;
/// assert_eq!(memory.section().racy::<u64>(0..64)?.load(7)?, 42);
/// drop((memory, same)); // the name is gone
/// assert!(SharedMemory::open(name).is_err());
/// # Ok::<(), granule::Error>(())
/// ```
#[doc(alias("shm_open", "OpenFileMapping", "CreateFileMapping", "named section", "mmap"))]
pub struct SharedMemory {
    name: ShareName,
    named: Named,
    /// All of it, for what lies in it: events, locks, rings.
    view: Racy<u8>,
    section: Section,
    /// Which copy of the process opened it.
    generation: u32,
}

impl SharedMemory {
    /// What can be chosen.
    pub const fn options() -> Options {
        Options { mode: 0o600, of_anybody: false }
    }

    /// Makes `len` bytes that read zero, under a name that nobody uses. All of the memory is taken
    /// now. Others find it when it is finished, and not before. A name that a process has left that
    /// was killed is used anew; the first call of a process removes all such names
    /// ([`reclaim_abandoned`](Self::reclaim_abandoned)).
    ///
    /// Linux: openat(O_TMPFILE), fallocate, fcntl(F_OFD_SETLK), linkat, and those of a
    /// [`Racy`] view; over a name that was left openat, fstat, unlinkat. Windows:
    /// `CreateFileMapping`, `MapViewOfFile`, `UnmapViewOfFile`.
    ///
    /// # Errors
    /// - `BadName`: the name is empty, longer than 200 bytes, `.` or `..`, or has a slash, a
    ///   backslash or a NUL.
    /// - `AlreadyExists`: somebody uses it. On Linux also: a program that is not of ours has made
    ///   it, and does not say whether it is used.
    /// - `OutOfRange`: the length is 0.
    /// - `NoMemory`: there is not so much.
    /// - `Denied`: no such rights, or too many files are open.
    /// - `Unsupported`: macOS, FreeBSD.
    pub fn create(name: &str, len: usize) -> Result<Self, Error> {
        Self::options().create(name, len)
    }

    /// Opens what somebody has under that name. On Linux it is as long as it was made; on Windows
    /// that in whole pages. One that was left by a process that was killed is removed instead.
    ///
    /// Linux: openat, fstat, fcntl(F_OFD_SETLK). Windows: `OpenFileMapping`, `MapViewOfFile`,
    /// `VirtualQuery`, `UnmapViewOfFile`.
    ///
    /// # Errors
    /// - `BadName`: as for [`create`](Self::create).
    /// - `NotFound`: nobody has it.
    /// - `Denied`: it is another user's ([`Options::of_anybody`]), no rights to write, no memory
    ///   but a link or a folder, or too many files are open.
    /// - `NoAddressSpace`, `TooManyMappings`: there is no room in the addresses.
    /// - `Unsupported`: macOS, FreeBSD.
    pub fn open(name: &str) -> Result<Self, Error> {
        Self::options().open(name)
    }

    /// One or the other: of several processes that do this at the same time one makes it. Its
    /// length is that of whoever did.
    ///
    /// # Errors
    /// As for [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create(name: &str, len: usize) -> Result<Self, Error> {
        Self::options().open_or_create(name, len)
    }

    fn of(name: ShareName, named: Named, len: u64) -> Result<Self, Error> {
        let section = Section { backing: named.backing, len, access: Access::Write };
        let generation = sys::generation();
        match section.racy::<u8>(0..len) {
            Ok(view) => Ok(SharedMemory { name, named, view, section, generation }),
            Err(error) => {
                // SAFETY: (1) open; the section closes it at the end of this function.
                unsafe { sys::leave_named(&name, named, false) };
                Err(error.as_part_of_file(Op::Share, 0, len as usize))
            }
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.section.len as usize
    }

    /// True for what another program has made and given no length yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.section.len == 0
    }

    /// The bytes, for views of them.
    #[must_use]
    pub const fn section(&self) -> &Section {
        &self.section
    }

    /// The process that made it; `None` if that has ended or closed it, or was none of ours.
    ///
    /// Linux: fcntl(F_OFD_GETLK); about this process itself openat, read. Windows:
    /// `OpenFileMapping`, `MapViewOfFile`, `UnmapViewOfFile`.
    ///
    /// # Errors
    /// - `NoMemory`, `Denied`, `Other`: the system does not say.
    pub fn creator(&self) -> Result<Option<Creator>, Error> {
        // SAFETY: (1) open.
        let told = unsafe { sys::creator(&self.name, self.named) };
        let told = told.map_err(|errno| self.error_of(errno, Op::Share))?;
        Ok(told.map(|(id, started)| Creator { id, started }))
    }

    /// Takes the name away now: nobody can open it any more, whoever has it keeps it, and nothing
    /// is left of it however they end. For when all have come. Windows keeps the name for as long
    /// as somebody has it, and nothing longer, so that nothing is done there.
    ///
    /// Linux: fstat, unlinkat.
    ///
    /// # Errors
    /// - `Denied`, `Other`: the system refuses to.
    pub fn unlink(&self) -> Result<(), Error> {
        // SAFETY: (1) open, and of this name.
        unsafe { sys::unlink_named(&self.name, self.named) }
            .map_err(|errno| self.error_of(errno, Op::Share))
    }

    /// Removes all names that processes have left which were killed, and that nobody uses; how
    /// many. The memory of those files is free then.
    ///
    /// It takes the longer the more files are in /dev/shm. Measured on a virtual machine, where
    /// `create` and drop take 60 us: 7 us if there is none, 310 us for 200 files of other programs,
    /// 1.2 ms for 200 names of this library that are in use. It looks at the first 40 MB of the
    /// folder's entries, which are hundreds of thousands.
    ///
    /// Linux: openat and getdents64 of /dev/shm; newfstatat of each file in it; openat, fstat and
    /// fcntl(F_OFD_SETLK) of each that this user has made here, and unlinkat if nobody uses it.
    /// What others have put there is not opened. Windows: none, it leaves no name behind.
    ///
    /// # Errors
    /// What is refused about one name is told when all were looked at.
    /// - `NotFound`: there is no /dev/shm.
    /// - `NoMemory`, `Denied`, `Other`: the system refuses to.
    /// - `Unsupported`: macOS, FreeBSD.
    ///
    /// ```
    /// use granule::section::shared::SharedMemory;
    /// # let name = format!("granule-doc-abandoned-{}", std::process::id());
    /// let Ok(used) = SharedMemory::create(&name, 4096) else { return Ok(()) };
    /// let count = SharedMemory::reclaim_abandoned()?;
    /// println!("{count} names were left by processes that were killed");
    /// assert!(SharedMemory::open(&name).is_ok(), "what is used stays");
    /// # Ok::<(), granule::Error>(())
    /// ```
    pub fn reclaim_abandoned() -> Result<usize, Error> {
        sys::reclaim_abandoned().map_err(|errno| errno.of(Op::Share, 0, 0))
    }

    /// An error of the system's about all of it.
    fn error_of(&self, errno: Errno, op: Op) -> Error {
        errno.of(op, 0, self.len())
    }

    fn error(&self, op: Op, kind: ErrorKind, offset: usize) -> Error {
        Error::new(op, kind, offset, self.len(), 0)
    }

    /// `Truncated` if another process has made it shorter, as far as that was noticed.
    fn check_len(&self, op: Op) -> Result<(), Error> {
        if self.view.valid_len() < self.len() {
            return Err(self.error(op, ErrorKind::Truncated, self.view.valid_len()));
        }
        Ok(())
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        let is_copy = self.generation != sys::generation();
        // SAFETY: (1) open; the section closes it next.
        unsafe { sys::leave_named(&self.name, self.named, is_copy) }
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SharedMemory({:?}, {} bytes)", self.name(), self.len())
    }
}
