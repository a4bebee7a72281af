//! Floor 4, pure. What the broken process tells the supervisor: a fixed record of plain data.
//!
//! The handler fills a [`Record`] on its stack, sends its bytes through a socket and waits for one
//! byte of answer; `granule stomp` decodes it, reads the rest from the waiting process, and prints.
//! A [`Notice`] is a sentence by number that needs no answer.
#![forbid(unsafe_code)]

use super::options::{DEPTH_MAX, Placement};

/// What happened: exactly the six words of the report.
///
/// ```
/// use granule::stomp::record::Kind;
/// assert_eq!(Kind::UseAfterFree.word(), "use-after-free");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A read or write behind the end of a live block.
    Overflow,
    /// A read or write before the start of a live block.
    Underflow,
    /// A read or write of a freed block.
    UseAfterFree,
    /// A block freed (or reallocated) a second time.
    DoubleFree,
    /// A pointer freed that is no block's start.
    InvalidFree,
    /// Bytes next to a block, on its own pages, were overwritten some time before now.
    SlackOverwrite,
}

impl Kind {
    /// All six, in the order of their numbers on the wire.
    pub const ALL: [Kind; 6] = [
        Kind::Overflow,
        Kind::Underflow,
        Kind::UseAfterFree,
        Kind::DoubleFree,
        Kind::InvalidFree,
        Kind::SlackOverwrite,
    ];

    /// The word in reports and JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Overflow => "overflow",
            Kind::Underflow => "underflow",
            Kind::UseAfterFree => "use-after-free",
            Kind::DoubleFree => "double-free",
            Kind::InvalidFree => "invalid-free",
            Kind::SlackOverwrite => "slack-overwrite",
        }
    }
}

/// What the guilty instruction did.
///
/// ```
/// use granule::stomp::record::Access;
/// let done = |access| if access == Access::Write { "written" } else { "read" };
/// assert_eq!(done(Access::Read), "read");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// It read.
    Read,
    /// It wrote.
    Write,
}

/// Where an address lies, seen from a block.
///
/// ```
/// use granule::stomp::record::Side;
/// let says = |side, distance: u64| match side {
///     Side::After => format!("{distance} bytes after"),
///     Side::Before => format!("{distance} bytes before"),
///     Side::Inside => format!("{distance} bytes inside"),
/// };
/// assert_eq!(says(Side::After, 3), "3 bytes after");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// At or behind the end; distance 0 is the first byte behind it.
    After,
    /// Before the start; distance 1 is the last byte before it.
    Before,
    /// Inside; the distance counts from the start.
    Inside,
}

/// Return addresses, innermost first.
///
/// ```
/// use granule::stomp::record::Stack;
/// assert_eq!(Stack::from_frames([0x1000, 0x2000]).frames(), [0x1000, 0x2000]);
/// assert!(Stack::EMPTY.frames().is_empty());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    len: usize,
    frames: [u64; DEPTH_MAX],
}

impl Stack {
    /// A stack of which nothing is known.
    pub const EMPTY: Stack = Stack { len: 0, frames: [0; DEPTH_MAX] };

    /// Keeps the first [`DEPTH_MAX`] of `frames`.
    pub fn from_frames(frames: impl IntoIterator<Item = u64>) -> Self {
        let mut stack = Stack::EMPTY;
        for (slot, frame) in stack.frames.iter_mut().zip(frames) {
            *slot = frame;
            stack.len += 1;
        }
        stack
    }

    /// The return addresses, innermost first.
    pub fn frames(&self) -> &[u64] {
        &self.frames[..self.len]
    }
}

/// The block that the report is about.
///
/// ```
/// use granule::stomp::record::Block;
/// let block = Block {
///     address: 0x1fe0,
///     size: 32,
///     pages_address: 0x1000,
///     pages_len: 4096,
///     allocated_tid: 71,
///     freed_tid: 0,
/// };
/// assert_eq!(block.address + block.size, block.pages_address + block.pages_len);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its first byte.
    pub address: u64,
    /// The size that was asked for, in bytes.
    pub size: u64,
    /// First byte of the pages that are (or were) accessible for it.
    pub pages_address: u64,
    /// Bytes of those pages; 0 for a block of size 0.
    pub pages_len: u64,
    /// The thread that allocated it (kernel number).
    pub allocated_tid: u32,
    /// The thread that freed it; 0 while it lives.
    pub freed_tid: u32,
}

