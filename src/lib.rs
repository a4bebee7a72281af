//! granule is memory by the page: reserve address space, commit it as you grow, and find the stomp.
//!
//! The folders are floors; a file may use only lower ones (`cargo xtask tidy` checks it):
//!
//! | floor | modules | what it is |
//! |---|---|---|
//! | 0 | [`error`], `addr`, `ds` | pure: lengths, ranges, the error, data structures |
//! | 1 | `sys` | the only door to the operating system |
//! | 2 | [`vm`] | "VirtualAlloc": [`vm::Reservation`] |
//! | 3 | [`fault`] | a range of addresses, and who answers when it is touched |
//! | 4 | [`mod@array`] | arrays that never move |
//! | 4 | [`heap`] | heaps that are made at will and thrown away at once; that of the process |
//! | 4 | [`section`] | files as memory: sections and views |
//! | 4 | [`stomp`] | the allocator that makes an overflow fault at the guilty instruction |
//! | 5 | [`win32`] | the same in the words of Windows: `VirtualAlloc`, `HeapAlloc` |
//! | 5 | `global` | the heap of the process as Rust's `#[global_allocator]` |
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(feature = "nightly", feature(allocator_api))]

pub mod array;
pub mod error;
pub mod fault;

pub(crate) mod addr;
pub(crate) mod ds;
pub mod heap;
pub mod section;
pub(crate) mod sys;

mod global;
#[cfg(target_os = "linux")]
pub mod stomp;
pub mod vm;
pub mod win32;

/// Other processes, as the tests outside start them.
#[cfg(test)]
#[path = "../tests/start/mod.rs"]
mod start;

pub use error::{Error, ErrorKind, Op};
pub use heap::Granule;

/// The README's programs are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
