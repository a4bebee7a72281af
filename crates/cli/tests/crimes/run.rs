//! Runs an executable, natively or under the finder.

use crate::build::Executable;
use crate::verdicts::Placement;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A program that takes longer hangs. None of them takes a second.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// How to run the finder.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) guard: &'static str,
    pub(crate) placement: Placement,
}

/// How a program ended and what it left.
pub(crate) struct Outcome {
    /// The status as a shell shows it: 128 and the number of the signal that killed.
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// What `--json` wrote.
    pub(crate) json: String,
}

/// Runs `executable` without the finder. `directory` is for its output.
pub(crate) fn natively(executable: &Executable, directory: &Path) -> Result<Outcome, String> {
    let mut command = Command::new(&executable.path);
    command.args(&executable.arguments);
    finish(command, directory)
}

/// Runs `executable` under the finder.
pub(crate) fn under_finder(
    executable: &Executable,
    way: Way,
    directory: &Path,
) -> Result<Outcome, String> {
    let json = directory.join("json");
    if json.exists() {
        fs::remove_file(&json).map_err(|error| error.to_string())?;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_granule"));
    command.env_remove("GRANULE_GUARD");
    command.args(["stomp", "--guard", way.guard]).args(way.placement.options());
    command.arg("--json").arg(&json);
    command.arg("--").arg(&executable.path).args(&executable.arguments);
    let outcome = finish(command, directory)?;
    let json = fs::read_to_string(json).map_err(|error| format!("the file of --json: {error}"))?;
    Ok(Outcome { json, ..outcome })
}

fn finish(mut command: Command, directory: &Path) -> Result<Outcome, String> {
    let (stdout, stderr) = (directory.join("stdout"), directory.join("stderr"));
    let file = |path: &Path| File::create(path).map_err(|error| error.to_string());
    command.stdin(Stdio::null()).stdout(file(&stdout)?).stderr(file(&stderr)?);
    let child = command.spawn().map_err(|error| error.to_string())?;
    let exit = shown_by_shell(wait(child)?);
    let read = |path: &Path| fs::read(path).map_err(|error| error.to_string());
    Ok(Outcome {
        exit,
        stdout: String::from_utf8_lossy(&read(&stdout)?).into_owned(),
        stderr: String::from_utf8_lossy(&read(&stderr)?).into_owned(),
        json: String::new(),
    })
}

fn wait(mut child: Child) -> Result<ExitStatus, String> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok(status);
        }
        if begun.elapsed() > HANGS_AFTER {
            child.kill().map_err(|error| error.to_string())?;
            child.wait().map_err(|error| error.to_string())?;
            return Err("it hangs".to_string());
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn shown_by_shell(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}
