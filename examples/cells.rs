//! Ten cells of 4091 bytes, committed when a text does not fit into what is committed: memory comes
//! in whole pages, whatever the size of a cell.

mod support;

use support::PAGE;
use support::cells::{CELL, COUNT, Cells, words};

fn main() -> Result<(), granule::Error> {
    println!("001-8. {COUNT} cells of {CELL} bytes, reserved only");
    let cells = Cells::reserve(CELL)?;
    let fault = cells.copy(0, "hello").map_or("no fault".to_string(), words);
    println!("   {} cell 0 <- \"hello\": {fault}", cells.picture());

    println!("001-9. Where a copy faults the cell is committed, and the copy goes on");
    let cells = cells.watch()?;
    println!("001-10. Cell 1 begins in page 0: a short text needs no page of its own");
    put(&cells, 0, "hello");
    put(&cells, 1, "aaa");

    println!("001-11. A longer text reaches page 1");
    put(&cells, 1, "hello!!");
    println!("   cell 0 is {:?}, cell 1 is {:?}", cells.text(0), cells.text(1));

    println!("001-12. Cell 1 first: its commit covers pages 0 and 1, and so cell 0");
    let cells = Cells::reserve(CELL)?.watch()?;
    put(&cells, 1, "hello");
    put(&cells, 0, "world");
    println!("   cell 0 is {:?}, cell 1 is {:?}", cells.text(0), cells.text(1));

    println!("001-13. Memory comes in whole pages: {COUNT} cells of {CELL} bytes");
    for index in 0..COUNT {
        cells.commit(index)?;
        println!("   {} commit cell {index}", cells.picture());
    }

    println!(
        "The same with cells of {PAGE} bytes: each has a page of its own, and pays for itself"
    );
    let cells = Cells::reserve(PAGE)?.watch()?;
    put(&cells, 1, "aaa");
    put(&cells, 0, "hello");
    put(&cells, 9, "hello!!");
    Ok(())
}

/// Copies a text into a cell; if that faults, the cell is committed.
fn put(cells: &Cells, index: usize, text: &str) {
    let before = cells.picture();
    let answer = match cells.copy(index, text) {
        None => "no fault".to_string(),
        Some(fault) => format!("{}; {index} CELL Commit", words(fault)),
    };
    println!("   {before} -> {}  cell {index} <- {text:?}: {answer}", cells.picture());
}
