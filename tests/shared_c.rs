//! C programs that know nothing of granule, and other users' memory: what is found under a name of
//! `shm_open`. Linux only.
#![cfg(target_os = "linux")]

mod shared_support;

use granule::section::Section;
use granule::section::shared::{Consumer, SharedMemory};
use granule::{ErrorKind, Op};
use shared_support::{kind, own_name, start};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;

const LEN: usize = 1000;

/// The C program, compiled once. `None`, and a sentence, without a compiler or under an emulator.
fn peer() -> Option<Command> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let compile = || {
        if std::env::var("GRANULE_TEST_RUNNER").is_ok_and(|with| !with.is_empty()) {
            return Err("the compiler makes programs for this machine".to_string());
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shared_support/peer.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let new = folder.join(format!("peer-{}", std::process::id()));
        let program = folder.join("peer");
        let mut cc = Command::new("cc");
        cc.args(["-Wall", "-Werror", "-o"]).arg(&new).arg(source).arg("-lrt");
        cc.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let output = start::finish(cc.spawn().map_err(|error| format!("cc: {error}"))?);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::rename(new, &program).expect("one folder");
        Ok(program)
    };
    match PROGRAM.get_or_init(compile) {
        Ok(program) => Some(Command::new(program)),
        Err(why) => {
            println!("skipped: {why}");
            None
        }
    }
}

/// Runs it to its end.
fn status(peer: &mut Command) -> ExitStatus {
    start::status(&mut peer.spawn().expect("it was compiled"))
}

/// Where the system has the names.
fn path(name: &str) -> PathBuf {
    Path::new("/dev/shm").join(name)
}

/// A file of another program's in /dev/shm, removed in the end.
struct Foreign(String);

impl Foreign {
    fn new(what: &str, len: u64) -> Option<Self> {
        let name = own_name(what)?;
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(path(&name));
        file.and_then(|file| file.set_len(len)).expect("the folder takes one");
        Some(Foreign(name))
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = fs::remove_file(path(&self.0));
    }
}

#[test]
fn what_a_c_program_has_made_is_opened_and_left_to_it() {
    let (Some(name), Some(mut peer)) = (own_name("c-made"), peer()) else { return };
    let mut peer = peer.args(["make", &name]);
    peer = peer.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut peer = peer.spawn().expect("it was compiled");
    let mut lines = start::Lines::of(peer.stdout.take().expect("asked for"));
    assert_eq!(lines.next().as_deref(), Some("<made>"));
    assert_eq!(kind(SharedMemory::create(&name, 8)), ErrorKind::AlreadyExists);
    let memory = SharedMemory::open(&name).expect("it was made");
    assert_eq!(memory.len(), LEN);
    assert_eq!(memory.creator().expect("the system says"), None, "it is none of ours");
    let words = memory.section().racy::<u64>(0..16).expect("inside");
    assert_eq!(words.load(0).expect("inside"), 17);
    words.store(1, 18).expect("inside");
    drop(memory);
    assert!(path(&name).exists(), "nobody of ours takes it away");
    peer.stdin.take().expect("asked for").write_all(b"go\n").expect("it listens");
    assert!(start::status(&mut peer).success());
    assert_eq!(kind(SharedMemory::open(&name)), ErrorKind::NotFound);
}

#[test]
fn a_c_program_finds_what_was_made_here() {
    let (Some(name), Some(mut peer)) = (own_name("c-finds"), peer()) else { return };
    let memory = SharedMemory::create(&name, LEN).expect("nobody has it");
    let words = memory.section().racy::<u64>(0..16).expect("inside");
    words.store(0, 27).expect("inside");
    let status = status(peer.args(["open", &name]));
    assert!(status.success(), "{status}");
    assert_eq!(words.load(1).expect("inside"), 28);
}

#[test]
fn memory_is_handed_to_a_c_program() {
    let Some(mut peer) = peer() else { return };
    let memory = Section::anonymous(LEN).expect("so little");
    let words = memory.racy::<u64>(0..16).expect("inside");
    words.store(0, 37).expect("inside");
    let handle = memory.to_handle().expect("a handle");
    let status = status(peer.arg("inherited").stdin(handle));
    assert!(status.success(), "{status}");
    assert_eq!(words.load(1).expect("inside"), 38);
}

/// A memfd as any program makes it, whole and sealed.
#[test]
fn a_memfd_is_received() {
    // SAFETY: the name ends with NUL.
    let number = unsafe { libc::memfd_create(c"foreign".as_ptr(), libc::MFD_ALLOW_SEALING) };
    assert!(number >= 0);
    // SAFETY: a number of our own.
    let memfd = unsafe { OwnedFd::from_raw_fd(number) };
    let mut file = File::from(memfd.try_clone().expect("a number"));
    file.write_all(&[9; 4096]).expect("memory takes it");
    // SAFETY: asks for one seal of our own file.
    let sealed = unsafe { libc::fcntl(number, libc::F_ADD_SEALS, libc::F_SEAL_SHRINK) };
    assert_eq!(sealed, 0);
    let section = Section::received(&memfd).expect("a file");
    drop((memfd, file));
    let view = section.racy::<u8>(0..4096).expect("addresses");
    view.store(5, 1).expect("inside");
    assert_eq!((view.load(4).expect("inside"), view.load(5).expect("inside")), (9, 1));
    let (reader, _writer) = std::io::pipe().expect("two handles");
    let error = Section::received(&reader).expect_err("a pipe cannot be mapped");
    assert_eq!((error.op(), error.kind()), (Op::Map, ErrorKind::Denied));
}

