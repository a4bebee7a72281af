//! Reserved -> Committed.

use super::step::*;
use granule::win32::{
    MEM_COMMIT, MEM_DECOMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_NOACCESS, PAGE_READONLY,
    PAGE_READWRITE,
};

const RW: u32 = PAGE_READWRITE;

pub(crate) const ROWS: &[Row] = &[
    row(
        "one page of 100 MiB",
        "VirtualAlloc, MEM_COMMIT",
        &[
            is(Alloc(Null, 100 * MIB, MEM_RESERVE, RW), New(0)),
            is(Alloc(In(0, 4096), 4096, MEM_COMMIT, RW), Address(In(0, 4096))),
            is(Query(In(0, 0)), reserved(In(0, 0), 4096, (In(0, 0), RW))),
            is(Query(In(0, 4096)), committed(In(0, 4096), 4096, (In(0, 0), RW), RW)),
            is(Query(In(0, 8192)), reserved(In(0, 8192), 100 * MIB - 8192, (In(0, 0), RW))),
            is(Query(In(0, 4096 + 77)), committed(In(0, 4096), 4096, (In(0, 0), RW), RW)),
            is(Read(In(0, 4096)), Byte(0)),
            is(Write(In(0, 4096), b'A'), Done),
            is(Write(In(0, 0), b'A'), Fault(VIOLATION, Writing, In(0, 0))),
            is(Write(In(0, 8192), b'A'), Fault(VIOLATION, Writing, In(0, 8192))),
        ],
    ),
    row(
        "commit again: content stays, rights are new",
        "VirtualAlloc: an attempt to commit a committed page does not fail",
        &[
            is(Alloc(Null, MIB, MEM_RESERVE, RW), New(0)),
            is(Alloc(In(0, 4096), 4096, MEM_COMMIT, RW), Address(In(0, 4096))),
            is(Write(In(0, 4096), b'A'), Done),
            is(Alloc(In(0, 4096), 4096, MEM_COMMIT, RW), Address(In(0, 4096))),
            is(Read(In(0, 4096)), Byte(b'A')),
            is(Alloc(In(0, 4096), 4096, MEM_COMMIT, PAGE_READONLY), Address(In(0, 4096))),
            is(Query(In(0, 4096)), committed(In(0, 4096), 4096, (In(0, 0), RW), PAGE_READONLY)),
            is(Read(In(0, 4096)), Byte(b'A')),
            is(Write(In(0, 4096), b'B'), Fault(VIOLATION, Writing, In(0, 4096))),
        ],
    ),
    row(
        "2 bytes across a border are two pages",
        "VirtualAlloc, dwSize",
        &[
            is(Alloc(Null, MIB, MEM_RESERVE, RW), New(0)),
            is(Alloc(In(0, 4 * 4096 - 1), 2, MEM_COMMIT, RW), Address(In(0, 3 * 4096))),
            is(Query(In(0, 3 * 4096)), committed(In(0, 3 * 4096), 2 * 4096, (In(0, 0), RW), RW)),
            is(Query(In(0, 5 * 4096)), reserved(In(0, 5 * 4096), MIB - 5 * 4096, (In(0, 0), RW))),
        ],
    ),
    row(
        "beyond the reservation",
        "VirtualAlloc; Wine, STATUS_NOT_MAPPED_VIEW",
        &[
            is(Alloc(Null, MIB, MEM_RESERVE, RW), New(0)),
            is(Alloc(In(0, MIB - 4096), 8192, MEM_COMMIT, RW), Error(487)),
            is(Query(In(0, 0)), reserved(In(0, 0), MIB, (In(0, 0), RW))),
        ],
    ),
    row(
        "a range with some committed pages",
        "VirtualAlloc: a range of pages may be committed whatever their state",
        &[
            is(Alloc(Null, MIB, MEM_RESERVE, RW), New(0)),
            is(Alloc(In(0, 4096), 4096, MEM_COMMIT, RW), Address(In(0, 4096))),
            is(Write(In(0, 4096), b'A'), Done),
            is(Alloc(In(0, 0), 0x8000, MEM_COMMIT, RW), Address(In(0, 0))),
            is(Query(In(0, 0)), committed(In(0, 0), 0x8000, (In(0, 0), RW), RW)),
            is(Read(In(0, 4096)), Byte(b'A')),
            is(Read(In(0, 8192)), Byte(0)),
        ],
    ),
    row(
        "where nothing is reserved",
        "VirtualAlloc: commit of an unreserved address",
        &[
            is(Alloc(At(WISH), 4096, MEM_COMMIT, RW), Error(487)),
            is(Query(At(WISH)), free(At(WISH), 4096)),
        ],
    ),
    row(
        "reserved without access, committed with it",
        "VirtualAlloc, flProtect",
        &[
            is(Alloc(Null, 0x5000, MEM_RESERVE, PAGE_NOACCESS), New(0)),
            is(Alloc(In(0, 0), 0x1000, MEM_COMMIT, RW), Address(In(0, 0))),
            is(Query(In(0, 0)), committed(In(0, 0), 0x1000, (In(0, 0), PAGE_NOACCESS), RW)),
            is(Alloc(In(0, 0), 0x1000, MEM_COMMIT, PAGE_NOACCESS), Address(In(0, 0))),
            is(
                Query(In(0, 0)),
                committed(In(0, 0), 0x1000, (In(0, 0), PAGE_NOACCESS), PAGE_NOACCESS),
            ),
            is(Read(In(0, 0)), Fault(VIOLATION, Reading, In(0, 0))),
        ],
    ),
    row(
        "a decommitted page reads zero when it is committed again",
        "VirtualAlloc: committed memory is initialised to zero",
        &[
            is(Alloc(Null, MIB, MEM_RESERVE, RW), New(0)),
            is(Alloc(In(0, 4096), 4096, MEM_COMMIT, RW), Address(In(0, 4096))),
            is(Write(In(0, 4096), b'A'), Done),
            is(Free(In(0, 4096), 4096, MEM_DECOMMIT), Done),
            is(Write(In(0, 4096), b'A'), Fault(VIOLATION, Writing, In(0, 4096))),
            is(Alloc(In(0, 4096), 4096, MEM_COMMIT, RW), Address(In(0, 4096))),
            is(Read(In(0, 4096)), Byte(0)),
        ],
    ),
    row(
        "no call spans two reservations",
        "VirtualAlloc, VirtualFree, VirtualProtect: within one reserved region",
        &[
            is(Alloc(At(WISH), 64 * KIB, MEM_RESERVE, RW), Address(At(WISH))),
            is(Alloc(At(WISH + 64 * KIB), 64 * KIB, MEM_RESERVE, RW), Address(At(WISH + 64 * KIB))),
            is(Query(At(WISH)), reserved(At(WISH), 64 * KIB, (At(WISH), RW))),
            is(Alloc(At(WISH + 60 * KIB), 8 * KIB, MEM_COMMIT, RW), Error(487)),
            is(Free(At(WISH + 60 * KIB), 8 * KIB, MEM_DECOMMIT), Error(87)),
            is(Alloc(At(WISH), 64 * KIB, MEM_COMMIT, RW), Address(At(WISH))),
            is(Alloc(At(WISH + 64 * KIB), 64 * KIB, MEM_COMMIT, RW), Address(At(WISH + 64 * KIB))),
            is(Query(At(WISH)), committed(At(WISH), 64 * KIB, (At(WISH), RW), RW)),
            differs(
                Protect(At(WISH + 60 * KIB), 8 * KIB, PAGE_READONLY),
                Error(487),
                Error(87),
                "VirtualProtect: all pages must be within the same reserved region",
            ),
            is(Free(At(WISH), 0, MEM_RELEASE), Done),
            is(Free(At(WISH + 64 * KIB), 0, MEM_RELEASE), Done),
        ],
    ),
];
