//! Faults among the exceptions of Windows: handlers of the program in front of ours and behind it,
//! and exceptions that are no faults.
#![cfg(windows)]

mod vm_support;

use granule::fault::{Fault, Outcome, Watch};
use granule::vm::{self, Protection, Reservation};
use std::ptr::null;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst};
use vm_support::in_own_process;
use windows_sys::Win32::Foundation::{
    EXCEPTION_ACCESS_VIOLATION, EXCEPTION_GUARD_PAGE, EXCEPTION_STACK_OVERFLOW,
};
use windows_sys::Win32::System::Diagnostics::Debug::{
    AddVectoredExceptionHandler, EXCEPTION_CONTINUE_EXECUTION, EXCEPTION_CONTINUE_SEARCH,
    EXCEPTION_POINTERS, RaiseException,
};
use windows_sys::Win32::System::Memory::{PAGE_GUARD, PAGE_READWRITE, VirtualProtect};

/// What was called, in order.
static CALLED: Mutex<Vec<&str>> = Mutex::new(Vec::new());

fn called() -> Vec<&'static str> {
    std::mem::take(&mut *CALLED.lock().expect("no panic"))
}

/// None of these exceptions interrupts whoever holds the lock.
fn note(name: &'static str) {
    CALLED.lock().expect("no panic").push(name);
}

/// The exception that the handlers of the program want to go on after.
static WANTED: AtomicI32 = AtomicI32::new(0);

unsafe extern "system" fn in_front(_: *mut EXCEPTION_POINTERS) -> i32 {
    note("in front");
    EXCEPTION_CONTINUE_SEARCH
}

unsafe extern "system" fn behind(told: *mut EXCEPTION_POINTERS) -> i32 {
    note("behind");
    // SAFETY: the system hands valid structures to a vectored handler.
    let record = unsafe { *(*told).ExceptionRecord };
    if record.ExceptionCode == WANTED.load(SeqCst) {
        EXCEPTION_CONTINUE_EXECUTION
    } else {
        EXCEPTION_CONTINUE_SEARCH
    }
}

fn add(first: bool, handler: unsafe extern "system" fn(*mut EXCEPTION_POINTERS) -> i32) {
    // SAFETY: the handler has the type that the system wants and is never taken away.
    let added = unsafe { AddVectoredExceptionHandler(u32::from(first), Some(handler)) };
    assert!(!added.is_null());
}

static BASE: AtomicUsize = AtomicUsize::new(0);

/// Gives the right to write to one page, once.
fn answer(fault: &Fault) -> Outcome {
    note("ours");
    let (page_len, mut old) = (vm::info().page_len, 0);
    let page = std::ptr::with_exposed_provenance(fault.addr() & !(page_len - 1));
    // SAFETY: a page of the watched reservation, which is committed.
    let done = unsafe { VirtualProtect(page, page_len, PAGE_READWRITE, &raw mut old) };
    if done != 0 { Outcome::Resume } else { Outcome::NotMine }
}

static HANDLER: fn(&Fault) -> Outcome = answer;

/// A watched reservation of committed pages without access.
fn watched() -> (Reservation, Watch) {
    let len = 4 * vm::info().page_len;
    let memory = Reservation::reserve(len).expect("addresses");
    memory.commit(0..len, Protection::NoAccess).expect("pages");
    BASE.store(memory.base(), SeqCst);
    // SAFETY: (1) the handler calls the system and takes a lock that nobody holds who touches the
    // range; (2) it says Resume when the page may be touched; (3) the range is this test's.
    let watch = unsafe { Watch::new(memory.base()..memory.base() + len, &HANDLER) };
    (memory, watch.expect("a free range"))
}

fn put(memory: &Reservation, page: usize) {
    // SAFETY: the page lies in the reservation.
    let place = unsafe { memory.as_ptr().add(page * vm::info().page_len) };
    // SAFETY: it may be written to, once our handler was called.
    unsafe { place.write_volatile(1) };
}

fn raise(code: i32, information: &[usize]) {
    WANTED.store(code, SeqCst);
    let (len, start) = (information.len() as u32, information.as_ptr());
    let start = if information.is_empty() { null() } else { start };
    // SAFETY: the system reads the numbers, and the handler of this program goes on.
    unsafe { RaiseException(code.cast_unsigned(), 0, len, start) };
}

#[test]
fn handlers_are_asked_in_the_order_of_the_systems_list() {
    in_own_process("handlers_are_asked_in_the_order_of_the_systems_list", &[], || {
        add(true, behind);
        let (memory, watch) = watched();
        put(&memory, 0);
        assert_eq!(called(), ["ours"], "in front of what was there");
        add(true, in_front);
        put(&memory, 1);
        assert_eq!(called(), ["in front", "ours"], "who comes later is asked first");
        let (others, second) = watched();
        put(&others, 0);
        assert_eq!(called(), ["in front", "ours"], "ours is in the list once");
        drop(watch);
        put(&others, 1);
        drop(second);
        assert_eq!(called(), ["in front", "ours"]);
    });
}

#[test]
fn what_is_no_fault_of_a_watched_page_goes_on_to_the_program() {
    in_own_process("what_is_no_fault_of_a_watched_page_goes_on_to_the_program", &[], || {
        add(true, behind);
        let (memory, _watch) = watched();
        // A breakpoint of the program's own, C++ .., and one that looks like a fault.
        for code in [0xe06d_7363_u32.cast_signed(), 0x8000_0003_u32.cast_signed()] {
            raise(code, &[1, memory.base(), 0, 0]);
            assert_eq!(called(), ["behind"]);
        }
        raise(EXCEPTION_STACK_OVERFLOW, &[1, memory.base()]);
        raise(EXCEPTION_ACCESS_VIOLATION, &[]);
        raise(EXCEPTION_ACCESS_VIOLATION, &[1, 16]);
        assert_eq!(called(), ["behind"; 3]);
    });
}

#[test]
fn a_guard_page_of_the_program_is_a_fault_of_its_range_only() {
    in_own_process("a_guard_page_of_the_program_is_a_fault_of_its_range_only", &[], || {
        add(true, behind);
        let (memory, _watch) = watched();
        let page_len = vm::info().page_len;
        let elsewhere = Reservation::reserve(page_len).expect("addresses");
        elsewhere.commit(0..page_len, Protection::ReadWrite).expect("a page");
        WANTED.store(EXCEPTION_GUARD_PAGE, SeqCst);
        for (reservation, who) in [(&memory, "ours"), (&elsewhere, "behind")] {
            let (first, mut old) = (reservation.as_ptr().cast(), 0);
            let rights = PAGE_READWRITE | PAGE_GUARD;
            // SAFETY: a committed page of ours.
            let done = unsafe { VirtualProtect(first, page_len, rights, &raw mut old) };
            assert_ne!(done, 0);
            put(reservation, 0);
            put(reservation, 0);
            assert_eq!(called(), [who], "once");
        }
    });
}
