//! From the fault to the finished report: a run with a crime, less the same run without it.

use crate::Result;
use crate::flags::Flags;
use crate::machine::Machine;
use crate::measure::{self, Run};
use crate::results::{Table, publish};
use crate::statistics::median;
use crate::tools;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that commits its crime when it gets an argument.
#[derive(Clone, Debug, Serialize)]
struct Case {
    name: &'static str,
    /// The length of the program's file, in bytes.
    file_len: u64,
    #[serde(skip)]
    program: PathBuf,
    clean: Vec<Run>,
    crime: Vec<Run>,
}

#[derive(Serialize)]
struct Measured<'a> {
    machine: &'a Machine,
    cases: &'a [Case],
}

/// The sources beside this file: their names, and the commands that compile them.
const SOURCES: [(&str, &str, &[&str]); 3] = [
    ("C, overflow", "overflow.c", &["cc", "-g", "-O1", "-fno-builtin"]),
    ("C++, use after free", "after_free.cpp", &["c++", "-g", "-O1"]),
    ("Rust, use after free", "after_free.rs", &["rustc", "-g", "--edition=2024"]),
];

/// Functions of the large C program: 42,000 lines.
const FUNCTIONS: &str = "2000";

/// Measures and publishes.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    let machine = Machine::look();
    let granule = tools::granule()?;
    let folder = std::env::temp_dir().join(format!("granule-report-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let cases = measure_all(flags, &machine, &granule, &folder);
    fs::remove_dir_all(&folder)?;
    let cases = cases?;
    let text = describe(&machine, flags, &cases);
    let measured = Measured { machine: &machine, cases: &cases };
    publish(flags.result_name("report").as_deref(), &text, &measured)
}

fn measure_all(flags: &Flags, machine: &Machine, granule: &str, at: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (name, source, compiler) in SOURCES {
        let source = tools::root().join("bench/src/crimes").join(source);
        cases.extend(Case::compile(name, &source, compiler, at)?);
    }
    cases.extend(Case::compile("C, 42,000 lines", &large(at)?, &["cc", "-g", "-O0"], at)?);
    let mut random = machine.random();
    for round in 1..=flags.rounds {
        let both = |case| [(case, false), (case, true)];
        let mut order: Vec<(usize, bool)> = (0..cases.len()).flat_map(both).collect();
        random.shuffle(&mut order);
        for (case, crime) in order {
            let case = &mut cases[case];
            let run = case.once(granule, crime, at, flags)?;
            let kind = if crime { "with" } else { "without" };
            eprintln!(
                "round {round}: {} {kind} crime: {}, {:.3} s",
                case.name, run.end, run.seconds
            );
            if crime { case.crime.push(run) } else { case.clean.push(run) }
        }
    }
    Ok(cases)
}

/// Writes the source of the large program: generated functions, and a crime that calls one.
fn large(folder: &Path) -> Result<PathBuf> {
    let generator = tools::root().join("scripts/real/generate.pl");
    let output = Command::new("perl").arg(generator).args(["c", FUNCTIONS]).output()?;
    let mut text = String::from_utf8(output.stdout)?;
    text += &fs::read_to_string(tools::root().join("bench/src/crimes/large_end.c"))?;
    let path = folder.join("large.c");
    fs::write(&path, text)?;
    Ok(path)
}

impl Case {
    /// None, with a sentence, without the compiler.
    fn compile(
        name: &'static str,
        source: &Path,
        compiler: &[&str],
        folder: &Path,
    ) -> Result<Option<Case>> {
        let program = folder.join(name);
        let mut command = Command::new(compiler[0]);
        command.args(&compiler[1..]).arg(source).arg("-o").arg(&program).current_dir(folder);
        let Ok(output) = command.output() else {
            eprintln!("skipped: {name} ({} is not installed)", compiler[0]);
            return Ok(None);
        };
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let file_len = fs::metadata(&program)?.len();
        Ok(Some(Case { name, file_len, program, clean: Vec::new(), crime: Vec::new() }))
    }

    fn once(&self, granule: &str, crime: bool, folder: &Path, flags: &Flags) -> Result<Run> {
        let record = folder.join("record");
        let wrapper = measure::wrapper(&record, flags.timeout)?;
        Command::new(&wrapper[0])
            .args(&wrapper[1..])
            .args([granule, "stomp", "--"])
            .arg(&self.program)
            .args(crime.then_some("crime"))
            .output()?;
        let run = measure::recorded(&record)?.pop().ok_or("a run left no record")?;
        fs::remove_file(record)?;
        Ok(run)
    }
}

fn describe(machine: &Machine, flags: &Flags, cases: &[Case]) -> String {
    let names = ["program", "its file", "without crime", "with crime", "the report", "exit status"];
    let mut table = Table::new(names);
    let milliseconds = |runs: &[Run]| {
        let times: Vec<f64> = runs.iter().map(|run| run.seconds * 1000.0).collect();
        median(&times).unwrap_or(f64::NAN)
    };
    for case in cases {
        let (clean, crime) = (milliseconds(&case.clean), milliseconds(&case.crime));
        let ends = [&case.clean, &case.crime].map(|runs| runs[0].end.to_string());
        table.row([
            case.name.to_string(),
            format!("{} KB", case.file_len / 1000),
            format!("{clean:.0} ms"),
            format!("{crime:.0} ms"),
            format!("{:.0} ms", crime - clean),
            ends.join(", "),
        ]);
    }
    format!(
        "# From the fault to the finished report\n\n{}- median of {} rounds of `granule stomp`; \
         the report is the difference of the two times\n\n{}",
        machine.markdown(),
        flags.rounds,
        table.markdown()
    )
}
