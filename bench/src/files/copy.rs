//! Which pages of a copy were written, and how they come into the file.

use super::bare;
use super::contest::{Contest, Data, Found, Goal, measured};
use super::place::OwnFile;
use crate::Result;
use crate::statistics::Random;
use granule::section::{CowView, Durability};
use std::fs::File;

const LEN: usize = 1 << 30;
const PAGE: usize = 4096;
const WRITTEN: usize = 1000;

pub(super) fn run(turns: usize, random: &mut Random) -> Result<(String, Data)> {
    let own = OwnFile::filled(&std::env::temp_dir(), LEN)?;
    let file = own.open()?;
    Contest::new("A copy of 1 GiB, of which 1000 pages are written")
        .way("dirty_ranges", Goal::Milliseconds(25.0), || listed(&file))
        .way("commit, Start", Goal::None, || committed(&file, Durability::Start))
        .way("commit, Data", Goal::None, || committed(&file, Durability::Data))
        .run(turns, random)
}

fn written(file: &File) -> Result<CowView> {
    let mut view = bare::view_copy(file)?;
    (0..WRITTEN).for_each(|number| view[number * 262 * PAGE] ^= 1);
    Ok(view)
}

fn listed(file: &File) -> Result<Found> {
    let view = written(file)?;
    let (count, found) =
        measured(|| view.dirty_ranges().try_fold(0, |count, run| Ok(count + run?.len() / PAGE)))?;
    if count != WRITTEN {
        return Err(format!("{count} pages were told").into());
    }
    Ok(found)
}

fn committed(file: &File, durability: Durability) -> Result<Found> {
    let mut view = written(file)?;
    measured(|| Ok(view.commit(durability)?)).map(|told| told.1)
}
