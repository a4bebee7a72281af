//! Floor 4, uses floors 0 to 3. A range of memory that is committed where it is touched.
//!
//! ```text
//!   page   0    1    2    3    4    5    6    7    8
//!          |    |    |####|####|    |    |    |####|      #: committed, because it was touched
//!                      ^ a touch commits the chunk of the page that it was made to
//! ```
//! The notes' dynamic array does this with `__try` and `__except`: its filter commits the *next*
//! page, whichever was touched, and so loops when the array is not filled from its beginning.
//! Here it is the page of the fault.

mod report;
mod state;

use crate::error::{Error, ErrorKind, Op};
use crate::fault::Watch;
use crate::vm::nodes;
use crate::vm::{self, Access, CommitPolicy, Name, Protection, Reservation};
use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::Range;
pub(super) use report::Words;
use state::{Setup, Shared, commit_missing, provide};

/// Bytes that are committed at a touch, unless the builder says otherwise: the price of a fault,
/// some microseconds, is shared by 16 pages.
pub const CHUNK_LEN: usize = 64 << 10;

/// The longest region for which [`Engine::Guard`] is chosen by itself: each GiB of guard markers
/// takes 2 MiB of the kernel's page tables, and some 10 ms to make.
const GUARD_LEN_MAX: usize = 1 << 30;

/// Who commits what is touched.
///
/// ```
/// use granule::array::{Engine, FaultRegion};
/// let region = FaultRegion::builder().len(1 << 30).engine(Engine::Mprotect).make()?;
/// assert_eq!(region.engine(), Engine::Mprotect);
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// The system does, page by page: everything is committed from the beginning, lazily where the
    /// system can do that. No fault reaches us, system calls can be given the memory, and there is
    /// no limit and no callback. Where a commit is a promise (Windows), all of it is charged at
    /// once.
    Demand,
    /// We do. All is committed, lazily, and lies behind guards; a touch takes those of its chunk
    /// away. With guard markers no mapping is split, whatever the order of the touches.
    Guard,
    /// We do. All is reserved; a touch commits its chunk, which can be refused. Chunks that are not
    /// neighbours are mappings of their own: at most some 30,000 on Linux (`vm.max_map_count`).
    Mprotect,
}

/// A touch that wants memory, as the callback of a [`FaultRegion`] is told.
///
/// See [`FaultBuilder::on_touch`] for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Touch {
    /// The first byte that could not be touched, counted from the start of the region.
    pub offset: usize,
    /// What the instruction wanted; `None` where the processor does not say, and for
    /// [`prepare_for_io`](FaultRegion::prepare_for_io).
    pub access: Option<Access>,
    /// Pages that are committed now.
    pub committed: usize,
    /// Pages that would be committed; 0 if the limit is reached.
    pub wanted: usize,
}

/// What the callback says about a [`Touch`].
///
/// See [`FaultBuilder::on_touch`] for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Commit, unless the limit is reached.
    Commit,
    /// Do not: the access ends the process.
    Refuse,
}

/// What a [`FaultRegion`] is to be.
///
/// ```
/// use granule::array::{Engine, FaultRegion};
/// let builder = FaultRegion::builder().len(1 << 40).chunk_len(4096).pages_max(5);
/// let region = builder.make()?;
/// assert_ne!(region.engine(), Engine::Demand, "a limit needs somebody who counts");
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is reserved before `make`"]
pub struct FaultBuilder {
    len: usize,
    engine: Option<Engine>,
    chunk_len: usize,
    pages_max: usize,
    on_touch: Option<fn(&Touch) -> Decision>,
    name: Option<Name>,
    words: Words,
}

impl FaultBuilder {
    /// How many bytes; rounded up to whole pages. Required.
    pub const fn len(mut self, len: usize) -> Self {
        self.len = len;
        self
    }

    /// Who commits. Chosen by default: [`Engine::Demand`] where the system commits lazily; with a
    /// limit or a callback, and on Windows, [`Engine::Guard`] for up to 1 GiB if there are guard
    /// markers, else [`Engine::Mprotect`]. So too where the system refuses memory to the first.
    pub const fn engine(mut self, engine: Engine) -> Self {
        self.engine = Some(engine);
        self
    }

