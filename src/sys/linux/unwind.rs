//! Floor 1. The call stack on Linux, without allocating, locking or calling an unwinder library.
//!
//! ```text
//!   capture: pc --> row cache --hit--> packed row ----------> caller's pc, sp, fp --> again
//!                       | miss                                      ^
//!                       v                                           |
//!                  module of pc --> .eh_frame row --(pack, keep)----+
//!                       | none
//!                       v
//!                  the frame pointer, if it looks like one
//! ```
//! 1. Memory of the stack is read by [`probe_read`] only: a wrong address ends the walk, provided
//!    that the handler of SIGSEGV and SIGBUS asks [`probe_fixup`] first and, as it walks stacks
//!    itself, does not block these two while it runs (SA_NODEFER).
//! 2. Every address given out is one more than an address inside the instruction that matters, as a
//!    return address is; for a fault or an interrupted frame that is its pc + 1. So whoever looks
//!    one up subtracts 1, always.
//! 3. A walk goes up the stack: each frame lies above the last one, by less than 16 MiB. Only a
//!    frame interrupted by a signal may lie elsewhere.

mod cache;
mod probe;
mod registers;
mod tables;

#[cfg(test)]
mod tests;

pub(crate) use cache::forget;
pub(crate) use probe::{probe_fixup, probe_read};
pub(crate) use registers::Registers;
pub(crate) use tables::module_offset;

use crate::ds::cfi::{self, FP, Frame, PC, SP, Step};

/// The largest step from one frame to the next, in bytes.
const FRAME_LEN_MAX: u64 = 16 << 20;

/// Bytes of an instruction; every pc below is an address no program runs at.
const PC_MIN: u64 = 4096;

/// True where modules carry unwind tables that this file can read. Elsewhere frame pointers do.
const TABLES: bool = cfg!(target_arch = "x86_64");

/// True where a call leaves its return address on the stack, and not in a register.
const CALLS_PUSH: bool = cfg!(target_arch = "x86_64");

/// Writes the call stack that starts at `start` to `out`, innermost frame first, and returns how
/// many addresses it wrote. What the first one is, the constructors of [`Registers`] say.
///
/// May be called anywhere: in `malloc`, in a signal handler, with a damaged stack. Allocates
/// nothing, takes no lock, leaves `errno` alone. (With a C library that has no `_dl_find_object`,
/// glibc before 2.35, finding a module takes the lock of its loader.)
pub(crate) fn capture(start: &Registers, out: &mut [u64]) -> usize {
    let mut walk = Walk { out, len: 0, lost: false };
    walk.run(start, false);
    if walk.lost {
        // Rare: a rule asked for a register that packed rows do not follow.
        walk.len = 0;
        walk.run(start, true);
    }
    walk.len
}

/// A walk under way.
struct Walk<'a> {
    out: &'a mut [u64],
    len: usize,
    /// A register that the rules needed is unknown because a packed row forgot it.
    lost: bool,
}

impl Walk<'_> {
    /// Walks from `start`; `thorough` follows all registers, by the tables themselves.
    fn run(&mut self, start: &Registers, thorough: bool) {
        let mut registers = start.values;
        let mut forgot = false;
        if let Some(pc) = registers.get(PC).filter(|_| start.gives_pc) {
            self.put(pc);
        }
        if let Some(caller) = start.link.and_then(|link| caller_by_link(&registers, link)) {
            self.put(caller);
        }
        while self.len < self.out.len() {
            if TABLES && !thorough {
                let Some(frame) = Frame::of(&registers) else { return };
                let after = match self.run_cached(frame) {
                    Some(after) => after,
                    None => return,
                };
                if after != frame {
                    registers = after.registers();
                    forgot = true;
                }
            }
            if self.len == self.out.len() {
                return;
            }
            match step(&registers, !thorough) {
                Step::Caller(caller) => registers = caller,
                Step::End => return,
                Step::Lost => {
                    self.lost = forgot && !thorough;
                    return;
                }
            }
            match registers.get(PC) {
                Some(pc) if pc >= PC_MIN => self.put(pc),
                _ => return,
            }
        }
    }

    /// Walks on as long as the cache has the rows. `None` where the stack ends.
    fn run_cached(&mut self, mut frame: Frame) -> Option<Frame> {
        while self.len < self.out.len() {
            let Some(row) = cache::get(frame.pc) else { break };
            let Step::Caller(caller) = row.step(frame, probe_read) else { return None };
            if !is_above(caller.sp, frame.sp) || caller.pc < PC_MIN {
                return None;
            }
            frame = caller;
            self.put(frame.pc);
        }
        Some(frame)
    }

    fn put(&mut self, pc: u64) {
        if let Some(slot) = self.out.get_mut(self.len) {
            *slot = pc;
            self.len += 1;
        }
    }
}

