//! Floor 1. The rows of recent pcs: a direct-mapped table that any thread reads and writes at any
//! time, also in the middle of a write of its own.
//!
//! An entry is two words, the row and the key xor the row (Hyatt's and Mann's lockless hash table):
//! words of two different writes do not match any key, except by a chance of 2^-64.

use crate::ds::cfi::PackedRow;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Entries; 1 MiB of zeroed memory, touched as it is used.
const ENTRIES: usize = 1 << 16;

struct Entry {
    row: AtomicU64,
    key_and_row: AtomicU64,
}

static CACHE: [Entry; ENTRIES] =
    [const { Entry { row: AtomicU64::new(0), key_and_row: AtomicU64::new(0) } }; ENTRIES];

/// Part of every key; see [`forget`].
static ERA: AtomicU64 = AtomicU64::new(0);

/// The user half of the address space; the bits above hold the era.
const ADDRESS_BITS: u32 = 48;

/// Forgets all rows. To be called after a module was unloaded, since another can take its place.
pub(crate) fn forget() {
    ERA.fetch_add(1 << ADDRESS_BITS, Relaxed);
}

fn key(pc: u64) -> u64 {
    pc ^ ERA.load(Relaxed)
}

fn entry(pc: u64) -> &'static Entry {
    const SCALE: u64 = 0x9e37_79b9_7f4a_7c15; // 2^64 divided by the golden ratio, odd
    &CACHE[(pc.wrapping_mul(SCALE) >> (64 - ENTRIES.ilog2())) as usize]
}

/// The row kept for `pc`. Budget: three loads, one multiplication.
#[inline]
pub(super) fn get(pc: u64) -> Option<PackedRow> {
    let entry = entry(pc);
    let (row, key_and_row) = (entry.row.load(Relaxed), entry.key_and_row.load(Relaxed));
    (row != 0 && key_and_row ^ row == key(pc)).then(|| PackedRow::from_bits(row))
}

pub(super) fn put(pc: u64, row: PackedRow) {
    let entry = entry(pc);
    entry.row.store(row.to_bits(), Relaxed);
    entry.key_and_row.store(key(pc) ^ row.to_bits(), Relaxed);
}
