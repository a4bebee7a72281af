//! Linux on AArch64: cross-compiled, run by the user emulator of qemu.

use super::{Need, Platform, Toolchain, variable};

const TARGET: &str = "aarch64-unknown-linux-gnu";

pub(super) const PLATFORM: Platform = Platform {
    verb: "test-aarch64",
    needs: &[
        Need { package: "gcc-aarch64-linux-gnu", file: "aarch64-linux-gnu-gcc" },
        Need { package: "libc6-dev-arm64-cross", file: "/usr/aarch64-linux-gnu/lib/libc.so" },
        Need { package: "qemu-user", file: "qemu-aarch64" },
    ],
    work: test,
};

fn test(toolchain: &Toolchain, arguments: &[&str]) -> std::io::Result<bool> {
    let mut cargo = toolchain.cargo("test", TARGET);
    cargo
        .env(variable(TARGET, "LINKER"), "aarch64-linux-gnu-gcc")
        .env(variable(TARGET, "RUNNER"), "qemu-aarch64 -L /usr/aarch64-linux-gnu")
        .args(arguments);
    Ok(cargo.status()?.success())
}
