//! Faults and their handlers, on every system. What only signals have is in `fault_signals.rs`.

mod vm_support;

use granule::fault::{Access, Fault, Handler, Outcome, Watch};
use granule::vm::{self, Protection, Reservation, State};
use granule::{Error, ErrorKind, Op};
use std::hint::black_box;
use std::ops::Range;
use std::process::Output;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::SeqCst};
use vm_support::{byte_at, endings, has_lived, state_at, system};

fn page_len() -> usize {
    vm::info().page_len
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// Commits what is touched, and notes it.
struct OnDemand {
    memory: Reservation,
    calls: AtomicUsize,
    /// Of the first calls: the address, and what was wanted.
    notes: [(AtomicUsize, AtomicU8); 32],
}

const READ: u8 = 1;
const WRITE: u8 = 2;
const NOT_TOLD: u8 = 3;

impl OnDemand {
    fn of(pages: usize) -> &'static Self {
        let memory = Reservation::reserve(pages * page_len()).expect("addresses");
        let notes = [const { (AtomicUsize::new(0), AtomicU8::new(0)) }; 32];
        leak(OnDemand { memory, calls: AtomicUsize::new(0), notes })
    }

    fn addresses(&self, pages: Range<usize>) -> Range<usize> {
        let base = self.memory.base();
        base + pages.start * page_len()..base + pages.end * page_len()
    }

    fn watch(&'static self, pages: Range<usize>) -> Watch {
        watch(self.addresses(pages), self).expect("a range of its own")
    }

    fn at(&self, page: usize) -> *mut u8 {
        // SAFETY: the tests name pages of the reservation.
        unsafe { self.memory.as_ptr().add(page * page_len()) }
    }

    fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }

    /// Page, offset in it, and what was wanted.
    fn notes(&self) -> Vec<(usize, usize, u8)> {
        let offset = |addr: &AtomicUsize| addr.load(SeqCst) - self.memory.base();
        let noted = self.notes[..self.calls()].iter();
        let notes = noted.map(|(addr, access)| (offset(addr), access.load(SeqCst)));
        notes.map(|(offset, told)| (offset / page_len(), offset % page_len(), told)).collect()
    }
}

impl Handler for OnDemand {
    fn fault(&self, fault: &Fault) -> Outcome {
        let call = self.calls.fetch_add(1, SeqCst);
        if let Some((addr, access)) = self.notes.get(call) {
            addr.store(fault.addr(), SeqCst);
            let told = match fault.access() {
                Some(Access::Read) => READ,
                Some(Access::Write) => WRITE,
                None => NOT_TOLD,
            };
            access.store(told, SeqCst);
        }
        let offset = fault.addr() - self.memory.base();
        match self.memory.commit(offset..offset + 1, Protection::ReadWrite) {
            Ok(()) => Outcome::Resume,
            Err(_) => Outcome::NotMine,
        }
    }
}

fn watch<H: Handler>(range: Range<usize>, handler: &'static H) -> Result<Watch, Error> {
    // SAFETY: (1) the handlers of this file call page verbs and use atomics; (2) they say Resume
    // when the page was committed; (3) every test has a reservation of its own.
    unsafe { Watch::new(range, handler) }
}

/// Writes a byte of a page that a handler commits, or that kills.
fn put(place: *mut u8, value: u8) {
    // SAFETY: the test has the page; if nobody answers for it, it wants to die of this.
    unsafe { place.write_volatile(value) }
}

fn get(place: *mut u8) -> u8 {
    // SAFETY: as above.
    unsafe { place.read_volatile() }
}

/// The access that a handler may be told of.
fn told(wanted: u8) -> [u8; 2] {
    let must = cfg!(all(target_arch = "x86_64", any(target_os = "linux", windows)));
    [wanted, if must { wanted } else { NOT_TOLD }]
}

