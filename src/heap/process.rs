//! Floor 4, uses floors 0 to 2. The heap of the process: a core for each thread, so that nobody
//! waits for anybody, and a heap for all for those who have none.
//!
//! # The way of a core
//! ```text
//!   taken or adopted by a thread --> its own until it ends --> parked --> adopted by the next one
//! ```
//! A thread keeps in its caches what it frees, whichever core has the slab (gperftools'
//! tcmalloc does so), and gives it home when there is too much, or when it ends.
//!
//! A parked core has the slabs in which some blocks were still in use when its thread ended. Who
//! gives one of them home does it in the parked core itself, so that memory goes back although the
//! thread is gone; blocks of another thread's core are gathered (`gather`).
//!
//! # Signals, the last moments of a thread, fork
//! 1. A thread's word names its core, and is null while the core is in use. A signal handler that
//!    comes in between finds null and takes its blocks from the heap for all, none of whose cores
//!    anybody ever waits for while there may be one more.
//! 2. The same is true before a thread has a core and after it has parked it, as in destructors of
//!    thread-local values.
//! 3. In the child of a fork the cores of the other threads are left as they are: their blocks can
//!    be used and freed, what they had free is lost to the child.

use super::block::resized;
use super::class::{C_ALIGN, Class};
use super::core::Core;
use super::gather::send_one;
use super::ground::{Ground, ground, ground_made};
use super::held::Held;
use super::inspect::{Block, HeapStats, Violation};
use super::place::Place;
use super::report::{Finding, broken};
use super::shared::Heap;
use crate::ds::once::Once;
use crate::ds::primitive::{AtomicU32, Ordering};
use crate::ds::ready_stack::ReadyStack;
use crate::error::Error;
use crate::sys;
use core::alloc::Layout;
use core::ptr::{NonNull, null_mut, without_provenance_mut};

/// The heap of the process, as `GetProcessHeap` names it: what a program's `malloc` or `Box` takes
/// its memory from.
///
/// Each thread has a part of its own, so neither allocation nor free takes a lock; any thread may
/// free what another one has allocated. With
/// ```
/// #[global_allocator]
/// static ALLOCATOR: granule::Granule = granule::Granule;
/// # fn main() { assert!(granule::Granule.owns(std::ptr::NonNull::from(&mut *Box::new(1_u8)))) }
/// ```
/// every `Box`, `Vec` and `String` of a Rust program lies here. All values of this type are the
/// same heap; it is never dropped.
#[doc(alias("GetProcessHeap", "malloc"))]
#[derive(Clone, Copy, Debug, Default)]
pub struct Granule;

/// Where a thread stands: what its second word says.
const FRESH: usize = 0;
const AT_HOME: usize = 1;
const GONE: usize = 2;

/// Cores whose threads have ended.
static PARKED: ReadyStack = ReadyStack::new();

static COMMON: Once<Heap> = Once::new();

/// The number of its first core, if somebody has made it.
pub(super) fn root_if_made() -> Option<u32> {
    COMMON.get().map(Heap::root)
}

/// For whoever has no core at the moment. Its first core has the budget of all.
fn common() -> Result<&'static Heap, Error> {
    COMMON.get_or_try_make(Heap::new)
}

/// What all threads stand on. A signal handler that came in while it is made, and allocated, would
/// wait for itself: so none comes.
fn foundations() -> Option<(&'static Ground, &'static Heap)> {
    static ARE_MADE: AtomicU32 = AtomicU32::new(0);
    let make = || Some((ground().ok()?, common().ok()?));
    if ARE_MADE.load(Ordering::Acquire) == 1 {
        return make();
    }
    let made = sys::without_signals(make);
    if made.is_some() {
        ARE_MADE.store(1, Ordering::Release);
    }
    made
}

/// A thread's core, while it is used.
pub(super) struct Visit {
    core: &'static Core,
}

