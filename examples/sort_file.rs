//! Sorts a file by sorting memory. Without a map that would be: load the file, sort, store it. With
//! one there is nothing to load and nothing to store: the file is mapped, sorted, done.

use granule::section::{Access, Durability, Section, ViewMut};
use std::fs::{self, File};
use std::path::Path;

/// Numbers in the file.
const COUNT: u32 = 100_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::temp_dir().join(format!("granule-sort-file-{}", std::process::id()));
    fs::write(&path, numbers())?;
    let told = tell(&path);
    fs::remove_file(&path)?;
    told
}

fn tell(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let before = fs::read(path)?;
    println!("004-12. The steps of a memory-mapped file");
    let file = File::options().read(true).write(true).open(path)?;
    println!("   CreateFile: {} bytes, {COUNT} numbers", file.metadata()?.len());
    let section = Section::of_file(&file, Access::Write)?;
    println!("   CreateFileMapping: {} bytes may be mapped", section.len());
    // SAFETY: (1) to (3): the file is this program's own, and mapped once.
    let mut view = unsafe { section.view_mut(0..section.len()) }?;
    println!("   MapViewOfFile: {} bytes of memory", view.len());
    show("the memory is the file", &view);

    println!("004-11. Sort a file: map, sort, done");
    let (elements, _) = view.as_chunks_mut::<4>();
    elements.sort_unstable_by_key(|bytes| u32::from_le_bytes(*bytes));
    show("the memory", &view);
    check(path, &before)?;

    println!("004-11. It is written back when the system finds the time, or at a word");
    view.flush(0..view.len(), Durability::Data)?;
    println!("   flush: the disk has it");
    change_one(&mut view);
    show("one number changed in memory", &view);
    drop((view, section, file));
    show("UnmapViewOfFile; the file", &fs::read(path)?);
    Ok(())
}

/// Whether the file, as anybody reads it, is sorted and has the numbers it had.
fn check(path: &Path, before: &[u8]) -> std::io::Result<()> {
    let after = fs::read(path)?;
    show("the file, read again", &after);
    let values = |bytes: &[u8]| -> Vec<u32> {
        bytes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
    };
    let (mut before, after) = (values(before), values(&after));
    println!("   in order: {}", after.is_sorted());
    before.sort_unstable();
    println!("   the same numbers: {}", before == after);
    Ok(())
}

fn change_one(view: &mut ViewMut) {
    view[..4].copy_from_slice(&7_u32.to_le_bytes());
}

/// The first numbers.
fn show(what: &str, bytes: &[u8]) {
    let (numbers, _) = bytes.as_chunks();
    let first: Vec<u32> = numbers.iter().take(4).map(|bytes| u32::from_le_bytes(*bytes)).collect();
    println!("   {what}: {first:?} ..");
}

/// Numbers in no order, little-endian: those of the generator in Numerical Recipes.
fn numbers() -> Vec<u8> {
    let next = |number: &u32| Some(number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let numbers = std::iter::successors(Some(1), next);
    numbers.take(COUNT as usize).flat_map(u32::to_le_bytes).collect()
}
