//! The mappings of a process, as /proc/PID/maps lists them.
#![forbid(unsafe_code)]

use std::ops::Range;

/// One mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// Its addresses.
    pub(crate) range: Range<u64>,
    /// May be written.
    pub(crate) writable: bool,
    /// May be executed.
    pub(crate) executable: bool,
    /// Where it starts in its file.
    pub(crate) offset: u64,
    /// The file, or a name in brackets, or nothing.
    pub(crate) name: String,
}

impl Mapping {
    /// True for a mapping of a file.
    pub(crate) fn is_file(&self) -> bool {
        self.name.starts_with('/')
    }
}

/// All mappings of a process, in order of address.
#[derive(Debug, Default)]
pub(crate) struct Maps(Vec<Mapping>);

impl Maps {
    /// Reads them; empty when the process is gone.
    pub(crate) fn of(pid: u32) -> Maps {
        let text = std::fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
        Maps::parse(&String::from_utf8_lossy(&text))
    }

    /// Reads the kernel's form; lines that do not have it are left out.
    pub(crate) fn parse(text: &str) -> Maps {
        Maps(text.lines().filter_map(parse_line).collect())
    }

    /// The mapping that holds `address`.
    pub(crate) fn at(&self, address: u64) -> Option<&Mapping> {
        self.position(address).map(|position| &self.0[position])
    }

    fn position(&self, address: u64) -> Option<usize> {
        let after = self.0.partition_point(|mapping| mapping.range.end <= address);
        self.0.get(after).filter(|mapping| mapping.range.start <= address).map(|_| after)
    }

    /// What an address is that no allocator gave out, in words: "of static data of /bin/x".
    pub(crate) fn describe(&self, address: u64) -> String {
        let Some(position) = self.position(address) else {
            return "where nothing is mapped".to_owned();
        };
        let mapping = &self.0[position];
        if mapping.is_file() {
            let what = if mapping.executable {
                "code"
            } else if mapping.writable {
                "static data"
            } else {
                "constants"
            };
            return format!("in the {what} of {}", mapping.name);
        }
        match mapping.name.as_str() {
            "[stack]" => "on the stack of the first thread".to_owned(),
            "[heap]" => "in memory taken with brk, which this malloc never gives out".to_owned(),
            "" => match self.zeroed_data_of(position) {
                Some(module) => format!("in the static data of {module}"),
                None => {
                    "in memory that the program mapped itself, such as a thread's stack".to_owned()
                }
            },
            name => format!("in {name}"),
        }
    }

    /// The module whose static data goes on in the nameless mapping right behind its file's.
    fn zeroed_data_of(&self, position: usize) -> Option<&str> {
        let (mapping, before) = (&self.0[position], &self.0[position.checked_sub(1)?]);
        let goes_on = before.range.end == mapping.range.start && mapping.writable;
        (goes_on && before.is_file() && before.writable).then_some(before.name.as_str())
    }
}

fn parse_line(line: &str) -> Option<Mapping> {
    let mut rest = line;
    let mut word = || {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = after.trim_start();
        word
    };
    let (range, rights, offset, _device, _inode) = (word(), word(), word(), word(), word());
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let (start, end) = range.split_once('-')?;
    Some(Mapping {
        range: number(start)?..number(end)?,
        writable: rights.contains('w'),
        executable: rights.contains('x'),
        offset: number(offset)?,
        name: rest.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
555500000000-555500001000 r--p 00000000 08:01 42                         /home/a b/prog
555500001000-555500002000 r-xp 00001000 08:01 42                         /home/a b/prog
555500002000-555500003000 rw-p 00002000 08:01 42                         /home/a b/prog
555500003000-555500004000 rw-p 00000000 00:00 0
555500008000-555500009000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000001000 rw-p 00000000 00:00 0
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
";

    #[test]
    fn lines_are_read() {
        let maps = Maps::parse(TEXT);
        let code = maps.at(0x5555_0000_1fff).expect("mapped");
        assert_eq!(code.name, "/home/a b/prog");
        assert_eq!((code.offset, code.writable, code.executable), (0x1000, false, true));
        assert_eq!(maps.at(0x5555_0000_4000), None);
        assert_eq!(maps.at(0), None);
        assert!(Maps::parse("no maps\n").at(0).is_none());
    }

    #[test]
    fn addresses_are_described() {
        let maps = Maps::parse(TEXT);
        let say = |address| maps.describe(address);
        assert_eq!(say(0x5555_0000_0010), "in the constants of /home/a b/prog");
        assert_eq!(say(0x5555_0000_1010), "in the code of /home/a b/prog");
        assert_eq!(say(0x5555_0000_2010), "in the static data of /home/a b/prog");
        assert_eq!(say(0x5555_0000_3010), "in the static data of /home/a b/prog");
        assert!(say(0x5555_0000_8000).contains("brk"));
        assert!(say(0x7f00_0000_0000).contains("mapped itself"));
        assert_eq!(say(0x7ffc_0000_0000), "on the stack of the first thread");
        assert_eq!(say(0x10), "where nothing is mapped");
    }

    #[test]
    fn our_own_are_readable() {
        let here = TEXT.as_ptr().addr() as u64;
        assert!(Maps::of(std::process::id()).at(here).is_some_and(Mapping::is_file));
    }
}
