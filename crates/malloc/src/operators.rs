//! C++'s operator new and delete in all their forms, by the names that the Itanium C++ ABI gives
//! them.
//!
//! Only what succeeds is done here. For the rest (the handler of `std::set_new_handler`, the
//! exception `std::bad_alloc`) the C++ library has its own operator of the same name, which calls
//! `malloc` or `aligned_alloc` again, and these are ours. It is jumped to with the caller's stack,
//! so nothing is ever thrown through Rust.
//!
//! A program may replace some of the operators and leave the others, which have to end in those it
//! replaced. Then all go to the C++ library, whose forms do so. The same is true in a program with
//! its own malloc.

use crate::family::{allocate_aligned, give_back};
use crate::start::is_passive;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, Ordering};
use granule::Granule;
use granule_preload::{Next, Search, call_next, find};

/// True if every operator goes to the C++ library.
static ASIDE: AtomicBool = AtomicBool::new(false);

#[inline]
fn is_aside() -> bool {
    ASIDE.load(Ordering::Relaxed)
}

/// Finds out who defines the operators that the others come down to.
pub(crate) fn prepare() {
    let names = [c"_Znwm", c"_ZdlPv", c"_ZnwmSt11align_val_t", c"_ZdlPvSt11align_val_t"];
    let is_other = |name: &CStr| {
        let found = find(Search::All, name);
        !found.is_null() && !granule_preload::is_of_this_library(found)
    };
    ASIDE.store(is_passive() || names.into_iter().any(is_other), Ordering::Relaxed);
}

/// Libraries of C++ that may be loaded where `dlsym` does not look: by a plugin.
const LIBRARIES: [&CStr; 2] = [c"libstdc++.so.6", c"libc++.so.1"];

/// The operator of the C++ library: behind us, or in a library of its own that is loaded; 0 if
/// there is none.
fn next_of(next: &Next) -> usize {
    match next.addr() {
        0 => {
            let mut found = LIBRARIES.iter().map(|library| find_in(library, next.name()));
            found.find(|&addr| addr != 0).unwrap_or(0)
        }
        addr => addr,
    }
}

fn find_in(library: &CStr, name: &CStr) -> usize {
    let flags = libc::RTLD_NOLOAD | libc::RTLD_LAZY;
    // What is not loaded is not found.
    let handle = call_next!(
        dlopen as fn(*const c_char, c_int) -> *mut c_void,
        (library.as_ptr(), flags),
        null_mut()
    );
    if handle.is_null() {
        return 0;
    }
    // SAFETY: a handle, which is kept so that what is found stays, and a name.
    unsafe { libc::dlsym(handle, name.as_ptr()) }.addr()
}

/// A block, or who is asked instead; neither for a form that gives null.
#[repr(C)]
struct Served {
    block: *mut c_void,
    next: usize,
}

/// What a form does when it cannot serve and there is no C++ library to ask.
#[derive(Clone, Copy)]
enum Refusal {
    Null,
    Throw,
}

/// A block of the heap, unless another operator is meant.
fn serve(size: usize, align: usize, next: &Next, refusal: Refusal) -> Served {
    let block = || allocate_aligned(align, size).map(|block| block.as_ptr().cast());
    if !is_aside()
        && let Some(block) = block()
    {
        return Served { block, next: 0 };
    }
    match next_of(next) {
        0 => match (block(), refusal) {
            (Some(block), _) => Served { block, next: 0 },
            (None, Refusal::Null) => Served { block: null_mut(), next: 0 },
            (None, Refusal::Throw) => Served { block: null_mut(), next: thrower() },
        },
        next => Served { block: null_mut(), next },
    }
}

core::arch::global_asm!(".weak _ZSt17__throw_bad_allocv");

