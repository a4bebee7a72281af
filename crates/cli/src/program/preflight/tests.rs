//! Tests on small files; those that need a compiler are skipped without it.

use super::*;
use crate::exit_code::ExitCode;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// A directory that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let name = format!("granule-preflight-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a scratch directory");
        Scratch(path)
    }

    fn file(&self, name: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("writable");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("chmod");
        path
    }

    /// Compiles `source` with gcc; `None` if there is no gcc, or if it cannot do that.
    fn compile(&self, name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
        let input = self.file(&format!("{name}.c"), source.as_bytes(), 0o600);
        let output = self.0.join(name);
        let mut gcc = Command::new("gcc");
        let done = gcc.args(flags).arg("-o").arg(&output).arg(input).output();
        let made = done.is_ok_and(|done| done.status.success());
        if !made {
            println!("skipped: gcc with {flags:?} is not there");
        }
        made.then_some(output)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let removed = std::fs::remove_dir_all(&self.0);
        assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
    }
}

const MAIN: &str = "int main(void) { return 0; }\n";

fn refusal(path: &Path) -> (ExitCode, String) {
    let failure = check(Purpose::Guard, path.as_os_str(), &[]).expect_err("a refusal");
    (failure.code, failure.to_string())
}

fn refused_with(path: &Path, code: ExitCode, words: &str) {
    let (found, sentence) = refusal(path);
    assert!(found == code && sentence.contains(words), "{found:?}: {sentence}");
}

#[test]
fn names_are_found_as_a_shell_finds_them() {
    let scratch = Scratch::new("find");
    let (first, second) = (scratch.0.join("first"), scratch.0.join("second"));
    std::fs::create_dir_all(first.join("tool")).expect("a directory named like the tool");
    std::fs::create_dir(&second).expect("a directory");
    let tool = scratch.file("second/tool", b"#!/bin/sh\n", 0o700);
    let search = std::env::join_paths([&first, &second]).expect("no colons");
    assert_eq!(find(OsStr::new("tool"), Some(&search)).expect("found"), tool);
    assert_eq!(find(OsStr::new("./x"), None).expect("a path"), Path::new("./x"));
    let missing = find(OsStr::new("no-such-tool"), Some(&search)).expect_err("not there");
    assert_eq!(missing.code, ExitCode::NoProgram);
    let empty = find(OsStr::new(""), Some(&search)).expect_err("no name");
    assert_eq!(empty.code, ExitCode::NoProgram);
    let relative = find(OsStr::new("tool"), Some(OsStr::new("no-such-directory:.")));
    assert_eq!(relative.expect_err("not here").code, ExitCode::NoProgram);
}

#[test]
fn what_is_no_program_is_refused() {
    let scratch = Scratch::new("files");
    refused_with(&scratch.0.join("missing"), ExitCode::NoProgram, "no such program");
    refused_with(&scratch.0, ExitCode::NotExecutable, "directory");
    let plain = scratch.file("plain", b"text", 0o600);
    refused_with(&plain, ExitCode::NotExecutable, "not executable");
    let text = scratch.file("text", b"echo hello\n", 0o700);
    refused_with(&text, ExitCode::NotExecutable, "exec format");
    let empty = scratch.file("empty", b"", 0o700);
    refused_with(&empty, ExitCode::NotExecutable, "exec format");
    let cut_off = scratch.file("cut_off", b"\x7fELF\x02\x01\x01", 0o700);
    assert!(matches!(refusal(&cut_off).0, ExitCode::Cannot | ExitCode::NotExecutable));
    refused_with(&plain.join("x"), ExitCode::NoProgram, "no such program");
}

#[test]
fn scripts_are_their_interpreters() {
    let scratch = Scratch::new("scripts");
    let good = scratch.file("good", b"#! /bin/sh -e\nexit 0\n", 0o700);
    let program = check(Purpose::Guard, good.as_os_str(), &[]).expect("sh can be guarded");
    assert!(program.notes.iter().any(|note| note.ends_with("/bin/sh")), "{:?}", program.notes);
    let by_env = scratch.file("by_env", b"#!/usr/bin/env -S A=b sh\n", 0o700);
    let program = check(Purpose::Guard, by_env.as_os_str(), &[]).expect("sh can be guarded");
    assert!(program.notes.iter().any(|note| note.ends_with("/sh")), "{:?}", program.notes);
    let lost = scratch.file("lost", b"#!/no/such/interpreter\n", 0o700);
    refused_with(&lost, ExitCode::NoProgram, "is a script: no such program");
    let lost = scratch.file("lost_env", b"#!/usr/bin/env no-such-tool\n", 0o700);
    refused_with(&lost, ExitCode::NoProgram, "no-such-tool");
    let nameless = scratch.file("nameless", b"#!\n", 0o700);
    refused_with(&nameless, ExitCode::NotExecutable, "names no interpreter");
    let line = format!("#!{}\n", scratch.0.join("own").display());
    let own = scratch.file("own", line.as_bytes(), 0o700);
    refused_with(&own, ExitCode::NotExecutable, "too many deep");
}

