//! Floor 0, pure. The names of the system calls whose answers errors carry.
#![forbid(unsafe_code)]

/// Writes the list once: a variant and the name that the system's manual has for it.
macro_rules! calls {
    ($($call:ident = $name:literal,)*) => {
        /// A call of the operating system. One byte, so that an error stays small.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(dead_code, reason = "every system has its own part of the list")]
        pub(crate) enum Call {
            /// The system was not asked, or not about this.
            None,
            /// A call without a place in this list.
            Other,
            $(#[doc = $name] $call,)*
        }

        impl Call {
            /// As the system's manual writes it; `None` where no call was made.
            pub(crate) const fn name(self) -> Option<&'static str> {
                match self {
                    Call::None => None,
                    Call::Other => Some("a system call"),
                    $(Call::$call => Some($name),)*
                }
            }
        }
    };
}

calls! {
    // Linux, and most of it elsewhere under Unix.
    Mmap = "mmap",
    Munmap = "munmap",
    Mprotect = "mprotect",
    Membarrier = "membarrier",
    Mremap = "mremap",
    Madvise = "madvise",
    ProcessMadvise = "process_madvise",
    Mlock = "mlock",
    Mlock2 = "mlock2",
    Munlock = "munlock",
    Mincore = "mincore",
    Mbind = "mbind",
    GetMempolicy = "get_mempolicy",
    MovePages = "move_pages",
    Prctl = "prctl",
    PidfdOpen = "pidfd_open",
    Openat = "openat",
    Read = "read",
    Pread = "pread64",
    Pwrite = "pwrite64",
    Pwritev = "pwritev",
    Close = "close",
    Fcntl = "fcntl",
    Ioctl = "ioctl",
    MemfdCreate = "memfd_create",
    ShmOpen = "shm_open",
    ShmUnlink = "shm_unlink",
    Ftruncate = "ftruncate",
    Fallocate = "fallocate",
    Userfaultfd = "userfaultfd",
    Getrusage = "getrusage",
    Fstat = "fstat",
    Fstatat = "newfstatat",
    Fstatfs = "fstatfs",
    Getdents = "getdents64",
    Statx = "statx",
    Msync = "msync",
    Fsync = "fsync",
    Fdatasync = "fdatasync",
    Cachestat = "cachestat",
    SyncFileRange = "sync_file_range",
    Linkat = "linkat",
    Unlinkat = "unlinkat",
    Futex = "futex",
    Sigaction = "sigaction",
    Sysctl = "sysctl",
    MachVmRegion = "mach_vm_region",
    // Windows.
    VirtualAlloc = "VirtualAlloc",
    VirtualAlloc2 = "VirtualAlloc2",
    VirtualAllocExNuma = "VirtualAllocExNuma",
    VirtualFree = "VirtualFree",
    VirtualProtect = "VirtualProtect",
    VirtualQuery = "VirtualQuery",
    VirtualLock = "VirtualLock",
    VirtualUnlock = "VirtualUnlock",
    PrefetchVirtualMemory = "PrefetchVirtualMemory",
    WerRegisterExcludedMemoryBlock = "WerRegisterExcludedMemoryBlock",
    WerUnregisterExcludedMemoryBlock = "WerUnregisterExcludedMemoryBlock",
    DiscardVirtualMemory = "DiscardVirtualMemory",
    GetWriteWatch = "GetWriteWatch",
    ResetWriteWatch = "ResetWriteWatch",
    CreateFileMapping = "CreateFileMapping",
    OpenFileMapping = "OpenFileMapping",
    CreateSemaphore = "CreateSemaphore",
    ReleaseSemaphore = "ReleaseSemaphore",
    WaitForSingleObject = "WaitForSingleObject",
    MapViewOfFile = "MapViewOfFile",
    MapViewOfFile3 = "MapViewOfFile3",
    UnmapViewOfFile = "UnmapViewOfFile",
    CloseHandle = "CloseHandle",
    DuplicateHandle = "DuplicateHandle",
    ReOpenFile = "ReOpenFile",
    ReadFile = "ReadFile",
    GetFileType = "GetFileType",
    GetFileSizeEx = "GetFileSizeEx",
    SetFileInformationByHandle = "SetFileInformationByHandle",
    WriteFile = "WriteFile",
    FlushViewOfFile = "FlushViewOfFile",
    FlushFileBuffers = "FlushFileBuffers",
    QueryWorkingSetEx = "QueryWorkingSetEx",
    AddVectoredExceptionHandler = "AddVectoredExceptionHandler",
}
