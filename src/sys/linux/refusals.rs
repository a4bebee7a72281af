//! Floor 1, tests only. What the calls of Linux answer when they refuse; what they take and give.

use super::super::{Errno, inject};
use crate::error::Call;

/// The numbers that a call really gives, as its manual page has them, the usual one first. Empty:
/// the call is never refused, because it cannot be or because nobody reads its answer.
///
/// | call | number | when the kernel gives it |
/// |---|---|---|
/// | mmap | ENOMEM | no free addresses, no mapping left, no memory to promise |
/// | | EAGAIN | the process locks what it maps, and may lock no more |
/// | munmap | ENOMEM | no mapping left to cut the middle out of one |
/// | mprotect | ENOMEM | no mapping left to split one, no memory to promise |
/// | | EACCES | a security policy |
/// | membarrier | ENOSYS, EPERM | an older kernel, a filter; not registered |
/// | mremap | ENOMEM | as for mmap |
/// | madvise | ENOMEM | no mapping left, no memory for page tables |
/// | | EINVAL | the kernel does not know the advice, or the pages are locked |
/// | | EAGAIN | short of something for a moment |
/// | process_madvise | EPERM, ENOSYS, EINVAL | a filter, an older kernel, an unknown advice |
/// | mlock, mlock2 | ENOMEM, EPERM, EAGAIN | the limit, no right to lock, some page not there |
/// | munlock | ENOMEM | no mapping left to split one |
/// | mbind | ENOMEM, EPERM, ENOSYS | no mapping left, a filter, a kernel without NUMA |
/// | get_mempolicy, move_pages | ENOSYS, EPERM | a kernel without NUMA, a filter |
/// | mincore | EAGAIN | short of memory for a moment |
/// | cachestat | ENOSYS, EPERM | a kernel before 6.5, another user's file |
/// | prctl | EINVAL | a kernel that does not know the request |
/// | openat | EMFILE, ENFILE | too many files of the process, of the machine |
/// | | ENOENT | /proc is not there |
/// | read, pread64 | EIO, ENOMEM | the device; no memory for the text |
/// | fcntl | EMFILE, ENOLCK | too many files, or locks |
/// | linkat | ENOSPC | no room in the folder |
/// | unlinkat | EROFS | the file system may only be read |
/// | futex | ENOSYS | a filter |
/// | ioctl | ENOMEM, EFAULT | no memory; a page of the buffer could not be had |
/// | memfd_create | EMFILE, ENOSYS | too many files; a filter |
/// | ftruncate | ENOMEM | no memory to promise |
/// | fstat, newfstatat, fstatfs, statx | ENOMEM | no memory |
/// | getdents64 | ENOMEM, ENOSYS | no memory; a filter |
/// | fallocate | ENOSPC, ENOMEM | no place on the disk, no memory to promise |
/// | | EOPNOTSUPP | a file system that does not know it |
/// | pwrite64, pwritev | ENOSPC, EIO | no place on the disk, the device |
/// | getrusage | ENOSYS | a filter |
/// | msync, fsync, fdatasync | EIO, ENOSPC | the device; a disk that is full after all |
/// | sync_file_range | EIO, ENOSPC | as above |
/// | userfaultfd | EPERM, ENOSYS, EMFILE | a policy, a kernel without it, too many files |
///
/// `close` is not here: the file is gone even when it reports an error.
pub(crate) const fn refusals(call: Call) -> &'static [i32] {
    use libc::{
        EACCES, EAGAIN, EFAULT, EINVAL, EIO, EMFILE, ENFILE, ENOENT, ENOLCK, ENOMEM, ENOSPC,
        ENOSYS, EOPNOTSUPP, EPERM, EROFS,
    };
    match call {
        Call::Mmap => &[ENOMEM, EAGAIN],
        Call::Munmap | Call::Mremap | Call::Munlock | Call::Ftruncate => &[ENOMEM],
        Call::Mprotect => &[ENOMEM, EACCES],
        Call::Madvise => &[ENOMEM, EINVAL, EAGAIN],
        Call::ProcessMadvise => &[EPERM, ENOSYS, EINVAL],
        Call::Mlock | Call::Mlock2 => &[ENOMEM, EPERM, EAGAIN],
        Call::Membarrier => &[ENOSYS, EPERM],
        Call::Mbind => &[ENOMEM, EPERM, ENOSYS],
        Call::GetMempolicy | Call::MovePages => &[ENOSYS, EPERM],
        Call::Mincore => &[EAGAIN],
        Call::Cachestat => &[ENOSYS, EPERM],
        Call::Prctl => &[EINVAL],
        Call::Openat => &[EMFILE, ENFILE, ENOENT],
        Call::Read | Call::Pread => &[EIO, ENOMEM],
        Call::Fcntl => &[EMFILE, ENOLCK],
        Call::Linkat => &[ENOSPC],
        Call::Unlinkat => &[EROFS],
        Call::Futex | Call::Getrusage => &[ENOSYS],
        Call::Ioctl => &[ENOMEM, EFAULT],
        Call::Fallocate => &[ENOSPC, ENOMEM, EOPNOTSUPP],
        Call::Pwrite | Call::Pwritev => &[ENOSPC, EIO],
        Call::MemfdCreate => &[EMFILE, ENOSYS],
        Call::Fstat | Call::Fstatat | Call::Fstatfs | Call::Statx => &[ENOMEM],
        Call::Getdents => &[ENOMEM, ENOSYS],
        Call::Msync | Call::Fsync | Call::Fdatasync | Call::SyncFileRange => &[EIO, ENOSPC],
        Call::Userfaultfd => &[EPERM, ENOSYS, EMFILE],
        _ => &[],
    }
}

/// Writes into the ledger what a call that was made has changed.
pub(super) fn note(call: Call, args: [usize; 6], answer: Result<usize, Errno>) {
    let [first, second, third, flags, ..] = args;
    let stays = flags & libc::MREMAP_DONTUNMAP as usize != 0;
    match (call, answer) {
        (Call::Mmap, Ok(addr)) => inject::mapped(addr, second),
        (Call::Munmap, Ok(_)) => inject::unmapped(first, second),
        // Both places stay mapped.
        (Call::Mremap, Ok(_)) if stays => {}
        (Call::Mremap, Ok(addr)) => {
            inject::unmapped(first, second);
            inject::mapped(addr, third);
        }
        (Call::Openat | Call::MemfdCreate | Call::Userfaultfd, Ok(file)) => inject::opened(file),
        (Call::Fcntl, Ok(file)) if is_duplicating(second) => inject::opened(file),
        (Call::Close, _) => inject::closed(first),
        _ => {}
    }
}

/// True for the requests of `fcntl` that make another file.
const fn is_duplicating(request: usize) -> bool {
    request == libc::F_DUPFD as usize || request == libc::F_DUPFD_CLOEXEC as usize
}
