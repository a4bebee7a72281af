//! SIGSEGV.

use super::super::step::Access;
use super::{Verdict, judge};
use std::ffi::{c_int, c_void};
use std::fs::File;
use std::mem::zeroed;
use std::os::fd::AsRawFd;
use std::ptr::{null_mut, with_exposed_provenance_mut};

/// `ERROR_NOACCESS`, the twin of `EFAULT`.
const NOACCESS: u32 = 998;

/// Bytes of the stack that the handler runs on. Rust gives its threads 8 KiB, of which the frame of
/// the kernel takes up to half; commits of a build that is not optimised want more than the rest.
const STACK_LEN: usize = 64 * 1024;

/// For the thread that touches: on this system there is one.
pub(super) fn install() {
    let memory = Box::leak(vec![0u8; STACK_LEN].into_boxed_slice());
    let stack =
        libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: memory.len() };
    // SAFETY: the memory is nobody else's for ever, and the structure outlives the call.
    let done = unsafe { libc::sigaltstack(&raw const stack, null_mut()) };
    assert_eq!(done, 0);
    // SAFETY: a structure of numbers may be zero.
    let mut action: libc::sigaction = unsafe { zeroed() };
    action.sa_sigaction = on_fault as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the structure is filled in and outlives the call.
    let done = unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, null_mut()) };
    assert_eq!(done, 0);
}

extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a siginfo that lives as long as the handler runs.
    let info = unsafe { &*info };
    // SAFETY: the signal is SIGSEGV, so the address is filled in.
    let addr = unsafe { info.si_addr() }.addr();
    // SAFETY: with SA_SIGINFO the third argument is the interrupted context.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    match judge(false, access(context), addr) {
        Verdict::Again => {}
        Verdict::GoOnAt(place) => go_on_at(context, place),
        Verdict::Foreign => {
            // The faulting instruction runs again, and ends the process.
            // SAFETY: the default action is always allowed.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn access(context: &libc::ucontext_t) -> Option<Access> {
    const WRITE: i64 = 1 << 1;
    const FETCH: i64 = 1 << 4;
    let code = context.uc_mcontext.gregs[libc::REG_ERR as usize];
    Some(match (code & FETCH != 0, code & WRITE != 0) {
        (true, _) => Access::Executing,
        (false, true) => Access::Writing,
        (false, false) => Access::Reading,
    })
}

#[cfg(target_arch = "aarch64")]
fn access(_: &libc::ucontext_t) -> Option<Access> {
    None
}

#[cfg(target_arch = "x86_64")]
fn go_on_at(context: &mut libc::ucontext_t, place: usize) {
    context.uc_mcontext.gregs[libc::REG_RIP as usize] = place as i64;
}

#[cfg(target_arch = "aarch64")]
fn go_on_at(context: &mut libc::ucontext_t, place: usize) {
    context.uc_mcontext.pc = place as u64;
}

pub(super) fn system_write(addr: usize) -> Result<(), u32> {
    let program = std::env::current_exe().expect("a test knows its program");
    let file = File::open(program).expect("a program is readable");
    // SAFETY: the table names only places where no Rust value lives; the kernel refuses bad ones.
    let count = unsafe { libc::read(file.as_raw_fd(), with_exposed_provenance_mut(addr), 1) };
    if count == 1 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
    Err(NOACCESS)
}
