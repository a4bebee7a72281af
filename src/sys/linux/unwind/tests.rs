use super::super::fault::resume_probe;
use super::{Registers, cache, capture, probe_read, tables};
use crate::ds::cfi::Frame;
use crate::start;
use core::ffi::{CStr, c_int, c_void};
use core::hint::black_box;
use std::cell::RefCell;
use std::ffi::CString;
use std::process::Command;

/// The stack of the function that this is inlined into, from what it returns to.
#[inline(always)]
fn stack_here() -> Vec<u64> {
    let mut out = [0; 64];
    let len = capture(&Registers::current(), &mut out);
    out[..len].to_vec()
}

/// The stack by the unwinder of the C compiler, from somewhere inside the oracle.
#[inline(never)]
fn stack_by_oracle() -> Vec<u64> {
    let mut out = Vec::new();
    backtrace::trace(|frame| {
        out.extend(Some(frame.ip() as u64).filter(|&ip| ip != 0)); // it ends some stacks with 0
        true
    });
    out
}

/// `ours` must be the end of `oracle`; the frames of the latter start deeper.
fn assert_is_tail(ours: &[u64], oracle: &[u64]) {
    let start = oracle.iter().position(|pc| *pc == ours[0]);
    let start = start.unwrap_or_else(|| panic!("{:x} is not in {oracle:x?}", ours[0]));
    assert_eq!(ours, &oracle[start..], "not the end of {oracle:x?}");
}

/// Both stacks at a function with `depth` calls of itself above it.
#[inline(never)]
fn both(depth: usize) -> (Vec<u64>, Vec<u64>) {
    if depth == 0 {
        return black_box((stack_here(), stack_by_oracle()));
    }
    let result = both(black_box(depth - 1));
    black_box(result)
}

#[test]
fn known_functions_are_seen_as_by_the_oracle() {
    for depth in [0, 1, 5, 20] {
        // Twice: the second walk finds its rows in the cache.
        for _ in 0..2 {
            let (ours, oracle) = both(depth);
            assert!(ours.len() > depth);
            assert_is_tail(&ours, &oracle);
        }
    }
}

#[test]
fn a_short_buffer_gets_the_innermost_frames() {
    let mut short = [0; 3];
    let registers = Registers::current();
    let mut long = [0; 64];
    assert!(capture(&registers, &mut long) > 3);
    assert_eq!(capture(&registers, &mut short), 3);
    assert_eq!(short, long[..3]);
    assert_eq!(capture(&registers, &mut []), 0);
}

// One test, since forgetting is for the whole process.
#[test]
fn what_is_forgotten_is_looked_up_again_and_errno_left_alone() {
    // SAFETY: takes nothing and returns the place of this thread's own number.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: that place is valid as long as the thread lives; nobody else refers to it.
    let errno = unsafe { &mut *place };
    *errno = 77;
    let before = stack_here();
    let cached = || cache::get(before[0]).is_some();
    assert!(cached() == cfg!(target_arch = "x86_64"));
    cache::forget();
    assert!(!cached());
    assert_eq!(stack_here()[1..], before[1..]);
    assert_eq!(*errno, 77);
}

#[test]
fn both_ways_to_find_a_module_agree() {
    let Some(find) = tables::find_object() else {
        println!("skipped: this C library has no _dl_find_object");
        return;
    };
    let own = both as *const () as u64;
    let library = libc::qsort as *const () as u64;
    for address in [own, library] {
        let by_object = tables::by_find_object(find, address).expect("a loaded module");
        assert_eq!(Some(by_object), tables::by_iteration(address));
    }
}

/// Where tables are read nothing else may be of help; elsewhere there is nothing else.
const FRAME_POINTERS: &str =
    if cfg!(target_arch = "x86_64") { "-fomit-frame-pointer" } else { "-fno-omit-frame-pointer" };

/// The functions of `tests.c`.
struct Compiled(*mut c_void);

