//! Floor 2, uses floors 0 and 1. What is known about each reservation as a whole.
//!
//! The page table names a reservation by the number of its record. Records are never unmapped, so a
//! number that has become old leads to a record, if perhaps to another one. Who reads a record that
//! he does not own does it like this:
//!
//! 1. the page table: it names the owner;
//! 2. `generation`, which is odd while the record is in use, and a field or more;
//! 3. the page table again: if it names the same owner still, the record is the page's;
//! 4. other fields, if wanted, and `generation` again: if it is the same, all belong together.

use super::huge::HugeGrant;
use super::pool::{Pool, Pooled, Refusal};
use crate::ds::name::Name;
use crate::ds::page_table::OWNERS;
use crate::ds::ready_stack::Link;
use crate::sys::{self, CommitPolicy, GuardKind};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// All records. Number 0 is nobody's.
static RECORDS: Pool<Record, OWNERS> = Pool::new();

/// What a reservation was asked to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traits {
    pub(super) policy: CommitPolicy,
    pub(super) guard_kind: GuardKind,
    /// The page table knows its pages.
    pub(super) is_tracked: bool,
    /// The system notes which of its pages are written.
    pub(super) is_watched: bool,
    pub(super) huge: HugeGrant,
    /// The memory node that was asked for.
    pub(super) node: Option<u16>,
}

impl Traits {
    const LAZY: u32 = 1;
    const SPLIT: u32 = 2;
    const TRACKED: u32 = 4;
    const WATCHED: u32 = 8;
    /// The bits of the grant of huge pages begin here.
    const HUGE: u32 = 4;
    /// The number of the node, plus 1, begins here.
    const NODE: u32 = Self::HUGE + HugeGrant::BITS;

    fn bits(self) -> u32 {
        let bit = |is_set, bit| if is_set { bit } else { 0 };
        bit(self.policy == CommitPolicy::Lazy, Self::LAZY)
            | bit(self.guard_kind == GuardKind::Split, Self::SPLIT)
            | bit(self.is_tracked, Self::TRACKED)
            | bit(self.is_watched, Self::WATCHED)
            | self.huge.to_bits() << Self::HUGE
            | self.node.map_or(0, |node| u32::from(node) + 1) << Self::NODE
    }

    fn from_bits(bits: u32) -> Self {
        let has = |bit| bits & bit != 0;
        Traits {
            policy: if has(Self::LAZY) { CommitPolicy::Lazy } else { CommitPolicy::Strict },
            guard_kind: if has(Self::SPLIT) { GuardKind::Split } else { GuardKind::Marker },
            is_tracked: has(Self::TRACKED),
            is_watched: has(Self::WATCHED),
            huge: HugeGrant::from_bits(bits >> Self::HUGE),
            node: (bits >> Self::NODE).checked_sub(1).map(|node| node as u16),
        }
    }
}

/// One reservation. The loads and stores are ordered so that a reader who sees a field of a later
/// owner sees the later generation too.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Record {
    generation: AtomicU32,
    link: AtomicU32,
    base: AtomicUsize,
    len: AtomicUsize,
    traits: AtomicU32,
    /// The [advice](super::advice::Remembered) that was given to the whole.
    pub(super) advice: AtomicU32,
    /// 0: a [`Reservation`](super::Reservation) owns it. Otherwise a face above does, whose word
    /// this is.
    pub(super) face: AtomicU32,
    /// The record of the allocation of which this is a piece; 0: it is one itself. Only where the
    /// system cannot release pieces.
    pub(super) whole: AtomicU32,
    /// Pieces that are left, in the record of an allocation that was split.
    pub(super) pieces: AtomicU32,
    /// Grows whenever pages are armed or trip; 0: never. See `tripwire`.
    pub(super) trips: AtomicU32,
    /// The generation of the process whose children may lack pages (`Advice::NoFork`); 0: all have
    /// the same pages.
    pub(super) kept_by: AtomicU32,
    name: [AtomicU64; Name::WORDS],
}

// SAFETY: (1) atomics, for which zero is a value; (2) 128 bytes, as the test below says.
unsafe impl Pooled for Record {
    fn link(&self) -> &impl Link {
        &self.link
    }
}

/// The fields of a record at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) base: usize,
    pub(super) len: usize,
    pub(super) traits: Traits,
}

impl Record {
    /// The fields, as the owner knows them.
    pub(super) fn extent(&self) -> Extent {
        Extent {
            base: self.base.load(Ordering::Acquire),
            len: self.len.load(Ordering::Acquire),
            traits: Traits::from_bits(self.traits.load(Ordering::Acquire)),
        }
    }

