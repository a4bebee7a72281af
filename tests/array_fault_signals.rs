//! Regions on Linux whose pages are committed, and cannot be touched all the same: the fault is not
//! answered for ever, but ends the process as it would without a region.
#![cfg(target_os = "linux")]

mod vm_support;

use granule::array::{Engine, FaultRegion};
use granule::fault::{Cause, Fault, Outcome, Watch};
use granule::vm::{self, Protection, Reservation};
use std::os::unix::process::ExitStatusExt;
use std::sync::Mutex;
use vm_support::{endings, has_lived};

fn region(engine: Engine) -> FaultRegion {
    let page_len = vm::info().page_len;
    let builder = FaultRegion::builder().len(4 * page_len).engine(engine).chunk_len(page_len);
    let region = builder.make().expect("addresses");
    // SAFETY: inside the region, which this thread has for itself.
    unsafe { region.as_ptr().write_volatile(1) };
    region
}

/// Puts a page of a file that has no bytes over the page at `place`: the kernel says of it what it
/// says of a page whose memory is broken (SIGBUS), but for one number.
fn lose(place: *mut u8) {
    let name = c"granule-test";
    // SAFETY: the name lives for ever.
    let file = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    assert!(file >= 0);
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_FIXED;
    // SAFETY: one page of the caller's.
    let laid = unsafe { libc::mmap(place.cast(), vm::info().page_len, rights, flags, file, 0) };
    assert_eq!(laid, place.cast());
}

/// A thread that ends the process if it tries the touch for ever.
fn do_not_wait_for_ever() {
    std::thread::spawn(|| {
        std::thread::sleep(std::time::Duration::from_secs(30));
        std::process::exit(9);
    });
}

fn touch_a_lost_page(engine: Engine) {
    do_not_wait_for_ever();
    let region = region(engine);
    lose(region.as_ptr());
    // SAFETY: inside the region; what happens is what the test is about.
    unsafe { region.as_ptr().write_volatile(2) };
}

#[test]
fn a_committed_page_that_is_lost_ends_the_process() {
    let name = "a_committed_page_that_is_lost_ends_the_process";
    let roles: [fn(); 2] =
        [|| touch_a_lost_page(Engine::Mprotect), || touch_a_lost_page(Engine::Guard)];
    for output in endings(name, roles) {
        assert!(!has_lived(&output));
        assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{output:?}");
    }
}

/// A page that is read and written, but not with this thread's keys: no commit changes that.
fn touch_without_the_key() {
    do_not_wait_for_ever();
    const WRITE_DISABLED: libc::c_ulong = 2;
    // SAFETY: numbers only.
    let key = unsafe { libc::syscall(libc::SYS_pkey_alloc, 0, WRITE_DISABLED) };
    if key < 0 {
        println!("skipped: this processor has no protection keys");
        return;
    }
    let region = region(Engine::Mprotect);
    let (place, len) = (region.as_ptr(), vm::info().page_len);
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: one page of the region.
    let done = unsafe { libc::syscall(libc::SYS_pkey_mprotect, place, len, rights, key) };
    assert_eq!(done, 0);
    // SAFETY: inside the region; what happens is what the test is about.
    unsafe { place.write_volatile(2) };
}

#[test]
fn a_key_that_is_missing_ends_the_process() {
    let [output] =
        endings("a_key_that_is_missing_ends_the_process", [touch_without_the_key as fn()]);
    if has_lived(&output) {
        println!("skipped: this processor has no protection keys");
        return;
    }
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{output:?}");
}

/// What a handler is told about pages without rights, and about pages without anything.
#[test]
fn a_handler_is_told_the_cause() {
    static TOLD: Mutex<Vec<Option<Cause>>> = Mutex::new(Vec::new());
    let page_len = vm::info().page_len;
    let memory = Box::leak(Box::new(Reservation::reserve(2 * page_len).expect("addresses")));
    memory.commit(0..page_len, Protection::ReadWrite).expect("a page");
    lose(memory.as_ptr());
    let memory: &'static Reservation = memory;
    let handler = Box::leak(Box::new(move |fault: &Fault| {
        // The thread that faults is in no call of the lock's.
        TOLD.lock().expect("no panic").push(fault.cause());
        let offset = fault.addr() - memory.base();
        if fault.cause() == Some(Cause::Page) {
            // A page that is there instead of the lost one.
            let (rights, len) = (libc::PROT_READ | libc::PROT_WRITE, vm::info().page_len);
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
            // SAFETY: one page of the test's.
            let laid = unsafe { libc::mmap(memory.as_ptr().cast(), len, rights, flags, -1, 0) };
            assert_ne!(laid, libc::MAP_FAILED);
        } else {
            memory.commit(offset..offset + 1, Protection::ReadWrite).expect("a page");
        }
        Outcome::Resume
    }));
    TOLD.lock().expect("no panic").reserve(8);
    let base = memory.base();
    // SAFETY: (1) room for what it notes was made above, and the faults below hold no lock; (2) a
    // page is there then; (3) nobody else watches it.
    let watch = unsafe { Watch::new(base..base + 2 * page_len, handler) }.expect("a range");
    for page in [1, 0] {
        // SAFETY: inside the reservation.
        let place = unsafe { memory.as_ptr().add(page * page_len) };
        // SAFETY: the handler sees to it.
        unsafe { place.write_volatile(3) };
    }
    drop(watch);
    assert_eq!(*TOLD.lock().expect("no panic"), [Some(Cause::Right), Some(Cause::Page)]);
}
