//! Floor 4. The stomp finder: an allocator that makes an overflow or a use after free fault at the
//! guilty instruction, and tells what happened.
//!
//! ```text
//!   malloc(48), Placement::End                      malloc(48), Placement::Start
//!   | guard |..........[slack][block 48]| guard |   | guard |[block 48][slack]..........| guard |
//! ```
//! - Every block lies between inaccessible pages (`layout`), which the kernel makes faults of.
//! - The bytes of its pages that are not the block's are slack, checked later (`slack`).
//! - A freed block is inaccessible at once; its memory goes back, its addresses wait in a
//!   quarantine.
//! - The fault handler (`fault`) asks a pure function (`diagnose`) what happened and tells it to
//!   the supervisor as plain data (`record`).
//!
//! The idea is the notes' StompAllocator, which is the Unreal Engine's and before it Electric Fence
//! (Perens 1987).

mod backend;
mod diagnose;
mod fault;
mod finder;
mod global;
pub(crate) mod layout;
pub mod options;
mod own_stack;
mod raw_text;
pub mod record;
mod report;
mod setup;
mod slack;
mod slot;
mod table;
mod trace;

pub use crate::sys::{
    SignalAction, follow_masks, forget_handler_mask, program_blocked, program_mask,
    set_program_blocked,
};
pub use fault::program_action;
pub use finder::split_guards_max;
pub use options::{Options, Placement};

use crate::ds::once::Once;
use crate::sys::{self, Registers};
use core::convert::Infallible;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use finder::{Finder, Found, Lookup};
use record::Notice;

/// The stomp finder as a Rust program's allocator, in one line.
///
/// Run the program under `granule stomp` for a report with names and lines; alone it prints
/// offsets in files. The options come from the variable [`options::VARIABLE`] either way. Rust
/// gives every size its exact alignment, so that most blocks have no slack at all.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: granule::stomp::Stomp = granule::stomp::Stomp::new();
///
/// fn main() {
///     let numbers = vec![1, 2, 3];
///     assert_eq!(numbers.iter().sum::<i32>(), 6);
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Stomp(());

impl Stomp {
    /// The one finder of the process.
    #[must_use]
    pub const fn new() -> Self {
        Stomp(())
    }
}

static FINDER: Once<Finder> = Once::new();

/// The finder, if the first allocation has been made.
fn finder() -> Option<&'static Finder> {
    FINDER.get()
}

/// The finder; the first call sets everything up.
fn started() -> &'static Finder {
    let made = FINDER.get_or_try_make(|| Ok::<_, Infallible>(setup::finder()));
    match made {
        Ok(finder) => finder,
        Err(never) => match never {},
    }
}

/// Sets everything up, if no allocation has done so yet.
pub fn start() {
    started();
}

/// A point of the program: where a stack is walked from.
///
/// ```
/// use granule::stomp::{self, Caller};
/// let block = stomp::allocate(100, 16, Caller::here()).expect("memory for 100 bytes");
/// assert_eq!(stomp::size_of_block(block), Some(100));
/// let block = stomp::reallocate(block, 200, 16, Caller::here()).expect("memory for 200");
/// stomp::free(block, Caller::here());
/// assert_eq!(stomp::size_of_block(block), None);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Caller(Registers);

impl Caller {
    /// The function that this is inlined into: stacks start with its caller.
    #[inline(always)]
    #[must_use]
    pub fn here() -> Self {
        Caller(Registers::current())
    }
}

/// A block of `size` bytes at a multiple of `align`, a power of two, reading zero. `None` if there
/// is no memory or address space for it, which is also said on standard error.
pub fn allocate(size: usize, align: usize, caller: Caller) -> Option<NonNull<u8>> {
    let finder = started();
    let block = finder.allocate(size, align, &caller.0);
    static SAID: AtomicBool = AtomicBool::new(false);
    if block.is_none() && size <= finder.size_max() && !SAID.swap(true, Ordering::Relaxed) {
        report::notice(finder.options.socket(), Notice::OutOfMemory, [size as u64, 0]);
    }
    block
}

/// The alignment of `malloc` in this run, in bytes.
pub fn malloc_align() -> usize {
    started().options.align
}

/// Bytes in a page.
pub fn page_len() -> usize {
    started().layout.page_len()
}

