//! Elements, closures and iterators that panic, in a `StableVec` and in a `Vec`: what was dropped,
//! and what is left, is the same, whichever of the calls it was that panicked.

use granule::array::StableVec;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What happens to the elements of one array.
#[derive(Debug, Default, PartialEq)]
struct Log {
    /// The calls that may panic, until the one that does.
    left: Option<usize>,
    dropped: Vec<u32>,
}

thread_local! {
    static LOG: RefCell<Log> = RefCell::default();
}

/// The call of somebody else's code that can panic.
fn risk() {
    let panics = LOG.with_borrow_mut(|log| match &mut log.left {
        Some(0) => {
            log.left = None;
            true
        }
        Some(left) => {
            *left -= 1;
            false
        }
        None => false,
    });
    assert!(!panics || std::thread::panicking(), "the call that panics");
}

#[derive(Debug, PartialEq)]
struct Element(u32);

impl Drop for Element {
    fn drop(&mut self) {
        LOG.with_borrow_mut(|log| log.dropped.push(self.0));
        risk();
    }
}

impl Clone for Element {
    fn clone(&self) -> Self {
        risk();
        Element(self.0 + 100)
    }
}

/// Seven elements, which panic from the iterator too.
fn elements() -> impl Iterator<Item = Element> {
    (0..7).map(|number| {
        risk();
        Element(number)
    })
}

/// Each in turn panics, and then none.
const CALLS: usize = 30;

/// Plays the same on both kinds of array.
macro_rules! alike {
    ($($name:ident: |$array:ident| $work:expr;)*) => {
        $(
            #[test]
            fn $name() {
                std::panic::set_hook(Box::new(|told| {
                    if told.payload().downcast_ref() != Some(&"the call that panics") {
                        eprintln!("{told}");
                    }
                }));
                for left in (0..CALLS).map(Some).chain([None]) {
                    let on_vec = play!(Vec, left, |$array| $work);
                    let on_stable = play!(StableVec, left, |$array| $work);
                    assert_eq!(on_stable, on_vec, "call {left:?}");
                }
            }
        )*
    };
}

macro_rules! play {
    ($kind:ident, $left:expr, |$array:ident| $work:expr) => {{
        LOG.set(Log::default());
        let mut kept = $kind::new();
        kept.extend((10..17).map(Element));
        LOG.with_borrow_mut(|log| log.left = $left);
        let done = catch_unwind(AssertUnwindSafe(|| {
            #[allow(unused_mut, reason = "some of the bodies change it")]
            let mut $array = &mut kept;
            $work;
        }));
        let mut log = LOG.take();
        log.dropped.sort_unstable();
        let content: Vec<u32> = kept.iter().map(|element| element.0).collect();
        drop(kept);
        let mut all = LOG.take().dropped;
        all.sort_unstable();
        (done.is_ok(), log, content, all)
    }};
}

alike! {
    truncate: |array| array.truncate(2);
    clear: |array| array.clear();
    drain_all: |array| drop(array.drain(..));
    drain_some: |array| {
        let mut drain = array.drain(1..6);
        risk();
        drop(drain.next());
        drop(drain.next_back());
        drop(drain);
    };
    retain: |array| array.retain(|element| {
        risk();
        element.0 % 3 == 0
    });
    retain_all_but_one: |array| array.retain(|element| element.0 != 12);
    dedup: |array| array.dedup_by(|element, before| {
        risk();
        element.0 / 2 == before.0 / 2
    });
    extend: |array| array.extend(elements());
    extend_without_a_hint: |array| array.extend(elements().filter(|_| true));
    extend_from_slice: |array| {
        let more = [Element(1), Element(2), Element(3)];
        array.extend_from_slice(&more);
    };
    resize: |array| array.resize(12, Element(1));
    resize_to_less: |array| array.resize(3, Element(1));
    resize_with: |array| array.resize_with(12, || {
        risk();
        Element(1)
    });
    clone: |array| drop(array.clone());
    drop_of_the_array: |array| drop(std::mem::take(array));
    into_iter: |array| {
        let mut rest = std::mem::take(array).into_iter();
        drop(rest.next());
        drop(rest.next_back());
        drop(rest);
    };
    remove_and_insert: |array| {
        drop(array.remove(2));
        array.insert(1, Element(1));
        drop(array.swap_remove(0));
        drop(array.pop());
    };
}
