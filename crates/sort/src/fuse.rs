//! What happens when somebody makes the file shorter under the sort: nobody dies of it, and what is
//! left of the file is as after a kill at that moment, with everything held by the journal.
//!
//! ```text
//!   Whole --a lost page is touched--> Freezing --both maps are copies--> Frozen --thaw--> Live
//!     |                                                                                    ^
//!     +--------------------------------- thaw ---------------------------------------------+
//! ```
//! A touch behind the new end of the file is a SIGBUS on the thread that works there. The fault
//! layer of granule hands it to [`State::fault`], which makes both maps, of the file and of the
//! journal, read-only: first the threads cannot write any more, each at an instruction of its own,
//! which is what a kill does to them. Then it lays private copies over both maps, and zeros over
//! what is lost; and the threads go on, in copies that are nobody's, until they look at the
//! [`Watch`](crate::watch::Watch), and stop. Thawed, the maps show the files again, and the journal
//! is put back as recovery does.
//!
//! While the journal is put back, here or by the guardian, pages that are lost then are replaced by
//! zeros, one by one: what is written there is lost, and the rest arrives.

#[cfg(target_os = "linux")]
pub(crate) use linux::Fuse;
#[cfg(not(target_os = "linux"))]
pub(crate) use none::Fuse;

#[cfg(not(target_os = "linux"))]
mod none {
    use crate::journal::Journal;
    use std::fs::File;
    use std::io;

    /// There is none: Windows refuses to shorten a file that is mapped. On other systems the sort
    /// dies of it, and recovery is left to the next one.
    pub(crate) struct Fuse;

    impl Fuse {
        pub(crate) fn new(_: &mut [u8], _: &File) -> Result<Self, granule::Error> {
            Ok(Fuse)
        }

        pub(crate) fn arm(&self) {}

        pub(crate) fn add_journal(&mut self, _: &mut Journal) -> Result<(), granule::Error> {
            Ok(())
        }

        pub(crate) fn is_blown(&self) -> bool {
            false
        }

        pub(crate) fn thaw(&self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::journal::Journal;
    use core::mem::MaybeUninit;
    use core::ops::Range;
    use core::ptr::{NonNull, with_exposed_provenance_mut};
    use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicUsize, Ordering};
    use granule::fault::{Cause, Fault, Handler, Outcome, Watch};
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd;

    /// The maps show the files, and the next lost page is the last.
    const WHOLE: u8 = 0;
    const FREEZING: u8 = 1;
    /// The maps are copies.
    const FROZEN: u8 = 2;
    /// The maps show the files, and lost pages are replaced.
    const LIVE: u8 = 3;
    /// The system has refused a call: the fault is whose it was.
    const BROKEN: u8 = 4;

    const RIGHTS: i32 = libc::PROT_READ | libc::PROT_WRITE;

    /// A map and its file. The addresses are whole pages; no map, no addresses.
    #[derive(Default)]
    struct Map {
        start: AtomicUsize,
        len: AtomicUsize,
        file: AtomicI32,
    }

    impl Map {
        /// Says what it is, and where.
        fn set(&self, bytes: &mut [u8], file: &File) -> Range<usize> {
            let start = bytes.as_mut_ptr().expose_provenance();
            let len = bytes.len().next_multiple_of(granule::vm::info().page_len);
            self.start.store(start, Ordering::Relaxed);
            self.file.store(file.as_raw_fd(), Ordering::Relaxed);
            self.len.store(len, Ordering::Release);
            start..start + len
        }

        fn pages(&self) -> Range<usize> {
            let len = self.len.load(Ordering::Acquire);
            let start = self.start.load(Ordering::Relaxed);
            start..start + len
        }

        /// Threads that write to it fault from now on. Call: mprotect.
        fn stop_writes(&self) -> bool {
            let Range { start, end } = self.pages();
            // SAFETY: pages of our own; who writes to them waits in the handler.
            start == end || unsafe { libc::mprotect(at(start), end - start, libc::PROT_READ) } == 0
        }

        /// Lays what the file has now over the map, to be shared or as a copy, and zeros over the
        /// rest. Calls: fstat, mmap twice.
        fn lay(&self, sharing: i32) -> bool {
            let Range { start, end } = self.pages();
            let file = self.file.load(Ordering::Relaxed);
            let page_len = granule::vm::info().page_len;
            let Some(file_len) = len_of(file) else { return start == end };
            let border = start + (end - start).min(file_len.next_multiple_of(page_len));
            let none = libc::MAP_ANONYMOUS | libc::MAP_PRIVATE;
            map_over(start..border, sharing, file) && map_over(border..end, none, -1)
        }
    }

    fn at(addr: usize) -> *mut libc::c_void {
        with_exposed_provenance_mut(addr)
    }

    fn len_of(file: i32) -> Option<usize> {
        let mut status = MaybeUninit::<libc::stat>::zeroed();
        // SAFETY: the structure lives through the call.
        let failed = unsafe { libc::fstat(file, status.as_mut_ptr()) } != 0;
        // SAFETY: zeroed, and filled if the call did not fail; its fields are numbers.
        let status = unsafe { status.assume_init() };
        if failed { None } else { usize::try_from(status.st_size).ok() }
    }

