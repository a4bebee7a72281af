//! The small program that plays patterns, `malloc-child`: made, asked and measured.

use super::peers::Peer;
use crate::Result;
use crate::measure::{self, End, Run};
use crate::tools::build;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Where it is.
pub(crate) struct Child(PathBuf);

/// One run, and the figures that the child itself has printed.
pub(crate) struct Played {
    pub(crate) run: Run,
    pub(crate) figures: BTreeMap<String, f64>,
}

impl Child {
    /// The child of the same build as this program.
    pub(crate) fn made() -> Result<Self> {
        build(&["--package", "granule-bench", "--bin", "malloc-child"])?;
        Ok(Child(std::env::current_exe()?.with_file_name("malloc-child")))
    }

    /// Its lines of a name and a number for a question.
    pub(crate) fn list(&self) -> Result<Vec<(String, usize)>> {
        let output = Command::new(&self.0).arg("list").output()?;
        let text = String::from_utf8(output.stdout)?;
        let pair = |line: &str| -> Result<(String, usize)> {
            let (name, number) = line.split_once(' ').ok_or("a line is not a pair")?;
            Ok((name.to_string(), number.parse()?))
        };
        text.lines().map(pair).collect()
    }

    /// An error unless `malloc` under the peer is the peer's: a library that is not loaded says so
    /// on standard error only.
    pub(crate) fn check(&self, peer: &Peer) -> Result<()> {
        let output = Command::new(&self.0).arg("whose").envs(peer.variables()).output()?;
        let found = String::from_utf8_lossy(&output.stdout).trim().to_string();
        let expected = peer.file_name().unwrap_or("libc.so.6".as_ref());
        if Path::new(&found).file_name() == Some(expected) {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("malloc under {} is that of {found:?}: {said}", peer.name).into())
    }

    /// One measured run under a peer.
    pub(crate) fn play(
        &self,
        peer: &Peer,
        arguments: &[&str],
        timeout: Duration,
    ) -> Result<Played> {
        let record = std::env::temp_dir().join(format!("granule-malloc-{}", std::process::id()));
        let words = measure::wrapper(&record, timeout)?;
        let output = Command::new(&words[0])
            .args(&words[1..])
            .args(peer.wrapper())
            .arg(&self.0)
            .args(arguments)
            .output()?;
        let mut run = measure::recorded(&record)?.pop().ok_or("a run left no record")?;
        fs::remove_file(&record)?;
        if run.end != End::Exit(0) {
            eprint!("{} ", String::from_utf8_lossy(&output.stderr).trim());
        }
        let mut figures = figures(&String::from_utf8_lossy(&output.stdout));
        // The kernel's figure is never less than the size of the process that made the run.
        if let Some(peak) = figures.get("peak") {
            run.peak_rss = *peak as u64;
        }
        figures.insert("cpu".to_string(), run.cpu_seconds);
        figures.insert("wall".to_string(), run.seconds);
        Ok(Played { run, figures })
    }

    /// The mean processor time of many starts in a row, in seconds: with loading, and with nothing
    /// but the program.
    pub(crate) fn start_often(&self, peer: &Peer, argument: &str, starts: usize) -> Result<f64> {
        let before = measure::children_time()?;
        for _ in 0..starts {
            let mut command = Command::new(&self.0);
            command.arg(argument).envs(peer.variables()).stdout(Stdio::null());
            let status = command.status()?;
            if !status.success() {
                return Err(format!("{argument} under {}: {status}", peer.name).into());
            }
        }
        Ok((measure::children_time()? - before) / starts as f64)
    }
}

/// Lines of a name and a number.
fn figures(text: &str) -> BTreeMap<String, f64> {
    let pair = |line: &str| {
        let (name, number) = line.split_once(' ')?;
        Some((name.to_string(), number.parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::figures;

    #[test]
    fn figures_are_lines_of_two_words() {
        let found = figures("peak 4096\nnot a figure\nidle 2.5\n");
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("idle".to_string(), 2.5), ("peak".to_string(), 4096.0)]
        );
    }
}