#[test]
fn a_touched_page_is_committed_and_the_touch_is_repeated() {
    let demand = OnDemand::of(8);
    let watch = demand.watch(0..8);
    assert_eq!(watch.range(), demand.addresses(0..8));
    assert!(format!("{watch:?}").starts_with("Watch(0x"));
    for (page, byte) in [(3, 0), (7, 5), (0, page_len() - 1)] {
        let place = demand.at(page).wrapping_add(byte);
        assert_eq!(state_at(&demand.memory, page * page_len()), State::Reserved);
        put(place, page as u8 + 1);
        assert_eq!(get(place), page as u8 + 1);
        assert_eq!(byte_at(&demand.memory, page * page_len() + byte), page as u8 + 1);
    }
    let places: Vec<_> = demand.notes().iter().map(|&(page, byte, _)| (page, byte)).collect();
    assert_eq!(places, [(3, 0), (7, 5), (0, page_len() - 1)], "once each, at the byte");
    assert_eq!(state_at(&demand.memory, page_len()), State::Reserved);
    drop(watch);
    assert_eq!(get(demand.at(3)), 4, "the pages stay");
}

/// An address that every thread has another of.
fn own_address() -> usize {
    thread_local!(static OWN: u8 = const { 0 });
    OWN.with(|own| std::ptr::from_ref(own).addr())
}

#[test]
fn the_handler_runs_on_the_thread_between_two_tries_of_the_instruction() {
    static STEP: AtomicUsize = AtomicUsize::new(0);
    static THREAD: AtomicUsize = AtomicUsize::new(0);
    let demand = OnDemand::of(1);
    let handler = leak(|fault: &Fault| {
        let is_next = STEP.compare_exchange(1, 2, SeqCst, SeqCst).is_ok();
        THREAD.store(own_address(), SeqCst);
        if is_next { demand.fault(fault) } else { Outcome::NotMine }
    });
    let _watch = watch(demand.addresses(0..1), handler).expect("a free range");
    STEP.store(1, SeqCst);
    put(demand.at(0), 9);
    assert_eq!(STEP.swap(3, SeqCst), 2, "it has run before the touch was done");
    assert_eq!((get(demand.at(0)), THREAD.load(SeqCst)), (9, own_address()));
}

#[test]
fn reads_and_writes_are_told_apart() {
    let demand = OnDemand::of(3);
    let rights = leak(AtomicUsize::new(0));
    let handler = leak(|fault: &Fault| {
        let offset = fault.addr() - demand.memory.base();
        // The first touch gives the right to read only.
        let first = rights.fetch_add(1, SeqCst) == 0;
        let protection = if first { Protection::Read } else { Protection::ReadWrite };
        let outcome = demand.fault(fault);
        let done = demand.memory.protect(offset..offset + 1, protection);
        if done.is_ok() { outcome } else { Outcome::NotMine }
    });
    let _watch = watch(demand.addresses(0..3), handler).expect("a free range");
    assert_eq!(get(demand.at(0)), 0);
    put(demand.at(0), 1);
    put(demand.at(1), 2);
    assert_eq!(get(demand.at(2)), 0);
    let notes = demand.notes();
    assert_eq!(notes.iter().map(|&(page, ..)| page).collect::<Vec<_>>(), [0, 0, 1, 2]);
    for ((.., access), wanted) in notes.into_iter().zip([READ, WRITE, WRITE, READ]) {
        assert!(told(wanted).contains(&access), "{access} for {wanted}");
    }
}

#[test]
fn a_touch_across_two_pages_asks_twice() {
    let demand = OnDemand::of(2);
    let _watch = demand.watch(0..2);
    let across = demand.at(1).wrapping_sub(4).cast::<u64>();
    // SAFETY: both pages lie in the reservation and are committed by the handler.
    unsafe { across.write_unaligned(u64::MAX) };
    assert_eq!(
        [get(demand.at(1).wrapping_sub(1)), get(demand.at(1)), demand.calls() as u8],
        [255, 255, 2]
    );
}

#[test]
fn neighbours_have_each_their_own_handler() {
    let [lower, upper] = [OnDemand::of(8), OnDemand::of(1)];
    // Handlers of the same memory, which note apart.
    let others = [0, 1, 2].map(|_| leak(AtomicUsize::new(0)));
    let watches: Vec<_> = [0..1, 1..4, 4..8]
        .into_iter()
        .zip(others)
        .map(|(pages, count)| {
            let handler = leak(|fault: &Fault| {
                count.fetch_add(1, SeqCst);
                lower.fault(fault)
            });
            watch(lower.addresses(pages), handler).expect("side by side")
        })
        .collect();
    let _foreign = upper.watch(0..1);
    for page in [7, 0, 3, 1, 4] {
        put(lower.at(page), page as u8);
    }
    assert_eq!(others.map(|count| count.load(SeqCst)), [1, 2, 2]);
    drop(watches);
    put(upper.at(0), 1);
    assert_eq!((lower.calls(), upper.calls()), (5, 1));
}