impl Compiled {
    /// `None`, with a sentence, if there is no C compiler.
    fn new(name: &str) -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("granule-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the library");
        let (source, library) = (folder.join("tests.c"), folder.join("tests.so"));
        std::fs::write(&source, include_str!("tests.c")).expect("a source file");
        let compiler = std::env::var("TARGET_CC").unwrap_or("cc".into());
        let mut compiler = Command::new(compiler);
        compiler
            .args(["-O2", FRAME_POINTERS, "-fasynchronous-unwind-tables"])
            .args(["-shared", "-fPIC", "-o"])
            .args([&library, &source]);
        let opened = match compiler.spawn() {
            Ok(mut built) => {
                assert!(start::status(&mut built).success(), "tests.c does not compile");
                let path = CString::new(library.as_os_str().as_encoded_bytes()).expect("no NUL");
                // SAFETY: a path; the library runs no code of its own when it is loaded.
                let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
                assert!(!handle.is_null(), "tests.so does not load");
                Some(Compiled(handle))
            }
            Err(error) => {
                println!("skipped: cc does not run ({error})");
                None
            }
        };
        std::fs::remove_dir_all(&folder).expect("our own folder");
        opened
    }

    fn address(&self, name: &CStr) -> *mut c_void {
        // SAFETY: an open library and a name.
        let address = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!address.is_null(), "tests.c has no {name:?}");
        address
    }

    /// Calls a function of the form `int name(hook *, size_t)`.
    fn call_through(&self, name: &CStr, hook: extern "C" fn()) {
        type Through = extern "C" fn(extern "C" fn(), usize) -> c_int;
        // SAFETY: all functions that tests name have that form, or take the hook only, which is
        // called the same way.
        let through = unsafe { core::mem::transmute::<*mut c_void, Through>(self.address(name)) };
        through(hook, 100);
    }
}

type Stacks = (Vec<u64>, Vec<u64>);

