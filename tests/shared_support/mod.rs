//! For the tests of shared memory: names of one's own, and processes that play a role.
#![allow(dead_code, reason = "every test program uses another part of it")]

#[path = "../start/mod.rs"]
pub(crate) mod start;

use granule::section::shared::SharedMemory;
use granule::{Error, ErrorKind};
use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const ROLE: &str = "GRANULE_TEST_ROLE";
const NAME: &str = "GRANULE_TEST_NAME";

/// Longer than anything takes that comes at all: a test that waits so long has failed.
pub(crate) const LONG: Option<Duration> = Some(Duration::from_secs(60));

/// A name that nobody else has. `None`, and a sentence, where there are no names.
pub(crate) fn own_name(what: &str) -> Option<String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("granule-test-{what}-{}-{number}", std::process::id());
    if let Err(error) = SharedMemory::open(&name)
        && error.kind() == ErrorKind::Unsupported
    {
        println!("skipped: {error}");
        return None;
    }
    Some(name)
}

pub(crate) fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.expect_err("this must be refused").kind()
}

/// A command that plays the test `played` of this program, as `role`.
pub(crate) fn command(played: &str, role: &str, name: &str) -> Command {
    let mut command = start::again();
    command
        .args([played, "--exact", "--nocapture", "--test-threads=1"])
        .envs([(ROLE, role), (NAME, name)]);
    command
}

/// Another process, which plays a role with a name. It is killed when this is dropped.
pub(crate) struct Player {
    child: Child,
    input: ChildStdin,
    output: start::Lines,
}

impl Player {
    /// Starts the test `played` of this program in another process, as `role`.
    pub(crate) fn start(played: &str, role: &str, name: &str) -> Self {
        let mut command = command(played, role, name);
        let mut child = start::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let input = child.stdin.take().expect("asked for");
        let output = start::Lines::of(child.stdout.take().expect("asked for"));
        Player { child, input, output }
    }

    /// Waits until it has said a line with this word in it.
    pub(crate) fn expect(&mut self, word: &str) {
        let mut heard = Vec::new();
        let word = format!("<{word}>");
        loop {
            match self.output.next() {
                Some(line) if line.contains(&word) => return,
                Some(line) => heard.push(line),
                None => panic!("it ended without {word}: {heard:#?}"),
            }
        }
    }

    /// Has it go on: see [`pause`].
    pub(crate) fn go(&mut self) {
        self.input.write_all(b"go\n").expect("it listens");
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is ours");
        start::status(&mut self.child);
    }

    /// Waits for its end, which must be a good one.
    pub(crate) fn finish(mut self) {
        let status = start::status(&mut self.child);
        assert!(status.success(), "{status}");
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_some()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // It may have ended, or been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The role and the name, in a process that was started to play one.
pub(crate) fn role() -> Option<(String, String)> {
    Some((std::env::var(ROLE).ok()?, std::env::var(NAME).ok()?))
}

/// Says a word to whoever started this process.
pub(crate) fn say(word: &str) {
    println!("<{word}>");
}

/// Waits for the one who started this process to say so, for ever if it never does.
pub(crate) fn pause() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a pipe");
    if line.is_empty() {
        std::process::exit(1); // it has ended
    }
}

/// Random enough for moments: the same in each run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}
