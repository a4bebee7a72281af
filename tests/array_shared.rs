//! Shared arrays, as a user sees them: what many threads append is there once, complete and in
//! order, for every reader at every time.

mod vm_support;

use granule::ErrorKind;
use granule::array::SharedVec;
use granule::array::shared_vec::PushReason;
use proptest::prelude::*;
use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Some programs have addresses for few vectors of the usual maximum, and tests run side by side.
fn an_empty_one<T>() -> SharedVec<T> {
    SharedVec::with_max(1 << 24).expect("addresses")
}

/// Appends `count` elements on each of `threads` threads, while `look` is called again and again
/// on another.
fn append<T: Send + Sync>(
    vec: &SharedVec<T>,
    threads: usize,
    count: usize,
    element: impl Fn(usize, usize) -> T + Sync,
    look: impl Fn(&[T]) + Sync,
) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut last = 0;
            while !is_over.load(Ordering::Relaxed) {
                let seen = vec.as_slice();
                assert!(seen.len() >= last, "a prefix only grows");
                look(&seen[last..]);
                last = seen.len();
            }
        });
        let appenders: Vec<_> = (0..threads)
            .map(|thread| {
                let element = &element;
                scope.spawn(move || {
                    (0..count).map(|nth| vec.push(element(thread, nth))).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut places = HashSet::new();
        for appender in appenders {
            let own = appender.join().expect("no panic");
            assert!(own.is_sorted(), "a thread's elements stay in its order");
            places.extend(own);
        }
        assert_eq!(places.len(), threads * count, "no place is given twice");
        is_over.store(true, Ordering::Relaxed);
        reader.join().expect("no panic");
    });
}

/// Every thread's elements once, in its order.
fn assert_complete(seen: &[(usize, usize)], threads: usize, count: usize) {
    let mut next = vec![0; threads];
    for &(thread, nth) in seen {
        assert_eq!(nth, next[thread], "of thread {thread}");
        next[thread] += 1;
    }
    assert_eq!(next, vec![count; threads]);
}

#[test]
fn every_element_is_there_once_and_in_the_order_of_its_thread() {
    let vec = an_empty_one();
    append(&vec, 4, 50_000, |thread, nth| (thread, nth), |_| ());
    assert_eq!(vec.len(), 200_000);
    assert_complete(vec.as_slice(), 4, 50_000);
    let by_value: Vec<_> = vec.into_iter().collect();
    assert_complete(&by_value, 4, 50_000);
}

/// More laps of the notes than one: their ring is as long as the maximum up to 2^20.
#[test]
fn the_notes_go_round() {
    let vec = an_empty_one();
    let count = if cfg!(debug_assertions) { 1_300_000 } else { 5_000_000 };
    append(&vec, 2, count, |thread, _| thread as u8, |_| ());
    assert_eq!(vec.len(), 2 * count);
    assert_eq!(vec.iter().filter(|&&thread| thread == 1).count(), count);
}

#[test]
fn readers_see_complete_elements_only() {
    let vec = an_empty_one();
    let text = |thread, nth| Box::new(format!("{nth} of thread {thread}"));
    append(&vec, 3, 20_000, text, |seen| {
        for element in seen {
            let (nth, thread) = element.split_once(" of thread ").expect("a whole text");
            assert!(nth.parse::<usize>().expect("a number") < 20_000);
            assert!(thread.parse::<usize>().expect("a number") < 3);
        }
    });
    assert_eq!(vec.len(), 60_000);
}

#[test]
fn references_stay_valid_while_others_append() {
    let vec = an_empty_one();
    let first = &vec[vec.push(String::from("first"))];
    let addr = std::ptr::from_ref(first);
    append(&vec, 2, 30_000, |_, nth| nth.to_string(), |_| assert_eq!(first, "first"));
    assert_eq!((first.as_str(), addr), ("first", std::ptr::from_ref(&vec[0])));
}

/// Counts its drops.
#[derive(Debug)]
struct Counted<'c>(&'c AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn drops_are_counted_exactly() {
    let drops = AtomicUsize::new(0);
    let seen = || drops.load(Ordering::Relaxed);
    let vec = SharedVec::with_max(3000).expect("addresses");
    append(&vec, 3, 1000, |_, _| Counted(&drops), |_| ());
    let error = vec.try_push(Counted(&drops)).expect_err("full");
    assert_eq!(seen(), 0);
    drop(error);
    assert_eq!(seen(), 1);
    drop(vec);
    assert_eq!(seen(), 3001);
    let vec: SharedVec<_> = (0..10).map(|_| Counted(&drops)).collect();
    let mut values = vec.into_iter();
    drop((values.next(), values.next_back(), values.next()));
    assert_eq!((seen(), values.len()), (3004, 7));
    drop(values);
    assert_eq!(seen(), 3011);
}

#[test]
fn at_the_maximum_the_element_comes_back() {
    let vec = SharedVec::with_max(5).expect("addresses");
    thread::scope(|scope| {
        for _ in 0..3 {
            scope
                .spawn(|| (0..5).map(|nth| vec.try_push(nth).is_ok()).filter(|&done| done).count());
        }
    });
    assert_eq!((vec.len(), vec.max(), vec.capacity()), (5, 5, 5));
    for nth in 0..3 {
        let error = vec.try_push(nth).expect_err("full");
        assert_eq!((error.reason(), error.into_value()), (PushReason::Full, nth));
    }
    let message = "push to a SharedVec of 5 of at most 5 elements: it is full; \
                   make it with a larger `with_max`";
    assert_eq!(vec.try_push(0).expect_err("full").to_string(), message);
    let panic = std::panic::catch_unwind(|| vec.push(9)).expect_err("full");
    assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some(message));
    assert_eq!(vec.len(), 5);
    let none = SharedVec::with_max(0).expect("nothing to reserve");
    assert_eq!(none.try_push('x').map_err(|error| error.into_value()), Err('x'));
}

