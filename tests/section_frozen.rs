//! Frozen views: bytes that stay as they are, whatever others do to the file.

mod section_other;
mod section_support;
mod start;

use granule::section::{FreezePolicy, Frozen, Proof, ViewMut};
use granule::{Error, ErrorKind, Op};
use section_other::Other;
use section_support::{OwnFile, pattern};
use std::fs::File;
#[cfg(target_os = "linux")]
use std::io::Write;
use std::path::Path;
#[cfg(target_os = "linux")]
use std::path::PathBuf;

const LEN: usize = 300_000;

#[test]
fn other_process() {
    section_other::live();
}

/// The file held still without a copy; `None`, with a message, where that is not to be had.
fn held(file: &Path) -> Option<Frozen> {
    let of_ours = |error: &std::io::Error| {
        let error = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
        error.map(|error| (error.op(), error.kind()))
    };
    let freeze = || Frozen::open_with(file, FreezePolicy::Require);
    let in_use = Some((Op::Hold, ErrorKind::InUse));
    match section_other::when_left(freeze, |error| of_ours(error) == in_use) {
        Ok(frozen) => {
            assert_ne!(frozen.proof(), Proof::Copy);
            Some(frozen)
        }
        Err(error) => {
            println!("skipped: {error}");
            assert_eq!(of_ours(&error), Some((Op::Hold, ErrorKind::Unsupported)));
            None
        }
    }
}

fn told<T: std::fmt::Debug>(result: Result<T, Error>) -> (Op, ErrorKind) {
    let error = result.expect_err("this must be refused");
    println!("{error}");
    (error.op(), error.kind())
}

#[test]
fn a_frozen_view_shows_any_part_of_a_file() {
    let bytes = pattern(LEN);
    let file = OwnFile::new(&bytes);
    let reader = File::open(&file).expect("it is there");
    for policy in [FreezePolicy::AllowCopy, FreezePolicy::Copy] {
        for start in [0, 1, 4095, 4096, 65_535, 65_537, LEN - 1] {
            for len in [0, 1, 4096, 70_000, LEN] {
                let end = (start + len).min(LEN);
                let range = start as u64..end as u64;
                let view = Frozen::of_range(&reader, range, policy).expect("inside");
                assert_eq!((&view[..], view.offset()), (&bytes[start..end], start as u64));
                assert!(policy == FreezePolicy::AllowCopy || view.proof() == Proof::Copy);
            }
        }
    }
    let inverted = std::ops::Range { start: 9, end: 3 };
    for range in [0..LEN as u64 + 1, u64::MAX - 1..u64::MAX, inverted] {
        for policy in [FreezePolicy::AllowCopy, FreezePolicy::Copy] {
            let error = told(Frozen::of_range(&reader, range.clone(), policy));
            assert_eq!(error, (Op::Map, ErrorKind::OutOfRange));
        }
    }
}

#[test]
fn an_empty_file_is_an_empty_view() {
    let file = OwnFile::new(b"");
    for policy in [FreezePolicy::AllowCopy, FreezePolicy::Copy] {
        let view = Frozen::open_with(&file, policy).expect("an empty file");
        assert_eq!((&view[..], view.proof()), (&b""[..], Proof::Copy));
        assert_eq!(view.as_slice_of::<u64>().expect("none"), [0u64; 0]);
    }
}

#[test]
fn values_are_seen() {
    let words = [1u64, u64::MAX, 3];
    let file = OwnFile::new(granule::section::bytes_of(&words));
    let view = Frozen::open(&file).expect("a small file");
    assert_eq!(view.as_slice_of::<u64>().expect("three words"), words);
    assert_eq!(told(view.as_slice_of::<[u8; 5]>()), (Op::Cast, ErrorKind::OutOfRange));
}

#[test]
fn a_view_says_what_it_is() {
    let file = OwnFile::new(b"abc");
    let view = Frozen::open_with(&file, FreezePolicy::Copy).expect("a small file");
    assert_eq!(format!("{view:?}"), "Frozen(3 bytes at offset 0, Copy)");
    let missing = Frozen::open(file.with_extension("not-there")).expect_err("nobody made it");
    assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
    assert!(Frozen::open(std::env::temp_dir()).is_err());
    let (reader, _writer) = std::io::pipe().expect("two handles are to be had");
    #[cfg(unix)]
    let pipe = File::from(std::os::fd::OwnedFd::from(reader));
    #[cfg(windows)]
    let pipe = File::from(std::os::windows::io::OwnedHandle::from(reader));
    for policy in [FreezePolicy::Require, FreezePolicy::AllowCopy, FreezePolicy::Copy] {
        assert_eq!(told(Frozen::of_file(&pipe, policy)), (Op::Map, ErrorKind::Unsupported));
    }
}