/// One crime, as plain data.
///
/// ```
/// use granule::stomp::Placement;
/// use granule::stomp::record::{Access, Kind, Message, Record, Side, Stack};
/// let record = Record {
///     kind: Kind::InvalidFree,
///     access: None,
///     pid: 71,
///     tid: 71,
///     address: 0x7fff_0000,
///     side: Side::Inside,
///     distance: 0,
///     block: None,
///     placement: Placement::End,
///     exact: false,
///     at_exit: false,
///     accessed: Stack::from_frames([0x1000]),
///     allocated: Stack::EMPTY,
///     freed: Stack::EMPTY,
/// };
/// let message = Message::Report(record);
/// let arrived = Message::from_bytes(&message.to_bytes());
/// assert!(matches!(arrived, Some(Message::Report(record)) if record.kind == Kind::InvalidFree));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What happened.
    pub kind: Kind,
    /// What the instruction did; `None` where no access of memory is meant (double and invalid
    /// free).
    pub access: Option<Access>,
    /// The process.
    pub pid: u32,
    /// The thread (kernel number).
    pub tid: u32,
    /// The address touched, or freed, or the first overwritten byte of slack.
    pub address: u64,
    /// Where it lies, seen from the block.
    pub side: Side,
    /// Bytes between it and the block, see [`Side`].
    pub distance: u64,
    /// The block; `None` for an invalid free with no block near.
    pub block: Option<Block>,
    /// Which side the run guarded to the byte.
    pub placement: Placement,
    /// True when the first frame of `accessed` is the guilty instruction itself and not a return
    /// address.
    pub exact: bool,
    /// True when the damage was found by the sweep at exit.
    pub at_exit: bool,
    /// The stack of the access, or of the free, or of the check that found the damage.
    pub accessed: Stack,
    /// The stack of the allocation.
    pub allocated: Stack,
    /// The stack of the free.
    pub freed: Stack,
}

/// Sentences that need no answer.
///
/// ```
/// use granule::stomp::record::{Message, Notice};
/// let packet = Message::Notice(Notice::GuardedOf, 71, [30_000, 40_000]).to_bytes();
/// assert!(matches!(
///     Message::from_bytes(&packet),
///     Some(Message::Notice(Notice::GuardedOf, 71, [30_000, 40_000]))
/// ));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Guards are protection changes: slower, and limited to about half of `numbers[0]` mappings.
    SplitGuards,
    /// From now on blocks are not guarded: there are no more mappings for guards. `numbers` = live
    /// guarded blocks, the map limit.
    GuardingStops,
    /// At exit: `numbers` = blocks guarded, blocks allocated (only sent when they differ).
    GuardedOf,
    /// The program brings its own malloc: nothing is guarded in this process.
    OwnAllocator,
    /// The region could not be reserved; `numbers[0]` = errno. The process ends.
    NoRegion,
    /// No memory or address space for a block of `numbers[0]` bytes: malloc returned null.
    OutOfMemory,
    /// The pages of a freed block could not be made inaccessible; `numbers[0]` = errno. A use after
    /// free of that block goes unseen.
    FreedNotHidden,
}

impl Notice {
    /// All, in the order of their numbers on the wire.
    pub const ALL: [Notice; 7] = [
        Notice::SplitGuards,
        Notice::GuardingStops,
        Notice::GuardedOf,
        Notice::OwnAllocator,
        Notice::NoRegion,
        Notice::OutOfMemory,
        Notice::FreedNotHidden,
    ];
}

/// What travels through the socket: one packet each.
///
/// ```
/// use granule::stomp::record::Message;
/// assert_eq!(Message::from_bytes(b"something else"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is no allocator to box it with")]
pub enum Message {
    /// A crime; the sender waits for one byte of answer before its process goes on to die.
    Report(Record),
    /// A sentence: which, from which process, and its numbers.
    Notice(Notice, u32, [u64; 2]),
}

const MAGIC: u64 = u64::from_le_bytes(*b"GRANSTMP");
/// The version of the wire form; both ends are built together, so any difference is an error.
const VERSION: u64 = 1;
const STACK_WORDS: usize = 1 + DEPTH_MAX;
const WORDS: usize = 20 + 3 * STACK_WORDS;

/// Bytes of a message on the wire.
pub const MESSAGE_LEN: usize = WORDS * 8;

impl Message {
    /// The packet.
    pub fn to_bytes(&self) -> [u8; MESSAGE_LEN] {
        let mut out = Writer { bytes: [0; MESSAGE_LEN], word: 0 };
        out.put(MAGIC);
        out.put(VERSION);
        match self {
            Message::Notice(notice, pid, numbers) => {
                out.put(1);
                out.put(*notice as u64);
                out.put((*pid).into());
                numbers.iter().for_each(|&number| out.put(number));
            }
            Message::Report(record) => {
                out.put(0);
                put_record(&mut out, record);
            }
        }
        out.bytes
    }

    /// The message in a packet; `None` if it is not one of this version.
    pub fn from_bytes(bytes: &[u8]) -> Option<Message> {
        let mut input = Reader { bytes };
        if input.take()? != MAGIC || input.take()? != VERSION {
            return None;
        }
        match input.take()? {
            0 => take_record(&mut input).map(Message::Report),
            1 => {
                let notice = *Notice::ALL.get(usize::try_from(input.take()?).ok()?)?;
                let pid = input.take_u32()?;
                Some(Message::Notice(notice, pid, [input.take()?, input.take()?]))
            }
            _ => None,
        }
    }
}

