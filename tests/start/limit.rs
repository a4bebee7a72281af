//! Programs that a test waits for: for a time, and not for ever. One that takes longer is killed
//! with all that it has started, and the test fails with what it had said.

use super::RUNNER;
use std::fs;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any of them takes on a slow machine that has much else to do.
pub(crate) fn limit() -> Duration {
    let is_slow = cfg!(windows) || std::env::var(RUNNER).is_ok_and(|with| !with.is_empty());
    Duration::from_secs(if is_slow { 600 } else { 240 })
}

/// Runs a command that reads nothing to its end: [`Command::output`] with a limit.
pub(crate) fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(super::spawn(command))
}

/// Waits for the end of a child, and for all that it says where that was asked for:
/// [`Child::wait_with_output`] with a limit.
pub(crate) fn finish(child: Child) -> Output {
    finish_in(child, limit())
}

/// The same with a limit of the caller's.
pub(crate) fn finish_in(mut child: Child, limit: Duration) -> Output {
    let end = Instant::now() + limit;
    drop(child.stdin.take());
    let mut said = [Said::by(child.stdout.take()), Said::by(child.stderr.take())];
    let has_spoken = said.iter_mut().all(|stream| stream.listen(end));
    let status = if has_spoken { status_until(&mut child, end) } else { None };
    let Some(status) = status else {
        kill_all(&mut child);
        // What has come meanwhile.
        said.iter_mut().for_each(|stream| {
            stream.listen(Instant::now());
        });
        let [stdout, stderr] = said.map(|stream| stream.text());
        panic!("the program has not ended in {limit:?}; it said:\n{stdout}\n{stderr}");
    };
    let [stdout, stderr] = said.map(|stream| stream.bytes);
    Output { status, stdout, stderr }
}

/// Waits for the end of a child whose words nobody collects: [`Child::wait`] with a limit.
pub(crate) fn status(child: &mut Child) -> ExitStatus {
    drop(child.stdin.take());
    let limit = limit();
    status_until(child, Instant::now() + limit).unwrap_or_else(|| {
        kill_all(child);
        panic!("the program has not ended in {limit:?}");
    })
}

fn status_until(child: &mut Child, end: Instant) -> Option<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait().expect("it is ours") {
            return Some(status);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Ends it as `kill -9` does, and what it has started.
fn kill_all(child: &mut Child) {
    let all = descendants(child.id());
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
    for id in all {
        // It may have ended by now.
        let _ = Command::new("kill").args(["-9", &id.to_string()]).stderr(Stdio::null()).status();
    }
}

/// What it has started, and what that has, where the kernel tells: on Linux.
fn descendants(id: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let mut all = Vec::new();
    for id in lists.collect::<String>().split_whitespace() {
        let id = id.parse().expect("a list of numbers");
        all.push(id);
        all.extend(descendants(id));
    }
    all
}

/// What a child says, read by a thread of its own so that nobody has to wait for it.
struct Said {
    parts: Receiver<Vec<u8>>,
    bytes: Vec<u8>,
}

impl Said {
    /// By nobody: nothing, which has ended.
    fn by(stream: Option<impl Read + Send + 'static>) -> Self {
        let (sender, parts) = channel();
        if let Some(mut stream) = stream {
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(len) = stream.read(&mut buffer)
                    && len > 0
                    && sender.send(buffer[..len].to_vec()).is_ok()
                {}
            });
        }
        Said { parts, bytes: Vec::new() }
    }

    /// Takes what comes until its end, or that of the time: true if it has ended.
    fn listen(&mut self, end: Instant) -> bool {
        loop {
            match self.parts.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(part) => self.bytes.extend(part),
                Err(error) => return error == RecvTimeoutError::Disconnected,
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// The lines that a child says, each of them awaited for a time.
pub(crate) struct Lines {
    said: Said,
    /// Bytes of lines that were told already.
    told: usize,
}

impl Lines {
    pub(crate) fn of(stream: impl Read + Send + 'static) -> Self {
        Lines { said: Said::by(Some(stream)), told: 0 }
    }
}

impl Iterator for Lines {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let limit = limit();
        let end = Instant::now() + limit;
        loop {
            let rest = &self.said.bytes[self.told..];
            if let Some(len) = rest.iter().position(|&byte| byte == b'\n') {
                let line = String::from_utf8_lossy(&rest[..len]).into_owned();
                self.told += len + 1;
                return Some(line);
            }
            match self.said.parts.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(part) => self.said.bytes.extend(part),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("no line has come in {limit:?}; it said:\n{}", self.said.text())
                }
            }
        }
    }
}
