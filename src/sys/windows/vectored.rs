//! Floor 1. The handler of faults on Windows: a vectored exception handler, in front of those that
//! were there.
//!
//! The system keeps the list of handlers itself, and asks one after the other until one of them
//! says that the instruction is to be repeated; then come the `__try` blocks of the thread, and in
//! the end the process is ended. So a fault that is not ours is handed on by saying so, and nothing
//! of the program's has to be kept. Whoever adds a handler in front of ours later is asked before
//! us, and we are asked if he goes on with the search.
//!
//! # What the hooks are asked about
//!
//! | exception | asked | why |
//! |---|---|---|
//! | EXCEPTION_ACCESS_VIOLATION | yes | a page without the right, or without anything |
//! | EXCEPTION_GUARD_PAGE | yes | a tripwire: on other systems it is a fault like any other |
//! | EXCEPTION_IN_PAGE_ERROR | yes | a page of a file that cannot be read; SIGBUS elsewhere |
//! | EXCEPTION_STACK_OVERFLOW | no | the thread has no room for a hook, and Rust has a message |
//! | all others, and what a program raises by itself | no | no page was touched |
//!
//! A guard page is an ordinary one by the time anybody is told of it. So the hook that says Resume
//! lets the touch happen, and if nobody wants it, it goes to the program, as it would without us.
//!
//! # The stack
//!
//! A handler runs on the stack of the thread, below the function that has faulted, with all the
//! room that is left there. There is no other stack that it could be short of.

use super::super::faults::Hooks;
use super::super::{Answer, Cause, Errno, Fault, FaultHook};
use super::call::{checked, keeping_last_error, set_last_error};
use super::pages::process;
use crate::error::Call;
use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering};
use windows_sys::Win32::Foundation::{
    ERROR_NOT_ENOUGH_MEMORY, EXCEPTION_ACCESS_VIOLATION, EXCEPTION_GUARD_PAGE,
    EXCEPTION_IN_PAGE_ERROR,
};
use windows_sys::Win32::System::Diagnostics::Debug::{
    AddVectoredExceptionHandler, EXCEPTION_CONTINUE_EXECUTION, EXCEPTION_CONTINUE_SEARCH,
    EXCEPTION_POINTERS, EXCEPTION_RECORD, RemoveVectoredExceptionHandler,
};
use windows_sys::Win32::System::Threading::TerminateProcess;

/// In front of the handlers that are there.
const FIRST: u32 = 1;
/// `ExceptionFlags`: the instruction cannot be repeated; a program has raised it by itself.
const NOT_CONTINUABLE: u32 = 0x01;
const BY_SOFTWARE: u32 = 0x80;

/// `ExceptionInformation[0]` of the three exceptions.
const READ: usize = 0;
const WRITE: usize = 1;
const EXECUTE: usize = 8;

/// The interrupted thread. Nobody here asks for more than that there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a>(PhantomData<&'a mut EXCEPTION_POINTERS>);

static HOOKS: Hooks = Hooks::new();
static PLACE: Place = Place::new();

/// Has `hook` asked about every fault from now on. Call: AddVectoredExceptionHandler, once in a
/// process; it allocates, and takes the lock of the system's list.
pub(crate) fn watch_faults(hook: FaultHook) -> Result<(), Errno> {
    HOOKS.remember(hook);
    PLACE.fill()
}

/// Runs `work` for a handler: there is room where it is.
pub(crate) fn on_roomy_stack<T>(_: &Context<'_>, work: impl FnOnce() -> T) -> T {
    work()
}

/// Our place in the system's list: its handle, or null.
struct Place(AtomicPtr<c_void>);

impl Place {
    const fn new() -> Self {
        Place(AtomicPtr::new(null_mut()))
    }

    /// Puts our handler into the list, if it is not there. Of two threads that do so at once one
    /// takes its own out again; meanwhile the hooks may be asked twice about what is not theirs.
    fn fill(&self) -> Result<(), Errno> {
        if !self.0.load(Ordering::Acquire).is_null() {
            return Ok(());
        }
        let handle = checked(Call::AddVectoredExceptionHandler, || {
            // The call leaves no number when it is refused; this is the one reason it can have.
            set_last_error(ERROR_NOT_ENOUGH_MEMORY);
            // SAFETY: the handler has the type that the system wants, and lives as long as the
            // process: it allocates nothing, takes no lock and keeps the last error.
            NonNull::new(unsafe { AddVectoredExceptionHandler(FIRST, Some(on_exception)) })
        })?;
        let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
        let taken = self.0.compare_exchange(null_mut(), handle.as_ptr(), done, failed);
        if taken.is_err() {
            remove(handle);
        }
        Ok(())
    }
}

fn remove(handle: NonNull<c_void>) {
    // SAFETY: the handle was made by `fill` and is known to nobody else. If it fails the handler
    // stays, and asks the same hooks once more.
    let _ = keeping_last_error(|| unsafe { RemoveVectoredExceptionHandler(handle.as_ptr()) });
}

