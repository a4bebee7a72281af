//! Floor 1. One packet to a supervisor on a Unix socket with an abstract name.
//!
//! The socket is opened when there is something to say and closed again: the program's table of
//! descriptors stays as it was, and a program that closes what it does not know breaks nothing.

use super::super::Errno;
use super::process::close;
use super::raw::syscall;
use crate::error::Call;

/// Lets the supervisor read this process (Yama), from whatever ancestor it is.
fn allow_reading() {
    /// "Yama": any process may attach.
    const PR_SET_PTRACER: usize = 0x5961_6d61;
    // SAFETY: grants a right and touches no memory; kernels without Yama refuse it and need it not.
    let _ = unsafe { syscall(libc::SYS_prctl, [PR_SET_PTRACER, usize::MAX, 0, 0, 0, 0]) };
}

/// Sends `packet` to the socket `name`; with `wait`, stays until one byte of answer or the end of
/// the connection arrives. Calls: prctl, socket, connect, sendto, recvfrom, close.
pub(crate) fn tell(name: &[u8], packet: &[u8], wait: bool) -> Result<(), Errno> {
    let kind = (libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC) as usize;
    // SAFETY: makes a descriptor; touches no memory.
    let socket = unsafe { syscall(libc::SYS_socket, [libc::AF_UNIX as usize, kind, 0, 0, 0, 0]) }?;
    let result = exchange(socket, name, packet, wait);
    close(socket);
    result
}

fn exchange(socket: usize, name: &[u8], packet: &[u8], wait: bool) -> Result<(), Errno> {
    let mut address = [0u8; 108 + 2];
    address[..2].copy_from_slice(&(libc::AF_UNIX as u16).to_ne_bytes());
    let place = address.get_mut(3..3 + name.len()).ok_or(Errno(libc::ENAMETOOLONG, Call::None))?;
    place.copy_from_slice(name);
    let args = [socket, address.as_ptr().addr(), 3 + name.len(), 0, 0, 0];
    // SAFETY: the address lives through the call and its length is inside the array.
    retry(|| unsafe { syscall(libc::SYS_connect, args) })?;
    if wait {
        allow_reading();
    }
    let flags = libc::MSG_NOSIGNAL as usize;
    let args = [socket, packet.as_ptr().addr(), packet.len(), flags, 0, 0];
    // SAFETY: the kernel reads `packet.len()` bytes from a slice we hold.
    retry(|| unsafe { syscall(libc::SYS_sendto, args) })?;
    if wait {
        let mut answer = 0u8;
        let args = [socket, core::ptr::from_mut(&mut answer).expose_provenance(), 1, 0, 0, 0];
        // SAFETY: the kernel writes at most one byte into a byte we own.
        retry(|| unsafe { syscall(libc::SYS_recvfrom, args) })?;
    }
    Ok(())
}

/// Repeats a call that a signal interrupted.
fn retry(mut call: impl FnMut() -> Result<usize, Errno>) -> Result<usize, Errno> {
    loop {
        match call() {
            Err(Errno(libc::EINTR, _)) => {}
            other => return other,
        }
    }
}
