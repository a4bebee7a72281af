//! Floor 1. Which copy of the process this is: fork makes copies of what must not be copied.

/// A number that differs between a process and the copies that fork makes of it. Call: getpid.
pub(crate) fn generation() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::getpid() as u32 }
}
