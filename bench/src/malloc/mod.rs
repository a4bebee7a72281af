//! `malloc` itself: ours and others, side by side, each loaded by LD_PRELOAD in front of the same
//! programs. Processor time comes first, because it is the least disturbed by others.

mod cells;
mod child;
mod peers;
mod probes;
mod tables;

use crate::Result;
use crate::flags::Flags;
use crate::machine::Machine;
use crate::measure;
use crate::results::publish;
use crate::statistics::Random;
use cells::Cell;
use child::Child;
use peers::{Peer, Peers};
use probes::Answer;
use serde::Serialize;
use tables::Grid;

/// Rounds unless they are given.
pub(crate) const ROUNDS: usize = 3;

/// The names of the groups, for `--only`.
const PATTERNS: &str = "patterns";

/// Memory that is touched before the first run of a cell, in bytes.
const FIRST_TOUCH: u64 = 64 << 20;

/// With `--scale small` a pattern does this part of its operations: to try it.
const SMALL: usize = 100;

#[derive(Serialize)]
struct Measured<'a> {
    machine: &'a Machine,
    rounds: usize,
    scale: &'a str,
    peers: &'a [Peer],
    absent: &'a [String],
    patterns: &'a [Cell],
    probes: &'a [Answer],
}

/// Measures and publishes.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    let machine = Machine::look();
    let child = Child::made()?;
    let peers = peers::all(flags, &child)?;
    peers.absent.iter().for_each(|reason| eprintln!("left out: {reason}"));
    let mut random = machine.random();
    let patterns = patterns(flags, &child, &peers.present, &mut random)?;
    let probes = probes::ask(flags, &child, &peers.present, &mut random)?;
    if patterns.is_empty() && probes.is_empty() {
        return Err("--only names no group and no piece of work".into());
    }
    let text = describe(&machine, flags, &peers, &patterns, &probes);
    let measured = Measured {
        machine: &machine,
        rounds: flags.rounds,
        scale: &flags.scale,
        peers: &peers.present,
        absent: &peers.absent,
        patterns: &patterns,
        probes: &probes,
    };
    let name = if flags.scale == "full" { flags.result_name("malloc") } else { flags.name.clone() };
    publish(name.as_deref(), &text, &measured)
}

/// Whether a piece of work was asked for, by its name or that of its group.
fn wants(flags: &Flags, group: &str, work: &str) -> bool {
    flags.wants_program(work) || flags.wants_program(group)
}

fn patterns(
    flags: &Flags,
    child: &Child,
    peers: &[Peer],
    random: &mut Random,
) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    for (name, ops) in child.list()? {
        if wants(flags, PATTERNS, &name) {
            let ops = if flags.scale == "small" { ops / SMALL } else { ops };
            cells.extend(Cell::row(&name, Some(ops), peers));
        }
    }
    cells::measure(&mut cells, flags.rounds, random, |cell| {
        let peer = peers.iter().find(|peer| peer.name == cell.peer).ok_or("no such peer")?;
        let ops = cell.ops.ok_or("a pattern has operations")?.to_string();
        measure::warm_up(cell.runs.last().map_or(FIRST_TOUCH, |run| run.peak_rss))?;
        let played = child.play(peer, &[&cell.work, &ops], flags.timeout)?;
        Ok((played.run, true))
    })?;
    Ok(cells)
}

fn describe(
    machine: &Machine,
    flags: &Flags,
    peers: &Peers,
    patterns: &[Cell],
    probes: &[Answer],
) -> String {
    let mut text = format!(
        "# malloc, ours and others\n\n{}- median of {} rounds; every run is a process of its own\n\
         - processor time is that of the whole process, in the program and in the kernel\n",
        machine.markdown(),
        flags.rounds
    );
    for peer in &peers.present {
        let settings = peer.settings.iter().map(|(name, value)| format!(", {name}={value}"));
        text += &format!("- {}: {}{}\n", peer.name, peer.title, settings.collect::<String>());
    }
    for reason in &peers.absent {
        text += &format!("- left out: {reason}\n");
    }
    if !patterns.is_empty() {
        let grid = Grid { peers: &peers.present, cells: patterns };
        text += &format!("\n## Patterns\n{}", grid.markdown());
    }
    if !probes.is_empty() {
        let table = probes::table(probes, &peers.present).markdown();
        text += &format!("\n## What else they cost and do\n\n{table}");
    }
    text
}
