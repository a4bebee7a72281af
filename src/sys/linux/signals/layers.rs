//! Floor 1. The actions of the program that we stand in front of, for one signal.
//!
//! The lowest one was there before us. Whoever set an action later, past us, and was found in front
//! of us when we wanted to be first again, lies above it: a fault that is not ours goes to the
//! highest. If that handler hands it on to the one that it had found, which is us, it goes one
//! layer down, so that it ends with whoever was there first.
//!
//! That a fault comes from a handler of a layer is told by a note, which lies in our frame on the
//! stack. The context of the fault points to it: the kernel makes `uc_link` null and never reads
//! it. So a handler that jumps away and never returns leaves nothing behind.

use super::super::super::Errno;
use super::super::fault::SignalAction;
use crate::error::Call;
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Handlers of one signal that take turns; a program that has more is refused a fault handler.
const MOST: usize = 8;

/// What the program asked for.
struct Layer {
    handler: AtomicUsize,
    flags: AtomicUsize,
    mask: AtomicU64,
}

impl Layer {
    /// In place of a handler: nobody's layer, and one that is being written.
    const EMPTY: usize = usize::MAX;
    const CLAIMED: usize = usize::MAX - 1;

    const fn new() -> Self {
        let handler = AtomicUsize::new(Self::EMPTY);
        Layer { handler, flags: AtomicUsize::new(0), mask: AtomicU64::new(0) }
    }

    fn get(&self) -> Option<SignalAction> {
        let handler = self.handler.load(Ordering::Acquire);
        let (flags, mask) = (self.flags.load(Ordering::Relaxed), self.mask.load(Ordering::Relaxed));
        (handler < Self::CLAIMED).then(|| SignalAction::DEFAULT.with(handler, flags, mask))
    }

    /// The handler last, so that it never runs under an older one's flags for longer than a fault
    /// that races with the change itself.
    fn set(&self, action: &SignalAction) {
        self.flags.store(action.flags, Ordering::Relaxed);
        self.mask.store(action.mask, Ordering::Relaxed);
        self.handler.store(action.handler, Ordering::Release);
    }

    fn claim(&self) -> bool {
        let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
        self.handler.compare_exchange(Self::EMPTY, Self::CLAIMED, done, failed).is_ok()
    }
}

/// The layers of one signal.
pub(super) struct Layers([Layer; MOST]);

impl Layers {
    pub(super) const fn new() -> Self {
        Layers([const { Layer::new() }; MOST])
    }

    /// Lays an action on top; a handler that is there already stays where it is.
    pub(super) fn push(&self, action: &SignalAction) -> Result<(), Errno> {
        for layer in &self.0 {
            let is_known = layer.get().is_some_and(|known| known.handler == action.handler);
            if is_known || layer.claim() {
                layer.set(action);
                return Ok(());
            }
        }
        Err(Errno(libc::ENOMEM, Call::Other))
    }

    /// The highest layer below `limit`, and its number.
    pub(super) fn below(&self, limit: usize) -> Option<(usize, SignalAction)> {
        let layers = self.0[..limit.min(MOST)].iter().enumerate().rev();
        layers.filter_map(|(number, layer)| Some((number, layer.get()?))).next()
    }

    /// The highest layer of all: what the program believes to be the action.
    pub(super) fn top(&self) -> Option<(usize, SignalAction)> {
        self.below(MOST)
    }

    /// Changes a layer that is there.
    pub(super) fn replace(&self, number: usize, action: &SignalAction) {
        self.0[number].set(action);
    }

    /// Forgets the handler of a layer that was one for one time.
    pub(super) fn reset(&self, number: usize) {
        self.0[number].handler.store(SignalAction::DEFAULT.handler, Ordering::Release);
    }
}

/// Says in a context from which layer's handler it comes back to us.
#[repr(C)]
pub(super) struct Note {
    magic: usize,
    owner: *const Layers,
    layer: usize,
    outer: *mut libc::ucontext_t,
}