    /// Maps the beginning of a file, or zeros, over pages of a map of ours.
    fn map_over(pages: Range<usize>, sharing: i32, file: i32) -> bool {
        let flags = sharing | libc::MAP_FIXED | libc::MAP_NORESERVE;
        pages.is_empty()
            // SAFETY: only maps that the fuse was given are replaced, and by what their users are
            // told of: see the module.
            || unsafe { libc::mmap(at(pages.start), pages.len(), RIGHTS, flags, file, 0) }
                != libc::MAP_FAILED
    }

    /// What the handler works with. It lies in a box, and does not move.
    struct State {
        stage: AtomicU8,
        is_blown: AtomicBool,
        data: Map,
        journal: Map,
        page_len: usize,
    }

    impl State {
        /// See the module. False if the system does not do it.
        fn freeze(&self) -> bool {
            // Both, before one of them is a copy: a store to a copy must not be followed by one to
            // a file.
            self.data.stop_writes()
                && self.journal.stop_writes()
                && self.data.lay(libc::MAP_PRIVATE)
                && self.journal.lay(libc::MAP_PRIVATE)
        }

        fn begins(&self) -> bool {
            let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
            self.stage.compare_exchange(WHOLE, FREEZING, done, failed).is_ok()
        }

        fn blow(&self) {
            self.is_blown.store(true, Ordering::Release);
            let stage = if self.freeze() { FROZEN } else { BROKEN };
            self.stage.store(stage, Ordering::Release);
        }

        /// Zeros instead of a lost page.
        fn replace(&self, addr: usize) -> Outcome {
            self.is_blown.store(true, Ordering::Release);
            let page = addr - addr % self.page_len;
            let none = libc::MAP_ANONYMOUS | libc::MAP_PRIVATE;
            let done = map_over(page..page + self.page_len, none, -1);
            if done { Outcome::Resume } else { Outcome::NotMine }
        }
    }

    impl Handler for State {
        fn fault(&self, fault: &Fault) -> Outcome {
            let is_loss = fault.cause() == Some(Cause::Page);
            loop {
                match self.stage.load(Ordering::Acquire) {
                    WHOLE if is_loss => {
                        if self.begins() {
                            self.blow();
                        }
                    }
                    // SAFETY: takes nothing and touches nothing.
                    FREEZING => drop(unsafe { libc::sched_yield() }),
                    FROZEN | LIVE if is_loss => return self.replace(fault.addr()),
                    // It was read-only for a moment.
                    FROZEN if !fault.is_fetch() => return Outcome::Resume,
                    _ => return Outcome::NotMine,
                }
            }
        }
    }

    /// Stands by while a file is sorted.
    pub(crate) struct Fuse {
        /// These end before the state goes.
        watches: Vec<Watch>,
        state: NonNull<State>,
    }

    // SAFETY: the state is made of atomics, and watches may be ended by any thread.
    unsafe impl Send for Fuse {}
    // SAFETY: as above.
    unsafe impl Sync for Fuse {}

    impl Fuse {
        /// One for the whole map of a file. It is live.
        pub(crate) fn new(data: &mut [u8], file: &File) -> Result<Self, granule::Error> {
            let state = Box::new(State {
                stage: AtomicU8::new(LIVE),
                is_blown: AtomicBool::new(false),
                data: Map::default(),
                journal: Map::default(),
                page_len: granule::vm::info().page_len,
            });
            let state = NonNull::from(Box::leak(state)); // `drop` has it back
            let mut fuse = Fuse { watches: Vec::new(), state };
            let pages = fuse.state().data.set(data, file);
            fuse.watch(pages)?;
            Ok(fuse)
        }

        /// From now on the first lost page freezes all.
        pub(crate) fn arm(&self) {
            self.state().stage.store(WHOLE, Ordering::Release);
        }

        /// The journal that belongs to the file: they freeze together.
        pub(crate) fn add_journal(&mut self, journal: &mut Journal) -> Result<(), granule::Error> {
            let (bytes, file) = journal.bytes();
            let pages = self.state().journal.set(bytes, file);
            self.watch(pages)
        }

        fn watch(&mut self, pages: Range<usize>) -> Result<(), granule::Error> {
            if !pages.is_empty() {
                let state = self.state();
                // SAFETY: (1) the handler makes bare calls and atomic accesses only, and waits for
                // such; (2) there is a page then, with all rights; (3) the map is ours alone.
                self.watches.push(unsafe { Watch::new(pages, state) }?);
            }
            Ok(())
        }

        fn state(&self) -> &'static State {
            // SAFETY: it lives until `drop`, and whoever uses it does not outlive the fuse: the
            // watches end before it.
            unsafe { self.state.as_ref() }
        }

        /// True if a page was lost: what was read since may be zeros.
        pub(crate) fn is_blown(&self) -> bool {
            self.state().is_blown.load(Ordering::Acquire)
        }

        /// The maps show the files again. The threads of the sort have ended.
        ///
        /// # Errors
        /// The system refuses a map: what is there now is nobody's, and the journal must stay.
        pub(crate) fn thaw(&self) -> io::Result<()> {
            let state = self.state();
            if state.stage.load(Ordering::Acquire) == FROZEN {
                let shared = libc::MAP_SHARED;
                if !state.journal.lay(shared) || !state.data.lay(shared) {
                    return Err(io::Error::last_os_error());
                }
            }
            state.stage.store(LIVE, Ordering::Release);
            Ok(())
        }
    }

    impl Drop for Fuse {
        fn drop(&mut self) {
            self.watches.clear();
            // SAFETY: leaked by `new`; the handlers have ended with the watches.
            drop(unsafe { Box::from_raw(self.state.as_ptr()) });
        }
    }
}
