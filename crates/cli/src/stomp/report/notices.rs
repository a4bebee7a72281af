//! The sentences of notices: what is so, and what to do next.
#![forbid(unsafe_code)]

use granule::stomp::record::Notice;
use granule::stomp::split_guards_max;

/// One sentence or two, without the leading `granule:`.
pub(crate) fn sentence(notice: Notice, pid: u32, numbers: [u64; 2]) -> String {
    match notice {
        Notice::SplitGuards => split_guards(pid, numbers),
        Notice::GuardingStops => guarding_stops(pid, numbers),
        Notice::GuardedOf => guarded_of(pid, numbers),
        Notice::OwnAllocator => own_allocator(pid),
        Notice::NoRegion => no_region(pid, numbers),
        Notice::OutOfMemory => out_of_memory(pid, numbers),
        Notice::FreedNotHidden => freed_not_hidden(pid, numbers),
    }
}

fn split_guards(pid: u32, [mappings_max, _]: [u64; 2]) -> String {
    format!(
        "process {pid} is guarded by splitting mappings: slower, and only about {} blocks can be \
         guarded at a time; for more raise vm.max_map_count (now {mappings_max}) or use Linux 6.13 \
         or later",
        split_guards_max(mappings_max as usize)
    )
}

fn guarding_stops(pid: u32, [live, mappings_max]: [u64; 2]) -> String {
    format!(
        "NOT GUARDED from here on: process {pid} has no more mappings for guards at {live} live \
         guarded blocks; raise the limit (now {mappings_max}): sysctl vm.max_map_count=1048576"
    )
}

fn guarded_of(pid: u32, [guarded, allocated]: [u64; 2]) -> String {
    format!(
        "process {pid} ended with {guarded} of {allocated} blocks guarded: what happened to the \
         others was not seen"
    )
}

fn own_allocator(pid: u32) -> String {
    format!(
        "process {pid} brings its own malloc: nothing is guarded in it; build it without that \
         allocator to look for stomps"
    )
}

fn no_region(pid: u32, [code, _]: [u64; 2]) -> String {
    let reason = std::io::Error::from_raw_os_error(code as i32);
    format!(
        "process {pid} cannot be guarded and ends: the address space for its blocks cannot be \
         reserved ({reason}); lift `ulimit -v` and `ulimit -d`, set vm.overcommit_memory to 0, \
         and do not run it under another tool such as valgrind"
    )
}

fn out_of_memory(pid: u32, [size, _]: [u64; 2]) -> String {
    format!(
        "process {pid} asked for a block of {size} bytes and got a null pointer: there is no \
         memory or address space for it; every live block takes at least a page here"
    )
}

fn freed_not_hidden(pid: u32, [code, _]: [u64; 2]) -> String {
    let reason = std::io::Error::from_raw_os_error(code as i32);
    format!(
        "in process {pid} the kernel refused to make a freed block inaccessible ({reason}): a use \
         after free of it goes unseen; look for locked memory (mlockall) and raise \
         vm.max_map_count"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notice_names_the_process_and_its_numbers() {
        for notice in Notice::ALL {
            let text = sentence(notice, 4711, [12, 34]);
            assert!(text.contains("process 4711"), "{text}");
            assert!(!text.ends_with('.') && !text.contains("  "), "{text}");
        }
        assert!(sentence(Notice::GuardedOf, 1, [12, 34]).contains("12 of 34 blocks"));
        assert!(sentence(Notice::SplitGuards, 1, [65_530, 0]).contains("30717 blocks"));
        assert!(sentence(Notice::NoRegion, 1, [12, 0]).contains("os error 12"));
    }
}
