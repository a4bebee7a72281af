//! Copy on write: a view of a file that may be scribbled on. A page is copied when it is first
//! written, the others stay the file's; the file learns of it when the program says so.

use granule::section::{Access, CowView, Durability, Section};
use std::fs::File;
use std::path::Path;

const PAGE: usize = 4096;

fn main() -> std::io::Result<()> {
    let path = std::env::temp_dir().join(format!("granule-copy-on-write-{}", std::process::id()));
    std::fs::write(&path, [b'.'; 8 * PAGE])?;
    let told = tell(&path);
    std::fs::remove_file(&path)?;
    told
}

fn tell(path: &Path) -> std::io::Result<()> {
    println!("002-13. A file of eight pages, and a copy of it: no byte was copied yet");
    let file = File::options().read(true).write(true).open(path)?;
    let section = Section::of_file(&file, Access::Write)?;
    // SAFETY: (1), (2): the file is this program's own, and only `commit` changes it.
    let mut copy = unsafe { section.view_copy(0..section.len()) }?;
    show(&copy, path)?;

    println!("002-13. Write to pages 1, 2 and 5: these are copied, and the file does not change");
    for page in [1, 2, 5] {
        copy[page * PAGE..][..5].copy_from_slice(b"hello");
    }
    show(&copy, path)?;

    println!("002-13. Forget what was written to page 2: it is the file's again");
    copy.discard(2 * PAGE..3 * PAGE)?;
    show(&copy, path)?;

    println!("002-13. Commit: the two pages are written to the file, and no others");
    let len = copy.commit(Durability::Data)?;
    println!("   {len} bytes were written");
    show(&copy, path)?;

    println!("002-13. Write to page 7, and drop the copy: nobody ever learns of it");
    copy[7 * PAGE] = b'!';
    drop(copy);
    println!("   file  {}", picture(&std::fs::read(path)?));
    Ok(())
}

/// What the copy and the file have, and which pages are the copy's own.
fn show(copy: &CowView, path: &Path) -> std::io::Result<()> {
    let pages = copy
        .dirty_ranges()
        .map(|run| run.map(|run| format!("{}..{}", run.start / PAGE, run.end.div_ceil(PAGE))))
        .collect::<Result<Vec<_>, _>>()?;
    let own = if pages.is_empty() { "none".to_owned() } else { pages.join(", ") };
    println!("   copy  {}  its own pages: {own}", picture(copy));
    println!("   file  {}", picture(&std::fs::read(path)?));
    Ok(())
}

/// One character for each page: its first byte.
fn picture(bytes: &[u8]) -> String {
    let firsts: Vec<u8> = bytes.iter().copied().step_by(PAGE).collect();
    format!("|{}|", String::from_utf8_lossy(&firsts))
}