/// A writer is in the way, in this process or another one; a view that outlives its file is one.
#[test]
fn whoever_can_write_is_in_the_way() {
    let bytes = pattern(LEN);
    let file = OwnFile::new(&bytes);
    let Some(frozen) = held(&file) else { return };
    drop(frozen);
    let refused = |why: &str| {
        let reader = File::open(&file).expect("it is there");
        let error = told(Frozen::of_file(&reader, FreezePolicy::Require));
        assert_eq!(error, (Op::Hold, ErrorKind::InUse), "{why}");
        let error = Frozen::open_with(&file, FreezePolicy::Require).expect_err(why);
        assert_eq!(error.kind(), std::io::ErrorKind::ResourceBusy, "{error}");
        let copy = Frozen::of_file(&reader, FreezePolicy::AllowCopy).expect(why);
        assert_eq!((&copy[..], copy.proof()), (&bytes[..], Proof::Copy));
    };
    let writer = file.open();
    refused("our own file");
    let error = told(Frozen::of_file(&writer, FreezePolicy::Require));
    assert_eq!(error, (Op::Hold, ErrorKind::InUse));
    // SAFETY: (1) to (3): nobody touches the bytes.
    let view = unsafe { ViewMut::of_file(&writer) }.expect("open for both");
    drop(writer);
    refused("our own view");
    drop(view);
    let mut other = Other::start();
    assert_eq!(other.does("keep-writing", &file), "");
    refused("a file of another process");
    assert_eq!(other.does("close", &file), "");
    assert_eq!(other.does("keep-reading", &file), "");
    assert_eq!(held(&file).expect("readers do no harm")[..], bytes[..]);
}

/// Two hundred times another process empties, shortens, overwrites or replaces the file, at any
/// moment of two threads' reading. They see the same bytes all the time.
#[cfg(target_os = "linux")]
#[test]
fn nothing_that_others_do_is_seen() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let bytes = pattern(LEN);
    let mut other = Other::start();
    let ways = ["empty", "shorten", "write", "replace", "remove"];
    for round in 0..200usize {
        let file = OwnFile::new(&bytes);
        let Some(view) = held(&file) else { return };
        let (first, last) = (view.as_ptr(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let read = || {
                let mut looks = 0;
                while !last.load(Ordering::Acquire) || looks == 0 {
                    assert!(view[..] == bytes[..], "round {round}");
                    looks += 1;
                }
                looks
            };
            let readers = [scope.spawn(read), scope.spawn(read)];
            (0..round * 37 % 5000).for_each(|_| std::hint::spin_loop());
            assert_eq!(other.does(ways[round % ways.len()], &file), "");
            last.store(true, Ordering::Release);
            for reader in readers {
                reader.join().expect("it has seen no change");
            }
        });
        assert_eq!((view.as_ptr(), view[..] == bytes[..]), (first, true));
        // Without its name the file is as it was.
        let is_left = ways[round % ways.len()] == "remove";
        assert_eq!(view.proof(), if is_left { Proof::Lease } else { Proof::Copy });
    }
}

/// The same with parts of a file, whose pages show more of it than was asked for.
#[cfg(target_os = "linux")]
#[test]
fn parts_and_many_views_stay_as_well() {
    let bytes = pattern(LEN);
    let file = OwnFile::new(&bytes);
    if held(&file).is_none() {
        return;
    }
    let mut other = Other::start();
    let others = [OwnFile::new(&bytes), OwnFile::new(b"x")];
    let reader = File::open(&file).expect("it is there");
    let parts: Vec<_> = (0..300usize)
        .map(|number| {
            let start = number * 997 % LEN;
            let range = start as u64..(start + 1 + number * 7919 % (LEN - start)) as u64;
            Frozen::of_range(&reader, range, FreezePolicy::Require).expect("nobody writes")
        })
        .collect();
    let wholes: Vec<_> = others.iter().map(|file| held(file).expect("as above")).collect();
    assert_eq!(other.does("replace", &file), "");
    for part in &parts {
        let start = part.offset() as usize;
        assert_eq!(part[..], bytes[start..start + part.len()]);
        assert_eq!(part.proof(), Proof::Copy);
    }
    assert!(wholes.iter().all(|view| view.proof() == Proof::Lease));
    assert_eq!(file.content(), [0xdd; 50_000]);
}

