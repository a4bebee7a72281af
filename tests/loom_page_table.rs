//! The page table under loom, which tries every order of its steps:
//!
//! ```text
//! RUSTFLAGS="--cfg granule_loom" cargo test --release --test loom_page_table
//! ```
//! It is private to the library, so its files are included here. Nodes have two entries.
#![cfg(granule_loom)]

#[allow(dead_code, unused_imports, unreachable_pub, reason = "the tests use a part of it")]
#[path = "../src/ds/mod.rs"]
mod ds;

use core::convert::Infallible;
use ds::page_table::{Inner, Leaf, PageTable, Source, Value, Way};
use loom::sync::Arc;
use loom::thread;
use std::ops::Range;

type Lowest = Leaf<2>;
type Second = Inner<Lowest, 2>;
type Root = Inner<Second, 2>;
/// Eight pages in three levels.
type Table = PageTable<Root>;

/// Nodes of the heap; what is left over is lost.
struct Heap;

impl Source<Lowest> for Heap {
    type Error = Infallible;
    fn take(&self) -> Result<(u32, &'static Lowest), Infallible> {
        Ok((0, Box::leak(Box::new(Leaf::new()))))
    }
    fn give_back(&self, _: u32) {}
}

impl Source<Second> for Heap {
    type Error = Infallible;
    fn take(&self) -> Result<(u32, &'static Second), Infallible> {
        Ok((0, Box::leak(Box::new(Inner::new()))))
    }
    fn give_back(&self, _: u32) {}
}

const fn value(state: u8) -> Value {
    Value { owner: 7, state }
}

fn set(table: &Table, pages: Range<usize>, state: u8) {
    let Ok(()) = table.prepare(pages.clone(), &Heap);
    table.set(pages, value(state));
}

/// The same, along a way that was found earlier.
fn set_along(table: &Table, way: &Way<Root>, pages: Range<usize>, state: u8) {
    let Ok(()) = table.prepare_along(way, pages.clone(), &Heap);
    if !table.set_along(way, pages.clone(), value(state)) {
        set(table, pages, state);
    }
}

fn states(table: &Table, pages: Range<usize>) -> Vec<u8> {
    pages.map(|page| table.get(page).state).collect()
}

/// Those orders in which threads are interrupted at most three times. The first thread, which loom
/// hardly interrupts, only waits for the others.
fn model(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(test);
}

fn new_table() -> Arc<Table> {
    Arc::new(PageTable::new(Inner::new()))
}

#[test]
fn neighbours_that_make_the_same_nodes_lose_nothing() {
    model(|| {
        let table = new_table();
        let [one, two] = [(0..1, 1), (1..2, 2)].map(|(pages, state)| {
            let table = table.clone();
            thread::spawn(move || {
                set(&table, pages.clone(), state);
                assert_eq!(table.get(pages.start), value(state));
            })
        });
        one.join().expect("no panic");
        two.join().expect("no panic");
        assert_eq!(states(&table, 0..4), [1, 2, 0, 0]);
    });
}

/// What lay below was silenced, so both find entries that do not count.
#[test]
fn neighbours_that_revive_the_same_entries_lose_nothing() {
    model(|| {
        let table = new_table();
        set(&table, 0..1, 9);
        set(&table, 0..4, 5);
        let [one, two] = [(0..1, 1), (1..2, 2)].map(|(pages, state)| {
            let table = table.clone();
            thread::spawn(move || {
                set(&table, pages.clone(), state);
                assert_eq!(table.get(pages.start), value(state));
            })
        });
        one.join().expect("no panic");
        two.join().expect("no panic");
        assert_eq!(states(&table, 0..8), [1, 2, 5, 5, 0, 0, 0, 0]);
        assert_eq!(table.run(2..8), (value(5), 2));
    });
}

