//! Floor 1. The same memory twice, side by side, on Windows: a section, two views of it.
//!
//! The views must lie next to each other, and Windows lays a view only where nothing is reserved.
//! Since Windows 10, version 1803, there are placeholders: reservations that a view may replace, so
//! that nobody can get in between. Before that, and under Wine, a free place is looked for and
//! taken view by view, again and again if somebody else was faster.

use super::super::Errno;
#[cfg(test)]
use super::super::inject;
use super::call::{checked, checked_at};
use super::late::{map_view_of_file_3, virtual_alloc_2};
use super::pages::{ATTEMPTS, address_from, allocate, free, is_missing, process, refused};
use crate::error::{Call, Op};
use core::ffi::c_void;
use core::ptr::{NonNull, null, null_mut};
use windows_sys::Win32::Foundation::{
    CloseHandle, ERROR_INVALID_ADDRESS, ERROR_PROC_NOT_FOUND, HANDLE, INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, MEM_PRESERVE_PLACEHOLDER, MEM_RELEASE,
    MEM_REPLACE_PLACEHOLDER, MEM_RESERVE, MEM_RESERVE_PLACEHOLDER, MEMORY_MAPPED_VIEW_ADDRESS,
    MapViewOfFileEx, PAGE_NOACCESS, PAGE_READWRITE, UnmapViewOfFile,
};

/// `2 * len` bytes of addresses whose second half is the same memory as the first, reading zero.
/// All of the memory is promised now. An error names the step that failed.
///
/// Calls: CreateFileMappingW, VirtualAlloc2, VirtualFree, MapViewOfFile3 twice, CloseHandle; where
/// there are no placeholders VirtualAlloc, VirtualFree and MapViewOfFileEx twice, until it
/// succeeds.
///
/// `len` is a multiple of the granularity, not 0, and twice of it fits an address.
pub(crate) fn mirror(len: usize) -> Result<NonNull<u8>, (Op, Errno)> {
    let section = Section::new(len).map_err(|errno| (Op::Mirror, errno))?;
    // The views keep the memory when the section's handle is closed.
    match section.map_twice_in_placeholders(len) {
        Err((_, Errno(code, _))) if is_missing(code as u32) => section.map_twice_by_trial(len),
        other => other,
    }
}

/// Gives a mirror back. Call: UnmapViewOfFile, twice. Where it is refused both addresses and memory
/// stay taken: nothing else gives back the memory of a view.
///
/// # Safety
/// 1. `ptr` was made by [`mirror`] of `len` bytes, and nobody uses it any more.
pub(crate) unsafe fn unmirror(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1) both views are one range.
    let second = unsafe { ptr.add(len) };
    // SAFETY: (1).
    let first_done = unsafe { unmap(ptr) };
    // SAFETY: (1) the second view.
    first_done.and(unsafe { unmap(second) })
}

/// The number of this copy of the process: Windows makes no copies.
pub(crate) fn generation() -> u32 {
    1
}

/// # Safety
/// 1. A view begins there, and nobody uses it any more.
pub(super) unsafe fn unmap(ptr: NonNull<u8>) -> Result<(), Errno> {
    let view = MEMORY_MAPPED_VIEW_ADDRESS { Value: ptr.as_ptr().cast() };
    // SAFETY: (1).
    let call = || (unsafe { UnmapViewOfFile(view) } != 0).then_some(());
    checked_at(Call::UnmapViewOfFile, [ptr.addr().get(), 0], call)?;
    #[cfg(test)]
    inject::unmapped(ptr.addr().get(), 0);
    Ok(())
}

/// Memory that can be mapped, without a name and without a file of its own.
struct Section(HANDLE);

impl Section {
    fn new(len: usize) -> Result<Self, Errno> {
        let (high, low) = ((len as u64 >> 32) as u32, len as u32);
        let file = INVALID_HANDLE_VALUE;
        // SAFETY: no file, no attributes and no name: memory of the page file.
        let call =
            || unsafe { CreateFileMappingW(file, null(), PAGE_READWRITE, high, low, null()) };
        let handle = || Some(call()).filter(|handle| !handle.is_null());
        let section = checked(Call::CreateFileMapping, handle).map(Section)?;
        #[cfg(test)]
        inject::opened(section.0.addr());
        Ok(section)
    }

