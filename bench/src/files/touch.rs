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
        .way("ViewMut::prefault", Goal::None, || touch(own.path(), Before::Prefault))
        .way("ViewMut", Goal::None, || touch(own.path(), Before::Nothing))
        .way("ViewMut::populate", Goal::None, || touch(own.path(), Before::Populate))
        .run(turns, random)
}

/// What is done first; it is in the time.
enum Before {
    Nothing,
    Prefault,
    Populate,
}

fn touch(path: &Path, before: Before) -> Result<Found> {
    let mut view = bare::view_mut(path)?;
    let ((), found) = measured(|| {
        match before {
            Before::Nothing => {}
            Before::Prefault => drop(view.prefault(0..LEN)?),
            Before::Populate => view.populate(0..LEN)?,
        }
        view.iter_mut().step_by(PAGE).for_each(|byte| *byte = byte.wrapping_add(1));
        Ok(())
    })?;
    view.flush(0..LEN, Durability::Data)?; // clean for the next one
    Ok(found)
}
