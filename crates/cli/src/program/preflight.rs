//! Looks at a program before it is run: what a preloaded library cannot reach is said in a
//! sentence, not shown in a crash.
//!
//! Every refusal says what cannot be done, why, and what to do instead.
#![forbid(unsafe_code)]

mod elf;

use super::library::{Library, preload_list};
use crate::exit_code::Failure;
use rustix::fs::Access;
use rustix::process::Resource;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Scripts whose interpreter is a script: as deep as the kernel goes.
const SCRIPTS_MAX: usize = 4;
/// The kernel reads this much of a file to find `#!`.
const HEAD_LEN: u64 = 256;

/// What a library is preloaded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To guard its blocks.
    Guard,
    /// To give it another heap.
    Run,
}

impl Purpose {
    /// A refusal.
    fn cannot(self, path: &Path, why: &str, instead: &str) -> Failure {
        let shown = path.display();
        Failure::cannot(match self {
            Purpose::Guard => format!("cannot guard {shown}: {why}; {instead}"),
            Purpose::Run => format!("cannot run {shown} on this heap: {why}; {instead}"),
        })
    }

    /// What is done to a program.
    const fn done(self) -> &'static str {
        match self {
            Purpose::Guard => "guarded",
            Purpose::Run => "run",
        }
    }
}

/// A program that a library can be preloaded into.
#[derive(Debug)]
pub(crate) struct Program {
    /// The file to execute.
    pub(crate) path: PathBuf,
    /// Its name as the user gave it.
    pub(crate) name: OsString,
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
    /// What only `--verbose` says.
    pub(crate) notes: Vec<String>,
}

impl Program {
    /// The command that runs it with a library preloaded.
    pub(crate) fn command(&self, library: &Library) -> Command {
        let present = std::env::var_os("LD_PRELOAD");
        let mut command = Command::new(&self.path);
        command.arg0(&self.name).args(&self.arguments);
        command.env("LD_PRELOAD", preload_list(&library.path, present.as_deref()));
        command
    }

    /// Why it did not start.
    pub(crate) fn not_started(&self, error: &io::Error) -> Failure {
        let sentence = format!("{} cannot be executed: {error}", self.path.display());
        match error.kind() {
            io::ErrorKind::NotFound => Failure::no_program(sentence),
            _ => Failure::not_executable(sentence),
        }
    }
}

/// Finds the program as a shell would, and checks that a library can be preloaded into it.
///
/// # Errors
/// 127 when it is not there, 126 when it cannot be executed, 125 when it cannot be reached.
pub(crate) fn check(
    purpose: Purpose,
    name: &OsStr,
    arguments: &[OsString],
) -> Result<Program, Failure> {
    if purpose == Purpose::Guard {
        check_limits()?;
    }
    let path = find(name, std::env::var_os("PATH").as_deref())?;
    check_tool(purpose, &path)?;
    let mut notes = Vec::new();
    check_file(purpose, &path, 0, &mut notes)?;
    Ok(Program { path, name: name.to_owned(), arguments: arguments.to_vec(), notes })
}

/// The finder reserves terabytes of addresses, and no memory with them.
fn check_limits() -> Result<(), Failure> {
    let limits = [(Resource::As, "address space is", 'v'), (Resource::Data, "data is", 'd')];
    for (resource, what, letter) in limits {
        if let Some(limit) = rustix::process::getrlimit(resource).current {
            return Err(Failure::cannot(format!(
                "cannot guard a program whose {what} limited to {} KiB: guarded blocks need \
                 terabytes of addresses (not of memory); run `ulimit -{letter} unlimited` first",
                limit / 1024
            )));
        }
    }
    Ok(())
}

/// Valgrind runs its program on a processor of its own, with a heap of its own.
fn check_tool(purpose: Purpose, path: &Path) -> Result<(), Failure> {
    let names = ["valgrind", "valgrind.bin"].map(OsStr::new);
    if path.file_name().is_some_and(|name| names.contains(&name)) {
        let why = "valgrind replaces malloc itself and cannot run under granule";
        return Err(purpose.cannot(path, why, "name the program alone"));
    }
    Ok(())
}

/// A name with a slash is a path; any other is looked up in `search`, as execvp does.
fn find(name: &OsStr, search: Option<&OsStr>) -> Result<PathBuf, Failure> {
    if name.is_empty() {
        return Err(Failure::no_program("the program's name is empty"));
    }
    if name.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(name));
    }
    let search = search.unwrap_or(OsStr::new("/bin:/usr/bin"));
    let mut not_executable = None;
    for directory in std::env::split_paths(search) {
        // An empty entry is the current directory; the path needs its slash.
        let path = Path::new(".").join(directory).join(name);
        match std::fs::metadata(&path) {
            Ok(facts) if facts.is_dir() => {}
            Ok(_) if is_executable(&path) => return Ok(path),
            Ok(_) => not_executable = Some(path),
            Err(_) => {}
        }
    }
    // Found but not executable: the check of the file says so.
    not_executable.ok_or_else(|| {
        let shown = name.display();
        let is_here = Path::new(name).is_file();
        let hint = if is_here { format!("; did you mean ./{shown}?") } else { String::new() };
        Failure::no_program(format!("no such program: {shown} is nowhere in PATH{hint}"))
    })
}

fn is_executable(path: &Path) -> bool {
    rustix::fs::access(path, Access::EXEC_OK).is_ok()
}

