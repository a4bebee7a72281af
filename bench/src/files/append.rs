//! Records appended to a file.

use super::bare;
use super::contest::{Contest, Data, Found, Goal, measured};
use super::place::OwnFile;
use crate::Result;
use crate::statistics::Random;
use granule::section::Prefault;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

const LEN: usize = 1 << 30;
const STEP: usize = 64 << 20;
/// Records have words, all of them the number of the record.
const LONG: usize = 96 / 8;
const USUAL: usize = 64 / 8;
const SHORT: usize = 16 / 8;

fn record<const WORDS: usize>(index: usize) -> [u64; WORDS] {
    [index as u64; WORDS]
}

const fn count<const WORDS: usize>() -> usize {
    LEN / (8 * WORDS)
}

/// What happens when all is appended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The system writes it to the disk some time later.
    Close,
    /// It is on the disk: what that takes of the processor is measured, too.
    Sync,
}

pub(super) fn run(folder: &Path, turns: usize, random: &mut Random) -> Result<(String, Data)> {
    let title = |words: usize, end: &str| {
        format!(
            "1 GiB in records of {} bytes is appended to a new file in {}, and the file {end}",
            8 * words,
            folder.display()
        )
    };
    let parts = [
        Contest::new(title(USUAL, "closed"))
            .way("GrowMap", Goal::None, || ours::<USUAL>(folder, Prefault::Auto, End::Close))
            .way("BufWriter of 256 KiB", Goal::Ratio(1.05), || {
                buffered::<USUAL>(folder, 256 << 10, End::Close)
            })
            .way("BufWriter of 8 KiB", Goal::None, || {
                buffered::<USUAL>(folder, 8 << 10, End::Close)
            })
            .way("GrowMap, Prefault::Never", Goal::None, || {
                ours::<USUAL>(folder, Prefault::Never, End::Close)
            })
            .way("GrowMap, Prefault::Always", Goal::None, || {
                ours::<USUAL>(folder, Prefault::Always, End::Close)
            })
            .way("memmap2, mapped again each 64 MiB", Goal::None, || remapped(folder)),
        against_buffer::<SHORT>(folder, title(SHORT, "closed"), End::Close),
        against_buffer::<LONG>(folder, title(LONG, "closed"), End::Close),
        against_buffer::<USUAL>(folder, title(USUAL, "synchronised"), End::Sync),
    ];
    let (mut text, mut all) = (String::new(), Vec::new());
    for part in parts {
        let (table, data) = part.run(turns, random)?;
        text += &table;
        all.push(data);
    }
    Ok((text, all.into()))
}

fn against_buffer<const WORDS: usize>(folder: &Path, title: String, end: End) -> Contest<'_> {
    Contest::new(title)
        .way("GrowMap", Goal::None, move || ours::<WORDS>(folder, Prefault::Auto, end))
        .way("BufWriter of 256 KiB", Goal::Ratio(1.05), move || {
            buffered::<WORDS>(folder, 256 << 10, end)
        })
}

fn ours<const WORDS: usize>(folder: &Path, how: Prefault, end: End) -> Result<Found> {
    let file = OwnFile::new_in(folder)?;
    measured(|| {
        let mut map = bare::grow(file.path(), how)?;
        for index in 0..count::<WORDS>() {
            map.push(record::<WORDS>(index))?;
        }
        Ok(if end == End::Sync { map.close_durably() } else { map.close() }?)
    })
    .map(|told| told.1)
}

fn buffered<const WORDS: usize>(folder: &Path, room: usize, end: End) -> Result<Found> {
    let file = OwnFile::new_in(folder)?;
    measured(|| {
        let mut out = BufWriter::with_capacity(room, File::create(file.path())?);
        for index in 0..count::<WORDS>() {
            out.write_all(granule::section::bytes_of(&[record::<WORDS>(index)]))?;
        }
        out.flush()?;
        Ok(if end == End::Sync { out.get_ref().sync_all() } else { Ok(()) }?)
    })
    .map(|told| told.1)
}

fn remapped(folder: &Path) -> Result<Found> {
    let own = OwnFile::new_in(folder)?;
    measured(|| {
        let file = own.open()?;
        let mut map = None;
        let mut end = 0;
        for index in 0..count::<USUAL>() {
            let place = index * 8 * USUAL;
            if place + 8 * USUAL > end {
                end += STEP;
                drop(map.take());
                file.set_len(end as u64)?;
                map = Some(bare::memmap_mut(&file, end)?);
            }
            let bytes = map.as_mut().ok_or("it was mapped")?;
            bytes[place..place + 8 * USUAL]
                .copy_from_slice(granule::section::bytes_of(&[record::<USUAL>(index)]));
        }
        drop(map);
        Ok(file.set_len(LEN as u64)?)
    })
    .map(|told| told.1)
}
