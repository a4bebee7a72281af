//! Two processes share memory: "special cases, such as sharing memory between processes".
//!
//! ```text
//! cargo run --example shared_counter
//! ```
//! It starts itself once more, as the child.

use granule::section::Racy;
use granule::section::shared::{Held, SharedMemory};
use std::io::{BufRead, BufReader, Lines, Write, stdin};
use std::process::{Child, ChildStdout, Command, Stdio};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const TIMES: u64 = 100_000;

/// What lies in the memory: a lock of 64 bytes, and numbers behind it.
const LOCK: usize = 0;
const NUMBERS: std::ops::Range<u64> = 64..128;
const ATOMIC: usize = 0;
const LOCKED: usize = 1;

fn numbers(memory: &SharedMemory) -> Result<Racy<u64>> {
    Ok(memory.section().racy(NUMBERS)?)
}

/// What both do.
fn count(memory: &SharedMemory) -> Result<()> {
    let numbers = numbers(memory)?;
    for _ in 0..TIMES {
        numbers.fetch_add(ATOMIC, 1)?;
    }
    let lock = memory.lock(LOCK)?;
    for _ in 0..TIMES {
        let _held = lock.lock(None)?;
        numbers.store(LOCKED, numbers.load(LOCKED)? + 1)?;
    }
    Ok(())
}

/// The child: counts; when it is told to, it takes the lock, and never lets go of it. Not before:
/// the parent needs the lock until it has counted, too.
fn child(name: &str) -> Result<()> {
    let memory = SharedMemory::open(name)?;
    count(&memory)?;
    println!("counted");
    stdin().read_line(&mut String::new())?;
    let lock = memory.lock(LOCK)?;
    let _held = lock.lock(None)?;
    println!("held");
    // It is killed here.
    stdin().read_line(&mut String::new())?;
    Ok(())
}

/// Starts the child; what it says comes line by line.
fn start(name: &str) -> Result<(Child, Lines<BufReader<ChildStdout>>)> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut child = command.arg(name).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let said = child.stdout.take().ok_or("it was asked for")?;
    Ok((child, BufReader::new(said).lines()))
}

fn main() -> Result<()> {
    if let Some(name) = std::env::args().nth(1) {
        return child(&name);
    }
    let name = format!("granule-example-{}", std::process::id());
    let memory = match SharedMemory::create(&name, 128) {
        Err(error) if error.kind() == granule::ErrorKind::Unsupported => {
            println!("skipped: {error}");
            return Ok(());
        }
        made => made?,
    };
    println!("003-2. Two processes share memory by its name");
    println!(
        "made: {} bytes, the first number is {}",
        memory.len(),
        numbers(&memory)?.load(ATOMIC)?
    );
    let (mut other, mut said) = start(&name)?;
    count(&memory)?;
    println!("the child: {}", said.next().ok_or("it said nothing")??);
    let numbers = numbers(&memory)?;
    println!("each added 1, {TIMES} times, in one step: {}", numbers.load(ATOMIC)?);
    println!("each added 1, {TIMES} times, under a lock: {}", numbers.load(LOCKED)?);

    other.stdin.as_mut().ok_or("it was asked for")?.write_all(b"take the lock\n")?;
    println!("the child: {}", said.next().ok_or("it said nothing")??);
    let lock = memory.lock(LOCK)?;
    println!("the lock can be had: {}", lock.try_lock()?.is_some());
    other.kill()?;
    other.wait()?;
    println!("the child was killed");
    println!("the lock can be had: {}", matches!(lock.lock(None)?, Held::Abandoned(_)));
    drop(lock);
    drop((numbers, memory));
    println!("the name is free: {}", SharedMemory::open(&name).is_err());
    Ok(())
}
