//! macOS and FreeBSD: the library and its tests are checked by the compiler, and not run.

use super::{Platform, Toolchain};

const TARGETS: [&str; 3] =
    ["x86_64-apple-darwin", "aarch64-apple-darwin", "x86_64-unknown-freebsd"];

pub(super) const PLATFORM: Platform = Platform { verb: "check-unix", needs: &[], work: check };

fn check(toolchain: &Toolchain, arguments: &[&str]) -> std::io::Result<bool> {
    for target in TARGETS {
        let mut cargo = toolchain.cargo("check", target);
        cargo.args(["--lib", "--tests", "--examples"]).args(arguments);
        println!("{target}");
        if !cargo.status()?.success() {
            return Ok(false);
        }
    }
    Ok(true)
}
