//! For the tests of safe views: another process that does with files what it is told.
#![allow(dead_code, reason = "every test program uses another part of it")]

use crate::start;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};

const ROLE: &str = "GRANULE_TEST_OTHER";
/// The answers stand between what the test harness prints.
const ANSWER: &str = "other: ";

/// Another process, until it is dropped.
pub(crate) struct Other {
    process: Child,
    to: Option<ChildStdin>,
    from: start::Lines,
}

impl Other {
    pub(crate) fn start() -> Self {
        let mut command = start::again();
        command
            .args(["--exact", "other_process", "--nocapture", "--test-threads=1"])
            .env(ROLE, "1");
        let mut process = start::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let to = process.stdin.take();
        let from = start::Lines::of(process.stdout.take().expect("a pipe"));
        Other { process, to, from }
    }

    /// Has it begin.
    pub(crate) fn tell(&mut self, what: &str, path: &Path) {
        let to = self.to.as_mut().expect("it listens");
        writeln!(to, "{what} {}", path.display()).expect("it listens");
    }

    /// Waits until it is done. What it says is the error of the system, or nothing.
    pub(crate) fn answer(&mut self) -> String {
        loop {
            let line = self.from.next().expect("the other process lives");
            if let Some((_, answer)) = line.split_once(ANSWER) {
                return answer.trim().to_owned();
            }
        }
    }

    /// Both.
    pub(crate) fn does(&mut self, what: &str, path: &Path) -> String {
        self.tell(what, path);
        self.answer()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.to.take());
        // It ends with its input.
        start::status(&mut self.process);
    }
}

/// The life of the other process; in the test itself nothing.
pub(crate) fn live() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let mut kept = Kept::default();
    for line in io::stdin().lines() {
        let line = line.expect("text");
        let (what, path) = line.split_once(' ').expect("two words");
        match act(what, Path::new(path), &mut kept) {
            Ok(told) => println!("{ANSWER}{told}"),
            Err(error) => println!("{ANSWER}{error}"),
        }
    }
}

/// What the other process has of files.
#[derive(Default)]
struct Kept {
    files: Vec<File>,
    /// Maps of files that are not open any more.
    #[cfg(unix)]
    maps: Vec<Map>,
}

fn act(what: &str, path: &Path, kept: &mut Kept) -> io::Result<String> {
    let mut writer = File::options();
    writer.write(true);
    match what {
        // The three ways to take bytes away, or to change them.
        "empty" => drop(writer.truncate(true).open(path)?),
        "shorten" => truncate(path, 5000)?,
        #[cfg(unix)]
        "empty-by-reading" => {
            use std::os::unix::fs::OpenOptionsExt;
            drop(File::options().read(true).custom_flags(libc::O_TRUNC).open(path)?);
        }
        "write" => {
            let mut file = writer.open(path)?;
            file.seek(SeekFrom::Start(4096))?;
            file.write_all(&[0xee; 100_000])?;
        }
        "replace" => fs::write(path, [0xdd; 50_000])?,
        "remove" => fs::remove_file(path)?,
        #[cfg(unix)]
        "stop-and-write" => {
            let parent = std::os::unix::process::parent_id() as i32;
            // SAFETY: stops the test that has asked for it.
            assert_eq!(unsafe { libc::kill(parent, libc::SIGSTOP) }, 0);
            let told = fs::write(path, [0xdd; 50_000]);
            // SAFETY: as above.
            assert_eq!(unsafe { libc::kill(parent, libc::SIGCONT) }, 0);
            told?;
        }
        "read" => {
            let content = fs::read(path)?;
            return Ok(format!("{} bytes, sum {}", content.len(), sum(&content)));
        }
        // To have it open, until `close`.
        "keep-reading" => kept.files.push(File::open(path)?),
        "keep-writing" => kept.files.push(writer.read(true).open(path)?),
        #[cfg(unix)]
        "keep-mapping" => kept.maps.push(Map::of(path)?),
        #[cfg(unix)]
        "store" => kept.maps.iter().for_each(|map| map.store(0..map.len, 0xee)),
        #[cfg(unix)]
        "store-one" => {
            kept.maps.iter().for_each(|map| map.store(map.len / 2..map.len / 2 + 8, 0xee))
        }
        "close" => *kept = Kept::default(),
        _ => panic!("{what}?"),
    }
    Ok(String::new())
}

/// Tries again while somebody has the file. Processes that other tests start have, for a moment,
/// all files that are being written here: until they run their own program, or end.
pub(crate) fn when_left<T>(
    attempt: impl Fn() -> io::Result<T>,
    is_in_use: impl Fn(&io::Error) -> bool,
) -> io::Result<T> {
    for _ in 0..2000 {
        match attempt() {
            Err(error) if is_in_use(&error) => {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            told => return told,
        }
    }
    attempt()
}

/// A number that says whether two files are equal.
pub(crate) fn sum(content: &[u8]) -> u64 {
    content.iter().fold(7, |sum, &byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

/// A file that was mapped to be written, and closed.
#[cfg(unix)]
struct Map {
    start: *mut u8,
    len: usize,
}

#[cfg(unix)]
impl Map {
    fn of(path: &Path) -> io::Result<Self> {
        use std::os::fd::AsRawFd;
        let file = File::options().read(true).write(true).open(path)?;
        let len = file.metadata()?.len() as usize;
        let (rights, sharing) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        let nowhere = std::ptr::null_mut();
        // SAFETY: new addresses.
        let start = unsafe { libc::mmap(nowhere, len, rights, sharing, file.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Map { start: start.cast(), len })
    }

    fn store(&self, range: std::ops::Range<usize>, byte: u8) {
        for place in range {
            // SAFETY: inside the map.
            let target = unsafe { self.start.add(place) };
            // SAFETY: it can be written.
            unsafe { target.write_volatile(byte) };
        }
    }
}

#[cfg(unix)]
impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: ours, and not used again.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}

/// By path, without a file of one's own.
#[cfg(unix)]
fn truncate(path: &Path, len: i64) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path ends with a zero and lives through the call.
    match unsafe { libc::truncate(path.as_ptr(), len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(windows)]
fn truncate(path: &Path, len: i64) -> io::Result<()> {
    File::options().write(true).open(path)?.set_len(len as u64)
}
