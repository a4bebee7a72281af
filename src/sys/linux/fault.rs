//! Floor 1. Faults on Linux: signal actions set by bare system calls, and what a fault says.
//!
//! The C library's `sigaction` is not used: the preload library replaces that symbol.

mod access;

use super::super::{Cause, Errno, Fault};
use super::raw::syscall;
use super::unwind::probe_fixup;
use access::{access_is_fetch, access_is_write};
use core::ffi::c_void;

/// The signals a touch of a guard can raise.
pub(crate) const FAULT_SIGNALS: [i32; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// A signal action in the kernel's own form.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalAction {
    /// `SIG_DFL` (0), `SIG_IGN` (1) or the address of the handler.
    pub handler: usize,
    /// `SA_*` bits.
    pub flags: usize,
    restorer: usize,
    /// Signals blocked while the handler runs.
    pub mask: u64,
}

/// A signal handler in the kernel's form: signal, `siginfo_t`, `ucontext_t`.
pub(crate) type Handler = unsafe extern "C" fn(i32, *mut c_void, *mut c_void);

const SA_RESTORER: usize = 0x0400_0000;

impl SignalAction {
    /// The system's default action.
    pub const DEFAULT: SignalAction = SignalAction { handler: 0, flags: 0, restorer: 0, mask: 0 };

    /// Bit of `flags`: the handler takes three arguments.
    pub const WITH_INFO: usize = libc::SA_SIGINFO as usize;
    /// Bit of `flags`: run on the alternate stack.
    pub const ON_STACK: usize = libc::SA_ONSTACK as usize;
    /// Bit of `flags`: the handler's own signal is not blocked while it runs.
    pub const NO_DEFER: usize = libc::SA_NODEFER as usize;
    /// Bit of `flags`: back to the default action before the handler runs.
    pub const RESET_HANDLER: usize = libc::SA_RESETHAND as usize;

    /// True if its handler was for one time and has had it.
    pub const fn has_been_reset(&self) -> bool {
        self.handler == libc::SIG_DFL && self.flags & Self::RESET_HANDLER != 0
    }

    /// True if the signal is ignored.
    pub const fn is_ignored(&self) -> bool {
        self.handler == libc::SIG_IGN
    }

    /// True if it runs code of the program.
    pub const fn has_handler(&self) -> bool {
        self.handler > 1
    }

    /// The same action with other parts; how a handler comes back stays.
    pub const fn with(self, handler: usize, flags: usize, mask: u64) -> Self {
        SignalAction { handler, flags, restorer: self.restorer, mask }
    }

    /// An action with a handler; the way back from it is ours.
    pub fn new(handler: usize, flags: usize, mask: u64) -> Self {
        let restorer = restorer();
        let flags = if restorer == 0 { flags } else { flags | SA_RESTORER };
        SignalAction { handler, flags, restorer, mask }
    }
}

// The address a handler returns to. Its unwind rows are those of a signal frame: CFA, rip and rbp
// are read from the ucontext that the kernel left at rsp. The nop lets `pc - 1` find the rows.
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".pushsection .text.granule_sigreturn,\"ax\",@progbits",
    ".cfi_startproc simple",
    ".cfi_signal_frame",
    ".cfi_escape 0x0f, 4, 0x77, 0xa0, 0x01, 0x06", // CFA = *(rsp + 160)
    ".cfi_escape 0x10, 16, 3, 0x77, 0xa8, 0x01",   // rip at rsp + 168
    ".cfi_escape 0x10, 6, 3, 0x77, 0xf8, 0x00",    // rbp at rsp + 120
    "nop",
    ".hidden granule_sigreturn",
    ".globl granule_sigreturn",
    "granule_sigreturn:",
    "mov rax, 15",
    "syscall",
    ".cfi_endproc",
    ".popsection",
);

#[cfg(target_arch = "x86_64")]
fn restorer() -> usize {
    unsafe extern "C" {
        fn granule_sigreturn();
    }
    granule_sigreturn as *const () as usize
}

/// Elsewhere the kernel's own page has the way back.
#[cfg(not(target_arch = "x86_64"))]
fn restorer() -> usize {
    0
}

/// Reads, and with `new` sets, the action of a signal. Returns the old one.
///
/// # Safety
/// 1. `new.handler` is 0, 1 or a function that may run as a handler of `signal` at any moment.
pub(crate) unsafe fn signal_action(
    signal: i32,
    new: Option<&SignalAction>,
) -> Result<SignalAction, Errno> {
    let mut old = SignalAction::DEFAULT;
    let new = new.map_or(0, |action| core::ptr::from_ref(action).addr());
    let old_addr = core::ptr::from_mut(&mut old).expose_provenance();
    let args = [signal as usize, new, old_addr, size_of::<u64>(), 0, 0];
    // SAFETY: (1); both structs live through the call and have the kernel's layout.
    unsafe { syscall(libc::SYS_rt_sigaction, args) }?;
    Ok(old)
}

