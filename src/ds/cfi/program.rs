//! Floor 0, pure. Runs the instructions of an entry up to an address.
//!
//! Numbers of the instructions: DWARF 5, section 7.24; those from 0x2d on are GNU's.
#![forbid(unsafe_code)]

use super::reader::Reader;
use super::table::{Common, Entry};
use super::{Cfa, Code, REGISTERS, Rule, Rules};

/// Rules that can be remembered at once. Compilers nest one or two.
const REMEMBERED: usize = 4;

struct Machine<'a> {
    common: Common<'a>,
    /// Where the rules hold.
    location: u64,
    rules: Rules,
    /// The rules after the instructions of the common entry.
    initial: Rules,
    remembered: [Rules; REMEMBERED],
    depth: usize,
}

const NO_RULES: Rules = Rules { cfa: Cfa::Unknown, registers: [Rule::Unspecified; REGISTERS] };

/// The rules of `entry` at `address`.
pub(super) fn run(entry: &Entry<'_>, address: u64) -> Option<Rules> {
    let mut machine = Machine {
        common: entry.common,
        location: entry.start,
        rules: NO_RULES,
        initial: NO_RULES,
        remembered: [NO_RULES; REMEMBERED],
        depth: 0,
    };
    machine.run(entry.common.instructions, address)?;
    machine.initial = machine.rules;
    machine.run(entry.instructions, address)?;
    Some(machine.rules)
}

impl Machine<'_> {
    fn run(&mut self, mut reader: Reader<'_>, address: u64) -> Option<()> {
        while !reader.at_end() {
            let instruction = reader.u8()?;
            let low = instruction & 0x3f;
            match instruction >> 6 {
                1 => self.advance(u64::from(low)),
                2 => {
                    let offset = self.scaled(reader.uleb()?)?;
                    self.set(low, Rule::At(offset));
                }
                3 => self.restore(low),
                _ if self.place(low, &mut reader)?.is_some() => {}
                _ => self.rule(low, &mut reader)?,
            }
            if self.location > address {
                break;
            }
        }
        Some(())
    }

    fn advance(&mut self, count: u64) {
        let distance = count.wrapping_mul(self.common.code_align);
        self.location = self.location.saturating_add(distance);
    }

    /// An offset written as a multiple of the data alignment.
    fn scaled(&self, factor: u64) -> Option<i32> {
        i32::try_from((factor as i64).checked_mul(self.common.data_align)?).ok()
    }

    fn scaled_signed(&self, factor: i64) -> Option<i64> {
        factor.checked_mul(self.common.data_align)
    }

    /// Registers beyond ours (vectors, masks) do not matter for walking.
    fn set(&mut self, register: u8, rule: Rule) {
        if let Some(slot) = self.rules.registers.get_mut(usize::from(register)) {
            *slot = rule;
        }
    }

    fn restore(&mut self, register: u8) {
        if let Some(&rule) = self.initial.registers.get(usize::from(register)) {
            self.set(register, rule);
        }
    }

    /// The instructions about places and whole sets of rules. `Some(None)`: it is none of them.
    fn place(&mut self, code: u8, reader: &mut Reader<'_>) -> Option<Option<()>> {
        match code {
            0x00 => {}
            0x02 => self.advance(u64::from(reader.u8()?)),
            0x03 => self.advance(u64::from(reader.u16()?)),
            0x04 => self.advance(u64::from(reader.u32()?)),
            0x1d => self.advance(reader.u64()?),
            0x0a => {
                *self.remembered.get_mut(self.depth)? = self.rules;
                self.depth += 1;
            }
            0x0b => {
                self.depth = self.depth.checked_sub(1)?;
                self.rules = self.remembered[self.depth];
            }
            0x2e => drop(reader.uleb()?), // bytes of arguments: exceptions need them, we do not
            _ => return Some(None),
        }
        Some(Some(()))
    }

    /// The instructions that give one rule.
    fn rule(&mut self, code: u8, reader: &mut Reader<'_>) -> Option<()> {
        match code {
            0x0c => {
                let register = register(reader)?;
                self.rules.cfa = Cfa::Offset(register, i64::try_from(reader.uleb()?).ok()?);
            }
            0x12 => {
                let register = register(reader)?;
                self.rules.cfa = Cfa::Offset(register, self.scaled_signed(reader.sleb()?)?);
            }
            0x0d => {
                let register = register(reader)?;
                let Cfa::Offset(_, offset) = self.rules.cfa else { return None };
                self.rules.cfa = Cfa::Offset(register, offset);
            }
            0x0e | 0x13 => {
                let Cfa::Offset(register, _) = self.rules.cfa else { return None };
                let offset = if code == 0x0e {
                    i64::try_from(reader.uleb()?).ok()?
                } else {
                    self.scaled_signed(reader.sleb()?)?
                };
                self.rules.cfa = Cfa::Offset(register, offset);
            }
            0x0f => self.rules.cfa = Cfa::Expression(expression(reader)?),
            _ => return self.register_rule(code, reader),
        }
        Some(())
    }

    fn register_rule(&mut self, code: u8, reader: &mut Reader<'_>) -> Option<()> {
        let register = register(reader)?;
        let rule = match code {
            0x05 => Rule::At(self.scaled(reader.uleb()?)?),
            0x06 => {
                self.restore(register);
                return Some(());
            }
            0x07 => Rule::Undefined,
            0x08 => Rule::Same,
            0x09 => Rule::In(self::register(reader)?),
            0x10 => Rule::AtExpression(expression(reader)?),
            0x11 => Rule::At(i32::try_from(self.scaled_signed(reader.sleb()?)?).ok()?),
            0x14 => Rule::Is(self.scaled(reader.uleb()?)?),
            0x15 => Rule::Is(i32::try_from(self.scaled_signed(reader.sleb()?)?).ok()?),
            0x16 => Rule::IsExpression(expression(reader)?),
            0x2f => Rule::At(self.scaled(reader.uleb()?)?.checked_neg()?),
            _ => return None,
        };
        self.set(register, rule);
        Some(())
    }
}

/// A register's number; all that a byte cannot hold are the same to us.
fn register(reader: &mut Reader<'_>) -> Option<u8> {
    reader.uleb().map(|number| u8::try_from(number).unwrap_or(u8::MAX))
}

/// A length and that many bytes; leaves the reader after them.
fn expression(reader: &mut Reader<'_>) -> Option<Code> {
    let len = u32::try_from(reader.uleb()?).ok()?;
    let at = u32::try_from(reader.position()).ok()?;
    reader.take(len as usize)?;
    Some(Code { at, len })
}
