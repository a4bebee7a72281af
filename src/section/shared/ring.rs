//! Floor 4, uses floors 0 to 3. A ring of messages from one process to another.

use super::header::{HEADER_LEN, Header, Side, found_words, words_for};
use super::message::{Message, Slot};
use super::seat::Seat;
use super::wait::{Bell, Wait, wait};
use super::{Options, SharedMemory};
use crate::ds::doorbell;
use crate::ds::messages::{Corrupt, Lanes, Place, Reader, Writer};
use crate::error::{Error, ErrorKind, Op};
use core::fmt;
use core::sync::atomic::Ordering;
use core::time::Duration;

/// The numbers of the sides, of their seats and of their bells.
const PRODUCER: usize = 0;
const CONSUMER: usize = 1;

/// One side of a ring.
pub(super) struct RingSide {
    memory: SharedMemory,
    seat: Option<Seat>,
    bells: [Bell; 2],
    /// Words of messages.
    words: usize,
    us: usize,
}

impl RingSide {
    fn create(options: Options, name: &str, capacity: usize, us: usize) -> Result<Self, Error> {
        let refused = Error::new(Op::Share, ErrorKind::OutOfRange, 0, capacity, 0);
        let words = words_for(capacity).ok_or(refused)?;
        let memory = options.create(name, HEADER_LEN + words * size_of::<u64>())?;
        let side = Self::sit_down(memory, words, us)?;
        side.header().finish(words);
        Ok(side)
    }

    fn open(options: Options, name: &str, us: usize) -> Result<Self, Error> {
        let memory = options.open(name)?;
        let words = found_words(&memory)?;
        let side = Self::sit_down(memory, words, us)?;
        // Both are there: nobody else may come, and nothing is to be left of it.
        side.memory.unlink()?;
        Ok(side)
    }

    /// Takes a side that nobody has ever had.
    fn sit_down(memory: SharedMemory, words: usize, us: usize) -> Result<Self, Error> {
        let taken = memory.error(Op::Share, ErrorKind::AlreadyExists, 0);
        let bells = [Bell::open(&memory, PRODUCER as u64)?, Bell::open(&memory, CONSUMER as u64)?];
        let seat = Seat::take(&memory, us as u64)?.ok_or(taken)?;
        let arrived = &Header::of(&memory).side(us).arrived;
        if arrived.swap(1, Ordering::AcqRel) != 0 {
            return Err(taken);
        }
        Ok(RingSide { memory, seat: Some(seat), bells, words, us })
    }

    fn header(&self) -> &Header {
        Header::of(&self.memory)
    }

    const fn them(&self) -> usize {
        1 - self.us
    }

    fn peer(&self) -> &Side {
        self.header().side(self.them())
    }

    pub(super) fn lanes(&self) -> Lanes<'_> {
        self.header().lanes(&self.memory, self.words)
    }

    pub(super) fn check_len(&self, op: Op) -> Result<(), Error> {
        self.memory.check_len(op)
    }

    /// What a position or a head that cannot be is.
    #[cold]
    fn corrupt(&self, op: Op) -> Error {
        // Lost memory reads zero, and looks like that.
        self.check_len(op).err().unwrap_or(self.memory.error(op, ErrorKind::Corrupt, 0))
    }

    /// The other side has closed in order.
    fn has_peer_left(&self) -> bool {
        self.peer().left.load(Ordering::Acquire) != 0
    }

    /// The other side was there, and is not any more.
    fn is_peer_gone(&self) -> Result<bool, Error> {
        if self.has_peer_left() {
            return Ok(true);
        }
        let has_come = self.peer().arrived.load(Ordering::Acquire) != 0;
        Ok(has_come && !Seat::is_taken(&self.memory, self.them() as u64)?)
    }

    /// Wakes the other side if it sleeps.
    fn ring(&self) {
        let word = &self.peer().asleep;
        if doorbell::must_ring(word) {
            self.bells[self.them()].ring(word, 1);
        }
    }

    fn fall_asleep(&self) {
        doorbell::fall_asleep(&self.header().side(self.us).asleep);
    }

    fn sleep(&self, nanoseconds: u64) -> Result<(), Error> {
        let word = &self.header().side(self.us).asleep;
        let bell = &self.bells[self.us];
        self.memory.sleep(bell, (word, doorbell::ASLEEP), nanoseconds, 0)
    }

    fn wake_up(&self) {
        doorbell::wake_up(&self.header().side(self.us).asleep);
    }
}

impl Drop for RingSide {
    fn drop(&mut self) {
        self.header().side(self.us).left.store(1, Ordering::Release);
        self.ring();
        self.seat = None;
    }
}

impl fmt::Debug for RingSide {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.words * size_of::<u64>();
        write!(out, "({:?}, {len} bytes)", self.memory.name())
    }
}