/// Frees a block. Anything that is not the start of a live block is reported and ends the process.
pub fn free(block: NonNull<u8>, caller: Caller) {
    let finder = started();
    let addr = block.addr().get();
    match finder.lookup(addr) {
        Lookup::Live(id) if finder.free(id, &caller.0).is_ok() => {}
        _ => wrong(finder, addr, caller),
    }
}

/// A new block with the first bytes of the old one, which is freed: the old address faults from now
/// on. `None` leaves the old block as it was. Wrong pointers end as in [`free`].
pub fn reallocate(
    block: NonNull<u8>,
    size: usize,
    align: usize,
    caller: Caller,
) -> Option<NonNull<u8>> {
    let finder = started();
    let addr = block.addr().get();
    let Lookup::Live(id) = finder.lookup(addr) else { wrong(finder, addr, caller) };
    let old_size = finder.size_of(id);
    let new = allocate(size, align, caller)?;
    // SAFETY: the old block has `old_size` bytes and the new one `size`; they are different blocks.
    unsafe { new.copy_from_nonoverlapping(block, old_size.min(size)) };
    free(block, caller);
    Some(new)
}

/// The size that a live block was asked for with; `None` if there is none at this address.
pub fn size_of_block(block: NonNull<u8>) -> Option<usize> {
    let finder = started();
    match finder.lookup(block.addr().get()) {
        Lookup::Live(id) => Some(finder.size_of(id)),
        _ => None,
    }
}

/// Reports a pointer that cannot be freed. Does not return.
fn wrong(finder: &Finder, addr: usize, caller: Caller) -> ! {
    finder.settle(addr);
    let block = match finder.lookup(addr) {
        // Another thread freed it in between.
        Lookup::Live(id) => finder.table.slot(id).snapshot(),
        // The start of a block that was freed; else the block that is nearest is meant.
        Lookup::Wrong(block) => match finder.offset(addr) {
            Some(offset) if block.is_none_or(|block| block.start != offset) => {
                report::nearest(finder, offset)
            }
            _ => block,
        },
        Lookup::Foreign => None,
    };
    report::wrong_free(finder, addr, block.as_ref(), &caller.0)
}

/// The program has unloaded a library: what was known of its code may be wrong from now on.
pub fn forget_code() {
    sys::forget();
}

/// Checks the slack of every live block and reports all damage; says how many blocks were guarded
/// if not all were. For the end of the program.
pub fn sweep(caller: Caller) {
    let Some(finder) = finder() else { return };
    // Alone, it can read without keeping anybody off, and a child of fork keeps sharing the books.
    let alone = sys::is_single_threaded();
    finder.for_each_slot(|id, slot| {
        if !slot.is_live() || (!alone && !slot.look()) {
            return;
        }
        let damage = finder.damage(slot);
        if !alone {
            slot.put_back();
        }
        if let Some(offset) = damage {
            report::damage(finder, id, offset, &caller.0, Found::AtExit);
        }
    });
    let [guarded, all] = finder.guarded_of();
    if guarded < all {
        report::notice(finder.options.socket(), Notice::GuardedOf, [guarded, all]);
    }
}

/// True for an address of the finder's region: nobody else's blocks are there.
pub fn is_ours(block: NonNull<u8>) -> bool {
    finder().is_some_and(|finder| finder.offset(block.addr().get()).is_some())
}

/// The program has locked its memory: the region is not to be, since locked pages take no guards.
pub fn unlock() {
    if let Some(finder) = finder() {
        finder.unlock();
    }
}

/// Says that the program brings its own malloc, so that nothing is guarded in this process.
pub fn own_allocator() {
    report::notice(setup::options().socket(), Notice::OwnAllocator, [0; 2]);
}

/// What a finder inside the program does now and then, because nobody tells it of the program's
/// signal handlers and of its end: takes its place in front of handlers that came later (Rust's own
/// among them, set after the first allocation), and asks to sweep at exit.
pub(crate) fn keep_watch() {
    /// So many allocations are watched one by one, then only the ones whose number is a power of
    /// two.
    const EARLY: usize = 64;
    static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn at_exit() {
        sweep(Caller::here());
    }
    let number = ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    if number == 0 {
        start();
        sys::call_at_exit(at_exit);
    } else if number < EARLY || number.is_power_of_two() {
        fault::install();
    }
}

/// A broken invariant of the finder itself: says where and ends the process, allocating nothing.
#[doc(hidden)]
pub fn broken(info: &core::panic::PanicInfo<'_>) -> ! {
    raw_text::broken(info);
    sys::die_by(sys::ABORT)
}