/// A drop gives the file free: who waits comes in, and so does the next one, at once.
#[cfg(target_os = "linux")]
#[test]
fn a_drop_lets_writers_in() {
    let file = OwnFile::new(&pattern(LEN));
    let Some(first) = held(&file) else { return };
    let second = held(&file).expect("two views do no harm");
    drop(first);
    assert_eq!(second.proof(), Proof::Lease);
    drop(second);
    // Nobody keeps the file: without waiting it can be opened for writing.
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    let mut writer = options.write(true).custom_flags(libc::O_NONBLOCK).open(&file);
    writer.as_mut().expect("nobody has it").write_all(b"x").expect("a writer");
}

/// This process is held back like any other, and goes on like any other.
#[cfg(target_os = "linux")]
#[test]
fn a_writer_of_this_process_waits_too() {
    let bytes = pattern(LEN);
    let file = OwnFile::new(&bytes);
    let Some(view) = held(&file) else { return };
    std::fs::write(&file, b"short").expect("it waits, and writes");
    assert_eq!((view[..] == bytes[..], view.proof()), (true, Proof::Copy));
    assert_eq!(file.content(), b"short");
    let again = held(&file).expect("the old view has the file no more");
    assert_eq!(again[..], *b"short");
}

/// Views that are dropped while the keeper moves them, by many threads.
#[cfg(target_os = "linux")]
#[test]
fn views_come_and_go_while_files_are_written() {
    let file = OwnFile::new(&pattern(LEN));
    if held(&file).is_none() {
        return;
    }
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for round in 0..200usize {
                    let view = Frozen::open(&file).expect("it is there");
                    let seen = view.to_vec();
                    (0..round * 113 % 3000).for_each(|_| std::hint::spin_loop());
                    assert!(view[..] == seen[..]);
                }
            });
        }
        for round in 0..60u8 {
            let mut writer = File::options().write(true).open(&file).expect("it comes in");
            writer.write_all(&[round; 10_000]).expect("a writer");
        }
    });
}

/// The child of a fork has no view, and the parent's stays.
#[cfg(target_os = "linux")]
#[test]
fn a_child_does_not_have_the_view() {
    use std::os::unix::process::ExitStatusExt;
    let bytes = pattern(LEN);
    let file = OwnFile::new(&bytes);
    let Some(view) = held(&file) else { return };
    let fork = |child: &dyn Fn() -> i32| {
        // SAFETY: the child makes plain system calls and ends.
        let process = unsafe { libc::fork() };
        assert!(process >= 0);
        if process == 0 {
            let status = child();
            // SAFETY: ends the child.
            unsafe { libc::_exit(status) };
        }
        let mut status = -1;
        // SAFETY: `status` outlives the call.
        assert_eq!(unsafe { libc::waitpid(process, &raw mut status, 0) }, process);
        std::process::ExitStatus::from_raw(status)
    };
    // SAFETY: inside the view.
    let touch = || i32::from(unsafe { view.as_ptr().read_volatile() });
    let is_emulated = std::env::var_os(start::RUNNER).is_some();
    if is_emulated {
        println!("skipped: an emulator knows no MADV_DONTFORK, and no threads in a child");
    }
    assert!(is_emulated || fork(&touch).signal() == Some(libc::SIGSEGV));
    // A drop in the child gives nothing free that is the parent's.
    let leave = || {
        // SAFETY: read once, and dropped in the child only.
        drop(unsafe { std::ptr::read(&raw const view) });
        0
    };
    assert_eq!(fork(&leave).code(), Some(0));
    assert_eq!(view.proof(), Proof::Lease);
    // The child of the child can have a view of its own, with a keeper of its own.
    let open = || i32::from(held(&file).is_none_or(|own| own[..] != bytes[..]));
    assert!(is_emulated || fork(&open).code() == Some(0));
    let mut other = Other::start();
    assert_eq!(other.does("write", &file), "");
    assert_eq!((view[..] == bytes[..], view.proof()), (true, Proof::Copy));
    // A copy is memory like any other, and children have it.
    let same = || i32::from(view[..] != bytes[..]);
    assert_eq!(fork(&same).code(), Some(0));
}

