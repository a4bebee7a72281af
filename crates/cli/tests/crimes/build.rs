//! Compiles a source of the corpus: the crime or its innocent twin.

use crate::verdicts::{Program, folder};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// An executable, ready to run.
pub(crate) struct Executable {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<PathBuf>,
}

/// The compilers, and whether each is there.
static COMPILERS: LazyLock<Vec<(&str, bool)>> = LazyLock::new(|| {
    ["cc", "c++", "rustc"]
        .map(|name| {
            let version = Command::new(name).arg("--version").output();
            (name, version.is_ok_and(|output| output.status.success()))
        })
        .to_vec()
});

fn compiler_of(source: &str) -> &'static str {
    match Path::new(source).extension().and_then(|extension| extension.to_str()) {
        Some("c") => "cc",
        Some("cpp") => "c++",
        Some("rs") => "rustc",
        _ => panic!("{source}: no compiler is known for it"),
    }
}

/// Whether the compiler of `source` is installed.
pub(crate) fn can_be_built(source: &str) -> bool {
    COMPILERS.iter().any(|&(name, is_there)| name == compiler_of(source) && is_there)
}

/// The compilers that are not installed.
pub(crate) fn missing_compilers() -> BTreeSet<&'static str> {
    COMPILERS.iter().filter(|(_, is_there)| !is_there).map(|&(name, _)| name).collect()
}

/// Compiles `program` into `directory`. `Err` holds what the compiler said.
pub(crate) fn build(
    program: &Program,
    level: &str,
    innocent: bool,
    directory: &Path,
) -> Result<Executable, String> {
    let path = directory.join(if innocent { "twin" } else { "crime" });
    compile(&program.source, level, innocent, &path, &[])?;
    let mut arguments = Vec::new();
    if let Some(library) = &program.library {
        let path = path.with_extension("so");
        compile(library, level, innocent, &path, &["-shared", "-fPIC"])?;
        arguments.push(path);
    }
    Ok(Executable { path, arguments })
}

fn compile(
    source: &str,
    level: &str,
    innocent: bool,
    out: &Path,
    extra: &[&str],
) -> Result<(), String> {
    let compiler = compiler_of(source);
    let mut command = Command::new(compiler);
    if compiler == "rustc" {
        // Without std's own checks of what unsafe code promises: they would stop the crime.
        command.args(["--edition", "2024", "-g", "-Cdebug-assertions=no", "--cap-lints", "allow"]);
        command.args(["--check-cfg", "cfg(innocent)"]);
        command.args(innocent.then_some(["--cfg", "innocent"]).into_iter().flatten());
    } else {
        // Some systems turn checks of the C library on by default: they would stop the crime.
        command.args(["-g", "-w", "-pthread", "-U_FORTIFY_SOURCE", level]);
        command.args(innocent.then_some("-DINNOCENT"));
    }
    command.args(extra).arg("-o").arg(out).arg(folder().join(source));
    let output = command.output().map_err(|error| format!("{compiler}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{compiler}: {}", String::from_utf8_lossy(&output.stderr)))
}
