//! Blocks straight from the C library's `malloc`, or from what LD_PRELOAD puts in its place.
#![allow(unsafe_code, reason = "what is measured is malloc itself")]

use std::hint::black_box;
use std::ptr::NonNull;

/// In the first word of every block, mixed with its address: who gives one memory to two is found.
const STAMP: u64 = 0x6b79_a3d1_5c0e_92f7;

/// The least length of a block: room for the stamp.
pub(crate) const LEAST: usize = size_of::<u64>();

/// Memory is touched once in this many bytes.
pub(crate) const PAGE: usize = 4096;

/// One block; freed when it is dropped.
pub(crate) struct Block(NonNull<u64>);

// SAFETY: a block is memory that one owner uses.
unsafe impl Send for Block {}

impl Block {
    /// A block of at least [`LEAST`] bytes, with its first word and its last byte written.
    #[inline]
    pub(crate) fn new(len: usize) -> Block {
        // SAFETY: any length may be asked for.
        let block = Block::found(unsafe { libc::malloc(len) }, len);
        block.write(len - 1);
        block
    }

    /// A block of zeroes. Its first word, its middle and its end are looked at, and written.
    #[inline]
    pub(crate) fn zeroed(len: usize) -> Block {
        // SAFETY: any length may be asked for.
        let memory = unsafe { libc::calloc(1, len) };
        let block = Block(taken(memory, len));
        // SAFETY: the block has room for a word.
        let first = unsafe { block.0.read() };
        if first != 0 || block.read(len / 2) != 0 || block.read(len - 1) != 0 {
            fail("calloc gave memory that is not zero");
        }
        block.write(len / 2);
        block.write(len - 1);
        block.stamp();
        block
    }

    /// The block with another length; what was in it stays.
    #[inline]
    pub(crate) fn resized(self, len: usize) -> Block {
        self.check();
        let memory = self.into_address();
        // SAFETY: the address of a block that nobody uses any more.
        Block::found(unsafe { libc::realloc(memory.as_ptr().cast(), len) }, len)
    }

    /// Writes one byte in each page of the part from `begin` to `end`.
    pub(crate) fn touch(&self, begin: usize, end: usize) {
        (begin.max(LEAST)..end).step_by(PAGE).for_each(|at| self.write(at));
    }

    /// Writes every byte of the part from `begin` to `end`, but the stamp.
    pub(crate) fn fill(&self, begin: usize, end: usize) {
        let begin = begin.max(LEAST);
        if begin < end {
            // SAFETY: inside of the block.
            let part = unsafe { self.0.as_ptr().cast::<u8>().add(begin) };
            // SAFETY: the part of the block from there to its end.
            unsafe { part.write_bytes(1, end - begin) };
        }
    }

    /// Adds one to a byte of the block behind the stamp, in memory.
    #[inline]
    pub(crate) fn count(&self, at: usize) {
        self.put(at, black_box(self.read(at)).wrapping_add(1));
    }

    /// Lets go of the block; [`Block::from_address`] takes it up again.
    pub(crate) fn into_address(self) -> NonNull<u64> {
        let address = self.0;
        std::mem::forget(self);
        address
    }

    /// # Safety
    /// 1. It is of `into_address`, and taken up once.
    pub(crate) unsafe fn from_address(address: NonNull<u64>) -> Block {
        Block(address)
    }

    #[inline]
    fn found(memory: *mut libc::c_void, len: usize) -> Block {
        let block = Block(taken(memory, len));
        block.stamp();
        block
    }

    #[inline]
    fn stamp(&self) {
        // SAFETY: the block has room for a word.
        unsafe { self.0.write(self.expected()) };
    }

    #[inline]
    fn expected(&self) -> u64 {
        STAMP ^ self.0.addr().get() as u64
    }

    #[inline]
    fn check(&self) {
        // SAFETY: the block has room for a word.
        if unsafe { self.0.read() } != self.expected() {
            fail("somebody else wrote into a block");
        }
    }

    #[inline]
    fn read(&self, at: usize) -> u8 {
        // SAFETY: inside of the block.
        let byte = unsafe { self.0.as_ptr().cast::<u8>().add(at) };
        // SAFETY: memory of the block.
        unsafe { byte.read() }
    }

    /// Writes a byte that is not zero, but not into the stamp, which ends a short block.
    #[inline]
    fn write(&self, at: usize) {
        if at >= LEAST {
            self.put(at, 1);
        }
    }

    #[inline]
    fn put(&self, at: usize, value: u8) {
        // SAFETY: inside of the block.
        let byte = unsafe { self.0.as_ptr().cast::<u8>().add(at) };
        // SAFETY: memory of the block.
        unsafe { byte.write(value) };
    }
}

impl Drop for Block {
    #[inline]
    fn drop(&mut self) {
        self.check();
        // SAFETY: a block of malloc that nobody uses any more.
        unsafe { libc::free(black_box(self.0.as_ptr()).cast()) };
    }
}

/// The address that was given for a block of so many bytes. Hidden from the compiler, which knows
/// malloc and would leave it out.
#[inline]
fn taken(memory: *mut libc::c_void, len: usize) -> NonNull<u64> {
    match NonNull::new(black_box(memory).cast::<u64>()) {
        Some(address) if address.is_aligned() => address,
        Some(_) => fail("a block is not aligned"),
        None => fail(&format!("no memory for {len} bytes")),
    }
}

#[cold]
fn fail(what: &str) -> ! {
    eprintln!("malloc-child: {what}");
    std::process::exit(3)
}
