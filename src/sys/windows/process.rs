//! Floor 1. The process on Windows: its standard error, and its other threads.

use super::call::keeping_last_error;
use core::ptr::null_mut;
use windows_sys::Win32::Foundation::STATUS_HEAP_CORRUPTION;
use windows_sys::Win32::Storage::FileSystem::WriteFile;
use windows_sys::Win32::System::Console::{GetStdHandle, STD_ERROR_HANDLE};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, SwitchToThread, TerminateProcess};

/// Runs `work` while this thread takes no signal: Windows has none that come in between.
pub(crate) fn without_signals<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Lets another thread run. Call: SwitchToThread.
pub(crate) fn yield_now() {
    // SAFETY: takes no argument and touches nothing. The answer says whether there was one.
    let _ = unsafe { SwitchToThread() };
}

/// Writes to standard error, all of it or until the first error: there is no one left to tell.
/// Calls: GetStdHandle, WriteFile. They refuse the handle of a process that has no standard error.
pub(crate) fn write_error(mut text: &[u8]) {
    keeping_last_error(|| {
        // SAFETY: reads a handle from the process's own block.
        let file = unsafe { GetStdHandle(STD_ERROR_HANDLE) };
        while !text.is_empty() {
            let (len, mut count) = (u32::try_from(text.len()).unwrap_or(u32::MAX), 0);
            let (start, told) = (text.as_ptr(), &raw mut count);
            // SAFETY: the system reads bytes of a slice that we hold, and fills the number in.
            let done = unsafe { WriteFile(file, start, len, told, null_mut()) };
            if done == 0 || count == 0 {
                return;
            }
            text = &text[text.len().min(count as usize)..];
        }
    });
}

/// Ends the process with STATUS_HEAP_CORRUPTION, as Windows' own heap does. Call: TerminateProcess.
pub(crate) fn abort() -> ! {
    loop {
        // SAFETY: answers a constant.
        let process = unsafe { GetCurrentProcess() };
        // SAFETY: ends every thread of the process; nothing runs after it.
        unsafe { TerminateProcess(process, STATUS_HEAP_CORRUPTION as u32) };
    }
}
