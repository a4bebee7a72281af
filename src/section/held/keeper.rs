//! Floor 4, uses floors 0 to 3. The thread that keeps the leases of all views of this process.
//!
//! It is started with the first lease, and ends with the process. It asks each lease some hundred
//! times in a second whether somebody waits, which takes the kernel 0.2 us; without leases it
//! sleeps. The kernel would also send a signal, but which one a program has no use for nobody can
//! know, and a thread that waits for one takes those that were meant for the program, too.
//!
//! The registry is a chain through the entries of all views, so that it needs no memory.

use super::lease::Entry;
use crate::ds::text::Text;
use crate::error::{Error, ErrorKind, Op};
use crate::sys;
use core::cell::UnsafeCell;
use core::fmt;
use core::ptr::null;
use core::time::Duration;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

/// Between two rounds.
const PERIOD: Duration = Duration::from_millis(10);
/// A round that takes long is followed by a rest of so many times that.
const REST: u32 = 50;
/// The keeper calls a few functions, and reads into memory that is not its stack.
const STACK_LEN: usize = 128 << 10;

struct Registry {
    /// The entries, each with a link to the next.
    first: *const Entry,
    keeper: Keeper,
    follows_forks: bool,
}

#[derive(Clone, Copy)]
enum Keeper {
    NotThere,
    Starting,
    /// The thread's number.
    Runs(u32),
}

// SAFETY: entries are shared between threads, and live as long as they are in the chain.
unsafe impl Send for Registry {}

static REGISTRY: Mutex<Registry> =
    Mutex::new(Registry { first: null(), keeper: Keeper::NotThere, follows_forks: false });
/// The keeper runs; an entry has come, or was moved.
static CHANGED: Condvar = Condvar::new();

/// Nobody panics with the lock held; and if so the chain would still be one.
fn lock() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait(registry: MutexGuard<'static, Registry>) -> MutexGuard<'static, Registry> {
    CHANGED.wait(registry).unwrap_or_else(PoisonError::into_inner)
}

/// Starts the keeper if it does not run, and tells its number.
pub(super) fn start() -> Result<u32, Error> {
    let mut registry = lock();
    loop {
        match registry.keeper {
            Keeper::Runs(thread) => return Ok(thread),
            Keeper::Starting => registry = wait(registry),
            Keeper::NotThere => registry.start()?,
        }
    }
}

/// How long the system lets others wait for a lease.
pub(super) fn break_time() -> Duration {
    static SECS: OnceLock<u32> = OnceLock::new();
    Duration::from_secs(u64::from(*SECS.get_or_init(sys::lease_break_secs)))
}

/// Puts an entry into the keeper's care.
pub(super) fn add(entry: &'static Entry) {
    let mut registry = lock();
    if registry.first.is_null() {
        CHANGED.notify_all(); // the keeper sleeps
    }
    entry.next.set(registry.first);
    // SAFETY: entries in the chain live.
    if let Some(first) = unsafe { registry.first.as_ref() } {
        first.previous.set(entry);
    }
    registry.first = entry;
}

/// Takes an entry out of the keeper's care, as soon as `leave` says in which stage it is left.
pub(super) fn remove(entry: &'static Entry, leave: impl Fn() -> Option<u8>) -> u8 {
    let mut registry = lock();
    loop {
        if let Some(stage) = leave() {
            registry.unlink(entry);
            return stage;
        }
        registry = wait(registry);
    }
}

/// Runs `look` while no entry changes its stage from Held.
pub(super) fn with_lock<T>(look: impl FnOnce() -> T) -> T {
    let _registry = lock();
    look()
}

/// Words for standard error.
pub(super) fn warn(words: fmt::Arguments<'_>) {
    sys::write_error(Text::of(words).as_bytes());
}

impl Registry {
    fn start(&mut self) -> Result<(), Error> {
        let failed = |code| Error::new(Op::Hold, ErrorKind::NoMemory, 0, 0, code);
        if !self.follows_forks {
            // SAFETY: (1) see `after_fork_in_child`.
            unsafe { sys::follow_forks(before_fork, after_fork, after_fork_in_child) }
                .map_err(|errno| errno.of(Op::Hold, 0, 0))?;
            self.follows_forks = true;
        }
        let thread = std::thread::Builder::new().name("granule leases".into());
        // A signal that the thread took before it has its mask could be the program's.
        let spawn = || thread.stack_size(STACK_LEN).spawn(keep);
        sys::without_signals(spawn).map_err(|error| failed(error.raw_os_error().unwrap_or(0)))?;
        self.keeper = Keeper::Starting;
        Ok(())
    }

    fn entries(&self) -> impl Iterator<Item = &'static Entry> {
        let mut next = self.first;
        core::iter::from_fn(move || {
            // SAFETY: entries in the chain live.
            let entry = unsafe { next.as_ref() }?;
            next = entry.next.get();
            Some(entry)
        })
    }

    /// One whose time has come, and since when somebody waits for it.
    fn due(&self, now: Instant) -> Option<(&'static Entry, Instant)> {
        self.entries().find_map(|entry| entry.is_due(now).map(|since| (entry, since)))
    }

    /// Does nothing for an entry that is not in the chain.
    fn unlink(&mut self, entry: &'static Entry) {
        let (previous, next) = (entry.previous.replace(null()), entry.next.replace(null()));
        // SAFETY: entries in the chain live.
        if let Some(next) = unsafe { next.as_ref() } {
            next.previous.set(previous);
        }
        // SAFETY: as above.
        match unsafe { previous.as_ref() } {
            Some(previous) => previous.next.set(next),
            None if core::ptr::eq(self.first, entry) => self.first = next,
            None => {}
        }
    }
}

