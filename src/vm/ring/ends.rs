//! Floor 2, uses floors 0 and 1. The two ends of a ring, for one thread each.

use super::{Core, copy};
use crate::ds::positions::End;

/// The end of a [`Ring`](super::Ring) that writes; from [`Ring::split`](super::Ring::split).
///
/// ```
/// let mut ring = granule::vm::Ring::new(1)?;
/// let (mut producer, consumer) = ring.split();
/// producer.spare()[0] = b'A';
/// producer.fill(1);
/// assert_eq!(consumer.filled(), b"A");
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Debug)]
pub struct Producer<'a> {
    core: &'a Core,
}

/// The end of a [`Ring`](super::Ring) that reads; from [`Ring::split`](super::Ring::split).
///
/// ```
/// let mut ring = granule::vm::Ring::new(1)?;
/// ring.write(b"AB");
/// let (producer, mut consumer) = ring.split();
/// drop(producer);
/// consumer.consume(1);
/// assert_eq!((consumer.filled(), consumer.is_abandoned()), (&b"B"[..], true));
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Debug)]
pub struct Consumer<'a> {
    core: &'a Core,
}

/// Both ends. The caller has the ring mutably, so that there are no others.
pub(super) fn of(core: &Core) -> (Producer<'_>, Consumer<'_>) {
    (Producer { core }, Consumer { core })
}

impl Producer<'_> {
    /// All free bytes, in one slice; more may become free while it is held. What is written there
    /// is kept by [`fill`](Self::fill).
    ///
    /// # Panics
    /// In the child of a fork.
    pub fn spare(&mut self) -> &mut [u8] {
        // SAFETY: there is one producer, and it is borrowed for as long as the slice lives, so it
        // neither makes another nor fills; the consumer does not touch spare bytes. They are
        // mapped, and initialised by the system.
        unsafe { self.core.spare().as_mut() }
    }

    /// Passes the first `len` bytes of [`spare`](Self::spare) on to the consumer.
    ///
    /// # Panics
    /// If fewer are spare; in the child of a fork.
    pub fn fill(&mut self, len: usize) {
        // SAFETY: (1) the one producer, mutably, so no slice of it lives.
        unsafe { self.core.fill(len) }
    }

    /// Passes as many of `bytes` on as there is room for, and says how many.
    ///
    /// # Panics
    /// In the child of a fork.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let len = copy(bytes, self.spare());
        self.fill(len);
        len
    }

    /// How many bytes are free. Never more than there are; more may come at any time.
    pub fn spare_len(&self) -> usize {
        self.core.positions.spare().len
    }

    /// True when the consumer has been dropped: nobody will read what is written now.
    pub fn is_abandoned(&self) -> bool {
        self.core.positions.is_gone(End::Consumer)
    }
}

impl Consumer<'_> {
    /// All filled bytes, oldest first, in one slice; more may be filled while it is held.
    ///
    /// # Panics
    /// In the child of a fork.
    pub fn filled(&self) -> &[u8] {
        // SAFETY: there is one consumer, and it is borrowed for as long as the slice lives, so it
        // does not consume; the producer does not touch filled bytes. They are mapped, and
        // initialised by the system.
        unsafe { self.core.filled().as_ref() }
    }

    /// Gives the first `len` bytes of [`filled`](Self::filled) back to the producer.
    ///
    /// # Panics
    /// If fewer are filled; in the child of a fork.
    pub fn consume(&mut self, len: usize) {
        // SAFETY: (1) the one consumer, mutably, so no slice of it lives.
        unsafe { self.core.consume(len) }
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

    /// How many bytes are filled. Never more than there are; more may come at any time.
    pub fn len(&self) -> usize {
        self.core.positions.filled().len
    }

    /// True when nothing is filled.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True when the producer has been dropped: what is filled, asked after this, is all there will
    /// ever be.
    pub fn is_abandoned(&self) -> bool {
        self.core.positions.is_gone(End::Producer)
    }
}

impl Drop for Producer<'_> {
    fn drop(&mut self) {
        self.core.positions.leave(End::Producer);
    }
}

impl Drop for Consumer<'_> {
    fn drop(&mut self) {
        self.core.positions.leave(End::Consumer);
    }
}
