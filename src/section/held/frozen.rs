//! Floor 4, uses floors 0 to 3. Files that stay as they are: slices without a promise of the
//! caller's, because the system gives one.

use super::lease::{Leased, OwnFile};
use super::own_copy::OwnCopy;
use super::{Proof, in_use};
use crate::error::{Error, Op};
use crate::section::lost::Patched;
use crate::section::mapped::{Keeps, Mapped};
use crate::section::{Access, Pod, Section, pod};
use crate::sys::{self, Sharing};
use core::fmt;
use core::ops::{Deref, Range};
use core::ptr::NonNull;
use core::time::Duration;
use std::fs::File;
use std::io;
use std::path::Path;

/// What is to happen where nothing proves that a file stays as it is.
///
/// See [`Frozen`] for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FreezePolicy {
    /// It is an error, which says what stood in the way.
    Require,
    /// The bytes are copied. [`Frozen::proof`] tells.
    AllowCopy,
    /// They are copied in any case: nothing depends on others, nor on the time that this process
    /// runs (see [`Frozen`]).
    Copy,
}

/// A part of a file, to be read, that does not change while it lives: a `&[u8]` of an ordinary file
/// without `unsafe`.
///
/// No system keeps a file still by itself. This takes the first proof that is to be had:
///
/// | system | proof | what it rests on |
/// |---|---|---|
/// | Linux | [`Sealed`](Proof::Sealed) | memory (memfd_create) sealed for good |
/// | | [`Verity`](Proof::Verity) | fs-verity, for good |
/// | | [`Lease`](Proof::Lease) | nobody can write to it; who wants to waits |
/// | Windows | [`ShareMode`](Proof::ShareMode) | the same; who wants to is refused (error 32) |
/// | any | [`Copy`](Proof::Copy) | the bytes were read into memory of this process |
///
/// Of a file on a network drive of Windows it is the server that refuses.
///
/// # Leases
/// Whoever opens a leased file for writing, in any process, or shortens it, is held back by the
/// kernel. A thread of this library sees that within some hundredths of a second, copies the bytes
/// into memory of this process, lays the copy over the view, and lets him go on. Nothing moves: the
/// same bytes stay at the same addresses, and the proof is `Copy` from then on. Until it comes to
/// that nothing is copied, and a read costs what it costs in any mapped file.
///
/// Leases are for the owner of a file, or for who has CAP_LEASE, on ext4, xfs, btrfs, f2fs and
/// tmpfs; not on a network, in an overlay of containers or behind FUSE, where they would prove
/// nothing.
///
/// What a lease cannot do:
/// - The kernel waits for /proc/sys/fs/lease-break-time, 45 seconds. A copy that is not done after
///   7/8 of that, or for which there is no memory, is given up: the view reads zero, a message says
///   so on standard error, and [`is_intact`](Self::is_intact) is false. It never shows the bytes
///   that others write.
/// - A process that is stopped as a whole for longer than that (SIGSTOP, a debugger) while somebody
///   waits loses the lease. When it goes on it finds that out within some hundredths of a second
///   and ends itself; a thread that runs before can see changed bytes. Where that can happen use
///   [`FreezePolicy::Copy`].
/// - open(2) with O_RDONLY and O_TRUNC, whose effect POSIX leaves undefined, is not held back: to
///   the kernel's lease it is an open for reading (`break_lease` in `do_dentry_open`), and to
///   truncate by an open asks no more. The file is empty then, and its pages are lost.
/// - What the kernel reads from the view without copying it (O_DIRECT, vmsplice, MSG_ZEROCOPY) and
///   has not finished with when the copy is made, it reads from the file.
/// - The child of a `fork` does not have the view: a touch ends it. It can open the file again.
///   (After `clone`, which runs no handlers, its addresses are free: do not use the view there.)
/// - A process that is being started has, for a moment, all files that its parent has: a file that
///   was just written can be `InUse` although its writer has closed it.
/// - Nothing helps against who writes to the disk itself, below the file system.
///
/// The immutable attribute (`chattr +i`) and read-only mounts are no proofs: root takes them off at
/// any time.
///
/// # Lost pages
/// A page can be gone all the same: with the file, as above, or because the disk fails under it. On
/// Linux a touch of it is no death by SIGBUS. It reads zero from then on, like all behind the end
/// of the file, and [`is_intact`](Self::is_intact) is false for good. What is lost inside the last
/// page of a shortened file reads zero unseen: no system can tell. On Windows a file that is mapped
/// cannot be made shorter; a disk or a network that fails under a page ends the process
/// (`EXCEPTION_IN_PAGE_ERROR`), because nothing can be laid over a view. A copy has no lost pages.
///
/// # Copies
/// A copy that is made while somebody writes can have some of the new bytes and some of the old;
/// it does not change afterwards.
///
/// ```
/// use granule::section::{FreezePolicy, Frozen, Proof};
/// # let path = std::env::temp_dir().join(format!("granule-frozen-{}", std::process::id()));
/// std::fs::write(&path, "some text")?;
/// let text = Frozen::open(&path)?; // no `unsafe`
/// assert_eq!(&text[5..], b"text");
/// println!("proof: {:?}", text.proof());
///
/// match Frozen::open_with(&path, FreezePolicy::Require) {
///     Ok(text) => assert_ne!(text.proof(), Proof::Copy),
///     Err(error) => println!("it cannot be had without a copy: {error}"),
/// }
/// # drop(text);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("F_SETLEASE", "fs-verity", "F_SEAL_WRITE", "FILE_SHARE_READ", "mmap"))]
pub struct Frozen {
    start: NonNull<u8>,
    len: usize,
    offset: u64,
    proof: Proof,
    kept: Kept,
}

