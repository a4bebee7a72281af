//! The cells again, by hand: asks for an index and a text until its input ends.
//!
//! ```text
//! cargo run --example cell_prompt
//! ```

mod support;

use std::io::{IsTerminal, Write, stdin, stdout};
use support::cells::{CELL, COUNT, Cells, words};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("001-14. {COUNT} cells of {CELL} bytes: C is committed, R is reserved");
    let cells = Cells::reserve(CELL)?.watch()?;
    println!("{}", cells.picture());
    while let Some(index) = ask("index >> ")?
        && let Some(text) = ask("data >> ")?
    {
        match index.parse() {
            Ok(index) if index < COUNT => store(&cells, index, &text),
            _ => println!("an index is a number from 0 to {}", COUNT - 1),
        }
        println!("{}", cells.picture());
    }
    Ok(())
}

fn store(cells: &Cells, index: usize, text: &str) {
    if text.len() >= CELL {
        println!("a text has {} bytes at most", CELL - 1);
        return;
    }
    if let Some(fault) = cells.copy(index, text) {
        println!("{}", words(fault));
        println!("{index} CELL Commit");
    }
    println!("cell {index} is {:?}", cells.text(index));
}

/// One line of the input; `None` at its end. What comes through a pipe is shown as if it were
/// typed.
fn ask(prompt: &str) -> std::io::Result<Option<String>> {
    print!("{prompt}");
    stdout().flush()?;
    let mut line = String::new();
    let ended = stdin().read_line(&mut line)? == 0;
    let line = line.trim();
    if ended || !stdin().is_terminal() {
        println!("{line}");
    }
    Ok((!ended).then(|| line.to_string()))
}