/// The writing side of a ring of messages between two processes.
///
/// A ring is memory of its own, under a name. One side makes it and the other opens it, no matter
/// which; then the name goes, and whoever dies, nothing is left. A message has any length up to
/// [`longest`](Self::longest), and stays in one piece. There is no lock and no system call between
/// two processes that keep up with each other; whoever has to wait looks again for some 20 us, and
/// sleeps then.
///
/// The other side may be any program, broken or hostile: all that is read from the ring is checked,
/// and copies are made word by word. The idea is Lamport's ("Proving the Correctness of
/// Multiprocess Programs", 1977): one position for each side, which only that side moves.
///
/// ```
/// use granule::section::shared::{Consumer, Producer};
/// # let name = format!("granule-doc-ring-{}", std::process::id());
/// # let name = name.as_str();
/// let Ok(mut producer) = Producer::create(name, 64 << 10) else { return Ok(()) };
/// let mut consumer = Consumer::open(name)?; // in another process
/// producer.send(b"hello", None)?;
/// let message = consumer.receive(None)?;
/// let mut text = [0; 5];
/// message.read(0, &mut text)?;
/// assert_eq!(&text, b"hello");
/// drop(message);
/// drop(producer);
/// assert_eq!(consumer.receive(None).unwrap_err().kind(), granule::ErrorKind::PeerGone);
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias("spsc", "queue", "channel", "pipe", "ring buffer"))]
pub struct Producer {
    side: RingSide,
    writer: Writer,
}

/// The reading side of a ring of messages between two processes: see [`Producer`].
///
/// ```
/// use granule::section::shared::{Consumer, Producer};
/// # let name = format!("granule-doc-consumer-{}", std::process::id());
/// # let name = name.as_str();
/// let Ok(mut consumer) = Consumer::create(name, 4096) else { return Ok(()) };
/// assert!(consumer.try_receive()?.is_none());
/// let mut producer = Producer::open(name)?;
/// producer.send(&[1, 2, 3], None)?;
/// assert_eq!(consumer.receive(None)?.len(), 3);
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Debug)]
pub struct Consumer {
    side: RingSide,
    reader: Reader,
}

/// What both sides have, word for word.
macro_rules! side {
    ($side:ident, $number:ident, $part:ident: $new:expr) => {
        impl $side {
            /// Makes a ring of `capacity` bytes at least, rounded up to a power of two, and this
            /// side of it.
            ///
            /// Those of [`SharedMemory::create`] and [`SharedMemory::take_seat`]; on Windows also
            /// `CreateSemaphore`.
            ///
            /// # Errors
            /// As there. `OutOfRange`: the capacity is 0, or leaves the addresses.
            pub fn create(name: &str, capacity: usize) -> Result<Self, Error> {
                Self::create_with(SharedMemory::options(), name, capacity)
            }

            /// The same with [`Options`].
            ///
            /// # Errors
            /// As for [`create`](Self::create).
            pub fn create_with(
                options: Options,
                name: &str,
                capacity: usize,
            ) -> Result<Self, Error> {
                let side = RingSide::create(options, name, capacity, $number)?;
                Ok($side { side, $part: $new })
            }

            /// Opens a ring that the other side has made, for this side. Then its name goes: Linux
            /// removes it, on Windows it goes with the last handle.
            ///
            /// Those of [`SharedMemory::open`], [`SharedMemory::take_seat`] and
            /// [`SharedMemory::unlink`]; on Windows also `CreateSemaphore`.
            ///
            /// # Errors
            /// - As there.
            /// - `NotFound`: there is none of that name, or it is not finished yet.
            /// - `AlreadyExists`: somebody has, or has had, this side of it.
            /// - `Corrupt`: what has the name is no ring, or one of another version.
            pub fn open(name: &str) -> Result<Self, Error> {
                Self::open_with(SharedMemory::options(), name)
            }

            /// The same with [`Options`].
            ///
            /// # Errors
            /// As for [`open`](Self::open).
            pub fn open_with(options: Options, name: &str) -> Result<Self, Error> {
                let side = RingSide::open(options, name, $number)?;
                Ok($side { side, $part: $new })
            }

            /// Bytes of the longest message: a little less than half of the ring.
            #[must_use]
            pub fn longest(&self) -> usize {
                self.side.lanes().longest()
            }

            /// True when the other side has closed, or its process has ended; false if it has not
            /// come yet.
            ///
            /// Linux: fcntl(F_OFD_GETLK). Windows: `OpenFileMapping`.
            ///
            /// # Errors
            /// - `NoMemory`, `Denied`, `Other`: the system does not say.
            pub fn is_peer_gone(&self) -> Result<bool, Error> {
                self.side.is_peer_gone()
            }

            pub(super) const fn side(&self) -> &RingSide {
                &self.side
            }
        }
    };
}

side!(Producer, PRODUCER, writer: Writer::new());
side!(Consumer, CONSUMER, reader: Reader::new());

impl Producer {
    /// Sends a message; waits for room as long as `limit` says, with `None` for ever.
    ///
    /// Where the other side sleeps: futex; where this one has to: clock_gettime, futex,
    /// fcntl(F_OFD_GETLK). Windows: `ReleaseSemaphore`; `GetTickCount64`, `WaitForSingleObject`,
    /// `OpenFileMapping`.
    ///
    /// # Errors
    /// Nothing was sent.
    /// - `OutOfRange`: it is longer than [`longest`](Self::longest).
    /// - `TimedOut`: there was no room in that time. With `Some(Duration::ZERO)` this is one look.
    /// - `PeerGone`: the consumer has closed; or its process has ended, and the ring is full.
    /// - `Corrupt`: the consumer has written what must not be there.
    /// - `Truncated`: another process has made the memory shorter.
    pub fn send(&mut self, bytes: &[u8], limit: Option<Duration>) -> Result<(), Error> {
        let place = self.room(bytes.len(), limit)?;
        self.side.lanes().copy_in(place.at, 0, bytes);
        self.commit(place, bytes.len());
        Ok(())
    }

