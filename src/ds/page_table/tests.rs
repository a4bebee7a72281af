//! Floor 0. The table against a plain list of pages.

use super::*;
use core::convert::Infallible;
use proptest::prelude::*;
use std::boxed::Box;
use std::vec::Vec;

/// Eight entries a node: 4096 pages in four levels.
const N: usize = 8;
type Small = Inner<Inner<Inner<Leaf<N>, N>, N>, N>;

/// Nodes of the heap, as many as are asked for.
struct Heap;

impl<const N: usize> Source<Leaf<N>> for Heap {
    type Error = Infallible;
    fn take(&self) -> Result<(u32, &'static Leaf<N>), Infallible> {
        Ok((0, Box::leak(Box::new(Leaf::new()))))
    }
    fn give_back(&self, _: u32) {}
}

impl<C: Layer, const N: usize> Source<Inner<C, N>> for Heap {
    type Error = Infallible;
    fn take(&self) -> Result<(u32, &'static Inner<C, N>), Infallible> {
        Ok((0, Box::leak(Box::new(Inner::new()))))
    }
    fn give_back(&self, _: u32) {}
}

fn set(table: &PageTable<Small>, pages: Range<usize>, value: Value) {
    table.prepare(pages.clone(), &Heap).expect("the heap has nodes");
    table.set(pages, value);
}

/// The same along a way, if there is one.
fn set_along(table: &PageTable<Small>, pages: Range<usize>, value: Value) {
    let Some(way) = table.way(pages.clone()) else { return set(table, pages, value) };
    let found = table.run_along(&way, pages.clone());
    assert_eq!(found, Some(table.run(pages.clone())), "the way leads to the same pages");
    table.prepare_along(&way, pages.clone(), &Heap).expect("the heap has nodes");
    assert!(table.set_along(&way, pages, value), "nobody else is here");
}

fn values() -> impl Strategy<Value = Value> {
    let owners = prop_oneof![0u32..3, Just(OWNERS - 1)];
    (owners, prop_oneof![0u8..3, Just(127)]).prop_map(|(owner, state)| Value { owner, state })
}

/// Any range, and often one of whole nodes.
fn ranges() -> impl Strategy<Value = Range<usize>> {
    let (pages, step) = (Small::PAGES, prop::sample::select(std::vec![1, 8, 64, 512]));
    (0..pages, 1..pages, step).prop_map(move |(start, len, step)| {
        let start = start / step * step;
        start..(start + len / step.max(len % 7) + step).next_multiple_of(step).min(pages)
    })
}

