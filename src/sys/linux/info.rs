//! Floor 1. What this Linux machine offers.

use super::super::{GuardKind, Guards, HugePages, Info, Limits};
use super::huge::huge_page_len;
use super::pages::has_guard_markers;
use super::process::{count_lines, env_is, read_file};

/// The step of reservations, in bytes: the kernel's is a page, ours is that of Windows.
const GRANULARITY: usize = 64 * 1024;

/// Asks the kernel: auxv, /proc/sys/vm, /sys/kernel/mm, and one probe of the guard markers.
pub(crate) fn info() -> Info {
    let limits = limits();
    let guards = guards();
    Info {
        page_len: limits.page_len,
        granularity: limits.granularity,
        guard: guards.chosen,
        guard_markers: guards.markers,
        mappings_max: mappings_max().unwrap_or(0),
        overcommit: number_in(c"/proc/sys/vm/overcommit_memory").unwrap_or(0) as u8,
        huge_page_len: huge_page_len(),
        huge_pages: huge_pages(),
        memory_len: memory_len(),
        address_min: limits.address_min,
        address_max: limits.address_max,
    }
}

/// The facts that need no system call: the loader has put them into the auxiliary vector.
pub(crate) fn limits() -> Limits {
    let page_len = page_len();
    Limits {
        page_len,
        granularity: GRANULARITY,
        address_min: GRANULARITY,
        address_max: address_max(page_len),
    }
}

/// Tries the guard markers and reads `GRANULE_GUARD`. Calls: mmap, madvise, munmap, openat, read.
pub(crate) fn guards() -> Guards {
    let markers = has_guard_markers(page_len());
    let forced_split = env_is(b"GRANULE_GUARD", b"split");
    let chosen = if markers && !forced_split { GuardKind::Marker } else { GuardKind::Split };
    Guards { chosen, markers }
}

/// True when the process is so near its limit of mappings that a change inside one of them, which
/// needs two more, can have been refused for it. False when the limit cannot be read.
#[cold]
#[inline(never)]
pub(super) fn mappings_are_used_up() -> bool {
    match (mappings_max(), count_lines(c"/proc/self/maps")) {
        (Some(max), Some(count)) => count + 2 >= max,
        _ => false,
    }
}

fn mappings_max() -> Option<usize> {
    number_in(c"/proc/sys/vm/max_map_count")
}

fn page_len() -> usize {
    // SAFETY: getauxval reads a table that the loader filled before any code of ours ran.
    let len = unsafe { libc::getauxval(libc::AT_PAGESZ) } as usize;
    if len.is_power_of_two() { len } else { 4096 }
}

/// User space ends at 2^47 on x86-64 and, as the kernel was built, at 2^36 to 2^48 on AArch64:
/// there the name of the program tells, which lies at the end of the first stack and so of user
/// space. The last page is the kernel's.
fn address_max(page_len: usize) -> usize {
    const BITS: u32 = if cfg!(target_arch = "x86_64") { 47 } else { 48 };
    let end = 1usize << BITS;
    let end = if cfg!(target_arch = "x86_64") {
        end
    } else {
        // SAFETY: as in `page_len`.
        let name = unsafe { libc::getauxval(libc::AT_EXECFN) } as usize;
        if (1..end).contains(&name) { name.next_power_of_two() } else { end }
    };
    end - page_len - 1
}

pub(super) fn number_in(path: &core::ffi::CStr) -> Option<usize> {
    let mut buffer = [0u8; 32];
    parse_number(read_file(path, &mut buffer)?)
}

fn parse_number(text: &[u8]) -> Option<usize> {
    let digits = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    if digits == 0 {
        return None;
    }
    text[..digits]
        .iter()
        .try_fold(0usize, |sum, byte| sum.checked_mul(10)?.checked_add(usize::from(byte - b'0')))
}

/// The kernel's setting for transparent huge pages. Calls: openat, read, close.
pub(crate) fn huge_pages() -> HugePages {
    let mut buffer = [0u8; 64];
    let chosen = read_file(c"/sys/kernel/mm/transparent_hugepage/enabled", &mut buffer)
        .and_then(|text| text.split(|&byte| byte == b'[').nth(1));
    match chosen {
        Some([b'a', ..]) => HugePages::Always,
        Some([b'm', ..]) => HugePages::OnRequest,
        _ => HugePages::Never,
    }
}

fn memory_len() -> usize {
    let mut buffer = [0u8; 128];
    let kib = read_file(c"/proc/meminfo", &mut buffer).and_then(|text| {
        let start = text.iter().position(u8::is_ascii_digit)?;
        parse_number(&text[start..])
    });
    kib.unwrap_or(0).saturating_mul(1024)
}
