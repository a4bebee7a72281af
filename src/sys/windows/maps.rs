//! Floor 1. What the system has given to the process, ours or not.

use super::super::{Errno, Kind, Mapping, Protection};
use super::call::checked;
use super::pages::process;
use crate::ds::name::Name;
use crate::error::Call;
use core::ptr::without_provenance;
use windows_sys::Win32::Foundation::ERROR_INVALID_PARAMETER;
use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_FREE, MEM_IMAGE, MEM_MAPPED, MEMORY_BASIC_INFORMATION, PAGE_EXECUTE,
    PAGE_EXECUTE_READ, PAGE_EXECUTE_READWRITE, PAGE_EXECUTE_WRITECOPY, PAGE_GUARD, PAGE_READONLY,
    PAGE_READWRITE, PAGE_WRITECOPY, VirtualQuery,
};
use windows_sys::Win32::System::ProcessStatus::K32GetMappedFileNameW;

/// The low byte of page rights; what stands above are modifiers (`PAGE_GUARD`, `PAGE_NOCACHE`).
const RIGHTS: u32 = 0xff;

/// The run of equal pages that has `addr`, from the page of `addr` on, else the next one above;
/// `None` if there is neither. Calls: VirtualQuery, once for each run that is looked at.
pub(crate) fn mapping_at_or_above(addr: usize) -> Result<Option<Mapping>, Errno> {
    let mut addr = addr;
    loop {
        let run = match run_at(addr) {
            Ok(run) => run,
            // Behind the last address that a program may have.
            Err(Errno(code, _)) if code == ERROR_INVALID_PARAMETER as i32 => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let end = run.BaseAddress.addr() + run.RegionSize;
        if run.State != MEM_FREE {
            return Ok(Some(mapping(&run, end)));
        }
        addr = end;
    }
}

/// The same, and the path of the file behind it, as the kernel writes it (`\Device\..`). Calls:
/// GetMappedFileName too, for what is mapped.
pub(crate) fn named_mapping_at_or_above(
    addr: usize,
) -> Result<Option<(Mapping, Option<Name>)>, Errno> {
    let found = mapping_at_or_above(addr)?;
    Ok(found.map(|mapping| (mapping, name(&mapping))))
}

/// Paths that are longer have no name: only the system knows their end.
const PATH_LEN_MAX: usize = 512;

fn name(mapping: &Mapping) -> Option<Name> {
    if mapping.kind == Kind::Private {
        return None;
    }
    let mut path = [0u16; PATH_LEN_MAX];
    let process = process();
    let (place, target) = (without_provenance(mapping.start), path.as_mut_ptr());
    // SAFETY: the system writes at most as many letters as we say the buffer has.
    let ask = || unsafe { K32GetMappedFileNameW(process, place, target, PATH_LEN_MAX as u32) };
    let len = checked(Call::Other, || Some(ask()).filter(|&len| len > 0)).ok()?;
    // What is not ASCII becomes `?`, as in every name.
    let mut text = [0; PATH_LEN_MAX];
    for (byte, &letter) in text.iter_mut().zip(&path) {
        *byte = u8::try_from(letter).unwrap_or(b'?');
    }
    text.get(..len as usize).map(Name::new)
}

/// What the system says about the page that has `addr`, and how far the same holds.
pub(super) fn run_at(addr: usize) -> Result<MEMORY_BASIC_INFORMATION, Errno> {
    let mut run = MEMORY_BASIC_INFORMATION::default();
    let len = size_of::<MEMORY_BASIC_INFORMATION>();
    // SAFETY: the system fills in the structure of which we say the size; the address may be any.
    let mut ask = || unsafe { VirtualQuery(without_provenance(addr), &raw mut run, len) };
    checked(Call::VirtualQuery, || (ask() == len).then_some(()))?;
    Ok(run)
}

fn mapping(run: &MEMORY_BASIC_INFORMATION, end: usize) -> Mapping {
    Mapping {
        start: run.BaseAddress.addr(),
        end,
        allocation_base: run.AllocationBase.addr(),
        protection: (run.State == MEM_COMMIT).then(|| protection(run.Protect)),
        kind: match run.Type {
            MEM_IMAGE => Kind::Image,
            MEM_MAPPED => Kind::Mapped,
            _ => Kind::Private,
        },
    }
}

/// The nearest of ours for what the system allows. Pages that are copied when they are written let
/// themselves be written. A tripwire faults, whatever comes after it.
const fn protection(rights: u32) -> Protection {
    if rights & PAGE_GUARD != 0 {
        return Protection::NoAccess;
    }
    match rights & RIGHTS {
        PAGE_READONLY => Protection::Read,
        PAGE_READWRITE | PAGE_WRITECOPY => Protection::ReadWrite,
        PAGE_EXECUTE => Protection::Execute,
        PAGE_EXECUTE_READ => Protection::ExecuteRead,
        PAGE_EXECUTE_READWRITE | PAGE_EXECUTE_WRITECOPY => Protection::ExecuteReadWrite,
        _ => Protection::NoAccess,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(addr: usize) -> Mapping {
        let found = mapping_at_or_above(addr).expect("the system answers");
        let found = found.expect("there is something");
        assert!((found.start..found.end).contains(&addr));
        assert!(found.allocation_base <= found.start);
        found
    }

    #[test]
    fn code_stack_and_nothing_are_told_apart() {
        let code = told(told as fn(usize) -> _ as usize);
        assert_eq!((code.protection, code.kind), (Some(Protection::ExecuteRead), Kind::Image));
        let named = named_mapping_at_or_above(code.start).expect("the system answers");
        let (mapping, name) = named.expect("there is something");
        assert_eq!((mapping.start, mapping.end), (code.start, code.end));
        std::println!("our program is {name:?}");
        let stack = told((&raw const code).addr());
        assert_eq!((stack.protection, stack.kind), (Some(Protection::ReadWrite), Kind::Private));
        let lowest = mapping_at_or_above(0).expect("the system answers");
        assert!(lowest.is_some_and(|found| found.start > 0), "page 0 is free");
        assert_eq!(mapping_at_or_above(usize::MAX), Ok(None));
    }
}
