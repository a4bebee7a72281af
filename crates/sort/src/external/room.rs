//! A buffer of elements: filled from the file, sorted, written.

use super::entry::{self, Entry};
use super::error::Error;
use super::file::Input;
use super::form::{Cut, Form, InBuffer};
use super::sink::{Sink, Target};
use super::watch::Watch;
use super::{disk, joined};
use granule::array::StableVec;
use std::thread;

/// Bytes that are read at once.
const BLOCK_LEN: usize = 4 << 20;
/// Fewer elements are not worth a thread.
const FEW: usize = 1 << 12;

/// A buffer of elements, and room for their entries.
#[derive(Debug)]
pub(super) struct Room {
    /// As long as it ever was; only its beginning is in use.
    bytes: StableVec<u8>,
    len: usize,
    entries: StableVec<Entry>,
    /// Bytes that a thread takes besides while it sorts what has no entries.
    scratch_len: usize,
}

/// How a buffer is filled.
pub(super) struct Filling<'a> {
    pub(super) input: &'a Input,
    /// Bytes that the elements and their entries may take together.
    pub(super) memory: usize,
    /// Bytes that each thread takes besides to sort what has no entries.
    pub(super) scratch_len: usize,
    /// Whether the buffer grows by huge pages: each of its two parts is then one of them longer, at
    /// most.
    pub(super) by_huge_pages: bool,
    /// What was read leaves the cache.
    pub(super) drop_behind: bool,
    pub(super) watch: &'a dyn Watch,
}

impl Room {
    /// Room for what `how` allows: addresses for no more than that, however many buffers there are.
    pub(super) fn new(how: &Filling<'_>) -> Self {
        let file_len = usize::try_from(how.input.len()).unwrap_or(usize::MAX);
        let most = how.memory.min(file_len);
        Room {
            // A line may lack its separator.
            bytes: array(most.saturating_add(1), how.by_huge_pages),
            len: 0,
            entries: array(
                (how.memory / size_of::<Entry>()).min(file_len).max(1),
                how.by_huge_pages,
            ),
            scratch_len: how.scratch_len,
        }
    }

    /// Fills the buffer from `offset` on with whole elements, as many as there is memory for, and
    /// says where the next one begins.
    pub(super) fn fill<F: Form>(
        &mut self,
        form: &F,
        offset: u64,
        how: &Filling<'_>,
    ) -> Result<u64, Error> {
        let (file_len, cut) = (how.input.len(), form.cut());
        let (mut at, mut count) = (offset, 0);
        self.len = 0;
        while at < file_len {
            if how.watch.is_stopped() {
                return Err(Error::Stopped);
            }
            let room = room_for(form, how.memory, self.len, count);
            let left = usize::try_from(file_len - at).unwrap_or(usize::MAX);
            let block_len = left.min(BLOCK_LEN).min(room);
            if block_len == 0 {
                break;
            }
            let before = self.len;
            // And room for the separator that the last line may lack.
            self.grow(before + block_len + cut.separator_len())?;
            how.input.read(&mut self.bytes[before..before + block_len], at)?;
            if how.drop_behind {
                disk::forget(&how.input.file, at, block_len as u64);
            }
            self.len += block_len;
            at += block_len as u64;
            count += cut.count(&self.bytes[before..self.len]);
            if used(form, self.len, count) > how.memory {
                break;
            }
        }
        self.end(form, offset, at, how)
    }

    /// Ends the buffer behind the last element that there is memory for.
    fn end<F: Form>(
        &mut self,
        form: &F,
        offset: u64,
        at: u64,
        how: &Filling<'_>,
    ) -> Result<u64, Error> {
        let cut = form.cut();
        if let Cut::Separator(separator) = cut
            && at == how.input.len()
            && self.len > 0
            && self.bytes[self.len - 1] != separator
        {
            self.bytes[self.len] = separator;
            self.len += 1;
        }
        let mut whole = cut.whole_len(&self.bytes[..self.len]);
        if used(form, whole, cut.count(&self.bytes[..whole])) > how.memory {
            whole = fitting(form, &self.bytes[..whole], how.memory);
        }
        if whole == 0 && offset < how.input.len() {
            return Err(match cut {
                Cut::Separator(_) => {
                    let path = how.input.path.clone();
                    Error::LineTooLong { path, offset, room: self.len }
                }
                Cut::Width(width) => {
                    let needed = super::memory_for_elements(width, form.entry_len());
                    Error::TooLittleMemory { memory: how.memory, needed }
                }
            });
        }
        self.len = whole;
        // A separator that was added is no byte of the file.
        Ok((offset + whole as u64).min(how.input.len()))
    }

    fn grow(&mut self, len: usize) -> Result<(), Error> {
        if self.bytes.len() < len {
            self.bytes.try_resize(len, 0).map_err(Error::Memory)?;
        }
        Ok(())
    }

