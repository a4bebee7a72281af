//! Floor 4, uses floors 0 to 3. An open file that nobody else gets at, for who has his own map of
//! it.

use super::keeper;
use crate::error::{Error, ErrorKind, Op};
use crate::sys::{self, Access};
use core::time::Duration;
use std::fs::File;

/// Keeps everybody else away from a file that is open for reading and writing: what
/// [`Exclusive`](super::Exclusive) rests on, for who has opened and mapped the file himself.
///
/// Linux only: a write lease (fcntl(2), F_SETLEASE). It is granted when nobody else has the file
/// open, for reading or writing; a map keeps a file open, also when its descriptor was closed. Who
/// opens or shortens the file afterwards waits until the lease ends, in this process, too; but for
/// who waits longer than [`break_time`](Self::break_time) the kernel ends it. So whoever has one
/// asks [`is_wanted`](Self::is_wanted) from time to time, and is done before.
///
/// What was opened together is one open file: who has inherited this very one, or a map of it, is
/// not kept away. For file systems without leases, and what a lease cannot do, see
/// [`Frozen`](super::Frozen).
///
/// Windows decides that when a file is opened, by the share mode, and has no leases.
///
/// ```
/// use granule::section::Lease;
/// # let path = std::env::temp_dir().join(format!("granule-lease-{}", std::process::id()));
/// std::fs::write(&path, "mine")?;
/// let file = std::fs::File::options().read(true).write(true).open(&path)?;
/// match Lease::of_file(&file) {
///     Ok(lease) => {
///         assert!(!lease.is_wanted());
///         assert!(lease.end(), "nobody was let in");
///     }
///     Err(error) => println!("others are not kept away: {error}"),
/// }
/// # drop(file);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias("F_WRLCK", "F_SETLEASE", "oplock"))]
pub struct Lease<'a> {
    file: &'a File,
    /// The copy of the process that has it.
    generation: u32,
}

impl<'a> Lease<'a> {
    /// Takes the lease of an open file. Its signal of a lease (F_SETOWN_EX) goes to a thread of
    /// this library that does not take it.
    ///
    /// Linux: fstatfs, for tmpfs fstat, fcntl twice.
    ///
    /// # Errors
    /// - `InUse`: somebody else has the file open, or a map of it.
    /// - `Denied`: it is another user's, or not open for writing.
    /// - `Unsupported`: this system, or this file system, keeps nobody out.
    /// - `NoMemory`: no thread could be started.
    pub fn of_file(file: &'a File) -> Result<Self, Error> {
        if !sys::HAS_LEASES {
            return Err(Error::new(Op::Hold, ErrorKind::Unsupported, 0, 0, 0));
        }
        let keeper = keeper::start()?;
        // SAFETY: (1) it is open, and borrowed; (2) the keeper.
        unsafe { sys::take_lease(sys::number_of(file), Access::Write, keeper) }
            .map_err(|errno| errno.of(Op::Hold, 0, 0))?;
        Ok(Lease { file, generation: sys::generation() })
    }

    /// True if somebody waits for the file, or is let in already.
    ///
    /// Linux: fcntl(F_GETLEASE), 0.2 us.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        // SAFETY: (1) it had one when this was made; it only asks.
        self.is_ours() && unsafe { sys::lease_is_wanted(sys::number_of(self.file), Access::Write) }
    }

    /// How long others wait at most: /proc/sys/fs/lease-break-time, 45 seconds unless somebody has
    /// set it. Elsewhere nobody waits, and the number says nothing.
    #[must_use]
    pub fn break_time() -> Duration {
        keeper::break_time()
    }

    /// Lets the others in, as a drop does. False if the kernel had done so before, and somebody may
    /// have written to the file; true also if it has let in only who reads. In the child of a fork,
    /// which has no lease, false.
    ///
    /// Linux: fcntl(F_SETLEASE).
    pub fn end(self) -> bool {
        let ended = self.give();
        core::mem::forget(self);
        ended
    }

    fn give(&self) -> bool {
        // SAFETY: (1) nobody relies on it any more.
        self.is_ours() && unsafe { sys::give_lease(sys::number_of(self.file)) }.is_ok()
    }

    fn is_ours(&self) -> bool {
        self.generation == sys::generation()
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let _ = self.give(); // who wants to know whether it was lost has asked `end`
    }
}
