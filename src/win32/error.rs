//! Floor 5, pure. The one error of this module: a Win32 number, its name, and what to do about it.
#![forbid(unsafe_code)]

use crate::error::{Error, ErrorKind, Op};
use crate::heap::Finding;
use core::fmt;

/// The system forbids it, or the pages belong to somebody else.
pub const ERROR_ACCESS_DENIED: u32 = 5;
/// There is no such heap, or nobody may do that to it.
pub const ERROR_INVALID_HANDLE: u32 = 6;
/// No free range of addresses is long enough, or a heap has no room.
pub const ERROR_NOT_ENOUGH_MEMORY: u32 = 8;
/// The buffer is shorter than the answer.
pub const ERROR_BAD_LENGTH: u32 = 24;
/// This system cannot do it.
pub const ERROR_NOT_SUPPORTED: u32 = 50;
/// An argument is wrong in itself, or wrong with the others.
pub const ERROR_INVALID_PARAMETER: u32 = 87;
/// A page or a heap to be unlocked is not locked.
pub const ERROR_NOT_LOCKED: u32 = 158;
/// A walk is at its end.
pub const ERROR_NO_MORE_ITEMS: u32 = 259;
/// The addresses are taken, free, or in a state that does not allow the call.
pub const ERROR_INVALID_ADDRESS: u32 = 487;
/// A place for the answer that cannot be written, or pages that cannot be touched.
pub const ERROR_NOACCESS: u32 = 998;
/// The process has no large pages to use.
pub const ERROR_PRIVILEGE_NOT_HELD: u32 = 1314;
/// The system has run out of something that is not memory, such as mappings.
pub const ERROR_NO_SYSTEM_RESOURCES: u32 = 1450;
/// The process may not keep so much in memory.
pub const ERROR_WORKING_SET_QUOTA: u32 = 1453;
/// The system will not promise so much memory.
pub const ERROR_COMMITMENT_LIMIT: u32 = 1455;

/// Why a call failed: decides the number and the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reason {
    SizeZero,
    OutsideAddresses,
    UnknownFlag,
    NothingAsked,
    ResetNotAlone,
    Protection,
    Taken,
    NoRoom,
    NotReserved,
    Released,
    NotCommitted,
    NotAtBase,
    ReleaseWithSize,
    FreeType,
    LeavesReservation,
    NoPlaceForAnswer,
    ShortBuffer,
    NoPromise,
    NoMapping,
    NotOurs,
    CannotDo,
    CannotUndo,
    Untouchable,
    LockLimit,
    NotLocked,
    NotWatched,
    NoLargePages,
    NoSuchHeap,
    LeftByFork,
    ProcessHeap,
    InitialAboveMaximum,
    NoCodeInHeaps,
    HeapFull,
    CannotStay,
    NullBlock,
    NotABlock,
    BlockFree,
    OthersBlock,
    InNoHeap,
    Overrun,
    HeapNotLocked,
    NoMoreItems,
}

impl Reason {
    /// What is wrong with a block that was given to a heap.
    pub(super) const fn of_block(finding: Finding) -> Self {
        match finding {
            Finding::NotABlock => Reason::NotABlock,
            Finding::FreedTwice => Reason::BlockFree,
            Finding::OtherHeap => Reason::OthersBlock,
            Finding::Foreign => Reason::InNoHeap,
        }
    }