#[test]
fn rights_are_as_they_were_asked_for() {
    let Some(name) = own_name("rights") else { return };
    let memory = SharedMemory::create(&name, 8).expect("nobody has it");
    let rights = || fs::metadata(path(&name)).expect("it is there").mode() & 0o777;
    assert_eq!(rights(), 0o600);
    drop(memory);
    let options = SharedMemory::options().mode(0o400);
    let memory = options.create(&name, 8).expect("nobody has it");
    assert_eq!(rights(), 0o400);
    drop(memory);
    assert!(!path(&name).exists());
}

#[test]
fn what_another_user_has_made_is_not_opened_unless_allowed() {
    let Some(foreign) = Foreign::new("user", 64) else { return };
    let name = &foreign.0;
    if let Err(error) = chown(path(name), Some(12345), None) {
        println!("skipped: {error}");
        return;
    }
    let error = SharedMemory::open(name).expect_err("it is another user's");
    assert_eq!((error.op(), error.kind()), (Op::Share, ErrorKind::Denied));
    assert!(error.to_string().contains("another user's"), "{error}");
    // Marked as ours, and used by nobody: still theirs.
    fs::set_permissions(path(name), Permissions::from_mode(0o1600)).expect("root may");
    assert_eq!(kind(SharedMemory::create(name, 8)), ErrorKind::AlreadyExists);
    assert_eq!(kind(SharedMemory::open(name)), ErrorKind::Denied);
    fs::set_permissions(path(name), Permissions::from_mode(0o600)).expect("root may");
    let memory = SharedMemory::options().of_anybody(true).open(name).expect("root may");
    assert_eq!(memory.len(), 64);
    drop(memory);
    assert!(path(name).exists());
}

#[test]
fn a_link_a_folder_and_an_empty_file_are_no_memory() {
    let Some(name) = own_name("link") else { return };
    let target = Foreign::new("target", 64).expect("there are names");
    symlink(path(&target.0), path(&name)).expect("the folder takes one");
    let _link = Foreign(name.clone());
    assert_eq!(kind(SharedMemory::open(&name)), ErrorKind::Denied);
    assert_eq!(kind(SharedMemory::create(&name, 8)), ErrorKind::AlreadyExists);
    let Some(folder) = own_name("folder") else { return };
    fs::create_dir(path(&folder)).expect("the folder takes one");
    assert_eq!(kind(SharedMemory::open(&folder)), ErrorKind::Denied);
    assert_eq!(kind(SharedMemory::create(&folder, 8)), ErrorKind::AlreadyExists);
    fs::remove_dir(path(&folder)).expect("it is empty");
    let empty = Foreign::new("empty", 0).expect("there are names");
    let memory = SharedMemory::open(&empty.0).expect("a file that has no length yet");
    assert!(memory.is_empty());
    assert_eq!(kind(memory.lock(0)), ErrorKind::OutOfRange);
    assert_eq!(kind(Consumer::open(&empty.0)), ErrorKind::Corrupt);
}

/// Another process makes the memory shorter: errors, and no signal.
#[test]
fn memory_that_becomes_shorter_is_truncated() {
    use granule::section::shared::{Producer, Reset};
    let Some(name) = own_name("short") else { return };
    let memory = SharedMemory::create(&name, 1 << 16).expect("nobody has it");
    let event = memory.event(0, Reset::Auto).expect("inside");
    let lock = memory.lock(64).expect("inside");
    let file = OpenOptions::new().write(true).open(path(&name)).expect("it is there");
    file.set_len(0).expect("nothing seals it");
    assert_eq!(kind(event.wait(None)), ErrorKind::Truncated);
    assert_eq!(kind(memory.event(1 << 15, Reset::Auto)), ErrorKind::Truncated);
    drop(lock);
    let Some(name) = own_name("short-ring") else { return };
    let mut producer = Producer::create(&name, 4096).expect("nobody has it");
    let file = OpenOptions::new().write(true).open(path(&name)).expect("it is there");
    let mut consumer = Consumer::open(&name).expect("it was made");
    producer.send(b"before", None).expect("there is room");
    drop(consumer.receive(None).expect("it was sent"));
    producer.send(b"lost", None).expect("there is room");
    file.set_len(0).expect("nothing seals it");
    assert_eq!(kind(consumer.receive(None)), ErrorKind::Truncated);
    let told = (0..1000).find_map(|_| producer.send(&[0; 100], None).err());
    assert_eq!(told.map(|error| error.kind()), Some(ErrorKind::Truncated));
}
