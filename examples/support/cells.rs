//! Ten cells in a reservation, committed one by one where a copy into them faults.

use super::kernel;
use granule::Error;
use granule::fault::{Fault, Handler, Outcome, Watch};
use granule::vm::{Protection, Reservation};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Five bytes less than a page, so that cells and pages drift apart.
pub(crate) const CELL: usize = 4091;
pub(crate) const COUNT: usize = 10;

/// What the handler has to know.
struct Memory {
    reservation: Reservation,
    /// Bytes of a cell.
    cell: usize,
    /// The cell that is written now.
    index: AtomicUsize,
    /// The byte, counted from cell 0, whose touch was the last to fault.
    fault: AtomicUsize,
}

const NO_FAULT: usize = usize::MAX;

impl Memory {
    fn commit(&self, index: usize) -> Result<(), Error> {
        self.reservation.commit(index * self.cell..(index + 1) * self.cell, Protection::ReadWrite)
    }
}

/// The `__except` of the notes: commits the cell, and has the copy go on.
impl Handler for Memory {
    fn fault(&self, fault: &Fault) -> Outcome {
        self.fault.store(fault.addr() - self.reservation.base(), Ordering::Relaxed);
        match self.commit(self.index.load(Ordering::Relaxed)) {
            Ok(()) => Outcome::Resume,
            Err(_) => Outcome::NotMine,
        }
    }
}

/// The cells, all of them reserved and none committed.
pub(crate) struct Cells {
    memory: &'static Memory,
    watch: Option<Watch>,
}

impl Cells {
    /// Cells of `cell` bytes that nobody answers for.
    pub(crate) fn reserve(cell: usize) -> Result<Self, Error> {
        let (index, fault) = (AtomicUsize::new(0), AtomicUsize::new(NO_FAULT));
        let reservation = Reservation::reserve(cell * COUNT)?;
        let memory = Box::leak(Box::new(Memory { reservation, cell, index, fault }));
        Ok(Cells { memory, watch: None })
    }

    /// From now on a copy into a cell commits it.
    pub(crate) fn watch(mut self) -> Result<Self, Error> {
        let base = self.memory.reservation.base();
        let range = base..base + self.memory.reservation.len();
        // SAFETY: (1) the handler makes one page verb; (2) Resume means that the cell is committed;
        // (3) nobody else watches it.
        self.watch = Some(unsafe { Watch::new(range, self.memory) }?);
        Ok(self)
    }

    /// Copies a text and the 0 behind it into a cell, byte by byte as `strcpy` does. Tells the byte
    /// whose touch has faulted, if one has.
    pub(crate) fn copy(&self, index: usize, text: &str) -> Option<usize> {
        let Memory { reservation, cell, .. } = self.memory;
        self.memory.index.store(index, Ordering::Relaxed);
        self.memory.fault.store(NO_FAULT, Ordering::Relaxed);
        for (at, byte) in (index * cell..).zip(text.bytes().chain([0])) {
            if self.watch.is_none() {
                // Nobody would answer: the kernel is asked to write it, and says no.
                if kernel::write(reservation.base() + at, byte).is_err() {
                    return Some(at);
                }
                continue;
            }
            assert!(at < reservation.len());
            // SAFETY: inside the reservation.
            let place = unsafe { reservation.as_ptr().add(at) };
            // SAFETY: the pages are this program's, and committed when they are touched.
            unsafe { place.write_volatile(byte) };
        }
        let fault = self.memory.fault.load(Ordering::Relaxed);
        (fault != NO_FAULT).then_some(fault)
    }

    /// Commits the pages that a cell lies in: one or two.
    pub(crate) fn commit(&self, index: usize) -> Result<(), Error> {
        self.memory.commit(index)
    }

    /// The text of a cell, as far as it can be read.
    pub(crate) fn text(&self, index: usize) -> String {
        let Memory { reservation, cell, .. } = self.memory;
        let bytes =
            (index * cell..(index + 1) * cell).map(|at| kernel::read(reservation.base() + at));
        bytes.map_while(|byte| byte.ok().filter(|&byte| byte != 0)).map(char::from).collect()
    }

    pub(crate) fn picture(&self) -> String {
        let Memory { reservation, .. } = self.memory;
        super::picture(reservation.base(), reservation.len() / super::PAGE)
    }
}

/// What is said of a fault.
pub(crate) fn words(fault: usize) -> String {
    format!("access violation at byte {fault}, page {}", fault / super::PAGE)
}