    const fn code(self) -> u32 {
        match self {
            Reason::SizeZero
            | Reason::OutsideAddresses
            | Reason::UnknownFlag
            | Reason::NothingAsked
            | Reason::ResetNotAlone
            | Reason::Protection
            | Reason::ReleaseWithSize
            | Reason::FreeType
            | Reason::CannotUndo
            | Reason::NotWatched
            | Reason::InitialAboveMaximum
            | Reason::NullBlock
            | Reason::NotABlock
            | Reason::BlockFree
            | Reason::OthersBlock
            | Reason::InNoHeap
            | Reason::Overrun
            | Reason::LeavesReservation => ERROR_INVALID_PARAMETER,
            Reason::Taken
            | Reason::NotReserved
            | Reason::Released
            | Reason::NotCommitted
            | Reason::NotAtBase => ERROR_INVALID_ADDRESS,
            Reason::NoRoom | Reason::HeapFull | Reason::CannotStay => ERROR_NOT_ENOUGH_MEMORY,
            Reason::NoSuchHeap | Reason::LeftByFork | Reason::ProcessHeap => ERROR_INVALID_HANDLE,
            Reason::NoMoreItems => ERROR_NO_MORE_ITEMS,
            Reason::NoPlaceForAnswer | Reason::Untouchable => ERROR_NOACCESS,
            Reason::NotLocked | Reason::HeapNotLocked => ERROR_NOT_LOCKED,
            Reason::LockLimit => ERROR_WORKING_SET_QUOTA,
            Reason::NoLargePages => ERROR_PRIVILEGE_NOT_HELD,
            Reason::ShortBuffer => ERROR_BAD_LENGTH,
            Reason::NoPromise => ERROR_COMMITMENT_LIMIT,
            Reason::NoMapping => ERROR_NO_SYSTEM_RESOURCES,
            Reason::NotOurs => ERROR_ACCESS_DENIED,
            Reason::CannotDo | Reason::NoCodeInHeaps => ERROR_NOT_SUPPORTED,
        }
    }