impl Visit {
    /// Takes the core of this thread, unless it has none or is using it. (1)
    #[inline]
    fn begin() -> Option<Self> {
        let core = NonNull::new(sys::thread_word().cast::<Core>())?;
        sys::set_thread_word(null_mut());
        // SAFETY: only `enter` and `drop` set the word, to a core, which is there for ever.
        Some(Visit { core: unsafe { core.as_ref() } })
    }

    /// The same; a thread that is new gets a core.
    #[inline]
    pub(super) fn begin_or_enter() -> Option<Self> {
        Self::begin().or_else(Self::enter)
    }

    #[cold]
    #[inline(never)]
    fn enter() -> Option<Self> {
        if sys::thread_stage().addr() != FRESH {
            return None;
        }
        // What allocates on the way here takes the heap for all.
        set_stage(AT_HOME);
        if sys::thread_stage().addr() != AT_HOME {
            return None; // nothing can be kept for this thread
        }
        // A signal handler that came before that line may have settled down.
        let visit = Self::begin().or_else(Self::settle_down);
        if visit.is_none() {
            set_stage(FRESH);
        }
        visit
    }

    fn settle_down() -> Option<Self> {
        let (ground, common) = foundations()?;
        let core = adopted(ground).or_else(|| {
            let core = ground.take_core().ok()?;
            // As long as it is in no heap nobody else wants it.
            if !core.try_lock() {
                ground.rest(core);
                return None;
            }
            core.own.starter.allow();
            core.begin(common.root(), 0, false);
            core.serve_a_thread();
            Some(core)
        })?;
        let word = (&raw const *core).cast_mut().cast();
        if sys::call_at_thread_end(leave, word).is_err() {
            // Nobody would ever park it again.
            park(ground, core);
            return None;
        }
        Some(Visit { core })
    }

    #[inline]
    pub(super) fn held(&self) -> Held {
        // SAFETY: there is a core, so there is the ground that it stands on.
        let ground = unsafe { ground_made() };
        // SAFETY: (1) the core is this thread's, and its word was null until now.
        unsafe { Held::new(ground, self.core) }
    }
}

impl Drop for Visit {
    #[inline]
    fn drop(&mut self) {
        sys::set_thread_word((&raw const *self.core).cast_mut().cast());
    }
}

fn set_stage(stage: usize) {
    sys::set_thread_stage(without_provenance_mut(stage));
}

