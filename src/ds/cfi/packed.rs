//! Floor 0, pure. The row of nearly all code in one word.
//!
//! ```text
//!   63    56 55    48 47            32 31                              0
//!   |   0   | shape  | fp slot / 8    | offset                         |
//! ```
#![forbid(unsafe_code)]

use super::reader::Reader;
use super::{Cfa, Code, FP, PC, REGISTERS, Registers, Row, Rule, SP, Step, Table};

/// The part of [`Registers`] that a packed row needs and finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Where the frame will go on; see the second promise of the module.
    pub(crate) pc: u64,
    /// The stack pointer.
    pub(crate) sp: u64,
    /// The frame pointer, or whatever the program keeps in that register.
    pub(crate) fp: u64,
}

impl Frame {
    /// `None` unless all three are known.
    pub(crate) fn of(registers: &Registers) -> Option<Self> {
        let [pc, sp, fp] = [PC, SP, FP].map(|register| registers.get(register));
        Some(Frame { pc: pc?, sp: sp?, fp: fp? })
    }

    /// The same with all other registers unknown.
    pub(crate) fn registers(self) -> Registers {
        let mut registers = Registers::default();
        registers.set(PC, self.pc);
        registers.set(SP, self.sp);
        registers.set(FP, self.fp);
        registers
    }
}

/// A row of one of the common shapes: the return address lies under the CFA, and of the preserved
/// registers only the frame pointer matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackedRow(u64);

/// The CFA is sp + offset; the old fp, if saved, lies at the CFA + slot.
const FROM_SP: u64 = 1;
/// The CFA is fp + offset; the old fp, if saved, lies at the CFA + slot.
const FROM_FP: u64 = 2;
/// The CFA is the word at fp + offset; the old fp, if saved, lies at fp + slot. Functions that
/// realign their stack have it.
const AT_FP: u64 = 3;
/// There is no caller.
const END: u64 = 4;

/// In place of a slot: the frame pointer is still the caller's.
const KEPT: i16 = i16::MIN;

impl PackedRow {
    /// The word to keep in a cache; never 0.
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// The row of a word from [`PackedRow::to_bits`].
    pub(crate) fn from_bits(bits: u64) -> Self {
        PackedRow(bits)
    }

    fn new(shape: u64, offset: i64, slot: i16) -> Option<Self> {
        let offset = i32::try_from(offset).ok()?;
        Some(PackedRow(shape << 48 | u64::from(slot as u16) << 32 | u64::from(offset as u32)))
    }

    fn offset(self) -> i64 {
        i64::from(self.0 as i32)
    }

    /// Applies the row. Budget: two reads.
    #[inline]
    pub(crate) fn step(self, frame: Frame, read: impl Fn(u64) -> Option<u64>) -> Step<Frame> {
        let shape = self.0 >> 48;
        let cfa = match shape {
            FROM_SP => frame.sp.wrapping_add_signed(self.offset()),
            FROM_FP => frame.fp.wrapping_add_signed(self.offset()),
            AT_FP => match read(frame.fp.wrapping_add_signed(self.offset())) {
                Some(cfa) => cfa,
                None => return Step::Lost,
            },
            END => return Step::End,
            _ => return Step::Lost,
        };
        let slot = (self.0 >> 32) as i16;
        let base = if shape == AT_FP { frame.fp } else { cfa };
        let fp = match slot {
            KEPT => Some(frame.fp),
            slot => read(base.wrapping_add_signed(8 * i64::from(slot))),
        };
        match (read(cfa.wrapping_sub(8)), fp) {
            (Some(pc), Some(fp)) => Step::Caller(Frame { pc, sp: cfa, fp }),
            _ => Step::Lost,
        }
    }
}

impl Row<'_> {
    /// The row in one word, if it has one of the common shapes.
    pub(crate) fn pack(&self) -> Option<PackedRow> {
        let rules = &self.rules.registers;
        match rules[usize::from(PC)] {
            Rule::Unspecified | Rule::Undefined => return PackedRow::new(END, 0, KEPT),
            Rule::At(-8) if !self.interrupted => {}
            _ => return None,
        }
        if !matches!(rules[usize::from(SP)], Rule::Unspecified | Rule::Same | Rule::Is(0)) {
            return None;
        }
        let fp = rules[usize::from(FP)];
        match self.rules.cfa {
            Cfa::Offset(SP, offset) => PackedRow::new(FROM_SP, offset, slot_of(fp)?),
            Cfa::Offset(FP, offset) => PackedRow::new(FROM_FP, offset, slot_of(fp)?),
            Cfa::Expression(code) => {
                let offset = word_at_fp(&self.table, code)?;
                let slot = match fp {
                    Rule::AtExpression(code) => slot(address_at_fp(&self.table, code)?)?,
                    Rule::Unspecified | Rule::Same => KEPT,
                    _ => return None,
                };
                PackedRow::new(AT_FP, offset, slot)
            }
            Cfa::Offset(..) | Cfa::Unknown => None,
        }
    }
}

fn slot(offset: i64) -> Option<i16> {
    let slot = i16::try_from(offset / 8).ok()?;
    (offset % 8 == 0 && slot != KEPT).then_some(slot)
}

fn slot_of(rule: Rule) -> Option<i16> {
    match rule {
        Rule::Unspecified | Rule::Same => Some(KEPT),
        Rule::At(offset) => slot(i64::from(offset)),
        _ => None,
    }
}

/// The offset, if the expression is "fp + offset".
fn address_at_fp(table: &Table<'_>, code: Code) -> Option<i64> {
    let (offset, reader) = fp_plus_offset(table, code)?;
    reader.at_end().then_some(offset)
}

/// The offset, if the expression is "the word at fp + offset".
fn word_at_fp(table: &Table<'_>, code: Code) -> Option<i64> {
    let (offset, mut reader) = fp_plus_offset(table, code)?;
    let dereferences = reader.u8()? == 0x06;
    (dereferences && reader.at_end()).then_some(offset)
}

fn fp_plus_offset<'a>(table: &Table<'a>, code: Code) -> Option<(i64, Reader<'a>)> {
    let mut reader = Reader::new(table.code(code)?, 0);
    let is_fp = reader.u8()? == 0x70 + FP;
    let offset = reader.sleb()?;
    is_fp.then_some((offset, reader))
}

const _: () = assert!(REGISTERS == PC as usize + 1);
