//! Windows on x86-64: cross-compiled by mingw-w64, run by Wine.
//!
//! The target is the one for Windows 7: Wine 8 lacks a function (`ProcessPrng`) that the standard
//! library for younger Windows imports by name. The library under test is the same for both.

use super::{LIMITED, Need, Platform, Toolchain, variable};
use std::path::Path;
use std::process::{Command, Stdio};

const TARGET: &str = "x86_64-win7-windows-gnu";

pub(super) const PLATFORM: Platform = Platform {
    verb: "test-windows",
    needs: &[
        Need { package: "gcc-mingw-w64-x86-64", file: "x86_64-w64-mingw32-gcc" },
        Need { package: "binutils-mingw-w64-x86-64", file: "x86_64-w64-mingw32-dlltool" },
        Need { package: "wine", file: "wine" },
        Need { package: "wine", file: "wineboot" },
        Need { package: "wine64", file: "/usr/lib/wine/wine64" },
    ],
    work: test,
};

fn test(toolchain: &Toolchain, arguments: &[&str]) -> std::io::Result<bool> {
    let prefix = std::path::absolute(toolchain.target_dir())?.join("wine");
    if !prefix.join("system.reg").is_file() && !make(&prefix)? {
        eprintln!("wineboot made no Windows in {}", prefix.display());
        return Ok(false);
    }
    // `cargo test --test NAME` builds no examples, and would compare old ones.
    let mut build = toolchain.cargo("build", TARGET);
    if !build.args(["--examples", "--quiet"]).status()?.success() {
        return Ok(false);
    }
    let mut cargo = toolchain.cargo("test", TARGET);
    wine_variables(&mut cargo, &prefix);
    cargo.env(variable(TARGET, "RUNNER"), format!("{LIMITED} wine")).args(arguments);
    Ok(cargo.status()?.success())
}

/// A Windows of our own, beside what is built: the user's stays as it is.
fn make(prefix: &Path) -> std::io::Result<bool> {
    std::fs::create_dir_all(prefix)?;
    let mut wineboot = Command::new("wineboot");
    wine_variables(&mut wineboot, prefix);
    wineboot
        .arg("--init")
        // No test needs .NET or a browser, and nobody is there to be asked for them.
        .env("WINEDLLOVERRIDES", "mscoree=;mshtml=")
        // It complains of the parts for 32 bits, which nothing here uses.
        .stderr(Stdio::null());
    Ok(wineboot.status()?.success())
}

fn wine_variables(command: &mut Command, prefix: &Path) {
    command
        .env("WINEPREFIX", prefix)
        .env("WINEDEBUG", "-all")
        // Tests have processes that die; a debugger would print its view of each among their words.
        .env("WINEDLLOVERRIDES", "winedbg.exe=d")
        .stdin(Stdio::null());
}
