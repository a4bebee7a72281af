//! Floor 4, uses floors 0 to 2. Looking at a heap: its blocks, its numbers, its rules.

use super::class::{Class, GRANULE_LEN};
use super::core::{Core, Gathered, Own};
use super::ground::Ground;
use super::held::Held;
use super::place::Place;
use super::slab::Kind;
use crate::ds::bits::{self, BITS};
use crate::ds::primitive::Ordering::Relaxed;
use core::fmt;
use core::ptr::NonNull;

/// A block in use, as [`walk`](super::LocalHeap::walk) shows it.
///
/// ```
/// use std::alloc::Layout;
/// let mut heap = granule::heap::LocalHeap::new()?;
/// let mine = heap.allocate(Layout::from_size_align(100, 8)?)?;
/// heap.walk(|block| assert_eq!((block.start, block.usable_len), (mine, 112)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "PROCESS_HEAP_ENTRY")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its first byte.
    pub start: NonNull<u8>,
    /// Bytes that its user may use.
    pub usable_len: usize,
}

/// What a heap has.
///
/// ```
/// use std::alloc::Layout;
/// let heap = granule::heap::LocalHeap::new()?;
/// heap.allocate(Layout::from_size_align(100, 8)?)?;
/// let stats = heap.stats();
/// assert_eq!((stats.blocks, stats.bytes, stats.slabs, stats.len), (1, 112, 1, 64 << 10));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeapStats {
    /// Blocks in use.
    pub blocks: usize,
    /// Bytes that their users may use.
    pub bytes: usize,
    /// Slabs, in use or not.
    pub slabs: usize,
    /// Blocks too long for slabs.
    pub runs: usize,
    /// Bytes of slabs, of long blocks, and of what is left of the initial length: what the limit
    /// counts.
    pub len: usize,
    /// Bytes of the [initial length](super::HeapOptions::initial_len) that lie in no slab and no
    /// long block.
    pub initial_left: usize,
    /// Bytes of free blocks that a cache keeps, or that a [`LocalHeap`](super::LocalHeap) has taken
    /// with their slab and not cut yet.
    pub cached: usize,
}

impl HeapStats {
    pub(super) const fn plus(self, other: Self) -> Self {
        HeapStats {
            blocks: self.blocks + other.blocks,
            bytes: self.bytes + other.bytes,
            slabs: self.slabs + other.slabs,
            runs: self.runs + other.runs,
            len: self.len + other.len,
            initial_left: self.initial_left + other.initial_left,
            cached: self.cached + other.cached,
        }
    }
}

/// A rule of the heap's books that does not hold.
///
/// ```
/// assert_eq!(granule::heap::LocalHeap::new()?.validate(), Ok(()));
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The number of the rule, in the text of `slab.rs`.
    pub rule: u8,
    /// The slab or long block.
    pub addr: usize,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let says = match self.rule {
            1 => "what is in the list of a heap belongs to it",
            2 => "a slab has as many blocks of its class as fit",
            3 => "the number of free blocks is that of the bits, and the bits are those of blocks",
            4 => "a slab with free blocks stands in the list of its class",
            5 => "granules behind the first know where it is",
            6 => "what a slab has of the memory that the heap began with is not free there",
            8 => "only the pages of long blocks were moved",
            9 => "what was not cut yet is not free in its slab",
            _ => "the first blocks of a thread have a class and a bit each",
        };
        write!(out, "rule {} does not hold at {:#x}: {says}", self.rule, self.addr)
    }
}

impl core::error::Error for Violation {}

impl Ground {
    /// What the slab or run has that begins here; what lies in a cache counts as in use.
    fn stats_at(&'static self, from: Place) -> HeapStats {
        let slab = from.slab;
        let len = slab.granules.get() as usize * GRANULE_LEN;
        if slab.kind() == Kind::Run {
            let in_use = usize::from(slab.announced().load(Relaxed) == 0);
            return HeapStats {
                blocks: in_use,
                bytes: in_use * len,
                runs: 1,
                len,
                ..HeapStats::default()
            };
        }
        if slab.is_starter() {
            let none = HeapStats { slabs: 1, len, ..HeapStats::default() };
            return self.blocks_of_starter(from).fold(none, |stats, (_, class)| HeapStats {
                blocks: stats.blocks + 1,
                bytes: stats.bytes + class.size(),
                ..stats
            });
        }
        let theirs = self.returned_bits(slab);
        let returned: u32 = theirs.iter().map(|word| word.load(Relaxed).count_ones()).sum();
        // Others may be at work: then the sum may be wrong by what they do.
        let free = (slab.free.get() + returned).min(slab.blocks.get());
        let blocks = (slab.blocks.get() - free) as usize;
        let bytes = blocks * slab.size.get() as usize;
        HeapStats { blocks, bytes, slabs: 1, len, ..HeapStats::default() }
    }

    /// What all cores of a heap have, whoever holds them: exact if nobody uses it meanwhile.
    pub(super) fn stats_of(&'static self, root: u32) -> HeapStats {
        let of_heap = |core: &Core| core.root() == root;
        let slabs = self.used().map(|granule| Place::at(self, granule)).filter(|at| {
            let owner = at.slab.owner().checked_sub(1);
            matches!(at.slab.kind(), Kind::Slab | Kind::Run | Kind::Starter)
                && owner.is_some_and(|number| of_heap(self.core(number)))
        });
        let stats = slabs.map(|from| self.stats_at(from));
        let stats = stats.fold(HeapStats::default(), HeapStats::plus);
        let cores = self.cores().filter(|core| of_heap(core));
        cores.fold(stats, |stats, core| core.own.less_gathered(core.own.less_cached(stats), self))
    }
}