    /// Two placeholders, each replaced by a view.
    fn map_twice_in_placeholders(&self, len: usize) -> Result<NonNull<u8>, (Op, Errno)> {
        let base = reserve_placeholders(len).map_err(|errno| (Op::Reserve, errno))?;
        // SAFETY: both placeholders are one range of twice the length.
        let halves = [base, unsafe { base.add(len) }];
        // SAFETY: (1) the placeholders made above, known to nobody.
        let views = halves.map(|half| unsafe { self.replace(half, len) });
        let done = views.iter().copied().collect::<Result<(), Errno>>();
        if done.is_err() {
            for (half, view) in halves.into_iter().zip(views) {
                // What was made is taken back. The first error is the one to tell.
                let _ = match view {
                    // SAFETY: (1) the view made above, known to nobody.
                    Ok(()) => unsafe { unmap(half) },
                    // SAFETY: (1) the placeholder, still there.
                    Err(_) => unsafe { free(half, 0, MEM_RELEASE) },
                };
            }
        }
        done.map(|()| base).map_err(|errno| (Op::Mirror, errno))
    }

    /// Lays a view into a placeholder of just its length. Call: MapViewOfFile3.
    ///
    /// # Safety
    /// 1. `half` is a placeholder of `len` bytes that is the caller's.
    unsafe fn replace(&self, half: NonNull<u8>, len: usize) -> Result<(), Errno> {
        let Some(map_view_of_file_3) = map_view_of_file_3() else {
            return refused(ERROR_PROC_NOT_FOUND);
        };
        let (addr, how) = (half.as_ptr().cast::<c_void>(), MEM_REPLACE_PLACEHOLDER);
        let (section, process) = (self.0, process());
        // SAFETY: (1) the view replaces a placeholder of ours, and nothing else.
        let call = || unsafe {
            map_view_of_file_3(section, process, addr, 0, len, how, PAGE_READWRITE, null_mut(), 0)
        };
        checked(Call::MapViewOfFile3, || NonNull::new(call().Value))?;
        #[cfg(test)]
        inject::mapped(half.addr().get(), len);
        Ok(())
    }

    /// Finds a free place by reserving it, gives it back, and lays both views there before somebody
    /// else takes it.
    fn map_twice_by_trial(&self, len: usize) -> Result<NonNull<u8>, (Op, Errno)> {
        let mut last = Errno(ERROR_INVALID_ADDRESS as i32, Call::None);
        for _ in 0..ATTEMPTS {
            let base = free_place(2 * len).map_err(|errno| (Op::Reserve, errno))?;
            match self.map_twice_at(base, len) {
                Err(errno) if errno.0 == ERROR_INVALID_ADDRESS as i32 => last = errno,
                done => return done.map_err(|errno| (Op::Mirror, errno)),
            }
        }
        Err((Op::Mirror, last))
    }

    fn map_twice_at(&self, base: usize, len: usize) -> Result<NonNull<u8>, Errno> {
        let first = self.map_at(base, len)?;
        if let Err(errno) = self.map_at(base + len, len) {
            // SAFETY: (1) the view made above, known to nobody. The first error is the one to tell.
            let _ = unsafe { unmap(first) };
            return Err(errno);
        }
        Ok(first)
    }

    /// Lays a view at a free address. Call: MapViewOfFileEx.
    fn map_at(&self, addr: usize, len: usize) -> Result<NonNull<u8>, Errno> {
        let wanted = address_from(addr);
        let rights = FILE_MAP_READ | FILE_MAP_WRITE;
        // SAFETY: a view takes free addresses only, those and no others.
        let call = || unsafe { MapViewOfFileEx(self.0, rights, 0, 0, len, wanted) };
        let view = checked(Call::MapViewOfFile, || NonNull::new(call().Value))?.cast();
        #[cfg(test)]
        inject::mapped(addr, len);
        Ok(view)
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        // SAFETY: our handle, not used any more. It is open, so that this cannot fail.
        let call = || unsafe { CloseHandle(self.0) };
        let _ = checked(Call::CloseHandle, || (call() != 0).then_some(()));
        #[cfg(test)]
        inject::closed(self.0.addr());
    }
}

