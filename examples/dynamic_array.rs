//! The notes' dynamic array: reserved for five pages, committed where it is touched, page by page.
//!
//! The notes do this with `__try` and `__except`, whose filter prints these very messages. It
//! commits the *next* page, whichever was touched, and so is out of pages at once if the array is
//! not filled from its beginning. A `FaultVec` commits the page that was touched.

mod support;

use granule::array::{Decision, Engine, FaultVec, Touch};
use granule::vm::{self, Name};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{PAGE, picture};

const MAX_PAGE: usize = 5;
const PER_PAGE: usize = PAGE / size_of::<i32>();

static FAULTS: AtomicUsize = AtomicUsize::new(0);

/// The filter of the notes. It may print: the touches here are made in the middle of nothing.
fn filter(touch: &Touch) -> Decision {
    FAULTS.fetch_add(1, Ordering::Relaxed);
    println!("Exception is a page fault");
    if touch.wanted == 0 {
        println!("Exception: out of pages");
        return Decision::Refuse;
    }
    println!("Allocating another page.");
    Decision::Commit
}

fn array(pages: usize) -> Result<FaultVec<i32>, granule::Error> {
    let builder = FaultVec::builder().len(pages * PER_PAGE).name(Name::new(b"array"));
    let builder = builder.engine(Engine::Mprotect).chunk_len(PAGE).pages_max(MAX_PAGE);
    builder.on_touch(filter).make()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().nth(1).is_some_and(|word| word == "fill-six") {
        // As in the notes: the process ends where it is out of pages.
        array(MAX_PAGE + 1)?.iter_mut().zip(0..).for_each(|(place, number)| *place = number);
        return Err("the sixth page was not refused".into());
    }
    println!("002-10. {MAX_PAGE} pages of numbers, filled from the beginning");
    println!("the page has {} bytes, the granularity {}", PAGE, vm::info().granularity);
    let mut numbers = array(MAX_PAGE)?;
    let show = |numbers: &FaultVec<i32>| picture(numbers.as_ptr().addr(), MAX_PAGE);
    println!("   {}", show(&numbers));
    for index in 0..numbers.len() {
        numbers[index] = index as i32;
    }
    println!("   {} {} faults", show(&numbers), FAULTS.load(Ordering::Relaxed));
    let right = numbers.iter().copied().eq(0..numbers.len() as i32);
    println!("{} .. {}, all of them right: {right}", numbers[0], numbers[numbers.len() - 1]);
    drop(numbers);
    println!("Release Success!");

    println!("002-11. The sixth page ends the process");
    let ended = Command::new(std::env::current_exe()?).arg("fill-six").output()?;
    print!("{}", String::from_utf8_lossy(&ended.stdout));
    let said = String::from_utf8_lossy(&ended.stderr);
    let why = said.lines().next().unwrap_or_default().rsplit_once(", page ");
    println!("it ended well: {}; page {}", ended.status.success(), why.unwrap_or_default().1);

    println!("002-12. In any order: the page that was touched");
    let mut numbers = array(MAX_PAGE)?;
    for page in [4, 1, 2] {
        numbers[page * PER_PAGE + 7] = 1;
        println!("   {} page {page}", show(&numbers));
    }
    println!("   {} pages committed", numbers.committed_pages()?);
    Ok(())
}