impl Note {
    /// Looks like no `uc_flags`, which is what stands first in a context.
    const MAGIC: usize = 0x6772_616e_756c_6521;

    pub(super) const fn new(owner: &'static Layers, layer: usize) -> Self {
        Note { magic: Self::MAGIC, owner, layer, outer: ptr::null_mut() }
    }

    /// The layer that `context` comes from, if it was noted by this library.
    ///
    /// # Safety
    /// 1. `context` is the one that the kernel gave to a handler that is still running.
    pub(super) unsafe fn find(context: *mut c_void, owner: &'static Layers) -> Option<usize> {
        // SAFETY: (1).
        let place = unsafe { link_of(context) };
        // SAFETY: (1): the context is the handler's own.
        let mut link = unsafe { place.read() };
        while !link.is_null() {
            // SAFETY: the kernel leaves null there, so it is a note, ours or that of another copy
            // of this library; each is put there for as long as it lives.
            let note = unsafe { &*link.cast_const().cast::<Note>() };
            if note.magic != Self::MAGIC {
                return None;
            }
            if ptr::eq(note.owner, owner) {
                return Some(note.layer);
            }
            link = note.outer;
        }
        None
    }

    /// Runs `body` while `context` has this note.
    ///
    /// # Safety
    /// 1. As for [`find`](Self::find).
    pub(super) unsafe fn noted(mut self, context: *mut c_void, body: impl FnOnce()) {
        // SAFETY: (1).
        let place = unsafe { link_of(context) };
        // SAFETY: (1): the context is the handler's own.
        self.outer = unsafe { place.read() };
        // SAFETY: as above.
        unsafe { place.write((&raw mut self).cast()) };
        body();
        // SAFETY: as above.
        unsafe { place.write(self.outer) };
    }
}

/// # Safety
/// 1. As for [`Note::find`].
unsafe fn link_of(context: *mut c_void) -> *mut *mut libc::ucontext_t {
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: (1): a place in the struct.
    unsafe { &raw mut (*context).uc_link }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(handler: usize) -> SignalAction {
        SignalAction::DEFAULT.with(handler, handler * 2, handler as u64 * 3)
    }

    #[test]
    fn later_actions_lie_above_and_known_ones_stay() -> Result<(), Errno> {
        let layers = Layers::new();
        assert_eq!(layers.top(), None);
        for handler in [0, 100, 200, 100] {
            layers.push(&action(handler))?;
        }
        assert_eq!(layers.top(), Some((2, action(200))));
        assert_eq!(layers.below(2), Some((1, action(100))));
        assert_eq!(layers.below(1), Some((0, action(0))));
        assert_eq!(layers.below(0), None);
        layers.reset(2);
        assert_eq!(layers.top().map(|(_, action)| action.handler), Some(0));
        for handler in 3..MOST {
            layers.push(&action(1000 + handler))?;
        }
        assert_eq!(layers.push(&action(5000)), Err(Errno(libc::ENOMEM, Call::Other)));
        layers.push(&action(1000 + 3))
    }

    #[test]
    fn a_context_tells_whose_note_it_has() {
        static OURS: Layers = Layers::new();
        static OTHERS: Layers = Layers::new();
        // SAFETY: a structure of numbers and pointers may be zero.
        let mut context: libc::ucontext_t = unsafe { core::mem::zeroed() };
        let context = (&raw mut context).cast::<c_void>();
        // SAFETY: (1) it looks like the kernel's, and lives through the test.
        let find = |owner| unsafe { Note::find(context, owner) };
        assert_eq!(find(&OURS), None);
        let inner = || {
            assert_eq!((find(&OURS), find(&OTHERS)), (Some(3), None));
            let innermost = || assert_eq!((find(&OURS), find(&OTHERS)), (Some(3), Some(5)));
            // SAFETY: (1) as above.
            unsafe { Note::new(&OTHERS, 5).noted(context, innermost) };
        };
        // SAFETY: (1) as above.
        unsafe { Note::new(&OURS, 3).noted(context, inner) };
        assert_eq!(find(&OURS), None);
    }
}
