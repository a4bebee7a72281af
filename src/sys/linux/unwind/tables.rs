//! Floor 1. Finds the unwind table of the module that holds a pc.
//!
//! glibc 2.35 and later have `_dl_find_object`, which takes no lock and is made for this; elsewhere
//! `dl_iterate_phdr` answers, which does. What either says is read with probes and believed only as
//! far as it is a module with the usual headers.

use super::probe_read;
use crate::ds::cfi::{Row, Table};
use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ops::Range;

/// A loaded module, as far as unwinding needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Module {
    /// What to add to the addresses in its headers.
    bias: u64,
    /// Address and number of its program headers.
    headers: u64,
    count: u64,
    /// Address of `.eh_frame_hdr`.
    table: u64,
}

/// Gives the row at `pc` to `use_row`. `None` if no table covers the pc.
pub(super) fn with_row<T>(pc: u64, use_row: impl FnOnce(Row<'_>) -> T) -> Option<T> {
    with_table(pc.wrapping_sub(1), |table| table.row(pc).map(use_row))
}

/// The addresses of the function that has `address`. `None` if no table tells.
pub(super) fn function_of(address: u64) -> Option<Range<u64>> {
    with_table(address, |table| table.function(address))
}

/// Gives the table of the module of `address` to `use_table`.
fn with_table<T>(address: u64, use_table: impl FnOnce(Table<'_>) -> Option<T>) -> Option<T> {
    let module = module_of(address)?;
    let (start, len) = module.table_mapping()?;
    let start_ptr = core::ptr::with_exposed_provenance::<u8>(start as usize);
    // SAFETY: the range is the file-backed part of a loadable, not writable mapping of a module
    // that is loaded now: a frame of it is on a stack, so nobody may unload it meanwhile.
    let bytes = unsafe { core::slice::from_raw_parts(start_ptr, len as usize) };
    use_table(Table::new(bytes, start, module.table))
}

/// True if the return address `pc` lies in a module.
pub(super) fn is_code(pc: u64) -> bool {
    module_of(pc.wrapping_sub(1)).is_some()
}

/// Where `address` lies in the file of its module, as its symbols count.
pub(crate) fn module_offset(address: u64) -> Option<u64> {
    module_of(address).map(|module| address.wrapping_sub(module.bias))
}

fn module_of(address: u64) -> Option<Module> {
    match find_object() {
        Some(find) => by_find_object(find, address),
        None => by_iteration(address),
    }
}

impl Module {
    /// Start and length of the mapping that holds the table.
    fn table_mapping(&self) -> Option<(u64, u64)> {
        let found = (0..self.count.min(64)).find_map(|index| {
            let header = ProgramHeader::read(self.headers.wrapping_add(index * HEADER_LEN))?;
            let start = self.bias.wrapping_add(header.address);
            let holds = (start..start.checked_add(header.len)?).contains(&self.table);
            (header.is_loaded && holds).then_some((start, header))
        });
        let (start, header) = found?;
        (!header.is_writable).then_some((start, header.len))
    }
}

/// Bytes of a program header of a 64-bit ELF file.
const HEADER_LEN: u64 = 56;

/// What matters of one.
#[derive(Clone, Copy)]
struct ProgramHeader {
    is_loaded: bool,
    is_writable: bool,
    address: u64,
    /// Bytes that come from the file.
    len: u64,
}

impl ProgramHeader {
    fn read(at: u64) -> Option<Self> {
        let kind_and_flags = probe_read(at)?;
        let flags = (kind_and_flags >> 32) as u32;
        Some(ProgramHeader {
            is_loaded: kind_and_flags as u32 == libc::PT_LOAD,
            is_writable: flags & libc::PF_W != 0,
            address: probe_read(at + 16)?,
            len: probe_read(at + 32)?,
        })
    }
}

/// glibc's `struct dl_find_object` (x86-64 and AArch64 have neither of its optional members).
#[repr(C)]
pub(super) struct FoundObject {
    flags: u64,
    map_start: u64,
    map_end: u64,
    link_map: u64,
    eh_frame: u64,
    reserved: [u64; 7],
}

pub(super) type FindObject = unsafe extern "C" fn(*mut c_void, *mut FoundObject) -> c_int;

/// glibc's `_dl_find_object`, if the C library has it.
pub(super) fn find_object() -> Option<FindObject> {
    let address: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: loads one word of the global offset table. The reference is weak: a C library without
    // the function leaves 0 there.
    unsafe {
        core::arch::asm!(
            ".weak _dl_find_object",
            "mov {address}, qword ptr [rip + _dl_find_object@GOTPCREL]",
            address = out(reg) address,
            options(nostack, preserves_flags, pure, readonly)
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!(
            ".weak _dl_find_object",
            "adrp {address}, :got:_dl_find_object",
            "ldr {address}, [{address}, :got_lo12:_dl_find_object]",
            address = out(reg) address,
            options(nostack, preserves_flags, pure, readonly)
        );
    }
    // SAFETY: the word is 0 or the address of the function, whose type this is.
    unsafe { core::mem::transmute::<usize, Option<FindObject>>(address) }
}

pub(super) fn by_find_object(find: FindObject, address: u64) -> Option<Module> {
    let mut found = MaybeUninit::<FoundObject>::uninit();
    let asked = core::ptr::without_provenance_mut(address as usize);
    // SAFETY: the function writes to `found` when it returns 0; any address may be asked for.
    let status = unsafe { find(asked, found.as_mut_ptr()) };
    if status != 0 {
        return None;
    }
    // SAFETY: it returned 0.
    let found = unsafe { found.assume_init() };
    (found.eh_frame != 0).then_some(())?;
    Module::of_image(found.map_start, found.eh_frame)
        .or_else(|| Module::of_program(found.link_map, found.eh_frame))
}

impl Module {
    /// The program itself, which the kernel has mapped: between its parts there may be holes, and
    /// then what is found is the one part that was asked about, without the headers. The kernel has
    /// told where these are, and the loader's entry begins with the bias.
    fn of_program(link_map: u64, table: u64) -> Option<Self> {
        // SAFETY: any number may be asked for.
        let headers = unsafe { libc::getauxval(libc::AT_PHDR) };
        // SAFETY: as above.
        let count = unsafe { libc::getauxval(libc::AT_PHNUM) };
        let module = Module { bias: probe_read(link_map)?, headers, count, table };
        // Another module has its table elsewhere.
        module.table_mapping().map(|_| module)
    }

    /// A module from its first mapped bytes, which are those of its file, and its table.
    fn of_image(start: u64, table: u64) -> Option<Self> {
        const MAGIC: u32 = u32::from_le_bytes(*b"\x7fELF");
        if probe_read(start)? as u32 != MAGIC {
            return None;
        }
        let headers = start.wrapping_add(probe_read(start + 32)?);
        let (size, count) = {
            let sizes = probe_read(start + 48)?; // flags, header size, entry size, entries
            (sizes >> 48, probe_read(start + 56)? & 0xffff)
        };
        let first = (0..count).find_map(|index| {
            let header = ProgramHeader::read(headers.wrapping_add(index * HEADER_LEN))?;
            header.is_loaded.then_some(header.address)
        })?;
        let bias = start.wrapping_sub(first & !0xfff);
        (size == HEADER_LEN).then_some(Module { bias, headers, count, table })
    }
}

/// The search of [`by_iteration`].
struct Search {
    address: u64,
    found: Option<Module>,
}

pub(super) fn by_iteration(address: u64) -> Option<Module> {
    let mut search = Search { address, found: None };
    // SAFETY: `visit` has the right type and is given a `Search` that outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
    search.found
}

/// # Safety
/// 1. `info` points to what `dl_iterate_phdr` gives; `search` to a [`Search`].
unsafe extern "C" fn visit(
    info: *mut libc::dl_phdr_info,
    _len: usize,
    search: *mut c_void,
) -> c_int {
    // SAFETY: (1).
    let info = unsafe { &*info };
    // SAFETY: (1).
    let search = unsafe { &mut *search.cast::<Search>() };
    let headers = info.dlpi_phdr.addr() as u64;
    let (mut holds, mut table) = (false, None);
    for index in 0..u64::from(info.dlpi_phnum) {
        let at = headers + index * HEADER_LEN;
        let (Some(header), Some(kind)) = (ProgramHeader::read(at), probe_read(at)) else {
            continue;
        };
        let start = info.dlpi_addr.wrapping_add(header.address);
        holds |= header.is_loaded && (start..start + header.len).contains(&search.address);
        if kind as u32 == libc::PT_GNU_EH_FRAME {
            table = Some(start);
        }
    }
    search.found = table.filter(|_| holds).map(|table| Module {
        bias: info.dlpi_addr,
        headers,
        count: u64::from(info.dlpi_phnum),
        table,
    });
    c_int::from(holds)
}