#[test]
fn more_than_addresses_reach_is_an_error() {
    for max in [usize::MAX, usize::MAX / 8, 1 << 40] {
        let error = SharedVec::<u64>::with_max(max).expect_err("too much");
        assert_eq!(error.kind(), ErrorKind::OutOfRange, "{error}");
    }
}

fn holds_any<T: Clone + PartialEq + Debug + Send + Sync>(value: T) {
    let vec = SharedVec::with_max(5000).expect("addresses");
    append(&vec, 2, 2500, |_, _| value.clone(), |seen| assert!(seen.iter().all(|it| *it == value)));
    assert_eq!(vec.len(), 5000);
    assert_eq!(vec.as_slice().as_ptr().addr() % align_of::<T>(), 0);
    assert!(vec.try_push(value.clone()).is_err());
    assert_eq!(vec.into_iter().filter(|it| *it == value).count(), 5000);
}

#[derive(Clone, PartialEq, Debug)]
#[repr(align(4096))]
struct Aligned(u8);

#[derive(Clone, PartialEq, Debug)]
#[repr(align(131072))]
struct WidelyAligned(u8);

#[test]
fn elements_of_every_size_and_alignment() {
    holds_any(());
    holds_any(true);
    holds_any([7u8; 3]);
    holds_any([3u64; 40]);
    holds_any(Aligned(9));
}

/// Alignments above the granularity, and elements longer than all that is committed ahead. They
/// pass the stack by value.
#[test]
fn large_elements() {
    let body = thread::Builder::new().stack_size(64 << 20).spawn(push_large_elements);
    body.expect("a thread").join().expect("no panic");
}

fn push_large_elements() {
    let vec = SharedVec::with_max(20).expect("addresses");
    vec.push(WidelyAligned(1));
    assert_eq!(std::ptr::from_ref(&vec[0]).addr() % 131_072, 0);
    (&vec).extend((2..=20).map(WidelyAligned));
    assert!(vec.iter().map(|it| it.0).eq(1..=20));
    let vec = SharedVec::with_max(3).expect("addresses");
    for nth in 0..3u8 {
        vec.push([nth; 128 << 10]);
    }
    assert!(vec.iter().enumerate().all(|(nth, element)| element[99] == nth as u8));
}

