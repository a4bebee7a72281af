//! Floor 1. The actions of the program that we stand in front of, for one signal.
//!
//! The lowest one was there before us. Whoever set an action later, past us, and was found in front
//! of us when we wanted to be first again, lies above it: a fault that is not ours goes to the
//! highest. If that handler hands it on to the one that it had found, which is us, it goes one
//! layer down, so that it ends with whoever was there first. An action that is found in front of us
//! again comes to the top: it is what the program has now.
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
    height: AtomicUsize,
}

/// Which layer it is, and how high it lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    number: usize,
    pub(super) height: usize,
}

impl Layer {
    /// In place of a handler: nobody's layer, and one that is being written.
    const EMPTY: usize = usize::MAX;
    const CLAIMED: usize = usize::MAX - 1;

    const fn new() -> Self {
        let handler = AtomicUsize::new(Self::EMPTY);
        let (flags, height) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Layer { handler, flags, mask: AtomicU64::new(0), height }
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
pub(super) struct Layers {
    layers: [Layer; MOST],
    /// The height of the next one.
    next: AtomicUsize,
}

impl Layers {
    pub(super) const fn new() -> Self {
        Layers { layers: [const { Layer::new() }; MOST], next: AtomicUsize::new(0) }
    }

    /// Lays an action on top; a handler that is there already moves there.
    pub(super) fn push(&self, action: &SignalAction) -> Result<(), Errno> {
        for layer in &self.layers {
            let is_known = layer.get().is_some_and(|known| known.handler == action.handler);
            if is_known || layer.claim() {
                layer.height.store(self.next.fetch_add(1, Ordering::Relaxed), Ordering::Release);
                layer.set(action);
                return Ok(());
            }
        }
        Err(Errno(libc::ENOMEM, Call::Other))
    }

    /// The highest layer below the height `limit`, and where it is.
    pub(super) fn below(&self, limit: usize) -> Option<(Place, SignalAction)> {
        let layers = self.layers.iter().enumerate().filter_map(|(number, layer)| {
            let action = layer.get()?;
            let height = layer.height.load(Ordering::Acquire);
            (height < limit).then_some((Place { number, height }, action))
        });
        layers.max_by_key(|(place, _)| place.height)
    }

    /// The highest layer of all: what the program believes to be the action.
    pub(super) fn top(&self) -> Option<(Place, SignalAction)> {
        self.below(usize::MAX)
    }

    /// Changes a layer that is there.
    pub(super) fn replace(&self, place: Place, action: &SignalAction) {
        self.layers[place.number].set(action);
    }

    /// Forgets the handler of a layer that was one for one time.
    pub(super) fn reset(&self, place: Place) {
        self.layers[place.number].handler.store(SignalAction::DEFAULT.handler, Ordering::Release);
    }
}

/// Says in a context from which layer's handler it comes back to us.
#[repr(C)]
pub(super) struct Note {
    magic: usize,
    owner: *const Layers,
    height: usize,
    outer: *mut libc::ucontext_t,
}

impl Note {
    /// Looks like no `uc_flags`, which is what stands first in a context.
    const MAGIC: usize = 0x6772_616e_756c_6521;

    pub(super) const fn new(owner: &'static Layers, height: usize) -> Self {
        Note { magic: Self::MAGIC, owner, height, outer: ptr::null_mut() }
    }

    /// The height of the layer that `context` comes from, if it was noted by this library.
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
                return Some(note.height);
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
    fn later_actions_lie_above_and_known_ones_come_to_the_top() -> Result<(), Errno> {
        let layers = Layers::new();
        assert_eq!(layers.top(), None);
        for handler in [0, 100, 200, 100] {
            layers.push(&action(handler))?;
        }
        let at = |number, height| Place { number, height };
        assert_eq!(layers.top(), Some((at(1, 3), action(100))));
        assert_eq!(layers.below(3), Some((at(2, 2), action(200))));
        assert_eq!(layers.below(2), Some((at(0, 0), action(0))));
        assert_eq!(layers.below(0), None);
        layers.reset(at(1, 3));
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
