//! Floor 1. Two words that each thread has of its own, and its last moment, on Windows: a place in
//! its local storage each, and one of its fiber-local storage, which calls back when it ends.

use super::super::Errno;
use super::call::{keeping_last_error, last_error};
use crate::ds::once::Once;
use crate::error::Call;
use core::convert::Infallible;
use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicU32, Ordering, compiler_fence};
use windows_sys::Win32::System::Threading::{
    FlsAlloc, FlsFree, FlsSetValue, FlushProcessWriteBuffers, TlsAlloc, TlsFree, TlsGetValue,
    TlsSetValue,
};

/// What FlsAlloc and TlsAlloc say when there is no place.
const NO_PLACE: u32 = u32::MAX;

static HOOK: Once<fn(*mut u8)> = Once::new();

unsafe extern "system" fn end(value: *const c_void) {
    if let Some(hook) = HOOK.get() {
        hook(value.cast_mut().cast());
    }
}

/// A place and 1, or 0.
struct Place(AtomicU32);

static WORDS: [Place; 2] = [Place::new(), Place::new()];
static END: Place = Place::new();

impl Place {
    const fn new() -> Self {
        Place(AtomicU32::new(0))
    }

    /// The place; `make` and `drop` are called the first time.
    fn get(&self, make: impl FnOnce() -> u32, drop: impl FnOnce(u32)) -> Result<u32, Errno> {
        if let Some(place) = self.0.load(Ordering::Acquire).checked_sub(1) {
            return Ok(place);
        }
        let place = make();
        if place == NO_PLACE {
            return Err(Errno(last_error() as i32, Call::Other));
        }
        match self.0.compare_exchange(0, place + 1, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(place),
            Err(known) => {
                drop(place);
                Ok(known - 1)
            }
        }
    }
}

/// Calls: TlsAlloc, TlsFree.
fn word(number: usize) -> Result<u32, Errno> {
    let make = || {
        // SAFETY: takes nothing.
        unsafe { TlsAlloc() }
    };
    WORDS[number].get(make, |place| {
        // SAFETY: a place that was made a moment ago, known to nobody.
        let _ = unsafe { TlsFree(place) };
    })
}

fn get(number: usize) -> *mut u8 {
    keeping_last_error(|| {
        let Ok(place) = word(number) else { return null_mut() };
        // SAFETY: a place that is never freed.
        unsafe { TlsGetValue(place) }.cast()
    })
}

fn set(number: usize, value: *mut u8) {
    compiler_fence(Ordering::SeqCst);
    keeping_last_error(|| {
        if let Ok(place) = word(number) {
            // SAFETY: a place that is never freed. What cannot be kept is not found again.
            let _ = unsafe { TlsSetValue(place, value.cast()) };
        }
    });
    compiler_fence(Ordering::SeqCst);
}

/// Has every thread of the process pass a full memory barrier. Call: FlushProcessWriteBuffers.
pub(crate) fn pass_barrier() -> bool {
    // SAFETY: takes nothing.
    unsafe { FlushProcessWriteBuffers() };
    true
}

/// The first word of the calling thread; null at first. Call: TlsGetValue.
pub(crate) fn thread_word() -> *mut u8 {
    get(0)
}

/// Sets the first word. No access to memory is moved across it by the compiler. Call: TlsSetValue.
pub(crate) fn set_thread_word(value: *mut u8) {
    set(0, value);
}

/// The second word of the calling thread; null at first. Call: TlsGetValue.
pub(crate) fn thread_stage() -> *mut u8 {
    get(1)
}

/// Sets the second word. Call: TlsSetValue.
pub(crate) fn set_thread_stage(value: *mut u8) {
    set(1, value);
}

/// Calls `hook` with `value`, which is not null, when the calling thread ends. All callers give the
/// same hook. Calls: FlsAlloc, FlsFree, FlsSetValue.
pub(crate) fn call_at_thread_end(hook: fn(*mut u8), value: *mut u8) -> Result<(), Errno> {
    let Ok(_) = HOOK.get_or_try_make(|| Ok::<_, Infallible>(hook));
    keeping_last_error(|| {
        let make = || {
            // SAFETY: the hook is a function that is there for ever.
            unsafe { FlsAlloc(Some(end)) }
        };
        let place = END.get(make, |place| {
            // SAFETY: a place that was made a moment ago, known to nobody.
            let _ = unsafe { FlsFree(place) };
        })?;
        // SAFETY: a place that is never freed; the value is only handed to the hook.
        match unsafe { FlsSetValue(place, value.cast()) } {
            0 => Err(Errno(last_error() as i32, Call::Other)),
            _ => Ok(()),
        }
    })
}