#[test]
fn what_cannot_be_guarded_is_told_apart() {
    let scratch = Scratch::new("elf");
    let cases: [(&str, &str, &[&str], &str); 5] = [
        ("static", MAIN, &["-static"], "statically linked"),
        ("narrow", MAIN, &["-m32"], "32-bit"),
        ("asan", MAIN, &["-fsanitize=address"], "AddressSanitizer"),
        (
            "own_malloc",
            "void *malloc(unsigned long n) { (void)n; return 0; }\nint main(void) { return 0; }\n",
            &["-rdynamic", "-fno-builtin"],
            "defines malloc itself",
        ),
        (
            "mimalloc",
            "void *mi_malloc(unsigned long n) { (void)n; return 0; }\nint main(void) {}\n",
            &[],
            "mimalloc",
        ),
    ];
    for (name, source, flags, words) in cases {
        if let Some(program) = scratch.compile(name, source, flags) {
            refused_with(&program, ExitCode::Cannot, words);
        }
    }
    for flags in [&["-pie"], &["-no-pie"]] {
        if let Some(program) = scratch.compile("good", MAIN, flags) {
            let program =
                check(Purpose::Guard, program.as_os_str(), &["a".into()]).expect("can be guarded");
            assert_eq!(program.arguments, ["a"]);
        }
    }
}

#[test]
fn another_architecture_is_refused() {
    let scratch = Scratch::new("machine");
    let Some(good) = scratch.compile("good", MAIN, &[]) else { return };
    let mut content = std::fs::read(good).expect("readable");
    content[18..20].copy_from_slice(&object::elf::EM_S390.0.to_le_bytes());
    let foreign = scratch.file("foreign", &content, 0o700);
    refused_with(&foreign, ExitCode::Cannot, "another architecture");
}

#[test]
fn a_setuid_program_of_another_user_is_refused() {
    let scratch = Scratch::new("setuid");
    let Some(good) = scratch.compile("good", MAIN, &[]) else { return };
    let set = |mode| std::fs::set_permissions(&good, std::fs::Permissions::from_mode(mode));
    set(0o4755).expect("chmod");
    let own =
        check(Purpose::Guard, good.as_os_str(), &[]).expect("setuid to oneself changes nothing");
    assert!(own.notes.iter().any(|note| note.contains("setuid")), "{:?}", own.notes);
    if std::os::unix::fs::chown(&good, Some(65_534), None).is_err() {
        println!("skipped: only root can give a file away");
        return;
    }
    set(0o4755).expect("chmod");
    refused_with(&good, ExitCode::Cannot, "setuid");
}

#[test]
fn lines_of_interpreters() {
    let path = |text: &str| Some(Interpreter::Path(PathBuf::from(text)));
    let name = |text: &str| Some(Interpreter::Name(OsString::from(text)));
    assert_eq!(interpreter_of(b" /bin/sh -e\nrest"), path("/bin/sh"));
    assert_eq!(interpreter_of(b"/bin/sh"), path("/bin/sh"));
    assert_eq!(interpreter_of(b"/usr/bin/env python3\n"), name("python3"));
    assert_eq!(interpreter_of(b"/usr/bin/env -S A=1 perl -w\n"), name("perl"));
    assert_eq!(interpreter_of(b"/usr/bin/env\n"), path("/usr/bin/env"));
    assert_eq!(interpreter_of(b"  \n/bin/sh"), None);
}

#[test]
fn valgrind_is_refused() {
    let scratch = Scratch::new("tool");
    let tool = scratch.file("valgrind.bin", b"#!/bin/sh\n", 0o700);
    refused_with(&tool, ExitCode::Cannot, "valgrind replaces malloc");
}
