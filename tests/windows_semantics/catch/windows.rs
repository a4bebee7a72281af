//! A vectored exception handler.

use super::super::step::{Access, GUARD_VIOLATION, VIOLATION};
use super::{Verdict, judge};
use std::fs::File;
use std::os::windows::io::AsRawHandle;
use std::ptr::{null_mut, with_exposed_provenance_mut};
use windows_sys::Win32::Foundation::GetLastError;
use windows_sys::Win32::Storage::FileSystem::ReadFile;
use windows_sys::Win32::System::Diagnostics::Debug::{
    AddVectoredExceptionHandler, EXCEPTION_POINTERS,
};

const CONTINUE_EXECUTION: i32 = -1;
const CONTINUE_SEARCH: i32 = 0;

pub(super) fn install() {
    // SAFETY: the handler has the type that the system wants and is never taken away.
    let handle = unsafe { AddVectoredExceptionHandler(1, Some(on_fault)) };
    assert!(!handle.is_null());
}

unsafe extern "system" fn on_fault(pointers: *mut EXCEPTION_POINTERS) -> i32 {
    // SAFETY: the system passes a structure that lives as long as the handler runs.
    let pointers = unsafe { &*pointers };
    // SAFETY: as above.
    let record = unsafe { &*pointers.ExceptionRecord };
    let code = record.ExceptionCode.cast_unsigned();
    if !matches!(code, VIOLATION | GUARD_VIOLATION) {
        return CONTINUE_SEARCH;
    }
    let access = match record.ExceptionInformation[0] {
        0 => Some(Access::Reading),
        1 => Some(Access::Writing),
        8 => Some(Access::Executing),
        _ => None,
    };
    match judge(code == GUARD_VIOLATION, access, record.ExceptionInformation[1]) {
        Verdict::Again => CONTINUE_EXECUTION,
        Verdict::GoOnAt(place) => {
            // SAFETY: as above; nobody else has the context.
            let context = unsafe { &mut *pointers.ContextRecord };
            context.Rip = place as u64;
            CONTINUE_EXECUTION
        }
        Verdict::Foreign => CONTINUE_SEARCH,
    }
}

pub(super) fn system_write(addr: usize) -> Result<(), u32> {
    let program = std::env::current_exe().expect("a test knows its program");
    let file = File::open(program).expect("a program is readable");
    let mut count = 0;
    let target = with_exposed_provenance_mut(addr);
    // SAFETY: the table names only places where no Rust value lives; the system refuses bad ones.
    let done = unsafe { ReadFile(file.as_raw_handle(), target, 1, &raw mut count, null_mut()) };
    if done != 0 && count == 1 {
        return Ok(());
    }
    // SAFETY: it reads a number of this thread.
    Err(unsafe { GetLastError() })
}
