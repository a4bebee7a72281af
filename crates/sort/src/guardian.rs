//! A process that outlives the sort: when that is killed, the guardian puts the elements back at
//! once.
//!
//! It is a child of a child of the sort, so that a program that waits for its children never meets
//! it. It has the maps of the file and of the journal from its birth on and shares the lock of the
//! journal; a socket tells it that the sort has ended, or that there is none any more. All that it
//! does is done without memory of its own: it may have been born while another thread of the
//! program held a lock. Of a file that became shorter it puts back what has a place there.

#[cfg(target_os = "linux")]
pub(crate) use linux::Guardian;
#[cfg(not(target_os = "linux"))]
pub(crate) use none::Guardian;

#[cfg(not(target_os = "linux"))]
mod none {
    use crate::fuse::Fuse;
    use crate::journal::Journal;
    use std::io;

    /// There is none: the next sort, or recovery, puts back what a killed one has left.
    pub(crate) struct Guardian;

    impl Guardian {
        pub(crate) fn start(_: &mut [u8], _: &mut Journal, _: &Fuse) -> io::Result<Self> {
            Ok(Guardian)
        }

        pub(crate) fn dismiss(self) {}
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::fuse::Fuse;
    use crate::journal::Journal;
    use core::ffi::{CStr, c_int};
    use core::mem::MaybeUninit;
    use core::ptr::null_mut;
    use std::ffi::CString;
    use std::fs::File;
    use std::io::{self, Read};
    use std::os::fd::{AsRawFd, FromRawFd, RawFd};
    use std::os::unix::ffi::OsStrExt;

    /// The sort's end of the socket.
    pub(crate) struct Guardian(File);

    impl Guardian {
        /// Starts one for this file and this journal.
        ///
        /// Calls: socketpair, pthread_sigmask, fork twice, wait4.
        pub(crate) fn start(
            data: &mut [u8],
            journal: &mut Journal,
            fuse: &Fuse,
        ) -> io::Result<Self> {
            let path = CString::new(journal.path().as_os_str().as_bytes())?;
            let (own, other) = socket_pair()?;
            let (child_end, lock) = (other.as_raw_fd(), journal.file().as_raw_fd());
            // From its first instruction on no signal reaches the guardian but those that kill, and
            // those of its own faults.
            let mask = mask_all();
            // SAFETY: the child calls nothing but system calls and code that allocates nothing, and
            // never returns.
            let child = unsafe { libc::fork() };
            if child == 0 {
                twice();
                if fuse.thaw().is_err() {
                    exit(1);
                }
                guard(data, journal, &path, [child_end, lock]);
            }
            let failed = io::Error::last_os_error();
            unmask(&mask);
            if child < 0 {
                return Err(failed);
            }
            let mut status = 0;
            // SAFETY: our own child; the word lives through the call.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            drop(other);
            if status != 0 {
                return Err(io::Error::from_raw_os_error(libc::EAGAIN));
            }
            Ok(Guardian(own))
        }

        /// Tells it that the file is complete, and waits until it is gone.
        pub(crate) fn dismiss(mut self) {
            let bytes = b"d".as_ptr().cast();
            // Nobody is there to hear it if somebody has killed the guardian.
            // SAFETY: one byte, which lives for ever; our own socket.
            unsafe { libc::send(self.0.as_raw_fd(), bytes, 1, libc::MSG_NOSIGNAL) };
            let _ = self.0.read(&mut [0]); // the end: all its files are closed
        }
    }

    fn socket_pair() -> io::Result<(File, File)> {
        let mut ends: [c_int; 2] = [-1; 2];
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
        // SAFETY: two numbers to be filled.
        if unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: made just now, and nobody else's.
        let own = unsafe { File::from_raw_fd(ends[0]) };
        // SAFETY: as above.
        let other = unsafe { File::from_raw_fd(ends[1]) };
        Ok((own, other))
    }

    fn mask_all() -> MaybeUninit<libc::sigset_t> {
        let mut all = MaybeUninit::<libc::sigset_t>::zeroed();
        let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: fills the set.
        unsafe { libc::sigfillset(all.as_mut_ptr()) };
        for fault in [libc::SIGSEGV, libc::SIGBUS] {
            // SAFETY: the set is filled.
            unsafe { libc::sigdelset(all.as_mut_ptr(), fault) };
        }
        // SAFETY: both sets live through the call.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
        before
    }

    fn unmask(before: &MaybeUninit<libc::sigset_t>) {
        // SAFETY: the set that was there before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), null_mut()) };
    }

    /// Goes on in a child of this child, which ends: the sort knows by its status whether there is
    /// one.
    fn twice() {
        // SAFETY: as for the first time.
        match unsafe { libc::fork() } {
            0 => {}
            pid => exit(i32::from(pid < 0)),
        }
    }

    fn exit(status: c_int) -> ! {
        // SAFETY: ends this process at once: nothing of the program's runs in it.
        unsafe { libc::_exit(status) }
    }

    /// The guardian's life.
    fn guard(data: &mut [u8], journal: &mut Journal, path: &CStr, files: [RawFd; 2]) -> ! {
        // A session of its own: no terminal, no group that is killed as one.
        // SAFETY: no memory is involved.
        unsafe { libc::setsid() };
        close_all_but(files);
        let mut word = [0u8];
        // SAFETY: one byte to be filled.
        let told = unsafe { libc::read(files[0], word.as_mut_ptr().cast(), 1) };
        if told == 1 {
            exit(0);
        }
        if journal.put_back(data).is_err() {
            exit(1); // it stays where it is, for whoever comes next
        }
        // SAFETY: the path lives; the journal is ours by its lock.
        unsafe { libc::unlink(path.as_ptr()) };
        exit(0)
    }

    fn close_all_but(mut files: [RawFd; 2]) {
        files.sort_unstable();
        let mut next = 0;
        for file in files {
            close_from(next, i64::from(file) - 1);
            next = file + 1;
        }
        close_from(next, i64::from(u32::MAX));
    }

    /// Nothing is lost where the system does not know the call (Linux before 5.9): files stay open
    /// until the sort ends.
    fn close_from(first: RawFd, last: i64) {
        if i64::from(first) <= last {
            // SAFETY: nothing in this process uses them.
            unsafe { libc::syscall(libc::SYS_close_range, first, last as libc::c_uint, 0) };
        }
    }
}
