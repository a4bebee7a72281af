//! Other systems, tested or checked from this one: `cargo xtask test-aarch64` and its sisters.
//!
//! rustup's toolchain has the standard library of this machine only. Debian's rustc-web comes with
//! the sources of all of it (rust-web-src), so that cargo can build it for any target. Only these
//! verbs use that compiler; everything else stays with the toolchain in PATH.

mod aarch64;
mod unix;
mod windows;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The platforms, by their verbs.
const PLATFORMS: [&Platform; 3] = [&aarch64::PLATFORM, &unix::PLATFORM, &windows::PLATFORM];

/// Ends a test program that hangs; cargo names it. The slowest takes some minutes.
const LIMITED: &str = "timeout --kill-after=30 1800";

/// One platform.
struct Platform {
    verb: &'static str,
    /// What must be on the machine besides the compiler.
    needs: &'static [Need],
    /// The work itself; true if all of it passed. Gets what stood behind the verb.
    work: fn(&Toolchain, &[&str]) -> std::io::Result<bool>,
}

/// A file that a Debian package brings.
struct Need {
    package: &'static str,
    /// An absolute path, or the name of a program that is looked for in PATH.
    file: &'static str,
}

const COMPILER: Need = Need { package: "rustc-web", file: "/usr/bin/rustc" };

/// Runs a verb of this module; `None` if it is none. `--required` as its first argument makes what
/// is missing a failure; without it the verb says so and succeeds.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> Option<ExitCode> {
    let (verb, rest) = arguments.split_first()?;
    let platform = PLATFORMS.into_iter().find(|platform| platform.verb == *verb)?;
    let (required, rest) = match rest {
        ["--required", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let toolchain = match find(platform, root) {
        Ok(toolchain) => toolchain,
        Err(missing) if required => {
            eprintln!("{verb}: {missing}");
            return Some(ExitCode::FAILURE);
        }
        Err(missing) => {
            println!("skipped: {verb}: {missing}");
            return Some(ExitCode::SUCCESS);
        }
    };
    Some(match (platform.work)(&toolchain, rest) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{verb}: {error}");
            ExitCode::FAILURE
        }
    })
}

/// The compiler, if it and all else that the platform needs are there; else a sentence with the
/// packages to install.
fn find(platform: &Platform, root: &Path) -> Result<Toolchain, String> {
    let needs = std::iter::once(&COMPILER).chain(platform.needs);
    let mut missing: Vec<&str> =
        needs.filter(|need| !need.is_there()).map(|need| need.package).collect();
    // The sources lie in a folder with the compiler's version in its name: the compiler knows it.
    let sources = sources();
    if sources.is_none() {
        missing.push("rust-web-src");
    }
    missing.dedup();
    if missing.is_empty() {
        return Ok(Toolchain { root: root.to_owned() });
    }
    Err(format!("missing; install as root: apt-get install {}", missing.join(" ")))
}

impl Need {
    fn is_there(&self) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(self.file).is_file())
    }
}

/// The sources of the standard library that belong to the compiler.
fn sources() -> Option<PathBuf> {
    let output = Command::new(COMPILER.file).args(["--print", "sysroot"]).output().ok()?;
    let sysroot = String::from_utf8(output.stdout).ok()?;
    let sources = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library");
    sources.join("std/Cargo.toml").is_file().then_some(sources)
}

/// Cargo with a compiler that can build its standard library.
struct Toolchain {
    root: PathBuf,
}

impl Toolchain {
    /// What is built for other systems goes to a folder of its own: the toolchain in PATH is
    /// another compiler.
    fn target_dir(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| self.root.join("target"), PathBuf::from)
            .join("platforms")
    }

    /// `cargo VERB` for a target, with everything that concerns its standard library.
    fn cargo(&self, verb: &str, target: &str) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .args([verb, "--package", "granule", "--package", "granule-sort"])
            .args(["--target", target])
            .args(["-Z", "build-std=std,panic_unwind"])
            .current_dir(&self.root)
            .env("RUSTC", COMPILER.file)
            .env("RUSTDOC", "/usr/bin/rustdoc")
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_DIR", self.target_dir())
            // Half of the time of these builds would go into what no test reads.
            .env("CARGO_PROFILE_DEV_DEBUG", "0");
        command
    }
}

/// The environment variable in which cargo looks for the linker, the runner .. of a target.
fn variable(target: &str, what: &str) -> String {
    format!("CARGO_TARGET_{}_{what}", target.to_uppercase().replace('-', "_"))
}