/// What keeps the bytes where they are. The fields are there to be dropped, in this order.
enum Kept {
    Leased(Leased),
    Mapped { patched: Patched, _mapped: Mapped, _file: OwnFile },
    Own { _copy: OwnCopy },
}

// SAFETY: bytes that nobody changes, wherever they are read.
unsafe impl Send for Frozen {}
// SAFETY: as above.
unsafe impl Sync for Frozen {}

impl Frozen {
    /// The whole file, with the best proof that is to be had, and else a copy: what works
    /// everywhere.
    ///
    /// Linux: openat, fcntl, statx, fstatfs, fstat, mmap, madvise, and the ones of a
    /// [`Reservation`](crate::vm::Reservation). Windows: `CreateFile`, and the ones of
    /// [`Section::view`]. A copy: pread64, on Windows `ReadFile`.
    ///
    /// # Errors
    /// What opening the file can fail with, and [`Section::of_file`] and [`Section::view`]; for a
    /// copy `NoMemory`.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::open_with(path, FreezePolicy::AllowCopy)
    }

    /// The whole file, as `policy` says.
    ///
    /// # Errors
    /// - As for [`open`](Self::open).
    /// - With [`FreezePolicy::Require`]: those of [`of_range`](Self::of_range).
    pub fn open_with(path: impl AsRef<Path>, policy: FreezePolicy) -> io::Result<Self> {
        let path = path.as_ref();
        if policy != FreezePolicy::Copy {
            let told = Held::open(path)?.and_then(|held| held.freeze(None));
            if !may_copy(&told, policy) {
                return Ok(told?);
            }
        }
        Ok(Self::copy(&File::open(path)?, None)?)
    }

    /// The whole of an open file, as `policy` says. It has to be open for reading. On Linux it is
    /// opened once more, by /proc/self/fd, on Windows by `ReOpenFile`.
    ///
    /// # Errors
    /// Those of [`of_range`](Self::of_range).
    pub fn of_file(file: &File, policy: FreezePolicy) -> Result<Self, Error> {
        Self::of_part(file, None, policy)
    }

    /// The bytes of `range` of an open file, as `policy` says. Any offset will do; an empty range
    /// is an empty view.
    ///
    /// # Errors
    /// - Those of [`Section::of_file`] and [`Section::view`]; for a copy `NoMemory`.
    /// - With [`FreezePolicy::Require`], and `Op::Hold`:
    ///   - `InUse`: somebody has the file open for writing, `file` itself perhaps, or has a view
    ///     that can be written.
    ///   - `Denied`: it is another user's, or too many files are open.
    ///   - `Unsupported`: this system, or this file system, has no proof.
    pub fn of_range(file: &File, range: Range<u64>, policy: FreezePolicy) -> Result<Self, Error> {
        Self::of_part(file, Some(range), policy)
    }

    fn of_part(
        file: &File,
        range: Option<Range<u64>>,
        policy: FreezePolicy,
    ) -> Result<Self, Error> {
        if policy != FreezePolicy::Copy {
            // What is no file of bytes is told as such.
            drop(Section::of_file(file, Access::Read)?);
            let told = Held::of_file(file).and_then(|held| held.freeze(range.clone()));
            if !may_copy(&told, policy) {
                return told;
            }
        }
        Self::copy(file, range)
    }

    fn copy(file: &File, range: Option<Range<u64>>) -> Result<Self, Error> {
        let section = Section::of_file(file, Access::Read)?;
        let range = range.unwrap_or(section.all());
        Ok(Self::own(OwnCopy::of(&section, &range)?, range.start))
    }

    fn own(copy: OwnCopy, offset: u64) -> Self {
        let (start, len) = copy.bytes();
        Frozen { start, len, offset, proof: Proof::Copy, kept: Kept::Own { _copy: copy } }
    }

    /// Why the bytes do not change, as it is now: a [`Lease`](Proof::Lease) becomes a
    /// [`Copy`](Proof::Copy) when somebody wants to write to the file.
    #[must_use]
    pub fn proof(&self) -> Proof {
        match &self.kept {
            Kept::Leased(leased) if !leased.is_held() => Proof::Copy,
            _ => self.proof,
        }
    }

    /// True as long as no byte is known to be lost. False, for good, when a page was touched that
    /// was not there, and reads zero now; or when there was no memory for the copy that a writer
    /// waits for, and all of the view reads zero.
    ///
    /// So whoever has to be sure of what he has computed from the bytes asks once more at the end.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.valid_len() == self.len
    }

    /// How many bytes are known not to be lost. It becomes less when a touch finds out, and never
    /// more.
    #[must_use]
    pub fn valid_len(&self) -> usize {
        let valid = match &self.kept {
            Kept::Leased(leased) => leased.valid(),
            Kept::Mapped { patched, .. } => patched.valid(),
            Kept::Own { .. } => self.len,
        };
        valid.min(self.len)
    }

    /// Where the first byte is in the file.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes as values of another type.
    ///
    /// # Errors
    /// - `Misaligned`: the view does not begin at a multiple of the type's alignment.
    /// - `OutOfRange`: its length is no multiple of the type's size.
    pub fn as_slice_of<T: Pod>(&self) -> Result<&[T], Error> {
        pod::cast(self, self.offset)
    }
}

