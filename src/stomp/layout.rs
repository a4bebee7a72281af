//! Floor 4, pure. Where blocks live: banks, zones, slots, and the place of a block in its slot.
//!
//! ```text
//! region | zone of class 0         | zone of class 1 | ...            (one bank; there are two)
//! zone   | guard | slot 0 | slot 1 | ...
//! slot   | ........ pages of the block ........ | guard |             (`stride` pages in all)
//! ```
//! A slot has room for one block. Its last page is never accessible, the page before a zone's first
//! slot neither, and of the other pages only the block's own ones are, and only while it lives. So
//! a block always lies between inaccessible pages, and an address says by arithmetic which slot it
//! is in.
//!
//! Bank 0 is guarded. Bank 1 has the same shape and takes the blocks that the system will not let
//! us guard: its pages are always accessible.
#![forbid(unsafe_code)]

use super::options::Placement;
use core::ops::Range;

/// Zones of one bank. Class strides grow by a quarter of a power of two.
pub(crate) const CLASSES: usize = 98;

/// Which of the two halves of the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bank {
    /// Blocks between inaccessible pages.
    Guarded = 0,
    /// Blocks beyond the system's limit of guards.
    Plain = 1,
}

impl Bank {
    pub(crate) const ALL: [Bank; 2] = [Bank::Guarded, Bank::Plain];
}

/// The stride of a class in pages, guard included: 2, 3, .. 8, 10, 12, 14, 16, 20, ..
const fn stride_pages(class: usize) -> usize {
    if class < 7 {
        return class + 2;
    }
    let (exponent, step) = ((class - 7) / 4 + 3, (class - 7) % 4 + 1);
    (1 << exponent) + (step << (exponent - 2))
}

/// The smallest class whose stride is at least `pages`.
const fn class_for(pages: usize) -> usize {
    if pages <= 8 {
        return pages.saturating_sub(2);
    }
    let exponent = (pages - 1).ilog2() as usize;
    let step = (pages - (1 << exponent)).div_ceil(1 << (exponent - 2));
    7 + (exponent - 3) * 4 + step - 1
}

/// One slot of the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotId {
    pub(crate) bank: Bank,
    pub(crate) class: usize,
    pub(crate) index: usize,
}

impl SlotId {
    /// The slot as one number that is not 0.
    pub(crate) fn to_bits(self) -> u64 {
        1 << 63 | (self.bank as u64) << 62 | (self.class as u64) << 48 | self.index as u64
    }

    pub(crate) fn from_bits(bits: u64) -> SlotId {
        SlotId {
            bank: Bank::ALL[(bits >> 62 & 1) as usize],
            class: (bits >> 48 & 0x3fff) as usize,
            index: (bits & 0xffff_ffff_ffff) as usize,
        }
    }
}

/// The arithmetic of one region; addresses are offsets from its base.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    page_shift: u32,
    zone_shift: u32,
}

impl Layout {
    /// A region of pages of `page_len` bytes and zones of `zone_len` bytes, both powers of two.
    pub(crate) const fn new(page_len: usize, zone_len: usize) -> Self {
        Layout { page_shift: page_len.ilog2(), zone_shift: zone_len.ilog2() }
    }

    pub(crate) const fn page_len(&self) -> usize {
        1 << self.page_shift
    }

    pub(crate) const fn zone_len(&self) -> usize {
        1 << self.zone_shift
    }

    /// Bytes of both banks.
    pub(crate) const fn region_len(&self) -> usize {
        (2 * CLASSES) << self.zone_shift
    }

    /// The bytes of a bank in the region.
    pub(crate) const fn bank_range(&self, bank: Bank) -> Range<usize> {
        let start = (bank as usize * CLASSES) << self.zone_shift;
        start..start + (CLASSES << self.zone_shift)
    }

    pub(crate) const fn stride_pages(&self, class: usize) -> usize {
        stride_pages(class)
    }

    pub(crate) const fn stride(&self, class: usize) -> usize {
        stride_pages(class) << self.page_shift
    }

    /// Slots of a class; 0 for classes too big for this region.
    pub(crate) const fn slots(&self, class: usize) -> usize {
        (self.zone_len() - self.page_len()) / self.stride(class)
    }

    /// First byte of a slot.
    pub(crate) const fn slot_start(&self, slot: SlotId) -> usize {
        let zone = (slot.bank as usize * CLASSES + slot.class) << self.zone_shift;
        zone + self.page_len() + slot.index * self.stride(slot.class)
    }

    /// All bytes of a slot.
    pub(crate) const fn slot_range(&self, slot: SlotId) -> Range<usize> {
        let start = self.slot_start(slot);
        start..start + self.stride(slot.class)
    }

