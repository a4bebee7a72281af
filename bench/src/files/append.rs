//! Records appended to a file.

use super::bare;
use super::contest::{Contest, Data, Found, Goal, measured};
use super::place::OwnFile;
use crate::Result;
use crate::statistics::Random;
use std::fs::File;
use std::io::{BufWriter, Write};

const RECORD: usize = 64;
const COUNT: usize = (1 << 30) / RECORD;
const STEP: usize = 64 << 20;

fn record(index: usize) -> [u64; RECORD / 8] {
    [index as u64; RECORD / 8]
}

pub(super) fn run(turns: usize, random: &mut Random) -> Result<(String, Data)> {
    Contest::new("1 GiB in records of 64 bytes is appended to a new file, and the file closed")
        .way("GrowMap", Goal::None, ours)
        .way("BufWriter of 256 KiB", Goal::Ratio(1.05), || buffered(256 << 10))
        .way("BufWriter of 8 KiB", Goal::None, || buffered(8 << 10))
        .way("memmap2, mapped again each 64 MiB", Goal::None, remapped)
        .run(turns, random)
}

/// Files are not flushed: that would measure the disk.
fn ours() -> Result<Found> {
    let file = OwnFile::new()?;
    measured(|| {
        let mut map = bare::grow(file.path())?;
        for index in 0..COUNT {
            map.push(record(index))?;
        }
        Ok(map.close()?)
    })
    .map(|told| told.1)
}

fn buffered(room: usize) -> Result<Found> {
    let file = OwnFile::new()?;
    measured(|| {
        let mut out = BufWriter::with_capacity(room, File::create(file.path())?);
        for index in 0..COUNT {
            out.write_all(granule::section::bytes_of(&[record(index)]))?;
        }
        Ok(out.flush()?)
    })
    .map(|told| told.1)
}

fn remapped() -> Result<Found> {
    let own = OwnFile::new()?;
    measured(|| {
        let file = own.open()?;
        let mut map = None;
        let mut end = 0;
        for index in 0..COUNT {
            let place = index * RECORD;
            if place + RECORD > end {
                end += STEP;
                drop(map.take());
                file.set_len(end as u64)?;
                map = Some(bare::memmap_mut(&file, end)?);
            }
            let bytes = map.as_mut().ok_or("it was mapped")?;
            bytes[place..place + RECORD]
                .copy_from_slice(granule::section::bytes_of(&[record(index)]));
        }
        drop(map);
        Ok(file.set_len((COUNT * RECORD) as u64)?)
    })
    .map(|told| told.1)
}
