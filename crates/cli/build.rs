//! Builds the preload libraries, so that the `granule` binary carries them inside: libgranule_stomp
//! for `granule stomp`, libgranule_malloc for `granule run`.
//!
//! Cargo has no stable way to depend on the artefact of a `cdylib`, hence a nested call of cargo.
//! It builds into this script's own output directory: the outer cargo holds a lock on the other.
//! The binary includes the files named by the variables of `LIBRARIES`; where there are no such
//! libraries (any system but Linux) these files are empty.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// The packages, the files that they become, and the variables that name these.
const LIBRARIES: [(&str, &str, &str); 2] = [
    ("granule-stomp", "libgranule_stomp.so", "GRANULE_STOMP_LIBRARY"),
    ("granule-malloc", "libgranule_malloc.so", "GRANULE_MALLOC_LIBRARY"),
];

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
    let sources =
        ["Cargo.toml", "Cargo.lock", "src", "crates/stomp", "crates/malloc", "crates/preload"];
    for source in sources {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(variable("OUT_DIR"));
    let directory = if variable("CARGO_CFG_TARGET_OS") == "linux" {
        build_libraries(&workspace, &out)
    } else {
        write_empty(&out).map_err(|error| error.to_string())
    };
    match directory {
        Ok(directory) => {
            for (_, file, variable) in LIBRARIES {
                println!("cargo::rustc-env={variable}={}", directory.join(file).display());
            }
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("the preload libraries cannot be built: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn write_empty(out: &Path) -> std::io::Result<PathBuf> {
    for (_, file, _) in LIBRARIES {
        std::fs::write(out.join(file), b"")?;
    }
    Ok(out.to_owned())
}

/// Cargo sets every variable that is asked for here.
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo did not set {name}"))
}

/// The directory of the libraries.
fn build_libraries(workspace: &Path, out: &Path) -> Result<PathBuf, String> {
    let (target, directory) = (variable("TARGET"), out.join("preload"));
    let mut cargo = Command::new(variable("CARGO"));
    cargo.args(["build", "--profile", "preload"]);
    for (package, _, _) in LIBRARIES {
        cargo.args(["--package", package]);
    }
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
    let built = directory.join(target).join("preload");
    for (_, file, _) in LIBRARIES {
        if !built.join(file).is_file() {
            return Err(format!("cargo left no {file} in {}", built.display()));
        }
    }
    Ok(built)
}