    /// The slot an offset lies in. A zone's first page belongs to its slot 0. `None` behind the
    /// last slot of a zone.
    pub(crate) fn slot_at(&self, offset: usize) -> Option<SlotId> {
        let zone = offset >> self.zone_shift;
        let bank = *Bank::ALL.get(zone / CLASSES)?;
        let class = zone % CLASSES;
        let within = (offset & (self.zone_len() - 1)).saturating_sub(self.page_len());
        let index = within / self.stride(class);
        (index < self.slots(class)).then_some(SlotId { bank, class, index })
    }

    /// The class for a block; `None` if no slot is long enough.
    pub(crate) fn class_of(&self, size: usize, align: usize) -> Option<usize> {
        let page_len = self.page_len();
        let room = if align > page_len { align } else { 0 };
        let bytes = size.checked_add(room)?.checked_add(page_len)?;
        let pages = bytes.div_ceil(page_len).max(2);
        if pages > self.zone_len() >> self.page_shift {
            return None;
        }
        let class = class_for(pages);
        (class < CLASSES && self.slots(class) > 0).then_some(class)
    }

    /// Where a block starts in its slot. `align` is a power of two, the class is that of
    /// `class_of`.
    pub(crate) fn block_start(
        &self,
        slot: SlotId,
        size: usize,
        align: usize,
        placement: Placement,
    ) -> usize {
        let slot_range = self.slot_range(slot);
        match placement {
            Placement::End => {
                let guard = slot_range.end - self.page_len();
                (guard - size) & !(align - 1)
            }
            Placement::Start => slot_range.start.next_multiple_of(align),
        }
    }

    /// The whole pages that hold a block: what is accessible while it lives. Empty for size 0.
    pub(crate) fn pages_of(&self, block: Range<usize>) -> Range<usize> {
        let mask = self.page_len() - 1;
        if block.is_empty() {
            return block.start & !mask..block.start & !mask;
        }
        block.start & !mask..block.end.next_multiple_of(self.page_len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LAYOUT: Layout = Layout::new(4096, 1 << 38);

    #[test]
    fn strides_grow_by_at_most_a_quarter() {
        assert_eq!([0, 1, 6, 7, 8, 11, 14].map(stride_pages), [2, 3, 8, 10, 12, 20, 32]);
        for class in 0..CLASSES - 1 {
            let (this, next) = (stride_pages(class), stride_pages(class + 1));
            assert!(this < next && (this < 8 || next * 4 <= this * 5), "class {class}");
            assert_eq!(class_for(this), class);
            assert_eq!(class_for(this + 1), class + 1);
        }
    }

    #[test]
    fn the_largest_class_fits_its_zone() {
        let largest = (0..CLASSES).rev().find(|&class| LAYOUT.slots(class) > 0);
        assert_eq!(largest, Some(CLASSES - 1));
        assert_eq!(LAYOUT.class_of(usize::MAX, 16), None);
        assert_eq!(LAYOUT.class_of(1 << 38, 16), None);
        assert!(LAYOUT.class_of(200 << 30, 16).is_some());
    }

    fn any_block() -> impl Strategy<Value = (usize, usize)> {
        let size = prop_oneof![0usize..70_000, 0usize..(1 << 30)];
        (size, 0u32..22).prop_map(|(size, shift)| (size, 1 << shift))
    }

    proptest! {
        #[test]
        fn a_block_lies_between_inaccessible_pages(
            (size, align) in any_block(),
            index in 0usize..1000,
            bank in prop::sample::select(Bank::ALL.to_vec()),
            placement in prop::sample::select(vec![Placement::End, Placement::Start]),
        ) {
            let class = LAYOUT.class_of(size, align).expect("small enough");
            let slot = SlotId { bank, class, index: index % LAYOUT.slots(class) };
            prop_assert_eq!(SlotId::from_bits(slot.to_bits()), slot);
            let start = LAYOUT.block_start(slot, size, align, placement);
            let (pages, range) = (LAYOUT.pages_of(start..start + size), LAYOUT.slot_range(slot));
            prop_assert_eq!(start % align, 0);
            prop_assert!(pages.start >= range.start);
            prop_assert!(pages.end <= range.end - LAYOUT.page_len());
            prop_assert_eq!(LAYOUT.slot_at(start), Some(slot));
            let slack = match placement {
                Placement::End => pages.end - (start + size),
                Placement::Start => start - pages.start,
            };
            prop_assert!(size == 0 || slack < align.min(LAYOUT.page_len()));
        }

        #[test]
        fn every_address_of_a_slot_finds_it(
            class in 0usize..CLASSES, index in 0usize..5000, at in 0.0f64..1.0,
        ) {
            let slot = SlotId { bank: Bank::Guarded, class, index: index % LAYOUT.slots(class) };
            let range = LAYOUT.slot_range(slot);
            let offset = range.start + ((range.len() - 1) as f64 * at) as usize;
            prop_assert_eq!(LAYOUT.slot_at(offset), Some(slot));
        }
    }
}
