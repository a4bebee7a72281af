//! Floor 4, pure. How the stomp finder was asked to work, and its form in the environment.
//!
//! `granule stomp` writes the options into the variable [`VARIABLE`]; the preload library reads
//! them at the first `malloc`. The form is `key=value` pairs with commas between, for example
//! `placement=end,align=16,quarantine=8589934592,depth=16,guard=auto,socket=granule-stomp-71-3`.
#![forbid(unsafe_code)]

use core::fmt::{self, Write};

/// The environment variable that carries the options from `granule stomp` into the program.
pub const VARIABLE: &str = "GRANULE_STOMP";

/// On which side of a block the inaccessible page touches it.
///
/// ```
/// use granule::stomp::options::{Options, Placement};
/// assert_eq!(Options::parse(b"placement=start").map(|o| o.placement), Ok(Placement::Start));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The block ends at it: an overflow faults.
    End,
    /// The block starts behind it: an underflow faults.
    Start,
}

/// Which guards to use.
///
/// ```
/// use granule::stomp::options::{GuardChoice, Options};
/// assert_eq!(Options::new().guard, GuardChoice::Auto);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardChoice {
    /// The best that the kernel has.
    Auto,
    /// Protection changes, although the kernel may have better.
    Split,
}

/// Longest name of the supervisor's socket, in bytes (Linux: 107 for an abstract address).
pub const SOCKET_LEN_MAX: usize = 100;

/// Most frames of one stack.
pub const DEPTH_MAX: usize = 32;

/// How the stomp finder works.
///
/// ```
/// use granule::stomp::options::Options;
/// let mut options = Options::new();
/// options.align = 1;
/// let text = options.to_string();
/// assert!(text.starts_with("placement=end,align=1,"));
/// assert_eq!(Options::parse(text.as_bytes()), Ok(options));
/// assert_eq!(Options::parse(b"align=3"), Err(&b"align=3"[..]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Which side of the block is guarded to the byte.
    pub placement: Placement,
    /// The alignment of `malloc`, in bytes: a power of two, 1 to 4096. What it leaves between a
    /// block and its guard is slack.
    pub align: usize,
    /// Address space that freed blocks wait in before it is used again, in bytes.
    pub quarantine_len: usize,
    /// Frames kept of every stack, 0 to [`DEPTH_MAX`].
    pub depth: usize,
    /// Which guards to use.
    pub guard: GuardChoice,
    socket: [u8; SOCKET_LEN_MAX],
    socket_len: usize,
}

impl Options {
    /// The defaults: End, 16 bytes, 8 GiB, 16 frames, the kernel's best guards, no supervisor.
    pub const fn new() -> Self {
        Options {
            placement: Placement::End,
            align: 16,
            quarantine_len: 8 << 30,
            depth: 16,
            guard: GuardChoice::Auto,
            socket: [0; SOCKET_LEN_MAX],
            socket_len: 0,
        }
    }

    /// The abstract name of the supervisor's socket; empty without a supervisor.
    pub fn socket(&self) -> &[u8] {
        &self.socket[..self.socket_len]
    }

    /// Sets the name of the supervisor's socket. False, and nothing changed, if it is too long or
    /// holds a comma.
    pub fn set_socket(&mut self, name: &[u8]) -> bool {
        if name.len() > SOCKET_LEN_MAX || name.contains(&b',') {
            return false;
        }
        self.socket[..name.len()].copy_from_slice(name);
        self.socket_len = name.len();
        true
    }

    /// Reads the form that `Display` writes. `Err` holds the pair that could not be read.
    pub fn parse(text: &[u8]) -> Result<Self, &[u8]> {
        let mut options = Options::new();
        for pair in text.split(|&byte| byte == b',').filter(|pair| !pair.is_empty()) {
            options.set_pair(pair).ok_or(pair)?;
        }
        Ok(options)
    }

    fn set_pair(&mut self, pair: &[u8]) -> Option<()> {
        let middle = pair.iter().position(|&byte| byte == b'=')?;
        let (key, value) = (&pair[..middle], &pair[middle + 1..]);
        match (key, value) {
            (b"placement", b"end") => self.placement = Placement::End,
            (b"placement", b"start") => self.placement = Placement::Start,
            (b"guard", b"auto") => self.guard = GuardChoice::Auto,
            (b"guard", b"split") => self.guard = GuardChoice::Split,
            (b"align", _) => {
                self.align = number(value).filter(|&n| n.is_power_of_two() && n <= 4096)?;
            }
            (b"quarantine", _) => self.quarantine_len = number(value)?,
            (b"depth", _) => self.depth = number(value).filter(|&n| n <= DEPTH_MAX)?,
            (b"socket", _) => return self.set_socket(value).then_some(()),
            _ => return None,
        }
        Some(())
    }
}

impl Default for Options {
    fn default() -> Self {
        Options::new()
    }
}

fn number(text: &[u8]) -> Option<usize> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

impl fmt::Display for Options {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let placement = match self.placement {
            Placement::End => "end",
            Placement::Start => "start",
        };
        let guard = match self.guard {
            GuardChoice::Auto => "auto",
            GuardChoice::Split => "split",
        };
        write!(out, "placement={placement},align={},", self.align)?;
        write!(out, "quarantine={},depth={},guard={guard}", self.quarantine_len, self.depth)?;
        if self.socket_len > 0 {
            out.write_str(",socket=")?;
            self.socket().iter().try_for_each(|&byte| out.write_char(byte.into()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut options = Options { align: 1, depth: 3, ..Options::new() };
        options.placement = Placement::Start;
        options.guard = GuardChoice::Split;
        assert!(options.set_socket(b"granule-stomp-7"));
        assert_eq!(Options::parse(options.to_string().as_bytes()), Ok(options));
        assert_eq!(Options::parse(b""), Ok(Options::new()));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for bad in ["align=3", "align=8192", "depth=33", "placement=left", "speed=9", "guard"] {
            let text = format!("placement=end,{bad}");
            assert_eq!(Options::parse(text.as_bytes()), Err(bad.as_bytes()), "{bad}");
        }
        assert!(!Options::new().set_socket(b"a,b"));
        assert!(!Options::new().set_socket(&[b'x'; SOCKET_LEN_MAX + 1]));
    }
}