    /// Sorts the elements, and says how many bytes are left of them.
    pub(super) fn sort<F: Form>(
        &mut self,
        form: &F,
        threads: usize,
        watch: &dyn Watch,
    ) -> Result<u64, Error> {
        self.entries.clear();
        if form.entry_len() == 0 {
            form.sort_bytes(&mut self.bytes[..self.len], threads, self.scratch_len);
            return Ok(self.len as u64);
        }
        self.index(form, threads)?;
        let bytes = &self.bytes[..self.len];
        let in_buffer = InBuffer { form, bytes };
        entry::sort(&mut self.entries, &in_buffer, threads, watch)?;
        if !form.is_unique() {
            return Ok(self.len as u64);
        }
        let element = |entry: &Entry| form.element(bytes, entry);
        self.entries.dedup_by(|next, kept| element(next) == element(kept));
        Ok(self.entries.iter().map(|entry| element(entry).len() as u64).sum())
    }

    /// Makes the entries; every thread those of a part of the buffer.
    fn index<F: Form>(&mut self, form: &F, threads: usize) -> Result<(), Error> {
        let (bytes, cut) = (&self.bytes[..self.len], form.cut());
        let parts = parts(bytes, cut, threads);
        let counts = joined(parts.iter().map(|part| move || Ok(cut.count(part.1))))?;
        let count = counts.iter().sum();
        let blank = Entry { rank: 0, at: 0, len: 0 };
        self.entries.try_resize(count, blank).map_err(Error::Memory)?;
        thread::scope(|scope| {
            let (mut rest, mut number) = (&mut self.entries[..], 0);
            for ((offset, part), count) in parts.into_iter().zip(counts) {
                let (own, others) = rest.split_at_mut(count);
                rest = others;
                let first = if matches!(cut, Cut::Width(_)) { number } else { offset };
                number += count;
                // Buffers are shorter than 4 GiB, or have fewer elements.
                scope.spawn(move || form.entries(part, own, first as u32));
            }
        });
        Ok(())
    }

    /// Writes the sorted elements from `at` on; every thread a part of them.
    pub(super) fn write<F: Form>(
        &self,
        form: &F,
        target: Target<'_>,
        at: u64,
        threads: usize,
    ) -> Result<(), Error> {
        let bytes = &self.bytes[..self.len];
        if form.entry_len() == 0 {
            let parts = parts(bytes, form.cut(), threads);
            let work = parts.into_iter().map(|(offset, part)| {
                move || {
                    let mut sink = Sink::new(target, at + offset as u64);
                    sink.push(part)?;
                    sink.finish()
                }
            });
            return joined(work).map(drop);
        }
        let threads = if self.entries.len() < FEW { 1 } else { threads };
        let part_len = self.entries.len().div_ceil(threads).max(1);
        let mut offset = at;
        let parts = self.entries.chunks(part_len).map(|part| {
            let start = offset;
            offset += part.iter().map(|entry| form.element(bytes, entry).len() as u64).sum::<u64>();
            (start, part)
        });
        let work = parts.map(|(start, part)| {
            move || {
                let mut sink = Sink::new(target, start);
                part.iter().try_for_each(|entry| sink.push(form.element(bytes, entry)))?;
                sink.finish()
            }
        });
        joined(work).map(drop)
    }

    /// How many elements are kept.
    pub(super) fn count<F: Form>(&self, form: &F) -> u64 {
        match form.entry_len() {
            0 => form.cut().count(&self.bytes[..self.len]) as u64,
            _ => self.entries.len() as u64,
        }
    }
}

/// An array that grows by huge pages, or by pages and takes no byte more.
fn array<T>(max: usize, by_huge_pages: bool) -> StableVec<T> {
    let builder = StableVec::builder().max(max);
    if by_huge_pages { builder.build() } else { builder.guard_spare().build() }
}

/// Bytes that so many elements and their entries take.
fn used<F: Form>(form: &F, len: usize, count: usize) -> usize {
    len.saturating_add(count.saturating_mul(form.entry_len()))
}

/// How many bytes more may be read: of elements of one width only whole ones.
fn room_for<F: Form>(form: &F, memory: usize, len: usize, count: usize) -> usize {
    match form.cut() {
        Cut::Width(width) => {
            let most = (memory / (width + form.entry_len())).min(u32::MAX as usize);
            most.saturating_sub(len / width).min((BLOCK_LEN / width).max(1)) * width
        }
        Cut::Separator(_) => {
            let left = memory.saturating_sub(used(form, len, count));
            left.min(u32::MAX as usize - 1 - len)
        }
    }
}

/// Bytes of the first lines that there is memory for, with their entries.
fn fitting<F: Form>(form: &F, bytes: &[u8], memory: usize) -> usize {
    let Cut::Separator(separator) = form.cut() else { return bytes.len() };
    let ends = memchr::memchr_iter(separator, bytes).enumerate();
    let fit = |(count, end): &(usize, usize)| used(form, end + 1, count + 1) <= memory;
    ends.take_while(fit).last().map_or(0, |(_, end)| end + 1)
}

/// Parts of about the same length that end where elements do, each with where it begins.
fn parts(bytes: &[u8], cut: Cut, count: usize) -> Vec<(usize, &[u8])> {
    let count = if bytes.len() < FEW * count { 1 } else { count };
    let mut parts = Vec::with_capacity(count);
    let mut start = 0;
    for number in 1..=count {
        let aim = (bytes.len() / count * number).max(start);
        let end = match number {
            _ if number == count => bytes.len(),
            _ => start + cut.whole_len(&bytes[start..aim]),
        };
        parts.push((start, &bytes[start..end]));
        start = end;
    }
    parts
}
