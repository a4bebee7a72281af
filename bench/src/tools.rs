//! The tools that are compared, and the words that put a program under each.

use crate::Result;
use crate::flags::Flags;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name of running a program as it is; all ratios are to this one.
pub(crate) const PLAIN: &str = "glibc";

/// The name of our own.
pub(crate) const GRANULE: &str = "granule";

/// One way to run a program.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    /// Its name in tables and in `--tools`.
    pub(crate) name: &'static str,
    /// The words in front of a program; none, if it is not installed.
    pub(crate) wrapper: Option<Vec<String>>,
}

impl Tool {
    /// The words as results show them: where our own program lies is nobody's business.
    pub(crate) fn shown(&self) -> Option<Vec<&str>> {
        let bare = |word| match Path::new(word).file_name() {
            Some(name) if name == GRANULE => GRANULE,
            _ => word,
        };
        Some(self.wrapper.as_ref()?.iter().map(String::as_str).map(bare).collect())
    }
}

impl Serialize for Tool {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut tool = serializer.serialize_struct("Tool", 2)?;
        tool.serialize_field("name", self.name)?;
        tool.serialize_field("wrapper", &self.shown())?;
        tool.end()
    }
}

/// All the tools that were asked for, the plain run first. Builds granule.
pub(crate) fn all(flags: &Flags) -> Result<Vec<Tool>> {
    let mut tools = vec![Tool { name: PLAIN, wrapper: Some(Vec::new()) }];
    if flags.wants_tool(GRANULE) {
        let granule = granule()?;
        let words = vec![granule, "stomp".to_string(), "--".to_string()];
        tools.push(Tool { name: GRANULE, wrapper: Some(words) });
    }
    // Both refuse malloc(0) unless they are told; both align to 4 unless they are told, and
    // compilers rely on 16.
    let fence = ["EF_ALLOW_MALLOC_0=1", "EF_ALIGNMENT=16"];
    tools.push(Tool { name: "efence", wrapper: preload("libefence.so.0", &fence) });
    let duma = ["DUMA_ALLOW_MALLOC_0=1", "DUMA_ALIGNMENT=16"];
    tools.push(Tool { name: "duma", wrapper: preload("libduma.so.0", &duma) });
    tools.push(Tool { name: "valgrind", wrapper: valgrind() });
    tools.retain(|tool| tool.name == PLAIN || flags.wants_tool(tool.name));
    Ok(tools)
}

/// The `granule` program of the same build as this one, built now if it is not up to date.
pub(crate) fn granule() -> Result<String> {
    build(&["--package", "granule-cli"])?;
    let granule = std::env::current_exe()?.with_file_name("granule");
    Ok(granule.to_str().ok_or("the path of granule is not text")?.to_string())
}

/// Builds with the profile of this program.
pub(crate) fn build(what: &[&str]) -> Result<()> {
    let profile: &[&str] = if cfg!(debug_assertions) { &[] } else { &["--release"] };
    cargo_build(&[what, profile].concat())
}

/// `cargo build` in this tree.
pub(crate) fn cargo_build(words: &[&str]) -> Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_string());
    if !Command::new(cargo).arg("build").args(words).current_dir(root()).status()?.success() {
        return Err(format!("cargo build {} failed", words.join(" ")).into());
    }
    Ok(())
}

/// The top of the source tree.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The file of a library of the system.
pub(crate) fn installed(library: &str) -> Option<PathBuf> {
    let folders = ["/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];
    folders.iter().map(|folder| Path::new(folder).join(library)).find(|path| path.exists())
}

/// The words that load a library, and set variables, in front of a program.
pub(crate) fn preload(library: &str, variables: &[&str]) -> Option<Vec<String>> {
    let path = installed(library)?;
    let mut words = vec!["env".to_string(), format!("LD_PRELOAD={}", path.display())];
    words.extend(variables.iter().map(ToString::to_string));
    Some(words)
}

/// Memcheck with its defaults, and into the children of gcc.
fn valgrind() -> Option<Vec<String>> {
    let words = ["/usr/bin/valgrind", "-q", "--trace-children=yes"];
    Path::new(words[0]).exists().then(|| words.map(String::from).to_vec())
}
