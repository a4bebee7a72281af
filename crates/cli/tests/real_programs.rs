//! Real programs, and small ones that are hard on an allocator, natively, under the finder and on
//! the heap of `granule run`: the same output, the same exit status, and no report.
//!
//! The real programs come from Debian packages by `scripts/real-programs.sh`; the small ones are
//! the C files beside this one. What is not installed is skipped with a sentence.

#[path = "programs/mod.rs"]
mod programs;
#[path = "../../../tests/start/mod.rs"]
mod start;

use programs::{LACKS, compile, described, directory, is_there, shell_status};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The words in front of a program that put it on the heap of granule.
fn on_heap() -> Vec<String> {
    [env!("CARGO_BIN_EXE_granule"), "run", "--"].map(String::from).to_vec()
}

/// The words in front of a program that put it under the finder.
fn finder(report: &Path) -> Vec<String> {
    let report = report.to_str().expect("the path of this test is text");
    [env!("CARGO_BIN_EXE_granule"), "stomp", "--json", report, "--"].map(String::from).to_vec()
}

fn assert_no_report(report: &Path, output: &Output) {
    let found = fs::read_to_string(report).unwrap_or_default();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(found.is_empty(), "an innocent program was reported:\n{found}\n{stderr}");
}

// Real programs

/// The script with one program, its output in `out`.
fn script(program: &str, directory: &Path, out: &str, wrapper: &[String]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/real-programs.sh");
    let mut command = Command::new("bash");
    command.arg(script).args(["--scale", "small", "--only", program, "--inputs"]);
    command.arg(directory.join("inputs")).arg("--out").arg(directory.join(out));
    start::output(command.arg("--").args(wrapper))
}

fn read(path: PathBuf) -> Vec<u8> {
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The first line that differs, with its number.
fn first_difference<'a>(plain: &'a [u8], found: &'a [u8]) -> (usize, &'a [u8], &'a [u8]) {
    let lines = |text: &'a [u8]| text.split(|&byte| byte == b'\n').chain([&b"(end)"[..]]);
    let pairs = lines(plain).zip(lines(found)).enumerate();
    pairs
        .map(|(number, (left, right))| (number + 1, left, right))
        .find(|(_, left, right)| left != right)
        .expect("they differ")
}

fn assert_same(name: &str, plain: &[u8], found: &[u8], stderr: &str) {
    if plain != found {
        let (line, plain, found) = first_difference(plain, found);
        let [plain, found] = [plain, found].map(String::from_utf8_lossy);
        panic!("{name}, line {line}:\nplain: {plain}\nother: {found}\nstderr:\n{stderr}");
    }
}

fn real_program(program: &str) {
    if !is_there("bash") {
        println!("skipped: {program} (bash is not installed)");
        return;
    }
    let directory = directory(program);
    let report = directory.join("report.json");
    let plain = script(program, &directory, "plain", &[]);
    let said = String::from_utf8_lossy(&plain.stdout);
    if let Some(skipped) = said.lines().find(|line| line.starts_with("skipped: ")) {
        println!("{skipped}");
        return;
    }
    assert!(plain.status.success(), "{program} fails without the finder: {said}");
    let found = script(program, &directory, "found", &finder(&report));
    assert_no_report(&report, &found);
    assert_same_files(program, &directory, "found");
    assert_eq!(found.status, plain.status, "{}", described(&found));
    let heap = script(program, &directory, "heap", &on_heap());
    assert_same_files(program, &directory, "heap");
    assert_eq!(heap.status, plain.status, "{}", described(&heap));
    fs::remove_dir_all(directory).expect("the directory of this test can be removed");
}

/// What the script left of a program is what it left of it without a wrapper.
fn assert_same_files(program: &str, directory: &Path, out: &str) {
    let file = |out: &str, name: &str| read(directory.join(out).join(program).join(name));
    let stderr = file(out, "stderr");
    let stderr = String::from_utf8_lossy(&stderr);
    for name in ["status", "output"] {
        let title = format!("{out}: {name}");
        assert_same(&title, &file("plain", name), &file(out, name), &stderr);
    }
}

#[test]
fn git_shows_the_log_of_a_repository() {
    real_program("git");
}

#[test]
fn sqlite3_builds_and_queries_a_database() {
    real_program("sqlite3");
}

#[test]
fn python3_works_with_malloc() {
    real_program("python3");
}

#[test]
fn perl_works() {
    real_program("perl");
}

#[test]
fn lua_works() {
    real_program("lua");
}

#[test]
fn jq_works() {
    real_program("jq");
}

#[test]
fn xmllint_works() {
    real_program("xmllint");
}

#[test]
fn gcc_compiles_and_its_children_are_guarded() {
    real_program("gcc");
}

