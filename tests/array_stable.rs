//! `StableVec` as a user sees it: a `Vec`, whose elements stay where they are, and whose memory
//! comes and goes.

mod vm_support;

use granule::array::{StableVec, trim};
use granule::vm::{self, CommitPolicy, State};
use granule::{ErrorKind, Op};
use std::collections::HashSet;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use vm_support::{in_own_process, kernel_reads, system};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

/// The bytes from the first element on that are committed, as the page table of the process says.
fn committed_len<T>(array: &StableVec<T>) -> usize {
    let region = vm::query(array.as_ptr().addr()).expect("our own address");
    if region.state == State::Committed { region.len } else { 0 }
}

/// Whether the program has addresses for some dozens of arrays with the usual maximum.
fn has_many_addresses() -> bool {
    let many = vm::info().address_max >= 1 << 42;
    if !many {
        println!("skipped: few arrays of 64 GiB fit into the addresses of a program here");
    }
    many
}

#[test]
fn it_has_the_functions_of_a_vec() {
    let mut array = StableVec::new();
    assert!(array.is_empty() && array.capacity() == 0 && array.as_slice().is_empty());
    assert_eq!(array.max_len(), 64 * GIB / 4);
    array.push(1);
    array.extend([2, 3]);
    array.extend_from_slice(&[4, 5]);
    array.insert(0, 0);
    array.extend(&[6, 7]);
    assert_eq!(array, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!((array.remove(1), array.swap_remove(0), array.pop()), (1, 0, Some(6)));
    assert_eq!(array, [7, 2, 3, 4, 5]);
    array.sort_unstable();
    assert_eq!((array[1], array.binary_search(&5), array.first()), (3, Ok(3), Some(&2)));
    array.retain_mut(|n| {
        *n += 1;
        *n % 2 == 0
    });
    assert_eq!(array, [4, 6, 8]);
    array.resize(5, 9);
    array.resize_with(6, || 9);
    array.dedup();
    array.dedup_by_key(|n| *n / 5);
    assert_eq!(array, [4, 6]);
    array.truncate(7);
    array.resize(1, 0);
    assert_eq!(array, [4]);
    let mut other: StableVec<i32> = (0..3).collect();
    array.append(&mut other);
    assert_eq!((array.len(), other.len()), (4, 0));
    array.clear();
    assert_eq!((array.pop(), array.len()), (None, 0));
}

#[test]
fn ranges_are_drained() {
    let drained = |range: std::ops::Range<usize>| {
        let mut array = StableVec::from_iter(0..6);
        let out: Vec<i32> = array.drain(range).collect();
        (out, array)
    };
    assert_eq!(drained(0..6), ((0..6).collect(), StableVec::new()));
    assert_eq!(drained(2..2), (vec![], StableVec::from_iter(0..6)));
    assert_eq!(drained(1..3), (vec![1, 2], StableVec::from([0, 3, 4, 5])));
    let mut array = StableVec::from_iter(0..6);
    let mut drain = array.drain(..=3);
    assert_eq!(
        (drain.next(), drain.next_back(), drain.as_slice()),
        (Some(0), Some(3), &[1, 2][..])
    );
    assert_eq!(drain.len(), 2);
    drop(drain);
    assert_eq!(array, [4, 5]);
    let mut words = StableVec::from(["a", "b", "c"].map(String::from));
    std::mem::forget(words.drain(1..2));
    assert_eq!(words, ["a"]);
}

#[test]
#[expect(clippy::mutable_key_type, reason = "only the elements are hashed and compared")]
fn it_is_taken_for_a_slice_and_a_collection() {
    if !has_many_addresses() {
        return;
    }
    let words = StableVec::from(["one", "two"].map(String::from));
    let mut set = HashSet::new();
    set.insert(words.clone());
    assert!(set.contains(&words) && set.contains(&words[..]));
    let later = StableVec::from(["one", "uno"].map(String::from));
    assert!(words < later && words.cmp(&later).is_lt());
    assert_eq!(format!("{words:?}"), r#"["one", "two"]"#);
    assert_eq!(vec!["one", "two"], words);
    let lens: Vec<usize> = (&words).into_iter().map(String::len).collect();
    assert_eq!(lens, [3, 3]);
    let mut words = words;
    for word in &mut words {
        word.push('!');
    }
    let mut owned = words.into_iter();
    assert_eq!((owned.len(), owned.next().as_deref()), (2, Some("one!")));
    assert_eq!(owned.rev().collect::<Vec<_>>(), ["two!"]);
    assert_eq!(StableVec::from(vec![1, 2]), StableVec::from(&[1, 2]));
    assert_eq!(StableVec::<u8>::default(), []);
    fn takes(_: impl AsRef<[i32]> + Send + Sync) {}
    takes(StableVec::<i32>::new());
}

#[test]
fn bytes_are_written_or_refused_whole() {
    let mut bytes = StableVec::with_max(70 * KIB);
    write!(bytes, "{}-{}", 1, 2).expect("room");
    assert_eq!(bytes, b"1-2");
    let error = bytes.write_all(&vec![0; 70 * KIB]).expect_err("too much");
    assert_eq!((error.kind(), bytes.len()), (std::io::ErrorKind::OutOfMemory, 3));
}

#[test]
fn elements_stay_where_they_are() {
    let mut array = StableVec::new();
    array.push(0_u64);
    let first = array.as_ptr();
    for n in 1..3_000_000 {
        array.push(n);
    }
    // SAFETY: the first element is there, and nothing has moved it.
    assert_eq!((array.as_ptr(), unsafe { first.read() }), (first, 0));
    assert!(array.iter().copied().eq(0..3_000_000));
    let moved = array;
    assert_eq!((moved.as_ptr(), moved[2_999_999]), (first, 2_999_999));
}

#[test]
fn the_maximum_is_kept_and_told() {
    let mut array = StableVec::with_max(100_000);
    array.extend(0..99_999_u32);
    array.push(99_999);
    let refused = array.try_push(7).expect_err("it is full");
    assert_eq!((refused.value, refused.error.op()), (7, Op::Grow));
    assert_eq!(refused.error.kind(), ErrorKind::OutOfRange);
    assert_eq!(array.try_insert(3, 8).map_err(|refused| refused.value), Err(8));
    for done in [
        array.try_reserve(1),
        array.try_extend_from_slice(&[1, 2]),
        array.try_extend([1, 2]),
        array.try_extend((0..5).filter(|n| n % 2 == 0)),
        array.try_resize(100_001, 0),
        array.try_resize_with(usize::MAX, || 0),
        array.try_append(&mut StableVec::from([1])),
    ] {
        let error = done.expect_err("it is full");
        assert_eq!((error.op(), error.kind()), (Op::Grow, ErrorKind::OutOfRange));
    }
    assert!(array.iter().copied().eq(0..100_000));
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| array.push(1)));
    let told = told.expect_err("it is full").downcast::<String>().expect("words");
    assert_eq!(
        told.split(" at 0x").next(),
        Some("a StableVec of 100000 elements, maximum 100000: grow of 400004 bytes")
    );
    assert!(told.ends_with(
        ": that is more than the maximum the array was made with; make the array with a larger \
         maximum"
    ));
    assert_eq!(array.len(), 100_000);
    let mut none = StableVec::with_max(0);
    assert_eq!(none.try_push(1).map_err(|refused| refused.value), Err(1));
    let mut too_many = StableVec::with_max(usize::MAX);
    let error = too_many.try_push(1_u16).expect_err("no program has so many addresses").error;
    assert_eq!((error.op(), error.kind()), (Op::Reserve, ErrorKind::OutOfRange));
}

