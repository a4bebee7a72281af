//! Floor 2, uses floors 0 and 1. A ring of bytes that never wraps: the same memory twice, side by
//! side.
//!
//! ```text
//!   addresses   | first view           | second view          |
//!   memory      |ccc.............aaabbb|ccc.............aaabbb|
//!                                ^-- filled --^
//!                   ^-- spare ---^
//! ```
//! What is filled, and what is spare, is one slice each, wherever it begins.
//!
//! # Why it is sound
//! Two addresses of one byte are nothing that the language knows: to it the two views are different
//! bytes. So everything below is true in both worlds, the one in which they are one memory and the
//! one in which they are two.
//! 1. Every byte has one owner: the producer, while it is spare, or the consumer, while it is
//!    filled. Only the owner has a slice with it, at one of its two addresses. The positions
//!    (`ds::positions`) say who owns what, and pass bytes on by a release store that is acquired.
//! 2. Only the producer writes. Before it passes bytes on, [`sys::reflect`] copies all that it
//!    could have written, which is everything spare, to the other view. So in both worlds the views
//!    are equal whenever bytes change hands or a spare byte changes its address, and it does not
//!    matter which view the other end reads.
//! 3. No slice outlives a change of hands: the functions that pass bytes on need the end mutably,
//!    and slices borrow it.
//! 4. The memory belongs to one value, which is neither `Clone` nor `Copy`, and is released by its
//!    drop. Both ends borrow that value.
//!
//! The tests run the same code in the world of two memories (`Mirror::simulated`), with a `reflect`
//! that really copies; a missing one shows there as a wrong byte.

mod ends;
mod mirror;
#[cfg(feature = "std")]
mod streams;
#[cfg(test)]
mod tests;

pub use ends::{Consumer, Producer};

use crate::ds::positions::Positions;
use crate::error::{Error, ErrorKind, Op};
use crate::sys;
use core::ptr::NonNull;
use mirror::Mirror;

/// A ring buffer of bytes whose free part and whose filled part are one slice each.
///
/// Windows: `MapViewOfFile` twice over a section. Linux: a memory file (memfd_create), mapped twice
/// over a reservation. macOS, FreeBSD: shared memory (shm_open), in the same way.
///
/// On Windows and Linux the memory is there, or promised, when [`new`](Ring::new) returns, all of
/// it. A ring stays with the process that made it: in the child of a fork every function that would
/// touch its memory panics, and its drop does nothing.
///
/// ```
/// use granule::vm::Ring;
/// let mut ring = Ring::new(1000)?; // rounded up to 64 KiB
/// ring.spare()[..5].copy_from_slice(b"hello");
/// ring.fill(5);
/// assert_eq!(ring.filled(), b"hello");
/// ring.consume(2);
/// assert_eq!(ring.filled(), b"llo");
/// # Ok::<(), granule::Error>(())
/// ```
///
/// One thread can write while another reads:
///
/// ```
/// use granule::vm::Ring;
/// let mut ring = Ring::new(1)?;
/// let (mut producer, mut consumer) = ring.split();
/// std::thread::scope(|scope| {
///     scope.spawn(move || producer.write(b"from afar"));
///     let mut text = Vec::new();
///     while text.len() < 9 {
///         let filled = consumer.filled();
///         text.extend_from_slice(filled);
///         let len = filled.len(); // more may have come since
///         consumer.consume(len);
///     }
///     assert_eq!(text, b"from afar");
/// });
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias("mirrored", "magic ring buffer", "circular buffer"))]
pub struct Ring {
    core: Core,
}

/// The memory and who owns which part of it.
#[derive(Debug)]
struct Core {
    memory: Mirror,
    positions: Positions,
}

impl Core {
    /// The producer's bytes, as one slice. They stay the producer's until it fills them.
    fn spare(&self) -> NonNull<[u8]> {
        let extent = self.positions.spare();
        NonNull::slice_from_raw_parts(self.memory.at(extent.start), extent.len)
    }

    /// The consumer's bytes, as one slice. They stay the consumer's until it consumes them.
    fn filled(&self) -> NonNull<[u8]> {
        let extent = self.positions.filled();
        NonNull::slice_from_raw_parts(self.memory.at(extent.start), extent.len)
    }

    /// Passes the first `len` spare bytes on.
    ///
    /// # Safety
    /// 1. The caller is the producer, and has no slice of spare bytes.
    unsafe fn fill(&self, len: usize) {
        let spare = self.positions.spare();
        assert!(len <= spare.len, "fill of {len} bytes, but only {} are spare", spare.len);
        // SAFETY: (1) and (2): all spare bytes are the producer's, at both addresses, and by (1) it
        // has no slice of them.
        unsafe { self.memory.reflect(spare) };
        self.positions.fill(len);
    }