/// Reads, and with `set` changes, the blocked signals of this thread (`how` = `SIG_BLOCK` ..).
/// Returns the old set.
pub(crate) fn signal_mask(how: i32, set: Option<u64>) -> Result<u64, Errno> {
    let mut old = 0u64;
    let args = [
        how as usize,
        set.as_ref().map_or(0, |set| core::ptr::from_ref(set).addr()),
        core::ptr::from_mut(&mut old).expose_provenance(),
        size_of::<u64>(),
        0,
        0,
    ];
    // SAFETY: both sets live through the call and have the kernel's size.
    unsafe { syscall(libc::SYS_rt_sigprocmask, args) }?;
    Ok(old)
}

/// Blocks the signals of `set` in this thread.
pub(crate) fn block(set: u64) {
    // The set and the way are good, and nothing else can be wrong with the call.
    let _ = signal_mask(libc::SIG_BLOCK, Some(set));
}

/// Runs `work` while this thread takes no signal but the fault signals. Call: rt_sigprocmask,
/// before and after.
pub(crate) fn without_signals<T>(work: impl FnOnce() -> T) -> T {
    let faults = signal_bit(FAULT_SIGNALS[0]) | signal_bit(FAULT_SIGNALS[1]);
    let before = signal_mask(libc::SIG_BLOCK, Some(!faults));
    let answer = work();
    if let Ok(before) = before {
        // What was just read can be set again.
        let _ = signal_mask(libc::SIG_SETMASK, Some(before));
    }
    answer
}

/// The way of `signal_mask` that replaces the set.
pub(crate) const SET_MASK: i32 = libc::SIG_SETMASK;

/// True for the way of `signal_mask` that takes signals out.
pub(crate) const fn unblocks(how: i32) -> bool {
    how == libc::SIG_UNBLOCK
}

/// What `signal_mask` makes of the mask `before`; `None` for a way that does not exist.
pub(crate) const fn mask_after(how: i32, set: u64, before: u64) -> Option<u64> {
    match how {
        libc::SIG_BLOCK => Some(before | set),
        libc::SIG_UNBLOCK => Some(before & !set),
        libc::SIG_SETMASK => Some(set),
        _ => None,
    }
}

/// True if the signal waits, for this thread or for the process, until it is unblocked.
pub(crate) fn is_pending(signal: i32) -> bool {
    let mut set = 0u64;
    let addr = core::ptr::from_mut(&mut set).expose_provenance();
    // SAFETY: the set lives through the call and has the kernel's size.
    let answer = unsafe { syscall(libc::SYS_rt_sigpending, [addr, size_of::<u64>(), 0, 0, 0, 0]) };
    answer.is_ok() && set & signal_bit(signal) != 0
}

/// Blocks a signal that was sent, and sends it again as it came, so that it waits.
///
/// # Safety
/// 1. `info` and `context` are the ones the kernel gave to a handler that is still running.
pub(crate) unsafe fn send_back(signal: i32, info: *const c_void, context: *mut c_void) {
    block(signal_bit(signal));
    // SAFETY: (1).
    let mask = unsafe { interrupted_mask(context) };
    // SAFETY: (1): the kernel's context has a mask.
    let before = unsafe { mask.read_unaligned() };
    // SAFETY: as above; it counts when the handler returns.
    unsafe { mask.write_unaligned(before | signal_bit(signal)) };
    // SAFETY: (1): the kernel filled the struct.
    let code = unsafe { (*info.cast::<libc::siginfo_t>()).si_code };
    let (process, thread) = (super::process_id() as usize, super::thread_id() as usize);
    let (number, addr) = (signal as usize, info.addr());
    let sent = if code == libc::SI_TKILL {
        let args = [process, thread, number, addr, 0, 0];
        // SAFETY: (1): reads the struct.
        unsafe { syscall(libc::SYS_rt_tgsigqueueinfo, args) }
    } else {
        // SAFETY: as above.
        unsafe { syscall(libc::SYS_rt_sigqueueinfo, [process, number, addr, 0, 0, 0]) }
    };
    if sent.is_err() {
        // Only the first thread may say for the process who has sent it.
        // SAFETY: sends a signal to the process itself.
        let _ = unsafe { syscall(libc::SYS_kill, [process, number, 0, 0, 0, 0]) };
    }
}

/// The mask that an interrupted thread gets back when the handler returns.
///
/// # Safety
/// 1. `context` is the one the kernel gave to a handler that is still running.
pub(crate) unsafe fn interrupted_mask(context: *mut c_void) -> *mut u64 {
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: (1): a place in the struct; the kernel's set is the first 64 bits.
    unsafe { &raw mut (*context).uc_sigmask }.cast()
}

