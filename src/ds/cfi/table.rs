//! Floor 0, pure. Finds the entry of a pc and parses it.
#![forbid(unsafe_code)]

use super::reader::Reader;
use super::{Code, PC, Row, program};
use core::ops::Range;

/// The unwind tables of one module: the bytes of the mapping that holds `.eh_frame_hdr` and
/// `.eh_frame`, where they lie in memory, and where in them `.eh_frame_hdr` starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table<'a> {
    bytes: &'a [u8],
    address: u64,
    header: u64,
}

/// What an entry inherits from its common information entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common<'a> {
    /// The register of return addresses.
    return_address: u64,
    /// Scale of advances.
    pub(super) code_align: u64,
    /// Scale of offsets.
    pub(super) data_align: i64,
    /// How its functions' addresses are written.
    encoding: u8,
    /// True when its functions are frames of interrupted code.
    interrupted: bool,
    /// True when its entries carry a length of augmentation data.
    augmented: bool,
    /// The instructions that come before those of every entry.
    pub(super) instructions: Reader<'a>,
}

/// The entry of a function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) common: Common<'a>,
    /// First address.
    pub(super) start: u64,
    /// First address after it.
    end: u64,
    pub(super) instructions: Reader<'a>,
}

/// One length-prefixed record of `.eh_frame`.
struct Record {
    /// Position of the number that says what it is.
    kind: usize,
    /// First position after it.
    end: usize,
}

/// Pointer encodings: the format in the low four bits, what it is relative to in the next three.
const OMITTED: u8 = 0xff;
const ABSOLUTE: u8 = 0x00;
/// Relative to the header, signed, four bytes: the only table that linkers write.
const SEARCHABLE: u8 = 0x3b;

impl<'a> Table<'a> {
    /// `bytes` lie at `address`; `header` is the address of `.eh_frame_hdr` inside them.
    pub(crate) fn new(bytes: &'a [u8], address: u64, header: u64) -> Self {
        Table { bytes, address, header }
    }

