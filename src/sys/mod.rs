//! Floor 1, uses floor 0. The only door to the operating system.
//!
//! Nothing outside this folder names an operating system, a system call or `libc`. Every platform
//! offers the same functions; `CONTRACT` below pins their types, so a missing or mistyped one is a
//! compile error here and not a surprise upstairs.
//!
//! # The contract
//! - Addresses and lengths are multiples of the page; lengths are not zero; a range lies inside one
//!   reservation. The callers (floor 2 and up) guarantee it.
//! - A verb either happens whole or returns the system's number and changes nothing that the caller
//!   could read; where a platform cannot promise that, its function says so.
//! - Freshly committed pages read zero.
//! - No function allocates, takes a lock or changes `errno`: all may be called inside `malloc` and
//!   in a signal handler.
//!
//! # The states (the notes' three)
//! ```text
//!            reserve            commit
//!   Free  ------------> Reserved ------> Committed  --protect, discard--> Committed
//!     ^                   ^                  |      --guard--> faults --unguard--> reads zero
//!     +---- release ------+---- decommit ----+
//! ```

mod cache;
mod carry;
mod faults;
mod grow;
pub(crate) mod inject;
#[cfg(unix)]
mod keys;
#[cfg(feature = "std")]
mod lease;
mod memory;
#[cfg(test)]
pub(crate) mod model;
mod prefault;
mod reflection;
mod section;
mod shared;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::*;
#[cfg(target_os = "linux")]
pub use linux::{
    SignalAction, follow_masks, forget_handler_mask, program_blocked, program_mask,
    set_program_blocked,
};

#[cfg(any(target_os = "macos", target_os = "freebsd"))]
mod unix;
#[cfg(any(target_os = "macos", target_os = "freebsd"))]
pub(crate) use unix::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(crate) use windows::*;

use crate::ds::extents::Extents;
pub use cache::CacheState;
pub(crate) use carry::Carried;
pub use faults::Cause;
pub(crate) use faults::{Answer, Fault, FaultHook};
pub(crate) use grow::Area;
#[cfg(feature = "std")]
pub use lease::Proof;
pub use memory::{Access, Advice};
pub(crate) use memory::{Piece, Stumble};
pub use section::Durability;
pub(crate) use section::{Backing, Sharing};
pub(crate) use shared::{CLAIMS, Named};

use crate::ds::name::Name;
use crate::error::{Call, Error, ErrorKind, Op};
use core::ptr::NonNull;
pub(crate) use reflection::reflect;

/// The system's own error number, and the call that gave it; [`Call::None`] where the platform
/// refused by itself and gives the number that fits best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32, pub(crate) Call);

impl Errno {
    /// The error of a verb on `len` bytes at `addr`: the number explained, the call named.
    pub(crate) fn of(self, op: Op, addr: usize, len: usize) -> Error {
        self.in_step(op, op, addr, len)
    }

    /// The same for a verb of several steps: `step` is the verb that the failing one amounts to.
    pub(crate) fn in_step(self, step: Op, op: Op, addr: usize, len: usize) -> Error {
        Error::new(op, explain(step, self), addr, len, self.0).of_call(self.1)
    }
}

/// Access rights of committed pages.
///
/// Code that was written has to reach the instructions of the processor before it is run: on x86-64
/// it does by itself, elsewhere (AArch64) its writer has to clean the caches.
///
/// ```
/// use granule::vm::{Protection, Reservation};
/// let reservation = Reservation::reserve(1)?;
/// reservation.commit(0..1, Protection::ReadWrite)?;
/// reservation.protect(0..1, Protection::Read)?; // from here on a write faults
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protection {
    /// No access: every touch faults.
    NoAccess,
    /// Read.
    Read,
    /// Read and write.
    ReadWrite,
    /// Execute. Most processors let such pages be read, too.
    Execute,
    /// Execute and read.
    ExecuteRead,
    /// Execute, read and write.
    ExecuteReadWrite,
}

