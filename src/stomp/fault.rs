//! Floor 4. Is a fault the touch of a guard? Then it is reported, and the process dies of it.
//!
//! How our handler stands in front of the program's, and what the program sees of that, is the
//! business of `sys::signals`.

use super::record::Access;
use super::{finder, own_stack, report};
use crate::sys::{self, Answer, Context, Fault, SignalAction};

/// Puts our handler in front of whatever is there, unless it is there already.
pub(crate) fn install() {
    let installed = sys::watch_faults(on_fault);
    debug_assert!(installed.is_ok(), "the kernel refuses a handler");
}

/// What the program's `sigaction` does: reads, and with `new` sets, the action of a signal. For a
/// fault signal that is the action we keep; the others go to the kernel, with the fault signals
/// taken out of their masks, so that a crime inside a handler is still seen. Returns the old
/// action; `Err` holds the errno.
///
/// # Safety
/// 1. `new.handler` is 0, 1 or a function that may run as a handler of `signal` at any moment.
pub unsafe fn program_action(signal: i32, new: Option<&SignalAction>) -> Result<SignalAction, i32> {
    // Ours must be in place first: it takes what it finds there for the program's.
    super::start();
    // SAFETY: (1).
    unsafe { sys::program_action(signal, new) }.map_err(|errno| errno.0)
}

/// Reports a touch of a guard.
fn on_fault(fault: &Fault, context: &Context<'_>) -> Answer {
    let Some(finder) = finder() else { return Answer::NotMine };
    let Some(offset) = finder.offset(fault.addr) else { return Answer::NotMine };
    let access = fault.write.map(|write| if write { Access::Write } else { Access::Read });
    let reported = own_stack::run(|| report::access(finder, offset, access, &context.registers()));
    // A report that faults is a report that fails: the process dies of the fault either way.
    if reported.unwrap_or(true) { Answer::Die } else { Answer::NotMine }
}