/// A parked core, locked.
fn adopted(ground: &'static Ground) -> Option<&'static Core> {
    let core = ground.core(PARKED.pop(|number| ground.core(number).link())?);
    if core.try_lock() {
        return Some(core);
    }
    // Somebody frees a block of it just now, or did so when this process was forked.
    if !core.is_left() {
        PARKED.push(core.number(), core.link());
    }
    None
}

/// The last moment of a thread that has a core.
fn leave(word: *mut u8) {
    set_stage(GONE);
    if sys::thread_word() != word {
        // It ended in the middle of a step: nobody may use the core again. (1)
        return;
    }
    sys::set_thread_word(null_mut());
    if let Ok(ground) = ground()
        && let Some(core) = NonNull::new(word.cast::<Core>())
    {
        // SAFETY: `settle_down` said this word, which names a core.
        park(ground, unsafe { core.as_ref() });
    }
}

/// The same before its end: what the system calls at the end finds no core any more.
fn leave_at_once(visit: Visit) {
    set_stage(GONE);
    let core = visit.core;
    // Its word stays null.
    core::mem::forget(visit);
    if let Ok(ground) = ground() {
        park(ground, core);
    }
}

/// Parks a core that this thread holds: without anything that is not in use.
fn park(ground: &'static Ground, core: &'static Core) {
    // SAFETY: (1) the thread's own, to its end.
    let held = unsafe { Held::new(ground, core) };
    held.trim();
    // With what was in the caches.
    held.send_gathered();
    held.rest();
    PARKED.push(core.number(), core.link());
}

impl Granule {
    /// A block for a layout. Its content is anything. A block of 0 bytes has an address of its own,
    /// too.
    ///
    /// System calls as for [`LocalHeap::allocate`](super::LocalHeap::allocate), and the first time
    /// in a process those of [`LocalHeap::new`](super::LocalHeap::new); the first time in a thread
    /// pthread_setspecific (Windows: `FlsSetValue`).
    ///
    /// # Errors
    /// `NoMemory`, `NoAddressSpace`: the system gives none. The heap is as it was.
    #[inline(always)]
    pub fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        match cached(layout) {
            Some(block) => Ok(block),
            None => allocate_slowly(layout),
        }
    }

    /// A block as C's malloc gives it: any type may lie in it that fits into it. `None` if there is
    /// no memory, or for more than `isize::MAX` bytes.
    #[inline(always)]
    #[doc(alias = "malloc")]
    pub fn allocate_c(&self, size: usize) -> Option<NonNull<u8>> {
        match Class::of_c(size).and_then(cached_of) {
            None => allocate_c_slowly(size),
            block => block,
        }
    }

    /// Gives a block back, as C's free does: null is none.
    ///
    /// # Safety
    /// 1. `block` is null, or as for [`deallocate`](Self::deallocate).
    #[inline(always)]
    #[doc(alias = "free")]
    pub unsafe fn deallocate_c(&self, block: *mut u8) {
        if !is_cached(block) {
            release_slowly(block);
        }
    }

    /// A block for a layout that reads zero.
    ///
    /// # Errors
    /// As for [`allocate`](Self::allocate).
    #[doc(alias = "calloc")]
    pub fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        match Visit::begin_or_enter() {
            Some(visit) => visit.held().allocate_zeroed(layout),
            None => common()?.allocate_zeroed(layout),
        }
    }

    /// Gives a block back, from any thread.
    ///
    /// A block of another heap, an address that is none and, sooner or later, a block that was
    /// given back twice are reported; the process is aborted then.
    ///
    /// # Safety
    /// 1. `block` came from this heap, has not been given back, and is not used again.
    #[inline(always)]
    #[doc(alias = "free")]
    pub unsafe fn deallocate(&self, block: NonNull<u8>) {
        if !is_cached(block.as_ptr()) {
            release_slowly(block.as_ptr());
        }
    }

    /// Gives a block back whose layout is known, which saves looking it up.
    ///
    /// # Safety
    /// 1. As for [`deallocate`](Self::deallocate).
    /// 2. `layout` is the one the block was allocated or last reallocated with.
    #[inline(always)]
    #[doc(alias = "free_sized")]
    pub unsafe fn deallocate_layout(&self, block: NonNull<u8>, layout: Layout) {
        if !is_cached_as(block.as_ptr(), layout) {
            release_slowly(block.as_ptr());
        }
    }

    /// Makes a block longer or shorter; where it stands if it can be, else its content moves to a
    /// new one and this one is given back. What is new has any content.
    ///
    /// Linux: mremap for 16 MiB and more, so that nothing is copied; a copy elsewhere.
    ///
    /// # Errors
    /// As for [`allocate`](Self::allocate), and `OutOfRange`: `size` is too long for a layout. The
    /// block is as it was.
    ///
    /// # Safety
    /// 1. `block` came from this heap with `layout`, and has not been given back.
    /// 2. After success it is not used again by its old address.
    #[doc(alias = "realloc")]
    pub unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        size: usize,
    ) -> Result<NonNull<u8>, Error> {
        let new = resized(block, layout, size)?;
        if let Some(visit) = Visit::begin_or_enter()
            && visit.held().resize_own(block, new)?
        {
            return Ok(block);
        }
        let kept = layout.size().min(size);
        let moved = match Visit::begin_or_enter() {
            Some(visit) => visit.held().allocate_grown(new, kept)?,
            None => common()?.allocate(new)?,
        };
        // SAFETY: (1) both are in use and long enough, two blocks; (2) it is given back.
        unsafe { ground()?.carry(block, moved, kept) };
        // SAFETY: (1) and (2).
        unsafe { self.deallocate(block) };
        Ok(moved)
    }

    /// Bytes from `block`, where a block of this heap begins, that its user may use: at least what
    /// was asked for. `None` for an address that no block of this heap begins at; a block that was
    /// given back may still be told.
    #[doc(alias = "malloc_usable_size")]
    pub fn usable_len(&self, block: NonNull<u8>) -> Option<usize> {
        common().ok()?.usable_len(block)
    }

    /// True if the address lies in memory of this heap.
    pub fn owns(&self, address: NonNull<u8>) -> bool {
        common().is_ok_and(|common| common.owns(address))
    }

    /// What it has, of all threads, counted now: exact if no other thread uses it meanwhile.
    #[doc(alias = "mallinfo2")]
    pub fn stats(&self) -> HeapStats {
        match (ground(), common()) {
            (Ok(ground), Ok(common)) => ground.stats_of(common.root()),
            _ => HeapStats::default(),
        }
    }

    /// Takes this thread's part away from it, for good: from now on the heap for all serves it.
    ///
    /// For a program that turns out to have another allocator.
    pub fn leave(&self) {
        match Visit::begin() {
            Some(visit) => leave_at_once(visit),
            None => set_stage(GONE),
        }
    }

    /// Gives back what the cache and the empty slabs of this thread keep, and those of threads that
    /// have ended. What the process keeps of it goes back to the system, too, as far as that takes
    /// it. Linux: madvise(MADV_DONTNEED). Windows: `VirtualFree`, `VirtualAlloc`.
    #[doc(alias = "malloc_trim")]
    pub fn trim(&self) {
        with_idle_parts(Held::trim);
        if let Ok(ground) = ground() {
            ground.empty_idle(0);
        }
    }

    /// Calls `visit` with the blocks in use of those parts of the heap that no other thread has at
    /// the moment: the part of this thread, those of threads that have ended, and the one for all.
    /// Blocks of parts whose threads live are not shown, whoever uses them now: a block belongs to
    /// the part that it was taken from. Of those that are shown some may have been given back by
    /// threads that live, which keep a few of each size. `visit` may allocate and free, and may or
    /// may not be shown that.
    #[doc(alias = "HeapWalk")]
    pub fn walk(&self, mut visit: impl FnMut(Block)) {
        with_idle_parts(|held| held.walk(&mut visit));
    }

    /// Checks the books of those parts of the heap that [`walk`](Self::walk) shows. Those of other
    /// threads that live cannot be checked without stopping them.
    ///
    /// # Errors
    /// The first rule that is broken, and where.
    #[doc(alias = "HeapValidate")]
    pub fn validate(&self) -> Result<(), Violation> {
        let mut told = Ok(());
        with_idle_parts(|held| told = told.and_then(|()| held.validate()));
        told
    }
}