/// When the system's promise of memory is taken: what floor 2's policy comes to on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitPolicy {
    /// At commit.
    Strict,
    /// At first touch.
    Lazy,
}

/// How guards are made.
///
/// ```
/// use granule::vm::{GuardKind, Reservation};
/// let builder = Reservation::builder().len(1).guard_kind(GuardKind::Split);
/// assert_eq!(builder.reserve()?.guard_kind(), GuardKind::Split);
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GuardKind {
    /// Guard markers in the page table: no mapping is split, millions are possible.
    Marker,
    /// Protection changes: each guard splits a mapping; the kernel's map limit is the ceiling.
    Split,
}

/// The few facts that every reservation needs, cheap enough to ask each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) page_len: usize,
    pub(crate) granularity: usize,
    pub(crate) address_min: usize,
    pub(crate) address_max: usize,
}

/// What is behind a range of addresses.
///
/// ```
/// use granule::vm::{self, Kind};
/// let code = vm::query(main as *const () as usize)?;
/// assert_ne!(code.kind, Some(Kind::Private));
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Memory of this process alone (`MEM_PRIVATE`; on Linux an anonymous private mapping).
    Private,
    /// A file, or memory that other processes can share (`MEM_MAPPED`).
    Mapped,
    /// A program or a library (`MEM_IMAGE`; on Linux a private mapping of a file).
    Image,
}

/// One of the ranges that the system has given to the process, ours or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Where the allocation begins that this range is a part of.
    pub(crate) allocation_base: usize,
    /// `None`: addresses only. Linux cannot tell those from committed pages without access.
    pub(crate) protection: Option<Protection>,
    pub(crate) kind: Kind,
}

/// Which guards there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guards {
    /// The ones that this process uses unless told otherwise.
    pub(crate) chosen: GuardKind,
    /// The kernel has guard markers.
    pub(crate) markers: bool,
}

/// What this machine offers. Capabilities are data, never conditional compilation upstairs.
///
/// ```
/// let info = granule::vm::info();
/// assert!(info.address_min < info.address_max);
/// println!("{} MiB in pages of {} bytes", info.memory_len >> 20, info.page_len);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Bytes in a page.
    pub page_len: usize,
    /// Every reservation's base is a multiple of this.
    pub granularity: usize,
    /// The guards this process uses: the kernel's best, unless `GRANULE_GUARD=split` forces the
    /// other.
    pub guard: GuardKind,
    /// True when the kernel has guard markers, whatever `guard` says.
    pub guard_markers: bool,
    /// The most mappings a process may have; 0 when unknown.
    pub mappings_max: usize,
    /// The kernel's overcommit mode (`vm.overcommit_memory`): 0 heuristic, 1 always, 2 never.
    pub overcommit: u8,
    /// Bytes of a huge page; 0 when there are none.
    pub huge_page_len: usize,
    /// Whether transparent huge pages are used always, on request or never.
    pub huge_pages: HugePages,
    /// Bytes of memory in the machine; 0 when unknown.
    pub memory_len: usize,
    /// First address of the range a program may reserve.
    pub address_min: usize,
    /// Last address of that range.
    pub address_max: usize,
}

/// The kernel's policy for transparent huge pages.
///
/// ```
/// use granule::vm::HugePages;
/// if granule::vm::info().huge_pages != HugePages::Never {
///     println!("huge pages of {} bytes", granule::vm::info().huge_page_len);
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HugePages {
    /// The kernel uses them wherever it can.
    Always,
    /// Only where a program asks.
    OnRequest,
    /// Never, or not known.
    Never,
}

