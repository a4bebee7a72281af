//! Floor 1. Stacks for what a fault handler calls.
//!
//! A handler runs on the thread's alternate stack, if it has one: 8 KiB where Rust has made it, up
//! to half of which the kernel's frame takes. The page verbs of a build that is not optimised need
//! more than the rest, and so may the program's own handler. So where there is little room left, the
//! call goes on on a stack of ours.
//!
//! Such a stack becomes the thread's alternate one meanwhile: a fault on it would otherwise be
//! handled at the top of the old one, over the frame that we come back to. No other signal comes in
//! between, because our handler blocks them (`our_action`).

use super::super::fault::call_on_stack;
use super::super::raw::syscall;
use super::Context;
use crate::ds::in_use::Places;
use crate::sys;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr;

/// Bytes of a stack of ours.
const LEN: usize = 64 * 1024;

/// Bytes that have to be left on the alternate stack for a call to stay there.
const ROOM: usize = 32 * 1024;

/// Threads that can be on stacks of ours at a time. Those that come later stay where they are.
const MOST: usize = 32;

#[repr(C, align(4096))]
struct Memory(UnsafeCell<[[u8; LEN]; MOST]>);

// SAFETY: only the thread that has a place in TAKEN uses the bytes of that number.
unsafe impl Sync for Memory {}

/// Untouched pages of it are no memory.
static MEMORY: Memory = Memory(UnsafeCell::new([[0; LEN]; MOST]));

static TAKEN: Places<MOST> = Places::new();

/// Runs `work` for the handler of the fault that `context` tells of, where it has room.
pub(crate) fn on_roomy_stack<T>(context: &Context<'_>, work: impl FnOnce() -> T) -> T {
    let old = alternate_stack(context);
    let here = ptr::from_ref(&old).addr();
    let left = here.wrapping_sub(old.ss_sp.addr());
    let is_on_it = old.ss_flags & libc::SS_DISABLE == 0 && left < old.ss_size;
    if !is_on_it || left >= ROOM {
        return work();
    }
    let generation = sys::generation();
    let Some(place) = TAKEN.take(generation) else { return work() };
    let memory = MEMORY.0.get().cast::<u8>().wrapping_add(place * LEN);
    let new = libc::stack_t { ss_sp: memory.cast(), ss_flags: 0, ss_size: LEN };
    let moved = || {
        set_alternate_stack(&new);
        work()
    };
    // SAFETY: (1) the stack is this thread's alone until the place is given back; its end is a
    // multiple of 16.
    let answer = unsafe { run_on_stack(memory.wrapping_add(LEN), moved) };
    set_alternate_stack(&old);
    TAKEN.give_back(place, generation);
    answer
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
