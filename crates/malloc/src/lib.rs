//! libgranule_malloc: the heap of the process (`granule::Granule`) as the `malloc` and the
//! `operator new` of any program, preloaded or linked.
//!
//! ```text
//!   cargo build -p granule-malloc --profile preload      target/preload/libgranule_malloc.{so,a}
//!   LD_PRELOAD=$PWD/target/preload/libgranule_malloc.so PROGRAM
//!   cc program.c target/preload/libgranule_malloc.a
//! ```
//! # The quick ways
//! Counted in the library that the command above makes for x86-64 (`objdump -d`), from the first
//! instruction to the return, with a block from the cache of the thread or back into it:
//!
//! | call | instructions | of them |
//! |---|---|---|
//! | `malloc` up to 1 KiB | 20 | 4 look up the class, 5 find the thread, 2 are for handlers |
//! | `calloc` up to 1 KiB | 28, the last a jump to `memset` | 4 check the product |
//! | `free` of a block of this thread | 32 | 13 look up whose it is |
//! | `operator new` | 23 | 3 ask whether the program replaced one |
//! | `operator delete` | 35 | 3 ask the same |
//!
//! None of them has a frame, calls anything, or touches the block; what is not quick is jumped to.
//! The two for signal handlers are the stores that give the thread's part away and take it back: a
//! handler that comes in between may allocate.
//!
//! # What it cannot do
//! - A program that replaces `operator new` or `malloc` itself cannot link `libgranule_malloc.a`,
//!   whose names are all in one object file; it can be run with the library preloaded.
//! - In a static program `operator new` throws `std::bad_alloc` only if something else in it throws
//!   one, too: else the linker leaves that part of the C++ library out. Then it says so and aborts.
//! - The tests run on glibc, on x86-64. On AArch64 it is built and tried under qemu by hand.
//!
//! All else is in the library `granule`. Nothing here may allocate through the standard library,
//! and nothing does: the crate is `no_std`.
#![no_std]

mod family;
mod numbers;
mod operators;
mod start;

granule::stand_alone!();
