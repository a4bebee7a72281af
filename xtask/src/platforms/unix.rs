//! macOS and FreeBSD: the library and its tests are checked by the compiler, and not run.

use super::{Platform, Toolchain};

const FIRST: &str = "x86_64-unknown-freebsd";
const OTHERS: [&str; 2] = ["x86_64-apple-darwin", "aarch64-apple-darwin"];

pub(super) const PLATFORM: Platform = Platform { verb: "check-unix", needs: &[], work: check };

fn check(toolchain: &Toolchain, arguments: &[&str]) -> std::io::Result<bool> {
    let mut cargo = toolchain.cargo("check", FIRST);
    // All at once: what is for this machine is built once, and no processor waits for another.
    cargo.args(OTHERS.iter().flat_map(|target| ["--target", target]));
    cargo.args(["--lib", "--tests", "--examples"]).args(arguments);
    Ok(cargo.status()?.success())
}
