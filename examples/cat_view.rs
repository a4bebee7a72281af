//! A file as memory, in the three steps of the notes: `CreateFile`, `CreateFileMapping`,
//! `MapViewOfFile`. What is read is the file, and what is written is written to it.
//!
//! `cargo run --example cat_view -- FILE` prints a file of yours that way, as `cat` does.

use granule::section::{Access, Durability, Section, View};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let (path, told) = match std::env::args_os().nth(1) {
        Some(path) => (PathBuf::from(&path), print(Path::new(&path))),
        None => {
            let name = format!("granule-cat-view-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let told = tell(&path);
            (path.clone(), told.and(std::fs::remove_file(&path)))
        }
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cat_view: {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}

/// Read by the system, not through the view.
fn first_line(path: &Path) -> std::io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn print(path: &Path) -> std::io::Result<()> {
    // SAFETY: (1), (2): as with `cat`, whoever changes or shortens the file meanwhile spoils it.
    let view = unsafe { View::open(path) }?;
    std::io::stdout().write_all(&view)
}

fn tell(path: &Path) -> std::io::Result<()> {
    std::fs::write(path, "a file\nis memory\nthat has a name\n")?;
    println!("004-12. CreateFile: the file is opened");
    let file = File::options().read(true).write(true).open(path)?;

    println!("004-12. CreateFileMapping: a section, as long as the file is");
    let section = Section::of_file(&file, Access::Write)?;
    println!("   {} bytes", section.len());

    println!("004-10, 004-12. MapViewOfFile: its bytes have addresses now, nothing was copied");
    // SAFETY: (1), (2): the file is this program's own, and changed below when the view is gone.
    let view = unsafe { section.view(0..section.len()) }?;
    std::io::stdout().write_all(&view)?;
    drop(view);

    println!("004-10. A part of it, from any offset: the view begins at byte 10");
    // SAFETY: (1), (2): as above.
    let word = unsafe { section.view(10..16) }?;
    println!("   {:?}", String::from_utf8_lossy(&word));
    drop(word);

    println!("002-13. Read and write: what is written to the view is written to the file");
    // SAFETY: (1) to (3): the file is this program's own, and this is its only view.
    let mut view = unsafe { section.view_mut(0..section.len()) }?;
    view.make_ascii_uppercase();
    println!("   the file begins {:?}", first_line(path)?);

    println!("002-13. The file can be closed; section and view keep it");
    drop(file);
    view[0] = b'*';
    view.flush(0..1, Durability::Data)?; // on the disk, should the power fail now
    println!("   the file begins {:?}", first_line(path)?);

    println!("002-13. UnmapViewOfFile, CloseHandle: the drops");
    drop((view, section));

    println!("002-13. A file of no bytes has a view of no bytes");
    std::fs::write(path, "")?;
    // SAFETY: (1), (2): as above.
    let empty = unsafe { View::open(path) }?;
    println!("   {} bytes", empty.len());
    Ok(())
}