/// The third promise of the module.
fn is_above(caller_sp: u64, sp: u64) -> bool {
    caller_sp.is_multiple_of(8) && (1..FRAME_LEN_MAX).contains(&caller_sp.wrapping_sub(sp))
}

/// One step outwards, by the tables, or without them; `keep` puts what was found into the cache.
fn step(registers: &cfi::Registers, keep: bool) -> Step<cfi::Registers> {
    let Some(pc) = registers.get(PC) else { return Step::Lost };
    let by_table = if TABLES { by_table(pc, registers, keep) } else { None };
    by_table.unwrap_or_else(|| without_table(pc, registers).map_or(Step::End, Step::Caller))
}

/// `None` if no table covers the pc.
fn by_table(pc: u64, registers: &cfi::Registers, keep: bool) -> Option<Step<cfi::Registers>> {
    tables::with_row(pc, |row| {
        if let Some(packed) = row.pack().filter(|_| keep) {
            cache::put(pc, packed);
        }
        let step = row.step(registers, probe_read);
        match (&step, registers.get(SP)) {
            (Step::Caller(caller), Some(sp)) if !row.is_interrupted() => {
                let above = caller.get(SP).is_some_and(|caller_sp| is_above(caller_sp, sp));
                if above { step } else { Step::End }
            }
            _ => step,
        }
    })
}

/// The return address in the link register, if the frame pointer does not know of it: the function
/// has made no frame yet, or makes none because it calls nobody, or is no code at all. A function
/// that has called somebody finds an address of its own there.
fn caller_by_link(registers: &cfi::Registers, link: u64) -> Option<u64> {
    let (pc, fp) = (registers.get(PC)?.wrapping_sub(1), registers.get(FP)?);
    let is_outside = match tables::function_of(pc) {
        Some(function) => !function.contains(&link.wrapping_sub(1)),
        None => probe_read(pc).is_none(),
    };
    let saved = probe_read(fp.wrapping_add(8)).map(registers::without_signature);
    (is_outside && saved != Some(link) && tables::is_code(link)).then_some(link)
}

/// Code that has no table: generated by the program, hand-written, or not code at all.
fn without_table(pc: u64, registers: &cfi::Registers) -> Option<cfi::Registers> {
    let sp = registers.get(SP)?;
    if CALLS_PUSH && probe_read(pc.wrapping_sub(1)).is_none() {
        return after_wild_call(sp, registers.get(FP));
    }
    by_frame_pointer(sp, registers.get(FP)?)
}

/// A call to an address that is no code has pushed its return address and done nothing else.
fn after_wild_call(sp: u64, fp: Option<u64>) -> Option<cfi::Registers> {
    let pc = probe_read(sp)?;
    if !tables::is_code(pc) {
        return None;
    }
    Some(Frame { pc, sp: sp.wrapping_add(8), fp: fp? }.registers())
}

/// The frame that `fp` points to, if it looks like one: above the stack pointer, aligned, and its
/// return address lies in a module.
fn by_frame_pointer(sp: u64, fp: u64) -> Option<cfi::Registers> {
    let caller_sp = fp.wrapping_add(16);
    if !is_above(caller_sp, sp) {
        return None;
    }
    let (caller_fp, pc) = (probe_read(fp)?, probe_read(fp.wrapping_add(8))?);
    let pc = registers::without_signature(pc);
    tables::is_code(pc).then(|| Frame { pc, sp: caller_sp, fp: caller_fp }.registers())
}
