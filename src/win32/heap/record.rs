//! Floor 5, uses floors 0 to 4. The heaps there are, and the way in.
//!
//! A handle is the number of a record and of the heap that has it, so that an old one is told from
//! a new one: records stay for ever, and are used again.
//!
//! # Invariants
//! 1. `uses` is odd while the record has a heap; every change of it makes old handles old. It is
//!    changed by whoever holds `word`, or has just taken the record.
//! 2. `made` is written and taken out by the same, and looked at by whoever holds `word`, or whose
//!    caller has promised that nobody else is inside (`HEAP_NO_SERIALIZE`).
//! 3. `word` is held for one call. A thread that has [locked](super::HeapLock) the heap is noted in
//!    `owner`, and everybody else lets go of `word` again as long as it is there.

use super::super::error::{Reason, Win32Error};
use super::budget::Budget;
use super::{HANDLE, HEAP_NO_SERIALIZE};
use crate::ds::ready_stack::Link;
use crate::heap::LocalHeap;
use crate::sys;
use crate::vm::nodes::{Pool, Pooled, Refusal};
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// All of them.
static RECORDS: Pool<Record, HEAPS> = Pool::new();

/// Heaps at a time, at most.
const HEAPS: u32 = 1 << 14;
/// Handles are multiples of 4, as Windows has them.
const STEP: usize = 4;
const NUMBERS: usize = HEAPS as usize * 2;

/// Nobody is inside: no process is of generation 0.
const FREE: u32 = 0;

/// What a heap is made of.
pub(super) struct Made {
    pub(super) heap: LocalHeap,
    pub(super) budget: Budget,
    /// What [`HeapCreate`](super::HeapCreate) was asked for, and holds for every call.
    pub(super) options: u32,
}

#[repr(C, align(256))]
struct Record {
    link: AtomicU32,
    /// The generation of the process whose thread is inside, or `FREE`.
    word: AtomicU32,
    uses: AtomicU32,
    options: AtomicU32,
    /// Generation and number of the thread that has locked the heap, or 0.
    owner: AtomicU64,
    /// How often it has.
    depth: AtomicU32,
    made: UnsafeCell<MaybeUninit<Made>>,
}

// SAFETY: invariant 2: one thread at a time is at `made`, ordered behind the one before by `word`,
// or by the caller. A `LocalHeap` may go from thread to thread.
unsafe impl Sync for Record {}

// SAFETY: (1) zero is a record without a heap; (2) 256 bytes, checked below.
unsafe impl Pooled for Record {
    fn link(&self) -> &impl Link {
        &self.link
    }
}

const _: () = assert!(size_of::<Record>() == 256);

/// A heap that is locked for one call.
struct Turn(&'static Record);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.word.store(FREE, Ordering::Release);
    }
}

/// Keeps a new heap and gives it a handle.
pub(super) fn add(made: Made) -> Result<HANDLE, Refusal> {
    let (number, record) = RECORDS.take()?;
    record.options.store(made.options, Ordering::Relaxed);
    let uses = record.uses.load(Ordering::Relaxed).wrapping_add(1);
    // SAFETY: the record was taken just now, and no handle leads to it: rules 1 and 2.
    let place = unsafe { &mut *record.made.get() };
    place.write(made);
    record.uses.store(uses, Ordering::Release);
    Ok(handle(number, uses))
}

fn handle(number: u32, uses: u32) -> HANDLE {
    let addr = (uses as usize).wrapping_mul(NUMBERS).wrapping_add(number as usize + 1);
    ptr::without_provenance_mut(addr.wrapping_mul(STEP))
}

/// The handles of all heaps there are.
pub(super) fn all() -> impl Iterator<Item = HANDLE> {
    (0..HEAPS).map_while(|number| Some((number, RECORDS.get(number)?))).filter_map(
        |(number, record)| {
            let uses = record.uses.load(Ordering::Acquire);
            (uses % 2 == 1).then(|| handle(number, uses))
        },
    )
}

/// The record of a handle, and its number.
fn find(call: &'static str, heap: HANDLE) -> Result<(u32, &'static Record), Win32Error> {
    let number = (heap.addr() / STEP % NUMBERS).wrapping_sub(1) as u32;
    match RECORDS.get(number) {
        Some(record) if record.has(number, heap) => Ok((number, record)),
        _ => Err(Win32Error::new(call, Reason::NoSuchHeap)),
    }
}

impl Record {
    fn has(&self, number: u32, heap: HANDLE) -> bool {
        let uses = self.uses.load(Ordering::Acquire);
        uses % 2 == 1 && handle(number, uses) == heap
    }

    /// Waits until nobody is inside, and no other thread has locked the heap.
    fn enter(&'static self, call: &'static str) -> Result<Turn, Win32Error> {
        let me = sys::generation();
        loop {
            match self.word.compare_exchange(FREE, me, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => {
                    let turn = Turn(self);
                    if !self.is_locked_by_another() {
                        return Ok(turn);
                    }
                }
                Err(holder) if holder != me => {
                    return Err(Win32Error::new(call, Reason::LeftByFork));
                }
                Err(_) => {}
            }
            sys::yield_now();
        }
    }

    fn is_locked_by_another(&self) -> bool {
        let owner = self.owner.load(Ordering::Relaxed);
        // A lock of the process before the fork is nobody's: that thread is not here.
        owner != 0 && owner >> 32 == u64::from(sys::generation()) && owner != this_thread()
    }
}

fn this_thread() -> u64 {
    u64::from(sys::generation()) << 32 | u64::from(sys::thread_id())
}