thread_local! {
    static SEEN: RefCell<Stacks> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// Notes the stack by us and by the oracle.
extern "C" fn note_both() {
    let stacks = (stack_here(), stack_by_oracle());
    SEEN.with_borrow_mut(|seen| *seen = stacks);
}

#[test]
fn frames_of_c_are_seen_as_by_the_oracle() {
    let Some(compiled) = Compiled::new("frames") else { return };
    for name in [
        c"through_qsort",
        c"through_realigned",
        c"through_variable",
        c"through_both",
        #[cfg(target_arch = "x86_64")]
        c"through_r12",
    ] {
        for _ in 0..2 {
            compiled.call_through(name, note_both);
            let (ours, oracle) = SEEN.take();
            assert!(ours.len() > 3, "{name:?}: {ours:x?}");
            assert_is_tail(&ours, &oracle);
        }
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_frame_without_a_table_is_crossed_by_its_frame_pointer() {
    let Some(compiled) = Compiled::new("untabled") else { return };
    let all_here = stack_here();
    compiled.call_through(c"through_untabled", note_both);
    let (ours, _) = SEEN.take();
    let start = compiled.address(c"through_untabled") as u64;
    assert!((start..start + 16).contains(&ours[0]), "{ours:x?}");
    assert_eq!(ours[ours.len() - all_here.len()..], all_here);
}

/// Runs `body` in a process of its own, since handlers belong to a process; `name` is the test's.
fn in_child(name: &str, body: impl FnOnce()) {
    const MARK: &str = "GRANULE_UNWIND_CHILD";
    if std::env::var_os(MARK).is_some() {
        return body();
    }
    let name = format!("sys::linux::unwind::tests::{name}");
    let output = start::output(
        start::again().args(["--exact", &name, "--nocapture", "--test-threads=1"]).env(MARK, "1"),
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{error}{}", output.status);
    assert!(text.contains("1 passed"), "no test was run:\n{text}");
    text.lines().filter(|line| line.starts_with("skipped:")).for_each(|line| println!("{line}"));
}

type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

fn handle(signal: c_int, handler: Handler, flags: c_int) {
    // SAFETY: all zeros is a valid value of this type.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | flags;
    // SAFETY: a complete action; nothing is asked back.
    let status = unsafe { libc::sigaction(signal, &action, core::ptr::null_mut()) };
    assert_eq!(status, 0);
}

thread_local! {
    static INTERRUPTED: RefCell<Stacks> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// Notes the stack of the handler by us, by the oracle, and the interrupted one by its context.
#[cfg(target_arch = "x86_64")]
extern "C" fn note_interrupted(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    note_both();
    let mut out = [0; 64];
    // SAFETY: what the kernel gave.
    let registers = unsafe { Registers::from_ucontext(context) };
    let len = capture(&registers, &mut out);
    INTERRUPTED.with_borrow_mut(|stacks| stacks.0 = out[..len].to_vec());
}

#[cfg(target_arch = "x86_64")]
fn assert_handler_stack() {
    INTERRUPTED.take();
    // SAFETY: the handler of this signal returns.
    assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
    let (mut ours, oracle) = SEEN.take();
    let (interrupted, _) = INTERRUPTED.take();
    assert!(interrupted.len() > 3);
    assert_eq!(ours[2..], interrupted, "after the handler and the return from it: {ours:x?}");
    ours[2] -= 1; // the oracle gives the interrupted pc as it is
    assert_is_tail(&ours, &oracle);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_stack_goes_on_under_a_signal_handler() {
    in_child("a_stack_goes_on_under_a_signal_handler", || {
        handle(libc::SIGUSR1, note_interrupted, 0);
        assert_handler_stack();
        assert_handler_stack();
        // The same with the handler on another stack, which lies below and then above.
        let mut stack = vec![0u8; 1 << 20];
        let alternate =
            libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: stack.len() };
        // SAFETY: the memory outlives its use: the process ends with this test.
        assert_eq!(unsafe { libc::sigaltstack(&alternate, core::ptr::null_mut()) }, 0);
        handle(libc::SIGUSR1, note_interrupted, libc::SA_ONSTACK);
        assert_handler_stack();
        core::mem::forget(stack);
    });
}

/// Resumes probes, as every handler must that captures may meet; other faults note the stack and
/// return from the function that faulted in its first instruction.
extern "C" fn on_fault(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: what the kernel gave.
    if unsafe { resume_probe(context) } {
        return;
    }
    let mut out = [0; 64];
    // SAFETY: what the kernel gave.
    let registers = unsafe { Registers::from_ucontext(context) };
    let len = capture(&registers, &mut out);
    INTERRUPTED.with_borrow_mut(|stacks| stacks.0 = out[..len].to_vec());
    // SAFETY: what the kernel gave.
    return_from_function(&mut unsafe { &mut *context.cast::<libc::ucontext_t>() }.uc_mcontext);
}

#[cfg(target_arch = "x86_64")]
fn return_from_function(machine: &mut libc::mcontext_t) {
    let sp = machine.gregs[libc::REG_RSP as usize];
    let back = probe_read(sp as u64).expect("the return address");
    machine.gregs[libc::REG_RIP as usize] = back as i64;
    machine.gregs[libc::REG_RSP as usize] = sp + 8;
}

#[cfg(target_arch = "aarch64")]
fn return_from_function(machine: &mut libc::mcontext_t) {
    machine.pc = machine.regs[30];
}

#[test]
fn a_fault_in_the_first_instruction_is_of_its_function() {
    in_child("a_fault_in_the_first_instruction_is_of_its_function", || {
        let Some(compiled) = Compiled::new("fault") else { return };
        handle(libc::SIGSEGV, on_fault, libc::SA_NODEFER);
        type Peek = extern "C" fn(usize) -> i64;
        let address = compiled.address(c"peek");
        // SAFETY: the function's type; its fault is handled.
        let peek = unsafe { core::mem::transmute::<*mut c_void, Peek>(address) };
        black_box(peek(black_box(8)));
        let (stack, _) = INTERRUPTED.take();
        assert_eq!(stack[0], address as u64 + 1);
        assert_eq!(stack[2..], stack_here(), "{stack:x?}");
    });
}

#[test]
fn a_call_to_nowhere_shows_its_caller() {
    in_child("a_call_to_nowhere_shows_its_caller", || {
        handle(libc::SIGSEGV, on_fault, libc::SA_NODEFER);
        for nowhere in [0x10usize, 1 << 46] {
            // SAFETY: not a function, but the handler returns from the call.
            let call = unsafe { core::mem::transmute::<usize, extern "C" fn()>(nowhere) };
            black_box(call)();
            let (stack, _) = INTERRUPTED.take();
            assert_eq!(stack[0], nowhere as u64 + 1);
            assert_eq!(stack[2..], stack_here(), "{stack:x?}");
        }
    });
}

/// A start whose first frame is that of the return address `pc`.
fn returning_to(pc: u64, sp: u64, fp: u64) -> Registers {
    Registers { values: Frame { pc, sp, fp }.registers(), gives_pc: true, link: None }
}

/// Addresses of every kind, made from a number.
fn some_address(number: u64, stack: u64) -> u64 {
    let low = number >> 8;
    match number % 5 {
        0 => low,
        1 => stack + low % 4096 * 8,
        2 => stack + low % 65536,
        3 => low % (1 << 47),
        _ => low % 8192,
    }
}

#[test]
fn garbage_is_survived() {
    in_child("garbage_is_survived", || {
        handle(libc::SIGSEGV, on_fault, libc::SA_NODEFER);
        handle(libc::SIGBUS, on_fault, libc::SA_NODEFER);
        assert_eq!(probe_read(1 << 46), None);
        assert_eq!(probe_read(0), None);
        assert_eq!(probe_read(u64::MAX), None);
        let word = black_box(0x1234_5678u64);
        assert_eq!(probe_read(&raw const word as u64), Some(word));
        let codes = [both as *const () as u64, libc::qsort as *const () as u64, 1 << 46, 77];
        let stack = &raw const word as u64;
        let mut number = 1u64;
        let mut next = || {
            number = number.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            number >> 16
        };
        let mut deepest = 0;
        for _ in 0..100_000 {
            let pc = codes[next() as usize % codes.len()] + next() % 512;
            let (sp, fp) = (some_address(next(), stack), some_address(next(), stack));
            let mut out = [0; 16];
            deepest = deepest.max(capture(&returning_to(pc, sp, fp), &mut out));
        }
        assert!(deepest > 3, "some of it must look like a stack");
    });
}
