//! sigsuspend(2), pselect(2), ppoll(2) and epoll_pwait(2) wait with another mask, and handlers run
//! under it: the fault signals are taken out, and are what the program believes meanwhile.

use core::ffi::{c_int, c_void};
use granule::stomp::{program_blocked, set_program_blocked};
use granule_preload::call_next;

/// A set of signals whose first word, the kernel's, has been replaced.
///
/// # Safety
/// 1. `set` points to a signal set.
unsafe fn without_faults(set: *const libc::sigset_t) -> libc::sigset_t {
    // SAFETY: (1).
    let mut open = unsafe { *set };
    let first = (&raw mut open).cast::<u64>();
    // SAFETY: a set has at least 64 bits and is aligned as a word.
    let bits = unsafe { first.read() };
    set_program_blocked(bits);
    // SAFETY: as above.
    unsafe { first.write(bits & !program_blocked()) };
    open
}

macro_rules! wait {
    ($name:ident($($argument:ident: $type:ty),*), $set:ident $(, $more:ident: $more_type:ty)?) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            $($argument: $type,)* $set: *const libc::sigset_t $(, $more: $more_type)?
        ) -> c_int {
            let before = program_blocked();
            // SAFETY: the program gave a set.
            let open = (!$set.is_null()).then(|| unsafe { without_faults($set) });
            let set = open.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
            let answer = call_next!(
                $name as fn($($type,)* *const libc::sigset_t $(, $more_type)?) -> c_int,
                ($($argument,)* set $(, $more)?),
                -1
            );
            set_program_blocked(before);
            answer
        }
    };
}

type Sets = *mut libc::fd_set;
type Time = *const libc::timespec;

wait!(sigsuspend(), set);
wait!(pselect(count: c_int, read: Sets, write: Sets, except: Sets, time: Time), set);
wait!(ppoll(files: *mut libc::pollfd, count: libc::nfds_t, time: Time), set);
wait!(__ppoll_chk(files: *mut libc::pollfd, count: libc::nfds_t, time: Time), set, len: usize);
wait!(epoll_pwait(epoll: c_int, events: *mut c_void, count: c_int, time: c_int), set);
wait!(epoll_pwait2(epoll: c_int, events: *mut c_void, count: c_int, time: Time), set);
