//! How much memory there is for a sort, and how many threads.
//!
//! A process may be in a control group that has less memory than the machine; what it takes above
//! that is paged out, or ends it. Linux: `memory.max` and `memory.high` of version 2, or
//! `memory.limit_in_bytes` of version 1, of the own group and of all above it; `MemAvailable` of
//! `/proc/meminfo`. Elsewhere: half of the memory of the machine.
#![forbid(unsafe_code)]

use crate::external::MEMORY_MIN;
use std::fs;
use std::path::{Path, PathBuf};

/// More threads are of little use: the disk and the memory are the same for all.
const THREADS_MAX: usize = 8;

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that no one uses now, or that can be had by dropping caches.
    pub available: Option<u64>,
    /// Bytes that the control group of this process may use, caches of files included.
    pub group: Option<u64>,
}

impl Limits {
    /// Asks the system.
    #[must_use]
    pub fn look() -> Self {
        Self::look_below(Path::new("/"))
    }

    /// The same with the files of another root.
    fn look_below(root: &Path) -> Self {
        Limits { available: available(root), group: group_limit(root) }
    }

    /// Bytes that a sort should use: three quarters of what is available; half of what the group
    /// may use, because the caches of the files that are read and written count there, too.
    #[must_use]
    pub fn memory(&self) -> usize {
        let installed = granule::vm::info().memory_len as u64;
        let free = self.available.map(|bytes| bytes / 4 * 3).unwrap_or(installed / 2);
        let most = self.group.map_or(free, |group| free.min(group / 2));
        usize::try_from(most).unwrap_or(usize::MAX / 2).max(MEMORY_MIN)
    }
}

/// As many threads as processors, but not more than 8.
#[must_use]
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX)
}

/// `MemAvailable` in bytes.
fn available(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1 << 10)
}

/// The lowest limit on the way from the own group up.
fn group_limit(root: &Path) -> Option<u64> {
    let own = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
    let second = own.lines().find_map(|line| line.strip_prefix("0::"));
    let first = own.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|name| name == "memory").then_some(path)
    });
    let mut second_mounts = mounts.lines().filter(|line| is_second(line));
    let mut first_mounts = mounts.lines().filter(|line| is_first(line));
    let second = second_mounts
        .next()
        .zip(second)
        .and_then(|(mount, path)| lowest_limit(root, mount, path, &["memory.max", "memory.high"]));
    let first = first_mounts
        .next()
        .zip(first)
        .and_then(|(mount, path)| lowest_limit(root, mount, path, &["memory.limit_in_bytes"]));
    second.into_iter().chain(first).min()
}

/// Whether a line of `mountinfo` is about control groups of version 2.
fn is_second(line: &str) -> bool {
    line.split_once(" - ").is_some_and(|(_, rest)| rest.starts_with("cgroup2 "))
}

/// Whether it is about the memory of version 1.
fn is_first(line: &str) -> bool {
    let options = line.split_once(" - cgroup ").and_then(|(_, rest)| rest.split(' ').nth(1));
    options.is_some_and(|options| options.split(',').any(|option| option == "memory"))
}

/// The lowest number in files of these names, from the group at `path` up to the mount.
fn lowest_limit(root: &Path, mount: &str, path: &str, names: &[&str]) -> Option<u64> {
    let mut words = mount.split(' ').skip(3);
    let (mounted, place) = (words.next()?, words.next()?);
    // A container sees its own group as the mount's root.
    let path = path.strip_prefix(mounted.trim_end_matches('/')).unwrap_or("");
    let top: PathBuf = root.join(place.trim_start_matches('/'));
    let group = top.join(path.trim_start_matches('/'));
    let groups = group.ancestors().take_while(|group| group.starts_with(&top));
    let files = groups.flat_map(|group| names.iter().map(move |name| group.join(name)));
    // `max`, and no such file in the topmost group, are no limits.
    files.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of files that goes away with the test.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[(&str, &str)]) -> Tree {
            let name = format!("granule-limits-{name}-{}", std::process::id());
            let root = std::env::temp_dir().join(name);
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().expect("a file below")).expect("a directory");
                fs::write(path, text).expect("a file");
            }
            Tree(root)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let removed = fs::remove_dir_all(&self.0);
            assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
        }
    }

    const MEMINFO: (&str, &str) =
        ("proc/meminfo", "MemTotal:  24000000 kB\nMemAvailable:   8000000 kB\n");

    #[test]
    fn groups_of_version_2_up_to_the_root() {
        let mounts = "30 1 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        let tree = Tree::new(
            "second",
            &[
                MEMINFO,
                ("proc/self/cgroup", "0::/user/session\n"),
                ("proc/self/mountinfo", mounts),
                ("sys/fs/cgroup/user/session/memory.max", "max\n"),
                ("sys/fs/cgroup/user/session/memory.high", "900000000\n"),
                ("sys/fs/cgroup/user/memory.max", "800000000\n"),
            ],
        );
        let limits = Limits::look_below(&tree.0);
        let expected = Limits { available: Some(8_192_000_000), group: Some(800_000_000) };
        assert_eq!(limits, expected);
        assert_eq!(limits.memory(), 400_000_000);
    }

    #[test]
    fn groups_of_version_1_as_a_container_sees_them() {
        let mounts = "\
31 1 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
35 1 0:31 /docker/abc /sys/fs/cgroup/memory rw master:9 - cgroup cgroup rw,memory\n";
        let tree = Tree::new(
            "first",
            &[
                ("proc/self/cgroup", "5:cpu,cpuacct:/\n4:memory:/docker/abc/in\n0::/\n"),
                ("proc/self/mountinfo", mounts),
                ("sys/fs/cgroup/memory/in/memory.limit_in_bytes", "9223372036854771712\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2000\n"),
            ],
        );
        let limits = Limits::look_below(&tree.0);
        assert_eq!(limits, Limits { available: None, group: Some(2000) });
        assert_eq!(limits.memory(), MEMORY_MIN);
    }

    #[test]
    fn without_limits() {
        let tree = Tree::new("none", &[MEMINFO]);
        let limits = Limits::look_below(&tree.0);
        assert_eq!(limits, Limits { available: Some(8_192_000_000), group: None });
        assert_eq!(limits.memory(), 6_144_000_000);
        assert!(Limits::look().memory() >= MEMORY_MIN);
        assert!((1..=THREADS_MAX).contains(&threads()));
    }
}
