//! libgranule_malloc: the heap of the process (`granule::Granule`) as the `malloc` and the
//! `operator new` of any program, preloaded or linked.
//!
//! ```text
//!   cargo build -p granule-malloc --profile preload      target/preload/libgranule_malloc.{so,a}
//!   LD_PRELOAD=$PWD/target/preload/libgranule_malloc.so PROGRAM
//!   cc program.c target/preload/libgranule_malloc.a
//! ```
//! All else is in the library `granule`. Nothing here may allocate through the standard library,
//! and nothing does: the crate is `no_std`.
#![no_std]

mod family;
mod numbers;
mod operators;
mod start;

granule::stand_alone!();
