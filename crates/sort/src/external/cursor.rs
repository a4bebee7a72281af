//! A place in a sorted run: the element that is the next of it.

use super::disk;
use super::error::Error;
use super::form::Cut;
use std::fs::File;
use std::ops::Range;
use std::path::Path;

/// Room is given back to the disk in whole blocks of it.
const DISK_BLOCK: u64 = 4096;

/// The file that runs lie in.
#[derive(Clone, Copy)]
pub(super) struct RunFile<'a> {
    pub(super) file: &'a File,
    /// Its directory, for errors.
    pub(super) directory: &'a Path,
}

/// Reads the elements of a run, or of a part of one, and gives back the room of those it has read.
pub(super) struct Cursor<'a> {
    source: RunFile<'a>,
    /// What is still to be read.
    left: Range<u64>,
    /// Behind it the room was given back.
    kept: u64,
    buffer: Vec<u8>,
    /// Where the element begins in the buffer, and how long it is with its separator; 0 at the end.
    start: usize,
    len: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor before the first element; [`advance`](Self::advance) goes to it.
    pub(super) fn new(source: RunFile<'a>, range: Range<u64>, buffer_len: usize) -> Self {
        let buffer = Vec::with_capacity(buffer_len);
        Cursor { source, kept: range.start, left: range, buffer, start: 0, len: 0 }
    }

    /// The element, with its separator. There is none before the first [`advance`](Self::advance),
    /// nor at the end.
    #[inline]
    pub(super) fn element(&self, cut: Cut) -> &[u8] {
        // A width that is constant makes it a copy of constant length.
        let len = if let Cut::Width(width) = cut { width } else { self.len };
        &self.buffer[self.start..self.start + len]
    }

    /// Goes to the next element; false if there is none.
    #[inline(always)]
    pub(super) fn advance(&mut self, cut: Cut) -> Result<bool, Error> {
        self.start += self.len;
        loop {
            if let Some(len) = cut.first_len(&self.buffer[self.start..]) {
                self.len = len;
                return Ok(true);
            }
            if self.left.is_empty() {
                self.len = 0;
                self.give_back(self.left.end);
                return Ok(false);
            }
            self.refill()?;
        }
    }

    /// What is in the buffer of the elements ahead; the last of them may be there in part.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Reads until `wanted` bytes are ahead, or the run ends; says how many of them there are.
    pub(super) fn look(&mut self, wanted: usize) -> Result<usize, Error> {
        while self.ahead().len() < wanted && !self.left.is_empty() {
            self.refill()?;
        }
        Ok(wanted.min(self.ahead().len()))
    }

    /// Whether the run has more than the next `len` bytes.
    pub(super) fn has_behind(&self, len: usize) -> bool {
        !self.left.is_empty() || self.ahead().len() > len
    }

    /// Goes over the next `len` bytes, which are in the buffer.
    pub(super) fn skip(&mut self, len: usize) {
        self.start += len;
    }

    /// Reads what fits; an element that does not fit gets a buffer of twice the length.
    #[cold]
    fn refill(&mut self) -> Result<(), Error> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let kept = self.buffer.len();
        if kept == self.buffer.capacity() {
            self.buffer.reserve_exact(kept.max(1));
        }
        let room = (self.buffer.capacity() - kept) as u64;
        let len = room.min(self.left.end - self.left.start);
        self.buffer.resize(kept + len as usize, 0);
        let read = disk::read_full(self.source.file, &mut self.buffer[kept..], self.left.start);
        let read = read.and_then(|count| match count as u64 {
            count if count == len => Ok(()),
            _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
        });
        read.map_err(Error::system("read a run in", self.source.directory))?;
        self.left.start += len;
        self.give_back(self.left.start);
        let ahead = room.min(self.left.end - self.left.start);
        if ahead > 0 {
            disk::will_need(self.source.file, self.left.start, ahead);
        }
        Ok(())
    }

    /// Gives the room before `end` back to the disk: it is in the buffer, or behind us.
    fn give_back(&mut self, end: u64) {
        let (from, to) = (self.kept.next_multiple_of(DISK_BLOCK), end - end % DISK_BLOCK);
        if from < to {
            disk::give_room_back(self.source.file, from, to - from);
            self.kept = to;
        }
    }
}