/// The list every platform must have, with the types it must have them in.
#[expect(clippy::type_complexity, reason = "the list of types is the point")]
const _CONTRACT: (
    fn() -> Info,
    unsafe fn(usize, usize, usize, CommitPolicy) -> Result<NonNull<u8>, Errno>,
    unsafe fn(NonNull<u8>, usize, Protection) -> Result<(), Errno>,
    unsafe fn(NonNull<u8>, usize, CommitPolicy) -> Result<(), Errno>,
    unsafe fn(NonNull<u8>, usize) -> Result<(), Errno>,
    unsafe fn(NonNull<u8>, usize, Protection) -> Result<(), Errno>,
    unsafe fn(NonNull<u8>, usize) -> Result<(), Errno>,
    unsafe fn(NonNull<u8>, usize, GuardKind, CommitPolicy) -> Result<(), Errno>,
    unsafe fn(NonNull<u8>, usize, GuardKind, Protection) -> Result<(), Errno>,
    unsafe fn(NonNull<u8>, usize, Advice) -> Result<(), Errno>,
    unsafe fn(NonNull<u8>, usize) -> Result<(), Errno>,
    fn(Errno) -> ErrorKind,
    fn() -> Limits,
    fn() -> Guards,
    unsafe fn(usize, usize, CommitPolicy) -> Result<NonNull<u8>, Errno>,
    fn(Op, Errno) -> ErrorKind,
    fn(usize) -> Result<Option<Mapping>, Errno>,
    fn(usize) -> Result<Option<(Mapping, Option<Name>)>, Errno>,
    bool,
) = (
    info,
    reserve,
    commit,
    decommit,
    release,
    protect,
    discard,
    guard,
    unguard,
    advise,
    empty,
    error_kind,
    limits,
    guards,
    reserve_at,
    explain,
    mapping_at_or_above,
    named_mapping_at_or_above,
    RELEASES_PARTS,
);

/// Call stacks: see `unwind` of the platform for what the three promise.
#[cfg(target_os = "linux")]
#[expect(clippy::type_complexity, reason = "as above")]
const _UNWIND_CONTRACT: (
    fn(&unwind::Registers, &mut [u64]) -> usize,
    fn(u64) -> Option<u64>,
    fn(u64) -> Option<u64>,
    fn(),
    fn() -> unwind::Registers,
    unsafe fn(*const core::ffi::c_void) -> unwind::Registers,
) = (
    unwind::capture,
    unwind::probe_read,
    unwind::probe_fixup,
    unwind::forget,
    unwind::Registers::current,
    unwind::Registers::from_ucontext,
);

/// Write watch: see `watch` of the platform.
#[expect(clippy::type_complexity, reason = "as above")]
const _WATCH_CONTRACT: (
    unsafe fn(usize, usize, usize, CommitPolicy) -> Result<NonNull<u8>, (Op, Errno)>,
    unsafe fn(NonNull<u8>, usize) -> Result<(), Errno>,
    unsafe fn(NonNull<u8>, usize, bool, &mut Extents<'_>) -> Result<usize, Errno>,
    unsafe fn(NonNull<u8>, usize) -> Result<(), Errno>,
    fn(GuardKind) -> bool,
) = (reserve_watched, watch_again, written, forget_written, can_watch_guards);

/// Faults: see `faults` for what is asked, and `signals` or `vectored` of the platform.
#[expect(clippy::type_complexity, reason = "as above")]
const _FAULT_CONTRACT: (
    fn(FaultHook) -> Result<(), Errno>,
    fn(&Context<'_>, fn() -> Answer) -> Answer,
    fn(fn() -> Answer) -> Answer,
    fn() -> u32,
    fn(&[u8]),
    fn(),
) = (watch_faults, on_roomy_stack, without_signals, generation, write_error, yield_now);

/// Threads: two words that each has of its own, a call when it ends, and a barrier for all.
#[expect(clippy::type_complexity, reason = "as above")]
const _THREAD_CONTRACT: (
    fn() -> *mut u8,
    fn(*mut u8),
    fn() -> *mut u8,
    fn(*mut u8),
    fn(fn(*mut u8), *mut u8) -> Result<(), Errno>,
    fn() -> bool,
) = (
    thread_word,
    set_thread_word,
    thread_stage,
    set_thread_stage,
    call_at_thread_end,
    pass_barrier,
);