/// `std::__throw_bad_alloc`, of a C++ library that is linked into a static program; else the end.
fn thrower() -> usize {
    let thrower: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads what the linker or the loader has written.
    unsafe {
        core::arch::asm!(
            "mov {thrower}, qword ptr [rip + _ZSt17__throw_bad_allocv@GOTPCREL]",
            thrower = out(reg) thrower, options(pure, nomem, nostack, preserves_flags),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads what the linker or the loader has written.
    unsafe {
        core::arch::asm!(
            "adrp {thrower}, :got:_ZSt17__throw_bad_allocv",
            "ldr {thrower}, [{thrower}, :got_lo12:_ZSt17__throw_bad_allocv]",
            thrower = out(reg) thrower, options(pure, nomem, nostack, preserves_flags),
        );
    }
    if thrower == 0 {
        crate::numbers::say(format_args!(
            "granule: operator new: there is no memory, and no C++ library that could say so\n"
        ));
        // SAFETY: ends the process.
        unsafe { libc::abort() };
    }
    thrower
}

/// The name of a symbol for the loader.
macro_rules! loader_name {
    ($symbol:literal) => {
        match CStr::from_bytes_with_nul(concat!($symbol, "\0").as_bytes()) {
            Ok(name) => name,
            Err(_) => panic!("a name without NUL"),
        }
    };
}

/// A form of operator new, in two halves: the quick one, and one that serves slowly or goes on with
/// the caller's arguments and stack. The arguments behind the size are an alignment (`Aligned`), a
/// `nothrow_t` that nobody looks at, or none.
macro_rules! operator_new {
    ($name:ident, $symbol:literal, $refusal:ident) => {
        operator_new!($name, $symbol, $refusal, |size| Granule.allocate_ready(size), |_| 1);
    };
    ($name:ident, $symbol:literal, $refusal:ident, Aligned) => {
        operator_new!($name, $symbol, $refusal, |_| None, |align| align);
    };
    ($name:ident, $symbol:literal, $refusal:ident, $ready:expr, $align:expr) => {
        mod $name {
            use super::*;

            #[unsafe(export_name = $symbol)]
            unsafe extern "C" fn operator(
                size: usize,
                second: usize,
                third: usize,
            ) -> *mut c_void {
                let ready: fn(usize) -> Option<NonNull<u8>> = $ready;
                if !is_aside()
                    && let Some(block) = ready(size)
                {
                    return block.as_ptr().cast();
                }
                // SAFETY: the caller's own arguments; what is none is not looked at.
                unsafe { slow_half(size, second, third) }
            }

            extern "C" fn serve(size: usize, second: usize) -> Served {
                static NEXT: Next = Next::new(loader_name!($symbol));
                let align: fn(usize) -> usize = $align;
                super::serve(size, align(second), &NEXT, Refusal::$refusal)
            }

            #[unsafe(naked)]
            unsafe extern "C" fn slow_half(
                size: usize,
                second: usize,
                third: usize,
            ) -> *mut c_void {
                #[cfg(target_arch = "x86_64")]
                core::arch::naked_asm!(
                    "push rdi",
                    "push rsi",
                    "push rdx",
                    "call {serve}",
                    "mov r11, rdx",
                    "pop rdx",
                    "pop rsi",
                    "pop rdi",
                    "test r11, r11",
                    "jz 2f",
                    "jmp r11",
                    "2:",
                    "ret",
                    serve = sym serve,
                );
                #[cfg(target_arch = "aarch64")]
                core::arch::naked_asm!(
                    "stp x29, x30, [sp, -48]!",
                    "stp x0, x1, [sp, 16]",
                    "str x2, [sp, 32]",
                    "bl {serve}",
                    "cbz x1, 2f",
                    "mov x16, x1",
                    "ldp x0, x1, [sp, 16]",
                    "ldr x2, [sp, 32]",
                    "ldp x29, x30, [sp], 48",
                    "br x16",
                    "2:",
                    "ldp x29, x30, [sp], 48",
                    "ret",
                    serve = sym serve,
                );
            }
        }
    };
}

operator_new!(new, "_Znwm", Throw);
operator_new!(new_array, "_Znam", Throw);
operator_new!(new_nothrow, "_ZnwmRKSt9nothrow_t", Null);
operator_new!(new_array_nothrow, "_ZnamRKSt9nothrow_t", Null);
operator_new!(new_aligned, "_ZnwmSt11align_val_t", Throw, Aligned);
operator_new!(new_array_aligned, "_ZnamSt11align_val_t", Throw, Aligned);
operator_new!(new_aligned_nothrow, "_ZnwmSt11align_val_tRKSt9nothrow_t", Null, Aligned);
operator_new!(new_array_aligned_nothrow, "_ZnamSt11align_val_tRKSt9nothrow_t", Null, Aligned);

/// A form of operator delete. Size, alignment and `nothrow_t` behind the block are only for the one
/// that may come next.
macro_rules! operator_delete {
    ($name:ident, $symbol:literal) => {
        mod $name {
            use super::*;

            #[unsafe(export_name = $symbol)]
            unsafe extern "C" fn operator(block: *mut c_void, second: usize, third: usize) {
                if is_aside() {
                    static NEXT: Next = Next::new(loader_name!($symbol));
                    return delete_aside(block, second, third, &NEXT);
                }
                // SAFETY: the caller's block of this family, or null.
                unsafe { give_back(block) }
            }
        }
    };
}

/// Gives a block to whoever comes next, unless there is nobody, or it is one of ours that was given
/// out before the program's own malloc was known.
#[cold]
#[inline(never)]
fn delete_aside(block: *mut c_void, second: usize, third: usize, next: &Next) {
    type Delete = unsafe extern "C" fn(*mut c_void, usize, usize);
    let is_ours =
        is_passive() && NonNull::new(block.cast()).is_some_and(|block| Granule.owns(block));
    match if is_ours { 0 } else { next_of(next) } {
        // SAFETY: the caller's block of this family, or null.
        0 => unsafe { give_back(block) },
        next => {
            // SAFETY: an operator delete by its name; what it does not take it does not look at.
            let delete = unsafe { core::mem::transmute::<usize, Delete>(next) };
            // SAFETY: the caller's own arguments.
            unsafe { delete(block, second, third) }
        }
    }
}

operator_delete!(delete, "_ZdlPv");
operator_delete!(delete_array, "_ZdaPv");
operator_delete!(delete_sized, "_ZdlPvm");
operator_delete!(delete_array_sized, "_ZdaPvm");
operator_delete!(delete_nothrow, "_ZdlPvRKSt9nothrow_t");
operator_delete!(delete_array_nothrow, "_ZdaPvRKSt9nothrow_t");
operator_delete!(delete_aligned, "_ZdlPvSt11align_val_t");
operator_delete!(delete_array_aligned, "_ZdaPvSt11align_val_t");
operator_delete!(delete_sized_aligned, "_ZdlPvmSt11align_val_t");
operator_delete!(delete_array_sized_aligned, "_ZdaPvmSt11align_val_t");
operator_delete!(delete_aligned_nothrow, "_ZdlPvSt11align_val_tRKSt9nothrow_t");
operator_delete!(delete_array_aligned_nothrow, "_ZdaPvSt11align_val_tRKSt9nothrow_t");
