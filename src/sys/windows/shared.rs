//! Floor 1. Memory with a name on Windows: a section of the page file in the namespace of the
//! session.
//!
//! It is there for as long as somebody has a handle of it, and so are the small objects beside it,
//! which have its name and something behind that:
//! - `.granule-creator`, a page that says who made it; its creator alone keeps a handle;
//! - `.granule-seat-N`, for as long as the seat is taken;
//! - `.granule-bell-N`, a semaphore that is waited at.

#[cfg(test)]
use super::super::inject;
use super::super::section::Backing;
use super::super::shared::{Named, Process};
use super::super::{Errno, Sharing};
use super::call::{checked, set_last_error};
use super::section::{close_backing, handle, map_view, unmap_view};
use crate::ds::share_name::{LEN_MAX, ShareName};
use crate::error::Call;
use core::mem::MaybeUninit;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use windows_sys::Win32::Foundation::{
    CloseHandle, ERROR_ALREADY_EXISTS, ERROR_FILE_NOT_FOUND, FILETIME, GetLastError, HANDLE,
    INVALID_HANDLE_VALUE, WAIT_FAILED,
};
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, MEMORY_BASIC_INFORMATION, MapViewOfFile,
    OpenFileMappingW, PAGE_READWRITE, UnmapViewOfFile, VirtualQuery,
};
use windows_sys::Win32::System::SystemInformation::GetTickCount64;
use windows_sys::Win32::System::Threading::{
    CreateSemaphoreW, GetCurrentProcess, GetCurrentProcessId, GetProcessTimes, ReleaseSemaphore,
    WaitForSingleObject,
};

const FOLDER: &str = "Local\\";
const CREATOR: &str = ".granule-creator";
const SEAT: &str = ".granule-seat-";
const BELL: &str = ".granule-bell-";

/// A name of the namespace, in UTF-16, and the 0 behind it.
struct Wide([u16; FOLDER.len() + LEN_MAX + BELL.len() + 16 + 1]);

impl Wide {
    fn of(name: &ShareName) -> Self {
        Self::join(name, "", &[])
    }

    fn with_number(name: &ShareName, kind: &str, number: u64) -> Self {
        let digit = |place: u32| {
            let value = (number >> (60 - 4 * place)) as u8 & 15;
            if value < 10 { b'0' + value } else { b'a' + value - 10 }
        };
        Self::join(name, kind, &core::array::from_fn::<u8, 16, _>(|place| digit(place as u32)))
    }

    fn join(name: &ShareName, kind: &str, digits: &[u8]) -> Self {
        let mut text = [0; FOLDER.len() + LEN_MAX + BELL.len() + 16 + 1];
        let words = FOLDER.encode_utf16().chain(name.as_str().encode_utf16());
        let words = words.chain(kind.encode_utf16()).chain(digits.iter().copied().map(u16::from));
        text.iter_mut().zip(words).for_each(|(place, word)| *place = word);
        Wide(text)
    }

    const fn as_ptr(&self) -> *const u16 {
        self.0.as_ptr()
    }
}

/// Makes a section of a name that nobody has.
fn create(name: &Wide, len: u64) -> Result<usize, Errno> {
    let (high, low) = ((len >> 32) as u32, len as u32);
    let (none, name) = (INVALID_HANDLE_VALUE, name.as_ptr());
    let made = || {
        set_last_error(0);
        // SAFETY: memory of the page file; no attributes; the name ends with 0.
        let made = unsafe { CreateFileMappingW(none, null(), PAGE_READWRITE, high, low, name) };
        if made.is_null() || !exists_already() {
            return (!made.is_null()).then_some(made);
        }
        // SAFETY: a handle that nobody else knows, of somebody else's section.
        unsafe { CloseHandle(made) };
        set_last_error(ERROR_ALREADY_EXISTS);
        None
    };
    checked(Call::CreateFileMapping, made).map(opened)
}

/// What the last call says besides having succeeded.
fn exists_already() -> bool {
    // SAFETY: reads a number from the thread's own block.
    unsafe { GetLastError() == ERROR_ALREADY_EXISTS }
}

/// Opens the section of a name.
fn open(name: &Wide) -> Result<usize, Errno> {
    let rights = FILE_MAP_READ | FILE_MAP_WRITE;
    // SAFETY: the name ends with 0.
    let call = || unsafe { OpenFileMappingW(rights, 0, name.as_ptr()) };
    let found = || Some(call()).filter(|section| !section.is_null());
    checked(Call::OpenFileMapping, found).map(opened)
}

fn opened(handle: HANDLE) -> usize {
    let number = handle.expose_provenance();
    #[cfg(test)]
    inject::opened(number);
    number
}

/// Closes one of our handles.
pub(super) fn close(number: usize) {
    // SAFETY: (1) ours, and not used again.
    unsafe { close_backing(Backing { file: Backing::NOTHING, object: number }) }
}

