//! Floor 4, uses floors 0 to 3. Messages where they lie: room to write one, and one to be read.

use super::ring::{Consumer, Producer};
use crate::ds::messages::Place;
use crate::error::{Error, ErrorKind, Op};
use core::fmt;
use core::mem::ManuallyDrop;

/// Room for a message in the ring. It is sent by [`commit`](Self::commit); dropped, it was never
/// there.
///
/// ```
/// use granule::section::shared::{Consumer, Producer};
/// # let name = format!("granule-doc-slot-{}", std::process::id());
/// # let name = name.as_str();
/// let Ok(mut producer) = Producer::create(name, 4096) else { return Ok(()) };
/// let mut consumer = Consumer::open(name)?;
/// let mut slot = producer.reserve(100, None)?;
/// slot.write(0, b"in ")?;
/// slot.write(3, b"place")?;
/// slot.commit_len(8); // it became shorter
/// assert_eq!(consumer.receive(None)?.len(), 8);
/// # Ok::<(), granule::Error>(())
/// ```
#[must_use]
pub struct Slot<'a> {
    producer: &'a mut Producer,
    place: Place,
}

impl<'a> Slot<'a> {
    pub(super) const fn new(producer: &'a mut Producer, place: Place) -> Self {
        Slot { producer, place }
    }

    /// Bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.place.len
    }

    /// True for a message without bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.place.len == 0
    }

    /// Copies bytes into the message, from its byte `offset` on, word by word. What is not written
    /// is what an earlier message has left there.
    ///
    /// # Errors
    /// - `OutOfRange`: they leave the message. Nothing was written.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        if offset > self.len() || bytes.len() > self.len() - offset {
            return Err(Error::new(Op::Send, ErrorKind::OutOfRange, offset, bytes.len(), 0));
        }
        self.producer.side().lanes().copy_in(self.place.at, offset, bytes);
        Ok(())
    }

    /// The message as a slice, to be made in place. It reads what an earlier message has left.
    ///
    /// # Safety
    /// 1. While the slice is used, no other process reads or writes this place: the consumer is a
    ///    program that keeps to the protocol, and nobody makes the memory shorter.
    pub unsafe fn bytes_mut(&mut self) -> &mut [u8] {
        let len = self.len();
        let words = &self.producer.side().lanes().words[self.place.at..];
        let first = words.as_ptr().cast_mut().cast::<u8>();
        // SAFETY: so many bytes of the ring are this message's; (1); the words may be written, and
        // nobody else in this process has a slice of them, because the producer is borrowed.
        unsafe { core::slice::from_raw_parts_mut(first, len) }
    }

    /// Sends it.
    pub fn commit(self) {
        let len = self.len();
        self.commit_len(len);
    }

    /// Sends the first `len` bytes of it.
    ///
    /// # Panics
    /// If it is not so long.
    pub fn commit_len(self, len: usize) {
        assert!(len <= self.len(), "a message of {} bytes has no {len}", self.len());
        self.producer.commit(self.place, len);
    }
}

impl fmt::Debug for Slot<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Slot({} bytes)", self.len())
    }
}

/// A message, where it lies in the ring. Dropping it gives its place back to the producer.
///
/// ```
/// use granule::section::shared::{Consumer, Producer};
/// # let name = format!("granule-doc-message-{}", std::process::id());
/// # let name = name.as_str();
/// let Ok(mut producer) = Producer::create(name, 4096) else { return Ok(()) };
/// let mut consumer = Consumer::open(name)?;
/// producer.send(b"head and tail", None)?;
/// let message = consumer.receive(None)?;
/// let mut tail = [0; 4];
/// message.read(9, &mut tail)?;
/// assert_eq!(&tail, b"tail");
/// # Ok::<(), granule::Error>(())
/// ```
pub struct Message<'a> {
    consumer: &'a mut Consumer,
    place: Place,
}

impl<'a> Message<'a> {
    pub(super) const fn new(consumer: &'a mut Consumer, place: Place) -> Self {
        Message { consumer, place }
    }

    /// Bytes: as the producer says, and no more than lie there.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.place.len
    }

    /// True for a message without bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.place.len == 0
    }

    /// Copies bytes of the message, from its byte `offset` on, word by word.
    ///
    /// # Errors
    /// - `OutOfRange`: they leave the message. Nothing was read.
    /// - `Truncated`: another process has made the memory shorter; what was read may be lost bytes.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<(), Error> {
        if offset > self.len() || bytes.len() > self.len() - offset {
            return Err(Error::new(Op::Receive, ErrorKind::OutOfRange, offset, bytes.len(), 0));
        }
        let side = self.consumer.side();
        side.lanes().copy_out(self.place.at, offset, bytes);
        side.check_len(Op::Receive)
    }

    /// The message as a slice, without a copy.
    ///
    /// # Safety
    /// 1. While the slice is used, no other process writes to this place: the producer is a program
    ///    that keeps to the protocol, and nobody makes the memory shorter.
    #[must_use]
    pub unsafe fn bytes(&self) -> &[u8] {
        let words = &self.consumer.side().lanes().words[self.place.at..];
        // SAFETY: so many bytes of the ring are this message's, as was checked; (1).
        unsafe { core::slice::from_raw_parts(words.as_ptr().cast::<u8>(), self.len()) }
    }

    /// Leaves it in the ring: it is the next one again.
    pub fn keep(self) {
        let _ = ManuallyDrop::new(self);
    }
}

impl Drop for Message<'_> {
    fn drop(&mut self) {
        self.consumer.release(self.place);
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Message({} bytes)", self.len())
    }
}
