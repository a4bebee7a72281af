//! One page that is to be on the disk.

use super::bare;
use super::contest::{Clock, Contest, Data, Goal, measured};
use super::place::OwnFile;
use crate::Result;
use crate::statistics::Random;
use granule::section::Durability;
use std::cell::RefCell;
use std::os::unix::fs::FileExt;

const LEN: usize = 64 << 20;
const PAGE: usize = 4096;

/// Each turn is one page, at a random place that was clean.
pub(super) fn run(turns: usize, random: &mut Random) -> Result<(String, Data)> {
    let own = OwnFile::filled(&std::env::temp_dir(), LEN)?;
    let file = own.open()?;
    let view = RefCell::new(bare::view_mut(own.path())?);
    let mut theirs = bare::memmap_mut(&file, LEN)?;
    let places = RefCell::new(random.clone());
    let place = || (places.borrow_mut().next() as usize % (LEN / PAGE)) * PAGE;
    let page = |place: usize| [(place / PAGE) as u8 ^ 0x5a; PAGE];
    Contest::new("One page at a random place of a file of 64 MiB is written, to the disk")
        .way("ViewMut::write_through", Goal::None, || {
            let place = place();
            measured(|| {
                let bytes = page(place);
                Ok(view.borrow_mut().write_through(place, &bytes, Durability::Data)?)
            })
            .map(|told| told.1)
        })
        .way("pwrite, fdatasync", Goal::Ratio(1.1), || {
            let place = place();
            measured(|| {
                file.write_all_at(&page(place), place as u64)?;
                Ok(file.sync_data()?)
            })
            .map(|told| told.1)
        })
        .way("ViewMut, flush", Goal::None, || {
            let (place, mut view) = (place(), view.borrow_mut());
            measured(|| {
                view[place..place + PAGE].copy_from_slice(&page(place));
                Ok(view.flush(place..place + PAGE, Durability::Data)?)
            })
            .map(|told| told.1)
        })
        .way("memmap2, flush_range", Goal::None, || {
            let place = place();
            measured(|| {
                theirs[place..place + PAGE].copy_from_slice(&page(place));
                Ok(theirs.flush_range(place, PAGE)?)
            })
            .map(|told| told.1)
        })
        .by(Clock::Wall)
        .run(turns, random)
}
