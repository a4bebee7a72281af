//! Ten cells of 4091 bytes, committed when a text does not fit into what is committed: memory comes
//! in whole pages, whatever the size of a cell.

mod support;

use support::cells::{CELL, COUNT, Cells};

fn main() -> Result<(), granule::Error> {
    println!("001-8. {COUNT} cells of {CELL} bytes, reserved only");
    let cells = Cells::reserve()?;
    match cells.copy(0, "hello") {
        Ok(()) => println!("   no fault"),
        Err(fault) => println!("   {} cell 0 <- \"hello\": {fault}", cells.picture()),
    }

    println!("001-9. Where a copy faults the cell is committed, and copied again");
    println!("001-10. Cell 1 begins in page 0: a short text needs no page of its own");
    put(&cells, 0, "hello")?;
    put(&cells, 1, "aaa")?;

    println!("001-11. A longer text reaches page 1");
    put(&cells, 1, "hello!!")?;
    println!("   cell 0 is {:?}, cell 1 is {:?}", cells.text(0), cells.text(1));
    drop(cells);

    println!("001-12. Cell 1 first: its commit covers pages 0 and 1, and so cell 0");
    let cells = Cells::reserve()?;
    put(&cells, 1, "hello")?;
    put(&cells, 0, "world")?;
    println!("   cell 0 is {:?}, cell 1 is {:?}", cells.text(0), cells.text(1));

    println!("001-13. Memory comes in whole pages: {COUNT} cells of {CELL} bytes");
    for index in 0..COUNT {
        cells.commit(index)?;
        println!("   {} commit cell {index}", cells.picture());
    }
    Ok(())
}

/// Copies a text into a cell; if that faults, commits the cell and copies again.
fn put(cells: &Cells, index: usize, text: &str) -> Result<(), granule::Error> {
    let before = cells.picture();
    let answer = match cells.copy(index, text) {
        Ok(()) => "no fault".to_string(),
        Err(fault) => {
            cells.commit(index)?;
            cells.copy(index, text).map_or_else(
                |again| again.to_string(),
                |()| format!("{fault}; {index} CELL Commit"),
            )
        }
    };
    println!("   {before} -> {}  cell {index} <- {text:?}: {answer}", cells.picture());
    Ok(())
}
