//! For the tests of the vm floor on Linux: system calls that are refused, pages that are there.

use granule::vm::Reservation;
use granule::{Error, ErrorKind, Op};
use std::ops::Range;

/// How many of these pages are in memory.
pub(crate) fn resident(reservation: &Reservation, pages: Range<usize>) -> usize {
    let page_len = granule::vm::info().page_len;
    let mut seen = vec![0u8; pages.len()];
    let start = reservation.as_ptr().wrapping_add(pages.start * page_len).cast();
    // SAFETY: the kernel writes one byte for each of these pages, which lie in the reservation.
    let done = unsafe { libc::mincore(start, pages.len() * page_len, seen.as_mut_ptr()) };
    assert_eq!(done, 0, "mapped pages");
    seen.into_iter().filter(|page| page & 1 != 0).count()
}

/// What the system refused: the verb, why, and that the system was asked.
pub(crate) fn refusal(done: Result<(), Error>) -> (Op, ErrorKind) {
    let error = done.expect_err("the system must refuse this");
    assert_ne!(error.code(), 0, "{error}");
    (error.op(), error.kind())
}

/// A system call that a filter refuses.
pub(crate) struct Refused {
    pub(crate) call: libc::c_long,
    /// Only with this value as the argument of this number, counted from 0.
    pub(crate) argument: Option<(u32, u32)>,
    pub(crate) errno: i32,
}

/// From now on the calling thread, and no other, gets these refusals. False if the system does not
/// let us do this.
pub(crate) fn refuse(calls: &[Refused]) -> bool {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const ANSWER: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    const NUMBER: u32 = 0; // offsets into the kernel's struct seccomp_data, low halves
    const FIRST: u32 = 16;
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let mut steps = Vec::new();
    for Refused { call, argument, errno } in calls {
        steps.push(step(LOAD, NUMBER, 0, 0));
        steps.push(step(IF_EQUAL, *call as u32, 0, if argument.is_some() { 3 } else { 1 }));
        if let Some((index, value)) = argument {
            steps.push(step(LOAD, FIRST + 8 * index, 0, 0));
            steps.push(step(IF_EQUAL, *value, 0, 1));
        }
        steps.push(step(ANSWER, libc::SECCOMP_RET_ERRNO | *errno as u32, 0, 0));
    }
    steps.push(step(ANSWER, libc::SECCOMP_RET_ALLOW, 0, 0));
    let filter = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: plain numbers.
    let may = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == 0;
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the kernel copies the filter, which lives until after the call.
    may && unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter) } == 0
}

/// Runs `body` on a thread to which these calls are refused; `None`, with a sentence, if the system
/// has no such filters.
pub(crate) fn with_refused<T: Send>(
    calls: &[Refused],
    body: impl FnOnce() -> T + Send,
) -> Option<T> {
    let run = || refuse(calls).then(body);
    let done = std::thread::scope(|scope| scope.spawn(run).join()).expect("no panic");
    if done.is_none() {
        println!("skipped: no filters on system calls here");
    }
    done
}
