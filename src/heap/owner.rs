//! Floor 4, uses floors 0 to 2. Whose memory an address is, for who only looks: a debugger's
//! question, a report of a fault, an assertion.
//!
//! # Invariants
//! 1. Nothing is waited for, written or taken: it may be asked anywhere, in a signal handler too.
//! 2. What is read lies in the tables, whatever other threads do meanwhile: the words of bits are
//!    looked up by the class that a record has, and a record that has it has room for them.

use super::Block;
use super::class::{Class, GRANULE_LEN, block_at};
use super::core::Own;
use super::ground::{Ground, ground_if_made};
use super::place::Place;
use super::process::root_if_made;
use super::slab::{Kind, Slab};
use super::starter;
use crate::ds::bits::BITS;
use crate::ds::primitive::{
    Ordering::{Acquire, Relaxed},
    fence,
};
use crate::vm::Name;
use core::ptr::NonNull;

/// Which heap it is. The number of a heap that was dropped is used again.
///
/// ```
/// use granule::heap::{Heap, owner_of};
/// use std::alloc::Layout;
/// let (one, other) = (Heap::new()?, Heap::new()?);
/// let block = one.allocate(Layout::new::<u64>())?;
/// let heap = owner_of(block.as_ptr()).map(|owner| owner.heap);
/// assert!(heap == Some(one.id()) && heap != Some(other.id()));
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeapId(pub(super) u32);

impl HeapId {
    /// True if it is the heap of the process: [`Granule`](super::Granule).
    pub fn is_process(self) -> bool {
        root_if_made() == Some(self.0)
    }
}

/// What [`owner_of`] says of an address.
///
/// ```
/// use granule::Granule;
/// use granule::heap::owner_of;
/// use std::alloc::Layout;
/// let long = Granule.allocate(Layout::new::<[u8; 100_000]>())?;
/// let owner = owner_of(long.as_ptr()).expect("memory of a heap");
/// assert!(owner.heap.is_process() && owner.is_run && owner.is_in_use);
/// assert_eq!((owner.start, owner.len), (long, 128 << 10));
/// # // SAFETY: (1) in use, and not used again.
/// # unsafe { Granule.deallocate(long) };
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Owner {
    /// The heap that has the memory.
    pub heap: HeapId,
    /// What it is called.
    pub name: Option<Name>,
    /// The first byte of the slab or long block that the address lies in.
    pub start: NonNull<u8>,
    /// Its bytes.
    pub len: usize,
    /// True if it is one long block; false if it is a slab, of blocks of one size, or the granule
    /// that a thread's first blocks share.
    pub is_run: bool,
    /// The block that the address lies in; `None` for the rest at the end of a slab.
    pub block: Option<Block>,
    /// True if somebody uses the block: nothing that can be seen says that it was given back.
    pub is_in_use: bool,
}

/// Which heap an address belongs to, and what lies there; `None` if it is in no slab and no long
/// block of any heap here. It may be any address, of the middle of a block, too.
///
/// It costs a look into tables, and one at each thread that has blocks of its own: no lock, no
/// allocation, no system call. So it may be asked in a signal handler or a panic hook. No thread is
/// stopped for it: which heap and which block it is, is told exactly for a block that the caller
/// has in use. Whether a block is in use is exact as long as no other thread uses that heap; else
/// it is what could be seen in this moment, good for a report and not for a decision.
///
/// ```
/// use granule::heap::{HeapOptions, owner_of};
/// use granule::vm::Name;
/// use std::alloc::Layout;
/// let heap = HeapOptions::new().name(Name::new(b"nodes")).local()?;
/// let block = heap.allocate(Layout::new::<[u64; 6]>())?;
///
/// let owner = owner_of(block.as_ptr().wrapping_add(20)).expect("memory of a heap");
/// assert_eq!((owner.heap, owner.name), (heap.id(), Some(Name::new(b"nodes"))));
/// let found = owner.block.expect("not the rest of a slab");
/// assert_eq!((found.start, found.usable_len, owner.is_in_use), (block, 48, true));
///
/// // SAFETY: (1) a block of this heap, and not used again.
/// unsafe { heap.deallocate(block) };
/// assert!(owner_of(block.as_ptr()).is_some_and(|owner| !owner.is_in_use));
/// assert_eq!(owner_of(std::ptr::null()), None);
/// assert_eq!(owner_of((&raw const heap).cast()), None, "it lies on the stack");
/// # Ok::<(), granule::Error>(())
/// ```
#[doc(alias("HeapValidate", "malloc_usable_size", "CrtIsValidHeapPointer"))]
pub fn owner_of(address: *const u8) -> Option<Owner> {
    let address = NonNull::new(address.cast_mut())?;
    let ground = ground_if_made()?;
    let place = Place::of(ground, address)?;
    loop {
        let from = first(ground, place)?;
        let seen = Seen::of(from.slab);
        let owner = seen.has(from, place).then(|| seen.owner(ground, from, address)).flatten();
        // Another slab may have come there meanwhile.
        fence(Acquire);
        if Seen::of(from.slab) == seen {
            return owner;
        }
    }
}

