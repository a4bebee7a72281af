//! Decommit and release.

use super::step::*;
use granule::win32::{MEM_COMMIT, MEM_DECOMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_READWRITE};

const RW: u32 = PAGE_READWRITE;
const BOTH: u32 = MEM_RESERVE | MEM_COMMIT;
const TESTS: &str = "Wine, kernel32/tests/virtual.c: test_VirtualAlloc";
const NOT_ALLOCATED: &str =
    "Wine 9, ntdll/tests/virtual.c: a second release is STATUS_MEMORY_NOT_ALLOCATED, which is 487";

pub(crate) const ROWS: &[Row] = &[
    row(
        "release wants size 0",
        TESTS,
        &[
            is(Alloc(At(WISH), 10 * MIB, MEM_RESERVE, RW), Address(At(WISH))),
            is(Free(At(WISH), 10 * MIB, MEM_RELEASE), Error(87)),
            is(Free(At(WISH), 1, MEM_RELEASE), Error(87)),
            is(Query(At(WISH)), reserved(At(WISH), 10 * MIB, (At(WISH), RW))),
            is(Free(At(WISH), 0, MEM_RELEASE), Done),
        ],
    ),
    row(
        "release wants the start",
        "VirtualFree, lpAddress",
        &[
            is(Alloc(At(WISH), 10 * MIB, MEM_RESERVE, RW), Address(At(WISH))),
            is(Free(At(WISH + 4096), 0, MEM_RELEASE), Error(487)),
            // The address is rounded down to its page first.
            is(Free(At(WISH + 0x234), 0, MEM_RELEASE), Done),
            is(Query(At(WISH)), free(At(WISH), 10 * MIB)),
            differs(Free(At(WISH), 0, MEM_RELEASE), Error(487), Error(87), NOT_ALLOCATED),
        ],
    ),
    row(
        "a type that is neither of the two",
        TESTS,
        &[
            is(Alloc(Null, 64 * KIB, MEM_RESERVE, RW), New(0)),
            is(Free(In(0, 0), 0, MEM_DECOMMIT | MEM_RELEASE), Error(87)),
            is(Free(In(0, 0), 0x1_0000, 0), Error(87)),
            is(Free(In(0, 0), 0, 0), Error(87)),
            is(Free(In(0, 0), 0, MEM_COMMIT), Error(87)),
            is(Query(In(0, 0)), reserved(In(0, 0), 64 * KIB, (In(0, 0), RW))),
        ],
    ),
    row(
        "decommit takes whole pages, in any state",
        "VirtualFree, MEM_DECOMMIT",
        &[
            is(Alloc(Null, MIB, MEM_RESERVE, RW), New(0)),
            is(Alloc(In(0, 0), 0x8000, MEM_COMMIT, RW), Address(In(0, 0))),
            is(Free(In(0, 0x1000), 0x1000, MEM_DECOMMIT), Done),
            is(Query(In(0, 0x1000)), reserved(In(0, 0x1000), 0x1000, (In(0, 0), RW))),
            is(Free(In(0, 0x1000), 0x1000, MEM_DECOMMIT), Done),
            is(Free(In(0, 0x1_0000), 0x1000, MEM_DECOMMIT), Done),
            is(Free(In(0, 0x2001), 1, MEM_DECOMMIT), Done),
            is(Query(In(0, 0x1000)), reserved(In(0, 0x1000), 0x2000, (In(0, 0), RW))),
            is(Free(In(0, 0x4fff), 2, MEM_DECOMMIT), Done),
            is(Query(In(0, 0x4000)), reserved(In(0, 0x4000), 0x2000, (In(0, 0), RW))),
            is(Query(In(0, 0x3000)), committed(In(0, 0x3000), 0x1000, (In(0, 0), RW), RW)),
            is(Query(In(0, 0x6000)), committed(In(0, 0x6000), 0x2000, (In(0, 0), RW), RW)),
        ],
    ),
    row(
        "decommit beyond the end",
        "VirtualFree; STATUS_UNABLE_TO_FREE_VM is 87",
        &[
            is(Alloc(At(WISH), MIB, BOTH, RW), Address(At(WISH))),
            is(Free(At(WISH + MIB - 4096), 8192, MEM_DECOMMIT), Error(87)),
            is(Query(At(WISH)), committed(At(WISH), MIB, (At(WISH), RW), RW)),
            is(Free(At(WISH), 0, MEM_RELEASE), Done),
        ],
    ),
    row(
        "decommit of size 0 is all",
        "VirtualFree, dwSize",
        &[
            is(Alloc(Null, MIB, BOTH, RW), New(0)),
            is(Free(In(0, 4096), 0, MEM_DECOMMIT), Error(487)),
            is(Query(In(0, 0)), committed(In(0, 0), MIB, (In(0, 0), RW), RW)),
            is(Free(In(0, 0), 0, MEM_DECOMMIT), Done),
            is(Query(In(0, 0)), reserved(In(0, 0), MIB, (In(0, 0), RW))),
            is(Free(In(0, 0), 0x10_0000, MEM_DECOMMIT), Done),
        ],
    ),
    row(
        "release needs no decommit before it",
        "VirtualFree, MEM_RELEASE",
        &[
            is(Alloc(At(WISH), MIB, MEM_RESERVE, RW), Address(At(WISH))),
            is(Alloc(At(WISH + 4096), 4096, MEM_COMMIT, RW), Address(At(WISH + 4096))),
            is(Write(At(WISH + 4096), b'A'), Done),
            is(Free(At(WISH), 0, MEM_RELEASE), Done),
            is(Query(At(WISH)), free(At(WISH), MIB)),
            is(Write(At(WISH + 4096), b'A'), Fault(VIOLATION, Writing, At(WISH + 4096))),
        ],
    ),
    row(
        "free what is free",
        "VirtualFree",
        &[
            differs(Free(Null, 0, MEM_RELEASE), Error(487), Error(87), NOT_ALLOCATED),
            differs(Free(At(WISH), 4096, MEM_DECOMMIT), Error(487), Error(87), NOT_ALLOCATED),
            differs(Free(At(WISH), 0, MEM_DECOMMIT), Error(487), Error(87), NOT_ALLOCATED),
        ],
    ),
];