#[test]
fn ranges_that_cannot_be_watched_are_told_so() {
    let demand = OnDemand::of(8);
    let page = page_len();
    let first = demand.watch(2..4);
    let base = demand.memory.base();
    let inverted = Range { start: base + page, end: base };
    let refused = [
        (base..base, ErrorKind::OutOfRange),
        (inverted, ErrorKind::OutOfRange),
        (usize::MAX - page + 1..usize::MAX, ErrorKind::OutOfRange),
        (base..usize::MAX - page + 1, ErrorKind::OutOfRange),
        (base + 1..base + page, ErrorKind::Misaligned),
        (base..base + page - 1, ErrorKind::Misaligned),
        (base..base + page + 1, ErrorKind::Misaligned),
        (demand.addresses(2..4), ErrorKind::AddressTaken),
        (demand.addresses(1..3), ErrorKind::AddressTaken),
        (demand.addresses(3..5), ErrorKind::AddressTaken),
        (demand.addresses(0..8), ErrorKind::AddressTaken),
        (demand.addresses(3..4), ErrorKind::AddressTaken),
    ];
    for (range, kind) in refused {
        let error = watch(range.clone(), demand).expect_err("a range that cannot be watched");
        assert_eq!((error.op(), error.kind(), error.code()), (Op::Watch, kind, 0), "{range:x?}");
        assert_eq!((error.addr(), error.len()), (range.start, range.len()));
        assert_eq!(error.call(), None);
    }
    put(demand.at(3), 1);
    let around = [demand.watch(1..2), demand.watch(4..5)];
    put(demand.at(1), 1);
    drop((around, first));
    let all = demand.watch(0..8);
    put(demand.at(2), 1);
    assert_eq!((demand.calls(), all.range()), (3, demand.addresses(0..8)));
}

/// They died, and the first one, where no watch was, just as the others.
fn all_died_alike(outputs: &[Output]) {
    for output in outputs {
        let texts = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        assert!(!has_lived(output) && !output.status.success(), "{} {texts:?}", output.status);
        assert_eq!(output.status, outputs[0].status, "{texts:?}");
    }
}

fn has_said(output: &Output, text: &str) -> bool {
    String::from_utf8_lossy(&output.stdout).contains(text)
        || String::from_utf8_lossy(&output.stderr).contains(text)
}

#[test]
fn what_no_handler_wants_ends_the_process_as_without_a_watch() {
    fn alone() {
        put(OnDemand::of(1).at(0), 1);
    }
    fn not_mine() {
        let demand = OnDemand::of(2);
        let handler = leak(|fault: &Fault| {
            // The second call is about the second page.
            if demand.calls() == 0 { demand.fault(fault) } else { Outcome::NotMine }
        });
        let _watch = watch(demand.addresses(0..2), handler).expect("a free range");
        put(demand.at(0), 1);
        println!("the first page is there");
        put(demand.at(1), 1);
    }
    fn elsewhere() {
        let demand = OnDemand::of(3);
        let _watches = [demand.watch(0..1), demand.watch(2..3)];
        put(demand.at(0), 1);
        put(demand.at(2), 1);
        println!("its neighbours are there");
        put(demand.at(1), 1);
    }
    fn ended() {
        let demand = OnDemand::of(2);
        let watch = demand.watch(0..2);
        put(demand.at(0), 1);
        drop(watch);
        println!("the watch has ended");
        put(demand.at(1), 1);
    }
    let name = "what_no_handler_wants_ends_the_process_as_without_a_watch";
    let outputs = endings(name, [alone, not_mine, elsewhere, ended]);
    all_died_alike(&outputs);
    assert!(has_said(&outputs[1], "the first page is there"));
    assert!(has_said(&outputs[2], "its neighbours are there"));
    assert!(has_said(&outputs[3], "the watch has ended"));
}

#[test]
fn a_watch_can_follow_another() {
    let [first, second] = [OnDemand::of(4), OnDemand::of(1)];
    for round in 0..100 {
        let watch = first.watch(0..4);
        put(first.at(round % 4), 1);
        drop(watch);
        first.memory.decommit(0..4 * page_len()).expect("its own pages");
    }
    let handler = leak(|fault: &Fault| {
        second.calls.fetch_add(1, SeqCst);
        first.fault(fault)
    });
    let _watch = watch(first.addresses(1..2), handler).expect("free again");
    put(first.at(1), 1);
    assert_eq!((first.calls(), second.calls()), (101, 1));
}