#[test]
fn try_extend_takes_back_what_it_has_appended() {
    let mut array = StableVec::with_max(5);
    array.extend(["a", "b"].map(String::from));
    let words = ["c", "d", "e", "f"].into_iter().map(String::from).filter(|_| true);
    assert!(array.try_extend(words).is_err());
    assert_eq!(array, ["a", "b"]);
    array.try_extend(["c", "d", "e"].map(String::from)).expect("room for five");
    assert_eq!(array.len(), 5);
}

#[test]
fn memory_comes_in_steps() {
    let mut array = StableVec::with_max(64 * MIB);
    let mut ends = Vec::new();
    for _ in 0..6 * MIB {
        array.push(0_u8);
        if ends.last() != Some(&array.capacity()) {
            ends.push(array.capacity());
            assert_eq!(committed_len(&array), array.capacity());
        }
    }
    let steps = [64, 128, 256, 512, 2560, 4608, 6656].map(|kib| kib * KIB);
    assert_eq!(ends, steps);
    assert_eq!(array.committed_len(), 6656 * KIB);
    let behind = array.as_ptr().addr() + 6656 * KIB;
    assert_eq!(vm::query(behind).expect("ours").state, State::Reserved);
}

#[test]
fn memory_goes_back_when_much_is_spare() {
    let mut array = StableVec::with_max(GIB);
    array.resize(32 * MIB, 1_u8);
    let all = array.capacity();
    array.truncate(all / 2);
    assert_eq!(array.capacity(), all, "half of it is used");
    array.pop();
    let less = array.capacity();
    assert!(less < all && less >= array.len() + array.len() / 2, "{less} of {all}");
    assert_eq!(committed_len(&array), less);
    assert!(!kernel_reads(array.as_ptr().addr() + less));
    assert!(array.iter().all(|&byte| byte == 1));
    // Neither the next pushes nor the next pops ask the system.
    array.resize(less, 2);
    array.truncate(less / 2);
    assert_eq!(array.capacity(), less);
    array.clear();
    assert_eq!((array.capacity(), committed_len(&array)), (64 * KIB, 64 * KIB));
    array.push(3);
    array.shrink_to_fit();
    assert_eq!(array.capacity(), vm::info().page_len);
    array.clear();
    array.shrink_to_fit();
    assert_eq!((array.capacity(), committed_len(&array)), (0, 0));
    array.push(4);
    assert_eq!(array, [4]);
}

