//! What this process knows of itself.
#![allow(unsafe_code, reason = "the loader is asked for the object of a function")]

use std::error::Error;
use std::ffi::CStr;
use std::fs;
use std::mem::MaybeUninit;

/// The file that `malloc` of this process comes from.
pub(crate) fn object_of_malloc() -> Result<String, Box<dyn Error>> {
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
pub(crate) fn peak_rss() -> Result<u64, Box<dyn Error>> {
    field("/proc/self/status", "VmHWM:")
}

fn field(path: &str, name: &str) -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such field")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}
