//! Guard pages: `PAGE_GUARD`.

use super::step::*;
use granule::win32::{
    MEM_COMMIT, MEM_DECOMMIT, MEM_RESERVE, PAGE_GUARD, PAGE_READONLY, PAGE_READWRITE,
};

const RW: u32 = PAGE_READWRITE;
const GUARDED: u32 = PAGE_READWRITE | PAGE_GUARD;
const BOTH: u32 = MEM_RESERVE | MEM_COMMIT;
const ASKED: (Place, u32) = (In(0, 0), PAGE_READWRITE);

pub(crate) const ROWS: &[Row] = &[
    row(
        "a guard page faults once",
        "Creating Guard Pages",
        &[
            is(Alloc(Null, 64 * KIB, BOTH, RW), New(0)),
            is(Protect(In(0, 0), 0x1000, GUARDED), Old(RW)),
            is(Query(In(0, 0)), committed(In(0, 0), 0x1000, ASKED, GUARDED)),
            is(Write(In(0, 5), 1), Fault(GUARD_VIOLATION, Writing, In(0, 5))),
            is(Query(In(0, 0)), committed(In(0, 0), 64 * KIB, ASKED, RW)),
            is(Write(In(0, 5), 1), Done),
            is(Protect(In(0, 0), 0x1000, GUARDED), Old(RW)),
            is(Read(In(0, 5)), Fault(GUARD_VIOLATION, Reading, In(0, 5))),
            is(Read(In(0, 5)), Byte(1)),
        ],
    ),
    row(
        "a handler may go on after a guard page",
        "Creating Guard Pages",
        &[
            is(Alloc(Null, 0x1000, BOTH, RW), New(0)),
            is(Protect(In(0, 0), 0x1000, GUARDED), Old(RW)),
            is(WriteOn(In(0, 9), 7), Faults(1)),
            is(Read(In(0, 9)), Byte(7)),
        ],
    ),
    row(
        "guard pages are committed pages",
        "Memory Protection Constants, PAGE_GUARD",
        &[
            is(Alloc(Null, 0x3000, BOTH, GUARDED), New(0)),
            is(Query(In(0, 0)), committed(In(0, 0), 0x3000, (In(0, 0), GUARDED), GUARDED)),
            is(Protect(In(0, 0), 0x1000, PAGE_READONLY), Old(GUARDED)),
            is(Read(In(0, 0)), Byte(0)),
            is(Alloc(In(0, 0x1000), 0x1000, MEM_COMMIT, RW), Address(In(0, 0x1000))),
            is(Write(In(0, 0x1000), 1), Done),
            is(Protect(In(0, 0x2000), 0x1000, GUARDED), Old(GUARDED)),
            is(Write(In(0, 0x2000), 1), Fault(GUARD_VIOLATION, Writing, In(0, 0x2000))),
            is(Alloc(In(0, 0x2000), 0x1000, MEM_COMMIT, GUARDED), Address(In(0, 0x2000))),
            is(Free(In(0, 0x2000), 0x1000, MEM_DECOMMIT), Done),
            depends(
                Write(In(0, 0x2000), 1),
                Fault(VIOLATION, Writing, In(0, 0x2000)),
                Fault(GUARD_VIOLATION, Writing, In(0, 0x2000)),
                "VirtualFree: an attempt to access a decommitted page is an access violation",
            ),
        ],
    ),
];
