//! Floor 0, pure. Call frame information: from the registers inside a function to those of its
//! caller, by the `.eh_frame` tables of x86-64 ELF files.
//!
//! ```text
//!   pc --Table::row--> Row --------------------step--> the caller's registers
//!                       \--pack--> PackedRow --step--> the caller's pc, sp, fp
//! ```
//! A [`Row`] says everything and takes a search and an interpreter to find. A [`PackedRow`] is one
//! word, good for a cache, and exists for the shapes that nearly all code has.
//!
//! Sources: Linux Standard Base 5.0, chapter 10.6 (the tables); DWARF 5, chapter 6.4 (the rules);
//! System V ABI for AMD64, chapters 3.6 and 3.7 (the numbers of the registers).
//!
//! 1. Nothing here trusts the tables: every read is checked, every loop is bounded by the input.
//! 2. A pc is always one more than an address inside the instruction that matters, as a return
//!    address is. Where it is exact (a fault, an interrupted frame) the callers add 1.
#![forbid(unsafe_code)]

mod expression;
mod packed;
mod program;
mod reader;
mod table;

#[cfg(all(test, not(granule_loom)))]
mod tests;

pub(crate) use packed::{Frame, PackedRow};
pub(crate) use table::Table;

/// Registers the tables name: the sixteen general ones and the return address.
pub(crate) const REGISTERS: usize = 17;
/// rbx.
pub(crate) const BX: u8 = 3;
/// rbp, the frame pointer.
pub(crate) const FP: u8 = 6;
/// rsp, the stack pointer.
pub(crate) const SP: u8 = 7;
/// r12, the first of four that calls preserve.
pub(crate) const R12: u8 = 12;
/// The return address; in [`Registers`] the program counter.
pub(crate) const PC: u8 = 16;

/// The registers a function finds again after a call.
const PRESERVED: u32 = 1 << BX | 1 << FP | 1 << SP | 0b1111 << R12;

/// The registers of a frame, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registers {
    values: [u64; REGISTERS],
    known: u32,
}

impl Registers {
    /// The value of `register`, by its DWARF number.
    pub(crate) fn get(&self, register: u8) -> Option<u64> {
        let known = self.known.checked_shr(u32::from(register))? & 1 == 1;
        if known { self.values.get(usize::from(register)).copied() } else { None }
    }

    /// Makes `value` known. A register the tables cannot name is ignored.
    pub(crate) fn set(&mut self, register: u8, value: u64) {
        if let Some(slot) = self.values.get_mut(usize::from(register)) {
            *slot = value;
            self.known |= 1 << register;
        }
    }
}

/// Bytes of a table that hold an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code {
    at: u32,
    len: u32,
}

/// How to find the canonical frame address: the stack pointer of the caller after the return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cfa {
    /// No rule was given.
    Unknown,
    /// A register plus an offset.
    Offset(u8, i64),
    /// The value of an expression.
    Expression(Code),
}

/// How to find the value a register had in the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The table says nothing.
    Unspecified,
    /// It is lost.
    Undefined,
    /// It still has it.
    Same,
    /// In memory, at the CFA plus this.
    At(i32),
    /// It is the CFA plus this.
    Is(i32),
    /// In another register.
    In(u8),
    /// In memory, at the value of this expression, which starts with the CFA on its stack.
    AtExpression(Code),
    /// It is the value of such an expression.
    IsExpression(Code),
}

/// The rules of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    cfa: Cfa,
    registers: [Rule; REGISTERS],
}

/// The rules that hold at one pc.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    rules: Rules,
    table: Table<'a>,
    interrupted: bool,
}

/// What one step outwards found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step<T> {
    /// The caller.
    Caller(T),
    /// The table says that this frame has no caller.
    End,
    /// A register or a word of memory that the rules need is not available.
    Lost,
}

impl Row<'_> {
    /// True for the frame the kernel builds to call a signal handler: its caller was interrupted,
    /// so the caller's pc is exact, and its stack may be another one.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Applies the rules to the registers of this frame. Reads memory by `read` only.
    pub(crate) fn step(
        &self,
        registers: &Registers,
        read: impl Fn(u64) -> Option<u64>,
    ) -> Step<Registers> {
        if matches!(self.rules.registers[usize::from(PC)], Rule::Unspecified | Rule::Undefined) {
            return Step::End;
        }
        // An expression that names the return address means the address looked up (stubs do).
        let mut here = *registers;
        if let Some(pc) = here.get(PC) {
            here.set(PC, pc.wrapping_sub(1));
        }
        let Some(cfa) = self.cfa(&here, &read) else { return Step::Lost };
        let mut caller = Registers::default();
        caller.set(SP, cfa);
        for (register, &rule) in (0u8..).zip(&self.rules.registers) {
            if let Some(value) = self.value(register, rule, cfa, &here, &read) {
                caller.set(register, value);
            }
        }
        match caller.get(PC) {
            Some(pc) if self.interrupted => caller.set(PC, pc.wrapping_add(1)),
            Some(_) => {}
            None => return Step::Lost,
        }
        Step::Caller(caller)
    }

    fn cfa(&self, registers: &Registers, read: impl Fn(u64) -> Option<u64>) -> Option<u64> {
        match self.rules.cfa {
            Cfa::Unknown => None,
            Cfa::Offset(register, offset) => {
                Some(registers.get(register)?.wrapping_add_signed(offset))
            }
            Cfa::Expression(code) => {
                expression::evaluate(self.table.code(code)?, None, registers, read)
            }
        }
    }

    fn value(
        &self,
        register: u8,
        rule: Rule,
        cfa: u64,
        registers: &Registers,
        read: impl Fn(u64) -> Option<u64>,
    ) -> Option<u64> {
        let evaluate =
            |code| expression::evaluate(self.table.code(code)?, Some(cfa), registers, &read);
        match rule {
            Rule::Unspecified | Rule::Same if register == SP => None, // it is the CFA
            Rule::Unspecified if PRESERVED & (1 << register) == 0 => None,
            Rule::Unspecified | Rule::Same => registers.get(register),
            Rule::Undefined => None,
            Rule::At(offset) => read(cfa.wrapping_add_signed(i64::from(offset))),
            Rule::Is(offset) => Some(cfa.wrapping_add_signed(i64::from(offset))),
            Rule::In(other) => registers.get(other),
            Rule::AtExpression(code) => read(evaluate(code)?),
            Rule::IsExpression(code) => evaluate(code),
        }
    }
}
