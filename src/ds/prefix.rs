//! Floor 0, pure. Indices for appenders, and how far all that was appended is complete.
//!
//! ```text
//!   0                 published              next index        limit
//!   |#################|##.#.##.#.............|- - - - - - - - -|
//!    complete, for     taken; # complete, by  room: may be taken
//!    every reader      the notes
//! ```
//! *Tickets.* One word holds the next index and the room behind it, `| index: 40 | room: 24 |`. One
//! compare-and-swap takes an index and one from the room. Who loses it leaves the word to others
//! for a moment: a thread that has the word's cache line takes some twenty tickets in the time that
//! the line needs to come over, so each works in bursts, and on neighbouring elements.
//!
//! *Notes.* Whoever has appended element i writes the number of its lap, `i / W`, into byte `i % W`
//! of a ring: a plain store, no second read-modify-write. A scan from `published` on over bytes
//! that have the right lap tells how far the prefix goes.
//!
//! *Late notes.* If somebody holds the prefix up for W appends, the ring is full. From there on
//! (`late_from`), for good, notes are bits, one for each element and never used twice: nobody has
//! to wait for anybody, and memory for bits is needed only then.
//!
//! 1. An index is taken only where there is room. Index + room, the limit, is changed by
//!    [`grant`](Prefix::grant) alone.
//! 2. What a grant promises is there before it: memory for the elements and their notes, and for
//!    the ring `limit <= published + W`. The grant releases, the ticket acquires: whoever has an
//!    index may write the element and its note.
//! 3. A note is written (released) after its element, and read (acquired) before `published` is
//!    moved over it (released). So who reads `published` (acquired) may read all elements below.
//! 4. A byte of the ring is overwritten only by an index that is W above a published one (2), so a
//!    right lap is never missed. It is never found too early either: where a byte has the lap of j,
//!    index j, or one that is a multiple of 256 W above and so needed j published, is complete. One
//!    that is below would have been overwritten by the laps between, which all have to be complete.
//! 5. The ring says nothing about an index from `late_from` on: the byte of that first one keeps
//!    the lap before, and no scan comes past it without having seen `late_from`.
//! 6. `published` only grows, and what is below it is complete: a scan that was interrupted for
//!    long tells too little, never too much.
//!
//! No call waits. Who may grant is the caller's to settle: one thread at a time.
#![forbid(unsafe_code)]

use super::primitive::{AtomicU8, AtomicU64, AtomicUsize, Ordering, spin_loop};

const ROOM_BITS: u32 = 24;
const ROOM_MASK: u64 = (1 << ROOM_BITS) - 1;

/// The most room that there is at a time.
pub(crate) const ROOM_MAX: usize = ROOM_MASK as usize;

/// No index is above this.
pub(crate) const INDEX_MAX: u64 = (1 << (64 - ROOM_BITS)) - (1 << ROOM_BITS);

/// Added to the word: one index more, one less room.
const TAKE: u64 = (1 << ROOM_BITS) - 1;

/// How many pauses whoever has lost a ticket makes, the first time and at most: a microsecond, or a
/// few. Measured: fewer, and the line comes and goes with every append.
const PAUSES_MIN: u32 = 32;
const PAUSES_MAX: u32 = 256;

/// Where the notes lie.
pub(crate) trait Notes {
    /// The ring, all zero at first. Asked for only when something has been granted.
    fn ring(&self) -> &[AtomicU8];
    /// Word `word` of the late notes. Asked for only if a limit of
    /// [`set_late`](Prefix::set_late) covers it.
    fn late(&self, word: usize) -> &AtomicU64;
}

/// A cache line of its own, or the two that are fetched together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line<T>(T);

/// An index that is the holder's to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) index: usize,
    /// How many can still be taken, when this one was.
    pub(crate) room: usize,
}

/// The tickets, and how far what was appended is complete.
#[derive(Debug)]
pub(crate) struct Prefix {
    tickets: Line<AtomicU64>,
    published: Line<AtomicUsize>,
    /// The logarithm of W.
    ring_shift: u32,
    late_from: AtomicUsize,
    /// There are late notes for indices below this.
    late_end: AtomicUsize,
}