    /// The bytes of an expression.
    pub(super) fn code(&self, code: Code) -> Option<&'a [u8]> {
        let start = code.at as usize;
        self.bytes.get(start..start.checked_add(code.len as usize)?)
    }

    /// The rules at `pc`, by the second promise of the module: those of the address `pc - 1`.
    /// `None` if no entry covers it or the table cannot be read.
    pub(crate) fn row(&self, pc: u64) -> Option<Row<'a>> {
        let address = pc.checked_sub(1)?;
        let entry = self.entry(address)?;
        if entry.common.return_address != u64::from(PC) {
            return None; // the table of another processor
        }
        let rules = program::run(&entry, address)?;
        Some(Row { rules, table: *self, interrupted: entry.common.interrupted })
    }

    /// The function that has `address`, whatever the processor. `None` if no entry covers it.
    pub(crate) fn function(&self, address: u64) -> Option<Range<u64>> {
        self.entry(address).map(|entry| entry.start..entry.end)
    }

    fn entry(&self, address: u64) -> Option<Entry<'a>> {
        let mut reader = Reader::new(self.bytes, self.position(self.header)?);
        if reader.u8()? != 1 {
            return None;
        }
        let [frames_encoding, count_encoding, table_encoding] =
            [reader.u8()?, reader.u8()?, reader.u8()?];
        let frames = self.pointer(&mut reader, frames_encoding)?;
        if table_encoding == SEARCHABLE && count_encoding != OMITTED {
            let count = self.pointer(&mut reader, count_encoding)?;
            return self.search(reader.position(), count, address);
        }
        self.scan(self.position(frames)?, address)
    }

    /// Where in the bytes `address` lies.
    fn position(&self, address: u64) -> Option<usize> {
        usize::try_from(address.checked_sub(self.address)?).ok()
    }

    /// Looks `address` up in the sorted pairs (function, entry) at `table`.
    fn search(&self, table: usize, count: u64, address: u64) -> Option<Entry<'a>> {
        let pair = |index: u64| {
            let at = usize::try_from(index.checked_mul(8)?).ok()?.checked_add(table)?;
            let mut reader = Reader::new(self.bytes, at);
            let mut relative = || {
                let value = reader.u32()? as i32;
                Some(self.header.wrapping_add_signed(i64::from(value)))
            };
            Some((relative()?, relative()?))
        };
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            if pair(middle)?.0 <= address { low = middle + 1 } else { high = middle }
        }
        let (_, entry) = pair(low.checked_sub(1)?)?;
        self.entry_at(self.position(entry)?)?.covering(address)
    }

    /// Looks `address` up by reading all entries from `position` on.
    fn scan(&self, mut position: usize, address: u64) -> Option<Entry<'a>> {
        loop {
            let record = self.record(position)?;
            let found = self.entry_at(position).and_then(|entry| entry.covering(address));
            if found.is_some() {
                return found;
            }
            position = record.end;
        }
    }

    /// The record at `position`; `None` at the terminator. Its end is always further on.
    fn record(&self, position: usize) -> Option<Record> {
        let mut reader = Reader::new(self.bytes, position);
        let len = match reader.u32()? {
            0 => return None,
            u32::MAX => reader.u64()?,
            len => u64::from(len),
        };
        let kind = reader.position();
        let end = kind.checked_add(usize::try_from(len).ok()?)?;
        (len >= 4 && end <= self.bytes.len()).then_some(Record { kind, end })
    }

    fn entry_at(&self, position: usize) -> Option<Entry<'a>> {
        let record = self.record(position)?;
        let mut reader = Reader::new(self.bytes.get(..record.end)?, record.kind);
        let distance = reader.u32()? as usize;
        if distance == 0 {
            return None; // a common entry
        }
        let common = self.common_at(record.kind.checked_sub(distance)?)?;
        let start = self.pointer(&mut reader, common.encoding)?;
        let len = self.pointer(&mut reader, common.encoding & 0x0f)?;
        if common.augmented {
            let len = usize::try_from(reader.uleb()?).ok()?;
            reader.take(len)?;
        }
        Some(Entry { common, start, end: start.checked_add(len)?, instructions: reader })
    }

    fn common_at(&self, position: usize) -> Option<Common<'a>> {
        let record = self.record(position)?;
        let mut reader = Reader::new(self.bytes.get(..record.end)?, record.kind);
        if reader.u32()? != 0 {
            return None;
        }
        let version = reader.u8()?;
        let augmentation = reader.text()?;
        let code_align = reader.uleb()?;
        let data_align = reader.sleb()?;
        let return_address = match version {
            1 => u64::from(reader.u8()?),
            3 => reader.uleb()?,
            _ => return None,
        };
        let mut common = Common {
            return_address,
            code_align,
            data_align,
            encoding: ABSOLUTE,
            interrupted: false,
            augmented: false,
            instructions: reader,
        };
        self.augment(&mut common, augmentation)?;
        Some(common)
    }

    /// Reads the augmentation data that `letters` announce; the instructions start after it.
    fn augment(&self, common: &mut Common<'a>, letters: &[u8]) -> Option<()> {
        let Some((b'z', letters)) = letters.split_first() else {
            return letters.is_empty().then_some(());
        };
        common.augmented = true;
        let reader = &mut common.instructions;
        let len = usize::try_from(reader.uleb()?).ok()?;
        let end = reader.position().checked_add(len)?;
        for letter in letters {
            match letter {
                b'R' => common.encoding = reader.u8()?,
                b'P' => {
                    let encoding = reader.u8()?;
                    self.pointer(reader, encoding & 0x7f)?;
                }
                b'L' => drop(reader.u8()?),
                b'S' => common.interrupted = true,
                b'B' => {}
                _ => break, // the length says where its data ends
            }
        }
        reader.seek(end);
        Some(())
    }

    /// Reads a pointer written in `encoding`.
    fn pointer(&self, reader: &mut Reader<'a>, encoding: u8) -> Option<u64> {
        let here = self.address.wrapping_add(reader.position() as u64);
        let value = match encoding & 0x0f {
            0x00 | 0x04 | 0x0c => reader.u64()?,
            0x01 => reader.uleb()?,
            0x02 => u64::from(reader.u16()?),
            0x03 => u64::from(reader.u32()?),
            0x09 => reader.sleb()? as u64,
            0x0a => reader.u16()? as i16 as u64,
            0x0b => reader.u32()? as i32 as u64,
            _ => return None,
        };
        match encoding & 0xf0 {
            0x00 => Some(value),
            0x10 => Some(here.wrapping_add(value)),
            0x30 => Some(self.header.wrapping_add(value)),
            _ => None,
        }
    }
}

impl<'a> Entry<'a> {
    fn covering(self, address: u64) -> Option<Self> {
        (self.start..self.end).contains(&address).then_some(self)
    }
}