/// Runs a test of this program once more with `bytes` in a file, in a process that may die: `Err`
/// is what became of it, with what it said; `Ok` says that this is that process, and which the file
/// is.
#[cfg(target_os = "linux")]
fn in_a_process_of_its_own(test: &str, bytes: &[u8]) -> Result<PathBuf, (Option<i32>, String)> {
    use std::os::unix::process::ExitStatusExt;
    const ROLE: &str = "GRANULE_TEST_DYING";
    if let Some(path) = std::env::var_os(ROLE) {
        return Ok(path.into());
    }
    let file = OwnFile::new(bytes);
    let mut command = start::again();
    command.args(["--exact", test, "--nocapture"]).env(ROLE, &*file);
    let output = start::output(&mut command);
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Err((output.status.signal(), text.concat()))
}

/// What POSIX leaves undefined, and the kernel lets through: the pages are gone, and nobody dies.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_is_emptied_by_a_reader_is_lost_and_told() {
    let bytes = pattern(LEN);
    for emptied_before in [false, true] {
        let file = OwnFile::new(&bytes);
        let Some(view) = held(&file) else { return };
        assert_eq!((view.is_intact(), view.valid_len()), (true, LEN));
        let mut other = Other::start();
        assert_eq!(other.does("empty-by-reading", &file), "");
        assert_eq!(view.proof(), Proof::Lease, "nobody was held back");
        if emptied_before {
            // The copy that this one waits for has nothing to copy.
            assert_eq!(other.does("write", &file), "");
            assert_eq!(view.proof(), Proof::Copy);
        }
        assert!(view.iter().all(|&byte| byte == 0));
        assert_eq!((view.is_intact(), view.valid_len()), (false, 0));
        drop(view);
        assert_eq!(other.does("write", &file), "");
    }
}

/// Threads that read while the file is emptied and written again and again see old bytes or zeros.
#[cfg(target_os = "linux")]
#[test]
fn readers_live_while_a_file_is_emptied() {
    let bytes = pattern(LEN);
    let mut other = Other::start();
    for _ in 0..8 {
        let file = OwnFile::new(&bytes);
        let Some(view) = held(&file) else { return };
        std::thread::scope(|scope| {
            let read = || {
                for _ in 0..8 {
                    let is_old = |(at, &byte): (usize, &u8)| byte == bytes[at] || byte == 0;
                    assert!(view.iter().enumerate().all(is_old));
                }
            };
            let readers = [scope.spawn(read), scope.spawn(read)];
            for what in ["empty-by-reading", "write"] {
                assert_eq!(other.does(what, &file), "");
            }
            for reader in readers {
                reader.join().expect("no other byte");
            }
        });
        assert!(!view.is_intact());
    }
}

/// A view for whose copy there is no room is taken away: the writer comes in, and it reads zero.
#[cfg(target_os = "linux")]
#[test]
fn a_view_that_cannot_be_copied_reads_zero() {
    let test = "a_view_that_cannot_be_copied_reads_zero";
    let file = match in_a_process_of_its_own(test, &vec![b'v'; 64 << 20]) {
        Ok(file) => file,
        Err((signal, text)) => {
            let words = ["could not be copied: ", "reads zero from now on", "it is told"];
            let is_told = words.iter().all(|words| text.contains(words));
            assert!(
                signal.is_none() && (is_told || text.contains("skipped: ")),
                "{signal:?} {text}"
            );
            return;
        }
    };
    let Some(view) = held(&file) else { return };
    let status = std::fs::read_to_string("/proc/self/statm").expect("readable");
    let pages: u64 = status.split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
    let most = pages * 4096 + (16 << 20);
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the structure lives through the call; this process is here for that.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
    if Vec::<u8>::new().try_reserve_exact(64 << 20).is_ok() {
        println!("skipped: no such limit here, as under an emulator");
        return;
    }
    std::fs::write(&file, "other bytes").expect("it comes in");
    assert!(view.iter().all(|&byte| byte == 0));
    assert_eq!((view.is_intact(), view.valid_len(), view.proof()), (false, 0, Proof::Copy));
    println!("it is told");
}

/// A process that was stopped for longer than the kernel waits finds that out, and ends. Needs
/// root, and a setting of the whole machine: `GRANULE_TEST_MACHINE=1`.
#[cfg(target_os = "linux")]
#[test]
fn a_process_that_was_stopped_for_too_long_ends() {
    const SETTING: &str = "/proc/sys/fs/lease-break-time";
    if std::env::var_os("GRANULE_TEST_MACHINE").is_none() {
        println!("skipped: this would change {SETTING}; set GRANULE_TEST_MACHINE=1");
        return;
    }
    let before = std::fs::read(SETTING).expect("readable");
    std::fs::write(SETTING, "1").expect("this is root");
    let test = "a_process_that_was_stopped_for_too_long_ends";
    let file = match in_a_process_of_its_own(test, &pattern(LEN)) {
        Ok(file) => file,
        Err((signal, text)) => {
            std::fs::write(SETTING, before).expect("this is root");
            let is_told = text.contains("was stopped for longer");
            let is_fit = signal == Some(libc::SIGABRT) && is_told || text.contains("skipped: ");
            assert!(is_fit, "{signal:?} {text}");
            return;
        }
    };
    let Some(_view) = held(&file) else { return };
    // It stops this process, waits until the kernel lets it in, and has it go on.
    Other::start().tell("stop-and-write", &file);
    loop {
        std::thread::park(); // until the keeper ends the process
    }
}