#[test]
fn elements_without_a_size_are_counted_and_dropped() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    #[derive(Debug)]
    struct Nothing;
    impl Drop for Nothing {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::Relaxed);
        }
    }
    let vec = SharedVec::new();
    append(&vec, 3, 1000, |_, _| Nothing, |_| ());
    assert_eq!((vec.len(), vec.max(), DROPS.load(Ordering::Relaxed)), (3000, usize::MAX, 0));
    let mut values = vec.into_iter();
    assert!(values.next().is_some());
    assert_eq!(DROPS.load(Ordering::Relaxed), 1);
    drop(values);
    assert_eq!(DROPS.load(Ordering::Relaxed), 3000);
    let vec = SharedVec::with_max(1).expect("no addresses");
    vec.push(Nothing);
    std::mem::forget(vec.try_push(Nothing).expect_err("full"));
    drop(vec);
    assert_eq!(DROPS.load(Ordering::Relaxed), 3001);
}

#[test]
fn it_is_shared_only_if_its_elements_are() {
    fn is_sync<T: Sync + Send>() {}
    fn is_send<T: Send>() {}
    is_sync::<SharedVec<u64>>();
    is_send::<SharedVec<std::cell::Cell<u64>>>();
    if !vm_support::means::has_addresses(1 << 40) {
        return;
    }
    let text = format!("{:?}", (&SharedVec::from_iter([1, 2]), SharedVec::<u8>::default()));
    assert_eq!(text, "([1, 2], [])");
}

#[derive(Clone, Debug)]
enum Step {
    Push(u16),
    Extend(Vec<u16>),
    Get(usize),
    Change(usize, u16),
    Take(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<u16>().prop_map(Step::Push),
        2 => proptest::collection::vec(any::<u16>(), 0..300).prop_map(Step::Extend),
        2 => (0usize..2000).prop_map(Step::Get),
        1 => (0usize..2000, any::<u16>()).prop_map(|(index, value)| Step::Change(index, value)),
        1 => (0usize..20, 0usize..20).prop_map(|(front, back)| Step::Take(front, back)),
    ]
}

proptest! {
    /// On one thread it is a vector with a maximum.
    #[test]
    fn it_does_what_a_vector_does(
        max in 0usize..1500,
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let new = || SharedVec::with_max(max).expect("addresses");
        let (mut vec, mut model) = (new(), Vec::new());
        for step in steps {
            match step {
                Step::Push(value) if model.len() < max => {
                    prop_assert_eq!(vec.push(value.to_string()), model.len());
                    model.push(value.to_string());
                }
                Step::Push(value) => {
                    let error = vec.try_push(value.to_string()).expect_err("full");
                    prop_assert_eq!(error.into_value(), value.to_string());
                }
                Step::Extend(values) => {
                    let room = max - model.len();
                    let values = values.iter().map(u16::to_string).take(room);
                    vec.extend(values.clone());
                    model.extend(values);
                }
                Step::Get(index) => prop_assert_eq!(vec.get(index), model.get(index)),
                Step::Change(index, value) => {
                    if let Some(element) = vec.as_mut_slice().get_mut(index) {
                        *element = value.to_string();
                        model[index] = value.to_string();
                    }
                }
                Step::Take(front, back) => {
                    let mut values = std::mem::replace(&mut vec, new()).into_iter();
                    let mut other = std::mem::take(&mut model).into_iter();
                    for _ in 0..front {
                        prop_assert_eq!(values.next(), other.next());
                    }
                    for _ in 0..back {
                        prop_assert_eq!(values.next_back(), other.next_back());
                    }
                    prop_assert_eq!(values.as_slice(), other.as_slice());
                    prop_assert_eq!(values.len(), other.len());
                }
            }
            prop_assert_eq!(vec.as_slice(), &model[..]);
            prop_assert_eq!(vec.len(), model.len());
            prop_assert!(vec.capacity() >= vec.len() && vec.capacity() <= max);
        }
    }
}