const fn pack(index: usize, room: usize) -> u64 {
    (index as u64) << ROOM_BITS | room as u64
}

/// Index and room.
const fn unpack(word: u64) -> (usize, usize) {
    ((word >> ROOM_BITS) as usize, (word & ROOM_MASK) as usize)
}

/// Index + room.
const fn limit(word: u64) -> usize {
    let (index, room) = unpack(word);
    index + room
}

impl Prefix {
    /// Nothing taken and no room, with a ring of `1 << ring_shift` bytes.
    pub(crate) fn new(ring_shift: u32) -> Self {
        Prefix {
            tickets: Line(AtomicU64::new(0)),
            published: Line(AtomicUsize::new(0)),
            ring_shift,
            late_from: AtomicUsize::new(usize::MAX),
            late_end: AtomicUsize::new(0),
        }
    }

    /// Bytes in the ring.
    pub(crate) const fn ring_len(&self) -> usize {
        1 << self.ring_shift
    }

    const fn slot(&self, index: usize) -> usize {
        index & (self.ring_len() - 1)
    }

    /// What stands in the ring when `index` is complete. A fresh ring has 0, which the first lap is
    /// not.
    const fn lap(&self, index: usize) -> u8 {
        ((index >> self.ring_shift) as u8).wrapping_add(1)
    }

    /// The next index. Whoever gets one has to append its element; `None` if there is no room.
    #[inline]
    pub(crate) fn take(&self) -> Option<Ticket> {
        let mut word = self.tickets.0.load(Ordering::Relaxed);
        let mut pauses = 0;
        loop {
            let (index, room) = unpack(word);
            if room == 0 {
                return None;
            }
            let (done, failed) = (Ordering::Acquire, Ordering::Relaxed);
            match self.tickets.0.compare_exchange_weak(word, word + TAKE, done, failed) {
                Ok(_) => return Some(Ticket { index, room }),
                Err(_) => word = self.after_a_while(&mut pauses),
            }
        }
    }

    /// The word, after it was left to the others; longer each time. Not under loom, which tries all
    /// orders anyway.
    #[cold]
    fn after_a_while(&self, pauses: &mut u32) -> u64 {
        *pauses = (*pauses * 2).clamp(PAUSES_MIN, PAUSES_MAX);
        if !cfg!(all(test, granule_loom)) {
            (0..*pauses).for_each(|_| spin_loop());
        }
        self.tickets.0.load(Ordering::Relaxed)
    }

    /// True if a ticket could have been had a moment ago.
    pub(crate) fn has_room(&self) -> bool {
        unpack(self.tickets.0.load(Ordering::Relaxed)).1 > 0
    }

    /// Indices below this have been granted. Exact for who may grant.
    pub(crate) fn limit(&self) -> usize {
        limit(self.tickets.0.load(Ordering::Relaxed))
    }

    /// How many tickets were taken. Exact while nobody takes one.
    pub(crate) fn taken(&self) -> usize {
        unpack(self.tickets.0.load(Ordering::Relaxed)).0
    }

