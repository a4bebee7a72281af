//! Touching memory and living on, on every system: the fault is caught, and the touching function
//! returns early.
//!
//! The three functions that touch are a few instructions of their own which keep nothing on the
//! stack. So wherever in them a fault is caught, the handler can go on at `stop`, and that returns
//! to the caller: no jump over foreign frames.

use super::step::{Access, GUARD_VIOLATION, VIOLATION};
use granule::vm::State;
use std::arch::global_asm;
use std::ptr::null_mut;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as platform;

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl granule_touch_read, granule_touch_write, granule_touch_execute, granule_touch_stop",
    "granule_touch_read:",
    "    movzx eax, byte ptr [rdi]",
    "    ret",
    "granule_touch_write:",
    "    mov byte ptr [rdi], sil",
    "    xor eax, eax",
    "    ret",
    "granule_touch_execute:",
    "    xor eax, eax",
    "    jmp rdi",
    "granule_touch_stop:",
    "    mov eax, -1",
    "    ret",
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl granule_touch_read, granule_touch_write, granule_touch_execute, granule_touch_stop",
    "granule_touch_read:",
    "    ldrb w0, [x0]",
    "    ret",
    "granule_touch_write:",
    "    strb w1, [x0]",
    "    mov w0, wzr",
    "    ret",
    "granule_touch_execute:",
    "    mov x1, x0",
    "    mov w0, wzr",
    "    br x1",
    "granule_touch_stop:",
    "    mov w0, #-1",
    "    ret",
);

/// An instruction that returns, for pages that are executed.
#[cfg(target_arch = "x86_64")]
pub(crate) const RETURN: &[u8] = &[0xc3];
#[cfg(target_arch = "aarch64")]
pub(crate) const RETURN: &[u8] = &[0xc0, 0x03, 0x5f, 0xd6];

#[cfg(target_arch = "x86_64")]
unsafe extern "sysv64" {
    fn granule_touch_read(addr: usize) -> i32;
    fn granule_touch_write(addr: usize, value: u8) -> i32;
    fn granule_touch_execute(addr: usize) -> i32;
    fn granule_touch_stop() -> i32;
}
#[cfg(target_arch = "aarch64")]
unsafe extern "C" {
    fn granule_touch_read(addr: usize) -> i32;
    fn granule_touch_write(addr: usize, value: u8) -> i32;
    fn granule_touch_execute(addr: usize) -> i32;
    fn granule_touch_stop() -> i32;
}

/// What was caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caught {
    pub(crate) code: u32,
    /// `None` where the processor does not tell.
    pub(crate) access: Option<Access>,
    pub(crate) addr: usize,
}

/// What a handler does about a fault.
type Mend<'a> = &'a dyn Fn(usize) -> bool;

/// True from before a touch until after it.
static ARMED: AtomicBool = AtomicBool::new(false);
static CODE: AtomicU32 = AtomicU32::new(0);
static ACCESS: AtomicU32 = AtomicU32::new(0);
static ADDR: AtomicUsize = AtomicUsize::new(0);
/// How often `MEND` was called.
static MENDED: AtomicUsize = AtomicUsize::new(0);
/// Where the `Mend` of now is, or null.
static MEND: AtomicPtr<Mend<'static>> = AtomicPtr::new(null_mut());

const ACCESS_UNKNOWN: u32 = u32::MAX;

pub(crate) fn read(addr: usize) -> Result<u8, Caught> {
    // SAFETY: nothing is lost by reading; a fault is caught.
    touch(|| unsafe { granule_touch_read(addr) })
}

pub(crate) fn write(addr: usize, value: u8) -> Result<(), Caught> {
    // SAFETY: the table writes only where no Rust value lives; a fault is caught.
    touch(|| unsafe { granule_touch_write(addr, value) }).map(drop)
}

/// The page must begin with `RETURN`.
pub(crate) fn execute(addr: usize) -> Result<(), Caught> {
    // SAFETY: the page holds an instruction that returns; a fault is caught.
    touch(|| unsafe { granule_touch_execute(addr) }).map(drop)
}

/// Lets the system write a byte, by reading it from a file: the number of the error.
pub(crate) fn system_write(addr: usize) -> Result<(), u32> {
    platform::system_write(addr)
}

fn touch(act: impl FnOnce() -> i32) -> Result<u8, Caught> {
    static HANDLER: Once = Once::new();
    HANDLER.call_once(platform::install);
    ARMED.store(true, Ordering::SeqCst);
    let value = act();
    ARMED.store(false, Ordering::SeqCst);
    u8::try_from(value).map_err(|_| Caught {
        code: CODE.load(Ordering::SeqCst),
        access: [Access::Reading, Access::Writing, Access::Executing]
            .into_iter()
            .find(|&access| access as u32 == ACCESS.load(Ordering::SeqCst)),
        addr: ADDR.load(Ordering::SeqCst),
    })
}

/// Runs `body` while `mend` is called for every fault; where it says true, the touch is repeated.
/// Tells how often.
pub(crate) fn mending<T>(mend: Mend<'_>, body: impl FnOnce() -> T) -> (T, usize) {
    MENDED.store(0, Ordering::SeqCst);
    MEND.store((&raw const mend).cast_mut().cast(), Ordering::SeqCst);
    let answer = body();
    MEND.store(null_mut(), Ordering::SeqCst);
    (answer, MENDED.load(Ordering::SeqCst))
}

/// What the platform's handler is to do.
enum Verdict {
    /// The fault is none of a touch.
    Foreign,
    /// Do it again.
    Again,
    /// Go on at this address.
    GoOnAt(usize),
}

/// The part of the handler that is the same everywhere. `guard` says that the system has called it
/// a guard page.
fn judge(guard: bool, access: Option<Access>, addr: usize) -> Verdict {
    if !ARMED.load(Ordering::SeqCst) {
        return Verdict::Foreign;
    }
    // What every handler of a program with tripwires does; of others' pages it knows nothing.
    // SAFETY: (1) the address of a fault, made by a row that releases nothing meanwhile.
    let guard = match unsafe { granule::vm::trip(addr) } {
        Some(region) if region.state == State::Tripwire => true,
        Some(_) => return Verdict::Again,
        None => guard,
    };
    let mend = MEND.load(Ordering::SeqCst);
    if !mend.is_null() {
        MENDED.fetch_add(1, Ordering::SeqCst);
        // SAFETY: `mending` stores the address of its own argument, and null before it returns; the
        // touch that has faulted runs within it.
        let mend = unsafe { &*mend };
        if mend(addr) {
            return Verdict::Again;
        }
    }
    CODE.store(if guard { GUARD_VIOLATION } else { VIOLATION }, Ordering::SeqCst);
    ACCESS.store(access.map_or(ACCESS_UNKNOWN, |access| access as u32), Ordering::SeqCst);
    ADDR.store(addr, Ordering::SeqCst);
    Verdict::GoOnAt(granule_touch_stop as *const () as usize)
}
