//! Floor 1. Two words that each thread has of its own, on macOS and FreeBSD: thread-specific data.

use super::super::keys;

/// These systems have no barrier for all threads.
pub(crate) fn pass_barrier() -> bool {
    false
}

/// The first word of the calling thread; null at first. Call: pthread_getspecific.
pub(crate) fn thread_word() -> *mut u8 {
    keys::get(0)
}

/// Sets the first word. No access to memory is moved across it by the compiler. Call:
/// pthread_setspecific.
pub(crate) fn set_thread_word(value: *mut u8) {
    keys::set(0, value);
}

/// The second word of the calling thread; null at first. Call: pthread_getspecific.
pub(crate) fn thread_stage() -> *mut u8 {
    keys::get(1)
}

/// Sets the second word. Call: pthread_setspecific.
pub(crate) fn set_thread_stage(value: *mut u8) {
    keys::set(1, value);
}
