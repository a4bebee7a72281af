//! Floor 1. Mappings on FreeBSD: the kernel lists all of them or none.

use super::super::super::{Errno, Kind, Mapping};
use super::super::call::checked;
use super::protection;
use crate::ds::name::Name;
use crate::error::Call;
use core::ffi::{c_int, c_void};
use core::mem::offset_of;
use core::ptr::{NonNull, null, null_mut};
use libc::kinfo_vmentry as Entry;

/// Paths that are longer lose their beginning in a [`Name`] anyway.
const PATH_LEN_MAX: usize = 1024;

pub(super) struct Found {
    pub(super) mapping: Mapping,
    path: [u8; PATH_LEN_MAX],
    path_len: usize,
}

/// The list of `kinfo_vmentry`, which is written to addresses of its own: this may run where
/// nothing can be allocated.
struct List {
    start: NonNull<u8>,
    len: usize,
    /// Bytes that the kernel has filled.
    filled: usize,
}

/// How often the list may grow while it is being written.
const ATTEMPTS: usize = 8;

impl List {
    fn read() -> Result<List, Errno> {
        let mut last = Errno(libc::ENOMEM, Call::Sysctl);
        for _ in 0..ATTEMPTS {
            // The kernel says a third more than there is.
            let len = ask(null_mut(), 0)?;
            let mut list = List::with_room(len)?;
            match ask(list.start.as_ptr().cast(), list.len) {
                Ok(filled) => {
                    list.filled = filled;
                    return Ok(list);
                }
                Err(errno @ Errno(libc::ENOMEM, _)) => last = errno,
                Err(errno) => return Err(errno),
            }
        }
        Err(last)
    }

    fn with_room(len: usize) -> Result<List, Errno> {
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // Without MAP_NOCORE the kernel could make one mapping of it and its neighbour.
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NOCORE;
        // SAFETY: without MAP_FIXED the kernel picks free addresses.
        let call = || unsafe { libc::mmap(null_mut(), len, rights, flags, -1, 0) };
        let room = |start: &*mut c_void| *start != libc::MAP_FAILED;
        let start = checked(Call::Mmap, [0, len], || Some(call()).filter(room))?;
        let start = NonNull::new(start).expect("mmap never returns page 0").cast();
        #[cfg(test)]
        super::super::super::inject::mapped(start.addr().get(), len);
        Ok(List { start, len, filled: 0 })
    }

    /// The bytes of each entry; an entry says how long it is.
    fn entries(&self) -> impl Iterator<Item = &[u8]> {
        // SAFETY: that many bytes of the mapping were filled by the kernel, and nobody else has it.
        let bytes = unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.filled) };
        let mut rest = bytes;
        core::iter::from_fn(move || {
            let len = field::<c_int>(rest, offset_of!(Entry, kve_structsize))?;
            let len = usize::try_from(len).ok().filter(|&len| len > 0)?;
            let (entry, after) = rest.split_at_checked(len)?;
            rest = after;
            Some(entry)
        })
    }
}

impl Drop for List {
    fn drop(&mut self) {
        let (start, len) = (self.start.as_ptr().cast(), self.len);
        // SAFETY: made by `with_room`; the slices borrow the list.
        let call = || unsafe { libc::munmap(start, len) };
        // If the kernel refuses there is nothing left to try.
        let _ = checked(Call::Munmap, [start.addr(), len], || (call() == 0).then_some(()));
        #[cfg(test)]
        super::super::super::inject::unmapped(start.addr(), len);
    }
}

/// A number at `offset` of an entry, which may be shorter than the one we know.
fn field<T: Copy + Default>(entry: &[u8], offset: usize) -> Option<T> {
    let bytes = entry.get(offset..offset + size_of::<T>())?;
    // SAFETY: as many bytes as the number has; the callers ask for integers only, which any bytes
    // are.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// Has the kernel write its list to `len` bytes at `target`, or if that is null, say how long it
/// is. Returns the length.
fn ask(target: *mut c_void, len: usize) -> Result<usize, Errno> {
    // SAFETY: takes nothing and cannot fail.
    let process = unsafe { libc::getpid() };
    let name = [libc::CTL_KERN, libc::KERN_PROC, libc::KERN_PROC_VMMAP, process];
    let mut len = len;
    let (words, place) = (name.len() as u32, &raw mut len);
    // SAFETY: the name has as many words as said, the target as many bytes; nothing is set.
    let call = || unsafe { libc::sysctl(name.as_ptr(), words, target, place, null(), 0) };
    checked(Call::Sysctl, [target.addr(), len], || (call() == 0).then_some(()))?;
    Ok(len)
}

pub(super) fn find(addr: usize) -> Result<Option<Found>, Errno> {
    let list = List::read()?;
    let own = list.start.addr().get();
    let found = list.entries().filter_map(|entry| Some((entry, mapping(entry)?)));
    let found = found.filter(|(_, mapping)| mapping.start != own && addr < mapping.end).next();
    Ok(found.map(|(entry, mapping)| {
        let (mut path, mut path_len) = ([0; PATH_LEN_MAX], 0);
        let told = entry.get(offset_of!(Entry, kve_path)..).unwrap_or_default();
        for (place, &byte) in path.iter_mut().zip(told).take_while(|(_, byte)| **byte != 0) {
            *place = byte;
            path_len += 1;
        }
        Found { mapping, path, path_len }
    }))
}

/// The parts of an entry that count. The kernel keeps them sorted.
fn mapping(entry: &[u8]) -> Option<Mapping> {
    let start = field::<u64>(entry, offset_of!(Entry, kve_start))? as usize;
    let end = field::<u64>(entry, offset_of!(Entry, kve_end))? as usize;
    let rights = field::<c_int>(entry, offset_of!(Entry, kve_protection))?;
    let what = field::<c_int>(entry, offset_of!(Entry, kve_type))?;
    let flags = field::<c_int>(entry, offset_of!(Entry, kve_flags))?;
    let is_copied = flags & (libc::KVME_FLAG_COW | libc::KVME_FLAG_NEEDS_COPY) != 0;
    let kind = match what {
        libc::KVME_TYPE_VNODE if is_copied => Kind::Image,
        libc::KVME_TYPE_VNODE
        | libc::KVME_TYPE_DEVICE
        | libc::KVME_TYPE_PHYS
        | libc::KVME_TYPE_SG
        | libc::KVME_TYPE_MGTDEVICE => Kind::Mapped,
        _ => Kind::Private,
    };
    Some(Mapping { start, end, allocation_base: start, protection: protection(rights), kind })
}

pub(super) fn name(found: &Found) -> Option<Name> {
    Some(&found.path[..found.path_len]).filter(|path| !path.is_empty()).map(Name::new)
}
