//! Inside the process that does the work: warm up, then look at clocks, memory and faults before
//! and after.

use super::bare::{process_time, touch_and_free};
use super::case::Found;
use crate::Result;
use nix::sys::resource::{UsageWho, getrusage};
use std::fs;
use std::time::{Duration, Instant};

/// What was so before the work.
pub(super) struct Meter {
    resident: u64,
    faults: u64,
    mappings: usize,
}

impl Meter {
    /// Touches and frees so many bytes, forgets that peak, and looks.
    ///
    /// A guest hands free memory back to its host; who takes it next pays for fetching it. So each
    /// process first has as much fetched as its work will need. That is not done by its allocator:
    /// an allocator learns from what it frees. It lasts for about a second: then the host begins to
    /// take it back.
    pub(super) fn new(warm_up: usize) -> Result<Self> {
        touch_and_free(warm_up)?;
        // The peak starts again from what is resident now.
        fs::write("/proc/self/clear_refs", "5")?;
        Ok(Meter { resident: peak()?, faults: faults()?, mappings: mappings()? })
    }

    /// Looks again. `time` was taken for `units`.
    pub(super) fn found(&self, time: Spent, units: usize) -> Result<Found> {
        let each = |time: Duration| time.as_secs_f64() * 1e9 / units as f64;
        Ok(Found {
            wall: each(time.wall),
            cpu: each(time.cpu),
            peak: peak()?.saturating_sub(self.resident),
            faults: faults()?.saturating_sub(self.faults),
            ..Found::default()
        })
    }

    /// Mappings that came since.
    pub(super) fn new_mappings(&self) -> Result<usize> {
        Ok(mappings()?.saturating_sub(self.mappings))
    }
}

/// Two clocks at one moment.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    wall: Instant,
    cpu: Duration,
}

/// What two clocks say has passed.
#[derive(Clone, Copy, Default)]
pub(super) struct Spent {
    pub(super) wall: Duration,
    pub(super) cpu: Duration,
}

impl Clock {
    /// Wall time, and processor time of all threads.
    pub(super) fn now() -> Self {
        Clock { wall: Instant::now(), cpu: process_time() }
    }

    pub(super) fn spent(self) -> Spent {
        let now = Clock::now();
        Spent { wall: now.wall - self.wall, cpu: now.cpu.saturating_sub(self.cpu) }
    }
}

/// The time of some work.
pub(super) fn spent_by<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Spent)> {
    let clock = Clock::now();
    let made = work()?;
    Ok((made, clock.spent()))
}

/// The most bytes that were resident.
fn peak() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.ok_or("the kernel does not tell the peak")?.trim().trim_end_matches(" kB");
    Ok(kib.parse::<u64>()? << 10)
}

fn faults() -> Result<u64> {
    Ok(u64::try_from(getrusage(UsageWho::RUSAGE_SELF)?.minor_page_faults())?)
}

fn mappings() -> Result<usize> {
    Ok(fs::read_to_string("/proc/self/maps")?.lines().count())
}
