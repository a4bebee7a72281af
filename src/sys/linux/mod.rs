//! Floor 1. The door on Linux: one file per kind of call.

mod info;
mod pages;
mod process;
pub(crate) mod raw;
#[cfg(test)]
pub(crate) mod truth;

pub(crate) use info::{guards, info, limits};
pub(crate) use pages::{
    advise, commit, decommit, discard, error_kind, explain, guard, protect, release, reserve,
    reserve_at, unguard,
};
pub(crate) use process::{env, exit_now, process_id, thread_id, write_error, yield_now};
