//! The library's first moment, called by the loader. Nothing waits for it: blocks may be asked for
//! before.

use core::sync::atomic::{AtomicBool, Ordering};
use granule::Granule;

/// True when the program brings its own malloc: then we stay out of its way altogether.
static PASSIVE: AtomicBool = AtomicBool::new(false);

/// True when every call goes to the next definition. No thread has a part of the heap then, so the
/// quick ways need not ask.
#[inline]
pub(crate) fn is_passive() -> bool {
    PASSIVE.load(Ordering::Relaxed)
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

extern "C" fn begin() {
    granule_preload::prepare();
    let is_late = granule_preload::program_has_plain_malloc();
    if !is_late && !granule_preload::program_allocates_here(|block| Granule.owns(block)) {
        PASSIVE.store(true, Ordering::Relaxed);
        Granule.leave();
    }
    crate::operators::prepare();
    crate::numbers::prepare();
}
