//! The demonstration: a small program with a real bug, guarded like any other by `granule stomp`.
//!
//! It builds the path of a file in a block that has room for the directory and the name, and then
//! closes the text behind an extension that nobody counted. The functions are not inlined, so that
//! the report shows the same lines in every build.

use std::ffi::c_char;
use std::ptr::NonNull;

/// Room for the directory and the name: a multiple of 16, so that the block touches its guard.
const PATH_LEN: usize = 48;
/// What the length above forgot.
const EXTENSION: &[u8] = b".db";

/// Overflows a block by writing 3 bytes behind its end.
///
/// Without the guard the write lands in whatever lies there, and this function returns.
#[inline(never)]
pub(crate) fn commit_crime() {
    let path = build_path();
    close_text(path, PATH_LEN + EXTENSION.len());
    std::hint::black_box(path);
}

#[inline(never)]
fn build_path() -> NonNull<c_char> {
    allocate_text(PATH_LEN)
}

#[inline(never)]
fn allocate_text(len: usize) -> NonNull<c_char> {
    // SAFETY: malloc may be called with any size. The block is never freed: the process ends soon.
    let text = unsafe { libc::malloc(len) };
    NonNull::new(text.cast()).expect("the system has 48 bytes")
}

/// Puts the closing zero at `len`. This is the crime: the block ends before it.
#[inline(never)]
fn close_text(text: NonNull<c_char>, len: usize) {
    // SAFETY: none. The write is out of bounds on purpose, by 3 bytes, in a process that exists
    // only to do it; malloc's smallest step is 16 bytes, so that an unguarded heap survives.
    unsafe { text.as_ptr().wrapping_add(len).write_volatile(0) }
}
