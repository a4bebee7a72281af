//! What a reader must know about the machine that measured.

use crate::statistics::Random;
use serde::Serialize;
use std::fs;
use std::process::Command;
use std::thread;

/// The machine and the moment of a measurement.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    date: String,
    command: String,
    kernel: String,
    processor: String,
    cores: usize,
    memory_gib: u64,
    guard_markers: String,
    overcommit: String,
    max_map_count: String,
    transparent_huge_pages: String,
    libc: String,
    /// Seed of the order of runs.
    seed: u64,
}

impl Machine {
    /// Looks at this machine now.
    pub(crate) fn look() -> Self {
        let words: Vec<String> =
            std::env::args().skip(1).map(|word| without_place(&word)).collect();
        Machine {
            date: said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
            command: format!("cargo run --release -p granule-bench -- {}", words.join(" ")),
            kernel: fact("/proc/sys/kernel/osrelease"),
            processor: field("/proc/cpuinfo", "model name"),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_gib: memory_kib() >> 20,
            guard_markers: guard_markers(&fact("/proc/sys/kernel/osrelease")),
            overcommit: fact("/proc/sys/vm/overcommit_memory"),
            max_map_count: fact("/proc/sys/vm/max_map_count"),
            transparent_huge_pages: fact("/sys/kernel/mm/transparent_hugepage/enabled"),
            libc: said("getconf", &["GNU_LIBC_VERSION"]),
            seed: u64::from(std::process::id()),
        }
    }

    /// The generator for the order of runs.
    pub(crate) fn random(&self) -> Random {
        Random::new(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The facts as lines of markdown.
    pub(crate) fn markdown(&self) -> String {
        format!(
            "- {}: `{}`\n- Linux {}, {}, {} cores ({}), {} GiB\n- guard markers: {}; \
             vm.max_map_count {}; vm.overcommit_memory {}; transparent huge pages {}\n\
             - runs in random order, seed {}\n",
            self.date,
            self.command,
            self.kernel,
            self.libc,
            self.cores,
            self.processor,
            self.memory_gib,
            self.guard_markers,
            self.max_map_count,
            self.overcommit,
            self.transparent_huge_pages,
            self.seed,
        )
    }
}

/// A word of the command line: of a path its last part, for where it lies is nobody's business.
fn without_place(word: &str) -> String {
    word.rsplit('/').next().unwrap_or_default().to_string()
}

fn fact(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_string(), |text| text.trim().to_string())
}

fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':'])).to_string()
}

fn memory_kib() -> u64 {
    let text = field("/proc/meminfo", "MemTotal");
    text.trim_end_matches(" kB").parse().unwrap_or(0)
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| "unknown".to_string(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_string(),
    )
}

/// Linux has them from 6.13 on.
fn guard_markers(kernel: &str) -> String {
    let mut numbers = kernel.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (6, 13) { "by this kernel" } else { "not in this kernel" }.to_string()
}

#[cfg(test)]
mod tests {
    use super::{guard_markers, without_place};

    #[test]
    fn markers_came_with_6_13() {
        assert_eq!(guard_markers("6.13.0-1-amd64"), "by this kernel");
        assert_eq!(guard_markers("7.0"), "by this kernel");
        assert_eq!(guard_markers("6.12.63+deb13-amd64"), "not in this kernel");
        assert_eq!(guard_markers("5.15.0"), "not in this kernel");
    }
    #[test]
    fn words_do_not_tell_where_files_are() {
        assert_eq!(["--only", "a/b.so", "/b.so"].map(without_place), ["--only", "b.so", "b.so"]);
    }
}