/// The first granule of the slab or run that has this one; `None` if it is nobody's, or is just
/// being taken or given back.
fn first(ground: &'static Ground, place: Place) -> Option<Place> {
    let from = match place.slab.kind() {
        Kind::Free => return None,
        Kind::Inside => {
            let distance = place.slab.granules.get() as usize;
            Place::at(ground, place.granule.checked_sub(distance)?)
        }
        Kind::Slab | Kind::Run | Kind::Starter => place,
    };
    matches!(from.slab.kind(), Kind::Slab | Kind::Run | Kind::Starter).then_some(from)
}

/// What a record said.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    kind: Kind,
    core: Option<u32>,
    class: Option<Class>,
    granules: usize,
}

impl Seen {
    fn of(slab: &Slab) -> Self {
        let head = slab.head();
        // What was written before the head is there from here on. (2)
        fence(Acquire);
        let granules = slab.granules.get() as usize;
        Seen { kind: head.kind(), core: head.owner().checked_sub(1), class: head.class(), granules }
    }

    /// True if what begins at `from` reaches to `place`.
    const fn has(&self, from: Place, place: Place) -> bool {
        place.granule - from.granule < self.granules
    }

    fn owner(self, ground: &'static Ground, from: Place, address: NonNull<u8>) -> Option<Owner> {
        let root = ground.core(self.core?).root_if_any()?;
        let at = |offset| NonNull::new(ground.place(from.granule).wrapping_add(offset));
        let (start, len) = (at(0)?, self.granules * GRANULE_LEN);
        let of_heap = Owner {
            heap: HeapId(root),
            name: ground.core(root).name(),
            start,
            len,
            is_run: self.kind == Kind::Run,
            block: None,
            is_in_use: false,
        };
        match (self.kind, self.class) {
            (Kind::Run, _) => {
                let is_in_use = from.slab.announced().load(Relaxed) == 0;
                let block = Some(Block { start, usable_len: len });
                Some(Owner { block, is_in_use, ..of_heap })
            }
            (Kind::Slab, Some(class)) => {
                let offset = ground.offset_in(from.granule, address);
                let number = block_at(offset, class.reciprocal());
                if number >= class.blocks() {
                    return Some(of_heap);
                }
                let block = Block { start: at(number * class.size())?, usable_len: class.size() };
                let is_in_use = !is_free(ground, from, class, (class, number), block.start);
                Some(Owner { block: Some(block), is_in_use, ..of_heap })
            }
            (Kind::Starter, _) => {
                let offset = ground.offset_in(from.granule, address);
                let starter = &ground.core(self.core?).own.starter;
                let Some((start, class)) = starter.block_with(offset) else {
                    return Some(of_heap);
                };
                let block = Block { start: at(start)?, usable_len: class.size() };
                let bit = (starter::shape(), starter::unit(start));
                let is_in_use = !is_free(ground, from, class, bit, block.start);
                Some(Owner { block: Some(block), is_in_use, ..of_heap })
            }
            _ => None,
        }
    }
}

/// Whether a block of a slab was given back, wherever it lies since: in its slab, in the cache of
/// the core that has it, or with a thread that will send it there; or was not cut yet. Its bit is
/// that of a number, in a slab with the bits of a class.
fn is_free(
    ground: &'static Ground,
    from: Place,
    class: Class,
    (shape, number): (Class, usize),
    block: NonNull<u8>,
) -> bool {
    let (word, mask) = (number / BITS, 1 << (number % BITS));
    let theirs = Slab::words_of(shape) as usize + word;
    let is_set = |word| ground.word(from.slab, word).load(Relaxed) & mask != 0;
    if is_set(word) || is_set(theirs) {
        return true;
    }
    let Some(number) = from.slab.owner().checked_sub(1) else { return true };
    let owner = ground.core(number);
    let gathers = |own: &Own| own.gathered(from.granule, word).has(from.granule, word, mask);
    let keeps = |own: &Own| own.keeps(class, block) || gathers(own);
    ground.cores().any(|core| core.root() == owner.root() && keeps(&core.own))
}