#[test]
fn who_ends_a_watch_waits_for_its_handlers() {
    static INSIDE: AtomicBool = AtomicBool::new(false);
    static MAY_GO: AtomicBool = AtomicBool::new(false);
    static IS_DONE: AtomicBool = AtomicBool::new(false);
    static HAS_ENDED: AtomicBool = AtomicBool::new(false);
    static TOO_EARLY: AtomicBool = AtomicBool::new(false);
    let wait_for = |flag: &AtomicBool| {
        while !flag.load(SeqCst) {
            std::thread::yield_now();
        }
    };
    let demand = OnDemand::of(1);
    let handler = leak(move |fault: &Fault| {
        INSIDE.store(true, SeqCst);
        wait_for(&MAY_GO);
        TOO_EARLY.store(HAS_ENDED.load(SeqCst), SeqCst);
        let outcome = demand.fault(fault);
        IS_DONE.store(true, SeqCst);
        outcome
    });
    let watch = watch(demand.addresses(0..1), handler).expect("a free range");
    std::thread::scope(|scope| {
        scope.spawn(|| put(demand.at(0), 5));
        wait_for(&INSIDE);
        let ender = scope.spawn(|| {
            drop(watch);
            HAS_ENDED.store(true, SeqCst);
            assert!(IS_DONE.load(SeqCst), "the handler has said its last word");
        });
        // Long enough that an end which does not wait is seen.
        (0..1000).for_each(|_| std::thread::yield_now());
        MAY_GO.store(true, SeqCst);
        ender.join().expect("no panic");
    });
    assert!(!TOO_EARLY.load(SeqCst));
    assert_eq!(get(demand.at(0)), 5);
}

const THREADS: usize = 8;

#[test]
fn threads_that_touch_the_same_pages_all_go_on() {
    const PAGES: usize = 200;
    let demand = OnDemand::of(PAGES);
    let _watch = demand.watch(0..PAGES);
    let together = Barrier::new(THREADS);
    let work = |thread: usize| {
        for page in 0..PAGES {
            if page % 20 == 0 {
                together.wait();
            }
            put(demand.at(page).wrapping_add(thread), thread as u8 + 1);
        }
    };
    std::thread::scope(|scope| {
        (0..THREADS).for_each(|thread| drop(scope.spawn(move || work(thread))));
    });
    assert!((PAGES..=PAGES * THREADS).contains(&demand.calls()), "{}", demand.calls());
    for (page, thread) in (0..PAGES).flat_map(|page| (0..THREADS).map(move |at| (page, at))) {
        assert_eq!(get(demand.at(page).wrapping_add(thread)), thread as u8 + 1);
    }
}

#[test]
fn threads_watch_touch_and_end_beside_each_other() {
    const EACH: usize = 16;
    let demand = OnDemand::of(THREADS * EACH);
    let work = |thread: usize| {
        let own = thread * EACH..(thread + 1) * EACH;
        for round in 0..20 {
            let middle = own.start + 1 + round % (EACH - 1);
            let watches = [demand.watch(own.start..middle), demand.watch(middle..own.end)];
            own.clone().for_each(|page| put(demand.at(page), round as u8));
            drop(watches);
            let bytes = own.start * page_len()..own.end * page_len();
            demand.memory.decommit(bytes).expect("its own pages");
        }
    };
    std::thread::scope(|scope| {
        (0..THREADS).for_each(|thread| drop(scope.spawn(move || work(thread))));
    });
    assert_eq!(demand.calls(), THREADS * EACH * 20, "one for each page and round");
}

#[test]
fn a_handler_may_touch_what_another_one_watches() {
    const DEPTH: usize = 4;
    let demands = leak([(); DEPTH].map(|()| OnDemand::of(1)));
    let _watches: Vec<_> = (0..DEPTH)
        .map(|depth| {
            let handler = leak(move |fault: &Fault| {
                if let Some(next) = demands.get(depth + 1) {
                    put(next.at(0), depth as u8 + 10);
                }
                demands[depth].fault(fault)
            });
            watch(demands[depth].addresses(0..1), handler).expect("a free range")
        })
        .collect();
    put(demands[0].at(0), 9);
    let values = [0, 1, 2, 3].map(|depth: usize| get(demands[depth].at(0)));
    assert_eq!(values, [9, 10, 11, 12]);
    assert_eq!([0, 1, 2, 3].map(|depth: usize| demands[depth].calls()), [1; DEPTH]);
}

