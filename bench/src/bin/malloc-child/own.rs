//! What this process asks of its system.
#![allow(unsafe_code, reason = "system calls and callbacks of C")]

use crate::Result;
use std::ffi::{CStr, c_void};
use std::fs;
use std::mem::MaybeUninit;

/// The file that `malloc` of this process comes from.
pub(crate) fn object_of_malloc() -> Result<String> {
    let mut found = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the name is a string of C, and the default search needs no handle.
    let malloc = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"malloc".as_ptr()) };
    // SAFETY: any address may be asked for; `found` has room.
    if malloc.is_null() || unsafe { libc::dladdr(malloc, found.as_mut_ptr()) } == 0 {
        return Err("nobody knows where malloc comes from".into());
    }
    // SAFETY: filled, and zeroes before that.
    let found = unsafe { found.assume_init() };
    // SAFETY: dladdr gives a string of C that lives as long as the object.
    let name = unsafe { CStr::from_ptr(found.dli_fname) };
    Ok(name.to_str()?.to_string())
}

/// The largest resident size of this process so far, in bytes. (What `wait4` says is at least the
/// size of who started it.)
pub(crate) fn peak_rss() -> Result<u64> {
    field("/proc/self/status", "VmHWM:")
}

/// The resident size of this process now, in bytes: counted, not estimated as in `status`.
pub(crate) fn rss() -> Result<u64> {
    field("/proc/self/smaps_rollup", "Rss:")
}

fn field(path: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such field")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}

/// How long a child of a fork may take before it counts as stuck.
const PATIENCE_SECONDS: u32 = 10;

/// Does the work in a fork of this process; an error if the fork does not end well.
pub(crate) fn in_fork(work: impl FnOnce()) -> Result<()> {
    // SAFETY: the child calls the work, which uses malloc and nothing else, and ends.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error().into()),
        0 => {
            // SAFETY: the signal ends this process, if it gets stuck.
            unsafe { libc::alarm(PATIENCE_SECONDS) };
            work();
            // SAFETY: ends this process at once.
            unsafe { libc::_exit(0) }
        }
        child => {
            let mut status = 0;
            // SAFETY: our own child, and room for its status.
            if unsafe { libc::waitpid(child, &raw mut status, 0) } != child {
                return Err(std::io::Error::last_os_error().into());
            }
            if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGALRM {
                return Err("a child of a fork is stuck".into());
            }
            if status != 0 {
                return Err(format!("a child of a fork ended with status {status:#x}").into());
            }
            Ok(())
        }
    }
}

/// Something that threads do when their thread-specific values are destroyed.
pub(crate) struct LastWords {
    key: libc::pthread_key_t,
    words: Words,
}

type Words = fn();

impl LastWords {
    pub(crate) fn new(words: Words) -> Result<Self> {
        let mut key = 0;
        // SAFETY: room for a key, and a destructor that takes the values that are set below.
        let error = unsafe { libc::pthread_key_create(&raw mut key, Some(speak)) };
        if error != 0 {
            return Err(std::io::Error::from_raw_os_error(error).into());
        }
        Ok(LastWords { key, words })
    }

    /// Has the words said when this thread ends.
    pub(crate) fn speak_at_the_end(&self) {
        // SAFETY: the key is there, and any value may be set.
        let error = unsafe { libc::pthread_setspecific(self.key, self.words as *const c_void) };
        assert_eq!(error, 0, "there is room for a value");
    }
}

unsafe extern "C" fn speak(value: *mut c_void) {
    // SAFETY: the values of the key are functions of this type.
    let words = unsafe { std::mem::transmute::<*mut c_void, Words>(value) };
    words();
}