impl Own {
    /// Without what lies in the caches.
    fn less_cached(&self, mut stats: HeapStats) -> HeapStats {
        for class in Class::all() {
            let bytes = self.count(class) * class.size() + self.uncut_len(class);
            let count = bytes / class.size();
            stats.blocks = stats.blocks.saturating_sub(count);
            stats.bytes = stats.bytes.saturating_sub(bytes);
            stats.cached += bytes;
        }
        stats
    }

    /// Without what is gathered, which is free for its users.
    fn less_gathered(&self, mut stats: HeapStats, ground: &'static Ground) -> HeapStats {
        for (granule, word, mask) in self.all_gathered().filter_map(Gathered::shown) {
            let bytes = ground.bytes_of_bits(Place::at(ground, granule), word, mask);
            stats.blocks = stats.blocks.saturating_sub(mask.count_ones() as usize);
            stats.bytes = stats.bytes.saturating_sub(bytes);
            stats.cached += bytes;
        }
        stats
    }
}

impl Held {
    /// All slabs and runs.
    pub(super) fn all(&self) -> impl Iterator<Item = Place> + '_ {
        let mut next = self.core.own.all.get();
        core::iter::from_fn(move || {
            let from = self.place(next.checked_sub(1)? as usize);
            next = from.slab.in_all.next.get();
            Some(from)
        })
    }

    /// Shows every block in use. The caches are emptied for that.
    pub(super) fn walk(&self, mut visit: impl FnMut(Block)) {
        self.flush_all();
        for from in self.all() {
            let place = self.ground.place(from.granule);
            let mut show = |offset: usize, usable_len: usize| {
                let start = NonNull::new(place.wrapping_add(offset)).expect("not at address 0");
                visit(Block { start, usable_len });
            };
            if from.slab.kind() == Kind::Run {
                if from.slab.announced().load(Relaxed) == 0 {
                    show(0, from.slab.granules.get() as usize * GRANULE_LEN);
                }
                continue;
            }
            if from.slab.is_starter() {
                let blocks = self.ground.blocks_of_starter(from);
                blocks.for_each(|(offset, class)| show(offset, class.size()));
                continue;
            }
            let (ours, theirs) = self.ground.bits(from.slab);
            let size = from.slab.size.get() as usize;
            for number in 0..from.slab.blocks.get() as usize {
                if !bits::is_set(ours, number) && !bits::is_set(theirs, number) {
                    show(number * size, size);
                }
            }
        }
    }

    pub(super) fn stats(&self) -> HeapStats {
        let of_slabs = self.all().map(|from| self.ground.stats_at(from));
        let mut stats = of_slabs.fold(HeapStats::default(), HeapStats::plus);
        if self.core.number() == self.core.root() {
            stats.initial_left = self.stock().left();
            stats.len += stats.initial_left;
        }
        self.core.own.less_cached(stats)
    }

    pub(super) fn validate(&self) -> Result<(), Violation> {
        for from in self.all() {
            let violated = |rule| Violation { rule, addr: self.ground.place(from.granule).addr() };
            self.broken_rule(from).map_or(Ok(()), |rule| Err(violated(rule)))?;
        }
        Ok(())
    }

    /// The number of the rule of `slab.rs` that does not hold.
    fn broken_rule(&self, from: Place) -> Option<u8> {
        let Place { granule, slab } = from;
        let granules = slab.granules.get() as usize;
        let inside = granule + 1..granule + granules;
        let knows_first = |behind: usize| {
            let other = self.ground.slab(behind);
            other.kind() == Kind::Inside && other.granules.get() as usize == behind - granule
        };
        let is_first = matches!(slab.kind(), Kind::Slab | Kind::Run | Kind::Starter);
        if slab.owner() != self.core.mark() || !is_first {
            return Some(1);
        }
        if !inside.into_iter().all(knows_first) {
            return Some(5);
        }
        if slab.moved.get() != 0 && slab.kind() != Kind::Run {
            return Some(8);
        }
        if !self.stock().is_sound(self.ground, &from.whole()) {
            return Some(6);
        }
        if slab.is_starter() {
            return self.broken_rule_of_starter(from);
        }
        let Some(class) = slab.class() else { return (slab.kind() != Kind::Run).then_some(2) };
        let (size, blocks) = (slab.size.get() as usize, slab.blocks.get() as usize);
        if size != class.size() || blocks != class.blocks() || granules != class.granules() {
            return Some(2);
        }
        let (ours, _) = self.ground.bits(slab);
        let set: u32 = ours.iter().map(|word| word.load(Relaxed).count_ones()).sum();
        let cursor = (slab.cursor.get() as usize).min(ours.len());
        let is_clear_below = ours[..cursor].iter().all(|word| word.load(Relaxed) == 0);
        let last = ours[ours.len() - 1].load(Relaxed);
        let is_clear_above = blocks.is_multiple_of(BITS) || last >> (blocks % BITS) == 0;
        if set != slab.free.get() || !is_clear_below || !is_clear_above {
            return Some(3);
        }
        if !self.is_soundly_cut(class, from) {
            return Some(9);
        }
        let is_listed = slab.in_class.previous.get() != 0
            || self.core.own.slabs[class.index()].get() == granule as u32 + 1;
        (is_listed != (set != 0)).then_some(4)
    }
}