fn put_record(out: &mut Writer, record: &Record) {
    out.put(record.kind as u64);
    out.put(record.access.map_or(0, |access| 1 + access as u64));
    out.put(record.pid.into());
    out.put(record.tid.into());
    out.put(record.address);
    out.put(record.side as u64);
    out.put(record.distance);
    out.put(record.placement as u64);
    out.put(record.exact.into());
    out.put(record.at_exit.into());
    out.put(record.block.is_some().into());
    let none = Block {
        address: 0,
        size: 0,
        pages_address: 0,
        pages_len: 0,
        allocated_tid: 0,
        freed_tid: 0,
    };
    let block = record.block.unwrap_or(none);
    out.put(block.address);
    out.put(block.size);
    out.put(block.pages_address);
    out.put(block.pages_len);
    out.put(block.allocated_tid.into());
    out.put(block.freed_tid.into());
    for stack in [&record.accessed, &record.allocated, &record.freed] {
        out.put(stack.len as u64);
        stack.frames.iter().for_each(|&frame| out.put(frame));
    }
}

fn take_record(input: &mut Reader<'_>) -> Option<Record> {
    let kind = *Kind::ALL.get(usize::try_from(input.take()?).ok()?)?;
    let access = match input.take()? {
        0 => None,
        1 => Some(Access::Read),
        2 => Some(Access::Write),
        _ => return None,
    };
    let (pid, tid) = (input.take_u32()?, input.take_u32()?);
    let address = input.take()?;
    let side = *[Side::After, Side::Before, Side::Inside].get(input.take()? as usize)?;
    let distance = input.take()?;
    let placement = *[Placement::End, Placement::Start].get(input.take()? as usize)?;
    let (exact, at_exit) = (input.take()? != 0, input.take()? != 0);
    let has_block = input.take()? != 0;
    let block = Block {
        address: input.take()?,
        size: input.take()?,
        pages_address: input.take()?,
        pages_len: input.take()?,
        allocated_tid: input.take_u32()?,
        freed_tid: input.take_u32()?,
    };
    Some(Record {
        kind,
        access,
        pid,
        tid,
        address,
        side,
        distance,
        block: has_block.then_some(block),
        placement,
        exact,
        at_exit,
        accessed: take_stack(input)?,
        allocated: take_stack(input)?,
        freed: take_stack(input)?,
    })
}

fn take_stack(input: &mut Reader<'_>) -> Option<Stack> {
    let len = usize::try_from(input.take()?).ok().filter(|&len| len <= DEPTH_MAX)?;
    let mut stack = Stack { len, frames: [0; DEPTH_MAX] };
    for frame in &mut stack.frames {
        *frame = input.take()?;
    }
    Some(stack)
}

/// Words of eight bytes, little-endian, one after the other.
struct Writer {
    bytes: [u8; MESSAGE_LEN],
    word: usize,
}

impl Writer {
    fn put(&mut self, value: u64) {
        let start = self.word * 8;
        self.bytes[start..start + 8].copy_from_slice(&value.to_le_bytes());
        self.word += 1;
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn take(&mut self) -> Option<u64> {
        let (word, rest) = self.bytes.split_first_chunk::<8>()?;
        self.bytes = rest;
        Some(u64::from_le_bytes(*word))
    }

    fn take_u32(&mut self) -> Option<u32> {
        self.take()?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            kind: Kind::UseAfterFree,
            access: Some(Access::Write),
            pid: 71,
            tid: 72,
            address: 0x7f00_0000_1018,
            side: Side::Inside,
            distance: 24,
            block: Some(Block {
                address: 0x7f00_0000_1000,
                size: 40,
                pages_address: 0x7f00_0000_1000,
                pages_len: 4096,
                allocated_tid: 71,
                freed_tid: 72,
            }),
            placement: Placement::Start,
            exact: true,
            at_exit: false,
            accessed: Stack::from_frames([1, 2, 3]),
            allocated: Stack::from_frames(0..99),
            freed: Stack::EMPTY,
        }
    }

    #[test]
    fn what_is_sent_arrives() {
        for kind in Kind::ALL {
            for access in [None, Some(Access::Read), Some(Access::Write)] {
                let message = Message::Report(Record { kind, access, ..record() });
                assert_eq!(Message::from_bytes(&message.to_bytes()), Some(message));
            }
        }
        let message = Message::Report(Record { block: None, ..record() });
        assert!(matches!(
            Message::from_bytes(&message.to_bytes()),
            Some(Message::Report(Record { block: None, .. }))
        ));
        for notice in Notice::ALL {
            let message = Message::Notice(notice, 5, [6, 7]);
            assert_eq!(Message::from_bytes(&message.to_bytes()), Some(message));
        }
    }

    #[test]
    fn foreign_bytes_are_refused() {
        let good = Message::Report(record()).to_bytes();
        assert_eq!(Message::from_bytes(&good[..good.len() - 8]), None);
        assert_eq!(Message::from_bytes(b"hello"), None);
        for (position, value) in [(0, 0), (8, 9), (16, 7), (24, 6), (32, 3)] {
            let mut bad = good;
            bad[position] = value;
            assert_eq!(Message::from_bytes(&bad), None, "byte {position}");
        }
    }
}
