//! The stomp finder against a model: random allocations, frees and reallocations, from one thread
//! and from several, never overlap, keep their content, and are known by their exact size.
//!
//! The finder works on Linux only, so far.
#![cfg(target_os = "linux")]

use granule::stomp::{self, Caller};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ptr::NonNull;

#[derive(Clone, Debug)]
enum Verb {
    Allocate { size: usize, align_shift: u32 },
    Reallocate { which: prop::sample::Index, size: usize },
    Free { which: prop::sample::Index },
}

fn any_size() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 0usize..200,
        2 => 0usize..20_000,
        1 => prop::sample::select(vec![4096, 8192, 65_536, 131_072, 1 << 20, 5 << 20]),
    ]
}

fn any_verb() -> impl Strategy<Value = Verb> {
    prop_oneof![
        3 => (any_size(), 0u32..17)
            .prop_map(|(size, align_shift)| Verb::Allocate { size, align_shift }),
        1 => (any::<prop::sample::Index>(), any_size())
            .prop_map(|(which, size)| Verb::Reallocate { which, size }),
        2 => any::<prop::sample::Index>().prop_map(|which| Verb::Free { which }),
    ]
}

/// A live block of the model: its size, and the byte it was filled with.
#[derive(Clone, Copy, Debug)]
struct Block {
    size: usize,
    fill: u8,
}

/// All live blocks by address.
#[derive(Default)]
struct Model {
    blocks: BTreeMap<usize, (NonNull<u8>, Block)>,
    next_fill: u8,
}

impl Model {
    fn take(&mut self, which: prop::sample::Index) -> Option<(NonNull<u8>, Block)> {
        let addresses: Vec<usize> = self.blocks.keys().copied().collect();
        if addresses.is_empty() {
            return None;
        }
        self.blocks.remove(which.get(&addresses))
    }

    /// Notes a new block, which must touch no other, and fills it.
    fn put(&mut self, start: NonNull<u8>, size: usize) {
        let addr = start.addr().get();
        if let Some((&before, (_, block))) = self.blocks.range(..=addr).next_back() {
            assert!(before + block.size < addr, "overlaps the block before");
        }
        if let Some((&after, _)) = self.blocks.range(addr..).next() {
            assert!(addr + size < after, "overlaps the block behind");
        }
        assert_eq!(stomp::size_of_block(start), Some(size));
        self.next_fill = self.next_fill.wrapping_add(1);
        // SAFETY: the block was just given to us and has `size` bytes.
        unsafe { start.write_bytes(self.next_fill, size) };
        self.blocks.insert(addr, (start, Block { size, fill: self.next_fill }));
    }

    fn run(&mut self, verb: Verb) {
        match verb {
            Verb::Allocate { size, align_shift } => {
                let align = 1 << align_shift;
                let start = stomp::allocate(size, align, Caller::here()).expect("memory");
                assert_eq!(start.addr().get() % align, 0);
                assert_content(start, size, 0, "fresh blocks read zero");
                self.put(start, size);
            }
            Verb::Reallocate { which, size } => {
                let Some((start, block)) = self.take(which) else { return };
                let new = stomp::reallocate(start, size, 16, Caller::here()).expect("memory");
                assert_ne!(new, start, "the old address is poisoned");
                assert_content(new, size.min(block.size), block.fill, "moved");
                self.put(new, size);
            }
            Verb::Free { which } => {
                let Some((start, block)) = self.take(which) else { return };
                assert_content(start, block.size, block.fill, "kept until freed");
                stomp::free(start, Caller::here());
                assert_eq!(stomp::size_of_block(start), None);
            }
        }
    }

    fn free_all(&mut self) {
        for (start, block) in std::mem::take(&mut self.blocks).into_values() {
            assert_content(start, block.size, block.fill, "kept to the end");
            stomp::free(start, Caller::here());
        }
    }
}

fn assert_content(start: NonNull<u8>, len: usize, fill: u8, why: &str) {
    // SAFETY: a live block of at least `len` bytes that only this thread uses.
    let bytes = unsafe { std::slice::from_raw_parts(start.as_ptr(), len) };
    // A large block by samples: every page, and every place in a page sooner or later.
    let step = if len > 8192 { 509 } else { 1 };
    assert!(bytes.iter().step_by(step).all(|&byte| byte == fill), "{why}");
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 32, failure_persistence: None, ..Default::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn blocks_keep_apart_and_keep_their_content(
        verbs in prop::collection::vec(any_verb(), 1..200),
    ) {
        let mut model = Model::default();
        for verb in verbs {
            model.run(verb);
        }
        model.free_all();
    }

    #[test]
    fn so_they_do_with_threads(
        of_threads in prop::collection::vec(prop::collection::vec(any_verb(), 1..100), 3..6),
    ) {
        let threads: Vec<_> = of_threads
            .into_iter()
            .map(|verbs| {
                std::thread::spawn(move || {
                    let mut model = Model::default();
                    verbs.into_iter().for_each(|verb| model.run(verb));
                    model.free_all();
                })
            })
            .collect();
        for thread in threads {
            prop_assert!(thread.join().is_ok());
        }
    }
}

#[test]
fn what_cannot_be_is_refused() {
    for (size, align) in [(usize::MAX, 1), (isize::MAX as usize, 16), (1, 1 << 46), (1 << 45, 16)] {
        assert_eq!(stomp::allocate(size, align, Caller::here()), None, "{size} at {align}");
    }
    let block = stomp::allocate(100, 16, Caller::here()).expect("memory");
    assert_eq!(stomp::reallocate(block, usize::MAX, 16, Caller::here()), None);
    assert_eq!(stomp::size_of_block(block), Some(100), "a refused growth leaves the block");
    stomp::free(block, Caller::here());
}