/// A reader sees what a page was or is: never what it was long ago, never what the parent says and
/// the child does not.
#[test]
fn a_reader_of_a_page_sees_only_states_that_it_has() {
    model(|| {
        let table = new_table();
        set(&table, 0..4, 1);
        set(&table, 0..1, 2);
        let writer = {
            let table = table.clone();
            thread::spawn(move || {
                set(&table, 0..4, 3);
                set(&table, 1..2, 4);
            })
        };
        let reader = {
            let table = table.clone();
            thread::spawn(move || [table.get(0).state, table.get(1).state])
        };
        let [first, second] = reader.join().expect("no panic");
        assert!([2, 3].contains(&first), "page 0 was never {first} in this race");
        assert!([1, 3, 4].contains(&second), "page 1 was never {second}");
        writer.join().expect("no panic");
        assert_eq!(states(&table, 0..4), [3, 4, 3, 3]);
    });
}

#[test]
fn a_run_is_made_of_states_that_its_pages_have() {
    model(|| {
        let table = new_table();
        set(&table, 0..4, 1);
        set(&table, 1..2, 2);
        let writer = {
            let table = table.clone();
            thread::spawn(move || set(&table, 0..4, 3))
        };
        let reader = {
            let table = table.clone();
            thread::spawn(move || table.run(0..8))
        };
        let (seen, len) = reader.join().expect("no panic");
        match seen.state {
            // Page 1 may be overwritten between the two looks.
            1 => assert_eq!(len, 1),
            3 => assert!([1, 2, 3, 4].contains(&len), "{len}"),
            other => panic!("page 0 was never {other}"),
        }
        writer.join().expect("no panic");
        assert_eq!(table.run(0..8), (value(3), 4));
    });
}

/// Two sets race for page 0. A set of page 1 that comes after one of them, and that the other has
/// nothing to do with, stays.
#[test]
fn a_race_for_one_page_does_not_touch_another() {
    model(|| {
        let table = new_table();
        set(&table, 0..1, 9);
        let racer = {
            let table = table.clone();
            thread::spawn(move || set(&table, 0..1, 1))
        };
        let other = {
            let table = table.clone();
            thread::spawn(move || {
                set(&table, 0..4, 2);
                set(&table, 1..2, 3);
                assert_eq!(table.get(1), value(3));
            })
        };
        racer.join().expect("no panic");
        other.join().expect("no panic");
        let first = table.get(0).state;
        assert!([1, 2].contains(&first), "{first}");
        assert_eq!(states(&table, 1..4), [3, 2, 2]);
    });
}

#[test]
fn neighbours_on_the_same_way_lose_nothing() {
    model(|| {
        let table = new_table();
        set(&table, 0..1, 9);
        let [one, two] = [(0..1, 1), (1..3, 2)].map(|(pages, state)| {
            let table = table.clone();
            let way = table.way(pages.clone()).expect("the entries are mixed");
            thread::spawn(move || {
                set_along(&table, &way, pages.clone(), state);
                assert_eq!(table.run(pages.clone()), (value(state), pages.len()));
            })
        });
        one.join().expect("no panic");
        two.join().expect("no panic");
        assert_eq!(states(&table, 0..4), [1, 2, 2, 0]);
    });
}

/// As above: a race for page 0. One of the two goes a way that becomes old at any moment.
#[test]
fn an_old_way_does_not_touch_another_page() {
    model(|| {
        let table = new_table();
        set(&table, 0..1, 9);
        let racer = {
            let table = table.clone();
            let way = table.way(0..1).expect("the entries are mixed");
            thread::spawn(move || {
                let seen = table.run_along(&way, 0..1).map(|(seen, _)| seen.state);
                assert!([None, Some(9), Some(2)].contains(&seen), "{seen:?}");
                set_along(&table, &way, 0..1, 1);
            })
        };
        let other = {
            let table = table.clone();
            thread::spawn(move || {
                set(&table, 0..4, 2);
                set(&table, 1..2, 3);
                assert_eq!(table.get(1), value(3));
            })
        };
        racer.join().expect("no panic");
        other.join().expect("no panic");
        let first = table.get(0).state;
        assert!([1, 2].contains(&first), "{first}");
        assert_eq!(states(&table, 1..4), [3, 2, 2]);
    });
}
