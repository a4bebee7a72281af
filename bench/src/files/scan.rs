//! All of a file that is in memory, read word by word.

use super::bare;
use super::contest::{Contest, Data, Found, Goal, measured};
use super::place::OwnFile;
use crate::Result;
use crate::statistics::Random;
use granule::section::{Access, Frozen, Racy, Section};
use std::hint::black_box;

const LEN: usize = 1 << 30;
/// Words that are copied at once.
const PART: usize = 4096;

/// The maps are made before, and touched once.
pub(super) fn run(turns: usize, random: &mut Random) -> Result<(String, Data)> {
    let own = OwnFile::filled(&std::env::temp_dir(), LEN)?;
    let ours = bare::view(own.path())?;
    let theirs = bare::memmap(own.path())?;
    let frozen = Frozen::open(own.path())?;
    Contest::new("1 GiB that is mapped and in memory is read: slices")
        .way("View", Goal::None, || sum_of(&ours))
        .way("memmap2", Goal::Ratio(1.02), || sum_of(&theirs))
        .way("Frozen", Goal::None, || sum_of(&frozen))
        .run(turns, random)
}

/// What it costs that others may shorten the file.
pub(super) fn racy(turns: usize, random: &mut Random) -> Result<(String, Data)> {
    let own = OwnFile::filled(&std::env::temp_dir(), LEN)?;
    let section = Section::of_file(&own.open()?, Access::Read)?;
    let view: Racy<u64> = section.racy(0..LEN as u64)?;
    let theirs = bare::memmap(own.path())?;
    Contest::new("The same by what others may change and shorten: words")
        .way("Racy, copy_out of 32 KiB", Goal::None, || copied(&view))
        .way("memmap2, plain loads", Goal::Ratio(1.0 / 0.95), || sum_of(&theirs))
        .way("Racy, load", Goal::None, || loaded(&view))
        .run(turns, random)
}

fn sum_of(bytes: &[u8]) -> Result<Found> {
    let (words, _) = bytes.as_chunks::<8>();
    let sum = || words.iter().fold(0u64, |sum, &word| sum.wrapping_add(u64::from_ne_bytes(word)));
    measured(|| Ok(black_box(sum()))).map(|told| told.1)
}

fn copied(view: &Racy<u64>) -> Result<Found> {
    let mut part = vec![0; PART];
    measured(|| {
        let mut sum = 0u64;
        for first in (0..view.len()).step_by(PART) {
            view.copy_out(first, &mut part)?;
            sum = part.iter().fold(sum, |sum, &word| sum.wrapping_add(word));
        }
        Ok(black_box(sum))
    })
    .map(|told| told.1)
}

fn loaded(view: &Racy<u64>) -> Result<Found> {
    measured(|| {
        let mut sum = 0u64;
        for index in 0..view.len() {
            sum = sum.wrapping_add(view.load(index)?);
        }
        Ok(black_box(sum))
    })
    .map(|told| told.1)
}
