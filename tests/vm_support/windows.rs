//! What the tests ask of Windows by itself.

use std::io::PipeWriter;
use std::os::windows::io::AsRawHandle;
use std::ptr::{null_mut, with_exposed_provenance};
use windows_sys::Win32::Foundation::{GetLastError, SetLastError};
use windows_sys::Win32::Storage::FileSystem::WriteFile;
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::SystemInformation::{GetSystemInfo, SYSTEM_INFO};
use windows_sys::{s, w};

/// Has the system put the byte at `addr` into a pipe: false where it cannot read it.
pub(crate) fn write_byte(pipe: &PipeWriter, addr: usize) -> bool {
    let mut count = 0;
    let (pipe, byte) = (pipe.as_raw_handle(), with_exposed_provenance(addr));
    // SAFETY: the system reads the byte for us; a bad address is its error 998 and no fault.
    let done = unsafe { WriteFile(pipe, byte, 1, &raw mut count, null_mut()) };
    done != 0 && count == 1
}

pub(crate) fn page_len() -> usize {
    let mut told = SYSTEM_INFO::default();
    // SAFETY: the system fills the structure in.
    unsafe { GetSystemInfo(&raw mut told) };
    told.dwPageSize as usize
}

/// The most mappings a process may have; 0: there is no such limit.
pub(crate) fn mappings_max() -> usize {
    0
}

/// The last error of this thread.
pub(crate) fn error_number() -> i32 {
    // SAFETY: reads a number of the thread.
    unsafe { GetLastError() as i32 }
}

pub(crate) fn set_error_number(number: i32) {
    // SAFETY: any number will do.
    unsafe { SetLastError(number as u32) }
}

/// Wine keeps a byte of memory for each page of a reservation, and calls free what only the system
/// below it knows of.
pub(crate) fn is_wine() -> bool {
    // SAFETY: the name of a library that every process has.
    let library = unsafe { GetModuleHandleW(w!("ntdll.dll")) };
    // SAFETY: a loaded library, and a name that ends with 0.
    unsafe { GetProcAddress(library, s!("wine_get_version")) }.is_some()
}

/// Has `handle` called with the address of each fault and of each touched tripwire; what it does
/// not want goes on to the next handler.
pub(crate) fn on_faults(handle: fn(usize) -> bool) {
    use std::sync::OnceLock;
    use windows_sys::Win32::Foundation::{STATUS_ACCESS_VIOLATION, STATUS_GUARD_PAGE_VIOLATION};
    use windows_sys::Win32::System::Diagnostics::Debug::{
        AddVectoredExceptionHandler, EXCEPTION_CONTINUE_EXECUTION, EXCEPTION_CONTINUE_SEARCH,
        EXCEPTION_POINTERS,
    };
    static HANDLE: OnceLock<fn(usize) -> bool> = OnceLock::new();
    unsafe extern "system" fn on_exception(told: *mut EXCEPTION_POINTERS) -> i32 {
        // SAFETY: the system hands valid structures to a vectored handler.
        let record = unsafe { *(*told).ExceptionRecord };
        let is_fault =
            [STATUS_ACCESS_VIOLATION, STATUS_GUARD_PAGE_VIOLATION].contains(&record.ExceptionCode);
        let addr = record.ExceptionInformation[1];
        if is_fault && HANDLE.get().is_some_and(|handle| handle(addr)) {
            EXCEPTION_CONTINUE_EXECUTION
        } else {
            EXCEPTION_CONTINUE_SEARCH
        }
    }
    HANDLE.get_or_init(|| handle);
    // SAFETY: the handler above lives as long as the program.
    let added = unsafe { AddVectoredExceptionHandler(1, Some(on_exception)) };
    assert!(!added.is_null(), "a handler");
}

/// What a read into a page without access is refused with.
pub(crate) const NO_ACCESS: i32 = windows_sys::Win32::Foundation::ERROR_NOACCESS as i32;

/// Has the system read the first bytes of this program into memory at `addr`: how many, or the
/// number of its error.
pub(crate) fn read_file_to(addr: usize, len: usize) -> Result<usize, i32> {
    use windows_sys::Win32::Storage::FileSystem::ReadFile;
    let program = std::env::current_exe().expect("a test knows its program");
    let file = std::fs::File::open(program).expect("a program is readable");
    let (target, len, mut count) = (std::ptr::with_exposed_provenance_mut(addr), len as u32, 0u32);
    let handle = file.as_raw_handle();
    // SAFETY: the test names memory of its own; the system refuses what is none.
    let done = unsafe { ReadFile(handle, target, len, &raw mut count, null_mut()) };
    if done != 0 { Ok(count as usize) } else { Err(error_number()) }
}

/// This process is to die: nobody wants to be asked about it.
pub(crate) fn die_quietly() {
    use windows_sys::Win32::System::Diagnostics::Debug::{SEM_NOGPFAULTERRORBOX, SetErrorMode};
    // SAFETY: sets a number of the process.
    let _ = unsafe { SetErrorMode(SEM_NOGPFAULTERRORBOX) };
}

/// Handlers have the rest of the thread's stack.
pub(crate) fn give_handlers_room() {}
