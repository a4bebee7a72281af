//! `malloc` itself: ours and others, side by side, each loaded by LD_PRELOAD in front of the same
//! programs. Processor time comes first, because it is the least disturbed by others.

mod cells;
mod child;
mod peers;
mod probes;
mod programs;
mod tables;

use crate::Result;
use crate::flags::Flags;
use crate::machine::Machine;
use crate::measure;
use crate::results::publish;
use crate::statistics::Random;
use cells::Cell;
use child::Child;
use peers::Peer;
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
    programs: &'a [Cell],
    probes: &'a [Answer],
}

/// Measures and publishes.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    peers::refuse_others(flags)?;
    let machine = Machine::look();
    let child = Child::made()?;
    let peers = peers::all(flags, &child)?;
    peers.absent.iter().for_each(|reason| eprintln!("left out: {reason}"));
    let mut random = machine.random();
    let patterns = patterns(flags, &child, &peers.present, &mut random)?;
    let programs = programs::run(flags, &peers.present, &mut random)?;
    let probes = probes::ask(flags, &child, &peers.present, &mut random)?;
    if patterns.is_empty() && programs.is_empty() && probes.is_empty() {
        return Err("--only names no group and no piece of work".into());
    }
    let measured = Measured {
        machine: &machine,
        rounds: flags.rounds,
        scale: &flags.scale,
        peers: &peers.present,
        absent: &peers.absent,
        patterns: &patterns,
        programs: &programs,
        probes: &probes,
    };
    let name = if flags.scale == "full" { flags.result_name("malloc") } else { flags.name.clone() };
    publish(name.as_deref(), &describe(&measured), &measured)
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

fn describe(measured: &Measured<'_>) -> String {
    let Measured { machine, rounds, peers, patterns, programs, probes, .. } = measured;
    let mut text = format!(
        "# malloc, ours and others\n\n{}- median of {rounds} rounds; every run is a process of its \
         own\n- processor time is that of the whole process and its children, in program and \
         kernel\n",
        machine.markdown(),
    );
    for peer in *peers {
        let settings = peer.settings.iter().map(|(name, value)| format!(", {name}={value}"));
        text += &format!("- {}: {}{}\n", peer.name, peer.title, settings.collect::<String>());
    }
    measured.absent.iter().for_each(|reason| text += &format!("- left out: {reason}\n"));
    let groups = [("patterns", *patterns), ("programs", *programs)];
    let groups = groups.map(|(name, cells)| (name, Grid { peers, cells }));
    text += &tables::summary(&groups);
    if !patterns.is_empty() {
        text += &format!("\n## Patterns\n\n{}{}", about(patterns), groups[0].1.markdown());
    }
    if !programs.is_empty() {
        text += &format!("\n## Programs\n\n{ABOUT_PROGRAMS}{}", groups[1].1.markdown());
    }
    if !probes.is_empty() {
        let table = probes::table(probes, peers).markdown();
        text += &format!("\n## What else they cost and do\n\n{table}");
    }
    text
}

const ABOUT_PROGRAMS: &str = "\
The work of scripts/real-programs.sh. A program that writes anything else than without LD_PRELOAD
has no figure. Debian's redis brings jemalloc: its plain run is not glibc's malloc; most of its work
is its client's. gcc, g++ and clang are drivers with their children.
";

/// How much work the patterns are.
fn about(cells: &[Cell]) -> String {
    let mut works: Vec<String> = Vec::new();
    for cell in cells {
        let work = format!("{} {}", cell.work, cell.ops.unwrap_or(0));
        if works.last() != Some(&work) {
            works.push(work);
        }
    }
    format!("Operations in a run: {}.\n", works.join(", "))
}
