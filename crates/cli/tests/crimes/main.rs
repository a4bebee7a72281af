//! Every program of `tests/crimes` under the finder: each crime is reported as `verdicts.toml`
//! says, its innocent twin runs clean, and faults that are no crime of the heap stay what they
//! were.

mod build;
mod judge;
mod run;
mod verdicts;

use run::{Outcome, Way};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use verdicts::{Case, Ending, Placement, Program, Verdict};

#[test]
fn every_crime_is_found_and_every_twin_is_clean() {
    for compiler in build::missing_compilers() {
        println!("skipped: the crimes that need {compiler}, which is not installed");
    }
    let guards = guards();
    let programs = verdicts::programs();
    let queue = Mutex::new(programs.iter());
    let failures = Mutex::new(Vec::new());
    let workers = thread::available_parallelism().map_or(1, |count| count.get());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(program) = next(&queue) {
                    let wrong = Trial { program, guards: &guards }.run();
                    failures.lock().expect("no worker panics with it").extend(wrong);
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no worker panicked with it");
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
}

fn next<'a>(queue: &Mutex<impl Iterator<Item = &'a Program>>) -> Option<&'a Program> {
    queue.lock().expect("no worker panics with it").next()
}

/// The guard kinds that this machine has.
fn guards() -> Vec<&'static str> {
    let output = Command::new(env!("CARGO_BIN_EXE_granule"))
        .args(["info", "--json"])
        .env_remove("GRANULE_GUARD")
        .output()
        .expect("granule can be started");
    let info: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("granule info --json writes JSON");
    if info["guard_markers"].as_bool().expect("it says whether there are guard markers") {
        return vec!["auto", "split"];
    }
    println!("skipped: guard markers, which this kernel does not have");
    vec!["split"]
}

/// All runs of one program.
struct Trial<'a> {
    program: &'a Program,
    guards: &'a [&'static str],
}

impl Trial<'_> {
    /// What is wrong, a line each.
    fn run(&self) -> Vec<String> {
        if !build::can_be_built(&self.program.source) {
            return Vec::new();
        }
        let levels: &[_] = if self.program.optimised { &["-O0", "-O2"] } else { &["-O0"] };
        let mut failures = Vec::new();
        for level in levels {
            let directory = directory(&format!("{}{level}", self.program.source));
            let result = match &self.program.case {
                Case::Crime(verdicts) => self.crime(verdicts, level, &directory),
                Case::NotOurs(ending) => self.not_ours(ending, level, &directory),
            };
            let wrong = result.unwrap_or_else(|error| vec![error]);
            let source = &self.program.source;
            failures.extend(wrong.iter().map(|wrong| format!("{source} {level} {wrong}")));
        }
        failures
    }

    fn crime(
        &self,
        verdicts: &[Verdict],
        level: &str,
        directory: &Path,
    ) -> Result<Vec<String>, String> {
        let crime = build::build(self.program, level, false, directory)?;
        let mut wrong = Vec::new();
        for verdict in verdicts {
            for &guard in self.guards {
                let way = Way { guard, placement: verdict.placement };
                wrong.extend(named(
                    "crime",
                    way,
                    run::under_finder(&crime, way, directory),
                    |is| judge::crime(self.program, verdict, is),
                ));
            }
        }
        let twin = build::build(self.program, level, true, directory)?;
        let native = run::natively(&twin, directory)?;
        if native.exit != 0 {
            wrong.push(format!("twin, natively: the exit status is {}", native.exit));
        }
        wrong.extend(self.stays_clean("twin", &twin, &native, directory));
        Ok(wrong)
    }

    fn not_ours(
        &self,
        ending: &Ending,
        level: &str,
        directory: &Path,
    ) -> Result<Vec<String>, String> {
        let program = build::build(self.program, level, false, directory)?;
        let native = run::natively(&program, directory)?;
        let mut wrong = self.stays_clean("program", &program, &native, directory);
        if native.exit != ending.exit {
            let (must, is) = (ending.exit, native.exit);
            wrong.push(format!("natively: the exit status must be {must} and is {is}"));
        }
        let Some(words) = &ending.stderr else {
            return Ok(wrong);
        };
        for way in self.ways() {
            wrong.extend(named(
                "program",
                way,
                run::under_finder(&program, way, directory),
                |is| {
                    let is_there = is.stderr.contains(words);
                    (!is_there)
                        .then(|| format!("stderr does not say {words:?}"))
                        .into_iter()
                        .collect()
                },
            ));
        }
        Ok(wrong)
    }

    fn stays_clean(
        &self,
        who: &str,
        executable: &build::Executable,
        native: &Outcome,
        directory: &Path,
    ) -> Vec<String> {
        let judge = |is: &Outcome| judge::clean(native, is);
        self.ways()
            .flat_map(|way| named(who, way, run::under_finder(executable, way, directory), judge))
            .collect()
    }

    fn ways(&self) -> impl Iterator<Item = Way> + '_ {
        Placement::ALL
            .into_iter()
            .flat_map(|placement| self.guards.iter().map(move |&guard| Way { guard, placement }))
    }
}

/// The sentences of `judge` on an outcome, with who and how in front.
fn named(
    who: &str,
    way: Way,
    outcome: Result<Outcome, String>,
    judge: impl FnOnce(&Outcome) -> Vec<String>,
) -> Vec<String> {
    let sentences = match &outcome {
        Ok(outcome) => judge(outcome),
        Err(error) => vec![error.clone()],
    };
    let Way { guard, placement } = way;
    sentences.iter().map(|it| format!("{who}, {placement:?}, guard {guard}: {it}")).collect()
}

/// An empty directory of its own for one program.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crimes").join(name);
    if path.exists() {
        fs::remove_dir_all(&path).expect("an old directory of this test can be removed");
    }
    fs::create_dir_all(&path).expect("a directory for this test can be made");
    path
}

#[test]
fn every_source_has_a_verdict() {
    let programs = verdicts::programs();
    let judged: BTreeSet<&str> = programs.iter().flat_map(Program::files).collect();
    let known = |name: &String| name == "verdicts.toml" || name == "twin.h";
    let present: BTreeSet<String> = fs::read_dir(verdicts::folder())
        .expect("the folder of the crimes is there")
        .map(|entry| entry.expect("it can be listed").file_name().to_string_lossy().into_owned())
        .filter(|name| !known(name))
        .collect();
    assert_eq!(judged, present.iter().map(String::as_str).collect());
}

#[test]
fn every_crime_is_one_and_small() {
    let programs = verdicts::programs();
    for program in &programs {
        for file in program.files() {
            let text = fs::read_to_string(verdicts::folder().join(file)).expect("it can be read");
            assert!(text.lines().count() <= 25, "{file} has more than 25 lines");
        }
        let source = &program.source;
        let guilty = program.marks("CRIME").len();
        let Case::Crime(verdicts) = &program.case else {
            assert_eq!(guilty, 0, "{source}");
            continue;
        };
        assert_eq!(guilty, 1, "{source} must mark one guilty line");
        let late = verdicts
            .iter()
            .any(|verdict| verdict.kind == "slack-overwrite" && !verdict.row.at_exit);
        assert_eq!(program.marks("FOUND").len(), usize::from(late), "{source}");
        let text = fs::read_to_string(verdicts::folder().join(source)).expect("it can be read");
        let has_twin = text.contains("TWIN(") || text.contains("cfg!(innocent)");
        assert!(has_twin || program.library.is_some(), "{source} has no twin");
    }
}
