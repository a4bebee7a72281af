//! The words of the table.

use granule::win32::{
    MEM_COMMIT, MEM_FREE, MEM_IMAGE, MEM_PRIVATE, MEM_RESERVE, PAGE_NOACCESS, PAGE_READWRITE,
};

pub(crate) const KIB: usize = 1 << 10;
pub(crate) const MIB: usize = 1 << 20;
pub(crate) const TIB: usize = 1 << 40;
/// The notes' address. Programs have nothing there.
pub(crate) const WISH: usize = 0x5678_0000;
/// `STATUS_ACCESS_VIOLATION`
pub(crate) const VIOLATION: u32 = 0xc000_0005;
/// `STATUS_GUARD_PAGE_VIOLATION`
pub(crate) const GUARD_VIOLATION: u32 = 0x8000_0001;

/// A name, steps in order, and where the answers come from. What a row has reserved in slots is
/// released behind it.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) source: &'static str,
    /// Why the row cannot be run here.
    pub(crate) obstacle: Option<fn() -> Option<&'static str>>,
    pub(crate) steps: &'static [Step],
}

pub(crate) const fn row(name: &'static str, source: &'static str, steps: &'static [Step]) -> Row {
    Row { name, source, obstacle: None, steps }
}

/// A call and its answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) call: Call,
    pub(crate) documented: Answer,
    /// What Wine 8 answers, and whence we know what Windows does.
    pub(crate) wine: Option<(Answer, &'static str)>,
    /// `granule::win32` gives whatever the system under it can give: one of the two answers.
    pub(crate) is_systems: bool,
}

/// The answer everywhere.
pub(crate) const fn is(call: Call, answer: Answer) -> Step {
    Step { call, documented: answer, wine: None, is_systems: false }
}

/// The documented answer, that of Wine 8, and the source of the former.
pub(crate) const fn differs(
    call: Call,
    documented: Answer,
    wine: Answer,
    source: &'static str,
) -> Step {
    Step { call, documented, wine: Some((wine, source)), is_systems: false }
}

/// The same, where not every system under `granule::win32` can give the documented answer.
pub(crate) const fn depends(
    call: Call,
    documented: Answer,
    wine: Answer,
    source: &'static str,
) -> Step {
    Step { is_systems: true, ..differs(call, documented, wine, source) }
}

/// An address.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Null,
    At(usize),
    /// So many bytes behind the start of the reservation in a slot.
    In(usize, usize),
    /// So many bytes behind the highest address of programs.
    Highest(usize),
    /// The program's own code.
    Code,
    /// A local variable.
    Stack,
}

pub(crate) use Place::{At, In, Null};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    SystemInfo,
    /// address, size, kind, protection
    Alloc(Place, usize, u32, u32),
    /// address, size, kind
    Free(Place, usize, u32),
    /// address, size, protection
    Protect(Place, usize, u32),
    /// The same without a place for the old protection.
    ProtectBlind(Place, usize, u32),
    Query(Place),
    /// With a buffer of 8 bytes.
    QueryShort(Place),
    Read(Place),
    Write(Place, u8),
    /// The same with a handler that goes on after the first fault.
    WriteOn(Place, u8),
    /// Writes an instruction that returns.
    WriteReturn(Place),
    /// Calls it.
    Execute(Place),
    /// Copies a string and its end, byte by byte, up to the first fault.
    Store(Place, &'static str),
    /// Writes all bytes of a range while a handler commits, page by page, what faults.
    Fill(Place, usize),
    /// Writes the last byte first, then all, with the same handler.
    FillFromEnd(Place, usize),
    /// Lets the system write a byte there (`ReadFile`, `read`), with the same handler.
    SystemWrite(Place),
    Lock(Place, usize),
    Unlock(Place, usize),
    /// `GetWriteWatch`: address, size, flags, room for addresses
    Written(Place, usize, u32, usize),
    /// `ResetWriteWatch`
    Forget(Place, usize),
}

pub(crate) use Call::{
    Alloc, Execute, Fill, FillFromEnd, Forget, Free, Lock, Protect, ProtectBlind, Query,
    QueryShort, Read, Store, SystemInfo, SystemWrite, Unlock, Write, WriteOn, WriteReturn, Written,
};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Done,
    /// The number.
    Error(u32),
    /// This address.
    Address(Place),
    /// Any multiple of 64 KiB; it is remembered in the slot.
    New(usize),
    /// The old rights.
    Old(u32),
    Region(Region),
    Byte(u8),
    /// One of two bytes.
    Bytes(u8, u8),
    /// code, access, address
    Fault(u32, Access, Place),
    /// Calls of the commit handler.
    Faults(usize),
    /// Pages that were written, counted from the start of the row's first reservation.
    Pages(&'static [usize]),
    /// page, granularity, lowest address
    System(u32, u32, usize),
}

pub(crate) use Answer::{Address, Byte, Bytes, Done, Error, Fault, Faults, New, Old, Pages};

/// `ExceptionInformation[0]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Reading = 0,
    Writing = 1,
    Executing = 8,
}

pub(crate) use Access::{Executing, Reading, Writing};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    pub(crate) base: Place,
    pub(crate) len: Len,
    /// `None`: any.
    pub(crate) allocation: Option<(Place, u32)>,
    pub(crate) state: u32,
    /// `None`: any.
    pub(crate) protect: Option<u32>,
    pub(crate) kind: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Len {
    Exactly(usize),
    AtLeast(usize),
}

/// Reserved pages: where, how many bytes, in which reservation.
pub(crate) const fn reserved(base: Place, len: usize, allocation: (Place, u32)) -> Answer {
    Answer::Region(Region {
        base,
        len: Len::Exactly(len),
        allocation: Some(allocation),
        state: MEM_RESERVE,
        protect: Some(0),
        kind: MEM_PRIVATE,
    })
}

/// Committed pages: where, how many bytes, in which reservation, their rights.
pub(crate) const fn committed(
    base: Place,
    len: usize,
    allocation: (Place, u32),
    protect: u32,
) -> Answer {
    Answer::Region(Region {
        base,
        len: Len::Exactly(len),
        allocation: Some(allocation),
        state: MEM_COMMIT,
        protect: Some(protect),
        kind: MEM_PRIVATE,
    })
}

/// Free pages: where, and at least how many bytes.
pub(crate) const fn free(base: Place, len: usize) -> Answer {
    Answer::Region(Region {
        base,
        len: Len::AtLeast(len),
        allocation: Some((Null, 0)),
        state: MEM_FREE,
        protect: Some(PAGE_NOACCESS),
        kind: 0,
    })
}

/// Code of the program.
pub(crate) const IMAGE: Answer = foreign(MEM_IMAGE, None);
/// The stack of this thread.
pub(crate) const STACK: Answer = foreign(MEM_PRIVATE, Some(PAGE_READWRITE));

const fn foreign(kind: u32, protect: Option<u32>) -> Answer {
    Answer::Region(Region {
        base: Place::Null,
        len: Len::AtLeast(4096),
        allocation: None,
        state: MEM_COMMIT,
        protect,
        kind,
    })
}
