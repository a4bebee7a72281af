//! One run of one command: how long, how much memory, how it ended.
//!
//! A command is measured by a process of its own (`granule-bench measure`), because the kernel
//! keeps the peak of the memory over all children of a process. That process is also the wrapper
//! that `scripts/real-programs.sh` puts in front of a program, so that making the inputs and
//! comparing the outputs stay outside the figures.

use crate::Result;
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, OpenOptions};
use std::hint::black_box;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    /// By itself, with this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// Killed by us, after so many seconds.
    Timeout(u64),
}

impl fmt::Display for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            End::Exit(0) => write!(out, "finishes"),
            End::Exit(status) => write!(out, "exit {status}"),
            End::Signal(number) => match Signal::try_from(number) {
                Ok(signal) => write!(out, "dies, {signal}"),
                Err(_) => write!(out, "dies, signal {number}"),
            },
            End::Timeout(seconds) => write!(out, "over {seconds} s"),
        }
    }
}

/// One measured run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Wall time.
    pub(crate) seconds: f64,
    /// Time on processors, in the program and in the kernel, with all children.
    pub(crate) cpu_seconds: f64,
    /// The largest resident size of one process of the run, in bytes.
    pub(crate) peak_rss: u64,
    /// Page faults that needed no disk.
    pub(crate) minor_faults: u64,
    /// How it ended.
    pub(crate) end: End,
}

impl Run {
    /// Two commands of one program, one after the other.
    pub(crate) fn then(self, next: Run) -> Run {
        Run {
            seconds: self.seconds + next.seconds,
            cpu_seconds: self.cpu_seconds + next.cpu_seconds,
            peak_rss: self.peak_rss.max(next.peak_rss),
            minor_faults: self.minor_faults + next.minor_faults,
            end: if self.end == End::Exit(0) { next.end } else { self.end },
        }
    }
}

/// The words that measure the command behind them into `record`.
pub(crate) fn wrapper(record: &Path, timeout: Duration) -> Result<Vec<String>> {
    let text = |path: &Path| path.to_str().map(String::from).ok_or("a path is not text");
    Ok(vec![
        text(&std::env::current_exe()?)?,
        "measure".to_string(),
        text(record)?,
        timeout.as_secs().to_string(),
    ])
}

/// The runs that were recorded in a file: none if there is no file.
pub(crate) fn recorded(record: &Path) -> Result<Vec<Run>> {
    let text = fs::read_to_string(record).unwrap_or_default();
    Ok(text.lines().map(serde_json::from_str).collect::<serde_json::Result<_>>()?)
}

/// `granule-bench measure RECORD SECONDS COMMAND...`: adds one line to the record. Ends with the
/// status of the command, or 128 and the number of its signal.
pub(crate) fn child(words: &[String]) -> Result<ExitCode> {
    let [record, seconds, command @ ..] = words else {
        return Err("measure RECORD SECONDS COMMAND...".into());
    };
    let (program, arguments) = command.split_first().ok_or("no command to measure")?;
    let timeout = Duration::from_secs(seconds.parse()?);
    let (run, code) = measure(Command::new(program).args(arguments), timeout)?;
    let mut file = OpenOptions::new().create(true).append(true).open(record)?;
    writeln!(file, "{}", serde_json::to_string(&run)?)?;
    Ok(ExitCode::from(code))
}

fn measure(command: &mut Command, timeout: Duration) -> Result<(Run, u8)> {
    let before = Instant::now();
    let mut child = command.process_group(0).spawn()?;
    let group = Pid::from_raw(i32::try_from(child.id())?);
    forward_end(group)?;
    let (done, wait) = channel();
    let watch = thread::spawn(move || kill_late(group, &wait, timeout));
    let status = child.wait()?;
    let seconds = before.elapsed().as_secs_f64();
    // The watch may be gone already: then it has killed the command.
    done.send(()).ok();
    let late = watch.join().map_err(|_| "the watch over a command ended early")?;
    let end = if late { End::Timeout(timeout.as_secs()) } else { end_of(status) };
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let run = Run {
        seconds,
        cpu_seconds: processor_time(&usage),
        // The kernel counts in KiB.
        peak_rss: u64::try_from(usage.max_rss())? << 10,
        minor_faults: u64::try_from(usage.minor_page_faults())?,
        end,
    };
    Ok((run, shell_code(status)))
}

/// Time on processors of all children that have ended, in seconds.
pub(crate) fn children_time() -> Result<f64> {
    Ok(processor_time(&getrusage(UsageWho::RUSAGE_CHILDREN)?))
}

fn processor_time(usage: &Usage) -> f64 {
    let microseconds =
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    microseconds as f64 / 1e6
}

/// Kills the command too if we are asked to end. (After the start: a command inherits what is
/// blocked.)
fn forward_end(group: Pid) -> Result<()> {
    let mut asked = SigSet::empty();
    asked.add(Signal::SIGTERM);
    asked.thread_block()?;
    thread::spawn(move || {
        if asked.wait().is_ok() {
            killpg(group, Signal::SIGKILL).ok();
        }
    });
    Ok(())
}

/// Kills the command when its time is over. True if it was.
fn kill_late(group: Pid, wait: &Receiver<()>, timeout: Duration) -> bool {
    let late = wait.recv_timeout(timeout) == Err(RecvTimeoutError::Timeout);
    if late {
        // It may have ended at this very moment.
        killpg(group, Signal::SIGKILL).ok();
    }
    late
}

fn end_of(status: ExitStatus) -> End {
    match status.code() {
        Some(code) => End::Exit(code),
        None => End::Signal(status.signal().unwrap_or(0)),
    }
}

fn shell_code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// `granule-bench touch BYTES`: touches so much memory and gives it back.
///
/// A guest hands free memory back to its host; the next program that takes it pays for fetching it.
/// Touching as much as a program will need, before it is measured, makes all runs pay alike.
pub(crate) fn touch(words: &[String]) -> Result<()> {
    let len: usize = words.first().ok_or("touch BYTES")?.parse()?;
    let mut memory = vec![0_u8; len];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    black_box(&memory);
    Ok(())
}

/// Touches and frees in a process of its own, so that its memory is in nobody's figures.
pub(crate) fn warm_up(len: u64) -> Result<()> {
    let status =
        Command::new(std::env::current_exe()?).args(["touch", &len.to_string()]).status()?;
    if !status.success() {
        eprintln!("no warm-up with {} MB: {status}", len / 1_000_000);
    }
    Ok(())
}