    /// Writes the fields; only the owner does.
    pub(super) fn write(&self, extent: Extent) {
        self.base.store(extent.base, Ordering::Release);
        self.len.store(extent.len, Ordering::Release);
        self.traits.store(extent.traits.bits(), Ordering::Release);
    }

    /// The name, as the owner knows it.
    #[inline]
    pub(super) fn name(&self) -> Option<Name> {
        if self.is_named() { self.whole_name() } else { None }
    }

    /// Whether it has a name.
    #[inline]
    pub(super) fn is_named(&self) -> bool {
        self.name[0].load(Ordering::Acquire) != 0
    }

    #[cold]
    fn whole_name(&self) -> Option<Name> {
        Name::from_words(self.name.each_ref().map(|word| word.load(Ordering::Acquire)))
    }

    /// Gives it a name, or none; only the owner does.
    pub(super) fn set_name(&self, name: Option<Name>) {
        let words = name.map_or([0; Name::WORDS], Name::to_words);
        for (place, word) in self.name.iter().zip(words) {
            place.store(word, Ordering::Release);
        }
    }

    /// From now on the child of a fork may lack pages.
    pub(super) fn keep_here(&self) {
        self.kept_by.store(sys::generation(), Ordering::Relaxed);
    }

    /// True in the child of a fork that may lack pages: what is at their addresses there may be
    /// somebody else's.
    #[inline]
    pub(super) fn is_elsewhere(&self) -> bool {
        let kept_by = self.kept_by.load(Ordering::Relaxed);
        kept_by != 0 && kept_by != sys::generation()
    }

    /// A first look, for who is not the owner; `None` if nobody is.
    #[inline]
    pub(super) fn glimpse(&self) -> Option<Glimpse> {
        let generation = self.generation.load(Ordering::Acquire);
        let base = self.base.load(Ordering::Acquire);
        (generation % 2 == 1).then_some(Glimpse { generation, base })
    }

    /// True if the owner is the same as at the first look: what was read between is the owner's.
    #[inline]
    pub(super) fn is_still(&self, glimpse: Glimpse) -> bool {
        self.generation.load(Ordering::Acquire) == glimpse.generation
    }
}

/// What a first look tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Glimpse {
    generation: u32,
    pub(super) base: usize,
}

/// A record for a new reservation, and its number.
pub(super) fn take() -> Result<(u32, &'static Record), Refusal> {
    let (mut number, mut record) = RECORDS.take()?;
    if number == 0 {
        // The very first one: 0 has to mean nobody, so it is never used.
        (number, record) = RECORDS.take()?;
    }
    record.generation.fetch_add(1, Ordering::AcqRel);
    let Record { advice, face, whole, pieces, trips, kept_by, .. } = record;
    let fields = [advice, face, whole, pieces, trips, kept_by];
    for field in fields {
        field.store(0, Ordering::Release);
    }
    record.set_name(None);
    Ok((number, record))
}

/// The reservation of the record is gone: no page names it any more.
pub(super) fn give_back(number: u32) {
    if let Some(record) = get(number) {
        record.generation.fetch_add(1, Ordering::AcqRel);
        RECORDS.give_back(number);
    }
}

/// Record `number`, whoever may own it now.
pub(super) fn get(number: u32) -> Option<&'static Record> {
    RECORDS.get(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_size_that_pools_want() {
        assert_eq!(size_of::<Record>(), 128);
    }

    #[test]
    fn who_does_not_own_a_record_notices_that_it_is_free_or_new() {
        let (number, record) = take().expect("a record");
        assert_ne!(number, 0);
        let traits = Traits {
            policy: CommitPolicy::Lazy,
            guard_kind: GuardKind::Marker,
            is_tracked: true,
            is_watched: true,
            huge: HugeGrant::EXPLICIT,
            node: Some(u16::MAX),
        };
        let extent = Extent { base: 1 << 20, len: 1 << 16, traits };
        record.write(extent);
        let name = Some(Name::new(b"a name that needs more than a word"));
        record.set_name(name);
        let glimpse = get(number).and_then(Record::glimpse).expect("it is in use");
        assert_eq!((glimpse.base, record.extent(), record.name()), (1 << 20, extent, name));
        assert!(record.is_still(glimpse));
        give_back(number);
        assert!(record.glimpse().is_none() && !record.is_still(glimpse));
    }
}
