//! Floor 1. The door on Linux: one file per kind of call.

mod blocked;
mod cache;
mod carry;
mod channel;
mod copies;
mod fault;
mod folder;
mod generation;
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "files are opened by std"))]
mod grow;
#[cfg(feature = "std")]
mod handles;
mod huge;
mod info;
mod kept_file;
#[cfg(feature = "std")]
mod lease;
mod listing;
mod maps;
mod memory;
mod mirror;
mod pagemap;
mod pages;
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "files are opened by std"))]
mod prefault;
mod process;
pub(crate) mod raw;
#[cfg(test)]
mod refusals;
mod section;
mod shared;
mod signals;
mod thread;
mod touched;
#[cfg(test)]
pub(crate) mod truth;
pub(crate) mod unwind;
mod watch;

pub(crate) use super::keys::call_at_thread_end;
pub(crate) use cache::cache_state;
pub(crate) use carry::{carry, renew};
pub(crate) use channel::tell;
pub(crate) use copies::{first_copies, forget_copies};
pub use fault::SignalAction;
pub(crate) use fault::{ABORT, die_by, without_signals};
pub(crate) use generation::generation;
pub(crate) use grow::{
    extend_area, extend_file, flush_area, punch_hole, release_area, reserve_area, sync_file,
    sync_range, write_file,
};
#[cfg(feature = "std")]
pub(crate) use handles::{AsHandle, OwnedHandle, handle_of, number_of_handle, received};
pub(crate) use huge::{
    decommit_huge, huge_len, huge_page_len, prefer_node, reserve_huge, reserve_near,
};
pub(crate) use info::{guards, huge_pages, info, limits};
#[cfg(feature = "std")]
pub(crate) use lease::{
    HAS_LEASES, follow_forks, give_lease, into_number, keep_others_out, lease_break_secs,
    lease_is_wanted, mask_of_keeper, move_over, open_again, read_at, standing_proof, take_lease,
};
pub(crate) use maps::{file_at, mapping_at_or_above, named_mapping_at_or_above};
pub(crate) use memory::{
    ADVICE_OUTLIVES_PAGES, COMMITS_LAZILY, advise, arm, disarm, guard_many, lock, name,
    overcommits_always, populate, prefetch, stack_room, undiscard, unguard_many, unlock,
};
pub(crate) use mirror::{mirror, unmirror};
pub(crate) use pages::{
    RELEASES_PARTS, commit, decommit, discard, empty, error_kind, explain, guard, protect, release,
    reserve, reserve_at, unguard,
};
pub(crate) use prefault::{CAN_POPULATE, fault_count, first_mapped, write_ahead};
pub(crate) use process::{
    abort, call_at_exit, env, exit_now, is_single_threaded, is_thread, memory_and_swap_len,
    memory_len, process_id, thread_id, thread_id_quick, write_error, yield_now,
};
#[cfg(test)]
pub(crate) use refusals::refusals;
#[cfg(feature = "std")]
pub(crate) use section::number_of;
pub(crate) use section::{
    allocate_len, backing_again, close_backing, file_backing, flush_view, map_view, memory_backing,
    patch_view, set_len, stored_len, unmap_view, view_step,
};
pub(crate) use shared::{
    claim, close_bell, create_named, creator, is_claimed, leave_named, monotonic_ns, open_bell,
    open_named, reclaim_abandoned, release_claim, ring_bell, unlink_named, wait_bell,
};
pub(crate) use signals::{Context, on_roomy_stack, program_action, run_on_stack, watch_faults};
pub use signals::{
    follow_masks, forget_handler_mask, program_blocked, program_mask, set_program_blocked,
};
pub(crate) use thread::{
    pass_barrier, set_thread_stage, set_thread_word, thread_stage, thread_word,
};
pub(crate) use touched::{resident, touched};
pub(crate) use unwind::{Registers, capture, forget, module_offset};
pub(crate) use watch::{can_watch_guards, forget_written, reserve_watched, watch_again, written};