    /// Passes the first `len` filled bytes back.
    ///
    /// # Safety
    /// 1. The caller is the consumer, and has no slice of filled bytes.
    unsafe fn consume(&self, len: usize) {
        let filled = self.positions.filled().len;
        assert!(len <= filled, "consume of {len} bytes, but only {filled} are filled");
        self.memory.check_generation();
        self.positions.consume(len);
    }
}

impl Ring {
    /// An empty ring of at least `len` bytes: rounded up to the granularity
    /// ([`Info::granularity`](super::Info::granularity), 64 KiB). It takes twice as many addresses.
    ///
    /// Windows: `CreateFileMapping`; then `VirtualAlloc2`, `VirtualFree` and `MapViewOfFile3` with
    /// placeholders, or where there are none `VirtualAlloc`, `VirtualFree` and `MapViewOfFileEx`.
    /// Linux: prlimit64, sysinfo, memfd_create, fallocate, mmap, madvise, close. macOS, FreeBSD:
    /// shm_open, shm_unlink, ftruncate, mmap, minherit, close.
    ///
    /// # Errors
    /// - `OutOfRange`: the length is 0, or more than half of all addresses.
    /// - `NoMemory`, `NoAddressSpace`, `TooManyMappings`: the system has no room for it.
    /// - `Denied`: the limit of open files or the one of their length (`ulimit -n`, `ulimit -f`).
    /// - `Unsupported`: the system has no memory that can be mapped twice.
    pub fn new(len: usize) -> Result<Self, Error> {
        let limits = sys::limits();
        let room = (limits.address_max - limits.address_min) / 2;
        let capacity = len.checked_next_multiple_of(limits.granularity);
        let capacity = capacity.filter(|&capacity| len != 0 && capacity <= room);
        let capacity = capacity.ok_or(Error::new(Op::Mirror, ErrorKind::OutOfRange, 0, len, 0))?;
        match Mirror::new(capacity) {
            Ok(memory) => Ok(Ring { core: Core { memory, positions: Positions::new(capacity) } }),
            Err((step, errno)) => Err(errno.in_step(step, Op::Mirror, 0, len)),
        }
    }

    /// How many bytes fit, in all.
    pub fn capacity(&self) -> usize {
        self.core.positions.capacity()
    }

    /// How many bytes are filled.
    pub fn len(&self) -> usize {
        self.core.positions.filled().len
    }

    /// True when nothing is filled.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All free bytes, in one slice. What is written there is kept by [`fill`](Self::fill). Their
    /// content is left over from earlier use; at first it is zero.
    ///
    /// # Panics
    /// In the child of a fork.
    pub fn spare(&mut self) -> &mut [u8] {
        // SAFETY: the spare bytes are the producer's, which is this borrow of the ring: nobody has
        // another slice with them while it lasts. They are mapped, and initialised by the system.
        unsafe { self.core.spare().as_mut() }
    }

    /// Appends the first `len` bytes of [`spare`](Self::spare) to what is filled.
    ///
    /// # Panics
    /// If fewer are spare; in the child of a fork.
    pub fn fill(&mut self, len: usize) {
        // SAFETY: (1) `&mut self`: there is no other producer, and no slice.
        unsafe { self.core.fill(len) }
    }

    /// All filled bytes, oldest first, in one slice.
    ///
    /// # Panics
    /// In the child of a fork.
    pub fn filled(&self) -> &[u8] {
        // SAFETY: the filled bytes are the consumer's. While the ring is borrowed nobody fills or
        // consumes, so nobody writes to them. They are mapped, and initialised by the system.
        unsafe { self.core.filled().as_ref() }
    }

    /// Gives the first `len` bytes of [`filled`](Self::filled) free.
    ///
    /// # Panics
    /// If fewer are filled; in the child of a fork.
    pub fn consume(&mut self, len: usize) {
        // SAFETY: (1) `&mut self`: there is no other consumer, and no slice.
        unsafe { self.core.consume(len) }
    }

    /// Appends as many of `bytes` as there is room for, and says how many.
    ///
    /// # Panics
    /// In the child of a fork.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let len = copy(bytes, self.spare());
        self.fill(len);
        len
    }

    /// Takes as many filled bytes as `bytes` has room for, and says how many.
    ///
    /// # Panics
    /// In the child of a fork.
    pub fn read(&mut self, bytes: &mut [u8]) -> usize {
        let len = copy(self.filled(), bytes);
        self.consume(len);
        len
    }

    /// The two ends of the ring, for one thread each. What is filled stays filled.
    pub fn split(&mut self) -> (Producer<'_>, Consumer<'_>) {
        self.core.positions.begin();
        ends::of(&self.core)
    }
}

/// Copies as much as fits, and says how much that was.
fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let len = from.len().min(to.len());
    to[..len].copy_from_slice(&from[..len]);
    len
}
