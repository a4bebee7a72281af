//! Floor 4, uses floors 0 to 3. Whose turn it is to grow an array.

use crate::sys;
use core::sync::atomic::{AtomicU64, Ordering};

/// One thread's turn at a time. Nobody waits for it here.
///
/// The word names the holder by the generation of its process and its thread: the child of a fork
/// takes a turn over that a thread of its parent had, and a signal handler is told that the thread
/// it interrupted has the turn.
#[derive(Debug, Default)]
pub(super) struct Turn {
    holder: AtomicU64,
}

const NOBODY: u64 = 0;

/// Who has the turn.
#[derive(Debug)]
pub(super) enum Taken<'t> {
    /// The caller, until the value is dropped.
    Ours(Held<'t>),
    /// Another thread.
    Theirs,
    /// The thread that the calling signal handler has interrupted.
    Interrupted,
}

/// A turn that ends with the value.
#[derive(Debug)]
pub(super) struct Held<'t> {
    turn: &'t Turn,
    name: u64,
}

fn own_name() -> u64 {
    // Never 0, which is nobody, should a system have such numbers.
    (u64::from(sys::generation()) << 32 | u64::from(sys::thread_id())).max(1)
}

impl Turn {
    pub(super) fn take(&self) -> Taken<'_> {
        let name = own_name();
        let mut expected = NOBODY;
        loop {
            let (done, failed) = (Ordering::Acquire, Ordering::Relaxed);
            match self.holder.compare_exchange(expected, name, done, failed) {
                Ok(_) => return Taken::Ours(Held { turn: self, name }),
                Err(NOBODY) => expected = NOBODY,
                Err(holder) if holder == name => return Taken::Interrupted,
                // Copied by a fork: that thread is not here.
                Err(holder) if holder >> 32 != name >> 32 => expected = holder,
                Err(_) => return Taken::Theirs,
            }
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Somebody else's by now if a fork came between.
        let (done, failed) = (Ordering::Release, Ordering::Relaxed);
        let _ = self.turn.holder.compare_exchange(self.name, NOBODY, done, failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_and_the_others_are_told_who() {
        let turn = Turn::default();
        let Taken::Ours(held) = turn.take() else { panic!("nobody has it") };
        assert!(matches!(turn.take(), Taken::Interrupted));
        std::thread::scope(|scope| {
            let elsewhere = scope.spawn(|| matches!(turn.take(), Taken::Theirs));
            assert!(elsewhere.join().expect("no panic"));
        });
        drop(held);
        assert!(matches!(turn.take(), Taken::Ours(_)));
    }

    #[test]
    fn the_turn_of_a_process_before_is_taken_over_and_not_given_back_twice() {
        let turn = Turn::default();
        let parents = own_name() ^ 1 << 32;
        turn.holder.store(parents, Ordering::Relaxed);
        let Taken::Ours(held) = turn.take() else { panic!("its holder is not here") };
        drop(Held { turn: &turn, name: parents });
        assert!(matches!(turn.take(), Taken::Interrupted));
        drop(held);
        assert!(matches!(turn.take(), Taken::Ours(_)));
    }
}
