//! Pages of safe views that the disk does not give: they read zero, it is told, and nobody dies.
//! Needs disks of its own, which are made in a namespace and go away with it.
#![cfg(target_os = "linux")]

mod start;

use granule::ErrorKind;
use granule::section::{Access, Durability, Exclusive, FreezePolicy, Frozen, Proof, Section};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PAGE_LEN: usize = 4096;
const DISK: &str = "GRANULE_TEST_DISK";
/// What a script ends with that cannot make its disk.
const NO_DISK: i32 = 77;

/// Runs a test of this program once more, in a process that has the disk which `script` mounts at
/// `$1`. `None`: this is the process that has started it, and all is said.
fn on_a_disk(test: &str, options: &[&str], script: &str) -> Option<PathBuf> {
    if let Some(disk) = std::env::var_os(DISK) {
        return Some(disk.into());
    }
    if std::env::var_os(start::RUNNER).is_some() {
        println!("skipped: qemu tells the host's address of a lost page, not the program's");
        return None;
    }
    let folder = std::env::temp_dir().join(format!("granule-{test}-{}", std::process::id()));
    fs::create_dir_all(folder.join("disk")).expect("the folder for temporary files takes one");
    let script = format!("cd \"$1\" || exit {NO_DISK}\n{script}\nshift; exec \"$@\"");
    let again = start::again();
    let mut command = Command::new("unshare");
    command.args(options).args(["--mount", "sh", "-c", &script, "sh"]).arg(&folder);
    command.arg(again.get_program()).args(again.get_args());
    command.args(["--exact", test, "--nocapture"]).env(DISK, folder.join("disk"));
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let output = child.map(start::finish);
    fs::remove_dir_all(&folder).expect("the disk is gone");
    let Ok(output) = output else {
        println!("skipped: there is no unshare");
        return None;
    };
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    let text = text.concat();
    if output.status.code() == Some(NO_DISK) || text.contains("unshare: ") {
        println!("skipped: no disk can be mounted here: {text}");
        return None;
    }
    assert!(output.status.success(), "{} {text}", output.status);
    let mut said =
        text.lines().filter(|line| line.contains("told: ") || line.contains("skipped: "));
    println!("{}", said.next().expect("one of them is said"));
    None
}

/// A small disk in memory, of whose files more is promised than there is.
const FULL: &str = "mount -t tmpfs -o size=4m tmpfs disk || exit 77";

fn sparse_file(disk: &Path) -> PathBuf {
    let path = disk.join("file");
    File::create(&path).and_then(|file| file.set_len(8 << 20)).expect("a file with holes");
    path
}

#[test]
fn a_store_that_finds_no_place_is_told() {
    let test = "a_store_that_finds_no_place_is_told";
    let Some(disk) = on_a_disk(test, &["--map-root-user"], FULL) else { return };
    let path = sparse_file(&disk);
    let mut view = match Exclusive::open(&path) {
        Ok(view) => view,
        Err(error) => return println!("skipped: {error}"),
    };
    for page in view.chunks_mut(PAGE_LEN) {
        page.fill(7);
    }
    let valid = view.valid_len();
    assert!(!view.is_intact() && (1 << 20..=4 << 20).contains(&valid), "{valid}");
    assert!(view[..valid].iter().all(|&byte| byte == 7));
    view.flush(0..valid, Durability::Data).expect("so much has a place");
    let error = view.flush(0..8 << 20, Durability::Data).expect_err("and so much has none");
    assert_eq!(error.kind(), ErrorKind::Truncated);
    drop(view);
    assert!(fs::read(&path).expect("it is there")[..valid].iter().all(|&byte| byte == 7));
    println!("told: {error}");
}

/// A disk that loses its second half: reads of it are errors of the device (EIO).
const BROKEN: &str = "\
truncate -s 64m image && mkfs.ext4 -q -O ^has_journal image && mount -o loop image disk || exit 77
head -c 40000000 /dev/zero | tr '\\0' v > disk/file && sync disk/file
umount disk && mount -o loop image disk && truncate -s 24m image || exit 77";

fn is_v_or_lost(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == b'v') || bytes.iter().all(|&byte| byte == 0)
}

#[test]
fn a_disk_that_fails_is_told() {
    let Some(disk) = on_a_disk("a_disk_that_fails_is_told", &[], BROKEN) else { return };
    let path = disk.join("file");
    let view = match Frozen::open_with(&path, FreezePolicy::Require) {
        Ok(view) => view,
        Err(error) => return println!("skipped: {error}"),
    };
    assert_eq!((view.proof(), view.is_intact()), (Proof::Lease, true));
    let mut lost = 0;
    for page in view.chunks(PAGE_LEN).step_by(50) {
        assert!(is_v_or_lost(page));
        lost += usize::from(page[0] == 0);
    }
    let valid = view.valid_len();
    assert!(lost > 0 && !view.is_intact() && valid < view.len(), "{lost} {valid}");
    drop(view);

    let file = File::open(&path).expect("its name can be read");
    let section = Section::of_file(&file, Access::Read).expect("an open file");
    let words = section.racy::<u64>(0..40_000_000).expect("addresses");
    let last = words.load(5_000_000 - 1);
    let told = last.map_err(|error| error.kind());
    assert!(told == Err(ErrorKind::Truncated) || told == Ok(0x7676_7676_7676_7676), "{told:?}");
    println!("told: {lost} pages, valid {valid}");
}
