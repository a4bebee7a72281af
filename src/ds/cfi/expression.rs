//! Floor 0, pure. Evaluates the DWARF expressions that unwind tables use.
//!
//! They appear in linkage stubs, in functions that realign their stack, and in the frame the kernel
//! builds for a signal. Numbers of the operations: DWARF 5, section 7.7.1.
#![forbid(unsafe_code)]

use super::Registers;
use super::reader::Reader;

/// Values on the stack at once.
const DEPTH: usize = 16;

/// Operations in one evaluation: a loop written by a hostile table must end.
const STEPS: usize = 256;

#[derive(Default)]
struct Stack {
    values: [u64; DEPTH],
    len: usize,
}

impl Stack {
    fn push(&mut self, value: u64) -> Option<()> {
        *self.values.get_mut(self.len)? = value;
        self.len += 1;
        Some(())
    }

    fn pop(&mut self) -> Option<u64> {
        self.len = self.len.checked_sub(1)?;
        Some(self.values[self.len])
    }

    /// The value `depth` below the top.
    fn peek(&self, depth: usize) -> Option<u64> {
        let index = self.len.checked_sub(depth.checked_add(1)?)?;
        Some(self.values[index])
    }
}

/// Evaluates `code` with `first` on the stack and returns what is left on top. `None` if an
/// operation, a register or a word of memory is not available.
pub(super) fn evaluate(
    code: &[u8],
    first: Option<u64>,
    registers: &Registers,
    read: impl Fn(u64) -> Option<u64>,
) -> Option<u64> {
    let mut stack = Stack::default();
    if let Some(first) = first {
        stack.push(first)?;
    }
    let mut reader = Reader::new(code, 0);
    for _ in 0..STEPS {
        if reader.at_end() {
            return stack.pop();
        }
        let operation = reader.u8()?;
        match operation {
            0x06 => {
                let address = stack.pop()?;
                stack.push(read(address)?)?;
            }
            0x94 => {
                let len = reader.u8().filter(|len| (1..=8).contains(len))?;
                let address = stack.pop()?;
                stack.push(read(address)? & (u64::MAX >> (64 - 8 * u32::from(len))))?;
            }
            0x70..=0x8f => {
                let base = registers.get(operation - 0x70)?;
                stack.push(base.wrapping_add_signed(reader.sleb()?))?;
            }
            0x92 => {
                let base = registers.get(u8::try_from(reader.uleb()?).ok()?)?;
                stack.push(base.wrapping_add_signed(reader.sleb()?))?;
            }
            0x28 | 0x2f => {
                let distance = reader.u16()? as i16;
                if operation == 0x2f || stack.pop()? != 0 {
                    reader.seek(reader.position().checked_add_signed(isize::from(distance))?);
                }
            }
            _ => arithmetic(operation, &mut reader, &mut stack)?,
        }
    }
    None
}

/// The operations that touch only the stack.
fn arithmetic(operation: u8, reader: &mut Reader<'_>, stack: &mut Stack) -> Option<()> {
    if let Some(value) = constant(operation, reader) {
        return stack.push(value);
    }
    match operation {
        0x12 => stack.push(stack.peek(0)?),
        0x13 => stack.pop().map(drop),
        0x14 => stack.push(stack.peek(1)?),
        0x15 => stack.push(stack.peek(usize::from(reader.u8()?))?),
        0x16 => {
            let (top, second) = (stack.pop()?, stack.pop()?);
            stack.push(top)?;
            stack.push(second)
        }
        0x17 => {
            let (top, second, third) = (stack.pop()?, stack.pop()?, stack.pop()?);
            stack.push(top)?;
            stack.push(third)?;
            stack.push(second)
        }
        0x19 | 0x1f | 0x20 | 0x23 => {
            let value = stack.pop()?;
            stack.push(match operation {
                0x19 => (value as i64).unsigned_abs(),
                0x1f => value.wrapping_neg(),
                0x20 => !value,
                _ => value.wrapping_add(reader.uleb()?),
            })
        }
        0x96 => Some(()),
        _ => {
            let (right, left) = (stack.pop()?, stack.pop()?);
            stack.push(binary(operation, left, right)?)
        }
    }
}

fn constant(operation: u8, reader: &mut Reader<'_>) -> Option<u64> {
    match operation {
        0x30..=0x4f => Some(u64::from(operation - 0x30)),
        0x03 | 0x0e | 0x0f => reader.u64(),
        0x08 => reader.u8().map(u64::from),
        0x09 => reader.u8().map(|value| value as i8 as u64),
        0x0a => reader.u16().map(u64::from),
        0x0b => reader.u16().map(|value| value as i16 as u64),
        0x0c => reader.u32().map(u64::from),
        0x0d => reader.u32().map(|value| value as i32 as u64),
        0x10 => reader.uleb(),
        0x11 => reader.sleb().map(|value| value as u64),
        _ => None,
    }
}

fn binary(operation: u8, left: u64, right: u64) -> Option<u64> {
    let (signed_left, signed_right) = (left as i64, right as i64);
    let shift = u32::try_from(right).ok().filter(|&shift| shift < 64);
    Some(match operation {
        0x1a => left & right,
        0x1b => signed_left.checked_div(signed_right)? as u64,
        0x1c => left.wrapping_sub(right),
        0x1d => left.checked_rem(right)?,
        0x1e => left.wrapping_mul(right),
        0x21 => left | right,
        0x22 => left.wrapping_add(right),
        0x24 => shift.map_or(0, |shift| left << shift),
        0x25 => shift.map_or(0, |shift| left >> shift),
        0x26 => (signed_left >> shift.unwrap_or(63)) as u64,
        0x27 => left ^ right,
        0x29 => u64::from(left == right),
        0x2a => u64::from(signed_left >= signed_right),
        0x2b => u64::from(signed_left > signed_right),
        0x2c => u64::from(signed_left <= signed_right),
        0x2d => u64::from(signed_left < signed_right),
        0x2e => u64::from(left != right),
        _ => return None,
    })
}