pub(super) const fn section(object: usize) -> Backing {
    Backing { file: Backing::NOTHING, object }
}

/// Makes memory of `len` bytes that reads zero. Who may open it is what the process's default says;
/// the rights of Unix mean nothing here. ERROR_ALREADY_EXISTS: the name is somebody's. Calls:
/// CreateFileMappingW and MapViewOfFile, UnmapViewOfFile, of the creator's page, too.
pub(crate) fn create_named(name: &ShareName, len: u64, _: u32) -> Result<Named, Errno> {
    let object = create(&Wide::of(name), len)?;
    match create_record(name) {
        Ok(record) => Ok(Named { backing: section(object), record }),
        Err(errno) => {
            close(object);
            Err(errno)
        }
    }
}

/// The page that says who made the memory.
fn create_record(name: &ShareName) -> Result<usize, Errno> {
    let record = create(&Wide::join(name, CREATOR, &[]), RECORD_LEN as u64)?;
    let (number, started) = this_process();
    let told = with_record(record, |words| {
        words[1].store(started, Ordering::Relaxed);
        words[0].store(u64::from(number), Ordering::Release);
    });
    told.inspect_err(|_| close(record))?;
    Ok(record)
}

const RECORD_LEN: usize = 2 * size_of::<u64>();

fn with_record<T>(record: usize, work: impl FnOnce(&[AtomicU64; 2]) -> T) -> Result<T, Errno> {
    // SAFETY: (1) ours, and open.
    let view = unsafe { map_view(section(record), 0, RECORD_LEN, Sharing::Write) }?;
    // SAFETY: a page that is mapped to be written, which reads zero at first; whoever has it
    // accesses it by these words.
    let done = work(unsafe { view.cast::<[AtomicU64; 2]>().as_ref() });
    // SAFETY: (1) the view of a moment ago.
    let _ = unsafe { unmap_view(view, RECORD_LEN) };
    Ok(done)
}

/// This process: its number and its start, in units of 100 ns since 1601; 0 if it is not told.
fn this_process() -> Process {
    let mut times = [FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 }; 4];
    let [start, end, kernel, user] = &mut times;
    // SAFETY: answers a constant.
    let process = unsafe { GetCurrentProcess() };
    // SAFETY: the system fills four structures, which live through the call; where it does not,
    // they stay 0.
    let _ = unsafe { GetProcessTimes(process, start, end, kernel, user) };
    // SAFETY: reads a number.
    let number = unsafe { GetCurrentProcessId() };
    let started = u64::from(times[0].dwHighDateTime) << 32 | u64::from(times[0].dwLowDateTime);
    (number, started)
}

/// Opens what has the name, and its length in whole pages. ERROR_FILE_NOT_FOUND: nobody has it.
/// Calls: OpenFileMappingW, MapViewOfFile, VirtualQuery, UnmapViewOfFile.
pub(crate) fn open_named(name: &ShareName, _: bool) -> Result<(Named, u64), Errno> {
    let object = open(&Wide::of(name))?;
    match len_of(object) {
        Ok(len) => Ok((Named { backing: section(object), record: Backing::NOTHING }, len)),
        Err(errno) => {
            close(object);
            Err(errno)
        }
    }
}

/// The length of a section in whole pages, by a look at a view of all of it.
pub(super) fn len_of(object: usize) -> Result<u64, Errno> {
    // SAFETY: the section is open; the system picks free addresses.
    let call = || unsafe { MapViewOfFile(handle(object), FILE_MAP_READ, 0, 0, 0) };
    let view = checked(Call::MapViewOfFile, || Some(call()).filter(|view| !view.Value.is_null()))?;
    let mut found = MaybeUninit::<MEMORY_BASIC_INFORMATION>::zeroed();
    let (place, size) = (found.as_mut_ptr(), size_of::<MEMORY_BASIC_INFORMATION>());
    // SAFETY: asks only; the system fills the structure.
    let call = || unsafe { VirtualQuery(view.Value, place, size) };
    let told = checked(Call::VirtualQuery, || (call() != 0).then_some(()));
    // SAFETY: the view of a moment ago.
    unsafe { UnmapViewOfFile(view) };
    told?;
    // SAFETY: zeroed and filled; its fields are numbers and an address.
    Ok(unsafe { found.assume_init() }.RegionSize as u64)
}

/// Windows leaves no name behind: 0.
pub(crate) fn reclaim_abandoned() -> Result<usize, Errno> {
    Ok(0)
}

/// Windows takes a name away with the last handle, and never before.
///
/// # Safety
/// 1. `named` is open, and has or had this name.
pub(crate) unsafe fn unlink_named(_: &ShareName, _: Named) -> Result<(), Errno> {
    Ok(())
}

