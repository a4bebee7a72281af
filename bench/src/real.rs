//! The real programs of `scripts/real-programs.sh`, measured one by one under any words in front.

use crate::Result;
use crate::measure::{self, Run};
use crate::tools;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// The script at one scale, with a folder for inputs and outputs; removed when it is dropped.
pub(crate) struct Script {
    scale: String,
    timeout: Duration,
    folder: PathBuf,
}

impl Script {
    pub(crate) fn new(scale: &str, timeout: Duration) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("granule-bench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Script { scale: scale.to_string(), timeout, folder })
    }

    /// The names that the script lists.
    pub(crate) fn programs(&self) -> Result<Vec<String>> {
        let output = self.command().arg("--list").output()?;
        let text = String::from_utf8(output.stdout)?;
        let names = text.lines().filter_map(|line| line.split_whitespace().next());
        Ok(names.map(String::from).collect())
    }

    /// Runs a program plainly: makes its inputs, fills the caches, and keeps what it must write.
    /// False, with a sentence, if it is not installed.
    pub(crate) fn prepare(&self, program: &str) -> Result<bool> {
        if self.run(program, &[])?.is_none() {
            eprintln!("{program}: skipped, not installed");
            return Ok(false);
        }
        fs::copy(self.file(program, "output"), self.expected(program))?;
        Ok(true)
    }

    /// Runs a prepared program once; whether its output is that of the plain run.
    pub(crate) fn once(&self, program: &str, wrapper: &[OsString]) -> Result<(Run, bool)> {
        let run = self.run(program, wrapper)?.ok_or("a program was removed")?;
        let same = fs::read(self.file(program, "output"))? == fs::read(self.expected(program))?;
        Ok((run, same))
    }

    /// A file that the last run of a program has left.
    pub(crate) fn file(&self, program: &str, name: &str) -> PathBuf {
        self.folder.join("out").join(program).join(name)
    }

    fn expected(&self, program: &str) -> PathBuf {
        self.folder.join(format!("{program}.expected"))
    }

    fn command(&self) -> Command {
        let mut command = Command::new("bash");
        command.arg(tools::root().join("scripts/real-programs.sh")).args(["--scale", &self.scale]);
        command
    }

    /// Runs one program once; none if it is not installed.
    fn run(&self, program: &str, wrapper: &[OsString]) -> Result<Option<Run>> {
        let record = self.folder.join("record");
        if record.exists() {
            fs::remove_file(&record)?;
        }
        let output = self
            .command()
            .args(["--only", program, "--inputs"])
            .arg(self.folder.join("inputs"))
            .arg("--out")
            .arg(self.folder.join("out"))
            .arg("--")
            .args(measure::wrapper(&record, self.timeout)?)
            .args(wrapper)
            .output()?;
        let runs = measure::recorded(&record)?;
        let run = runs.into_iter().reduce(Run::then);
        if run.is_none() && !String::from_utf8_lossy(&output.stdout).contains("skipped: ") {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{program} under {wrapper:?} was not measured: {said}").into());
        }
        Ok(run)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("{} stays: {error}", self.folder.display());
        }
    }
}
