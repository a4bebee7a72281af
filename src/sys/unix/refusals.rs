//! Floor 1, tests only. What the calls of macOS and FreeBSD answer when they refuse.

use crate::error::Call;

/// The numbers that a call really gives, as its manual page has them, the usual one first. Empty:
/// the call is never refused, because it cannot be or because nobody reads its answer.
///
/// | call | number | when the kernel gives it |
/// |---|---|---|
/// | mmap, munmap | ENOMEM | no free addresses, no memory for the map |
/// | mprotect | ENOMEM, EACCES | no memory to promise; a security policy |
/// | madvise | EINVAL | the kernel does not know the advice |
/// | shm_open | EMFILE, ENFILE | too many files of the process, of the machine |
/// | ftruncate | ENOMEM | no memory |
/// | fcntl | EMFILE | too many files |
/// | fstat, pread, msync, fsync | EIO | the device |
/// | pwrite | ENOSPC | no place on the disk |
/// | sysctl | ENOMEM, EPERM | the list has grown meanwhile; a security policy |
/// | mach_vm_region | EIO | stands for all numbers of Mach |
pub(crate) const fn refusals(call: Call) -> &'static [i32] {
    match call {
        Call::Mmap | Call::Munmap => &[libc::ENOMEM],
        Call::Mprotect => &[libc::ENOMEM, libc::EACCES],
        Call::Madvise => &[libc::EINVAL],
        Call::ShmOpen => &[libc::EMFILE, libc::ENFILE],
        Call::Ftruncate => &[libc::ENOMEM],
        Call::Fcntl => &[libc::EMFILE],
        Call::Fstat | Call::Pread | Call::Msync | Call::Fsync => &[libc::EIO],
        Call::Pwrite => &[libc::ENOSPC],
        Call::Sysctl => &[libc::ENOMEM, libc::EPERM],
        Call::MachVmRegion => &[libc::EIO],
        _ => &[],
    }
}
