//! Locks, write watch, large pages, and taking a reset back.

use super::step::*;
use granule::ErrorKind;
use granule::vm::{HugeWish, Protection, Reservation};
use granule::win32::{
    MEM_COMMIT, MEM_LARGE_PAGES, MEM_RELEASE, MEM_RESERVE, MEM_RESET, MEM_RESET_UNDO,
    MEM_WRITE_WATCH, PAGE_NOACCESS, PAGE_READWRITE, WRITE_WATCH_FLAG_RESET,
};

const RW: u32 = PAGE_READWRITE;
const BOTH: u32 = MEM_RESERVE | MEM_COMMIT;
const WATCHED: u32 = BOTH | MEM_WRITE_WATCH;

pub(crate) const ROWS: &[Row] = &[
    Row {
        obstacle: Some(locks_do_not_show),
        ..row(
            "lock",
            "VirtualLock: all pages must be committed",
            &[
                is(Alloc(Null, 128 * KIB, MEM_RESERVE, RW), New(0)),
                differs(
                    Lock(In(0, 0), 0x1000),
                    Error(998),
                    Error(5),
                    "VirtualLock wants pages that can be touched: STATUS_ACCESS_VIOLATION is 998",
                ),
                is(Alloc(In(0, 0), 64 * KIB, MEM_COMMIT, RW), Address(In(0, 0))),
                is(Lock(In(0, 0), 64 * KIB), Done),
                is(Unlock(In(0, 0), 64 * KIB), Done),
                depends(
                    Unlock(In(0, 0), 64 * KIB),
                    Error(158),
                    Done,
                    "VirtualUnlock: if a page is not locked, the last error is ERROR_NOT_LOCKED",
                ),
            ],
        )
    },
    Row {
        obstacle: Some(no_write_watch),
        ..row(
            "write watch",
            "GetWriteWatch, ResetWriteWatch",
            &[
                is(Alloc(Null, 64 * KIB, WATCHED, RW), New(0)),
                is(Written(In(0, 0), 64 * KIB, 0, 16), Pages(&[])),
                is(Write(In(0, 0), 1), Done),
                is(Write(In(0, 3 * 4096), 1), Done),
                is(Read(In(0, 5 * 4096)), Byte(0)),
                is(Written(In(0, 0), 64 * KIB, 0, 16), Pages(&[0, 3])),
                is(Written(In(0, 0), 64 * KIB, 0, 1), Pages(&[0])),
                is(Written(In(0, 0), 64 * KIB, WRITE_WATCH_FLAG_RESET, 1), Pages(&[0])),
                is(Written(In(0, 0), 64 * KIB, WRITE_WATCH_FLAG_RESET, 16), Pages(&[3])),
                is(Written(In(0, 0), 64 * KIB, 0, 16), Pages(&[])),
                is(Write(In(0, 4096), 2), Done),
                is(Written(In(0, 0), 64 * KIB, 0, 16), Pages(&[1])),
                is(Forget(In(0, 0), 64 * KIB), Done),
                is(Written(In(0, 0), 64 * KIB, 0, 16), Pages(&[])),
                is(Written(In(0, 1), 64 * KIB, 0, 16), Error(87)),
                is(Written(In(0, 0), 64 * KIB, 2, 16), Error(87)),
                is(Free(In(0, 0), 0, MEM_RELEASE), Done),
            ],
        )
    },
    row(
        "write watch of what is not watched",
        "GetWriteWatch, VirtualAlloc",
        &[
            is(Alloc(Null, 64 * KIB, BOTH, RW), New(0)),
            is(Written(In(0, 0), 64 * KIB, 0, 16), Error(87)),
            is(Forget(In(0, 0), 64 * KIB), Error(87)),
            differs(
                Alloc(Null, 64 * KIB, MEM_COMMIT | MEM_WRITE_WATCH, RW),
                Error(87),
                New(1),
                "VirtualAlloc, MEM_WRITE_WATCH: you must also specify MEM_RESERVE",
            ),
        ],
    ),
    Row {
        obstacle: Some(large_pages_to_be_had),
        ..row(
            "large pages that the process may not have",
            "VirtualAlloc, MEM_LARGE_PAGES",
            &[
                is(Alloc(Null, 2 * MIB, MEM_RESERVE | MEM_LARGE_PAGES, RW), Error(87)),
                differs(
                    Alloc(Null, 2 * MIB, BOTH | MEM_LARGE_PAGES, RW),
                    Error(1314),
                    Error(87),
                    "Large-Page Support: without SeLockMemoryPrivilege ERROR_PRIVILEGE_NOT_HELD",
                ),
            ],
        )
    },
    row(
        "take a reset back",
        "VirtualAlloc, MEM_RESET_UNDO",
        &[
            is(Alloc(Null, 64 * KIB, BOTH, RW), New(0)),
            is(Write(In(0, 5), 0x5a), Done),
            is(Alloc(In(0, 0), 64 * KIB, MEM_RESET, PAGE_NOACCESS), Address(In(0, 0))),
            depends(
                Alloc(In(0, 0), 64 * KIB, MEM_RESET_UNDO, PAGE_NOACCESS),
                Address(In(0, 0)),
                Error(87),
                "VirtualAlloc, MEM_RESET_UNDO: not before Windows 8",
            ),
            is(Alloc(In(0, 0), 64 * KIB, MEM_RESET_UNDO | MEM_COMMIT, RW), Error(87)),
        ],
    ),
];

/// Locked pages refuse to be discarded, except where a system takes all advice for done.
fn locks_do_not_show() -> Option<&'static str> {
    let page = Reservation::reserve(1).ok()?;
    page.commit(0..1, Protection::ReadWrite).ok()?;
    page.lock(0..1).ok()?;
    let shows = cfg!(windows) || page.discard(0..1).is_err();
    (!shows).then_some("a lock does not show here")
}

fn no_write_watch() -> Option<&'static str> {
    let tried = Reservation::builder().len(1).write_watch().reserve();
    let error = tried.err()?;
    (error.kind() == ErrorKind::Unsupported).then_some("this system notes no writes")
}

fn large_pages_to_be_had() -> Option<&'static str> {
    let tried = Reservation::builder().len(1).huge_pages(HugeWish::Explicit).reserve().ok()?;
    let given = tried.huge_pages().ok()?.given;
    (given == Some(HugeWish::Explicit)).then_some("there are large pages")
}
