//! Lines between two processes: the library's ring and events, and what the system has.
#![allow(unsafe_code, reason = "a message that is read in place")]

use crate::Result;
use granule::section::shared::{Consumer, Event, Producer, Reset, SharedMemory};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A line that is quiet for so long is broken.
const LIMIT: Option<Duration> = Some(Duration::from_secs(20));

/// Room for some messages of the flow.
const CAPACITY: usize = 1 << 20;

/// What a line is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Events,
    Ring,
    RingInPlace,
    Pipe,
    UnixStream,
}

impl Kind {
    pub(crate) const ALL: [Kind; 5] =
        [Kind::Events, Kind::Ring, Kind::RingInPlace, Kind::Pipe, Kind::UnixStream];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::Events => "two events",
            Kind::Ring => "ring, copied in and out",
            Kind::RingInPlace => "ring, read in place",
            Kind::Pipe => "pipe",
            Kind::UnixStream => "unix stream",
        }
    }

    /// Events carry no bytes; how a message is read is no question of round trips.
    pub(crate) const fn has_flow(self) -> bool {
        !matches!(self, Kind::Events)
    }

    pub(crate) const fn has_trips(self) -> bool {
        !matches!(self, Kind::RingInPlace)
    }
}

/// One end of a line.
pub(crate) trait Line {
    fn send(&mut self, bytes: &[u8]) -> Result<()>;

    /// Takes a message as long as `buffer`, and tells the sum of its words.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<u64>;
}

/// The sum of the words of some bytes, so that somebody has read them.
fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(8);
    words.fold(0, |sum, word| {
        sum.wrapping_add(u64::from_ne_bytes(word.try_into().unwrap_or([0; 8])))
    })
}

/// Two streams of the system.
struct Streams<W, R>(W, R);

impl<W: Write, R: Read> Line for Streams<W, R> {
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.write_all(bytes)?;
        Ok(self.0.flush()?)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<u64> {
        self.1.read_exact(buffer)?;
        Ok(sum(buffer))
    }
}

/// A ring for each direction.
struct Rings {
    there: Producer,
    back: Consumer,
    in_place: bool,
}

impl Line for Rings {
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.there.send(bytes, LIMIT)?)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<u64> {
        let message = self.back.receive(LIMIT)?;
        if self.in_place {
            // SAFETY: (1) the other side is this very program.
            return Ok(sum(unsafe { message.bytes() }));
        }
        message.read(0, buffer)?;
        Ok(sum(buffer))
    }
}

/// An event for each direction: what they say is that something has happened.
struct Events {
    ours: Event<'static>,
    theirs: Event<'static>,
}

impl Events {
    fn of(memory: SharedMemory, is_child: bool) -> Result<Self> {
        // It lives as long as the process, as the events do.
        let memory: &'static SharedMemory = Box::leak(Box::new(memory));
        let [first, second] = [memory.event(0, Reset::Auto)?, memory.event(64, Reset::Auto)?];
        let (ours, theirs) = if is_child { (second, first) } else { (first, second) };
        Ok(Events { ours, theirs })
    }
}

impl Line for Events {
    fn send(&mut self, _: &[u8]) -> Result<()> {
        self.ours.set();
        Ok(())
    }

    fn receive(&mut self, _: &mut [u8]) -> Result<u64> {
        self.theirs.wait(LIMIT)?;
        Ok(0)
    }
}

/// The words for the child: the kind, the work, a name.
pub(crate) struct Words<'a> {
    pub(crate) kind: Kind,
    pub(crate) work: &'a str,
    pub(crate) name: &'a str,
}

/// Makes a line, and starts the child that has its other end.
pub(crate) fn start(words: &Words<'_>) -> Result<(Box<dyn Line>, Child)> {
    let mut command = Command::new(std::env::current_exe()?);
    let number = Kind::ALL.iter().position(|&kind| kind == words.kind).unwrap_or(0);
    command.args(["shared-child", &number.to_string(), words.work, words.name]);
    let (there, back) = (format!("{}-there", words.name), format!("{}-back", words.name));
    Ok(match words.kind {
        Kind::Events => {
            let memory = SharedMemory::create(words.name, 128)?;
            (Box::new(Events::of(memory, false)?), command.spawn()?)
        }
        Kind::Ring | Kind::RingInPlace => {
            let there = Producer::create(&there, CAPACITY)?;
            let back = Consumer::create(&back, CAPACITY)?;
            let in_place = words.kind == Kind::RingInPlace;
            (Box::new(Rings { there, back, in_place }), command.spawn()?)
        }
        Kind::Pipe => {
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let input = child.stdin.take().ok_or("it was asked for")?;
            let output = child.stdout.take().ok_or("it was asked for")?;
            (Box::new(Streams(input, output)), child)
        }
        Kind::UnixStream => {
            let (ours, theirs) = UnixStream::pair()?;
            let child = command.stdin(OwnedFd::from(theirs)).spawn()?;
            (Box::new(Streams(ours.try_clone()?, ours)), child)
        }
    })
}

/// The child's end.
pub(crate) fn join(words: &Words<'_>) -> Result<Box<dyn Line>> {
    let (there, back) = (format!("{}-there", words.name), format!("{}-back", words.name));
    Ok(match words.kind {
        Kind::Events => {
            let memory = SharedMemory::open(words.name)?;
            memory.unlink()?; // both are there
            Box::new(Events::of(memory, true)?)
        }
        Kind::Ring | Kind::RingInPlace => {
            let in_place = words.kind == Kind::RingInPlace;
            let (there, back) = (Producer::open(&back)?, Consumer::open(&there)?);
            Box::new(Rings { there, back, in_place })
        }
        Kind::Pipe => {
            // Not the streams of the standard library, which have buffers.
            let input = file_of(std::io::stdin())?;
            let output = file_of(std::io::stdout())?;
            Box::new(Streams(output, input))
        }
        Kind::UnixStream => {
            let stream = UnixStream::from(owned(std::io::stdin())?);
            Box::new(Streams(stream.try_clone()?, stream))
        }
    })
}

fn owned(stream: impl std::os::fd::AsFd) -> Result<OwnedFd> {
    Ok(stream.as_fd().try_clone_to_owned()?)
}

fn file_of(stream: impl std::os::fd::AsFd) -> Result<std::fs::File> {
    Ok(std::fs::File::from(owned(stream)?))
}
