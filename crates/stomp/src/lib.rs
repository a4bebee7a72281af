//! libgranule_stomp: the preload library of `granule stomp`.
//!
//! It replaces the malloc family (`family`), keeps the program's own SIGSEGV handlers working
//! behind ours (`signals`), and sweeps at exit (`start`). All else is in the library `granule`.
//!
//! Nothing here may allocate through the standard library, and nothing does: the crate is `no_std`.
#![no_std]

mod family;
#[cfg(target_env = "gnu")]
mod jumps;
mod locks;
mod signals;
mod start;
mod threads;
mod waits;

granule::stand_alone!();
