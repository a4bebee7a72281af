//! Leases of files that a program has opened itself.

mod section_other;
mod section_support;
mod start;

use granule::section::Lease;
use granule::{Error, ErrorKind, Op};
use section_other::{Other, sum};
use section_support::{OwnFile, pattern};
use std::fs::File;
use std::io;

const LEN: usize = 300_000;

#[test]
fn other_process() {
    section_other::live();
}

fn told(error: &io::Error) -> Option<(Op, ErrorKind)> {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    error.map(|error| (error.op(), error.kind()))
}

const IN_USE: (Op, ErrorKind) = (Op::Hold, ErrorKind::InUse);

/// The lease of a file; `None`, with a message, where there are none.
fn leased(file: &File) -> Option<Lease<'_>> {
    let lease = || Ok(Lease::of_file(file)?);
    let error = match section_other::when_left(lease, |error| told(error) == Some(IN_USE)) {
        Ok(lease) => return Some(lease),
        Err(error) => error,
    };
    println!("skipped: {error}");
    assert_eq!(told(&error), Some((Op::Hold, ErrorKind::Unsupported)));
    None
}

/// Waits until somebody waits.
fn wait_for_him(lease: &Lease<'_>) {
    while !lease.is_wanted() {
        std::thread::yield_now();
    }
}

#[test]
fn who_comes_waits_until_it_ends() {
    let bytes = pattern(LEN);
    let own = OwnFile::new(&bytes);
    let file = own.open();
    let mut other = Other::start();
    for is_dropped in [true, false] {
        let Some(lease) = leased(&file) else { return };
        assert!(!lease.is_wanted());
        other.tell("read", &own);
        wait_for_him(&lease);
        match is_dropped {
            true => drop(lease),
            false => assert!(lease.end(), "it was held to the end"),
        }
        assert_eq!(other.answer(), format!("{LEN} bytes, sum {}", sum(&bytes)));
    }
    assert!(!Lease::break_time().is_zero());
}

#[test]
fn whoever_has_the_file_is_in_the_way() {
    let own = OwnFile::new(&pattern(LEN));
    let file = own.open();
    if leased(&file).is_none() {
        return;
    }
    let mut other = Other::start();
    // A map of a file that was closed keeps it open.
    for what in ["keep-reading", "keep-writing", "keep-mapping"] {
        assert_eq!(other.does(what, &own), "");
        let error = Lease::of_file(&file).expect_err(what);
        assert_eq!((error.op(), error.kind()), IN_USE, "{what}");
        assert_eq!(other.does("close", &own), "");
    }
    assert!(leased(&file).is_some());
    let reader = File::open(&*own).expect("it is there");
    let error = Lease::of_file(&reader).expect_err("it is open twice");
    assert_eq!((error.op(), error.kind()), IN_USE);
}

#[cfg(target_os = "linux")]
#[test]
fn a_lease_that_was_taken_away_is_told() {
    use std::os::fd::AsRawFd;
    let own = OwnFile::new(&pattern(LEN));
    let file = own.open();
    let Some(lease) = leased(&file) else { return };
    // SAFETY: no memory is involved.
    let lost = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) };
    assert_eq!(lost, 0);
    assert!(lease.is_wanted());
    assert!(!lease.end());
}

/// The child of a fork has no lease, and takes nothing from the parent.
#[cfg(target_os = "linux")]
#[test]
fn a_child_does_not_have_it() {
    let own = OwnFile::new(&pattern(LEN));
    let file = own.open();
    let Some(lease) = leased(&file) else { return };
    // SAFETY: the child makes plain system calls and ends.
    let process = unsafe { libc::fork() };
    assert!(process >= 0);
    if process == 0 {
        // SAFETY: read once, in the child only.
        let copy = unsafe { std::ptr::read(&raw const lease) };
        let failed = copy.is_wanted() || copy.end();
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(failed)) };
    }
    let mut status = -1;
    // SAFETY: `status` outlives the call.
    assert_eq!(unsafe { libc::waitpid(process, &raw mut status, 0) }, process);
    assert_eq!(status, 0);
    assert!(!lease.is_wanted());
    assert!(lease.end(), "it is the parent's as before");
}