/// Memory that was sealed needs no lease; half-sealed memory is no proof.
#[cfg(target_os = "linux")]
#[test]
fn sealed_memory_is_proof_for_good() {
    use std::os::fd::{AsRawFd, FromRawFd};
    let memory = |seals: i32| {
        // SAFETY: the name ends with a zero.
        let file = unsafe { libc::memfd_create(c"granule".as_ptr(), libc::MFD_ALLOW_SEALING) };
        assert!(file >= 0, "{}", std::io::Error::last_os_error());
        // SAFETY: opened a moment ago.
        let mut file = unsafe { File::from_raw_fd(file) };
        file.write_all(&pattern(LEN)).expect("memory");
        // SAFETY: an open file.
        let sealed = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) };
        assert_eq!(sealed, 0, "{}", std::io::Error::last_os_error());
        file
    };
    let sealed = memory(libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK);
    let view = Frozen::of_range(&sealed, 5000..LEN as u64, FreezePolicy::Require);
    let view = view.expect("sealed");
    drop(sealed);
    assert_eq!((&view[..], view.proof()), (&pattern(LEN)[5000..], Proof::Sealed));
    for seals in [libc::F_SEAL_SHRINK, libc::F_SEAL_SHRINK | libc::F_SEAL_FUTURE_WRITE] {
        let half = memory(seals);
        let error = told(Frozen::of_file(&half, FreezePolicy::Require));
        // The kernel would grant a lease, although the memory is open for writing.
        assert_eq!(error, (Op::Hold, ErrorKind::Unsupported));
        let copy = Frozen::of_file(&half, FreezePolicy::AllowCopy).expect("a copy");
        assert_eq!((&copy[..], copy.proof()), (&pattern(LEN)[..], Proof::Copy));
    }
}

/// fs-verity keeps a file for good, where the file system has it.
#[cfg(target_os = "linux")]
#[test]
fn a_file_with_verity_needs_no_lease() {
    use std::os::fd::AsRawFd;
    /// `struct fsverity_enable_arg`: version 1, SHA-256, blocks of a page, no salt, no signature.
    const SHA_256: [u32; 32] = {
        let mut words = [0; 32];
        (words[0], words[1], words[2]) = (1, 1, 4096);
        words
    };
    const FS_IOC_ENABLE_VERITY: u64 = 0x4080_6685;
    let file = OwnFile::new(&pattern(LEN));
    let reader = File::open(&file).expect("it is there");
    // SAFETY: an open file; the kernel reads the structure.
    let told =
        unsafe { libc::ioctl(reader.as_raw_fd(), FS_IOC_ENABLE_VERITY as _, SHA_256.as_ptr()) };
    if told != 0 {
        println!("skipped: no fs-verity here: {}", std::io::Error::last_os_error());
        return;
    }
    let view = Frozen::of_file(&reader, FreezePolicy::Require).expect("kept for good");
    assert_eq!((view[..] == pattern(LEN), view.proof()), (true, Proof::Verity));
}

/// Windows refuses writers, and nobody waits.
#[cfg(windows)]
#[test]
fn writers_are_refused() {
    let bytes = pattern(LEN);
    let file = OwnFile::new(&bytes);
    let view = held(&file).expect("nobody has it");
    assert_eq!(view.proof(), Proof::ShareMode);
    let mut other = Other::start();
    for way in ["empty", "shorten", "write", "replace", "keep-writing"] {
        assert!(other.does(way, &file).contains("os error 32"), "{way}");
        assert!(view[..] == bytes[..]);
    }
    assert_eq!(other.does("keep-reading", &file), "");
    let second = held(&file).expect("two views do no harm");
    drop(view);
    assert!(other.does("write", &file).contains("os error 32"));
    assert!(second[..] == bytes[..]);
    drop(second);
    assert_eq!(other.does("close", &file), "");
    assert_eq!(other.does("write", &file), "");
}