/// True where it was not to be had without a copy, and one will do.
fn may_copy(told: &Result<Frozen, Error>, policy: FreezePolicy) -> bool {
    let is_missing = |error: &Error| error.op() == Op::Hold;
    policy == FreezePolicy::AllowCopy && told.as_ref().is_err_and(is_missing)
}

/// A file that was opened to be held still.
struct Held {
    file: OwnFile,
    proof: Proof,
}

impl Held {
    /// Opens a file; the system's refusal because somebody has it is an error of ours.
    fn open(path: &Path) -> io::Result<Result<Self, Error>> {
        let mut options = File::options();
        options.read(true);
        sys::keep_others_out(&mut options, Access::Read);
        match options.open(path) {
            // SAFETY: (1) opened a moment ago.
            Ok(file) => Ok(Ok(unsafe { Self::new(sys::into_number(file)) })),
            Err(error) => match in_use(&error) {
                Some(error) => Ok(Err(error)),
                None => Err(error),
            },
        }
    }

    fn of_file(file: &File) -> Result<Self, Error> {
        // SAFETY: (1) it is open.
        let again = unsafe { sys::open_again(sys::number_of(file)) };
        let again = again.map_err(|errno| errno.of(Op::Hold, 0, 0))?;
        // SAFETY: (1) opened a moment ago.
        Ok(unsafe { Self::new(again) })
    }

    /// # Safety
    /// 1. The file is open, and nobody else's.
    unsafe fn new(file: usize) -> Self {
        // SAFETY: (1).
        Held { file: unsafe { OwnFile::new(file) }, proof: Proof::Copy }
    }

    fn freeze(self, range: Option<Range<u64>>) -> Result<Frozen, Error> {
        self.proven()?.map(range)
    }

    /// The same with a proof.
    fn proven(mut self) -> Result<Self, Error> {
        // SAFETY: (1) ours.
        let standing = unsafe { sys::standing_proof(self.file.backing().file) };
        self.proof = match standing.map_err(|errno| errno.of(Op::Hold, 0, 0))? {
            Some(proof) => proof,
            None => {
                self.file.lease(Access::Read)?;
                Proof::Lease
            }
        };
        Ok(self)
    }

    /// Maps it: from now on it is as long as it was when it was proven.
    fn map(self, range: Option<Range<u64>>) -> Result<Frozen, Error> {
        let Held { file, proof } = self;
        // SAFETY: (1) ours, and open.
        let section = unsafe { Section::from_raw(file.backing().file, Access::Read) }?;
        let range = range.unwrap_or(section.all());
        let offset = range.start;
        if section.check(&range)? == 0 {
            return Ok(Frozen::own(OwnCopy::of(&section, &range)?, offset));
        }
        let mapped = Mapped::new(&section, range, Sharing::Read, Keeps::Nothing)?;
        let (start, len) = (mapped.as_ptr(), mapped.len());
        let kept = match proof {
            Proof::Lease => Kept::Leased(Leased::new(file, mapped, Access::Read, Duration::ZERO)?),
            _ => {
                // SAFETY: (1) it is kept, and goes after this.
                let patched = unsafe { Patched::new(&mapped, file.backing()) };
                let of_file = |error: Error| error.as_part_of_file(Op::Hold, offset, len);
                Kept::Mapped { patched: patched.map_err(of_file)?, _mapped: mapped, _file: file }
            }
        };
        Ok(Frozen { start, len, offset, proof, kept })
    }
}

impl Deref for Frozen {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: mapped or copied, to be read, and initialised by the system; that nobody changes
        // or takes these bytes is what the proof says, and what is lost all the same is patched.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl AsRef<[u8]> for Frozen {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Frozen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proof = self.proof();
        write!(out, "Frozen({} bytes at offset {}, {proof:?})", self.len, self.offset)
    }
}