/// # Safety
/// 1. Called by the system as a vectored handler.
unsafe extern "system" fn on_exception(told: *mut EXCEPTION_POINTERS) -> i32 {
    // SAFETY: (1): the structure is filled in and lives as long as this handler runs.
    let told = unsafe { &*told };
    // SAFETY: (1): so is the record.
    let record = unsafe { &*told.ExceptionRecord };
    let Some(fault) = read(record).filter(|fault| fault.real) else {
        return EXCEPTION_CONTINUE_SEARCH;
    };
    match keeping_last_error(|| HOOKS.ask(&fault, &Context(PhantomData))) {
        Answer::Resume => EXCEPTION_CONTINUE_EXECUTION,
        Answer::NotMine => EXCEPTION_CONTINUE_SEARCH,
        Answer::Die => die_of(record),
    }
}

/// What an exception says about a touch; `None` if it is not about one.
fn read(record: &EXCEPTION_RECORD) -> Option<Fault> {
    let is_fault = matches!(
        record.ExceptionCode,
        EXCEPTION_ACCESS_VIOLATION | EXCEPTION_GUARD_PAGE | EXCEPTION_IN_PAGE_ERROR
    );
    if !is_fault || record.NumberParameters < 2 {
        return None;
    }
    let [access, addr, ..] = record.ExceptionInformation;
    let write = match access {
        READ | EXECUTE => Some(false),
        WRITE => Some(true),
        _ => None,
    };
    let real = record.ExceptionFlags & (NOT_CONTINUABLE | BY_SOFTWARE) == 0;
    let cause = match record.ExceptionCode {
        EXCEPTION_IN_PAGE_ERROR => Cause::Page,
        _ => Cause::Right,
    };
    Some(Fault { addr, write, fetch: access == EXECUTE, real, cause: Some(cause) })
}

/// Ends the process with the number that it would have ended with.
fn die_of(record: &EXCEPTION_RECORD) -> i32 {
    // SAFETY: ends the process that asks for it.
    let _ = unsafe { TerminateProcess(process(), record.ExceptionCode.cast_unsigned()) };
    EXCEPTION_CONTINUE_SEARCH
}

#[cfg(test)]
mod tests {
    use super::super::super::inject::{Plan, Session};
    use super::*;
    use windows_sys::Win32::Foundation::{EXCEPTION_BREAKPOINT, EXCEPTION_STACK_OVERFLOW};

    #[test]
    fn a_refused_handler_is_an_error_that_names_the_call() {
        let place = Place::new();
        let session = Session::open(Plan { nth: 1, count: 1, choice: 0 });
        let number = ERROR_NOT_ENOUGH_MEMORY as i32;
        assert_eq!(place.fill(), Err(Errno(number, Call::AddVectoredExceptionHandler)));
        assert_eq!([place.fill(), place.fill()], [Ok(()), Ok(())]);
        assert_eq!(session.calls(), [Call::AddVectoredExceptionHandler; 2]);
        remove(NonNull::new(place.0.load(Ordering::Acquire)).expect("it was filled"));
    }

    #[test]
    fn threads_that_come_at_once_share_a_place() {
        let place = Place::new();
        std::thread::scope(|scope| {
            (0..8).for_each(|_| drop(scope.spawn(|| assert_eq!(place.fill(), Ok(())))));
        });
        remove(NonNull::new(place.0.load(Ordering::Acquire)).expect("it was filled"));
    }

    #[test]
    fn touches_are_told_from_other_exceptions() {
        let record = |code, flags, information: &[usize]| {
            let mut record = EXCEPTION_RECORD {
                ExceptionCode: code,
                ExceptionFlags: flags,
                NumberParameters: information.len() as u32,
                ..EXCEPTION_RECORD::default()
            };
            record.ExceptionInformation[..information.len()].copy_from_slice(information);
            read(&record).map(|fault| (fault.addr, fault.write, fault.real))
        };
        for code in [EXCEPTION_ACCESS_VIOLATION, EXCEPTION_GUARD_PAGE, EXCEPTION_IN_PAGE_ERROR] {
            assert_eq!(record(code, 0, &[READ, 1 << 40]), Some((1 << 40, Some(false), true)));
            assert_eq!(record(code, 0, &[WRITE, 9, 9]), Some((9, Some(true), true)));
            assert_eq!(record(code, 0, &[EXECUTE, 9]), Some((9, Some(false), true)));
            assert_eq!(record(code, 0, &[3, usize::MAX]), Some((usize::MAX, None, true)));
            assert_eq!(record(code, BY_SOFTWARE, &[READ, 9]), Some((9, Some(false), false)));
            assert_eq!(record(code, NOT_CONTINUABLE, &[READ, 9]), Some((9, Some(false), false)));
            assert_eq!((record(code, 0, &[]), record(code, 0, &[1])), (None, None));
        }
        // 0xe06d7363 is what C++ throws.
        let others = [EXCEPTION_STACK_OVERFLOW, EXCEPTION_BREAKPOINT, 0xe06d_7363_u32 as i32];
        assert_eq!(others.map(|code| record(code, 0, &[WRITE, 9])), [None; 3]);
    }
}