/// Does `work` on a heap while nobody else does.
///
/// # Safety
/// 1. If `flags` or the heap's own options have `HEAP_NO_SERIALIZE`, no other call on this heap is
///    under way.
pub(super) unsafe fn with<R>(
    call: &'static str,
    heap: HANDLE,
    flags: u32,
    work: impl FnOnce(&Made) -> Result<R, Win32Error>,
) -> Result<R, Win32Error> {
    let (number, record) = find(call, heap)?;
    let all_flags = flags | record.options.load(Ordering::Relaxed);
    let _turn = match all_flags & HEAP_NO_SERIALIZE {
        0 => Some(record.enter(call)?),
        _ => None,
    };
    // It may have been destroyed while we waited.
    if !record.has(number, heap) {
        return Err(Win32Error::new(call, Reason::NoSuchHeap));
    }
    // SAFETY: rule 2: we hold `word`, or (1).
    let made = unsafe { &*record.made.get() };
    // SAFETY: rule 1: the record has a heap, which was written before `uses` said so.
    work(unsafe { made.assume_init_ref() })
}

/// Takes a heap out of the books: its handle leads nowhere from now on.
///
/// # Safety
/// 1. As for [`with`].
pub(super) unsafe fn remove(call: &'static str, heap: HANDLE) -> Result<Made, Win32Error> {
    let (number, record) = find(call, heap)?;
    let turn = match record.options.load(Ordering::Relaxed) & HEAP_NO_SERIALIZE {
        0 => Some(record.enter(call)?),
        _ => None,
    };
    if !record.has(number, heap) {
        return Err(Win32Error::new(call, Reason::NoSuchHeap));
    }
    record.uses.fetch_add(1, Ordering::AcqRel);
    record.owner.store(0, Ordering::Relaxed);
    record.depth.store(0, Ordering::Relaxed);
    // SAFETY: rule 2: we hold `word`, or (1).
    let place = unsafe { &*record.made.get() };
    // SAFETY: rule 1: it was written, and nobody takes it out again.
    let made = unsafe { place.assume_init_read() };
    drop(turn);
    RECORDS.give_back(number);
    Ok(made)
}

/// Locks a heap for this thread, once more if it has it already.
pub(super) fn lock(call: &'static str, heap: HANDLE) -> Result<(), Win32Error> {
    own(call, heap, |record| {
        let me = this_thread();
        if record.owner.swap(me, Ordering::Relaxed) != me {
            record.depth.store(0, Ordering::Relaxed);
        }
        record.depth.fetch_add(1, Ordering::Relaxed);
        Ok(())
    })
}

/// Takes one lock of this thread's back.
pub(super) fn unlock(call: &'static str, heap: HANDLE) -> Result<(), Win32Error> {
    own(call, heap, |record| {
        if record.owner.load(Ordering::Relaxed) != this_thread() {
            return Err(Win32Error::new(call, Reason::HeapNotLocked));
        }
        if record.depth.fetch_sub(1, Ordering::Relaxed) == 1 {
            record.owner.store(0, Ordering::Relaxed);
        }
        Ok(())
    })
}

/// Changes who has locked a heap. Heaps without a lock are left alone.
fn own(
    call: &'static str,
    heap: HANDLE,
    work: impl FnOnce(&Record) -> Result<(), Win32Error>,
) -> Result<(), Win32Error> {
    let (number, record) = find(call, heap)?;
    if record.options.load(Ordering::Relaxed) & HEAP_NO_SERIALIZE != 0 {
        return Ok(());
    }
    let _turn = record.enter(call)?;
    if !record.has(number, heap) {
        return Err(Win32Error::new(call, Reason::NoSuchHeap));
    }
    work(record)
}

#[cfg(test)]
mod tests {
    use super::super::{HeapCreate, HeapDestroy, HeapLock, HeapUnlock};
    use super::*;
    use crate::win32::{ERROR_INVALID_HANDLE, ERROR_NOT_LOCKED};

    fn enter(heap: HANDLE) -> Result<(), u32> {
        // SAFETY: (1) the heap has a lock.
        unsafe { with("test", heap, 0, |_| Ok(())) }.map_err(|error| error.code())
    }

    #[test]
    fn what_a_fork_has_left_in_other_hands_is_refused_and_its_locks_are_nobodys() {
        let heap = HeapCreate(0, 0, 0).expect("a heap");
        let (_, record) = find("test", heap).expect("it is there");
        // As in a child: a thread of the parent was inside.
        record.word.store(sys::generation() + 1, Ordering::Relaxed);
        assert_eq!(enter(heap), Err(ERROR_INVALID_HANDLE));
        let unlocked = HeapUnlock(heap).map_err(|error| error.code());
        assert_eq!(unlocked, Err(ERROR_INVALID_HANDLE));
        record.word.store(FREE, Ordering::Relaxed);
        // A thread of the parent had locked it.
        let parents = u64::from(sys::generation() + 1) << 32 | 1;
        record.owner.store(parents, Ordering::Relaxed);
        record.depth.store(7, Ordering::Relaxed);
        assert_eq!(enter(heap), Ok(()));
        HeapLock(heap).expect("nobody has it");
        HeapUnlock(heap).expect("it was locked once");
        assert_eq!(HeapUnlock(heap).map_err(|error| error.code()), Err(ERROR_NOT_LOCKED));
        // SAFETY: (1) (2) nobody uses it.
        unsafe { HeapDestroy(heap) }.expect("it is there");
    }

    #[test]
    fn a_handle_tells_the_number_of_its_record() {
        assert_eq!(handle(0, 1).addr() % STEP, 0);
        let numbers = [0, 1, HEAPS - 1];
        for number in numbers {
            for uses in [1, 3, u32::MAX] {
                let addr = handle(number, uses).addr();
                assert_ne!(addr, 0);
                assert_eq!(addr / STEP % NUMBERS, number as usize + 1);
            }
        }
    }
}
