//! Floor 1. Stacks for what a fault handler calls.
//!
//! A handler runs on the thread's alternate stack, if it has one: 8 KiB where Rust has made it, up
//! to half of which the kernel's frame takes. The page verbs of a build that is not optimised need
//! more than the rest, and so may the program's own handler. So where there is little room left,
//! the call goes on on a stack of ours.
//!
//! Such a stack becomes the thread's alternate one meanwhile: a fault on it would otherwise be
//! handled at the top of the old one, over the frame that we come back to. No other signal comes in
//! between, because our handler blocks them (`our_action`).
//!
//! ```text
//!   | never committed | stack 0 | never committed | stack 1 | ..
//! ```

use super::super::fault::call_on_stack;
use super::super::generation::generation;
use super::super::pages::{commit, release, reserve};
use super::super::raw::syscall;
use super::Context;
use crate::ds::in_use::Places;
use crate::sys::{CommitPolicy, Protection, inject};
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// Bytes of a stack of ours, and of what is kept free below it for whoever needs more.
const LEN: usize = 256 * 1024;
const GUARD_LEN: usize = 64 * 1024;

/// Bytes that have to be left on the alternate stack for a call to stay there.
const ROOM: usize = 32 * 1024;

/// `SS_AUTODISARM`: the kernel forgets the stack while a handler is on it.
const AUTODISARM: i32 = 1 << 31;

/// Threads that can be on stacks of ours at a time. Those that come later stay where they are.
const MOST: usize = 32;

static TAKEN: Places<MOST> = Places::new();

/// The addresses of all stacks; null until the first is needed. They stay.
static STACKS: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

/// The stacks that are memory: a bit each.
static COMMITTED: AtomicU32 = AtomicU32::new(0);

/// Runs `work` for the handler of the fault that `context` tells of, where it has room.
pub(crate) fn on_roomy_stack<T>(context: &Context<'_>, work: impl FnOnce() -> T) -> T {
    let old = alternate_stack(context);
    let here = ptr::from_ref(&old).addr();
    let left = here.wrapping_sub(old.ss_sp.addr());
    let is_on_it = old.ss_flags & libc::SS_DISABLE == 0 && left < old.ss_size;
    if !is_on_it || left >= ROOM {
        return work();
    }
    let generation = generation();
    let Some(place) = TAKEN.take(generation) else { return work() };
    let Some(memory) = stack(place) else {
        TAKEN.give_back(place, generation);
        return work();
    };
    let new = libc::stack_t { ss_sp: memory.as_ptr().cast(), ss_flags: 0, ss_size: LEN };
    let moved = || {
        set_alternate_stack(&new);
        work()
    };
    // SAFETY: the end of the stack, inside the reservation or at its end.
    let top = unsafe { memory.add(LEN) };
    // SAFETY: (1) the stack is this thread's alone until the place is given back; its end is a
    // multiple of 16.
    let answer = unsafe { run_on_stack(top.as_ptr(), moved) };
    // One that disarms itself comes back when the handler returns.
    let is_armed = old.ss_flags & AUTODISARM == 0;
    let armed = if is_armed { old } else { libc::stack_t { ss_flags: libc::SS_DISABLE, ..old } };
    set_alternate_stack(&armed);
    TAKEN.give_back(place, generation);
    answer
}

/// Makes the first stack: when one is needed, memory may be what is missing. Not to have it is no
/// error.
pub(super) fn prepare() {
    let _ = stack(0);
}

/// The first byte of a stack, which is memory from then on; `None` if there is none to be had.
fn stack(place: usize) -> Option<NonNull<u8>> {
    let stacks = NonNull::new(STACKS.load(Ordering::Acquire)).or_else(make)?;
    // SAFETY: `make` reserves so many.
    let stack = unsafe { stacks.add(place * (GUARD_LEN + LEN) + GUARD_LEN) };
    let bit = 1 << place;
    if COMMITTED.load(Ordering::Acquire) & bit == 0 {
        // SAFETY: (1) whole pages of the reservation; they stay as they are if they are memory.
        unsafe { commit(stack, LEN, Protection::ReadWrite) }.ok()?;
        COMMITTED.fetch_or(bit, Ordering::AcqRel);
    }
    Some(stack)
}

#[cold]
fn make() -> Option<NonNull<u8>> {
    const ALL: usize = MOST * (GUARD_LEN + LEN);
    // SAFETY: (1) whole pages, as pages are at most 64 KiB.
    let made = unsafe { reserve(0, ALL, GUARD_LEN, CommitPolicy::Lazy) }.ok()?;
    let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
    match STACKS.compare_exchange(ptr::null_mut(), made.as_ptr(), done, failed) {
        Ok(_) => {
            inject::keep_range(made.addr().get(), ALL);
            Some(made)
        }
        Err(others) => {
            // SAFETY: (1) reserved above and known to nobody. If it is refused, addresses stay
            // taken; there is nothing better to do.
            let _ = unsafe { release(made, ALL) };
            NonNull::new(others)
        }
    }
}

/// The alternate stack that the kernel gives back to the thread when the handler returns.
fn alternate_stack(context: &Context<'_>) -> libc::stack_t {
    let context = context.place.cast::<libc::ucontext_t>();
    // SAFETY: (1) of `Context::new`: the kernel filled the structure.
    unsafe { (*context).uc_stack }
}

/// Makes `stack` the alternate one of this thread, which is not on the one that it has.
fn set_alternate_stack(stack: &libc::stack_t) {
    let args = [ptr::from_ref(stack).expose_provenance(), 0, 0, 0, 0, 0];
    // SAFETY: (1) the structure outlives the call; it names memory that is this thread's until it
    // sets another. It is long enough and not in use, so nothing can be wrong with it.
    let _ = unsafe { syscall(libc::SYS_sigaltstack, args) };
}

/// Calls `work` on the stack that ends at `top`, and comes back to this one.
///
/// # Safety
/// 1. The bytes below `top`, a multiple of 16, are a stack that nobody else uses, long enough for
///    `work`, which does not unwind.
pub(crate) unsafe fn run_on_stack<T, F: FnOnce() -> T>(top: *mut u8, work: F) -> T {
    struct Call<T, F> {
        work: Option<F>,
        answer: Option<T>,
    }

    unsafe extern "C" fn enter<T, F: FnOnce() -> T>(call: *mut c_void) {
        // SAFETY: the argument is the `Call` below, which outlives this call and is used by it
        // alone.
        let call = unsafe { &mut *call.cast::<Call<T, F>>() };
        call.answer = call.work.take().map(|work| work());
    }

    let mut call = Call { work: Some(work), answer: None };
    // SAFETY: (1); (2) `enter` gets the call it expects.
    unsafe { call_on_stack((&raw mut call).cast(), enter::<T, F>, top) };
    call.answer.expect("`enter` has run the work")
}