#[test]
fn room_that_was_asked_for_stays() {
    let mut array = StableVec::<u8>::with_capacity(20 * MIB);
    let capacity = array.capacity();
    assert!(capacity >= 20 * MIB);
    for _ in 0..2 {
        array.resize(20 * MIB, 1);
        array.clear();
        assert_eq!(array.capacity(), capacity);
    }
    array.extend([1, 2]);
    array.shrink_to(5 * MIB);
    assert_eq!(array.capacity(), 5 * MIB);
    array.clear();
    assert_eq!(array.capacity(), 64 * KIB, "what was asked for was taken back");
    array.shrink_to(9 * MIB);
    assert_eq!(array.capacity(), 64 * KIB, "shrinking never grows");
    array.reserve(3 * MIB);
    assert!(array.capacity() >= 3 * MIB);
    let room = array.spare_capacity_mut();
    room[0].write(5);
    // SAFETY: (1) there is room; (2) it was just written.
    unsafe { array.set_len(1) };
    assert_eq!(array, [5]);
}

#[test]
fn what_has_no_size_needs_no_memory() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    #[derive(Clone)]
    struct Nothing;
    impl Drop for Nothing {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::Relaxed);
        }
    }
    let mut array = StableVec::new();
    assert_eq!((array.max_len(), array.capacity()), (usize::MAX, usize::MAX));
    array.resize(1000, Nothing);
    array.extend(std::iter::repeat_n(Nothing, 1000));
    assert_eq!((array.len(), array.committed_len()), (2000, 0));
    array.truncate(1500);
    drop(array.remove(7));
    array.drain(..99).for_each(drop);
    assert_eq!((array.len(), DROPS.load(Ordering::Relaxed)), (1400, 600));
    array.insert(3, Nothing);
    array.retain(|_| false);
    assert_eq!((array.len(), DROPS.load(Ordering::Relaxed)), (0, 2001));
    array.extend([Nothing, Nothing, Nothing]);
    let mut rest = array.into_iter();
    drop(rest.next());
    assert_eq!((rest.len(), DROPS.load(Ordering::Relaxed)), (2, 2002));
    drop(rest);
    assert_eq!(DROPS.load(Ordering::Relaxed), 2004);
    let mut two = StableVec::with_max(2);
    two.extend([(), ()]);
    assert!(two.try_push(()).is_err() && two.try_extend([()]).is_err());
    let mut all = StableVec::new();
    // SAFETY: (1) the capacity; (2) nothing is to be initialised.
    unsafe { all.set_len(usize::MAX) };
    assert_eq!(
        all.try_push(()).expect_err("no number is left").error.kind(),
        ErrorKind::OutOfRange
    );
}