/// The keeper's life.
fn keep() {
    sys::mask_of_keeper();
    let mut registry = lock();
    registry.keeper = Keeper::Runs(sys::thread_id());
    CHANGED.notify_all();
    let mut looked = Instant::now();
    loop {
        if registry.first.is_null() {
            registry = wait(registry);
            continue;
        }
        let begin = Instant::now();
        // All of them, before the first is moved: each has its time from when it was seen.
        registry.entries().for_each(|entry| entry.look(looked));
        looked = begin;
        let took = begin.elapsed();
        while let Some((entry, since)) = registry.due(begin) {
            registry = move_away(registry, entry, since);
        }
        let waited = CHANGED.wait_timeout(registry, PERIOD.max(took * REST));
        registry = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// Has a view moved, with the registry unlocked meanwhile.
fn move_away(
    registry: MutexGuard<'static, Registry>,
    entry: &'static Entry,
    since: Instant,
) -> MutexGuard<'static, Registry> {
    entry.begin();
    drop(registry);
    // What is not done by then the kernel does not wait for.
    entry.make_private(since + break_time() * 7 / 8);
    let mut registry = lock();
    registry.unlink(entry);
    entry.end();
    // Whoever drops the view waits for this.
    CHANGED.notify_all();
    registry
}

/// The guard of the registry, from before a fork until after it.
struct AcrossFork(UnsafeCell<Option<MutexGuard<'static, Registry>>>);

// SAFETY: written and read by the thread that forks, which holds the lock.
unsafe impl Sync for AcrossFork {}

static ACROSS_FORK: AcrossFork = AcrossFork(UnsafeCell::new(None));

impl AcrossFork {
    fn put(&self, guard: MutexGuard<'static, Registry>) {
        // SAFETY: this thread holds the lock, so nobody else is here.
        unsafe { self.0.get().write(Some(guard)) }
    }

    fn take(&self) -> Option<MutexGuard<'static, Registry>> {
        // SAFETY: as above: the guard in it is this thread's.
        unsafe { self.0.get().replace(None) }
    }
}

unsafe extern "C" fn before_fork() {
    ACROSS_FORK.put(lock());
}

unsafe extern "C" fn after_fork() {
    drop(ACROSS_FORK.take());
}

/// The leases are the parent's, and the keeper is not here.
unsafe extern "C" fn after_fork_in_child() {
    let Some(mut registry) = ACROSS_FORK.take() else { return };
    registry.entries().for_each(Entry::orphan);
    registry.first = null();
    registry.keeper = Keeper::NotThere;
}
