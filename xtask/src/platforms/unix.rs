//! macOS and FreeBSD: the library and its tests are checked by the compiler, and not run.

use super::{Platform, Toolchain, variable};

const FIRST: &str = "x86_64-unknown-freebsd";
const OTHERS: [&str; 2] = ["x86_64-apple-darwin", "aarch64-apple-darwin"];

pub(super) const PLATFORM: Platform = Platform { verb: "check-unix", needs: &[], work: check };

fn check(toolchain: &Toolchain, arguments: &[&str]) -> std::io::Result<bool> {
    let mut cargo = toolchain.cargo("check", FIRST);
    // All at once: what is for this machine is built once, and no processor waits for another.
    cargo.args(OTHERS.iter().flat_map(|target| ["--target", target]));
    for target in OTHERS.iter().chain([&FIRST]) {
        // Even for a check cargo has the standard library built. Only what it says is needed.
        cargo.env(variable(target, "RUSTFLAGS"), "-Zno-codegen");
    }
    cargo.args(["--lib", "--tests", "--examples"]).args(arguments);
    Ok(cargo.status()?.success())
}
