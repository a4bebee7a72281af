//! Other processes use a file while it is sorted in place: they wait, or are refused, or what they
//! write is told.
#![cfg(any(target_os = "linux", windows))]

#[path = "../../../tests/section_other/mod.rs"]
mod section_other;
#[path = "../../../tests/start/mod.rs"]
mod start;
#[path = "support/watched.rs"]
mod watched;

use granule_sort::{Error, Evidence, Kept, Options, Report, open_to_sort, sort_file_in_place};
use section_other::Other;
#[cfg(target_os = "linux")]
use section_other::sum;
use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use watched::Watched;

#[test]
fn other_process() {
    section_other::live();
}

const COUNT: usize = 500_000;
#[cfg(target_os = "linux")]
const LEN: usize = 8 * COUNT;
/// What others write.
const ALIEN: u64 = 0xeeee_eeee_eeee_eeee;

/// All different, none of them what others write.
fn numbers() -> impl Iterator<Item = u64> {
    (1..=COUNT as u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) & !(1 << 63))
}

/// A file that goes when the test does.
struct Data(PathBuf);

impl Data {
    fn new(name: &str) -> Self {
        let name = format!("granule-others-{name}-{}", std::process::id());
        let data = Data(std::env::temp_dir().join(name));
        data.fill();
        data
    }

    fn fill(&self) {
        let bytes: Vec<u8> = numbers().flat_map(u64::to_ne_bytes).collect();
        fs::write(&self.0, bytes).expect("there is room");
    }

    fn read(&self) -> Vec<u64> {
        let bytes = fs::read(&self.0).expect("it is there");
        bytes.as_chunks().0.iter().map(|number| u64::from_ne_bytes(*number)).collect()
    }

    fn journal(&self) -> PathBuf {
        let name = self.0.file_name().and_then(|name| name.to_str()).expect("it has a name");
        self.0.with_file_name(format!(".{name}.granule-sort"))
    }

    /// All elements are there, each once, and as many others as can have been written over some.
    fn check_elements(&self, aliens_max: usize) {
        let all: HashSet<u64> = numbers().collect();
        let found = self.read();
        let aliens = found.iter().filter(|&&number| number == ALIEN).count();
        let ours: HashSet<u64> = found.iter().copied().filter(|it| all.contains(it)).collect();
        assert_eq!((found.len(), ours.len() + aliens), (COUNT, COUNT));
        assert!(aliens <= aliens_max, "{aliens} were written");
        assert!(!self.journal().exists());
    }

    fn check_sorted(&self) {
        assert!(self.read().is_sorted());
        self.check_elements(0);
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.journal());
        let _ = fs::remove_file(&self.0);
    }
}

/// While elements are counted, distributed, and sorted.
const MOMENTS: [usize; 4] = [300_000, 800_000, 1_200_000, 1_900_000];

/// Sorts a file, with something that happens at a moment of it.
fn sort_when(
    file: &File,
    data: &Data,
    options: &Options<'_>,
    moment: usize,
    then: impl Fn() + Sync,
) -> Result<Report, Error> {
    let has_come = AtomicBool::new(false);
    let then = || {
        then();
        has_come.store(true, Ordering::Relaxed);
    };
    let shape = Watched::new(moment, then);
    // SAFETY: (1) is broken: what becomes of that is what the test is about.
    let sorted = unsafe { sort_file_in_place(file, &data.0, &shape, options) };
    assert!(has_come.into_inner(), "{moment} looks are more than there were: {sorted:?}");
    sorted
}

/// Nothing happens.
fn sort(file: &File, data: &Data) -> Result<Report, Error> {
    sort_when(file, data, &Options::default(), 1, || {})
}

/// As every program opens it.
fn open(path: &Path) -> File {
    File::options().read(true).write(true).open(path).expect("it is there")
}

fn options(threads: usize) -> Options<'static> {
    Options { threads, ..Options::default() }
}

