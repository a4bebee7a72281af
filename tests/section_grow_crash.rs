//! Growing files whose process dies, or whose disk is full.

mod section_support;
mod vm_support;

use granule::section::{GrowBuilder, GrowMap};
use section_support::OwnFile;
use std::env;
use std::path::Path;
use std::process::Stdio;
use vm_support::start;

const FILE: &str = "GRANULE_TEST_FILE";
const RECORD: usize = 56;
/// Records, at most: a parent that has died does not kill.
const RECORDS_MAX: usize = 1 << 20;

fn builder() -> GrowBuilder {
    GrowMap::builder().max(RECORD * RECORDS_MAX).step(64 << 10)
}

fn open(path: &Path) -> GrowMap {
    // SAFETY: (1), (2): the file is the test's own, and its other process is dead.
    unsafe { builder().open(path) }.expect("there is room")
}

/// Seven words that belong together.
fn record(index: usize) -> [u64; RECORD / 8] {
    std::array::from_fn(|word| (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ word as u64)
}

/// How many records there are; each of them is whole.
fn check(map: &GrowMap) -> usize {
    let records = map.as_slice_of::<[u64; RECORD / 8]>().expect("whole records");
    for (index, told) in records.iter().enumerate() {
        assert_eq!(*told, record(index), "record {index}");
    }
    records.len()
}

/// Appends records for ever, and says so now and then.
fn append_until_killed(path: &Path) {
    let mut map = open(path);
    for index in check(&map)..RECORDS_MAX {
        map.push(record(index)).expect("there is room");
        if index % 500 == 0 {
            println!("\nappended: {}", index + 1);
        }
    }
}

/// Killed at any moment, in the middle of an append or of a growth, the process leaves whole
/// records, all that it said it had appended, and a file that tells how many they are.
#[test]
fn killed_at_any_moment_every_record_is_whole() {
    const NAME: &str = "killed_at_any_moment_every_record_is_whole";
    if let Ok(path) = env::var(FILE) {
        return append_until_killed(path.as_ref());
    }
    let file = OwnFile::new(b"");
    let mut before = 0;
    for round in 0..25 {
        let mut command = vm_support::again();
        command.args([NAME, "--exact", "--nocapture", "--test-threads=1"]).env(FILE, &*file);
        let mut child = start::spawn(command.stdout(Stdio::piped()));
        let lines = start::Lines::of(child.stdout.take().expect("a pipe"));
        let mut appended =
            lines.filter_map(|line| line.strip_prefix("appended: ")?.parse::<usize>().ok());
        let told = appended.nth(round % 9).expect("the child appends until it is killed");
        child.kill().expect("it runs");
        start::status(&mut child);
        let told = appended.last().unwrap_or(told); // what it said before it died
        let mut map = open(&file);
        let recovered = map.recovered().expect("it was not closed");
        let count = check(&map);
        assert_eq!(recovered.len, count * RECORD);
        assert!(count >= told && told > before, "{count} records, {told} told, {before} before");
        if round % 2 == 0 {
            map.push(record(count)).expect("there is room");
            map.close().expect("it can be cut");
            assert_eq!(file.content().len(), (count + 1) * RECORD);
        } else {
            drop(map);
        }
        before = count;
    }
}

/// Appends records until the disk is full, and goes on when there is place again.
#[cfg(target_os = "linux")]
fn fill_up(path: &Path) {
    use granule::{ErrorKind, Op};
    let mut map = open(path);
    let error = loop {
        if let Err(error) = map.push(record(map.len() / RECORD)) {
            break error;
        }
    };
    assert_eq!((error.op(), error.kind()), (Op::Resize, ErrorKind::DiskFull), "{error}");
    let count = check(&map);
    assert!(count * RECORD > 700 << 10, "{count} records only");
    for _ in 0..3 {
        assert_eq!(map.push(record(count)).expect_err("still full").kind(), ErrorKind::DiskFull);
    }
    assert_eq!(check(&map), count);
    // What is written again has its place.
    map.truncate(count / 2 * RECORD);
    for index in count / 2..count {
        map.push(record(index)).expect("it has a place");
    }
    assert_eq!(check(&map), count);
    map.close().expect("it can be cut");
    let content = std::fs::read(path).expect("it is there");
    assert_eq!(content.len(), count * RECORD);
    assert_eq!(check(&open(path)), count);
}

#[cfg(target_os = "linux")]
#[test]
fn a_limit_of_files_is_an_error_and_no_signal() {
    vm_support::in_own_process("a_limit_of_files_is_an_error_and_no_signal", &[], || {
        let file = OwnFile::new(b"");
        vm_support::limit(libc::RLIMIT_FSIZE, 1 << 20);
        fill_up(&file);
    });
}

#[cfg(target_os = "linux")]
fn c_path(path: &Path) -> std::ffi::CString {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).expect("no zero in it")
}

/// What is not mounted, or may not be, stays as it is.
#[cfg(target_os = "linux")]
fn unmount(place: &Path) {
    // SAFETY: a name that ends with 0, and lives through the call.
    let _ = unsafe { libc::umount2(c_path(place).as_ptr(), libc::MNT_DETACH) };
}

/// A disk of 1 MiB, which nobody else sees, and which goes with the process.
#[cfg(target_os = "linux")]
fn mount_small_disk(place: &Path) -> bool {
    let place = c_path(place);
    let nothing = std::ptr::null();
    // SAFETY: this process gets mounts of its own.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return false;
    }
    let private = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: names that end with 0, and live through the call.
    let alone =
        unsafe { libc::mount(c"none".as_ptr(), c"/".as_ptr(), nothing, private, nothing.cast()) };
    let (kind, size) = (c"tmpfs".as_ptr(), c"size=1m".as_ptr());
    // SAFETY: as above; seen by this process only.
    alone == 0 && unsafe { libc::mount(kind, place.as_ptr(), kind, 0, size.cast()) } == 0
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_no_signal() {
    vm_support::in_own_process("a_full_disk_is_an_error_and_no_signal", &[], || {
        let place = env::temp_dir().join(format!("granule-disk-{}", std::process::id()));
        std::fs::create_dir(&place).expect("the folder takes one");
        if mount_small_disk(&place) {
            fill_up(&place.join("file"));
            std::fs::remove_file(place.join("file")).expect("it is there");
            // Two files that fight for the disk.
            let [mut one, mut other] = ["one", "other"].map(|name| open(&place.join(name)));
            let (mut ones, mut others) = (0, 0);
            while one.push(record(ones)).is_ok() && other.push(record(others)).is_ok() {
                (ones, others) = (ones + 1, others + 1);
            }
            assert_eq!((check(&one) - ones < 2, check(&other)), (true, others));
        } else {
            println!("skipped: this process may not mount a small disk");
        }
        unmount(&place);
        std::fs::remove_dir(&place).expect("it is empty again");
    });
}
