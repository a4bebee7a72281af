//! Rights: `VirtualProtect`, and what a touch does.

use super::step::*;
use granule::win32::{
    MEM_COMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_EXECUTE_READ, PAGE_NOACCESS, PAGE_READONLY,
    PAGE_READWRITE, PAGE_WRITECOPY,
};

const RW: u32 = PAGE_READWRITE;
const BOTH: u32 = MEM_RESERVE | MEM_COMMIT;
const ASKED: (Place, u32) = (In(0, 0), PAGE_NOACCESS);

pub(crate) const ROWS: &[Row] = &[
    row(
        "protect takes whole pages",
        "VirtualProtect, dwSize and lpflOldProtect",
        &[
            is(Alloc(Null, 64 * KIB, MEM_RESERVE, PAGE_NOACCESS), New(0)),
            is(Alloc(In(0, 0), 0x4000, MEM_COMMIT, RW), Address(In(0, 0))),
            is(Protect(In(0, 0x1000), 1, PAGE_READONLY), Old(RW)),
            is(Query(In(0, 0)), committed(In(0, 0), 0x1000, ASKED, RW)),
            is(Query(In(0, 0x1000)), committed(In(0, 0x1000), 0x1000, ASKED, PAGE_READONLY)),
            is(Write(In(0, 0x1000), 1), Fault(VIOLATION, Writing, In(0, 0x1000))),
            is(Read(In(0, 0x1000)), Byte(0)),
            // The old rights are those of the first page.
            is(Protect(In(0, 0), 0x2000, RW), Old(RW)),
            is(Protect(In(0, 0x1fff), 2, PAGE_NOACCESS), Old(RW)),
            is(Query(In(0, 0x1000)), committed(In(0, 0x1000), 0x2000, ASKED, PAGE_NOACCESS)),
            is(Query(In(0, 0x3000)), committed(In(0, 0x3000), 0x1000, ASKED, RW)),
        ],
    ),
    row(
        "protect wants committed pages",
        "Wine, kernel32/tests/virtual.c: test_VirtualAlloc",
        &[
            is(Alloc(Null, 64 * KIB, MEM_RESERVE, PAGE_NOACCESS), New(0)),
            is(Protect(In(0, 0), 0xfffc, PAGE_READONLY), Error(487)),
            is(Alloc(In(0, 0), 0x4000, MEM_COMMIT, RW), Address(In(0, 0))),
            is(Protect(In(0, 0x5000), 0x1000, PAGE_READONLY), Error(487)),
            is(Protect(In(0, 0x3000), 0x2000, PAGE_READONLY), Error(487)),
            is(Query(In(0, 0)), committed(In(0, 0), 0x4000, ASKED, RW)),
        ],
    ),
    row(
        "arguments of protect",
        "VirtualProtect",
        &[
            is(Alloc(Null, 64 * KIB, BOTH, RW), New(0)),
            is(Protect(In(0, 0), 0x1000, 0), Error(87)),
            is(Protect(In(0, 0), 0x1000, 6), Error(87)),
            is(Protect(In(0, 0), 0x1000, PAGE_WRITECOPY), Error(87)),
            is(ProtectBlind(In(0, 0), 0x1000, RW), Error(998)),
            differs(
                Protect(In(0, 0), 0, RW),
                Error(87),
                Old(RW),
                "ERROR_INVALID_PARAMETER on Windows, say users: ravendb on a memory map of size 0",
            ),
            differs(
                Protect(At(WISH), 0x1000, PAGE_READONLY),
                Error(487),
                Error(87),
                "VirtualProtect wants committed pages: STATUS_CONFLICTING_ADDRESSES is 487",
            ),
            is(Query(In(0, 0)), committed(In(0, 0), 64 * KIB, (In(0, 0), RW), RW)),
        ],
    ),
    row(
        "executable and back",
        "Memory Protection Constants",
        &[
            is(Alloc(Null, 0x1000, BOTH, RW), New(0)),
            is(WriteReturn(In(0, 0)), Done),
            is(Execute(In(0, 0)), Fault(VIOLATION, Executing, In(0, 0))),
            is(Protect(In(0, 0), 0x1000, PAGE_EXECUTE_READ), Old(RW)),
            is(Execute(In(0, 0)), Done),
            is(Write(In(0, 0), 1), Fault(VIOLATION, Writing, In(0, 0))),
            is(Protect(In(0, 0), 0x1000, RW), Old(PAGE_EXECUTE_READ)),
            is(Write(In(0, 0), 1), Done),
        ],
    ),
    row(
        "access violations tell the access and the address",
        "EXCEPTION_RECORD, ExceptionInformation",
        &[
            is(Alloc(At(WISH), 0x2000, MEM_RESERVE, RW), Address(At(WISH))),
            is(Alloc(At(WISH), 0x1000, MEM_COMMIT, PAGE_READONLY), Address(At(WISH))),
            is(Write(At(WISH + 9), 1), Fault(VIOLATION, Writing, At(WISH + 9))),
            is(Read(At(WISH + 0x1009)), Fault(VIOLATION, Reading, At(WISH + 0x1009))),
            is(Write(At(WISH + 0x1009), 1), Fault(VIOLATION, Writing, At(WISH + 0x1009))),
            is(Free(At(WISH), 0, MEM_RELEASE), Done),
            is(Read(At(WISH + 9)), Fault(VIOLATION, Reading, At(WISH + 9))),
        ],
    ),
    row(
        "the system's own accesses reach no handler",
        "ReadFile: ERROR_NOACCESS; read(2): EFAULT",
        &[
            is(Alloc(Null, 0x1000, MEM_RESERVE, RW), New(0)),
            is(SystemWrite(In(0, 0)), Error(998)),
            is(Query(In(0, 0)), reserved(In(0, 0), 0x1000, (In(0, 0), RW))),
            is(Alloc(In(0, 0), 0x1000, MEM_COMMIT, RW), Address(In(0, 0))),
            is(SystemWrite(In(0, 0)), Done),
        ],
    ),
];
