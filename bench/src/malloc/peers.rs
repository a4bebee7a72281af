//! The mallocs that are compared, each by LD_PRELOAD, and of what they were made.

use super::child::Child;
use crate::Result;
use crate::flags::Flags;
use crate::tools::{cargo_build, installed, root};
use serde::Serialize;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// What all ratios are to, if it was asked for and is there.
pub(crate) const BASE: &str = "mi3";

/// Our own.
pub(crate) const OURS: &str = "ours";

/// One malloc.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Peer {
    /// Its name in tables and in `--peers`.
    pub(crate) name: &'static str,
    /// What it is, with its version.
    pub(crate) title: String,
    /// What is set besides LD_PRELOAD.
    pub(crate) settings: &'static [(&'static str, &'static str)],
    /// What LD_PRELOAD is set to; nothing is set if there is none.
    #[serde(skip)]
    library: Option<PathBuf>,
}

impl Peer {
    /// The variables that put it in place of the C library's own.
    pub(crate) fn variables(&self) -> Vec<(&str, &OsStr)> {
        let library = self.library.iter().map(|path| ("LD_PRELOAD", path.as_os_str()));
        library.chain(self.settings.iter().map(|&(name, value)| (name, value.as_ref()))).collect()
    }

    /// The name of its library.
    pub(crate) fn file_name(&self) -> Option<&OsStr> {
        self.library.as_deref()?.file_name()
    }

    /// The words in front of a program that set them.
    pub(crate) fn wrapper(&self) -> Vec<OsString> {
        let pair = |(name, value): (&str, &OsStr)| {
            let mut word = OsString::from(name);
            word.push("=");
            word.push(value);
            word
        };
        let words = self.variables().into_iter().map(pair);
        let env = self.library.iter().map(|_| OsString::from("env"));
        env.chain(words).collect()
    }
}

/// Those who take part, and a sentence for each who does not.
pub(crate) struct Peers {
    pub(crate) present: Vec<Peer>,
    pub(crate) absent: Vec<String>,
}

