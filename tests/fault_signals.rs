//! Faults on Linux: who else handles the signals, before us and after, and what they see.
#![cfg(target_os = "linux")]

mod vm_support;

use granule::fault::{Fault, Outcome, Watch};
use granule::vm::{Protection, Reservation, info};
use std::ffi::{c_int, c_void};
use std::mem::zeroed;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::thread;
use vm_support::in_own_process;

type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// Pages of a test, committed by whoever is asked.
struct Pages {
    memory: OnceLock<Reservation>,
    asked: AtomicUsize,
}

impl Pages {
    const fn new() -> Self {
        Pages { memory: OnceLock::new(), asked: AtomicUsize::new(0) }
    }

    fn base(&self) -> usize {
        self.memory.get_or_init(|| Reservation::reserve(1 << 20).expect("addresses")).base()
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Commits the page at `addr`, if it is one of these.
    fn commit(&self, addr: usize) -> bool {
        let Some(memory) = self.memory.get() else { return false };
        let offset = addr.wrapping_sub(memory.base());
        if offset >= memory.len() {
            return false;
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        memory.commit(offset..offset + 1, Protection::ReadWrite).is_ok()
    }

    /// Writes a byte to page `page` and reads it.
    fn touch(&self, page: usize) {
        let memory = self.memory.get().expect("made by the test");
        // SAFETY: inside the reservation.
        let place = unsafe { memory.as_ptr().add(page * info().page_len) };
        // SAFETY: the pages are this test's; a fault is what it is about.
        unsafe { place.write_volatile(7) };
        // SAFETY: as above.
        assert_eq!(unsafe { place.read_volatile() }, 7);
    }
}

impl granule::fault::Handler for Pages {
    fn fault(&self, fault: &Fault) -> Outcome {
        if self.commit(fault.addr()) { Outcome::Resume } else { Outcome::NotMine }
    }
}

/// Pages that a watch answers for, and others that handlers of the program commit.
static WATCHED: Pages = Pages::new();
static FIRST: Pages = Pages::new();
static LATER: Pages = Pages::new();

fn watch(pages: &'static Pages) -> Watch {
    let base = pages.base();
    // SAFETY: (1), (2) the handler commits the page, or says no; (3) nobody else watches it.
    unsafe { Watch::new(base..base + (1 << 20), pages) }.expect("a watch")
}

/// Sets the program's action; returns the one before.
fn set(handler: Handler, flags: c_int) -> libc::sigaction {
    // SAFETY: a structure of numbers may be zero.
    let mut action: libc::sigaction = unsafe { zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | flags;
    // SAFETY: the mask is a part of the structure.
    unsafe { libc::sigaddset(&raw mut action.sa_mask, libc::SIGUSR1) };
    // SAFETY: as above.
    let mut old: libc::sigaction = unsafe { zeroed() };
    // SAFETY: both structures outlive the call, and the handlers are the tests'.
    assert_eq!(unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, &raw mut old) }, 0);
    old
}

fn addr_of(info: *mut libc::siginfo_t) -> usize {
    // SAFETY: the kernel's, alive while the handler runs.
    let info = unsafe { &*info };
    // SAFETY: it is about a fault.
    unsafe { info.si_addr() }.addr()
}

fn end(words: &str) -> ! {
    eprintln!("{words}");
    std::process::abort()
}

fn is_blocked(signal: c_int) -> bool {
    // SAFETY: a set of zeros is one.
    let mut mask: libc::sigset_t = unsafe { zeroed() };
    // SAFETY: reads the mask of this thread.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut mask) };
    // SAFETY: the set was filled in.
    unsafe { libc::sigismember(&raw const mask, signal) == 1 }
}

static MASKS_SEEN: AtomicBool = AtomicBool::new(false);

/// Was there before us.
extern "C" fn first(signal: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    let blocked = [libc::SIGUSR1, libc::SIGSEGV, libc::SIGUSR2].map(is_blocked);
    MASKS_SEEN.store(blocked == [true, true, false], Ordering::SeqCst);
    if signal != libc::SIGSEGV || !FIRST.commit(addr_of(info)) {
        end("a fault of nobody's");
    }
}

static FOUND: OnceLock<libc::sigaction> = OnceLock::new();

/// Came after us, and hands on what is not its own.
extern "C" fn later(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    if LATER.commit(addr_of(info)) {
        return;
    }
    let found = FOUND.get().expect("set by the test");
    // SAFETY: sigaction has given a handler with three arguments.
    let found = unsafe { std::mem::transmute::<usize, Handler>(found.sa_sigaction) };
    found(signal, info, context);
}

/// Came after us, and keeps everything for itself.
extern "C" fn greedy(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    if !LATER.commit(addr_of(info)) {
        end("greedy: a fault that is not mine");
    }
}

#[test]
fn a_handler_that_was_there_before_keeps_working() {
    in_own_process("a_handler_that_was_there_before_keeps_working", &[], || {
        set(first, 0);
        FIRST.base();
        let _watch = watch(&WATCHED);
        WATCHED.touch(0);
        FIRST.touch(0);
        WATCHED.touch(1);
        assert_eq!((WATCHED.asked(), FIRST.asked()), (2, 1));
        assert!(
            MASKS_SEEN.load(Ordering::SeqCst),
            "the mask that it asked for, and its own signal"
        );
        assert!(!is_blocked(libc::SIGSEGV) && !is_blocked(libc::SIGUSR1));
    });
}

#[test]
fn a_handler_that_came_after_may_hand_on_to_us() {
    in_own_process("a_handler_that_came_after_may_hand_on_to_us", &[], || {
        set(first, 0);
        FIRST.base();
        LATER.base();
        let _watch = watch(&WATCHED);
        let _ = FOUND.set(set(later, 0));
        for page in 0..3 {
            WATCHED.touch(page);
            LATER.touch(page);
            FIRST.touch(page);
        }
        assert_eq!([&WATCHED, &LATER, &FIRST].map(Pages::asked), [3; 3]);
    });
}

#[test]
fn a_second_watch_comes_to_the_front_and_everybody_gets_his_own() {
    let name = "a_second_watch_comes_to_the_front_and_everybody_gets_his_own";
    in_own_process(name, &[], || {
        static SECOND: Pages = Pages::new();
        set(first, 0);
        FIRST.base();
        LATER.base();
        let _watch = watch(&WATCHED);
        let _ = FOUND.set(set(later, libc::SA_NODEFER));
        // Now ours, later, first: and later hands on to us.
        let _second = watch(&SECOND);
        for page in 0..3 {
            for pages in [&WATCHED, &SECOND, &LATER, &FIRST] {
                pages.touch(page);
            }
        }
        assert_eq!([&WATCHED, &SECOND, &LATER, &FIRST].map(Pages::asked), [3; 4]);
        // The program takes turns with itself: no layer is added.
        for _ in 0..20 {
            set(later, libc::SA_NODEFER);
            drop(watch(Box::leak(Box::new(Pages::new()))));
        }
        for pages in [&WATCHED, &SECOND, &LATER, &FIRST] {
            pages.touch(5);
        }
    });
}

#[test]
fn a_greedy_handler_is_passed_by_with_the_next_watch() {
    in_own_process("a_greedy_handler_is_passed_by_with_the_next_watch", &[], || {
        LATER.base();
        drop(watch(&WATCHED));
        set(greedy, 0);
        let _watch = watch(&WATCHED);
        WATCHED.touch(0);
        LATER.touch(0);
        assert_eq!((WATCHED.asked(), LATER.asked()), (1, 1));
    });
}

/// Whoever is the program's action is asked first, even if another one was there in between.
#[test]
fn a_handler_that_comes_back_is_first_again() {
    in_own_process("a_handler_that_comes_back_is_first_again", &[], || {
        set(first, 0);
        FIRST.base();
        drop(watch(&WATCHED));
        set(greedy, 0);
        drop(watch(&WATCHED));
        set(first, 0);
        let _watch = watch(&WATCHED);
        WATCHED.touch(0);
        FIRST.touch(0);
        assert_eq!((WATCHED.asked(), FIRST.asked()), (1, 1));
    });
}

/// Where the thread goes on that `jumping` leaves: what `getcontext` has filled.
static WAY_OUT: std::sync::atomic::AtomicPtr<libc::ucontext_t> =
    std::sync::atomic::AtomicPtr::new(null_mut());

extern "C" fn jumping(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the one thread of the test has filled it, in a frame that it has not left.
    unsafe { libc::setcontext(WAY_OUT.load(Ordering::SeqCst)) };
}

#[test]
#[cfg(target_env = "gnu")]
fn a_handler_that_jumps_away_leaves_nothing_behind() {
    in_own_process("a_handler_that_jumps_away_leaves_nothing_behind", &[], || {
        static JUMPS: AtomicUsize = AtomicUsize::new(0);
        set(jumping, libc::SA_ONSTACK);
        let _watch = watch(&WATCHED);
        // SAFETY: a structure of numbers and pointers may be zero.
        let way_out: &'static mut libc::ucontext_t = Box::leak(Box::new(unsafe { zeroed() }));
        WAY_OUT.store(way_out, Ordering::SeqCst);
        for page in 0..50 {
            JUMPS.store(0, Ordering::SeqCst);
            // SAFETY: the structure is only used by this thread, while it is in this function.
            unsafe { libc::getcontext(WAY_OUT.load(Ordering::SeqCst)) };
            if JUMPS.fetch_add(1, Ordering::SeqCst) == 0 {
                // SAFETY: nobody's page: this is what the handler jumps away from.
                unsafe { std::ptr::without_provenance_mut::<u8>(64).write_volatile(1) };
            }
            WATCHED.touch(page);
        }
        assert_eq!(WATCHED.asked(), 50);
    });
}

#[test]
fn a_signal_that_was_sent_is_none_of_ours() {
    in_own_process("a_signal_that_was_sent_is_none_of_ours", &[], || {
        static SENT: AtomicUsize = AtomicUsize::new(0);
        extern "C" fn count(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
            SENT.fetch_add(1, Ordering::SeqCst);
        }
        set(count, 0);
        let _watch = watch(&WATCHED);
        // SAFETY: a signal to this process, which has a handler.
        assert_eq!(unsafe { libc::raise(libc::SIGSEGV) }, 0);
        WATCHED.touch(0);
        assert_eq!((SENT.load(Ordering::SeqCst), WATCHED.asked()), (1, 1));
    });
}

#[test]
fn errno_is_kept_and_other_signals_wait() {
    in_own_process("errno_is_kept_and_other_signals_wait", &[], || {
        static SAW: AtomicI32 = AtomicI32::new(0);
        extern "C" fn usr2(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
            SAW.store(if WATCHED.asked() == 1 { 2 } else { 1 }, Ordering::SeqCst);
        }
        struct Noisy;
        impl granule::fault::Handler for Noisy {
            fn fault(&self, fault: &Fault) -> Outcome {
                // SAFETY: a signal to this thread, which has a handler.
                unsafe { libc::raise(libc::SIGUSR2) };
                // SAFETY: always allowed; it fails and changes errno.
                unsafe { libc::close(-1) };
                granule::fault::Handler::fault(&WATCHED, fault)
            }
        }
        // SAFETY: a structure of numbers may be zero.
        let mut action: libc::sigaction = unsafe { zeroed() };
        action.sa_sigaction = usr2 as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        // SAFETY: the structure outlives the call.
        unsafe { libc::sigaction(libc::SIGUSR2, &raw const action, null_mut()) };
        let base = WATCHED.base();
        // SAFETY: (1) to (3) as in `watch`; raise and close are async-signal-safe.
        let _watch = unsafe { Watch::new(base..base + (1 << 20), &Noisy) }.expect("a watch");
        // SAFETY: asks for the place of this thread's own number.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: it is valid as long as the thread lives.
        unsafe { errno.write(4711) };
        WATCHED.touch(0);
        // SAFETY: as above.
        assert_eq!(unsafe { errno.read() }, 4711);
        assert_eq!(SAW.load(Ordering::SeqCst), 2, "the signal came after the handler");
    });
}

/// As the module says. The signals have to be open where watched pages are touched.
#[test]
fn a_fault_of_a_thread_that_blocks_the_signal_ends_the_process() {
    let name = "a_fault_of_a_thread_that_blocks_the_signal_ends_the_process";
    fn blocked() {
        let _watch = watch(&WATCHED);
        WATCHED.touch(0);
        // SAFETY: a set of zeros is one.
        let mut all: libc::sigset_t = unsafe { zeroed() };
        // SAFETY: fills in a set that we hold.
        unsafe { libc::sigfillset(&raw mut all) };
        // SAFETY: the set outlives the call.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, null_mut()) };
        WATCHED.touch(0);
        println!("what is committed can be touched");
        std::io::Write::flush(&mut std::io::stdout()).expect("a pipe");
        WATCHED.touch(1);
    }
    let [output] = vm_support::endings(name, [blocked]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!vm_support::has_lived(&output) && said.contains("what is committed"), "{said}");
}

/// None at all, one of the length that Rust gives to threads, with a page behind it that nobody may
/// touch, and 128 KiB.
#[test]
fn any_alternate_stack_will_do() {
    in_own_process("any_alternate_stack_will_do", &[], || {
        /// Wants 16 KiB.
        struct Large;
        impl granule::fault::Handler for Large {
            fn fault(&self, fault: &Fault) -> Outcome {
                let frame = std::hint::black_box([0u8; 16 << 10]);
                let answer = granule::fault::Handler::fault(&WATCHED, fault);
                if std::hint::black_box(frame)[77] == 0 { answer } else { Outcome::NotMine }
            }
        }
        let base = WATCHED.base();
        // SAFETY: (1) to (3) as in `watch`.
        let _watch = unsafe { Watch::new(base..base + (1 << 20), &Large) }.expect("a watch");
        // SAFETY: asks for a number.
        let least = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
        let lens = [None, Some(least.max(libc::SIGSTKSZ)), Some(128 << 10)];
        for (number, len) in lens.into_iter().enumerate() {
            let touch = move || {
                let page_len = info().page_len;
                let (room, flags) = len.map_or((1, libc::SS_DISABLE), |len| (len, 0));
                let memory = Reservation::reserve(page_len + room).expect("addresses");
                memory.commit(page_len..page_len + room, Protection::ReadWrite).expect("memory");
                let stack = libc::stack_t {
                    // SAFETY: inside the reservation.
                    ss_sp: unsafe { memory.as_ptr().add(page_len) }.cast(),
                    ss_flags: flags,
                    ss_size: len.unwrap_or(0),
                };
                // SAFETY: of a plain structure zero is a value.
                let mut old: libc::stack_t = unsafe { zeroed() };
                // SAFETY: the memory outlives its use: the old stack comes back below.
                assert_eq!(unsafe { libc::sigaltstack(&raw const stack, &raw mut old) }, 0);
                for page in 0..8 {
                    WATCHED.touch(8 * number + page);
                    // SAFETY: as above.
                    let mut now: libc::stack_t = unsafe { zeroed() };
                    // SAFETY: asks only.
                    unsafe { libc::sigaltstack(std::ptr::null(), &raw mut now) };
                    assert_eq!((now.ss_size, now.ss_flags), (stack.ss_size, flags), "it is back");
                }
                // SAFETY: as above.
                unsafe { libc::sigaltstack(&raw const old, null_mut()) };
            };
            thread::spawn(touch).join().expect("no panic");
        }
    });
}

/// With `SS_AUTODISARM` a handler has no alternate stack: a signal that comes in would begin at the
/// top of it, where the handler is.
#[test]
fn an_alternate_stack_that_disarms_itself_stays_so_for_the_programs_handler() {
    const AUTODISARM: c_int = 1 << 31;
    static SEEN: AtomicI32 = AtomicI32::new(0);
    extern "C" fn look(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
        // SAFETY: of a plain structure zero is a value.
        let mut now: libc::stack_t = unsafe { zeroed() };
        // SAFETY: asks only.
        unsafe { libc::sigaltstack(std::ptr::null(), &raw mut now) };
        SEEN.store(now.ss_flags, Ordering::SeqCst);
        if !FIRST.commit(addr_of(info)) {
            end("a fault of nobody's");
        }
    }
    let name = "an_alternate_stack_that_disarms_itself_stays_so_for_the_programs_handler";
    in_own_process(name, &[], || {
        set(look, libc::SA_ONSTACK);
        let base = FIRST.base();
        // SAFETY: (1), (2) the handler says no; (3) nobody else watches it.
        let watch = unsafe { Watch::new(base..base + (1 << 20), &|_: &Fault| Outcome::NotMine) };
        let _watch = watch.expect("a watch");
        // SAFETY: asks for a number.
        let least = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
        let memory = vec![0_u8; least.max(libc::SIGSTKSZ)].leak();
        let stack = libc::stack_t {
            ss_sp: memory.as_mut_ptr().cast(),
            ss_flags: AUTODISARM,
            ss_size: memory.len(),
        };
        // SAFETY: of a plain structure zero is a value.
        let mut old: libc::stack_t = unsafe { zeroed() };
        // SAFETY: the memory is leaked, and the old stack comes back below.
        if unsafe { libc::sigaltstack(&raw const stack, &raw mut old) } != 0 {
            println!("skipped: this system has no SS_AUTODISARM");
            return;
        }
        FIRST.touch(0);
        assert_eq!((FIRST.asked(), SEEN.load(Ordering::SeqCst)), (1, libc::SS_DISABLE));
        // SAFETY: as above.
        let mut now: libc::stack_t = unsafe { zeroed() };
        // SAFETY: as above.
        assert_eq!(unsafe { libc::sigaltstack(&raw const old, &raw mut now) }, 0);
        assert_eq!((now.ss_sp, now.ss_flags), (stack.ss_sp, AUTODISARM), "it is back");
    });
}

#[test]
fn the_child_of_a_fork_has_the_watches_and_none_of_the_threads() {
    let name = "the_child_of_a_fork_has_the_watches_and_none_of_the_threads";
    in_own_process(name, &[], || {
        /// A thread stays in the handler until it is let go.
        struct Slow;
        static INSIDE: AtomicBool = AtomicBool::new(false);
        static GO_ON: AtomicBool = AtomicBool::new(false);
        impl granule::fault::Handler for Slow {
            fn fault(&self, fault: &Fault) -> Outcome {
                INSIDE.store(true, Ordering::SeqCst);
                while !GO_ON.load(Ordering::SeqCst) {
                    std::hint::spin_loop();
                }
                granule::fault::Handler::fault(&WATCHED, fault)
            }
        }
        let base = WATCHED.base();
        // SAFETY: (1) to (3) as in `watch`; the wait ends.
        let slow = unsafe { Watch::new(base..base + (1 << 20), &Slow) }.expect("a watch");
        FIRST.base();
        let quick = watch(&FIRST);
        let thread = thread::spawn(|| WATCHED.touch(0));
        while !INSIDE.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        // SAFETY: the child touches pages, drops watches, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            FIRST.touch(0);
            drop(slow); // The thread inside is not in this process.
            GO_ON.store(true, Ordering::SeqCst);
            drop(watch(&WATCHED));
            let _again = watch(&WATCHED);
            WATCHED.touch(1);
            drop(quick);
            let is_right = FIRST.asked() == 1 && WATCHED.asked() == 1;
            // SAFETY: ends the child without the parent's destructors.
            unsafe { libc::_exit(i32::from(!is_right)) };
        }
        let mut status = -1;
        // SAFETY: `status` outlives the call.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        GO_ON.store(true, Ordering::SeqCst);
        thread.join().expect("no panic");
        assert_eq!(status, 0);
        FIRST.touch(0);
    });
}
