//! `granule run` and its library: the heap of the process as malloc and operator new, preloaded,
//! loaded late, and linked.
#![cfg(target_os = "linux")]

#[path = "programs/mod.rs"]
mod programs;
#[path = "../../../tests/start/mod.rs"]
mod start;

use programs::{compile, described, directory, is_there, shell_status};
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const ABORT: i32 = 6;

/// The library that this build of granule carries inside.
fn library() -> &'static Path {
    Path::new(env!("GRANULE_MALLOC_LIBRARY"))
}

/// Its twin for the linker.
fn archive() -> PathBuf {
    library().with_extension("a")
}

/// `granule run` with its words, the signals as they are at first.
fn granule_run(arguments: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal", env!("CARGO_BIN_EXE_granule"), "run"]).args(arguments);
    command.env_remove("GRANULE_STATS");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A program on the heap ends well.
fn assert_well(output: &Output, says: &str) {
    assert_eq!(shell_status(output.status), 0, "{}", described(output));
    assert_eq!(text(&output.stdout).trim_end(), says, "{}", described(output));
}

/// Compiles a program and runs it on the heap.
fn on_heap(name: &str, says: &str) {
    let program = directory(name).join(name);
    if compile(&format!("{name}.c"), &program, &[]) {
        let words = ["--", program.to_str().expect("the path of this test is text")];
        assert_well(&start::output(&mut granule_run(&words)), says);
    }
}

// What this heap promises and others do not

#[test]
fn sized_frees_numbers_and_every_small_size() {
    on_heap("whole_family", "the whole family is there");
}

#[test]
fn signal_handlers_may_allocate_and_keep() {
    on_heap("handlers", "handlers and their program kept their blocks apart");
}

#[test]
fn destructors_of_thread_local_values_leave_nothing_behind() {
    on_heap("last_moments", "nothing of them stays");
}

#[test]
fn freed_memory_goes_back_without_another_call() {
    on_heap("given_back", "it went back");
}

#[test]
fn a_program_may_lock_all_of_its_memory() {
    on_heap("locked", "nothing else is locked");
}

#[test]
fn a_hundred_threads_cost_little() {
    on_heap("hundred_threads", "they cost little");
}

#[test]
fn a_wrong_free_is_reported_and_ends_the_process() {
    let program = directory("wrong_free").join("wrong_free");
    if !compile("wrong_free.c", &program, &["-Wno-free-nonheap-object"]) {
        return;
    }
    let program = program.to_str().expect("the path of this test is text");
    for (wrong, finding) in [
        ("foreign", "no heap has it"),
        ("stack", "no heap has it"),
        ("inside", "no block begins there"),
        ("realloc", "no block begins there"),
        ("twice", "the block was freed before"),
        ("long twice", "it belongs to another heap, or to one that was dropped"),
    ] {
        let output = start::output(&mut granule_run(&["--", program, wrong]));
        let said = text(&output.stderr);
        assert_eq!(output.status.signal(), Some(ABORT), "{wrong}: {}", described(&output));
        assert!(said.contains(finding), "{wrong}: {said}");
        assert!(said.contains("`granule stomp -- PROGRAM` finds out"), "{wrong}: {said}");
    }
}

// When it comes, and to whom

#[test]
fn a_program_with_its_own_malloc_is_left_alone() {
    let program = directory("own_malloc").join("own_malloc");
    if !compile("own_malloc.c", &program, &[]) {
        return;
    }
    let mut preloaded = Command::new(&program);
    preloaded.env("LD_PRELOAD", library()).env("GRANULE_STATS", "1");
    let output = start::output(&mut preloaded);
    assert_well(&output, "its own malloc was used");
    assert!(text(&output.stderr).ends_with("it has its own malloc\n"), "{}", described(&output));
    let words = ["--", program.to_str().expect("the path of this test is text")];
    let output = start::output(&mut granule_run(&words));
    assert_eq!(output.status.code(), Some(125), "{}", described(&output));
    assert!(text(&output.stderr).contains("it brings its own allocator"), "{}", described(&output));
}

#[test]
fn loaded_late_it_serves_who_asks_it() {
    let program = directory("late").join("late");
    if compile("late.c", &program, &[]) {
        let output = start::output(Command::new(&program).arg(library()));
        assert_well(&output, "it came late and stayed");
    }
}

#[test]
fn constructors_before_its_own_may_allocate() {
    let directory = directory("early");
    let (program, early) = (directory.join("threads"), directory.join("early.so"));
    if !compile("threads.c", &program, &[]) || !compile("early.c", &early, &["-shared", "-fPIC"]) {
        return;
    }
    for order in [[library(), &early], [&early, library()]] {
        let list = order.map(|path| path.as_os_str().to_owned()).join(&OsString::from(" "));
        let output = start::output(Command::new(&program).env("LD_PRELOAD", list));
        assert_well(&output, "every block kept its content");
    }
}

#[test]
fn linked_into_a_program_it_is_its_malloc() {
    let directory = directory("linked");
    let archive = archive();
    let archive = archive.to_str().expect("the path of this build is text");
    for (source, says) in [
        ("stress.c", "every block kept its pattern"),
        ("whole_family.c", "the whole family is there"),
        ("fork_storm.c", "no child hung, none fell"),
        ("operators.cc", "all forms are there"),
    ] {
        let program = directory.join(source).with_extension("");
        // The names that the program looks up by `dlsym`.
        let flags = [archive, "-rdynamic"];
        if compile(source, &program, &flags) {
            let mut command = Command::new(&program);
            let output = start::output(command.env("GRANULE_STATS", "1"));
            assert_well(&output, says);
            assert!(text(&output.stderr).contains("blocks of"), "{}", described(&output));
        }
    }
}

#[test]
fn linked_into_a_static_program_it_is_its_malloc() {
    let program = directory("static").join("stress");
    let archive = archive();
    let archive = archive.to_str().expect("the path of this build is text");
    if compile("stress.c", &program, &[archive, "-static"]) {
        let mut command = Command::new(&program);
        let output = start::output(command.arg("8").env("GRANULE_STATS", "1"));
        assert_well(&output, "every block kept its pattern");
        assert!(text(&output.stderr).contains("blocks of"), "{}", described(&output));
    }
}

// The command

#[test]
fn the_program_takes_the_place_of_granule() {
    let mut command = granule_run(&["sh", "-c", "echo $$; exit 7"]);
    let child = command.stdout(Stdio::piped()).spawn().expect("granule can be started");
    let number = child.id();
    let output = start::finish(child);
    assert_eq!(text(&output.stdout), format!("{number}\n"));
    assert_eq!(output.status.code(), Some(7));
    let output = start::output(&mut granule_run(&["--", "sh", "-c", "kill -TERM $$"]));
    assert_eq!(output.status.signal(), Some(15), "{}", described(&output));
}

#[test]
fn the_signals_of_the_program_are_those_of_granule() {
    let status = "grep -E '^Sig(Blk|Ign)' /proc/self/status";
    let line = |inner: &str| format!("trap '' CHLD; exec {inner}");
    let granule = env!("CARGO_BIN_EXE_granule");
    let mut plain = Command::new("env");
    plain.args(["--block-signal=USR1", "sh", "-c", &line(status)]);
    let mut run = Command::new("env");
    run.args(["--block-signal=USR1", "sh", "-c"]);
    run.arg(line(&format!("{granule} run {status}")));
    let [plain, run] = [plain, run].map(|mut command| start::output(&mut command));
    assert!(plain.status.success(), "{}", described(&plain));
    assert_eq!(text(&run.stdout), text(&plain.stdout), "{}", described(&run));
}

#[test]
fn without_a_cache_granule_stays_until_all_have_ended() {
    let run = |line: &str| {
        let mut command = granule_run(&["-v", "--", "sh", "-c", line]);
        start::output(command.env_remove("HOME").env_remove("XDG_CACHE_HOME"))
    };
    let output = run("exit 5");
    assert_eq!(output.status.code(), Some(5), "{}", described(&output));
    assert!(text(&output.stderr).contains("is the memory file"), "{}", described(&output));
    let output = run("kill -KILL $$");
    assert_eq!(output.status.signal(), Some(9), "{}", described(&output));
    // What is left running starts a program when its parent has long ended.
    let output = run("(sleep 0.3; exec grep -c libgranule_malloc /proc/self/maps) & exit 3");
    assert_eq!(output.status.code(), Some(3), "{}", described(&output));
    let mappings: usize = text(&output.stdout).trim().parse().expect("a number");
    assert!(mappings >= 2, "{}", described(&output));
}

#[test]
fn the_numbers_are_shown_at_the_end() {
    if !is_there("git") {
        println!("skipped: git is not installed");
        return;
    }
    let quiet = start::output(&mut granule_run(&["git", "--version"]));
    assert_eq!(text(&quiet.stderr), "", "nothing unless it is asked for");
    let output = start::output(&mut granule_run(&["--stats", "git", "--version"]));
    assert_eq!(text(&output.stdout), text(&quiet.stdout));
    let said = text(&output.stderr);
    assert!(said.starts_with("granule: git (") && said.contains(" blocks of "), "{said}");
    let output = start::output(&mut granule_run(&["--json", "git", "--version"]));
    let said = text(&output.stderr);
    let facts: serde_json::Value = serde_json::from_str(&said).expect("one JSON object");
    assert_eq!(facts["program"], "git");
    for name in ["blocks", "bytes", "slabs", "len", "cached", "resident", "resident_max"] {
        assert!(facts[name].as_u64().is_some_and(|number| number > 0), "{name}: {said}");
    }
    assert!(facts["pid"].is_u64() && facts["runs"].is_u64(), "{said}");
}

#[test]
fn numbers_of_a_program_that_closes_standard_error() {
    let output = start::output(&mut granule_run(&["--stats", "ls", "/"]));
    assert!(text(&output.stderr).starts_with("granule: ls ("), "{}", described(&output));
}

#[test]
fn what_cannot_be_run_is_said_in_a_sentence() {
    let refused = |words: &[&str], status: i32, said: &str| {
        let output = start::output(&mut granule_run(words));
        assert_eq!(output.status.code(), Some(status), "{words:?}: {}", described(&output));
        assert!(text(&output.stderr).contains(said), "{words:?}: {}", described(&output));
    };
    refused(&["/no/such/program"], 127, "no such program");
    refused(&["--", "/dev/null"], 126, "no regular file");
    refused(&[], 125, "Usage");
    refused(&["--quarantine", "8G", "true"], 125, "--quarantine");
    let program = directory("refused").join("static");
    if compile("family.c", &program, &["-static"]) {
        let words = ["--", program.to_str().expect("the path of this test is text")];
        refused(&words, 125, "it is statically linked");
        refused(&words, 125, "libgranule_malloc.a");
    }
}

#[test]
fn under_a_limit_of_addresses_it_has_less() {
    let granule = env!("CARGO_BIN_EXE_granule");
    for limit in ["v 4000000", "d 2000000"] {
        let line = format!("ulimit -{limit}; exec {granule} run -- sh -c 'echo it runs'");
        let output = start::output(Command::new("sh").args(["-c", &line]));
        assert_well(&output, "it runs");
    }
}