/// A process that another test starts has, for a moment, all files that are open here: the lease
/// is to be had afterwards. `None` where there are none.
#[cfg(target_os = "linux")]
fn leased(data: &Data) -> Option<File> {
    use granule::ErrorKind;
    for _ in 0..2000 {
        let file = open(&data.0);
        match granule::section::Lease::of_file(&file).map(drop) {
            Ok(()) => return Some(file),
            Err(error) if error.kind() == ErrorKind::InUse => {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            Err(error) => {
                println!("skipped: {error}");
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                return None;
            }
        }
    }
    panic!("somebody has the file")
}

/// Waits until somebody waits for a file that is leased.
#[cfg(target_os = "linux")]
fn wait_for_him(file: &File) {
    use std::os::fd::AsRawFd;
    // SAFETY: asks only.
    while unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLEASE) } == libc::F_WRLCK {
        std::thread::yield_now();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn who_comes_meanwhile_waits_and_finds_it_sorted() {
    let data = Data::new("waits");
    let other = Mutex::new(Other::start());
    for (round, moment) in MOMENTS.into_iter().enumerate() {
        data.fill();
        let Some(file) = leased(&data) else { return };
        let come = || {
            other.lock().expect("no panic").tell("read", &data.0);
            wait_for_him(&file);
        };
        let report = sort_when(&file, &data, &options(1 + round % 2), moment, come);
        assert_eq!(report.expect("he waits").kept, Kept::Lease);
        data.check_sorted();
        let bytes = fs::read(&data.0).expect("it is there");
        let told = other.lock().expect("no panic").answer();
        assert_eq!(told, format!("{LEN} bytes, sum {}", sum(&bytes)));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_sort_stops_for_who_has_waited_too_long() {
    let data = Data::new("patience");
    let other = Mutex::new(Other::start());
    for moment in MOMENTS {
        for way in ["read", "write"] {
            data.fill();
            let Some(file) = leased(&data) else { return };
            let come = || {
                other.lock().expect("no panic").tell(way, &data.0);
                wait_for_him(&file);
            };
            let hurry = Options { patience: std::time::Duration::ZERO, ..options(1) };
            let error = sort_when(&file, &data, &hurry, moment, come).expect_err("he is let in");
            assert!(matches!(error, Error::Wanted { .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.contains("has all of its elements, in no order; sort it again"), "{text}");
            let told = other.lock().expect("no panic").answer();
            let bytes = fs::read(&data.0).expect("it is there");
            if way == "read" {
                assert_eq!(told, format!("{LEN} bytes, sum {}", sum(&bytes)));
            }
            data.check_elements(if way == "read" { 0 } else { 100_000 / 8 });
        }
    }
}

#[cfg(target_os = "linux")]
const PLAY: &str = "GRANULE_SORT_OTHERS";

/// Not a test of its own: a sort that waits to be killed.
#[cfg(target_os = "linux")]
#[test]
fn sorter() {
    let Some(path) = std::env::var_os(PLAY) else { return };
    let data = std::mem::ManuallyDrop::new(Data(path.into()));
    let Some(file) = leased(&data) else { return };
    let wait = || {
        println!("\nready");
        // Until it is killed, or its parent is gone.
        let _ = std::io::stdin().lines().count();
    };
    let _ = sort_when(&file, &data, &options(1), MOMENTS[1], wait);
}

/// True if somebody waits for the file, whose lease another process has.
#[cfg(target_os = "linux")]
fn is_waited_for(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let number = format!(":{}", fs::metadata(path).expect("it is there").ino());
    let locks = fs::read_to_string("/proc/locks").expect("it is mounted");
    locks.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.contains(&"BREAKING") && words.iter().any(|word| word.ends_with(&number))
    })
}

/// The sort is killed while somebody waits: he goes on waiting until the guardian is done.
#[cfg(target_os = "linux")]
#[test]
fn who_waits_for_a_killed_sort_finds_all_elements() {
    use std::process::Stdio;
    let data = Data::new("killed");
    if leased(&data).is_none() {
        return;
    }
    let mut other = Other::start();
    let mut sorter = start::again()
        .args(["sorter", "--exact", "--nocapture", "--test-threads=1"])
        .env(PLAY, &data.0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = start::Lines::of(sorter.stdout.take().expect("a pipe"));
    assert!(lines.any(|line| line == "ready"), "it has ended by itself");
    other.tell("read", &data.0);
    while !is_waited_for(&data.0) {
        std::thread::yield_now();
    }
    assert!(data.journal().exists());
    sorter.kill().expect("it is ours");
    let told = other.answer();
    let bytes = fs::read(&data.0).expect("it is there");
    assert_eq!(told, format!("{LEN} bytes, sum {}", sum(&bytes)));
    data.check_elements(0);
    assert!(!start::status(&mut sorter).success());
}

/// As after a time in which the process could not run: the system has let others in.
#[cfg(target_os = "linux")]
#[test]
fn a_lost_lease_is_told() {
    use std::os::fd::AsRawFd;
    let data = Data::new("lost");
    let Some(file) = leased(&data) else { return };
    let lose = || {
        // SAFETY: takes the lease away, and no memory is involved.
        let lost = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) };
        assert_eq!(lost, 0);
    };
    let error = sort_when(&file, &data, &options(1), MOMENTS[1], lose).expect_err("it is lost");
    assert!(matches!(error, Error::Written { evidence: Evidence::LeaseLost, .. }), "{error:?}");
    data.check_elements(0);
}

/// Who has the file open is not in the way, as long as he does not write.
#[test]
fn who_has_it_open_before_is_not_in_the_way() {
    let data = Data::new("before");
    let mut other = Other::start();
    let ways = ["keep-reading", "keep-writing", "keep-mapping"];
    for way in &ways[..if cfg!(unix) { 3 } else { 2 }] {
        data.fill();
        assert_eq!(other.does(way, &data.0), "");
        let report = sort(&open(&data.0), &data).expect("nobody writes");
        // Not every kernel counts who reads.
        assert!(report.kept == Kept::Nothing || *way == "keep-reading", "{way}: {report:?}");
        data.check_sorted();
        assert_eq!(other.does("close", &data.0), "");
    }
}

/// Writes of who had it open before.
#[test]
fn a_write_is_told() {
    let data = Data::new("writes");
    let other = Mutex::new(Other::start());
    assert_eq!(other.lock().expect("no panic").does("keep-writing", &data.0), "");
    for (round, moment) in MOMENTS.into_iter().enumerate() {
        data.fill();
        let write = || {
            let told = other.lock().expect("no panic").does("write", &data.0);
            assert_eq!(told, "");
        };
        let options = options(1 + round % 2);
        let sorted = sort_when(&open(&data.0), &data, &options, moment, write);
        if cfg!(not(target_os = "linux")) && sorted.is_ok() {
            // All was written where no element counted: it is lost, and nothing of the file.
            data.check_sorted();
            continue;
        }
        let error = sorted.expect_err("it was written to");
        let Error::Written { evidence, .. } = &error else { panic!("{error:?}") };
        assert!(*evidence == Evidence::Call || cfg!(not(target_os = "linux")), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("sort it again when no other program has it open"), "{text}");
        data.check_elements(100_000 / 8);
    }
}

/// A map that was made before, and whose file was closed since: no call tells of its stores.
#[cfg(unix)]
#[test]
fn stores_through_a_map_are_told() {
    let data = Data::new("map");
    let other = Mutex::new(Other::start());
    assert_eq!(other.lock().expect("no panic").does("keep-mapping", &data.0), "");
    for (round, moment) in MOMENTS.into_iter().cycle().take(12).enumerate() {
        data.fill();
        let (way, aliens_max) = [("store", COUNT), ("store-one", 1)][round % 2];
        let store = || {
            let told = other.lock().expect("no panic").does(way, &data.0);
            assert_eq!(told, "");
        };
        let options = options(1 + round % 2);
        match sort_when(&open(&data.0), &data, &options, moment, store) {
            Err(Error::Written { evidence: Evidence::Elements, .. }) => {
                data.check_elements(aliens_max);
            }
            // It went where no element counted: it is lost, and nothing of the file.
            Ok(report) if way == "store-one" => {
                assert_eq!(report.kept, Kept::Nothing);
                data.check_sorted();
            }
            other => panic!("{way}, {moment}: {other:?}"),
        }
    }
}

/// Nobody else can open a file that is open to be sorted.
#[cfg(windows)]
#[test]
fn who_comes_meanwhile_is_refused() {
    let data = Data::new("refused");
    let other = Mutex::new(Other::start());
    for moment in MOMENTS {
        data.fill();
        let file = open_to_sort(&data.0).expect("nobody has it");
        let come = || {
            for way in ["read", "write", "empty"] {
                let told = other.lock().expect("no panic").does(way, &data.0);
                assert!(told.contains("os error 32"), "{told}");
            }
        };
        let report = sort_when(&file, &data, &options(2), moment, come);
        assert_eq!(report.expect("he is refused").kept, Kept::ShareMode);
        drop(file);
        data.check_sorted();
    }
}

/// Who reads goes on reading, and who wants to write is refused.
#[cfg(windows)]
#[test]
fn a_reader_is_no_writer() {
    let data = Data::new("reader");
    let other = Mutex::new(Other::start());
    assert_eq!(other.lock().expect("no panic").does("keep-reading", &data.0), "");
    let file = open_to_sort(&data.0).expect("nobody writes");
    let come = || {
        let told = other.lock().expect("no panic").does("write", &data.0);
        assert!(told.contains("os error 32"), "{told}");
    };
    let report = sort_when(&file, &data, &options(1), MOMENTS[1], come).expect("it is sorted");
    assert_eq!(report.kept, Kept::ShareMode);
    drop(file);
    data.check_sorted();
}

#[test]
fn who_writes_is_in_the_way_of_opening_to_sort() {
    let data = Data::new("in-use");
    let mut other = Other::start();
    assert_eq!(other.does("keep-writing", &data.0), "");
    let opened = open_to_sort(&data.0);
    if cfg!(windows) {
        let error = opened.expect_err("he can write");
        assert!(matches!(error, Error::InUse { .. }), "{error:?}");
        assert!(error.to_string().contains("close it there"), "{error}");
    } else {
        opened.expect("he can be told of");
    }
    let error = open_to_sort(Path::new("no such file")).expect_err("nobody made it");
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
}