#[test]
fn gxx_compiles() {
    real_program("g++");
}

#[test]
fn clang_compiles() {
    real_program("clang");
}

#[test]
fn z3_proves() {
    real_program("z3");
}

#[test]
fn ghostscript_draws() {
    real_program("gs");
}

#[test]
fn node_runs_on_the_heap() {
    real_program("node");
}

#[test]
fn redis_serves_its_benchmark_and_forks_a_snapshot() {
    real_program("redis");
}

// Small programs that are hard on an allocator

fn run(words: &[String]) -> Output {
    start::output(Command::new(&words[0]).args(&words[1..]))
}

/// Runs a compiled program plainly, under the finder and on the heap with the same arguments.
/// `status` is what a shell would call its exit status.
fn all_ways(program: &Path, arguments: &[&str], finder_only: &[&str], status: i32) {
    let report = program.with_extension("json");
    let text = |word: &str| word.to_string();
    let mut plain = vec![program.to_str().expect("the path of this test is text").to_string()];
    plain.extend(arguments.iter().copied().map(text));
    let mut found = [finder(&report), plain.clone()].concat();
    found.extend(finder_only.iter().copied().map(text));
    let heap = [on_heap(), plain.clone()].concat();
    let plain = run(&plain);
    if plain.status.code() == Some(LACKS) {
        let said = String::from_utf8_lossy(&plain.stdout);
        println!("skipped: {} ({})", program.display(), said.trim());
        return;
    }
    assert_eq!(shell_status(plain.status), status, "plain: {}", described(&plain));
    for (name, words) in [("finder", found), ("heap", heap)] {
        let other = run(&words);
        assert_no_report(&report, &other);
        assert_eq!(shell_status(other.status), status, "{name}: {}", described(&other));
        let stderr = String::from_utf8_lossy(&other.stderr);
        assert_same(name, &plain.stdout, &other.stdout, &stderr);
    }
}

fn small_program(name: &str, status: i32) {
    let program = directory(name).join(name);
    if compile(&format!("{name}.c"), &program, &[]) {
        all_ways(&program, &[], &[], status);
    }
}

#[test]
fn threads_keep_the_contents_of_their_blocks() {
    small_program("threads", 0);
}

#[test]
fn forks_and_execs_beside_a_busy_thread() {
    small_program("fork_exec", 0);
}

#[test]
fn forks_while_four_threads_allocate() {
    small_program("fork_storm", 0);
}

#[test]
fn threads_end_early_and_vfork_beside_them() {
    small_program("ended_early", 0);
}

#[test]
fn random_calls_of_the_family_keep_every_pattern() {
    let program = directory("stress").join("stress");
    if compile("stress.c", &program, &[]) {
        for threads in ["2", "8"] {
            all_ways(&program, &[threads], &[], 0);
        }
    }
}

#[test]
fn operators_of_cxx_in_all_forms() {
    for name in ["operators", "replaced"] {
        let program = directory(name).join(name);
        if compile(&format!("{name}.cc"), &program, &["-Wno-sized-deallocation"]) {
            all_ways(&program, &[], &[], 0);
        }
    }
}

#[test]
fn success_keeps_errno() {
    small_program("errno_kept", 0);
}

#[test]
fn every_form_of_malloc_keeps_its_alignment_and_room() {
    small_program("family", 0);
}

#[test]
fn what_cannot_be_served_is_refused_as_glibc_does() {
    small_program("refusals", 0);
}

#[test]
fn realloc_and_calloc_keep_their_promises() {
    small_program("contents", 0);
}

#[test]
fn libc_itself_may_use_malloc() {
    small_program("libc_users", 0);
}

#[test]
fn faults_of_the_program_itself_stay_its_own() {
    const SIGSEGV: i32 = 11;
    small_program("own_fault", 128 + SIGSEGV);
}

#[test]
fn libraries_come_and_go() {
    let directory = directory("libraries");
    let (program, library) = (directory.join("libraries"), directory.join("library.so"));
    if compile("libraries.c", &program, &[])
        && compile("libraries.c", &library, &["-shared", "-fPIC", "-DLIBRARY"])
    {
        all_ways(&program, &[library.to_str().expect("a path of text")], &[], 0);
    }
}

/// Bytes that the kernel says can be had without swapping.
fn available_len() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[test]
fn a_million_guarded_blocks_live_in_fewer_than_a_hundred_mappings() {
    // A page of memory a block, and page tables.
    const NEEDED: u64 = 5 << 30;
    if available_len().is_none_or(|len| len < NEEDED) {
        println!("skipped: a million guarded blocks need 5 GiB of memory");
        return;
    }
    let program = directory("million").join("million");
    if compile("million.c", &program, &[]) {
        all_ways(&program, &[], &["guarded"], 0);
    }
}
