//! Floor 1. What POSIX threads keep for each thread under a key, and their last moment.
//!
//! A key is made by whoever needs it first. The C library may allocate when a thread sets one for
//! the first time: the callers are ready for that.

use super::Errno;
use crate::ds::once::Once;
use crate::error::Call;
use core::convert::Infallible;
use core::ffi::c_void;
use core::sync::atomic::{AtomicU32, Ordering};

static HOOK: Once<fn(*mut u8)> = Once::new();

unsafe extern "C" fn end(value: *mut c_void) {
    if let Some(hook) = HOOK.get() {
        hook(value.cast());
    }
}

/// A key and 1, or 0.
struct Key(AtomicU32);

impl Key {
    const fn new() -> Self {
        Key(AtomicU32::new(0))
    }

    /// Call: pthread_key_create, the first time.
    #[allow(clippy::unnecessary_cast, reason = "a key is of another type on each system")]
    fn get(
        &self,
        hook: Option<unsafe extern "C" fn(*mut c_void)>,
    ) -> Result<libc::pthread_key_t, Errno> {
        if let Some(key) = self.0.load(Ordering::Acquire).checked_sub(1) {
            return Ok(key as libc::pthread_key_t);
        }
        let mut key = 0;
        // SAFETY: the place is ours, and the hook is a function of the right type.
        match unsafe { libc::pthread_key_create(&raw mut key, hook) } {
            0 => {}
            code => return Err(Errno(code, Call::Other)),
        }
        let mark = key as u32 + 1;
        match self.0.compare_exchange(0, mark, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(key),
            Err(known) => {
                // SAFETY: made a moment ago, known to nobody.
                let _ = unsafe { libc::pthread_key_delete(key) };
                Ok((known - 1) as libc::pthread_key_t)
            }
        }
    }
}

/// Calls `hook` with `value`, which is not null, when the calling thread ends. All callers give the
/// same hook. Calls: pthread_key_create, pthread_setspecific.
pub(crate) fn call_at_thread_end(hook: fn(*mut u8), value: *mut u8) -> Result<(), Errno> {
    static END: Key = Key::new();
    let Ok(_) = HOOK.get_or_try_make(|| Ok::<_, Infallible>(hook));
    let key = END.get(Some(end))?;
    // SAFETY: a key that is never deleted; the value is only handed to the hook.
    match unsafe { libc::pthread_setspecific(key, value.cast()) } {
        0 => Ok(()),
        code => Err(Errno(code, Call::Other)),
    }
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod words {
    use super::Key;
    use core::ffi::c_void;
    use core::ptr::null_mut;
    use core::sync::atomic::{Ordering, compiler_fence};

    static WORDS: [Key; 2] = [Key::new(), Key::new()];

    /// When a thread ends the system clears the values of all keys before it calls anybody: these
    /// put ours back, so that the hook still finds them.
    const KEEPERS: [unsafe extern "C" fn(*mut c_void); 2] = [keep::<0>, keep::<1>];

    unsafe extern "C" fn keep<const NUMBER: usize>(value: *mut c_void) {
        set(NUMBER, value.cast());
    }

    /// Word `number` of the calling thread; null at first, and for ever where there are no keys.
    pub(crate) fn get(number: usize) -> *mut u8 {
        let Ok(key) = WORDS[number].get(Some(KEEPERS[number])) else { return null_mut() };
        // SAFETY: a key that is never deleted.
        unsafe { libc::pthread_getspecific(key) }.cast()
    }

    /// Sets word `number`.
    pub(crate) fn set(number: usize, value: *mut u8) {
        compiler_fence(Ordering::SeqCst);
        if let Ok(key) = WORDS[number].get(Some(KEEPERS[number])) {
            // SAFETY: as above. What cannot be kept is not found again: see `get`.
            let _ = unsafe { libc::pthread_setspecific(key, value.cast()) };
        }
        compiler_fence(Ordering::SeqCst);
    }
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub(crate) use words::{get, set};
