use super::{Registers, cache, capture, probe_fixup, probe_read, tables};
use crate::ds::cfi;
use core::ffi::{c_int, c_void};
use core::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The stack of the function that this is inlined into, from what it returns to.
#[inline(always)]
fn stack_here() -> Vec<u64> {
    let mut out = [0; 64];
    let len = capture(&Registers::current(), &mut out);
    out[..len].to_vec()
}

/// The stack by the unwinder of the C compiler, down from the caller of this.
#[inline(never)]
fn stack_by_oracle() -> Vec<u64> {
    let mut out = Vec::new();
    backtrace::trace(|frame| {
        out.extend(Some(frame.ip() as u64).filter(|&ip| ip != 0)); // it ends some stacks with 0
        true
    });
    out
}

#[inline(never)]
fn both(depth: usize) -> (Vec<u64>, Vec<u64>) {
    if depth == 0 {
        return black_box((stack_here(), stack_by_oracle()));
    }
    let result = both(black_box(depth - 1));
    black_box(result)
}

/// All of `ours` must end `oracle`; the innermost frames of the oracle are its own.
fn assert_is_tail(ours: &[u64], oracle: &[u64]) {
    let start = oracle.iter().position(|pc| *pc == ours[0]);
    let start = start.unwrap_or_else(|| panic!("{:x} is not in {oracle:x?}", ours[0]));
    assert_eq!(ours, &oracle[start..], "not the end of {oracle:x?}");
}

#[test]
fn known_functions_are_seen_as_by_the_oracle() {
    for depth in [0, 1, 5, 20] {
        // Twice: the second walk finds its rows in the cache.
        for _ in 0..2 {
            let (ours, oracle) = both(depth);
            assert!(ours.len() > depth);
            assert_is_tail(&ours, &oracle);
        }
    }
}