    /// Bytes that a touch commits, the touched one among them: rounded up to whole pages, 64 KiB by
    /// default. [`Engine::Demand`] does not ask.
    pub const fn chunk_len(mut self, len: usize) -> Self {
        self.chunk_len = len;
        self
    }

    /// The most pages that may be committed, the notes' `MAX_PAGE`. Unlimited by default.
    pub const fn pages_max(mut self, pages: usize) -> Self {
        self.pages_max = pages;
        self
    }

    /// Asked before each commit, and when the limit is reached. It runs inside the fault: it must
    /// not touch the region, wait for a lock that code which touches it could hold, or unwind.
    /// Where it may allocate or print, only the program can know: wherever the touch was made.
    ///
    /// ```
    /// use granule::array::{Decision, FaultRegion, Touch};
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// static TOUCHES: AtomicUsize = AtomicUsize::new(0);
    /// fn count(touch: &Touch) -> Decision {
    ///     TOUCHES.fetch_add(1, Ordering::Relaxed);
    ///     if touch.committed < 100 { Decision::Commit } else { Decision::Refuse }
    /// }
    /// let region = FaultRegion::builder().len(1 << 20).chunk_len(1).on_touch(count).make()?;
    /// // SAFETY: inside the region, and nobody else's.
    /// unsafe { region.as_ptr().add(50_000).write(1) };
    /// assert_eq!((TOUCHES.load(Ordering::Relaxed), region.committed_pages()?), (1, 1));
    /// # Ok::<(), granule::Error>(())
    /// ```
    pub const fn on_touch(mut self, decide: fn(&Touch) -> Decision) -> Self {
        self.on_touch = Some(decide);
        self
    }

    /// What [`vm::Region::name`] and the report of a refusal say.
    pub const fn name(mut self, name: Name) -> Self {
        self.name = Some(name);
        self
    }

    /// In what words a refusal is reported.
    pub(super) const fn words(mut self, words: Words) -> Self {
        self.words = words;
        self
    }

    /// Reserves the region and watches it.
    ///
    /// Linux: mmap; for Demand and Guard mprotect, for Guard madvise(MADV_GUARD_INSTALL); and the
    /// calls of [`Watch::new`]. Windows: `VirtualAlloc`; for Demand with `MEM_COMMIT`.
    ///
    /// # Errors
    /// - `OutOfRange`: the length, the chunk or the limit is 0, or longer than addresses go.
    /// - `NoAddressSpace`, `NoMemory`, `TooManyMappings`, `Denied`: the system refused.
    /// - `Unsupported`: Demand with a limit or a callback.
    pub fn make(self) -> Result<FaultRegion, Error> {
        let refused = |kind| Error::new(Op::Reserve, kind, 0, self.len, 0);
        let page = nodes::page().ok_or(refused(ErrorKind::Unsupported))?;
        let chunk_len = page.round_up(self.chunk_len);
        let chunk_len = chunk_len.filter(|&len| len != 0).ok_or(refused(ErrorKind::OutOfRange))?;
        if self.pages_max == 0 {
            return Err(refused(ErrorKind::OutOfRange));
        }
        let is_asked = self.on_touch.is_some() || self.pages_max != usize::MAX;
        let engine = self.engine.unwrap_or_else(|| self.usual_engine(is_asked));
        if engine == Engine::Demand && is_asked {
            return Err(refused(ErrorKind::Unsupported));
        }
        let as_a_whole = |error: Error| error.as_part_of(Op::Reserve);
        let (engine, memory) = match self.reserve(engine) {
            // Where no memory is promised lazily, not all of it can be promised.
            Err(error) if self.engine.is_none() && error.kind() == ErrorKind::NoMemory => {
                (Engine::Mprotect, self.reserve(Engine::Mprotect).map_err(as_a_whole)?)
            }
            reserved => (engine, reserved.map_err(as_a_whole)?),
        };
        let range = memory.base()..memory.base() + memory.len();
        let setup = Setup {
            memory,
            engine,
            page_len: page.bytes(),
            chunk_len,
            pages_max: self.pages_max,
            on_touch: self.on_touch,
            words: self.words,
        };
        let shared = Shared::take(setup)?;
        let watch = match engine {
            Engine::Demand => None,
            // SAFETY: (1) `state` allocates nothing, takes no lock that anybody waits for, and does
            // not unwind; (2) it says Resume when the page is committed; (3) the range is new. The
            // shared state lives until the watch has ended, in `drop`.
            Engine::Guard | Engine::Mprotect => match unsafe { shared.watch(range) } {
                Ok(watch) => Some(watch),
                Err(error) => {
                    drop(shared.give_back());
                    return Err(as_a_whole(error));
                }
            },
        };
        Ok(FaultRegion { shared, watch: ManuallyDrop::new(watch) })
    }

