//! The family while the system's calls fail: see `vm::tests::stage` for what is checked.

use super::*;
use crate::error::{Call, Error, Op};
use crate::vm::tests::stage::{Absorbed, play};
use core::ffi::c_void;

/// Where to reserve is tried first at a place of our choice.
const PLACE: Absorbed =
    Absorbed::by(Op::Reserve, Call::VirtualAlloc, "the system chooses instead").on_some_systems();

fn cause(error: Win32Error) -> Error {
    error.cause().expect("the system was asked")
}

fn alloc(addr: *const c_void, size: usize, kind: u32, rights: u32) -> Result<*mut c_void, Error> {
    // SAFETY: (1) the story has no references.
    unsafe { VirtualAlloc(addr, size, kind, rights) }.map_err(cause)
}

fn free(addr: *mut c_void, size: usize, kind: u32) -> Result<(), Error> {
    // SAFETY: (1) (2) only the story uses it, and not any more.
    unsafe { VirtualFree(addr, size, kind) }.map_err(cause)
}

/// Releases what the story leaves behind, with the calls still failing or not.
struct Left(*mut c_void);

impl Drop for Left {
    fn drop(&mut self) {
        let _ = free(self.0, 0, MEM_RELEASE);
    }
}

#[test]
fn reserve_commit_protect_and_free() {
    let in_place = "emptied in place instead, which keeps the charge";
    play(&[PLACE, Absorbed::by(Op::Decommit, Call::Mmap, in_place)], |stage| {
        let none = core::ptr::null();
        let base = stage.verb(Op::Reserve, || alloc(none, 1 << 16, MEM_RESERVE, PAGE_NOACCESS))?;
        let left = Left(base);
        stage.verb(Op::Commit, || alloc(base, 1 << 13, MEM_COMMIT, PAGE_READWRITE))?;
        let mut old = 0;
        // SAFETY: (1) the story has no references.
        let mut protect = || unsafe { VirtualProtect(base, 1, PAGE_READONLY, Some(&mut old)) };
        stage.verb(Op::Protect, || protect().map_err(cause))?;
        stage.verb(Op::Discard, || alloc(base, 1 << 13, MEM_RESET, PAGE_NOACCESS))?;
        stage.verb(Op::Decommit, || free(base, 1, MEM_DECOMMIT))?;
        core::mem::forget(left);
        stage.verb(Op::Release, || free(base, 0, MEM_RELEASE))
    });
}

/// Both steps or none: where the commit is refused the reservation goes again.
#[test]
fn reserve_and_commit_at_once() {
    play(&[PLACE], |stage| {
        let both = || alloc(core::ptr::null(), 1 << 16, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
        match both() {
            Ok(base) => {
                let left = Left(base);
                stage.verb(Op::Reserve, || Ok(()))?;
                core::mem::forget(left);
                stage.verb(Op::Release, || free(base, 0, MEM_RELEASE))
            }
            Err(error) => stage.verb(error.op(), || Err(error)),
        }
    });
}

/// A lock that is refused leaves the pages as they are, a guard that is refused leaves them plain.
#[test]
fn guard_and_lock() {
    play(&[PLACE], |stage| {
        let none = core::ptr::null();
        let base = stage.verb(Op::Reserve, || alloc(none, 1 << 16, MEM_RESERVE, PAGE_NOACCESS))?;
        let left = Left(base);
        stage.verb(Op::Commit, || alloc(base, 1 << 16, MEM_COMMIT, PAGE_READWRITE))?;
        stage.verb(Op::Lock, || VirtualLock(base, 1).map_err(cause))?;
        let mut old = 0;
        // SAFETY: (1) the story has no references.
        let guard = unsafe { VirtualProtect(base, 1, PAGE_READWRITE | PAGE_GUARD, Some(&mut old)) };
        match guard.map_err(cause) {
            Ok(()) => stage.verb(Op::Arm, || Ok(()))?,
            Err(error) => stage.verb(error.op(), || Err(error))?,
        }
        core::mem::forget(left);
        stage.verb(Op::Release, || free(base, 0, MEM_RELEASE))
    });
}
