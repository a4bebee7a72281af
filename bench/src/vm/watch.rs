//! Which of the pages of 64 MiB were written? Four of them were, each time.

use super::bare::{WatchedMapping, thread_time, write_byte};
use super::contest::{Contest, Line, SAMPLE, Target};
use super::{BARE, GRANULE};
use crate::Result;
use crate::statistics::Random;
use granule::ErrorKind;
use granule::vm::{Protection, Reservation};
use std::time::Duration;

const LEN: usize = 64 << 20;
/// The pages that are written, far from one another.
const DIRTY: [usize; 4] = [0, LEN / 4, LEN / 2 + 4096, LEN - 4096];

/// The question and the forgetting in one call. Nothing where the kernel cannot do it.
pub(super) fn run(rounds: usize, random: &mut Random) -> Result<Vec<Line>> {
    let ours = match Reservation::builder().len(LEN).write_watch().reserve() {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            eprintln!("this kernel has no write watch: it is not measured");
            return Ok(Vec::new());
        }
        ours => ours?,
    };
    ours.commit(0..LEN, Protection::ReadWrite)?;
    (0..LEN).step_by(4096).for_each(|offset| write_byte(&ours, offset));
    ours.forget_written(0..LEN)?;
    let bare = WatchedMapping::new(LEN)?;

    let call = "take_written of 64 MiB, 4 pages dirty".to_string();
    let mut contest = Contest::new([(call, Target::TimesBare(1.3))]);
    contest.add(GRANULE, move || {
        let mut ranges = [const { 0..0 }; 16];
        take(
            |offset| write_byte(&ours, offset),
            || {
                let written = ours.take_written(0..LEN, &mut ranges)?;
                Ok(ranges[..written.count].iter().map(ExactSizeIterator::len).sum::<usize>() / 4096)
            },
        )
    });
    contest.add(BARE, move || take(|offset| bare.write_byte(offset), || Ok(bare.take_written()?)));
    contest.run(rounds, random)
}

/// Writes to four pages and takes them, again and again; only the taking is measured.
fn take(
    write: impl Fn(usize),
    mut taken: impl FnMut() -> Result<usize>,
) -> Result<Vec<Option<f64>>> {
    let (mut spent, mut calls) = (Duration::ZERO, 0);
    while spent < SAMPLE {
        DIRTY.into_iter().for_each(&write);
        let begin = thread_time();
        let pages = taken()?;
        spent += thread_time() - begin;
        calls += 1;
        if pages != DIRTY.len() {
            return Err(format!("{pages} pages are told, {} were written", DIRTY.len()).into());
        }
    }
    Ok(vec![Some(spent.as_secs_f64() * 1e9 / f64::from(calls))])
}
