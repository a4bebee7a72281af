//! The programs of the notes.

use super::step::*;
use granule::win32::{MEM_COMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_NOACCESS, PAGE_READWRITE};

const RW: u32 = PAGE_READWRITE;
const BOTH: u32 = MEM_RESERVE | MEM_COMMIT;
/// Bytes in a cell of the notes.
const CELL: usize = 4091;

pub(crate) const ROWS: &[Row] = &[
    row(
        "001-10 and 11: ten cells, in order",
        "the notes",
        &[
            is(Alloc(Null, 10 * CELL, MEM_RESERVE, RW), New(0)),
            is(Query(In(0, 0)), reserved(In(0, 0), 0xa000, (In(0, 0), RW))),
            is(Store(In(0, 0), "hello"), Fault(VIOLATION, Writing, In(0, 0))),
            is(Alloc(In(0, 0), CELL, MEM_COMMIT, RW), Address(In(0, 0))),
            is(Store(In(0, 0), "hello"), Done),
            // Bytes 4091 to 4094: still in page 0.
            is(Store(In(0, CELL), "aaa"), Done),
            is(Query(In(0, 0)), committed(In(0, 0), 0x1000, (In(0, 0), RW), RW)),
            is(Store(In(0, CELL), "hello!!"), Fault(VIOLATION, Writing, In(0, 4096))),
            is(Alloc(In(0, CELL), CELL, MEM_COMMIT, RW), Address(In(0, 0))),
            is(Query(In(0, 0)), committed(In(0, 0), 0x2000, (In(0, 0), RW), RW)),
            is(Store(In(0, CELL), "hello!!"), Done),
            is(Free(In(0, 0), 0, MEM_RELEASE), Done),
        ],
    ),
    row(
        "001-12: cell 1 first",
        "the notes",
        &[
            is(Alloc(Null, 10 * CELL, MEM_RESERVE, RW), New(0)),
            is(Store(In(0, CELL), "hello"), Fault(VIOLATION, Writing, In(0, CELL))),
            is(Alloc(In(0, CELL), CELL, MEM_COMMIT, RW), Address(In(0, 0))),
            is(Query(In(0, 0)), committed(In(0, 0), 0x2000, (In(0, 0), RW), RW)),
            is(Store(In(0, CELL), "hello"), Done),
            is(Store(In(0, 0), "world"), Done),
            is(Free(In(0, 0), 0, MEM_RELEASE), Done),
        ],
    ),
    row(
        "002-10: an array of 5 pages, committed fault by fault",
        "the notes",
        &[
            is(Alloc(At(WISH), 5 * 4096, MEM_RESERVE, PAGE_NOACCESS), Address(At(WISH))),
            is(Fill(At(WISH), 5 * 4096), Faults(5)),
            is(Query(At(WISH)), committed(At(WISH), 5 * 4096, (At(WISH), PAGE_NOACCESS), RW)),
            is(Write(At(WISH + 5 * 4096), 1), Fault(VIOLATION, Writing, At(WISH + 5 * 4096))),
            is(Free(At(WISH), 0, MEM_RELEASE), Done),
        ],
    ),
    row(
        "002-12: the page of the fault is committed, in any order",
        "the notes, corrected",
        &[
            is(Alloc(Null, 5 * 4096, MEM_RESERVE, PAGE_NOACCESS), New(0)),
            is(Fill(In(0, 4 * 4096), 4096), Faults(1)),
            is(Query(In(0, 0)), reserved(In(0, 0), 4 * 4096, (In(0, 0), PAGE_NOACCESS))),
            is(FillFromEnd(In(0, 0), 4 * 4096), Faults(4)),
            is(Free(In(0, 0), 0, MEM_RELEASE), Done),
        ],
    ),
    row(
        "000-7: a block of 40 bytes at the end of its page",
        "the notes, StompAllocator",
        &[
            is(Alloc(At(WISH), 4096, BOTH, RW), Address(At(WISH))),
            is(Write(At(WISH + 4095), 1), Done),
            // What faults here is the rest of the 64 KiB step.
            is(Write(At(WISH + 4096), 1), Fault(VIOLATION, Writing, At(WISH + 4096))),
            is(Write(At(WISH + 4096 - 41), 1), Done),
            // The notes' mask: the address minus its offset in the page.
            is(Free(At((WISH + 4096 - 40) / 4096 * 4096), 0, MEM_RELEASE), Done),
            is(Write(At(WISH + 4096 - 40), 1), Fault(VIOLATION, Writing, At(WISH + 4096 - 40))),
        ],
    ),
    row(
        "000-10: a block of exactly 64 KiB hits its neighbour",
        "the notes, StompAllocator",
        &[
            is(Alloc(At(WISH), 0x1_0000, BOTH, RW), Address(At(WISH))),
            is(Alloc(At(WISH + 0x1_0000), 4096, BOTH, RW), Address(At(WISH + 0x1_0000))),
            is(Write(At(WISH + 0x1_0000), 1), Done),
            is(Free(At(WISH), 0, MEM_RELEASE), Done),
            is(Free(At(WISH + 0x1_0000), 0, MEM_RELEASE), Done),
            is(Alloc(Null, 0, BOTH, RW), Error(87)),
        ],
    ),
];
