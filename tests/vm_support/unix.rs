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

/// What a read into a page without access is refused with.
pub(crate) const NO_ACCESS: i32 = libc::EFAULT;

/// Has the kernel read the first bytes of this program into memory at `addr`: how many, or the
/// number of its error.
pub(crate) fn read_file_to(addr: usize, len: usize) -> Result<usize, i32> {
    let program = std::env::current_exe().expect("a test knows its program");
    let file = std::fs::File::open(program).expect("a program is readable");
    let target = std::ptr::with_exposed_provenance_mut(addr);
    // SAFETY: the test names memory of its own; the kernel refuses what is none.
    let count = unsafe { libc::read(file.as_raw_fd(), target, len) };
    usize::try_from(count).map_err(|_| error_number())
}

/// This process is to die: nobody wants to have it in a file.
pub(crate) fn die_quietly() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure outlives the call. Where it fails there is a file.
    let _ = unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
}

/// Gives this thread a stack for the handlers of the program that page verbs of a build that is not
/// optimised fit on. Rust's own has 8 KiB.
pub(crate) fn give_handlers_room() {
    const LEN: usize = 64 * 1024;
    thread_local!(static STACK: &'static mut [u8] = Box::leak(vec![0; LEN].into_boxed_slice()));
    STACK.with(|stack| {
        let start = stack.as_ptr().cast_mut().cast();
        let stack = libc::stack_t { ss_sp: start, ss_flags: 0, ss_size: LEN };
        // SAFETY: the memory is this thread's for ever, and the structure outlives the call.
        assert_eq!(unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) }, 0);
    });
}
