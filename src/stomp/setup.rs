//! Floor 4. The first allocation: reads the options, asks the system, reserves everything.

use super::backend::Backend;
use super::fault;
use super::finder::{Finder, Limits};
use super::layout::Layout;
use super::options::{GuardChoice, Options, VARIABLE};
use super::record::Notice;
use super::report;
use super::table::Table;
use super::trace::Traces;
use crate::ds::depot::Depot;
use crate::ds::primitive::AtomicU64;
use crate::ds::ring::Ring;
use crate::error::Error;
use crate::sys;
use crate::vm::{Advice, CommitPolicy, GuardKind, Info, Protection, Reservation};
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

/// Address space for each size class of each bank; less if the system does not give so much.
const ZONE_LEN: usize = 1 << 38;
const ZONE_LEN_MIN: usize = 1 << 30;

/// Address space for stacks.
const DEPOT_LEN: usize = 1 << 30;

/// The exit status when the finder cannot work at all.
const CANNOT: i32 = 125;

/// The options from the environment; the defaults if there are none.
pub(crate) fn options() -> Options {
    let mut buffer = [0u8; 512];
    let Some(len) = sys::env(VARIABLE.as_bytes(), &mut buffer) else { return Options::new() };
    Options::parse(&buffer[..len]).unwrap_or_else(|pair| {
        sys::write_error(b"granule: GRANULE_STOMP holds what cannot be read: ");
        sys::write_error(pair);
        sys::write_error(b"; the defaults are used\n");
        Options::new()
    })
}

/// Makes the finder and puts its fault handler in place. Ends the process if there is no address
/// space: without guards nothing would be found, and silently so.
#[cold]
#[inline(never)] // Kilobytes of stack, which no later call of a thread with little may want.
pub(crate) fn finder() -> Finder {
    let options = options();
    let info = sys::info();
    let finder = build(options, &info).unwrap_or_else(|error| {
        report::notice(options.socket(), Notice::NoRegion, [error.code() as u64, 0]);
        sys::exit_now(CANNOT)
    });
    fault::install();
    if guard_kind(&options, &info) == GuardKind::Split {
        report::notice(options.socket(), Notice::SplitGuards, [info.mappings_max as u64, 0]);
    }
    finder
}

fn guard_kind(options: &Options, info: &Info) -> GuardKind {
    match options.guard {
        GuardChoice::Auto => info.guard,
        GuardChoice::Split => GuardKind::Split,
    }
}

fn build(options: Options, info: &Info) -> Result<Finder, Error> {
    let (layout, backend, table) = ground(&options, info)?;
    let depot = Depot::new(words(DEPOT_LEN)?);
    let quarantine = Ring::new(words(ring_len(&options, info))?);
    let limits = Limits {
        // Mode 1 promises everything; the others refuse what cannot be there.
        size_max: if info.overcommit == 1 { usize::MAX } else { sys::memory_and_swap_len() },
        mappings_max: info.mappings_max,
    };
    Ok(Finder::new(options, layout, backend, table, Traces::new(depot), quarantine, limits))
}

/// The largest region, with its table, that the system gives.
fn ground(options: &Options, info: &Info) -> Result<(Layout, Backend, Table), Error> {
    let mut zone_len = ZONE_LEN;
    loop {
        let layout = Layout::new(info.page_len, zone_len);
        let parts = Backend::new(&layout, guard_kind(options, info))
            .and_then(|backend| Ok((backend, books(Table::len(&layout))?)));
        match parts {
            Ok((backend, memory)) => {
                // SAFETY: the memory is zero, as long as asked for, known to nobody else and never
                // released.
                return Ok((layout, backend, unsafe { Table::new(memory, &layout) }));
            }
            Err(error) if zone_len == ZONE_LEN_MIN => return Err(error),
            Err(_) => zone_len /= 2,
        }
    }
}

/// Bytes of a ring that has room for every slot the quarantine may hold.
fn ring_len(options: &Options, info: &Info) -> usize {
    let slots = options.quarantine_len / (2 * info.page_len) + 1024;
    Ring::words_for(slots) * size_of::<u64>()
}

/// Memory for books: reads zero, costs what is touched, stays for ever.
fn books(len: usize) -> Result<NonNull<u8>, Error> {
    let builder = Reservation::builder().len(len).policy(CommitPolicy::Lazy).untracked();
    let memory = builder.reserve()?;
    memory.commit(0..memory.len(), Protection::ReadWrite)?;
    // Of no use in a core dump, and mostly empty; a kernel that refuses the advice writes zeros.
    let _ = memory.advise(Advice::NoDump);
    let memory = ManuallyDrop::new(memory);
    Ok(NonNull::new(memory.as_ptr()).expect("a reservation is not at address 0"))
}

/// The same as words that many threads share.
fn words(len: usize) -> Result<&'static [AtomicU64], Error> {
    let memory = books(len)?.cast();
    // SAFETY: zeroed, aligned, `len` bytes long, never released, and used as atomics only.
    Ok(unsafe { core::slice::from_raw_parts(memory.as_ptr(), len / size_of::<u64>()) })
}