#[test]
fn elements_are_aligned_however_much_they_want() {
    fn check<T: Default>(max: usize) {
        let mut array = StableVec::with_max(max);
        array.resize_with(3, T::default);
        assert!(array.iter().all(|element| std::ptr::from_ref(element).is_aligned()));
        assert!(array.as_ptr().is_aligned());
    }
    macro_rules! aligned {
        ($($align:literal)*) => {
            $({
                #[derive(Default)]
                #[repr(align($align))]
                struct Aligned(#[expect(dead_code, reason = "a size")] u8);
                assert!(StableVec::<Aligned>::new().as_ptr().is_aligned());
                check::<Aligned>(3);
                check::<Aligned>(64 * MIB / $align);
                check::<Aligned>(StableVec::<Aligned>::new().max_len());
            })*
        };
    }
    // Such elements are moved through the stack.
    let thread = std::thread::Builder::new().stack_size(64 * MIB);
    let thread = thread
        .spawn(|| {
            aligned!(16 4096 65536 131072 1048576);
        })
        .expect("a thread");
    thread.join().expect("no panic");
}

#[test]
fn a_reservation_is_kept_for_the_next_array_until_trim() {
    in_own_process("a_reservation_is_kept_for_the_next_array_until_trim", &[], || {
        if !has_many_addresses() {
            return;
        }
        let state = |addr| vm::query(addr).expect("an address").state;
        let mut array = StableVec::from([1_u8]);
        let addr = array.as_ptr().addr();
        array.resize(MIB, 1);
        drop(array);
        assert_eq!(state(addr), State::Committed);
        assert_eq!(state(addr + 64 * KIB), State::Reserved);
        let array = StableVec::from([7_u32]);
        assert_eq!((array.as_ptr().addr(), array.capacity()), (addr, 16 * KIB));
        let special = [
            StableVec::with_max(1000),
            StableVec::builder().guard_spare().build(),
            StableVec::builder().policy(CommitPolicy::Lazy).build(),
        ];
        drop(array);
        for mut array in special {
            array.push(1_u32);
            let other = array.as_ptr().addr();
            assert_ne!(other, addr, "{array:?}");
            drop(array);
            assert_ne!(state(other), State::Committed);
        }
        let many: Vec<_> = (0..20).map(|n| StableVec::from([n])).collect();
        let addrs: Vec<_> = many.iter().map(|array| array.as_ptr().addr()).collect();
        assert!(addrs.contains(&addr));
        drop(many);
        let kept =
            |addrs: &[usize]| addrs.iter().filter(|&&addr| state(addr) != State::Free).count();
        assert_eq!(kept(&addrs), 16);
        trim();
        assert_eq!(kept(&addrs), 0);
    });
}

#[test]
fn threads_take_and_keep_reservations_at_once() {
    if !has_many_addresses() {
        return;
    }
    let work = |seed: usize| {
        move || {
            for round in 0..300 {
                let arrays: Vec<StableVec<usize>> =
                    (0..5).map(|n| (0..n * 3).map(|i| seed + round + i).collect()).collect();
                for (n, array) in arrays.iter().enumerate() {
                    assert!(array.iter().copied().eq(seed + round..seed + round + n * 3));
                }
            }
        }
    };
    let threads = (0..4).map(|seed| std::thread::spawn(work(seed << 32)));
    let trimming = std::thread::spawn(|| (0..100).for_each(|_| trim()));
    threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().expect("no panic"));
    trimming.join().expect("no panic");
}

#[test]
fn what_elements_have_left_faults_with_a_guard() {
    let page = vm::info().page_len;
    let mut array = StableVec::<u8>::builder().max(GIB).guard_spare().build();
    array.resize(10 * page + 1, 1);
    let start = array.as_ptr().addr();
    let readable = || (0..12).filter(|n| kernel_reads(start + n * page)).count();
    assert_eq!((readable(), array.capacity()), (11, 11 * page));
    array.pop();
    assert_eq!((readable(), array.capacity()), (10, 10 * page));
    array.push(2);
    assert_eq!((readable(), array[10 * page]), (11, 2));
    array.truncate(3 * page - 1);
    assert_eq!(readable(), 3);
    assert!(kernel_reads(start + 3 * page - 1), "the last page is still there");
    array.drain(page..);
    assert_eq!(readable(), 1);
    array.reserve(5 * page);
    assert_eq!(readable(), 6);
    array.clear();
    assert_eq!((readable(), array.capacity()), (0, 0));
    array.extend((0..3 * page).map(|n| n as u8));
    assert!(array.iter().enumerate().all(|(n, &byte)| byte == n as u8));
    assert_eq!(array.committed_len(), 3 * page);
}

/// Set to 1 right before the guilty instruction, and to 2 behind it.
static STEP: AtomicUsize = AtomicUsize::new(0);
static STALE: AtomicUsize = AtomicUsize::new(0);

#[test]
fn a_stale_pointer_faults_at_the_guilty_instruction() {
    in_own_process("a_stale_pointer_faults_at_the_guilty_instruction", &[], || {
        system::on_faults(|addr| {
            let (step, stale) = (STEP.load(Ordering::SeqCst), STALE.load(Ordering::SeqCst));
            if step != 1 || addr != stale {
                return false;
            }
            println!("finished: a_stale_pointer_faults_at_the_guilty_instruction");
            std::process::exit(0);
        });
        let mut array = StableVec::builder().guard_spare().build();
        array.extend(0..100_000_u64);
        let stale: *const u64 = &raw const array[77_777];
        STALE.store(stale.addr(), Ordering::SeqCst);
        // SAFETY: still an element.
        assert_eq!(unsafe { stale.read_volatile() }, 77_777);
        array.clear();
        STEP.store(1, Ordering::SeqCst);
        // SAFETY: none: this is the crime, and it faults.
        let read = unsafe { stale.read_volatile() };
        STEP.store(2, Ordering::SeqCst);
        panic!("read {read} from where no element is");
    });
}
