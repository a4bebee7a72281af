//! The first store to each page of a file that is in memory and clean.

use super::bare;
use super::contest::{Contest, Data, Found, Goal, measured};
use super::place::OwnFile;
use crate::Result;
use crate::statistics::Random;
use granule::section::Durability;
use std::path::Path;

const LEN: usize = 512 << 20;
const PAGE: usize = 4096;

pub(super) fn run(folder: &Path, turns: usize, random: &mut Random) -> Result<(String, Data)> {
    let own = OwnFile::filled(folder, LEN)?;
    let title = format!("A byte of each page of 512 MiB is written, in {}", folder.display());
    Contest::new(title)
        .way("ViewMut::populate", Goal::None, || touch(own.path(), true))
        .way("ViewMut", Goal::None, || touch(own.path(), false))
        .run(turns, random)
}

fn touch(path: &Path, is_populated: bool) -> Result<Found> {
    let mut view = bare::view_mut(path)?;
    let ((), found) = measured(|| {
        if is_populated {
            view.populate(0..LEN)?;
        }
        view.iter_mut().step_by(PAGE).for_each(|byte| *byte = byte.wrapping_add(1));
        Ok(())
    })?;
    view.flush(0..LEN, Durability::Data)?; // clean for the next one
    Ok(found)
}
