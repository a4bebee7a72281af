//! Floor 0, pure. Text without allocation, for whoever may not allocate.
#![forbid(unsafe_code)]

use core::fmt;

/// Text on the stack; what does not fit is dropped.
pub(crate) struct Text {
    bytes: [u8; 1024],
    len: usize,
}

impl Text {
    /// The text of `arguments`; a value that cannot be written ends it.
    pub(crate) fn of(arguments: fmt::Arguments<'_>) -> Self {
        let mut text = Text { bytes: [0; 1024], len: 0 };
        // What was written until then is still worth reading.
        let _ = fmt::write(&mut text, arguments);
        text
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.len() - self.len;
        let taken = text.len().min(room);
        self.bytes[self.len..self.len + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.len += taken;
        Ok(())
    }
}

#[cfg(all(test, not(granule_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_dropped() {
        assert_eq!(Text::of(format_args!("{}-{:x}", 1, 255)).as_bytes(), b"1-ff");
        let long = Text::of(format_args!("{:>2000}", "end"));
        assert_eq!(long.as_bytes(), [b' '; 1024]);
    }
}