    /// Room for a message of `len` bytes, to be made in place; waits as [`send`](Self::send) does.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn reserve(&mut self, len: usize, limit: Option<Duration>) -> Result<Slot<'_>, Error> {
        let place = self.room(len, limit)?;
        Ok(Slot::new(self, place))
    }

    /// The same without waiting: `None` if there is no room.
    ///
    /// # Errors
    /// As for [`send`](Self::send), but for `TimedOut`.
    pub fn try_reserve(&mut self, len: usize) -> Result<Option<Slot<'_>>, Error> {
        match self.room(len, Some(Duration::ZERO)) {
            Ok(place) => Ok(Some(Slot::new(self, place))),
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn room(&mut self, len: usize, limit: Option<Duration>) -> Result<Place, Error> {
        let refused = |kind| Error::new(Op::Send, kind, 0, len, 0);
        if len > self.longest() {
            return Err(refused(ErrorKind::OutOfRange));
        }
        if self.side.has_peer_left() {
            return Err(refused(ErrorKind::PeerGone));
        }
        let Producer { side, writer } = self;
        wait(&mut End { side, work: Work::Room(writer, len) }, limit)
    }

    pub(super) fn commit(&mut self, place: Place, len: usize) {
        self.writer.commit(&self.side.lanes(), place, len);
        self.side.ring();
    }
}

impl Consumer {
    /// The next message; waits for it as long as `limit` says, with `None` for ever. Whatever the
    /// producer has sent before it ended is received first.
    ///
    /// The calls are those of [`Producer::send`].
    ///
    /// # Errors
    /// - `TimedOut`: none came in that time.
    /// - `PeerGone`: there is none, and the producer has closed or its process has ended.
    /// - `Corrupt`: the producer has written what must not be there.
    /// - `Truncated`: another process has made the memory shorter.
    pub fn receive(&mut self, limit: Option<Duration>) -> Result<Message<'_>, Error> {
        let Consumer { side, reader } = self;
        let place = wait(&mut End { side, work: Work::Next(reader) }, limit)?;
        Ok(Message::new(self, place))
    }

    /// The same without waiting: `None` if there is none.
    ///
    /// # Errors
    /// As for [`receive`](Self::receive), but for `TimedOut`. `PeerGone`: the producer has closed;
    /// that its process has ended is told by [`is_peer_gone`](Self::is_peer_gone).
    pub fn try_receive(&mut self) -> Result<Option<Message<'_>>, Error> {
        let has_left = self.side.has_peer_left();
        match self.reader.next(&self.side.lanes()) {
            Ok(Some(place)) => Ok(Some(Message::new(self, place))),
            Ok(None) if has_left => {
                Err(self.side.memory.error(Op::Receive, ErrorKind::PeerGone, 0))
            }
            Ok(None) => Ok(None),
            Err(Corrupt) => Err(self.side.corrupt(Op::Receive)),
        }
    }

    pub(super) fn release(&mut self, place: Place) {
        self.reader.release(&self.side.lanes(), place);
        self.side.ring();
    }
}

/// What a side waits for.
enum Work<'a> {
    Room(&'a mut Writer, usize),
    Next(&'a mut Reader),
}

struct End<'a> {
    side: &'a RingSide,
    work: Work<'a>,
}

impl End<'_> {
    const fn op(&self) -> Op {
        match self.work {
            Work::Room(..) => Op::Send,
            Work::Next(_) => Op::Receive,
        }
    }
}

impl Wait for End<'_> {
    type Got = Place;

    fn attempt(&mut self) -> Result<Option<Place>, Error> {
        let lanes = self.side.lanes();
        let found = match &mut self.work {
            Work::Room(writer, len) => writer.room(&lanes, *len),
            Work::Next(reader) => reader.next(&lanes),
        };
        found.map_err(|Corrupt| self.side.corrupt(self.op()))
    }

    fn announce(&mut self) {
        self.side.fall_asleep();
    }

    fn sleep(&mut self, nanoseconds: u64) -> Result<(), Error> {
        self.side.sleep(nanoseconds).map_err(|error| error.as_part_of(self.op()))
    }

    fn retract(&mut self) {
        self.side.wake_up();
    }

    fn is_hopeless(&mut self) -> Result<bool, Error> {
        let op = self.op();
        self.side.check_len(op)?;
        self.side.is_peer_gone().map_err(|error| error.as_part_of(op))
    }

    fn error(&self, kind: ErrorKind) -> Error {
        let len = if let Work::Room(_, len) = self.work { len } else { 0 };
        Error::new(self.op(), kind, 0, len, 0)
    }
}
