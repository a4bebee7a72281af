//! Heaps.

use super::super::step::{KIB, MIB};
use super::Answer::{Blocks, Done, Error, New, NoCode, Number, Same, Truth, Walked};
use super::Block::{At as In, Null, Stack};
use super::Call::{
    Alloc, Compact, Create, Destroy, Execute, FillUp, Free, Holds, Lock, Put, ReAlloc, Size,
    Unlock, Validate, Walk,
};
use super::Heap::{At, Process};
use super::{Row, differs, is, ours, row};
use granule::win32::{
    HEAP_CREATE_ENABLE_EXECUTE as EXECUTE, HEAP_NO_SERIALIZE as ALONE,
    HEAP_REALLOC_IN_PLACE_ONLY as IN_PLACE, HEAP_ZERO_MEMORY as ZERO,
};

const TESTS: &str = "Wine, kernel32/tests/heap.c: test_HeapAlloc and others";

pub(super) const ROWS: &[Row] = &[
    row(
        "sizes are exact",
        "HeapSize",
        &[
            is(Create(0, 0, 0, 0), Done),
            is(Alloc(At(0), 0, 0, 10), New),
            is(Size(At(0), In(0, 0)), Number(10)),
            is(Put(In(0, 0), 10, 7), Truth(true)),
            is(Alloc(At(0), 1, 0, 0), New),
            is(Size(At(0), In(1, 0)), Number(0)),
            is(Alloc(At(0), 2, ZERO, 1000), New),
            is(Holds(In(2, 0), 1000, 0), Truth(true)),
            is(Size(At(0), In(2, 0)), Number(1000)),
            is(Holds(In(0, 0), 10, 7), Truth(true)),
            is(Validate(At(0), Null), Truth(true)),
        ],
    ),
    row(
        "a block grows and shrinks",
        "HeapReAlloc",
        &[
            is(Create(0, 0, 0, 0), Done),
            is(Alloc(At(0), 0, 0, 1000), New),
            is(Put(In(0, 0), 1000, 7), Truth(true)),
            is(ReAlloc(At(0), 0, 0, 5000), New),
            is(Size(At(0), In(0, 0)), Number(5000)),
            is(Holds(In(0, 0), 1000, 7), Truth(true)),
            is(ReAlloc(At(0), 0, ZERO, 9000), New),
            is(Holds(In(0, 5000), 4000, 0), Truth(true)),
            is(ReAlloc(At(0), 0, IN_PLACE, 50_000_000), Error(8)),
            is(Size(At(0), In(0, 0)), Number(9000)),
            is(ReAlloc(At(0), 0, IN_PLACE, 100), Same),
            is(Size(At(0), In(0, 0)), Number(100)),
            is(Holds(In(0, 0), 100, 7), Truth(true)),
            is(ReAlloc(At(0), 0, 0, 0), New),
            is(Size(At(0), In(0, 0)), Number(0)),
            is(Free(At(0), In(0, 0)), Done),
            is(Free(At(0), Null), Done),
        ],
    ),
    row(
        "long blocks",
        "HeapAlloc",
        &[
            is(Create(0, 0, 0, 0), Done),
            is(Alloc(At(0), 0, ZERO, 600_001), New),
            is(Size(At(0), In(0, 0)), Number(600_001)),
            is(Holds(In(0, 0), 600_001, 0), Truth(true)),
            is(Put(In(0, 0), 600_001, 9), Truth(true)),
            is(ReAlloc(At(0), 0, ZERO, 3 * MIB), New),
            is(Holds(In(0, 0), 600_001, 9), Truth(true)),
            is(Holds(In(0, 600_001), 3 * MIB - 600_001, 0), Truth(true)),
            is(ReAlloc(At(0), 0, 0, 64 * KIB), New),
            is(Size(At(0), In(0, 0)), Number(64 * KIB)),
            is(Holds(In(0, 0), 64 * KIB, 9), Truth(true)),
            is(Free(At(0), In(0, 0)), Done),
            is(Validate(At(0), Null), Truth(true)),
        ],
    ),
    Row {
        is_fatal: true,
        ..row(
            "wrong pointers",
            TESTS,
            &[
                is(Create(0, 0, 0, 0), Done),
                is(Create(1, 0, 0, 0), Done),
                is(Alloc(At(0), 0, 0, 5000), New),
                is(Alloc(At(1), 1, 0, 100), New),
                is(Validate(At(0), In(0, 0)), Truth(true)),
                is(Free(At(0), In(0, 0)), Done),
                is(Free(At(0), In(0, 0)), Error(87)),
                is(Validate(At(0), In(0, 0)), Truth(false)),
                is(Free(At(0), Stack), Error(87)),
                is(Free(At(0), In(1, 0)), Error(87)),
                is(Size(At(0), In(1, 0)), Error(87)),
                is(Validate(At(0), In(1, 0)), Truth(false)),
                is(Free(At(1), In(1, 16)), Error(87)),
                is(Size(At(1), In(1, 0)), Number(100)),
                is(Free(At(1), In(1, 0)), Done),
            ],
        )
    },
    row(
        "too much",
        "HeapAlloc",
        &[is(Create(0, 0, 0, 0), Done), is(Alloc(At(0), 0, 0, 1 << 46), Error(8))],
    ),
    row(
        "a maximum",
        "HeapCreate, dwMaximumSize; what Windows keeps of blocks and heap is its own affair",
        &[
            is(Create(0, 0, 4 * KIB, MIB), Done),
            is(FillUp(At(0), 4000, 1000), Blocks(250, 262, 8)),
            // And once more, as all were freed. Others may fit where those were.
            is(FillUp(At(0), 4000, 1000), Blocks(250, 262, 8)),
            is(FillUp(At(0), 100, 100_000), Blocks(7000, 10_500, 8)),
            is(Alloc(At(0), 0, 0, MIB), Error(8)),
            is(Create(1, 0, 4 * KIB, 2 * MIB), Done),
            is(Alloc(At(1), 1, 0, 0x7_0000), New),
            differs(
                Alloc(At(1), 2, 0, 0x7_fff8),
                Error(8),
                New,
                "HeapAlloc, dwBytes: less than 0x7FFF8 in a heap that does not grow",
            ),
        ],
    ),
    row(
        "more than the maximum to begin with",
        "HeapCreate, dwInitialSize",
        &[differs(
            Create(0, 0, 2 * MIB, MIB),
            Error(87),
            Done,
            "HeapCreate, dwInitialSize: smaller than dwMaximumSize",
        )],
    ),
    row(
        "the heap of the process",
        "HeapDestroy; the notes: it grows above its first MiB",
        &[
            is(Destroy(Process), Error(6)),
            is(FillUp(Process, 1000, 3000), Blocks(3000, 3000, 0)),
            is(Alloc(Process, 0, 0, 2 * MIB), New),
            is(Size(Process, In(0, 0)), Number(2 * MIB)),
            is(Free(Process, In(0, 0)), Done),
        ],
    ),
    row(
        "a walk",
        "HeapWalk",
        &[
            is(Create(0, 0, 0, 0), Done),
            is(Walk(At(0)), Walked(0, 0, 259)),
            is(Alloc(At(0), 0, 0, 10), New),
            is(Alloc(At(0), 1, 0, 300), New),
            is(Alloc(At(0), 2, 0, 20_000), New),
            is(Alloc(At(0), 3, 0, 10), New),
            is(Free(At(0), In(3, 0)), Done),
            is(Lock(At(0)), Done),
            is(Walk(At(0)), Walked(3, 20_310, 259)),
            is(Unlock(At(0)), Done),
            is(Compact(At(0)), Done),
            is(Walk(At(0)), Walked(3, 20_310, 259)),
        ],
    ),
    row(
        "a lock, twice",
        "HeapLock",
        &[
            is(Create(0, 0, 0, 0), Done),
            is(Lock(At(0)), Done),
            is(Lock(At(0)), Done),
            is(Alloc(At(0), 0, 0, 10), New),
            is(Unlock(At(0)), Done),
            is(Alloc(At(0), 0, ALONE, 10), New),
            is(Unlock(At(0)), Done),
        ],
    ),
    row(
        "without a lock",
        "HEAP_NO_SERIALIZE",
        &[
            is(Create(0, ALONE, 0, 0), Done),
            is(Alloc(At(0), 0, 0, 10), New),
            is(Size(At(0), In(0, 0)), Number(10)),
            is(FillUp(At(0), 100, 10_000), Blocks(10_000, 10_000, 0)),
            is(Free(At(0), In(0, 0)), Done),
            is(Destroy(At(0)), Done),
        ],
    ),
    row(
        "blocks are not code",
        "HEAP_CREATE_ENABLE_EXECUTE",
        &[
            is(Create(0, 0, 0, 0), Done),
            is(Alloc(At(0), 0, 0, 64), New),
            is(Execute(In(0, 0)), NoCode),
            ours(
                Create(1, EXECUTE, 0, 0),
                Done,
                Error(50),
                "all heaps share one range of addresses, which has no right to execute",
            ),
        ],
    ),
];