    /// Lets indices below `end` be taken, or fewer if there would be too much room. For one thread
    /// at a time, which orders its grants behind those before.
    pub(crate) fn grant(&self, end: usize) {
        let mut word = self.tickets.0.load(Ordering::Relaxed);
        loop {
            let (index, _) = unpack(word);
            if end <= limit(word) {
                return;
            }
            let granted = pack(index, (end - index).min(ROOM_MAX));
            let (order, failed) = (Ordering::Release, Ordering::Relaxed);
            match self.tickets.0.compare_exchange_weak(word, granted, order, failed) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }

    /// True if notes are late ones from some index on. Exact for who may grant.
    pub(crate) fn is_late(&self) -> bool {
        self.late_from.load(Ordering::Relaxed) != usize::MAX
    }

    /// There are late notes, all zero at first, for indices from the limit to below `end`. The
    /// first time all indices from the limit on become late ones. For who may grant, before it
    /// grants them.
    pub(crate) fn set_late(&self, end: usize) {
        self.late_end.store(end, Ordering::Release);
        if !self.is_late() {
            self.late_from.store(self.limit(), Ordering::Relaxed);
        }
    }

    /// Notes that the element of a ticket is written.
    #[inline]
    pub(crate) fn complete(&self, index: usize, notes: &impl Notes) {
        // Set before the ticket was granted, if the index is a late one.
        if index < self.late_from.load(Ordering::Relaxed) {
            notes.ring()[self.slot(index)].store(self.lap(index), Ordering::Release);
        } else {
            notes.late(index / 64).fetch_or(1 << (index % 64), Ordering::Release);
        }
    }

    /// Takes back that `index` is complete, if it is: tells whether it was. It was taken, and is
    /// not published. For who has the prefix to itself.
    pub(crate) fn withdraw(&mut self, index: usize, notes: &impl Notes) -> bool {
        if index < self.late_from.load(Ordering::Relaxed) {
            let (stamp, lap) = (&notes.ring()[self.slot(index)], self.lap(index));
            let is_complete = stamp.load(Ordering::Relaxed) == lap;
            if is_complete {
                stamp.store(lap.wrapping_sub(1), Ordering::Relaxed);
            }
            is_complete
        } else {
            let bit = 1 << (index % 64);
            notes.late(index / 64).fetch_and(!bit, Ordering::Relaxed) & bit != 0
        }
    }

    /// Elements that are known to be complete, all from the first on.
    #[inline]
    pub(crate) fn published(&self) -> usize {
        self.published.0.load(Ordering::Acquire)
    }

    /// Elements that are complete, all from the first on.
    #[inline]
    pub(crate) fn advance(&self, notes: &impl Notes) -> usize {
        let known = self.published();
        let found = self.scan(known, notes);
        if found == known {
            return known;
        }
        self.published.0.fetch_max(found, Ordering::AcqRel).max(found)
    }

    /// The first index from `index` on, which is published, that is not complete.
    #[inline]
    fn scan(&self, mut index: usize, notes: &impl Notes) -> usize {
        let late_from = self.late_from.load(Ordering::Relaxed);
        let mut left = late_from.saturating_sub(index);
        while left > 0 {
            let (slot, lap) = (self.slot(index), self.lap(index));
            let of_lap = &notes.ring()[slot..];
            let of_lap = &of_lap[..of_lap.len().min(left)];
            let is_gap = |stamp: &AtomicU8| stamp.load(Ordering::Acquire) != lap;
            if let Some(run) = of_lap.iter().position(is_gap) {
                return index + run;
            }
            index += of_lap.len();
            left -= of_lap.len();
        }
        self.scan_late(index, notes)
    }

    #[cold]
    fn scan_late(&self, mut index: usize, notes: &impl Notes) -> usize {
        let end = self.late_end.load(Ordering::Acquire);
        while index < end {
            let rest = 64 - index % 64;
            let word = notes.late(index / 64).load(Ordering::Acquire) >> (index % 64);
            let run = word.trailing_ones() as usize;
            index += run;
            if run < rest {
                break;
            }
        }
        index
    }

    /// Counts one more that needs neither memory nor a note; `None` if there are `max`. For
    /// elements without size, which use nothing else of this.
    pub(crate) fn count(&self, max: usize) -> Option<usize> {
        let mut known = self.published.0.load(Ordering::Relaxed);
        while known < max {
            let (order, failed) = (Ordering::Release, Ordering::Relaxed);
            match self.published.0.compare_exchange_weak(known, known + 1, order, failed) {
                Ok(_) => return Some(known),
                Err(now) => known = now,
            }
        }
        None
    }

    /// Forgets all that was taken, and what the notes say. For who has the prefix to itself.
    /// Nothing can be granted any more.
    pub(crate) fn close(&mut self) {
        let closed = Prefix::new(self.ring_shift);
        closed.late_from.store(0, Ordering::Relaxed);
        *self = closed;
    }
}

#[cfg(all(test, not(granule_loom)))]
mod tests {
    use super::*;
    use std::vec::Vec;

    struct Words {
        ring: Vec<AtomicU8>,
        late: Vec<AtomicU64>,
    }

    impl Words {
        fn new(ring: usize, late: usize) -> Self {
            Words {
                ring: (0..ring).map(|_| AtomicU8::new(0)).collect(),
                late: (0..late).map(|_| AtomicU64::new(0)).collect(),
            }
        }
    }

