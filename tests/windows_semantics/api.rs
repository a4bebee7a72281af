//! What the table calls: the functions with addresses as numbers and errors as numbers.

/// What `VirtualQuery` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) base: usize,
    pub(crate) allocation_base: usize,
    pub(crate) allocation_protect: u32,
    pub(crate) len: usize,
    pub(crate) state: u32,
    pub(crate) protect: u32,
    pub(crate) kind: u32,
}

/// What `GetSystemInfo` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct System {
    pub(crate) page_len: u32,
    pub(crate) granularity: u32,
    pub(crate) address_min: usize,
    pub(crate) address_max: usize,
}

/// Which answers are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Documented,
    DocumentedOrWine,
}

/// The family. Every function may be called on any address: the table only passes ranges that no
/// Rust value lives in, but for questions.
pub(crate) trait Api: Sync {
    fn name(&self) -> &'static str;
    fn expect(&self) -> Expect;
    fn system(&self) -> System;
    fn alloc(&self, addr: usize, size: usize, kind: u32, protect: u32) -> Result<usize, u32>;
    fn free(&self, addr: usize, size: usize, kind: u32) -> Result<(), u32>;
    /// The old rights; `place` false: without a place for them.
    fn protect(&self, addr: usize, size: usize, new: u32, place: bool) -> Result<u32, u32>;
    fn lock(&self, addr: usize, size: usize) -> Result<(), u32>;
    fn unlock(&self, addr: usize, size: usize) -> Result<(), u32>;
    /// The addresses of written pages, at most `room`, and the bytes of each.
    fn written(
        &self,
        addr: usize,
        size: usize,
        flags: u32,
        room: usize,
    ) -> Result<(Vec<usize>, u32), u32>;
    fn forget(&self, addr: usize, size: usize) -> Result<(), u32>;
    /// `len` is the length of the buffer; `None`: the whole structure's.
    fn query(&self, addr: usize, len: Option<usize>) -> Result<Told, u32>;
}