/// Ends the use of the name. Call: CloseHandle, of the creator's page.
///
/// # Safety
/// 1. `named` is open, and is closed next.
pub(crate) unsafe fn leave_named(_: &ShareName, named: Named, _: bool) {
    if named.record != Backing::NOTHING {
        close(named.record);
    }
}

/// The process that made it, while it lives and has it open. Calls: OpenFileMappingW,
/// MapViewOfFile, UnmapViewOfFile, CloseHandle.
///
/// # Safety
/// 1. `named` is open.
pub(crate) unsafe fn creator(name: &ShareName, named: Named) -> Result<Option<Process>, Errno> {
    if named.record != Backing::NOTHING {
        return Ok(Some(this_process()));
    }
    let record = match open(&Wide::join(name, CREATOR, &[])) {
        Err(Errno(code, _)) if code == ERROR_FILE_NOT_FOUND as i32 => return Ok(None),
        opened => opened?,
    };
    let told = with_record(record, |words| {
        let number = words[0].load(Ordering::Acquire) as u32;
        (number, words[1].load(Ordering::Relaxed))
    });
    close(record);
    // 0: it is being written at this moment.
    told.map(|process| Some(process).filter(|process| process.0 != 0))
}

/// Takes a seat; `None` if somebody has it. Call: CreateFileMappingW.
///
/// # Safety
/// 1. `named` is open.
/// 2. `number` is below `CLAIMS`.
pub(crate) unsafe fn claim(
    name: &ShareName,
    _: Named,
    number: u64,
) -> Result<Option<usize>, Errno> {
    match create(&Wide::with_number(name, SEAT, number), 1) {
        Err(Errno(code, _)) if code == ERROR_ALREADY_EXISTS as i32 => Ok(None),
        taken => taken.map(Some),
    }
}

/// True while somebody has the seat. Calls: OpenFileMappingW, CloseHandle.
///
/// # Safety
/// 1. `named` is open.
/// 2. `number` is below `CLAIMS`.
pub(crate) unsafe fn is_claimed(name: &ShareName, _: Named, number: u64) -> Result<bool, Errno> {
    match open(&Wide::with_number(name, SEAT, number)) {
        Ok(seat) => {
            close(seat);
            Ok(true)
        }
        Err(Errno(code, _)) if code == ERROR_FILE_NOT_FOUND as i32 => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Gives a seat up. Call: CloseHandle.
///
/// # Safety
/// 1. `seat` was taken by [`claim`], and is not used again.
pub(crate) unsafe fn release_claim(seat: usize) {
    close(seat);
}

/// Opens or makes a bell. Call: CreateSemaphoreW.
pub(crate) fn open_bell(name: &ShareName, number: u64) -> Result<usize, Errno> {
    let name = Wide::with_number(name, BELL, number);
    // SAFETY: no attributes; the name ends with 0.
    let call = || unsafe { CreateSemaphoreW(null(), 0, i32::MAX, name.as_ptr()) };
    let made = || Some(call()).filter(|bell| !bell.is_null());
    checked(Call::CreateSemaphore, made).map(opened)
}

/// Call: CloseHandle.
///
/// # Safety
/// 1. `bell` was opened by [`open_bell`], and is not used again.
pub(crate) unsafe fn close_bell(bell: usize) {
    close(bell);
}

/// Sleeps while `word`, which lies in shared memory, has this value, until it is rung for or so
/// many nanoseconds are over, or for no reason. Call: WaitForSingleObject.
///
/// # Safety
/// 1. `bell` is open, and the one of `word`.
pub(crate) unsafe fn wait_bell(
    bell: usize,
    word: &AtomicU32,
    value: u32,
    nanoseconds: u64,
) -> Result<(), Errno> {
    const LONGEST: u64 = 1 << 30;
    if word.load(Ordering::SeqCst) != value {
        return Ok(());
    }
    let limit = nanoseconds.div_ceil(1_000_000).min(LONGEST) as u32;
    // SAFETY: (1).
    let call = || unsafe { WaitForSingleObject(handle(bell), limit) };
    checked(Call::WaitForSingleObject, || (call() != WAIT_FAILED).then_some(()))
}

/// Wakes as many of those who sleep at `word`. Call: ReleaseSemaphore.
///
/// # Safety
/// 1. `bell` is open, and the one of `word`.
pub(crate) unsafe fn ring_bell(bell: usize, _: &AtomicU32, count: u32) {
    let count = count.min(i32::MAX as u32) as i32;
    // SAFETY: (1). A bell that has rung so often already needs no more.
    let call = || unsafe { ReleaseSemaphore(handle(bell), count, null_mut()) };
    let _ = checked(Call::ReleaseSemaphore, || (call() != 0).then_some(()));
}

/// Nanoseconds of a clock that never turns back, which ticks some 60 times a second. Call:
/// GetTickCount64.
pub(crate) fn monotonic_ns() -> u64 {
    // SAFETY: reads a number.
    unsafe { GetTickCount64() }.saturating_mul(1_000_000)
}
