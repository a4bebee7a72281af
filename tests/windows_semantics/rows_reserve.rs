//! Reserving, and what is refused before anything happens.

use super::step::*;
use granule::win32::{
    MEM_COMMIT, MEM_PHYSICAL, MEM_RELEASE, MEM_RESERVE, MEM_RESET, MEM_TOP_DOWN,
    PAGE_EXECUTE_WRITECOPY, PAGE_GUARD, PAGE_NOACCESS, PAGE_READWRITE, PAGE_WRITECOPY,
};

const BOTH: u32 = MEM_RESERVE | MEM_COMMIT;
/// All addresses of programs, and more.
const ALL: usize = if cfg!(target_arch = "x86_64") { 1 << 47 } else { 1 << 48 };
/// Of the system that this program runs on.
const KERNEL: usize = 0xffff_8000_0000_0000;

pub(crate) const ROWS: &[Row] = &[
    row(
        "system information",
        "GetSystemInfo",
        &[is(SystemInfo, Answer::System(0x1000, 0x1_0000, 0x1_0000))],
    ),
    row(
        "reserve 10 MiB at 0x56781234",
        "VirtualAlloc, lpAddress and dwSize",
        &[
            is(Alloc(At(0x5678_1234), 10 * MIB, MEM_RESERVE, PAGE_READWRITE), Address(At(WISH))),
            is(Query(At(WISH)), reserved(At(WISH), 0xa0_2000, (At(WISH), PAGE_READWRITE))),
            // Asked from the hint on, the first page is missing.
            is(
                Query(At(0x5678_1234)),
                reserved(At(0x5678_1000), 0xa0_1000, (At(WISH), PAGE_READWRITE)),
            ),
            is(
                Query(At(0x5718_1fff)),
                reserved(At(0x5718_1000), 0x1000, (At(WISH), PAGE_READWRITE)),
            ),
            is(Query(At(0x5718_2000)), free(At(0x5718_2000), 0x1000)),
            is(Alloc(At(0x5678_1234), 10 * MIB, MEM_RESERVE, PAGE_READWRITE), Error(487)),
            is(Alloc(At(0x5678_1234), 100 * MIB, MEM_RESERVE, PAGE_READWRITE), Error(487)),
            is(Alloc(At(0x5678_1234), 0x1000, BOTH, PAGE_READWRITE), Error(487)),
            is(Write(At(WISH), b'A'), Fault(VIOLATION, Writing, At(WISH))),
            is(Read(At(WISH)), Fault(VIOLATION, Reading, At(WISH))),
            is(Free(At(WISH), 0, MEM_RELEASE), Done),
            is(Query(At(WISH)), free(At(WISH), 0xa0_2000)),
        ],
    ),
    row(
        "a reservation of 0xfffc bytes has 0x10000",
        "Wine, kernel32/tests/virtual.c: test_VirtualAlloc",
        &[
            is(Alloc(Null, 0xfffc, MEM_RESERVE, PAGE_NOACCESS), New(0)),
            is(Query(In(0, 0)), reserved(In(0, 0), 0x1_0000, (In(0, 0), PAGE_NOACCESS))),
        ],
    ),
    row(
        "arguments that are wrong in themselves",
        "VirtualAlloc",
        &[
            is(Alloc(Null, 0, MEM_RESERVE, PAGE_READWRITE), Error(87)),
            is(Alloc(Null, 0, BOTH, PAGE_READWRITE), Error(87)),
            is(Alloc(Null, 0x1000, 0, PAGE_READWRITE), Error(87)),
            is(Alloc(Null, 0x1000, MEM_RESERVE, 0), Error(87)),
            is(Alloc(Null, 0x1000, MEM_RESERVE, 6), Error(87)),
            is(Alloc(Null, 0x1000, MEM_RESERVE | 4, PAGE_READWRITE), Error(87)),
            is(Alloc(Null, 0x1000, MEM_TOP_DOWN, PAGE_READWRITE), Error(87)),
            is(Alloc(Null, 0x1000, BOTH, PAGE_WRITECOPY), Error(87)),
            is(Alloc(Null, 0x1000, BOTH, PAGE_EXECUTE_WRITECOPY), Error(87)),
            is(Alloc(Null, MIB, MEM_PHYSICAL, PAGE_READWRITE), Error(87)),
            differs(
                Alloc(Null, 0x1000, BOTH, PAGE_NOACCESS | PAGE_GUARD),
                Error(87),
                New(0),
                "Memory Protection Constants: PAGE_GUARD cannot be used with PAGE_NOACCESS",
            ),
        ],
    ),
    row(
        "addresses that no program may have",
        "VirtualAlloc; the numbers are Wine's, STATUS_INVALID_PARAMETER",
        &[
            is(Alloc(At(0x1000), 0x1000, MEM_RESERVE, PAGE_READWRITE), Error(87)),
            is(Alloc(At(0xffff), 0x1000, MEM_RESERVE, PAGE_READWRITE), Error(87)),
            is(Alloc(Place::Highest(1), 0x1000, MEM_RESERVE, PAGE_READWRITE), Error(87)),
            is(Alloc(At(KERNEL), 0x1000, MEM_RESERVE, PAGE_READWRITE), Error(87)),
            is(Alloc(Null, ALL, MEM_RESERVE, PAGE_NOACCESS), Error(87)),
            is(Alloc(Null, 1 << 63, MEM_RESERVE, PAGE_NOACCESS), Error(87)),
            is(Alloc(At(WISH), usize::MAX, MEM_RESERVE, PAGE_NOACCESS), Error(87)),
            is(Query(Place::Highest(1)), Error(87)),
            is(Query(At(KERNEL)), Error(87)),
            is(QueryShort(Null), Error(24)),
            is(Query(Null), free(At(0), 0x1000)),
            is(Query(At(0xfff0)), free(At(0xf000), 0x1000)),
        ],
    ),
    Row {
        obstacle: Some(has_few_addresses),
        ..row(
            "a terabyte",
            "VirtualAlloc: reserving takes no storage",
            &[
                is(Alloc(Null, TIB, MEM_RESERVE, PAGE_NOACCESS), New(0)),
                is(Free(In(0, 0), 0, MEM_RELEASE), Done),
            ],
        )
    },
    Row {
        obstacle: Some(has_few_addresses_or_takes_memory),
        ..row(
            "64 terabytes",
            "VirtualAlloc: reserving takes no storage; Wine 8 grants them, too",
            &[
                is(Alloc(Null, 64 * TIB, MEM_RESERVE, PAGE_NOACCESS), New(0)),
                is(Free(In(0, 0), 0, MEM_RELEASE), Done),
            ],
        )
    },
    Row {
        obstacle: Some(promises_everything),
        ..row(
            "commit 16 TiB",
            "VirtualAlloc: MEM_COMMIT is charged",
            &[differs(
                Alloc(Null, 16 * TIB, BOTH, PAGE_READWRITE),
                Error(1455),
                Error(8),
                "System Error Codes: 1455 is ERROR_COMMITMENT_LIMIT",
            )],
        )
    },
    row(
        "8 bytes cost a page of memory and 64 KiB of addresses",
        "VirtualAlloc; SYSTEM_INFO, dwAllocationGranularity",
        &[
            is(Alloc(At(WISH), 8, BOTH, PAGE_READWRITE), Address(At(WISH))),
            is(
                Query(At(WISH)),
                committed(At(WISH), 0x1000, (At(WISH), PAGE_READWRITE), PAGE_READWRITE),
            ),
            is(Query(At(WISH + 0x1000)), free(At(WISH + 0x1000), 0xf000)),
            is(Alloc(At(WISH + 0x1000), 0x1000, BOTH, PAGE_READWRITE), Error(487)),
            is(Alloc(At(WISH + 0x8000), 0x1000, MEM_RESERVE, PAGE_READWRITE), Error(487)),
            is(
                Alloc(At(WISH + 0x1_0000), 0x1000, BOTH, PAGE_READWRITE),
                Address(At(WISH + 0x1_0000)),
            ),
            is(Write(At(WISH + 4095), 1), Done),
            is(Write(At(WISH + 4096), 1), Fault(VIOLATION, Writing, At(WISH + 4096))),
            is(Free(At(WISH), 0, MEM_RELEASE), Done),
            is(Free(At(WISH + 0x1_0000), 0, MEM_RELEASE), Done),
        ],
    ),
    row(
        "commit without an address reserves, too",
        "VirtualAlloc; Wine, kernel32/tests/virtual.c: VirtualAllocEx with MEM_COMMIT alone",
        &[
            is(Alloc(Null, 8, MEM_COMMIT, PAGE_READWRITE), New(0)),
            is(
                Query(In(0, 0)),
                committed(In(0, 0), 0x1000, (In(0, 0), PAGE_READWRITE), PAGE_READWRITE),
            ),
            is(Write(In(0, 8), b'A'), Done),
            is(Free(In(0, 0), 0, MEM_RELEASE), Done),
        ],
    ),
    row(
        "top down",
        "VirtualAlloc, MEM_TOP_DOWN",
        &[
            is(Alloc(Null, 100 * MIB, MEM_RESERVE | MEM_TOP_DOWN, PAGE_READWRITE), New(0)),
            is(Query(In(0, 0)), reserved(In(0, 0), 100 * MIB, (In(0, 0), PAGE_READWRITE))),
            is(Alloc(In(0, 4096), 4096, MEM_COMMIT, PAGE_READWRITE), Address(In(0, 4096))),
            is(Write(In(0, 4096), b'A'), Done),
            is(Free(In(0, 4096), 4096, granule::win32::MEM_DECOMMIT), Done),
            is(Free(In(0, 0), 0, MEM_RELEASE), Done),
            is(Query(In(0, 0)), free(In(0, 0), 100 * MIB)),
        ],
    ),
    row(
        "reset",
        "VirtualAlloc, MEM_RESET",
        &[
            is(Alloc(Null, MIB, BOTH, PAGE_READWRITE), New(0)),
            is(Write(In(0, 5), 0x5a), Done),
            is(Alloc(In(0, 0), MIB, MEM_RESET, PAGE_NOACCESS), Address(In(0, 0))),
            is(Read(In(0, 5)), Bytes(0x5a, 0)),
            is(
                Query(In(0, 0)),
                committed(In(0, 0), MIB, (In(0, 0), PAGE_READWRITE), PAGE_READWRITE),
            ),
            is(Write(In(0, 5), 0x5b), Done),
            is(Read(In(0, 5)), Byte(0x5b)),
            differs(
                Alloc(In(0, 0), MIB, MEM_RESET | MEM_COMMIT, PAGE_READWRITE),
                Error(87),
                Address(In(0, 0)),
                "VirtualAlloc, MEM_RESET: this value cannot be used with any other value",
            ),
        ],
    ),
    row(
        "pages that are not of VirtualAlloc",
        "VirtualQuery",
        &[is(Query(Place::Code), IMAGE), is(Query(Place::Stack), STACK)],
    ),
];

fn has_few_addresses() -> Option<&'static str> {
    (granule::vm::info().address_max < 64 * TIB).then_some("programs have no 64 TiB of addresses")
}

/// Where the system promises everything, it refuses no commit.
fn promises_everything() -> Option<&'static str> {
    let promises = granule::vm::info().overcommit == 1;
    promises.then_some("vm.overcommit_memory is 1").or_else(has_few_addresses)
}

/// Wine keeps a byte for each page, which makes 16 GiB.
fn has_few_addresses_or_takes_memory() -> Option<&'static str> {
    let takes_memory = super::is_wine().then_some("Wine takes a byte of memory for each page");
    takes_memory.or_else(has_few_addresses)
}
