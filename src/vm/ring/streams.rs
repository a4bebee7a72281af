//! Floor 2, uses floors 0 and 1. The ring and its ends as the standard library's streams.

use super::{Consumer, Producer, Ring};
use std::io::{BufRead, Error, ErrorKind, Read, Result, Write};

/// Takes what is filled. An empty ring is the end: nobody else can fill it.
impl Read for Ring {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        Ok(Ring::read(self, bytes))
    }
}

/// Appends what there is room for. A full ring takes 0 bytes, which `write_all` calls `WriteZero`.
impl Write for Ring {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        Ok(Ring::write(self, bytes))
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Passes on what there is room for. `WouldBlock` when there is none, `BrokenPipe` when the
/// consumer is gone.
impl Write for Producer<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        if self.is_abandoned() {
            return Err(Error::from(ErrorKind::BrokenPipe));
        }
        match Producer::write(self, bytes) {
            0 if !bytes.is_empty() => Err(Error::from(ErrorKind::WouldBlock)),
            len => Ok(len),
        }
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Takes what is filled. `WouldBlock` when nothing is; the end, when the producer is gone, too.
impl Read for Consumer<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let len = copied(self.fill_buf(), bytes)?;
        Consumer::consume(self, len);
        Ok(len)
    }
}

/// What is filled, without a copy: even a line across the end of the ring is one slice.
/// `WouldBlock` and the end are as for `Read`.
impl BufRead for Consumer<'_> {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        // Asked first: what came before the end is seen after it.
        let is_last = self.is_abandoned();
        match self.filled() {
            [] if !is_last => Err(Error::from(ErrorKind::WouldBlock)),
            filled => Ok(filled),
        }
    }

    fn consume(&mut self, len: usize) {
        Consumer::consume(self, len);
    }
}

fn copied(filled: Result<&[u8]>, bytes: &mut [u8]) -> Result<usize> {
    Ok(super::copy(filled?, bytes))
}
