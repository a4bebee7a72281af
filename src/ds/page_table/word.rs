//! Floor 0, pure. One entry of the page table: a value and what it is worth, in one word.
//!
//! ```text
//!   | tag:14 | generation:14 | mixed:1 | state:7 | owner:28 |
//! ```
#![forbid(unsafe_code)]

/// What the table knows about a page. `owner` is below [`OWNERS`], `state` below 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) owner: u32,
    pub(crate) state: u8,
}

impl Value {
    /// The value of a page that was never set.
    pub(crate) const NOBODYS: Value = Value { owner: 0, state: 0 };
}

/// Owners that fit an entry.
pub(crate) const OWNERS: u32 = 1 << OWNER_BITS;

const OWNER_BITS: u32 = 28;
const STATE_BITS: u32 = 7;
const MIXED: u64 = 1 << (OWNER_BITS + STATE_BITS);
const GENERATION_SHIFT: u32 = OWNER_BITS + STATE_BITS + 1;
const GENERATION_BITS: u32 = 14;
const TAG_SHIFT: u32 = GENERATION_SHIFT + GENERATION_BITS;
const GENERATION_MAX: u64 = (1 << GENERATION_BITS) - 1;
const GENERATION: u64 = GENERATION_MAX << GENERATION_SHIFT;

/// An entry. All zero is the beginning: nobody's, and older than every generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

impl Word {
    /// An entry that speaks for all its pages, under a parent of generation `tag`.
    pub(super) const fn plain(value: Value, tag: u64, generation: u64) -> Self {
        let value = value.owner as u64 | (value.state as u64) << OWNER_BITS;
        Word(value | generation << GENERATION_SHIFT | tag << TAG_SHIFT)
    }

    /// The value, as the bits that it has in every word.
    pub(super) const fn bits(self) -> Bits {
        Bits(self.0 & (MIXED - 1))
    }

    /// What an entry under the parent `above` says, and whether the entries below may say more.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) const fn under(self, above: Word) -> (Bits, bool) {
        if self.tag() == above.generation() {
            (self.bits(), self.is_mixed())
        } else {
            (above.bits(), false)
        }
    }

    /// An entry that counts under `above` and has this value.
    pub(super) const fn counting(bits: Bits, above: Word) -> Self {
        Word(bits.0 | above.generation() << TAG_SHIFT)
    }

    /// The bits in which two entries differ.
    pub(super) const fn differing(self, other: Word) -> u64 {
        self.0 ^ other.0
    }

    /// Whether the entry, which stands under `above`, says `bits` for all its pages.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn says(self, bits: Bits, above: Word) -> bool {
        let differing = self.differing(Word::counting(bits, above));
        // If it does not count it says what its parent says.
        !has_meaning(differing) || differing >> TAG_SHIFT != 0 && above.bits() == bits
    }

    /// Whether the entry counts under `above`, and the entries below it may say more.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) const fn is_mixed_under(self, above: Word) -> bool {
        self.tag() == above.generation() && self.is_mixed()
    }

    /// Whether the entries below may differ from this one.
    pub(super) const fn is_mixed(self) -> bool {
        self.0 & MIXED != 0
    }

    /// The number that makes the entries below count: theirs is the same.
    pub(super) const fn generation(self) -> u64 {
        (self.0 >> GENERATION_SHIFT) & GENERATION_MAX
    }

    /// The parent's generation that this entry was written under; 0: none.
    pub(super) const fn tag(self) -> u64 {
        self.0 >> TAG_SHIFT
    }

    /// The same entry, from now on with entries below. A generation of 0 would let unwritten ones
    /// count.
    pub(super) const fn mixed(self) -> Self {
        let first = if self.generation() == 0 { 1 << GENERATION_SHIFT } else { 0 };
        Word(self.0 | MIXED | first)
    }

    /// The same entry, counting under no parent.
    pub(super) const fn without_tag(self) -> Self {
        Word(self.0 & ((1 << TAG_SHIFT) - 1))
    }
}

/// A value in the bits that it has in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bits(u64);

impl Bits {
    /// What is looked for if any value will do.
    pub(super) const ANY: Bits = Bits(u64::MAX);

    /// True if it is what is looked for.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn is(self, wanted: Bits) -> bool {
        self == wanted || wanted == Bits::ANY
    }

    pub(super) const fn value(self) -> Value {
        let state = (self.0 >> OWNER_BITS) & ((1 << STATE_BITS) - 1);
        Value { owner: (self.0 & (OWNERS as u64 - 1)) as u32, state: state as u8 }
    }
}

/// False if two entries that differ in these bits say the same of their pages: their own
/// generations do not matter.
pub(super) const fn has_meaning(differing: u64) -> bool {
    differing & !GENERATION != 0
}

/// 1, 2, .. and after the last one 1 again.
pub(super) const fn next_generation(generation: u64) -> u64 {
    if generation == GENERATION_MAX { 1 } else { generation + 1 }
}