    /// What is wrong.
    const fn wrong(self) -> &'static str {
        match self {
            Reason::SizeZero => "the size is 0",
            Reason::OutsideAddresses => "the range leaves the addresses of programs",
            Reason::UnknownFlag => "a flag is unknown, or lacks its companion",
            Reason::NothingAsked => "no kind of allocation is asked for",
            Reason::ResetNotAlone => "MEM_RESET goes with no other flag",
            Reason::Protection => "private memory cannot have this protection",
            Reason::Taken => "somebody has pages in this range, rounded to 64 KiB",
            Reason::NoRoom => "no free range of addresses is long enough",
            Reason::NotReserved => "no one reservation has the whole range",
            Reason::Released => "nothing is reserved at this address",
            Reason::NotCommitted => "a page of the range is not committed",
            Reason::NotAtBase => "the address is not the start of a reservation",
            Reason::ReleaseWithSize => "MEM_RELEASE with a size",
            Reason::FreeType => "neither MEM_DECOMMIT nor MEM_RELEASE, or both",
            Reason::LeavesReservation => "the range leaves its reservation",
            Reason::NoPlaceForAnswer => "no place for the answer",
            Reason::ShortBuffer => "the buffer is too short",
            Reason::NoPromise => "the system will not promise so much memory",
            Reason::NoMapping => "the system has no mapping left",
            Reason::NotOurs => {
                "the range was not reserved by VirtualAlloc, or the system forbids it"
            }
            Reason::CannotDo => "this system cannot do it",
            Reason::CannotUndo => "this system cannot take a reset back",
            Reason::Untouchable => "a page of the range is not committed, or cannot be read",
            Reason::LockLimit => "the process may not keep so much in memory",
            Reason::NotLocked => "a page of the range is not locked",
            Reason::NotWatched => "the range is in no one reservation with MEM_WRITE_WATCH",
            Reason::NoLargePages => "there are no large pages for this process",
            Reason::NoSuchHeap => "there is no such heap, or not any more",
            Reason::LeftByFork => "another thread was in the heap when this process was forked",
            Reason::ProcessHeap => "the heap of the process stays",
            Reason::InitialAboveMaximum => "the heap would begin with more than its maximum",
            Reason::NoCodeInHeaps => "blocks of a heap cannot be code",
            Reason::HeapFull => "the heap has no room for it",
            Reason::CannotStay => "there is no room for it in place",
            Reason::NullBlock => "null is no block",
            Reason::NotABlock => "no block begins at this address",
            Reason::BlockFree => "the block is free",
            Reason::OthersBlock => "the block is of another heap, or of one that is gone",
            Reason::InNoHeap => "no heap has this address",
            Reason::Overrun => "somebody has written behind the end of the block",
            Reason::HeapNotLocked => "this thread has not locked the heap",
            Reason::NoMoreItems => "there are no more entries",
        }
    }

    const fn next_step(self) -> &'static str {
        match self {
            Reason::SizeZero => "give the number of bytes",
            Reason::OutsideAddresses => "GetSystemInfo tells the lowest and the highest address",
            Reason::UnknownFlag => "MEM_WRITE_WATCH wants MEM_RESERVE",
            Reason::NothingAsked => "add MEM_RESERVE, MEM_COMMIT or both",
            Reason::ResetNotAlone => "make two calls of it, with an address",
            Reason::Protection => "give exactly one right, and PAGE_GUARD only with some access",
            Reason::Taken => "let the system choose the address: pass null",
            Reason::NoRoom => "reserve less, or raise `ulimit -v`",
            Reason::NotReserved => "reserve it, or make a call for each",
            Reason::Released => {
                "look whether it was released before; VirtualQuery tells what is there"
            }
            Reason::NotCommitted => "commit it; VirtualQuery tells the states",
            Reason::NotAtBase => "pass AllocationBase, as VirtualQuery tells it",
            Reason::ReleaseWithSize => "pass 0: a reservation goes as a whole",
            Reason::FreeType => "pass exactly one of them",
            Reason::LeavesReservation => "one call for each reservation",
            Reason::NoPlaceForAnswer => "pass Some(&mut value)",
            Reason::ShortBuffer => "pass size_of::<MEMORY_BASIC_INFORMATION>()",
            Reason::NoPromise => "commit less at a time, or raise the commit limit",
            Reason::NoMapping => "raise vm.max_map_count, or change fewer places",
            Reason::NotOurs => "use the owner's own functions",
            Reason::CannotDo => "`granule info` says what it offers",
            Reason::CannotUndo => "keep what is still needed, and reset the rest",
            Reason::Untouchable => "commit it with some right",
            Reason::LockLimit => "raise `ulimit -l`, or the minimum working set",
            Reason::NotLocked => "lock it first",
            Reason::NotWatched => "add MEM_WRITE_WATCH to its MEM_RESERVE",
            Reason::NoLargePages => {
                "have some set aside (vm.nr_hugepages), or get the right to lock pages"
            }
            Reason::NoSuchHeap => "look whether it was destroyed before",
            Reason::LeftByFork => "make a heap of the child's own",
            Reason::ProcessHeap => "make a heap of your own to throw it away",
            Reason::InitialAboveMaximum => "raise the maximum, or pass 0 for none",
            Reason::NoCodeInHeaps => "VirtualAlloc has memory for code",
            Reason::HeapFull => "free some, raise the maximum, or pass 0 for none",
            Reason::CannotStay => "let it move",
            Reason::NullBlock => "HeapAlloc gives new ones",
            Reason::NotABlock => "pass what HeapAlloc has given",
            Reason::BlockFree | Reason::Overrun => {
                "`granule stomp -- PROGRAM` finds out where it went wrong"
            }
            Reason::OthersBlock => "pass the heap that it came from",
            Reason::InNoHeap => "blocks of malloc and Box go back where they came from",
            Reason::HeapNotLocked => "call HeapLock first",
            Reason::NoMoreItems => "begin again with null in lpData",
        }
    }
}