    fn usual_engine(&self, is_asked: bool) -> Engine {
        if !is_asked && vm::COMMITS_LAZILY {
            Engine::Demand
        } else if vm::has_markers() && self.len <= GUARD_LEN_MAX {
            Engine::Guard
        } else {
            Engine::Mprotect
        }
    }

    fn reserve(&self, engine: Engine) -> Result<Reservation, Error> {
        let builder = Reservation::builder().len(self.len);
        let builder = match self.name {
            Some(name) => builder.name(name),
            None => builder,
        };
        if engine == Engine::Mprotect {
            return builder.reserve();
        }
        let memory = builder.policy(CommitPolicy::Lazy).reserve()?;
        memory.commit(0..memory.len(), Protection::ReadWrite)?;
        if engine == Engine::Guard {
            memory.guard(0..memory.len())?;
        }
        Ok(memory)
    }
}

/// A range of memory that is committed where it is touched, a chunk at a time.
///
/// It gives out a raw pointer; [`FaultVec`](super::FaultVec) is the same with elements.
///
/// ```
/// use granule::array::FaultRegion;
/// let region = FaultRegion::new(1 << 40)?; // a terabyte of addresses
/// // SAFETY: inside the region, and nobody else's.
/// unsafe { region.as_ptr().add(123_456_789_012).write(7) };
/// assert!(region.committed_pages()? <= 16);
/// # Ok::<(), granule::Error>(())
/// ```
///
/// # System calls do not fault
/// The system's own accesses call no handler. With [`Engine::Guard`] and [`Engine::Mprotect`] a
/// `read` into pages that nobody has touched fails with `EFAULT`, or stops short; `ReadFile` on
/// Windows fails with 998, `ERROR_NOACCESS`. Call
/// [`prepare_for_io`](Self::prepare_for_io) first. [`Engine::Demand`] has no such gap.
///
/// # When the answer is no
/// A touch beyond the limit, one that the callback refuses, and one for which the system has no
/// memory cannot be undone: the region says on standard error which byte of which region was
/// touched and why it was refused, and the fault goes on to whoever was there before, which usually
/// ends the process.
///
/// # Threads, signals, fork
/// Any threads may touch it at the same time. The child of a fork has a copy.
pub struct FaultRegion {
    shared: &'static Shared,
    watch: ManuallyDrop<Option<Watch>>,
}

// SAFETY: it owns its shared state, whose fields that change are atomic; the rest is written before
// anybody else knows it. It gives out raw pointers only.
unsafe impl Send for FaultRegion {}
// SAFETY: as above.
unsafe impl Sync for FaultRegion {}

impl FaultRegion {
    /// A region of `len` bytes, rounded up to whole pages, with everything as
    /// [`builder`](Self::builder) has it by default.
    ///
    /// # Errors
    /// As for [`FaultBuilder::make`].
    pub fn new(len: usize) -> Result<Self, Error> {
        Self::builder().len(len).make()
    }

    /// A region with wishes: engine, chunk, limit, callback, name.
    pub const fn builder() -> FaultBuilder {
        FaultBuilder {
            len: 0,
            engine: None,
            chunk_len: CHUNK_LEN,
            pages_max: usize::MAX,
            on_touch: None,
            name: None,
            words: Words::BYTES,
        }
    }

    fn setup(&self) -> &Setup {
        // SAFETY: the state was filled by `take`, and is given back by `drop` alone.
        unsafe { self.shared.setup() }
    }

