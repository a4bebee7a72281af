//! Real programs under each malloc.

use super::cells::{self, Cell};
use super::peers::Peer;
use super::wants;
use crate::Result;
use crate::flags::Flags;
use crate::measure;
use crate::real::Script;
use crate::statistics::Random;

/// The name of the group.
const PROGRAMS: &str = "programs";

/// The scale of the script: long enough to be measured, or short enough to try it.
fn scale(flags: &Flags) -> &str {
    if flags.scale == "full" { "long" } else { &flags.scale }
}

/// Runs all that were asked for under every peer. What is not installed is skipped with a sentence.
pub(crate) fn run(flags: &Flags, peers: &[Peer], random: &mut Random) -> Result<Vec<Cell>> {
    let script = Script::new(scale(flags), flags.timeout)?;
    let mut cells = Vec::new();
    for program in script.programs()? {
        if wants(flags, PROGRAMS, &program) && script.prepare(&program)? {
            cells.extend(Cell::row(&program, None, peers));
        }
    }
    cells::measure(&mut cells, flags.rounds, random, |cell| {
        let peer = peers.iter().find(|peer| peer.name == cell.peer).ok_or("no such peer")?;
        measure::warm_up(cell.runs.last().map_or(super::FIRST_TOUCH, |run| run.peak_rss))?;
        script.once(&cell.work, &peer.wrapper())
    })?;
    Ok(cells)
}