/// A failed call: which one, the number that `GetLastError` would give, and why.
///
/// ```
/// use granule::win32::{ERROR_INVALID_PARAMETER, MEM_RESERVE, PAGE_NOACCESS, VirtualAlloc};
/// // SAFETY: (1) no address is given.
/// let error = unsafe { VirtualAlloc(std::ptr::null(), 0, MEM_RESERVE, PAGE_NOACCESS) };
/// let error = error.expect_err("a size of 0 is refused");
/// assert_eq!((error.code(), error.name()), (ERROR_INVALID_PARAMETER, "ERROR_INVALID_PARAMETER"));
/// println!("{error}"); // VirtualAlloc: ERROR_INVALID_PARAMETER (87): the size is 0; give ..
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Win32Error {
    call: &'static str,
    reason: Reason,
    cause: Option<Error>,
}

impl Win32Error {
    pub(super) const fn new(call: &'static str, reason: Reason) -> Self {
        Win32Error { call, reason, cause: None }
    }

    pub(super) const fn with_cause(call: &'static str, reason: Reason, error: Error) -> Self {
        Win32Error { call, reason, cause: Some(error) }
    }

    /// The number that belongs to a failure of the vm floor.
    pub(super) const fn from_vm(call: &'static str, error: Error) -> Self {
        let reason = match (error.kind(), error.op()) {
            (ErrorKind::AddressTaken, _) => Reason::Taken,
            (ErrorKind::OutOfRange | ErrorKind::Misaligned, _) => Reason::OutsideAddresses,
            (ErrorKind::NoAddressSpace, _) | (ErrorKind::NoMemory, Op::Reserve) => Reason::NoRoom,
            (ErrorKind::NoMemory, _) => Reason::NoPromise,
            (ErrorKind::BadState, _) => Reason::NotCommitted,
            (ErrorKind::Denied, _) => Reason::NotOurs,
            (ErrorKind::Unsupported, _) => Reason::CannotDo,
            // Too many mappings, and what no verb of pages fails with.
            _ => Reason::NoMapping,
        };
        Self::with_cause(call, reason, error)
    }

    /// The same, said of the call that made this one.
    pub(super) const fn of_call(self, call: &'static str) -> Self {
        Win32Error { call, ..self }
    }

    /// The number, as `GetLastError` gives it.
    pub const fn code(&self) -> u32 {
        self.reason.code()
    }

    /// The name of the number in `winerror.h`.
    pub const fn name(&self) -> &'static str {
        match self.code() {
            ERROR_ACCESS_DENIED => "ERROR_ACCESS_DENIED",
            ERROR_INVALID_HANDLE => "ERROR_INVALID_HANDLE",
            ERROR_NO_MORE_ITEMS => "ERROR_NO_MORE_ITEMS",
            ERROR_NOT_ENOUGH_MEMORY => "ERROR_NOT_ENOUGH_MEMORY",
            ERROR_BAD_LENGTH => "ERROR_BAD_LENGTH",
            ERROR_NOT_SUPPORTED => "ERROR_NOT_SUPPORTED",
            ERROR_INVALID_PARAMETER => "ERROR_INVALID_PARAMETER",
            ERROR_INVALID_ADDRESS => "ERROR_INVALID_ADDRESS",
            ERROR_NOACCESS => "ERROR_NOACCESS",
            ERROR_NOT_LOCKED => "ERROR_NOT_LOCKED",
            ERROR_PRIVILEGE_NOT_HELD => "ERROR_PRIVILEGE_NOT_HELD",
            ERROR_WORKING_SET_QUOTA => "ERROR_WORKING_SET_QUOTA",
            ERROR_COMMITMENT_LIMIT => "ERROR_COMMITMENT_LIMIT",
            _ => "ERROR_NO_SYSTEM_RESOURCES",
        }
    }

    /// What the system said; `None` where the call was refused before asking it.
    pub const fn cause(&self) -> Option<Error> {
        self.cause
    }
}

impl fmt::Display for Win32Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wrong, next) = (self.reason.wrong(), self.reason.next_step());
        write!(out, "{}: {} ({}): {wrong}; {next}", self.call, self.name(), self.code())
    }
}

impl core::error::Error for Win32Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as _)
    }
}
