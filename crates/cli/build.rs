//! Builds libgranule_stomp, the preload library, so that the `granule` binary carries it inside.
//!
//! Cargo has no stable way to depend on the artefact of a `cdylib`, hence a nested call of cargo.
//! It builds into this script's own output directory: the outer cargo holds a lock on the other.
//! The binary includes the file named by the variable `GRANULE_STOMP_LIBRARY`; where the library
//! does not exist (any system but Linux) that file is empty.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Settings of the outer build that must not leak into the library: lint drivers, sanitizers,
/// coverage and the like do not belong into somebody else's `malloc`.
const SCRUBBED: [&str; 7] = [
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_BUILD_DIR",
];

fn main() -> ExitCode {
    let workspace = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../..");
    for source in ["Cargo.toml", "Cargo.lock", "src", "crates/stomp"] {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(variable("OUT_DIR"));
    let library = if variable("CARGO_CFG_TARGET_OS") == "linux" {
        build_library(&workspace, &out)
    } else {
        let empty = out.join("no_library");
        std::fs::write(&empty, b"").map(|()| empty).map_err(|error| error.to_string())
    };
    match library {
        Ok(path) => {
            println!("cargo::rustc-env=GRANULE_STOMP_LIBRARY={}", path.display());
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("the preload library of `granule stomp` cannot be built: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Cargo sets every variable that is asked for here.
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo did not set {name}"))
}

fn build_library(workspace: &Path, out: &Path) -> Result<PathBuf, String> {
    let (target, directory) = (variable("TARGET"), out.join("preload"));
    let mut cargo = Command::new(variable("CARGO"));
    cargo.args(["build", "--package", "granule-stomp", "--profile", "preload"]);
    cargo.arg("--manifest-path").arg(workspace.join("Cargo.toml"));
    cargo.args(["--target", &target]).arg("--target-dir").arg(&directory);
    for name in SCRUBBED {
        cargo.env_remove(name);
    }
    // Set but empty: it also overrides flags from configuration files.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "");
    // The outer cargo reads our standard output.
    cargo.stdout(Stdio::null());
    let status = cargo.status().map_err(|error| format!("cargo does not start: {error}"))?;
    if !status.success() {
        return Err(format!("cargo ended with {status}, see above"));
    }
    let library = directory.join(target).join("preload/libgranule_stomp.so");
    if !library.is_file() {
        return Err(format!("cargo left no {}", library.display()));
    }
    Ok(library)
}