/// Checks a file that the kernel is to execute, and for a script its interpreter.
fn check_file(
    purpose: Purpose,
    path: &Path,
    depth: usize,
    notes: &mut Vec<String>,
) -> Result<(), Failure> {
    let shown = path.display();
    let facts = std::fs::metadata(path).map_err(|error| not_there(path, &error))?;
    if facts.is_dir() {
        return Err(Failure::not_executable(format!(
            "{shown} is a directory; name a program in it"
        )));
    }
    if !facts.is_file() {
        return Err(Failure::not_executable(format!("{shown} is no regular file")));
    }
    if !is_executable(path) {
        return Err(Failure::not_executable(format!(
            "{shown} is not executable; `chmod +x` makes it so if it is a program"
        )));
    }
    let Some(head) = head_of(path)? else {
        notes.push(format!("{shown} cannot be read, so it was not checked beforehand"));
        return Ok(());
    };
    match head.strip_prefix(b"#!") {
        Some(line) => check_interpreter(purpose, path, line, depth, notes),
        None => {
            check_privileges(purpose, path, &facts, notes)?;
            elf::check(purpose, path)
        }
    }
}

fn not_there(path: &Path, error: &io::Error) -> Failure {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Failure::no_program(format!("no such program: {shown}"))
        }
        _ => Failure::not_executable(format!("{shown} cannot be executed: {error}")),
    }
}

/// The first bytes; `None` for a program that may be executed but not read.
fn head_of(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD_LEN).read_to_end(&mut head));
    match read {
        Ok(_) => Ok(Some(head)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        Err(error) => {
            Err(Failure::not_executable(format!("{} cannot be executed: {error}", path.display())))
        }
    }
}

/// The loader ignores preloads where executing a file gives rights that its caller does not have.
fn check_privileges(
    purpose: Purpose,
    path: &Path,
    facts: &Metadata,
    notes: &mut Vec<String>,
) -> Result<(), Failure> {
    const SET_USER: u32 = 0o4000;
    /// Without the execute bit of the group it means something else: mandatory locking.
    const SET_GROUP: u32 = 0o2010;
    let shown = path.display();
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    let sets_user = facts.mode() & SET_USER != 0;
    let sets_group = facts.mode() & SET_GROUP == SET_GROUP;
    let refuse = |what: &str| {
        let why = format!(
            "it is {what}, and for such programs the loader ignores every preloaded library"
        );
        let instead = format!("make a plain copy (`cp {shown} ./copy`) and run that");
        Err(purpose.cannot(path, &why, &instead))
    };
    if sets_user && facts.uid() != user.as_raw() {
        return refuse("setuid");
    }
    if sets_group && facts.gid() != group.as_raw() {
        return refuse("setgid");
    }
    if sets_user || sets_group {
        let done = purpose.done();
        notes.push(format!("{shown} is setuid or setgid, but to you, so it can be {done}"));
    }
    let capability = rustix::fs::getxattr(path, "security.capability", &mut [0u8; 64]);
    if capability.is_ok() && !user.is_root() {
        return refuse("given file capabilities");
    }
    Ok(())
}

/// A script is run by the program that its first line names: that one is meant.
fn check_interpreter(
    purpose: Purpose,
    script: &Path,
    line: &[u8],
    depth: usize,
    notes: &mut Vec<String>,
) -> Result<(), Failure> {
    let shown = script.display();
    if depth == SCRIPTS_MAX {
        return Err(Failure::not_executable(format!(
            "{shown} cannot be executed: its interpreters are scripts themselves, too many deep"
        )));
    }
    let Some(interpreter) = interpreter_of(line) else {
        return Err(Failure::not_executable(format!(
            "{shown} cannot be executed: its first line names no interpreter after #!"
        )));
    };
    let in_script = |failure: Failure| Failure {
        code: failure.code,
        message: format!("{shown} is a script: {}", failure.message),
    };
    let path = match &interpreter {
        Interpreter::Path(path) => path.clone(),
        Interpreter::Name(name) => {
            find(name, std::env::var_os("PATH").as_deref()).map_err(in_script)?
        }
    };
    let done = purpose.done();
    notes.push(format!("{shown} is a script: what is {done} is {}", path.display()));
    check_file(purpose, &path, depth + 1, notes).map_err(in_script)
}

/// How a script names the program that runs it.
#[derive(Debug, PartialEq, Eq)]
enum Interpreter {
    Path(PathBuf),
    /// To be looked up in PATH, by `env`.
    Name(OsString),
}

/// Reads what follows `#!`, up to the end of the line.
fn interpreter_of(line: &[u8]) -> Option<Interpreter> {
    let line = line.split(|&byte| byte == b'\n').next()?;
    let mut words = line.split(|byte| b" \t\r".contains(byte)).filter(|word| !word.is_empty());
    let path = Path::new(OsStr::from_bytes(words.next()?));
    if path.file_name() != Some(OsStr::new("env")) {
        return Some(Interpreter::Path(path.to_owned()));
    }
    // What env itself takes: options, and variables to set.
    let mut names = words.filter(|word| !word.starts_with(b"-") && !word.contains(&b'='));
    Some(match names.next() {
        Some(name) => Interpreter::Name(OsStr::from_bytes(name).to_owned()),
        None => Interpreter::Path(path.to_owned()),
    })
}

#[cfg(test)]
mod tests;
