//! A control group with little memory, for one program at a time.

use crate::Result;
use std::fs;
use std::path::PathBuf;

/// A group that goes away with this value.
pub(super) struct Group {
    folder: PathBuf,
}

impl Group {
    /// A group of so many bytes below the own one, of version 2 or of version 1.
    ///
    /// # Errors
    /// Only root makes groups, and not everywhere.
    pub(super) fn new(memory: u64) -> Result<Group> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let name = format!("granule-bench-{}", std::process::id());
        let path = |prefix: &str| own.lines().find_map(|line| line.split_once(prefix));
        let first = path(":memory:").map(|(_, path)| ("/sys/fs/cgroup/memory", path));
        let second = path("0::").map(|(_, path)| ("/sys/fs/cgroup", path));
        let limits = [(first, "memory.limit_in_bytes"), (second, "memory.max")];
        let mut refusal = "there are no control groups".into();
        for (place, limit) in limits {
            let Some((top, path)) = place else { continue };
            let folder = PathBuf::from(format!("{top}{path}")).join(&name);
            match Group::at(folder, limit, memory) {
                Ok(group) => return Ok(group),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    fn at(folder: PathBuf, limit: &str, memory: u64) -> Result<Group> {
        fs::create_dir(&folder)?;
        let group = Group { folder };
        fs::write(group.folder.join(limit), memory.to_string())?;
        Ok(group)
    }

    /// The words that put the command behind them into the group.
    pub(super) fn words(&self) -> Result<Vec<String>> {
        let procs = self.folder.join("cgroup.procs");
        let procs = procs.to_str().ok_or("the path of a group is not text")?;
        let line = "echo $$ > \"$1\" && shift && exec \"$@\"";
        Ok(["sh", "-c", line, "sh", procs].map(String::from).to_vec())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.folder) {
            eprintln!("{} is left behind: {error}", self.folder.display());
        }
    }
}