/// The signals of a set that the kernel lets anybody block.
pub(crate) const fn maskable(set: u64) -> u64 {
    set & !signal_bit(libc::SIGKILL) & !signal_bit(libc::SIGSTOP)
}

/// The bit of a signal in a set.
pub(crate) const fn signal_bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// Ends the process by `signal` as if nobody had ever handled it.
pub(crate) fn die_by(signal: i32) -> ! {
    // SAFETY: the default action runs no code of ours. If it fails, exit_now below still ends us.
    let _ = unsafe { signal_action(signal, Some(&SignalAction::DEFAULT)) };
    let _ = signal_mask(libc::SIG_UNBLOCK, Some(signal_bit(signal)));
    let (pid, tid) = (super::process_id() as usize, super::thread_id() as usize);
    // SAFETY: sends a signal to the calling thread.
    let _ = unsafe { syscall(libc::SYS_tgkill, [pid, tid, signal as usize, 0, 0, 0]) };
    super::exit_now(128 + signal)
}

impl Fault {
    /// Reads the arguments of a handler.
    ///
    /// # Safety
    /// 1. `info` and `context` are the ones the kernel gave to a handler that is still running.
    /// 2. That handler resumes probes ([`resume_probe`]) and does not block its signal
    ///    (SA_NODEFER).
    pub(crate) unsafe fn read(info: *const c_void, context: *const c_void) -> Fault {
        // SAFETY: (1): the kernel filled the struct.
        let info = unsafe { &*info.cast::<libc::siginfo_t>() };
        let code = info.si_code;
        // SAFETY: for signals without an address the bytes are still initialised.
        let addr = unsafe { info.si_addr() }.addr();
        // SAFETY: (1); (2).
        let write = unsafe { access_is_write(context) };
        // SAFETY: (1).
        let fetch = unsafe { access_is_fetch(context, addr) };
        Fault { addr, write, fetch, real: code > 0, cause: Some(cause_of(info.si_signo, code)) }
    }
}

/// Source: sigaction(2), the values of `si_code`.
const fn cause_of(signal: i32, code: i32) -> Cause {
    match (signal, code) {
        (libc::SIGSEGV, SEGV_MAPERR | SEGV_ACCERR) => Cause::Right,
        (libc::SIGBUS, libc::BUS_ADRERR | libc::BUS_OBJERR | libc::BUS_MCEERR_AR) => Cause::Page,
        _ => Cause::Other,
    }
}

/// `si_code` of SIGSEGV, which not every C library's list has: nothing is mapped there, or without
/// the right.
const SEGV_MAPERR: i32 = 1;
const SEGV_ACCERR: i32 = 2;

/// If the fault is that of a careful read (`unwind`), makes the thread go on at its way out and
/// returns true.
///
/// # Safety
/// 1. `context` is the one the kernel gave to a handler that is still running.
pub(crate) unsafe fn resume_probe(context: *mut c_void) -> bool {
    // SAFETY: (1).
    let place = unsafe { program_counter(context) };
    // SAFETY: (1): the register is a part of the context, which the handler has for itself.
    let pc = unsafe { &mut *place };
    match probe_fixup(*pc as u64) {
        None => false,
        Some(way_out) => {
            *pc = way_out as _;
            true
        }
    }
}

#[cfg(target_arch = "x86_64")]
unsafe fn program_counter(context: *mut c_void) -> *mut i64 {
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: the caller's: the kernel filled the context.
    unsafe { &raw mut (*context).uc_mcontext.gregs[libc::REG_RIP as usize] }
}

#[cfg(target_arch = "aarch64")]
unsafe fn program_counter(context: *mut c_void) -> *mut u64 {
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: the caller's: the kernel filled the context.
    unsafe { &raw mut (*context).uc_mcontext.pc }
}

/// Calls `function` with `argument` on another stack and comes back to this one.
///
/// # Safety
/// 1. The bytes below `top`, a multiple of 16, are a stack that nobody else uses, long enough.
/// 2. `function` may be called with `argument`, and does not unwind.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn call_on_stack(
    argument: *mut c_void,
    function: unsafe extern "C" fn(*mut c_void),
    top: *mut u8,
) {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "mov rsp, rdx",
        "call rsi",
        "mov rsp, rbp",
        "pop rbp",
        "ret",
    );
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!(
        "stp x29, x30, [sp, -16]!",
        "mov x29, sp",
        "mov sp, x2",
        "blr x1",
        "mov sp, x29",
        "ldp x29, x30, [sp], 16",
        "ret",
    );
}

/// The signal number of an abort.
pub(crate) const ABORT: i32 = libc::SIGABRT;