/// Where a malloc comes from.
enum Origin {
    /// What a program has when nothing is loaded.
    Plain,
    /// A package of Debian, and the library in it.
    Package(&'static str, &'static str),
    /// A library of `bench/peers.sh`.
    Made(&'static str),
    /// The library of `--ours`, or that of this tree.
    Ours,
}

/// Name, what it is, where it comes from, and what else is set.
type Entry = (&'static str, &'static str, Origin, &'static [(&'static str, &'static str)]);

const ALL: [Entry; 10] = [
    ("glibc", "glibc", Origin::Plain, &[]),
    ("je", "jemalloc", Origin::Package("libjemalloc2", "libjemalloc.so.2"), &[]),
    (
        "tc",
        "gperftools tcmalloc",
        Origin::Package("libtcmalloc-minimal4", "libtcmalloc_minimal.so.4"),
        &[],
    ),
    ("mi2", "mimalloc", Origin::Made("mimalloc2"), &[]),
    (BASE, "mimalloc", Origin::Made("mimalloc3"), &[]),
    ("mi3nt", "mimalloc", Origin::Made("mimalloc3"), &[("MIMALLOC_ALLOW_THP", "0")]),
    ("sn", "snmalloc", Origin::Made("snmalloc"), &[]),
    ("rp", "rpmalloc", Origin::Made("rpmalloc"), &[]),
    ("ra", "rusty_alloc", Origin::Made("rusty_alloc"), &[]),
    (OURS, "granule", Origin::Ours, &[]),
];

/// An error if somebody was asked for who is not here.
pub(crate) fn refuse_others(flags: &Flags) -> Result<()> {
    let names: Vec<&str> = ALL.iter().map(|entry| entry.0).collect();
    flags.refuse_other_tools(&names)
}

/// Finds and makes the peers that were asked for.
pub(crate) fn all(flags: &Flags, child: &Child) -> Result<Peers> {
    let wanted = ALL.iter().filter(|entry| flags.wants_tool(entry.0));
    let wanted: Vec<&Entry> = wanted.collect();
    if wanted.iter().any(|entry| matches!(entry.2, Origin::Made(_))) {
        make()?;
    }
    let versions = versions();
    let mut peers = Peers { present: Vec::new(), absent: Vec::new() };
    for &(name, title, ref origin, settings) in wanted {
        match find(origin, flags, &versions)? {
            Ok((library, version)) => {
                let title = format!("{title} {version}").trim_end().to_string();
                let peer = Peer { name, title, settings, library };
                child.check(&peer)?;
                peers.present.push(peer);
            }
            Err(reason) => peers.absent.push(format!("{name} ({title}): {reason}")),
        }
    }
    if peers.present.is_empty() {
        return Err(format!("no malloc to measure: {}", peers.absent.join("; ")).into());
    }
    Ok(peers)
}

/// Why a peer does not take part.
type Reason = String;

/// The library to load and its version.
type Found = (Option<PathBuf>, String);

/// Looks for a library. That others are not here is no error; that ours is not is one.
fn find(
    origin: &Origin,
    flags: &Flags,
    versions: &HashMap<String, String>,
) -> Result<std::result::Result<Found, Reason>> {
    let found = match origin {
        Origin::Plain => (None, said("getconf", &["GNU_LIBC_VERSION"], "glibc ")),
        Origin::Package(package, library) => {
            let Some(library) = installed(library) else {
                return Ok(Err(format!("package {package} is not installed")));
            };
            let version = said("dpkg-query", &["-W", "-f", "${Version}", package], "");
            (Some(library), format!("{version} (Debian)"))
        }
        Origin::Made(name) => {
            let library = folder().join(format!("lib{name}.so"));
            match versions.get(*name) {
                Some(version) if library.exists() => (Some(library), version.clone()),
                _ => return Ok(Err("bench/peers.sh could not make it here".to_string())),
            }
        }
        Origin::Ours => (Some(ours(flags)?), env!("CARGO_PKG_VERSION").to_string()),
    };
    Ok(Ok(found))
}

/// The library of `--ours`; or that of this tree, made now if it is not up to date.
fn ours(flags: &Flags) -> Result<PathBuf> {
    if let Some(library) = &flags.ours {
        return fs::canonicalize(library).map_err(|error| format!("{library}: {error}").into());
    }
    cargo_build(&["--package", "granule-malloc", "--profile", "preload"])?;
    Ok(fs::canonicalize(root().join("target/preload/libgranule_malloc.so"))?)
}

fn folder() -> PathBuf {
    root().join("target/peers")
}

/// Makes what is missing. What cannot be made, the script has said; it is left out.
fn make() -> Result<()> {
    let status = Command::new("bash")
        .arg(root().join("bench/peers.sh"))
        .arg(folder())
        .stdout(std::io::stderr())
        .status()?;
    match status.code() {
        Some(0 | 1) => Ok(()),
        _ => Err(format!("bench/peers.sh: {status}").into()),
    }
}

/// What the script has written about the libraries it made.
fn versions() -> HashMap<String, String> {
    let text = fs::read_to_string(folder().join("versions")).unwrap_or_default();
    let pair = |line: &str| line.split_once(' ').map(|(a, b)| (a.to_string(), b.to_string()));
    text.lines().filter_map(pair).collect()
}

/// What a program says, without a prefix.
fn said(program: &str, arguments: &[&str], prefix: &str) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string());
    text.map_or("of unknown version".to_string(), |text| text.replace(prefix, ""))
}

#[cfg(test)]
impl Peer {
    /// Nothing but a name.
    pub(crate) fn plain(name: &'static str) -> Self {
        Peer { name, title: name.to_string(), settings: &[], library: None }
    }
}

#[cfg(test)]
mod tests {
    use super::Peer;

    #[test]
    fn a_peer_is_loaded_by_the_words_in_front() {
        let mut peer = Peer::plain("a");
        assert!(peer.wrapper().is_empty());
        peer.library = Some("/lib/a.so".into());
        peer.settings = &[("B", "0")];
        assert_eq!(peer.wrapper(), ["env", "LD_PRELOAD=/lib/a.so", "B=0"]);
    }
}
