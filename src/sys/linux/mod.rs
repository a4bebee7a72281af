//! Floor 1. The door on Linux: one file per kind of call.

mod info;
mod pages;
mod process;
pub(crate) mod raw;
pub(crate) mod unwind;

pub(crate) use info::info;
pub(crate) use pages::{
    advise, commit, decommit, discard, error_kind, guard, protect, release, reserve, unguard,
};
pub(crate) use process::{env, exit_now, process_id, thread_id, write_error, yield_now};
