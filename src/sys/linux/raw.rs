//! Floor 1. Bare Linux system calls: no `errno`, no symbol another library could replace.
//!
//! `malloc` must keep `errno` and may run before the C library is ready; a bare `syscall`
//! instruction has neither problem.

use super::super::{Errno, inject};
use crate::error::Call;

/// Turns the kernel's answer into a result: -4095..-1 are error numbers.
#[inline(always)]
fn checked(call: Call, value: isize) -> Result<usize, Errno> {
    if (-4095..0).contains(&value) { Err(Errno(-value as i32, call)) } else { Ok(value as usize) }
}

/// cachestat (Linux 6.5), which the C library's list lacks; the same number on all processors.
pub(super) const SYS_CACHESTAT: libc::c_long = 451;

/// The name of a system call. Those that no verb of pages makes have no place in the list.
const fn call_of(number: libc::c_long) -> Call {
    match number {
        libc::SYS_mmap => Call::Mmap,
        libc::SYS_munmap => Call::Munmap,
        libc::SYS_mprotect => Call::Mprotect,
        libc::SYS_membarrier => Call::Membarrier,
        libc::SYS_mremap => Call::Mremap,
        libc::SYS_madvise => Call::Madvise,
        libc::SYS_process_madvise => Call::ProcessMadvise,
        libc::SYS_mlock => Call::Mlock,
        libc::SYS_mlock2 => Call::Mlock2,
        libc::SYS_munlock => Call::Munlock,
        libc::SYS_mincore => Call::Mincore,
        libc::SYS_mbind => Call::Mbind,
        libc::SYS_get_mempolicy => Call::GetMempolicy,
        libc::SYS_move_pages => Call::MovePages,
        libc::SYS_prctl => Call::Prctl,
        libc::SYS_pidfd_open => Call::PidfdOpen,
        libc::SYS_openat => Call::Openat,
        libc::SYS_read => Call::Read,
        libc::SYS_pread64 => Call::Pread,
        libc::SYS_pwrite64 => Call::Pwrite,
        libc::SYS_pwritev => Call::Pwritev,
        libc::SYS_close => Call::Close,
        libc::SYS_fcntl => Call::Fcntl,
        libc::SYS_ioctl => Call::Ioctl,
        libc::SYS_memfd_create => Call::MemfdCreate,
        libc::SYS_ftruncate => Call::Ftruncate,
        libc::SYS_fallocate => Call::Fallocate,
        libc::SYS_userfaultfd => Call::Userfaultfd,
        libc::SYS_getrusage => Call::Getrusage,
        libc::SYS_fstat => Call::Fstat,
        libc::SYS_newfstatat => Call::Fstatat,
        libc::SYS_getdents64 => Call::Getdents,
        libc::SYS_fstatfs => Call::Fstatfs,
        libc::SYS_statx => Call::Statx,
        libc::SYS_msync => Call::Msync,
        libc::SYS_fsync => Call::Fsync,
        libc::SYS_fdatasync => Call::Fdatasync,
        SYS_CACHESTAT => Call::Cachestat,
        libc::SYS_linkat => Call::Linkat,
        libc::SYS_unlinkat => Call::Unlinkat,
        libc::SYS_futex => Call::Futex,
        libc::SYS_sync_file_range => Call::SyncFileRange,
        _ => Call::Other,
    }
}

/// Makes system call `number`.
///
/// # Safety
/// 1. The arguments keep the promises of that system call.
// Inlined the number is a constant, and so is the name.
#[inline(always)]
pub(crate) unsafe fn syscall(number: libc::c_long, args: [usize; 6]) -> Result<usize, Errno> {
    let call = call_of(number);
    inject::step(call, [args[0], args[1]])?;
    // SAFETY: (1) is passed on unchanged.
    let value = unsafe { trap(number as usize, args) };
    let answer = checked(call, value);
    #[cfg(test)]
    super::refusals::note(call, args, answer);
    answer
}

#[cfg(target_arch = "x86_64")]
unsafe fn trap(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let value: isize;
    // SAFETY: the kernel's x86-64 convention: number and result in rax, arguments in rdi, rsi, rdx,
    // r10, r8, r9; rcx and r11 are lost. The caller vouches for what the call does.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => value,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    value
}

#[cfg(target_arch = "aarch64")]
unsafe fn trap(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let value: isize;
    // SAFETY: the kernel's AArch64 convention: number in x8, arguments in x0..x5, result in x0. The
    // caller vouches for what the call does.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a as isize => value,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack)
        );
    }
    value
}
