//! Linux on AArch64: cross-compiled, run by the user emulator of qemu.

use super::{LIMITED, Need, Platform, Toolchain, variable};
use std::process::Command;

const TARGET: &str = "aarch64-unknown-linux-gnu";

const COMPILER: &str = "aarch64-linux-gnu-gcc";

pub(super) const PLATFORM: Platform = Platform {
    verb: "test-aarch64",
    needs: &[
        Need { package: "gcc-aarch64-linux-gnu", file: COMPILER },
        Need { package: "libc6-dev-arm64-cross", file: "/usr/aarch64-linux-gnu/lib/libc.so" },
        Need { package: "qemu-user", file: "qemu-aarch64" },
    ],
    work: test,
};

fn test(toolchain: &Toolchain, arguments: &[&str]) -> std::io::Result<bool> {
    let mut runner = String::from("qemu-aarch64 -L /usr/aarch64-linux-gnu");
    let mut arguments = arguments;
    if !reserves_for_nothing()? {
        // 256 GiB of addresses: the stomp finder's region, and no more memory than there is.
        runner += " -R 0x4000000000";
        if arguments.is_empty() {
            println!("skipped: the examples of the documentation, qemu is too old for a terabyte");
            arguments = &["--lib", "--bins", "--tests"];
        }
    }
    let cargo = |verb| {
        let mut cargo = toolchain.cargo(verb, TARGET);
        // Tests compile C, too.
        cargo.env(variable(TARGET, "LINKER"), COMPILER).env("TARGET_CC", COMPILER);
        cargo
    };
    // `cargo test --test NAME` builds no examples, and a test can only build those of this machine.
    if !cargo("build").args(["--examples", "--quiet"]).status()?.success() {
        return Ok(false);
    }
    let mut cargo = cargo("test");
    cargo
        .env(variable(TARGET, "RUNNER"), format!("{LIMITED} {runner}"))
        // The child of a fork must not find the emulator's locks in hands that it does not have:
        // one of some thousand waited for ever.
        .env("RUST_TEST_THREADS", "1")
        // Tests that start programs of this platform (`tests/start`).
        .env("GRANULE_TEST_RUNNER", &runner)
        .args(arguments);
    Ok(cargo.status()?.success())
}

/// True from qemu 8 on. Older ones have a record of 32 bytes for each page of address space, in use
/// or not: 64 TiB of addresses take 512 GiB of memory.
fn reserves_for_nothing() -> std::io::Result<bool> {
    let output = Command::new("qemu-aarch64").arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let number = text.split_once("version ").and_then(|(_, rest)| rest.split('.').next());
    Ok(number.and_then(|number| number.parse().ok()).is_some_and(|number: u32| number >= 8))
}
