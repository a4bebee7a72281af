//! For the tests of the vm floor: witnesses outside the library, and processes of one's own.
#![allow(dead_code, reason = "every test program uses another part of it")]

use granule::vm::{Region, Reservation, State};
use std::env;
#[cfg(target_os = "linux")]
use std::ops::Range;
use std::process::Output;

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
pub(crate) mod system;

#[cfg(target_os = "linux")]
pub(crate) mod filters;
pub(crate) mod means;
#[path = "../start/mod.rs"]
pub(crate) mod start;

/// The test program once more.
pub(crate) fn again() -> std::process::Command {
    start::again()
}

/// Lets the kernel read the byte: false where an access would fault.
pub(crate) fn kernel_reads(addr: usize) -> bool {
    let (_reader, writer) = std::io::pipe().expect("two handles are to be had");
    system::write_byte(&writer, addr)
}

/// The byte at `offset`, which must be in a readable page.
pub(crate) fn byte_at(reservation: &Reservation, offset: usize) -> u8 {
    assert!(kernel_reads(reservation.base() + offset), "offset {offset:#x} must be readable");
    // SAFETY: the offset lies inside the reservation.
    let byte = unsafe { reservation.as_ptr().add(offset) };
    // SAFETY: the kernel could read it a moment ago and no other thread works on it.
    unsafe { byte.read_volatile() }
}

/// Writes the byte at `offset`, which must be in a page committed for writing.
pub(crate) fn put(reservation: &Reservation, offset: usize, value: u8) {
    assert_eq!(state_at(reservation, offset), State::Committed);
    // SAFETY: the offset lies inside the reservation.
    let byte = unsafe { reservation.as_ptr().add(offset) };
    // SAFETY: the page is committed, for writing says the test, and no other thread works on it.
    unsafe { byte.write_volatile(value) };
}

pub(crate) fn region_at(reservation: &Reservation, offset: usize) -> Region {
    reservation.query(offset).expect("a tracked reservation and an offset inside")
}

pub(crate) fn state_at(reservation: &Reservation, offset: usize) -> State {
    region_at(reservation, offset).state
}

/// The mappings of the process with their `VmFlags`, as /proc/self/smaps has them.
#[cfg(target_os = "linux")]
fn mappings() -> Vec<(Range<usize>, Vec<String>)> {
    let text = std::fs::read_to_string("/proc/self/smaps").expect("smaps is readable");
    let mut mappings = Vec::new();
    let mut last = 0..0;
    for line in text.lines() {
        let range = line.split(' ').next().and_then(|word| word.split_once('-'));
        if let Some((start, end)) = range
            && let (Ok(start), Ok(end)) =
                (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16))
        {
            last = start..end;
        } else if let Some(flags) = line.strip_prefix("VmFlags:") {
            let flags = flags.split_whitespace().map(str::to_owned).collect();
            mappings.push((last.clone(), flags));
        }
    }
    mappings
}

/// How many mappings the process has in a range.
#[cfg(target_os = "linux")]
pub(crate) fn mappings_in(range: Range<usize>) -> usize {
    let is_in = |found: &Range<usize>| found.start < range.end && found.end > range.start;
    mappings().iter().filter(|(found, _)| is_in(found)).count()
}

/// `VmFlags` of the mapping at `addr`; none if there is no mapping.
#[cfg(target_os = "linux")]
pub(crate) fn mapping_flags(addr: usize) -> Vec<String> {
    let found = mappings().into_iter().find(|(range, _)| range.contains(&addr));
    found.map_or_else(Vec::new, |(_, flags)| flags)
}

/// Bytes of a range that the kernel counts in `Committed_AS`. Exact, and of this process alone.
#[cfg(target_os = "linux")]
pub(crate) fn charged_len(range: Range<usize>) -> usize {
    let charged = mappings().into_iter().filter(|(_, flags)| flags.iter().any(|flag| flag == "ac"));
    let inside = |mapping: Range<usize>| mapping.start.max(range.start)..mapping.end.min(range.end);
    charged.map(|(mapping, _)| inside(mapping).len()).sum()
}

pub(crate) const CHILD: &str = "GRANULE_TEST_CHILD";

/// Runs `body`, the body of test `name`, in a process of its own: limits and exhaustion stay there.
pub(crate) fn in_own_process(name: &str, variables: &[(&str, &str)], body: fn()) {
    if env::var(CHILD).is_ok_and(|child| child == name) {
        body();
        println!("finished: {name}");
        return;
    }
    let output = start::output(
        start::again()
            .args([name, "--exact", "--nocapture", "--test-threads=1"])
            .envs(variables.iter().copied())
            .env(CHILD, name),
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let finished = text.contains(&format!("finished: {name}"));
    assert!(output.status.success() && finished, "{}\n{text}\n{errors}", output.status);
    for line in text.lines().filter(|line| line.starts_with("skipped")) {
        println!("{line}");
    }
}

const ROLE: &str = "GRANULE_TEST_ROLE";

/// Runs each of `roles`, parts of test `name`, in a process of its own, which may die of it. Tells
/// how they ended; who has lived through it says so ([`has_lived`]).
pub(crate) fn endings<const N: usize>(name: &str, roles: [fn(); N]) -> [Output; N] {
    if env::var(CHILD).is_ok_and(|child| child == name) {
        let role = env::var(ROLE).expect("it stands beside the name");
        system::die_quietly();
        roles[role.parse::<usize>().expect("a number")]();
        println!("finished: {name}");
        std::process::exit(0);
    }
    std::array::from_fn(|role| {
        start::output(
            start::again()
                .args([name, "--exact", "--nocapture", "--test-threads=1"])
                .env(CHILD, name)
                .env(ROLE, role.to_string()),
        )
    })
}

/// True if a role of [`endings`] came to its end.
pub(crate) fn has_lived(output: &Output) -> bool {
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains("finished: ")
}

/// Lowers a resource limit of this process for good.
#[cfg(target_os = "linux")]
pub(crate) fn limit(resource: libc::__rlimit_resource_t, bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: `limit` is filled in and outlives the call.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limit) }, 0);
    let mut kept = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `kept` outlives the call.
    assert_eq!(unsafe { libc::getrlimit(resource, &raw mut kept) }, 0);
    if kept.rlim_cur != bytes {
        means::skip("this system keeps no such limit");
    }
}

/// From now on the calling thread, and no other, is refused system call `call` with `errno`. False
/// if the system does not let us do this.
#[cfg(target_os = "linux")]
pub(crate) fn refuse_call(call: libc::c_long, errno: i32) -> bool {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const ANSWER: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    const NUMBER: u32 = 0; // offset into the kernel's struct seccomp_data
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let mut steps = [
        step(LOAD, NUMBER, 0, 0),
        step(IF_EQUAL, call as u32, 0, 1),
        step(ANSWER, libc::SECCOMP_RET_ERRNO | errno as u32, 0, 0),
        step(ANSWER, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let filter = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: plain numbers.
    let may = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == 0;
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the kernel copies the filter, which lives until after the call.
    may && unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter) } == 0
}

/// Runs `body` in a child made by fork, and returns how that ended: 0, or 256 if it panicked.
#[cfg(target_os = "linux")]
pub(crate) fn in_child(body: impl FnOnce()) -> i32 {
    // SAFETY: this process has one other thread, which waits; the child writes and ends.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_err();
        // SAFETY: ends the child, without the tests of the parent.
        unsafe { libc::_exit(i32::from(panicked)) };
    }
    let mut status = -1;
    // SAFETY: `status` outlives the call.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    status
}
