//! Floor 1. The fault signals in the masks of the program.
//!
//! A blocked fault kills the process without a word, so the fault signals are kept out of the
//! kernel's masks. What the program believes to have blocked is a word of the thread, and the
//! handler (`signals`) acts by it:
//! - a fault of the program's own while it believes to block it kills, as the kernel would;
//! - a signal that is sent is then blocked for real, and so waits. As long as it does, a crime in
//!   this thread dies without a report.
//!
//! The word follows what the kernel's mask would: `program_mask`, the program's handlers of fault
//! signals, `siglongjmp`, `setcontext`, `sigsuspend` and its like, new threads, fork. It does not
//! follow the masks of handlers of other signals, and exec.

use super::super::blocked::{blocked_word, set_blocked_word};
use super::super::fault::{
    FAULT_SIGNALS, SET_MASK, SignalAction, mask_after, signal_bit, signal_mask, unblocks,
};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The bits of the fault signals.
pub(super) const FAULTS: u64 = signal_bit(FAULT_SIGNALS[0]) | signal_bit(FAULT_SIGNALS[1]);

/// What the program's `pthread_sigmask` does, except that the fault signals stay open for ours.
/// Returns the old mask as the program believes it; `Err` holds the errno.
pub fn program_mask(how: i32, set: Option<u64>) -> Result<u64, i32> {
    let before = blocked_word();
    let set = set.map(|set| {
        let after = mask_after(how, set, before);
        // First the word: a signal that comes in between finds the new state.
        set_blocked_word(after.unwrap_or(before) & FAULTS);
        // A signal that waits is blocked for real; when `set` still blocks it, the handler sends
        // it back.
        if unblocks(how) { set } else { set & !FAULTS }
    });
    match signal_mask(how, set) {
        Ok(old) => Ok(old | before),
        Err(errno) => {
            set_blocked_word(before);
            Err(errno.0)
        }
    }
}

/// The fault signals that the program believes to have blocked in this thread, as bits of a set.
pub fn program_blocked() -> u64 {
    blocked_word()
}

/// Makes `bits` the fault signals that the program believes to have blocked in this thread: for a
/// thread that begins, and for a mask that comes back from where the program kept it.
pub fn set_program_blocked(bits: u64) {
    set_blocked_word(bits & FAULTS);
}

/// True if whatever changes a mask of the program comes through here.
static FOLLOWED: AtomicBool = AtomicBool::new(false);

/// True if a belief set now is taken back when the program leaves a handler, by whatever way.
/// Without that, handlers of fault signals get the kernel's mask, and a crime in one has no report.
pub(super) fn is_followed() -> bool {
    FOLLOWED.load(Ordering::Relaxed)
}

/// Says that this library stands in front of `pthread_sigmask`, `siglongjmp` and `pthread_create`,
/// and takes over the mask that the process was started with.
pub fn follow_masks() {
    FOLLOWED.store(true, Ordering::Relaxed);
    if let Ok(mask) = signal_mask(SET_MASK, None)
        && mask & FAULTS != 0
    {
        // The same set, the fault signals as a belief: it was read from the kernel, which takes it.
        let _ = program_mask(SET_MASK, Some(mask));
    }
}

/// The fault signals that were taken out of the masks of other signals' handlers, one word for each
/// signal: the handler's address, and the bits in the two highest, which no address has. They count
/// as long as the handler is that one, or was it for one time, whoever else sets handlers.
static STRIPPED: [AtomicU64; 65] = [const { AtomicU64::new(0) }; 65];

const ADDRESS: u64 = (1 << 62) - 1;

fn stripped(signal: i32) -> Option<&'static AtomicU64> {
    STRIPPED.get(usize::try_from(signal).ok()?)
}

/// Remembers what was taken out of the mask of a new handler.
pub(super) fn strip(signal: i32, handler: usize, mask: u64) {
    let bits = FAULT_SIGNALS.iter().enumerate().fold(0, |bits, (index, &fault)| {
        bits | u64::from(mask & signal_bit(fault) != 0) << (62 + index)
    });
    if let Some(word) = stripped(signal) {
        word.store(bits | handler as u64 & ADDRESS, Ordering::Relaxed);
    }
}

/// The C library sets a handler for `signal` itself, with a mask of its own.
pub fn forget_handler_mask(signal: i32) {
    if let Some(word) = stripped(signal) {
        word.store(0, Ordering::Relaxed);
    }
}

/// What was taken out of the mask of the action that the kernel has now.
pub(super) fn taken_out(signal: i32, action: &SignalAction) -> u64 {
    let word = stripped(signal).map_or(0, |word| word.load(Ordering::Relaxed));
    let is_the_one = word & ADDRESS == action.handler as u64 & ADDRESS;
    if !is_the_one && !action.has_been_reset() {
        return 0;
    }
    FAULT_SIGNALS.iter().enumerate().fold(0, |mask, (index, &fault)| {
        if word >> (62 + index) & 1 != 0 { mask | signal_bit(fault) } else { mask }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_out_counts_for_that_handler_only() {
        let segv = signal_bit(FAULT_SIGNALS[0]);
        let action = |handler, flags| SignalAction::new(handler, flags, 0);
        for mask in [0, segv, FAULTS & !segv, FAULTS] {
            strip(60, 0x7fff_1234_5678, mask | 1);
            assert_eq!(taken_out(60, &action(0x7fff_1234_5678, 0)), mask);
            assert_eq!(taken_out(60, &action(0x7fff_1234_5679, 0)), 0);
            assert_eq!(taken_out(60, &action(0, SignalAction::RESET_HANDLER)), mask);
            assert_eq!(taken_out(60, &action(0, 0)), 0);
        }
        forget_handler_mask(60);
        assert_eq!(taken_out(60, &action(0x7fff_1234_5678, 0)), 0);
        for no_signal in [-1, 0, 65] {
            assert_eq!(taken_out(no_signal, &SignalAction::DEFAULT), 0);
        }
    }

    #[test]
    fn the_program_sees_the_mask_it_has_set() {
        let before = program_mask(SET_MASK, Some(!0)).expect("a mask can be set");
        let full = program_mask(SET_MASK, None).expect("a mask can be read");
        let real = signal_mask(SET_MASK, None).expect("a mask can be read");
        assert_eq!((full & FAULTS, real & FAULTS), (FAULTS, 0));
        assert_eq!(program_mask(77, Some(0)), Err(22));
        assert_eq!(program_mask(SET_MASK, Some(before)), Ok(full));
        assert_eq!(program_mask(SET_MASK, None), Ok(before));
    }
}