/// A core that is at rest, held for a moment.
struct AtRest(Held);

impl Drop for AtRest {
    fn drop(&mut self) {
        self.0.rest();
    }
}

/// Does `work` with all parts of the heap that no other thread has: the one of this thread, and
/// every core that nobody holds.
fn with_idle_parts(mut work: impl FnMut(&Held)) {
    let Some((ground, common)) = foundations() else { return };
    if let Some(visit) = Visit::begin_or_enter() {
        // Blocks of the parts that come below.
        visit.held().flush_all();
        visit.held().send_gathered();
        work(&visit.held());
    }
    let of_heap = ground.cores().filter(|core| core.root() == common.root());
    for core in of_heap.filter(|core| core.try_lock()) {
        // It may have left the heap meanwhile.
        if core.root() != common.root() {
            core.unlock();
            continue;
        }
        // SAFETY: (1) the lock says so.
        let held = AtRest(unsafe { Held::new(ground, core) });
        work(&held.0);
    }
}

/// A block from the cache of this thread, if there is one.
#[inline(always)]
fn cached(layout: Layout) -> Option<NonNull<u8>> {
    cached_of(Class::of_aligned(layout.size(), layout.align())?)
}

#[inline(always)]
pub(super) fn cached_of(class: Class) -> Option<NonNull<u8>> {
    let visit = Visit::begin()?;
    visit.core.own.pop(class)
}