#[cfg(test)]
mod tests {
    use super::super::{Granule, Heap, HeapOptions, LocalHeap};
    use super::*;
    use core::alloc::Layout;
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::vec::Vec;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 8).expect("a layout")
    }

    fn owner(address: NonNull<u8>) -> Owner {
        owner_of(address.as_ptr()).expect("memory of a heap")
    }

    #[test]
    fn every_byte_of_a_block_leads_to_it() {
        let heap = LocalHeap::new().expect("a heap");
        for size in [1, 8, 100, 1000, 5000, 20_000, 32_768, 40_000, 300_000] {
            let block = heap.allocate(layout(size)).expect("memory");
            let usable_len = heap.usable_len(block).expect("a block");
            let found = Some(Block { start: block, usable_len });
            for offset in [0, size / 2, size - 1, usable_len - 1] {
                // SAFETY: inside the block.
                let owner = owner(unsafe { block.add(offset) });
                assert_eq!((owner.heap, owner.block, owner.is_in_use), (heap.id(), found, true));
                assert_eq!(owner.is_run, size > 32 << 10);
                let region = owner.start.addr().get()..owner.start.addr().get() + owner.len;
                assert!(region.contains(&block.addr().get()));
            }
        }
    }

    #[test]
    fn what_was_given_back_is_told_wherever_it_lies() {
        let heap = LocalHeap::new().expect("a heap");
        // More than a cache holds, so that some go back to their slabs.
        let blocks: Vec<_> =
            (0..2000).map(|_| heap.allocate(layout(100)).expect("memory")).collect();
        for (number, &block) in blocks.iter().enumerate() {
            // SAFETY: (1) in use, and not used again.
            unsafe { heap.deallocate(block) };
            assert!(!owner(block).is_in_use);
            assert!(blocks[number + 1..].iter().take(40).all(|&block| owner(block).is_in_use));
        }
        heap.trim();
        let later = owner_of(blocks[0].as_ptr());
        assert!(later.is_none_or(|owner| owner.heap != heap.id()), "its slab is not ours any more");
    }

    #[test]
    fn what_another_thread_gives_back_is_told() {
        let take = |size| {
            let block = Granule.allocate(layout(size)).expect("memory");
            block.as_ptr().expose_provenance()
        };
        let blocks = [50, 3000, 70_000].map(take);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for addr in blocks {
                    let block = core::ptr::with_exposed_provenance_mut(addr);
                    let block = NonNull::new(block).expect("a block");
                    assert!(owner(block).is_in_use && owner(block).heap.is_process());
                    // SAFETY: (1) in use, and not used again.
                    unsafe { Granule.deallocate(block) };
                    assert!(!owner(block).is_in_use);
                }
            });
        });
        let other = Heap::new().expect("a heap");
        let block = other.allocate(layout(50)).expect("memory");
        assert!(!owner(block).heap.is_process());
    }

    #[test]
    fn what_is_no_block_is_told() {
        let heap = HeapOptions::new().initial_len(1 << 20).local().expect("memory");
        let block = heap.allocate(layout(48)).expect("memory");
        // The slab has a tail of 16 bytes.
        let tail = owner_of(block.as_ptr().wrapping_add(65_520)).expect("memory of a heap");
        assert_eq!((tail.block, tail.is_in_use, tail.heap), (None, false, heap.id()));
        let left = block.as_ptr().wrapping_add(100_000);
        assert_eq!(owner_of(left), None, "it began with it, and has not used it yet");
        for addr in [0, 1, 4096, usize::MAX / 2, usize::MAX] {
            assert_eq!(owner_of(core::ptr::without_provenance(addr)), None);
        }
        let id = heap.id();
        drop(heap);
        assert!(owner_of(block.as_ptr()).is_none_or(|owner| owner.heap != id || !owner.is_run));
    }

    /// Whoever looks at memory that changes hands all the time gets some answer, and what he has
    /// himself is told right.
    #[test]
    fn others_may_be_at_work() {
        let (is_over, place) = (AtomicBool::new(false), AtomicUsize::new(0));
        let mine = Granule.allocate(layout(64)).expect("memory");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for turn in 0..100 {
                    let heap = LocalHeap::new().expect("a heap");
                    for number in 0..200 {
                        let size = 8 << ((turn + number) % 14);
                        let block = heap.allocate(layout(size)).expect("memory");
                        place.store(block.addr().get(), Relaxed);
                        if number % 3 == 0 {
                            // SAFETY: (1) in use, and not used again.
                            unsafe { heap.deallocate(block) };
                        }
                    }
                }
                is_over.store(true, Relaxed);
            });
            while !is_over.load(Relaxed) {
                let address = core::ptr::without_provenance::<u8>(place.load(Relaxed));
                if let Some(Owner { block: Some(block), start, len, .. }) = owner_of(address) {
                    let offset = address.addr().wrapping_sub(block.start.addr().get());
                    assert!(offset < block.usable_len);
                    assert!(block.start >= start && block.usable_len <= len);
                }
                assert!(owner(mine).is_in_use);
            }
        });
        // SAFETY: (1) in use, and not used again.
        unsafe { Granule.deallocate(mine) };
    }
}