/// A frame of 20 KiB, written from end to end; its sum.
#[inline(never)]
fn with_big_frame(value: u8) -> usize {
    let mut frame = [0u8; 20 * 1024];
    black_box(&mut frame).fill(value);
    black_box(&frame).iter().map(|&byte| usize::from(byte)).sum()
}

#[test]
fn a_handler_has_room_for_a_big_frame() {
    let demand = OnDemand::of(2);
    let handler = leak(|fault: &Fault| {
        if with_big_frame(3) != 3 * 20 * 1024 {
            return Outcome::NotMine;
        }
        demand.fault(fault)
    });
    let _watch = watch(demand.addresses(0..2), handler).expect("a free range");
    put(demand.at(0), 1);
    std::thread::scope(|scope| {
        scope.spawn(|| put(demand.at(1), 2));
    });
    assert_eq!([get(demand.at(0)), get(demand.at(1))], [1, 2]);
}

#[test]
fn the_number_of_the_last_error_is_kept() {
    let demand = OnDemand::of(1);
    let handler = leak(|fault: &Fault| {
        system::set_error_number(5);
        demand.fault(fault)
    });
    let range = demand.addresses(0..1);
    system::set_error_number(77);
    let watch = watch(range, handler);
    put(demand.at(0), 1);
    drop(watch);
    assert_eq!((system::error_number(), demand.calls()), (77, 1));
}

#[test]
fn the_system_is_refused_and_calls_no_handler() {
    let demand = OnDemand::of(2);
    let _watch = demand.watch(0..2);
    let base = demand.memory.base();
    assert_eq!(system::read_file_to(base, 2), Err(system::NO_ACCESS));
    assert!(!vm_support::kernel_reads(base));
    assert_eq!(demand.calls(), 0);
    put(demand.at(0), 0);
    assert_eq!(system::read_file_to(base, 2), Ok(2));
    assert!(vm_support::kernel_reads(base));
    assert_eq!(demand.calls(), 1);
}

#[test]
fn a_touched_tripwire_is_a_fault_like_any_other() {
    let demand = OnDemand::of(2);
    let tripped = leak(AtomicUsize::new(0));
    let handler = leak(|fault: &Fault| {
        // SAFETY: (1) the reservation lives for ever.
        match unsafe { vm::trip(fault.addr()) } {
            Some(region) if region.state == State::Tripwire => {
                tripped.fetch_add(1, SeqCst);
                Outcome::Resume
            }
            _ => demand.fault(fault),
        }
    });
    let _watch = watch(demand.addresses(0..2), handler).expect("a free range");
    put(demand.at(0), 1);
    demand.memory.arm(0..page_len()).expect("a committed page");
    put(demand.at(0), 2);
    put(demand.at(0), 3);
    put(demand.at(1), 4);
    assert_eq!((tripped.load(SeqCst), demand.calls(), get(demand.at(0))), (1, 2, 3));
}

/// Needs more stack than there is.
#[inline(never)]
fn dig(depth: usize) -> usize {
    let frame = black_box([depth; 128]);
    if depth == usize::MAX { 0 } else { dig(depth + 1) + frame[depth % 128] }
}

fn dig_in_thread() {
    let thread = std::thread::Builder::new().name("digger".into()).stack_size(256 << 10);
    let digger = thread.spawn(|| black_box(dig(0))).expect("a thread");
    println!("it has dug {:?}", digger.join());
}

#[test]
fn an_overflow_of_the_stack_has_the_words_of_rust() {
    fn watched() {
        let demand = OnDemand::of(2);
        let _watch = demand.watch(0..2);
        put(demand.at(0), 1);
        dig_in_thread();
    }
    let words = "has overflowed its stack";
    let name = "an_overflow_of_the_stack_has_the_words_of_rust";
    let outputs = endings(name, [dig_in_thread, watched]);
    all_died_alike(&outputs);
    if has_said(&outputs[0], words) {
        assert!(has_said(&outputs[1], words));
    } else {
        println!("skipped: without a watch this system says nothing about a full stack, either");
    }
}
