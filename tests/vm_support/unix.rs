//! What the tests ask of a Unix system by itself.

use std::io::PipeWriter;
use std::os::fd::AsRawFd;

/// Has the kernel put the byte at `addr` into a pipe: false where it cannot read it.
pub(crate) fn write_byte(pipe: &PipeWriter, addr: usize) -> bool {
    let byte = std::ptr::with_exposed_provenance(addr);
    // SAFETY: the kernel reads the byte for us; a bad address is its error EFAULT and no fault.
    unsafe { libc::write(pipe.as_raw_fd(), byte, 1) == 1 }
}

pub(crate) fn page_len() -> usize {
    // SAFETY: asks for a constant.
    let len = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(len).expect("a length")
}

/// The most mappings a process may have; 0 where there is no such limit.
pub(crate) fn mappings_max() -> usize {
    if !cfg!(target_os = "linux") {
        return 0;
    }
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").expect("readable");
    text.trim().parse().expect("a number")
}

fn error_number_place() -> *mut i32 {
    #[cfg(target_os = "linux")]
    // SAFETY: the C library's own variable of this thread.
    return unsafe { libc::__errno_location() };
    #[cfg(not(target_os = "linux"))]
    // SAFETY: as above.
    return unsafe { libc::__error() };
}

/// `errno` of this thread.
pub(crate) fn error_number() -> i32 {
    // SAFETY: valid as long as the thread lives.
    unsafe { error_number_place().read() }
}

pub(crate) fn set_error_number(number: i32) {
    // SAFETY: as above.
    unsafe { error_number_place().write(number) }
}

/// Wine is Windows.
pub(crate) fn is_wine() -> bool {
    false
}

/// Has `handle` called with the address of each fault; what it does not want ends the process.
pub(crate) fn on_faults(handle: fn(usize) -> bool) {
    use std::sync::OnceLock;
    static HANDLE: OnceLock<fn(usize) -> bool> = OnceLock::new();
    unsafe extern "C" fn on_signal(
        signal: i32,
        told: *mut libc::siginfo_t,
        _: *mut std::ffi::c_void,
    ) {
        // SAFETY: the system hands a valid structure to the handler of a fault.
        let told = unsafe { &*told };
        // SAFETY: this structure tells of a fault, so it has an address.
        let addr = unsafe { told.si_addr() } as usize;
        if !HANDLE.get().is_some_and(|handle| handle(addr)) {
            // SAFETY: back to the default; the instruction faults again and ends the process.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
    HANDLE.get_or_init(|| handle);
    // SAFETY: zero is a valid start for every field.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_signal as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: the handler above lives as long as the program.
        assert_eq!(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) }, 0);
    }
}