#[cold]
#[inline(never)]
fn allocate_c_slowly(size: usize) -> Option<NonNull<u8>> {
    let align = if size <= C_ALIGN / 2 { C_ALIGN / 2 } else { C_ALIGN };
    allocate_slowly(Layout::from_size_align(size, align).ok()?).ok()
}

/// A block for a layout, without the reason if there is none.
#[inline(always)]
pub(crate) fn allocate_or_none(layout: Layout) -> Option<NonNull<u8>> {
    match cached(layout) {
        None => allocate_slowly_or_none(layout.size(), layout.align()),
        block => block,
    }
}

#[cold]
#[inline(never)]
fn allocate_slowly_or_none(size: usize, align: usize) -> Option<NonNull<u8>> {
    allocate_slowly(Layout::from_size_align(size, align).ok()?).ok()
}

#[cold]
#[inline(never)]
fn allocate_slowly(layout: Layout) -> Result<NonNull<u8>, Error> {
    match Visit::begin_or_enter() {
        Some(visit) => visit.held().allocate_layout(layout),
        None => common()?.allocate(layout),
    }
}

/// Puts a block into the cache of this thread; false if it does not belong there, or there is no
/// room. It may be any address.
#[inline(always)]
pub(super) fn is_cached(block: *mut u8) -> bool {
    let Some(visit) = Visit::begin() else { return false };
    let Some(slab) = visit.held().ground.slab_at(block) else { return false };
    let head = slab.head();
    head.is_common() && visit.core.own.push(head.class_or_none(), block)
}

/// The same for a block whose layout is known.
#[inline(always)]
fn is_cached_as(block: *mut u8, layout: Layout) -> bool {
    let Some(class) = Class::of_aligned(layout.size(), layout.align()) else { return false };
    let Some(visit) = Visit::begin() else { return false };
    let Some(slab) = visit.held().ground.slab_at(block) else { return false };
    let head = slab.head();
    let is_ours = head.is_common() || head.owner() == visit.core.mark();
    is_ours && visit.core.own.push(class, block)
}

#[cold]
#[inline(never)]
fn release_slowly(block: *mut u8) {
    let Some(block) = NonNull::new(block) else { return };
    // A thread that only frees needs no core: it may be in its very last moments.
    if let Some(visit) = Visit::begin() {
        visit.held().release(block);
        return;
    }
    match foundations() {
        Some((ground, common)) => send_one(ground, common.root(), block),
        None => broken(Finding::Foreign, block),
    }
}

impl Held {
    /// Takes back a block of any core of the process's heap.
    fn release(&self, block: NonNull<u8>) {
        let place = Place::of_given(self.ground, block);
        match place.slab.head() {
            head if head.owner() == self.core.mark() => self.free_at(place, block),
            head if head.is_common() => self.free(head.class_or_none(), block),
            _ => self.gather(place, block),
        }
    }

    /// Makes a block longer or shorter where it is; false if it has to move. Another core's block
    /// stays if it is long enough and not too long: nothing is written for that.
    pub(super) fn resize_own(&self, block: NonNull<u8>, new: Layout) -> Result<bool, Error> {
        let place = Place::of_given(self.ground, block);
        let head = place.slab.head();
        if head.owner() == self.core.mark() {
            return self.resize(place, new);
        }
        Ok(head.is_common() && head.class() == Class::of_aligned(new.size(), new.align()))
    }
}
