//! The first touch of each page of a file that is in memory, clean, and going to be rewritten.

use super::bare;
use super::contest::{Contest, Data, Found, Goal, measured};
use super::place::OwnFile;
use crate::Result;
use crate::statistics::Random;
use granule::section::{Durability, Prefault, prefault};
use std::hint::black_box;
use std::path::Path;

const LEN: usize = 256 << 20;
const PAGE: usize = 4096;
/// What is found out must not cost more than this.
const MOST: Goal = Goal::Ratio(1.03);

/// What a program does first with a page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Store,
    /// And then a store, as a sort does.
    Load,
}

/// The file is written in pieces of each of these lengths, which the cache keeps as they are.
pub(super) fn run(
    folder: &Path,
    pieces: &[usize],
    turns: usize,
    random: &mut Random,
) -> Result<(String, Data)> {
    let (mut text, mut all) = (String::new(), Vec::new());
    for &piece in pieces {
        let own = OwnFile::written_by(folder, LEN, piece)?;
        for (first, words) in [(First::Store, "written"), (First::Load, "read, then written")] {
            let title = format!(
                "A byte of each page of {} MiB in {}, written by {} KiB, is {words}",
                LEN >> 20,
                folder.display(),
                piece >> 10
            );
            let touch = |how| touch(own.path(), how, first);
            let (table, data) = Contest::new(title)
                .way("Prefault::Auto", Goal::None, || touch(Prefault::Auto))
                .way("Prefault::Always", MOST, || touch(Prefault::Always))
                .way("Prefault::Never", MOST, || touch(Prefault::Never))
                .run(turns, random)?;
            text += &table;
            all.push(data);
        }
    }
    Ok((text, all.into()))
}

fn touch(path: &Path, how: Prefault, first: First) -> Result<Found> {
    let mut view = bare::view_mut(path)?;
    let ((), found) = measured(|| {
        prefault(&mut view, how)?;
        for byte in view.iter_mut().step_by(PAGE) {
            let seen = if first == First::Load { black_box(*byte) } else { 0 };
            *byte = black_box(seen.wrapping_add(1));
        }
        Ok(())
    })?;
    view.flush(0..LEN, Durability::Data)?; // clean for the next one
    Ok(found)
}
