//! Floor 1. The door on macOS and FreeBSD: one file per kind of call.
//!
//! All goes through the C library, as these systems want it; it leaves a number in `errno` when a
//! call fails, which is put back (`call.rs`).

mod call;
mod faults;
mod generation;
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "files are opened by std"))]
mod grow;
#[cfg(feature = "std")]
mod handles;
mod info;
#[cfg(feature = "std")]
mod lease;
mod maps;
mod memory;
mod mirror;
mod pages;
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "files are opened by std"))]
mod prefault;
#[cfg(test)]
mod refusals;
mod section;
mod shared;
mod thread;
#[cfg(test)]
pub(crate) mod truth;
mod watch;

pub(crate) use super::carry::copy as carry;
pub(crate) use super::keys::call_at_thread_end;
pub(crate) use faults::{
    Context, abort, on_roomy_stack, watch_faults, without_signals, write_error, yield_now,
};
pub(crate) use generation::generation;
pub(crate) use grow::{
    extend_area, extend_file, flush_area, punch_hole, release_area, reserve_area, sync_file,
    sync_range, write_file,
};
#[cfg(feature = "std")]
pub(crate) use handles::{AsHandle, OwnedHandle, handle_of, number_of_handle, received};
pub(crate) use info::{guards, huge_page_len, huge_pages, info, limits};
#[cfg(feature = "std")]
pub(crate) use lease::{
    HAS_LEASES, follow_forks, give_lease, into_number, keep_others_out, lease_break_secs,
    lease_is_wanted, mask_of_keeper, move_over, open_again, read_at, standing_proof, take_lease,
};
pub(crate) use maps::{mapping_at_or_above, named_mapping_at_or_above};
pub(crate) use memory::{
    ADVICE_OUTLIVES_PAGES, COMMITS_LAZILY, advise, arm, decommit_huge, disarm, guard_many,
    huge_len, lock, name, overcommits_always, populate, prefer_node, prefetch, reserve_huge,
    reserve_near, resident, stack_room, thread_id, touched, undiscard, unguard_many, unlock,
};
pub(crate) use mirror::{mirror, unmirror};
pub(crate) use pages::empty as renew;
pub(crate) use pages::{
    RELEASES_PARTS, commit, decommit, discard, empty, error_kind, explain, guard, protect, release,
    reserve, reserve_at, unguard,
};
pub(crate) use prefault::{CAN_POPULATE, fault_count, first_mapped, memory_len, write_ahead};
#[cfg(test)]
pub(crate) use refusals::refusals;
#[cfg(feature = "std")]
pub(crate) use section::number_of;
pub(crate) use section::{
    allocate_len, backing_again, cache_state, close_backing, file_backing, first_copies,
    flush_view, forget_copies, map_view, memory_backing, patch_view, set_len, stored_len,
    unmap_view, view_step,
};
pub(crate) use shared::{
    claim, close_bell, create_named, creator, is_claimed, leave_named, monotonic_ns, open_bell,
    open_named, reclaim_abandoned, release_claim, ring_bell, unlink_named, wait_bell,
};
pub(crate) use thread::{
    pass_barrier, set_thread_stage, set_thread_word, thread_stage, thread_word,
};
pub(crate) use watch::{can_watch_guards, forget_written, reserve_watched, watch_again, written};