fn told(table: &PageTable<Small>) -> Vec<Value> {
    let mut told = Vec::new();
    while told.len() < Small::PAGES {
        let (value, len) = table.run(told.len()..Small::PAGES);
        assert_ne!(told.last(), Some(&value), "runs are as long as they can be");
        told.extend(std::iter::repeat_n(value, len));
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn keeps_every_page_and_finds_every_run(
        steps in prop::collection::vec((ranges(), values(), any::<bool>()), 1..40),
        asked in prop::collection::vec(ranges(), 10),
    ) {
        let table = PageTable::new(Small::new());
        let mut pages = std::vec![Value::NOBODYS; Small::PAGES];
        for (range, value, is_along) in steps {
            let set = if is_along { set_along } else { set };
            set(&table, range.clone(), value);
            pages[range].fill(value);
            prop_assert_eq!(&told(&table), &pages);
        }
        for range in asked {
            let first = pages[range.start];
            let len = pages[range.clone()].iter().take_while(|&&value| value == first).count();
            prop_assert_eq!(table.run(range.clone()), (first, len));
            prop_assert_eq!(table.get(range.end - 1), pages[range.end - 1]);
        }
    }
}

#[test]
fn a_way_leads_nowhere_when_an_entry_on_it_has_changed() {
    let table = PageTable::new(Small::new());
    assert!(table.way(3..5).is_none(), "nothing is there yet");
    let [old, new, other] = [1, 2, 3].map(|state| Value { owner: 1, state });
    set(&table, 3..5, old);
    for covered in [0..8, 0..64, 0..512] {
        let way = table.way(3..5).expect("a leaf that counts");
        let further = table.way(3..600).expect("the root");
        assert_eq!(table.run_along(&way, 3..5), Some((old, 2)));
        set(&table, covered, new);
        assert_eq!(table.run_along(&way, 3..5), None);
        assert!(!table.set_along(&way, 3..5, other), "nobody would see it");
        assert!(table.way(3..5).is_none());
        assert_eq!(table.run(0..8), (new, 8));
        assert_eq!(table.run_along(&further, 3..600), Some(table.run(3..600)));
        set(&table, 3..5, old);
        assert_eq!((table.run(0..5), table.run(3..8)), ((new, 3), (old, 2)));
    }
}

/// Far more generations than the number has values, and old entries below all the time.
#[test]
fn what_was_silenced_stays_silent_when_generations_return() {
    type Two = Inner<Leaf<2>, 2>;
    let table: PageTable<Two> = PageTable::new(Inner::new());
    table.prepare(0..1, &Heap).expect("the heap has nodes");
    let old = Value { owner: 9, state: 9 };
    table.set(1..2, old);
    for round in 0..100_000u32 {
        let value = Value { owner: round % 1000, state: 1 };
        table.set(0..2, value);
        assert_eq!(table.run(0..4), (value, 2));
        let first = Value { owner: 2000 + round % 1000, state: 2 };
        table.set(0..1, first);
        assert_eq!((table.get(0), table.get(1)), (first, value), "round {round}");
    }
}

#[test]
fn setting_whole_subtrees_needs_no_node() {
    struct None;
    impl<N: 'static> Source<N> for None {
        type Error = ();
        fn take(&self) -> Result<(u32, &'static N), ()> {
            Err(())
        }
        fn give_back(&self, _: u32) {}
    }
    let table = PageTable::new(Small::new());
    assert_eq!(table.prepare(0..Small::PAGES, &None), Ok(()));
    assert_eq!(table.prepare(512..1024, &None), Ok(()));
    assert_eq!(table.prepare(512..1025, &None), Err(()));
    assert_eq!(table.prepare(511..512, &None), Err(()));
    let value = Value { owner: 1, state: 1 };
    table.set(512..1024, value);
    assert_eq!(table.run(0..Small::PAGES), (Value::NOBODYS, 512));
    assert_eq!(table.run(512..Small::PAGES), (value, 512));
    assert_eq!(table.run(1000..1010), (value, 10));
}

#[test]
fn threads_that_work_on_neighbouring_pages_lose_nothing() {
    const THREADS: usize = 3;
    let table = &PageTable::new(Small::new());
    let work = |thread: usize| {
        // A third of the pages, border inside nodes; now whole, now page by page.
        let own = thread * Small::PAGES / THREADS..(thread + 1) * Small::PAGES / THREADS;
        for round in 0..60u32 {
            let value = Value { owner: round, state: thread as u8 };
            set_along(table, own.clone(), value);
            assert_eq!(table.run(own.clone()), (value, own.len()));
            for page in own.clone().step_by(5) {
                set(table, page..page + 1, Value { owner: OWNERS - 1, ..value });
                assert_eq!(table.get(page).owner, OWNERS - 1);
            }
            assert_eq!(table.get(own.start + 1), value);
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || work(thread));
        }
    });
    for (page, value) in told(table).into_iter().enumerate() {
        let thread = (0..THREADS).rfind(|&at| page >= at * Small::PAGES / THREADS).expect("one");
        let is_single = (page - thread * Small::PAGES / THREADS).is_multiple_of(5);
        let owner = if is_single { OWNERS - 1 } else { 59 };
        assert_eq!(value, Value { owner, state: thread as u8 });
    }
}