    /// The first byte. All of the region may be touched.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.setup().memory.as_ptr()
    }

    /// The address of the first byte.
    #[must_use]
    pub fn base(&self) -> usize {
        self.setup().memory.base()
    }

    /// Bytes in the region: whole pages.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a region is never empty")]
    pub fn len(&self) -> usize {
        self.setup().memory.len()
    }

    /// Who commits.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.setup().engine
    }

    pub(super) fn page_len(&self) -> usize {
        self.setup().page_len
    }

    /// Whether byte `offset` is committed, and how far the same is true.
    pub(super) fn run_at(&self, offset: usize) -> Result<(bool, usize), Error> {
        let run = self.setup().memory.query(offset)?;
        // A run is told of from the page of the byte on.
        Ok((run.state == vm::State::Committed, run.base + run.len - self.base()))
    }

    /// Bytes that a touch commits.
    #[must_use]
    pub fn chunk_len(&self) -> usize {
        self.setup().chunk_len
    }

    /// The pages that are committed: those that were touched, and what a chunk brought along.
    ///
    /// [`Engine::Demand`]: the system is asked which were touched. Linux: ioctl(PAGEMAP_SCAN), or
    /// mincore before 6.7. Elsewhere all are committed.
    ///
    /// # Errors
    /// Those of the system's answer, with Demand only.
    pub fn committed_pages(&self) -> Result<usize, Error> {
        match self.engine() {
            Engine::Demand => self.setup().memory.touched_pages(),
            Engine::Guard | Engine::Mprotect => Ok(self.shared.committed()),
        }
    }

    /// Commits every page of `range`, in bytes from the start, so that system calls can be given
    /// it. [`Engine::Demand`]: nothing has to be done, unless a [`reset`](Self::reset) was refused.
    ///
    /// # Errors
    /// - `OutOfRange`: the range is empty, inverted or leaves the region.
    /// - `NoMemory`: the limit is reached, or the callback or the system has refused. A part of the
    ///   range may be committed.
    /// - `TooManyMappings`: see [`Engine::Mprotect`].
    pub fn prepare_for_io(&self, range: Range<usize>) -> Result<(), Error> {
        let setup = self.setup();
        let Range { start, end } = range;
        if start >= end || end > setup.memory.len() {
            let len = end.saturating_sub(start);
            let addr = self.base().wrapping_add(start);
            return Err(Error::new(Op::Commit, ErrorKind::OutOfRange, addr, len, 0));
        }
        if setup.engine == Engine::Demand {
            let start = start - start % setup.page_len;
            return commit_missing(&setup.memory, start..end);
        }
        let mut offset = start;
        while offset < end {
            offset = provide(self.shared, setup, offset, None)?;
        }
        Ok(())
    }

    /// Gives the memory of whole pages inside `range` back: they read zero, and are committed again
    /// when they are touched. Bytes of the range in pages that it has only a part of are left
    /// alone.
    ///
    /// # Errors
    /// - `OutOfRange`: the range is inverted or leaves the region.
    /// - `TooManyMappings`, `NoMemory`, `Denied`: the system refused; content may be lost. With
    ///   [`Engine::Demand`] pages of the range may be gone, and a touch of them ends the process,
    ///   until [`prepare_for_io`](Self::prepare_for_io) has got them back.
    pub fn reset(&mut self, range: Range<usize>) -> Result<(), Error> {
        let setup = self.setup();
        let Range { start, end } = range;
        if start > end || end > setup.memory.len() {
            let addr = self.base().wrapping_add(start);
            let len = end.saturating_sub(start);
            return Err(Error::new(Op::Decommit, ErrorKind::OutOfRange, addr, len, 0));
        }
        let start = start.next_multiple_of(setup.page_len);
        let end = end - end % setup.page_len;
        if start >= end {
            return Ok(());
        }
        self.shared.reset(setup, start..end)
    }
}

impl Drop for FaultRegion {
    fn drop(&mut self) {
        // SAFETY: this is the drop, and nobody uses the field after it.
        drop(unsafe { ManuallyDrop::take(&mut self.watch) });
        // No handler runs any more.
        drop(self.shared.give_back());
    }
}

impl fmt::Debug for FaultRegion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setup = self.setup();
        out.debug_struct("FaultRegion")
            .field("base", &setup.memory.as_ptr())
            .field("len", &setup.memory.len())
            .field("engine", &setup.engine)
            .field("chunk_len", &setup.chunk_len)
            .field("committed_pages", &self.committed_pages().ok())
            .finish_non_exhaustive()
    }
}
