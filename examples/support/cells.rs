//! Ten cells of 4091 bytes in a reservation: five bytes less than a page, so that cells and pages
//! drift apart.

use super::kernel;
use granule::Error;
use granule::vm::{Protection, Reservation};
use std::fmt;

pub(crate) const CELL: usize = 4091;
pub(crate) const COUNT: usize = 10;

/// The cells, all of them reserved and none committed.
pub(crate) struct Cells(Reservation);

/// Where a text could not be written: the byte, counted from cell 0.
pub(crate) struct Fault(usize);

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "access violation at byte {}, page {}", self.0, self.0 / super::PAGE)
    }
}

impl Cells {
    pub(crate) fn reserve() -> Result<Self, Error> {
        Reservation::reserve(CELL * COUNT).map(Cells)
    }

    /// Copies a text and the 0 behind it into a cell, byte by byte as `strcpy` does.
    pub(crate) fn copy(&self, index: usize, text: &str) -> Result<(), Fault> {
        for (at, byte) in (index * CELL..).zip(text.bytes().chain([0])) {
            kernel::write(self.0.base() + at, byte).map_err(|_| Fault(at))?;
        }
        Ok(())
    }

    /// Commits the pages that a cell lies in: one or two.
    pub(crate) fn commit(&self, index: usize) -> Result<(), Error> {
        self.0.commit(index * CELL..(index + 1) * CELL, Protection::ReadWrite)
    }

    /// The text of a cell, as far as it can be read.
    pub(crate) fn text(&self, index: usize) -> String {
        let bytes = (index * CELL..(index + 1) * CELL).map(|at| kernel::read(self.0.base() + at));
        bytes.map_while(|byte| byte.ok().filter(|&byte| byte != 0)).map(char::from).collect()
    }

    pub(crate) fn picture(&self) -> String {
        super::picture(self.0.base(), self.0.len() / super::PAGE)
    }
}
