//! Windows on x86-64: cross-compiled by mingw-w64, run by Wine.
//!
//! The target is the one for Windows 7: Wine 8 lacks a function (`ProcessPrng`) that the standard
//! library for younger Windows imports by name. The library under test is the same for both.
//!
//! Wine needs the page at 0x7ffe0000, which all its processes share. Linux draws the start of a
//! process's own heap (brk) from the GiB above Wine's loader, which lies 48 MiB below that page: in
//! one process of some eight thousand the heap is there first, and Wine ends it with status 1
//! before its first instruction, without a word (as `WINEDEBUG` is set here). So what ends like
//! that is started once more. A child that ends like that is an "internal error" for who started
//! it: see `tests/start/spawn.rs`. Without random addresses (setarch -R) nothing is in the way; but
//! then everything lies so close together that tests which look for a place from above take long.

use super::{LIMITED, Need, Platform, Toolchain};
use std::path::Path;
use std::process::{Command, Stdio};

const TARGET: &str = "x86_64-win7-windows-gnu";

/// What runs a program: a shell script whose arguments are the command line.
const RUN: &str = r#"
said=$(mktemp)
wine "$@" 2>"$said"
status=$?
cat "$said" >&2
if [ $status -eq 1 ] && ! [ -s "$said" ]; then
    echo "once more: Wine has lost it" >&2
    wine "$@"
    status=$?
fi
rm "$said"
exit $status"#;

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
    let words = LIMITED.split_whitespace().chain(["sh", "-c", RUN, "sh"]);
    let runner = words.map(|word| format!("'''{word}'''")).collect::<Vec<_>>().join(",");
    cargo.args(["--config", &format!("target.{TARGET}.runner=[{runner}]")]).args(arguments);
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