    impl Notes for Words {
        fn ring(&self) -> &[AtomicU8] {
            &self.ring
        }

        fn late(&self, word: usize) -> &AtomicU64 {
            &self.late[word]
        }
    }

    fn index(ticket: Option<Ticket>) -> Option<usize> {
        ticket.map(|ticket| ticket.index)
    }

    #[test]
    fn tickets_end_where_the_room_does() {
        let prefix = Prefix::new(2);
        assert_eq!([prefix.take(), prefix.take()], [None, None]);
        assert_eq!((prefix.limit(), prefix.taken()), (0, 0));
        prefix.grant(2);
        assert_eq!(prefix.take(), Some(Ticket { index: 0, room: 2 }));
        prefix.grant(3);
        assert_eq!([index(prefix.take()), index(prefix.take())], [Some(1), Some(2)]);
        assert_eq!([prefix.take(), prefix.take()], [None, None]);
        assert_eq!((prefix.limit(), prefix.taken()), (3, 3));
        assert!(!prefix.has_room());
        assert_eq!((prefix.limit(), prefix.taken()), (3, 3));
        prefix.grant(3);
        assert_eq!(prefix.take(), None);
        prefix.grant(4);
        assert!(prefix.has_room());
        assert_eq!(index(prefix.take()), Some(3));
        prefix.grant(usize::MAX >> 1);
        assert_eq!(prefix.limit(), 4 + ROOM_MAX);
        assert_eq!(prefix.take(), Some(Ticket { index: 4, room: ROOM_MAX }));
    }

    /// More laps than a byte counts.
    #[test]
    fn the_prefix_ends_at_the_first_gap_in_every_lap() {
        let (mut prefix, notes) = (Prefix::new(2), Words::new(4, 0));
        for base in (0..4 * 600).step_by(4) {
            prefix.grant(base + 4);
            let taken = [(); 4].map(|()| index(prefix.take()).expect("granted"));
            assert_eq!(taken, [base, base + 1, base + 2, base + 3]);
            for (index, end) in [(1, 0), (2, 0), (0, 3), (3, 4)] {
                assert!(!prefix.withdraw(base + index, &notes));
                prefix.complete(base + index, &notes);
                assert!(prefix.withdraw(base + index, &notes));
                assert!(!prefix.withdraw(base + index, &notes));
                prefix.complete(base + index, &notes);
                assert_eq!(prefix.advance(&notes), base + end);
                assert_eq!(prefix.published(), base + end);
            }
        }
    }

    #[test]
    fn late_notes_go_on_where_the_ring_ends() {
        let (mut prefix, notes) = (Prefix::new(2), Words::new(4, 8));
        prefix.grant(4);
        for index in [1, 2, 3] {
            assert!(prefix.take().is_some());
            prefix.complete(index, &notes);
        }
        assert!(prefix.take().is_some());
        assert_eq!(prefix.advance(&notes), 0);
        prefix.set_late(300);
        prefix.grant(300);
        for index in (4..300).rev() {
            assert!(prefix.take().is_some());
            assert!(!prefix.withdraw(index, &notes));
            if index != 150 {
                prefix.complete(index, &notes);
            }
        }
        assert_eq!(prefix.advance(&notes), 0);
        prefix.complete(0, &notes);
        assert_eq!(prefix.advance(&notes), 150);
        prefix.complete(150, &notes);
        assert_eq!(prefix.advance(&notes), 300);
        prefix.set_late(512);
        assert_eq!(prefix.advance(&notes), 300);
    }

    #[test]
    fn what_is_closed_knows_nothing() {
        let (mut prefix, notes) = (Prefix::new(2), Words::new(4, 0));
        prefix.grant(4);
        for index in 0..3 {
            assert!(prefix.take().is_some());
            prefix.complete(index, &notes);
        }
        prefix.close();
        assert_eq!((prefix.advance(&notes), prefix.taken(), prefix.take()), (0, 0, None));
    }

    #[test]
    fn counting_ends_at_the_maximum() {
        let prefix = Prefix::new(0);
        assert_eq!([prefix.count(2), prefix.count(2), prefix.count(2)], [Some(0), Some(1), None]);
        assert_eq!(prefix.published(), 2);
    }
}