/// Two placeholders of `len` bytes, side by side. Calls: VirtualAlloc2, VirtualFree.
fn reserve_placeholders(len: usize) -> Result<NonNull<u8>, Errno> {
    let (Some(virtual_alloc_2), Some(_)) = (virtual_alloc_2(), map_view_of_file_3()) else {
        return refused(ERROR_PROC_NOT_FOUND);
    };
    let how = MEM_RESERVE | MEM_RESERVE_PLACEHOLDER;
    let process = process();
    // SAFETY: the system picks free addresses.
    let call =
        || unsafe { virtual_alloc_2(process, null(), 2 * len, how, PAGE_NOACCESS, null_mut(), 0) };
    let base = checked(Call::VirtualAlloc2, || NonNull::new(call()))?.cast();
    #[cfg(test)]
    inject::mapped(base.addr().get(), 2 * len);
    // SAFETY: (1) the placeholder made above; this cuts it in two.
    if let Err(errno) = unsafe { free(base, len, MEM_RELEASE | MEM_PRESERVE_PLACEHOLDER) } {
        // SAFETY: (1) as above, still whole. The first error is the one to tell.
        let _ = unsafe { free(base, 0, MEM_RELEASE) };
        return Err(errno);
    }
    Ok(base)
}

/// The address of `len` bytes that are free for now. Calls: VirtualAlloc, VirtualFree.
fn free_place(len: usize) -> Result<usize, Errno> {
    // SAFETY: (1) the system picks free addresses.
    let base = unsafe { allocate(0, len, MEM_RESERVE, PAGE_NOACCESS) }?;
    // SAFETY: (1) made above, and known to nobody.
    unsafe { free(base, 0, MEM_RELEASE) }?;
    Ok(base.addr().get())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const LEN: usize = 128 * 1024;

    fn check(made: Result<NonNull<u8>, (Op, Errno)>) {
        let base = made.expect("a mirror");
        for (here, there, value) in [(5, LEN + 5, 7u8), (LEN, 0, 8), (2 * LEN - 1, LEN - 1, 9)] {
            let [here, there] = [here, there].map(|offset| base.as_ptr().wrapping_add(offset));
            // SAFETY: the views are committed for writing, and ours alone.
            unsafe { here.write_volatile(value) };
            // SAFETY: as above.
            assert_eq!(unsafe { there.read_volatile() }, value);
        }
        // SAFETY: (1) made by the caller of this, of this length.
        unsafe { unmirror(base, LEN) }.expect("it is ours");
    }

    fn has_placeholders() -> bool {
        let Ok(base) = reserve_placeholders(LEN) else { return false };
        // SAFETY: both placeholders are one range.
        for half in [base, unsafe { base.add(LEN) }] {
            // SAFETY: (1) a placeholder made above.
            unsafe { free(half, 0, MEM_RELEASE) }.expect("it is ours");
        }
        true
    }

    #[test]
    fn placeholders_make_a_mirror() {
        if !has_placeholders() {
            std::println!("skipped: this Windows has no placeholders");
            return;
        }
        check(Section::new(LEN).expect("memory").map_twice_in_placeholders(LEN));
    }

    #[test]
    fn trial_makes_a_mirror() {
        check(Section::new(LEN).expect("memory").map_twice_by_trial(LEN));
    }

    #[test]
    fn threads_that_race_for_places_all_get_one() {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(|| {
                    (0..50).for_each(|_| {
                        check(Section::new(LEN).expect("memory").map_twice_by_trial(LEN));
                    });
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    }

    #[test]
    fn a_taken_place_is_left_as_it_was() {
        let section = Section::new(LEN).expect("memory");
        let base = free_place(2 * LEN).expect("addresses");
        let taken = section.map_at(base + LEN, LEN);
        let Ok(taken) = taken else {
            std::println!("skipped: another thread was faster");
            return;
        };
        let refused = section.map_twice_at(base, LEN).map_err(|errno| errno.0);
        assert_eq!(refused, Err(ERROR_INVALID_ADDRESS as i32));
        // SAFETY: (1) the view made above.
        unsafe { unmap(taken) }.expect("it is ours");
    }
}
