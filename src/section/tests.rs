//! Sections while the system's calls fail: see `vm::tests::stage` for what is checked.

use super::{Access, Durability, Section};
use crate::error::Op;
use crate::vm::tests::stage::play;
use std::path::PathBuf;

/// A file of the test's own, removed when this is dropped.
struct OwnFile(PathBuf);

impl OwnFile {
    fn new(name: &str, len: usize) -> Self {
        let name = std::format!("granule-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, std::vec![7; len]).expect("the folder takes one");
        OwnFile(path)
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn views_of_a_file() {
    let path = OwnFile::new("story-views", 200_000);
    let file = std::fs::File::options().read(true).write(true).open(&path.0).expect("it is there");
    play(&[], |stage| {
        let section = stage.verb(Op::Map, || Section::of_file(&file, Access::Write))?;
        // SAFETY: (1), (2): the file is this test's own, and does not change.
        let read = stage.verb(Op::Map, || unsafe { section.view(70_000..70_001) })?;
        assert_eq!(read[..], [7]);
        // SAFETY: (1), (2): as above.
        let mut copy = stage.verb(Op::Map, || unsafe { section.view_copy(0..10) })?;
        copy[3] = 9;
        // SAFETY: (1) to (3): these bytes are mapped once.
        let write = stage.verb(Op::Map, || unsafe { section.view_mut(100_000..200_000) })?;
        stage.verb(Op::Flush, || write.flush(5000..6000, Durability::Data))?;
        stage.verb(Op::Flush, || write.flush(5000..6000, Durability::Full))?;
        stage.leave(|| drop((section, read, copy, write)));
        Ok(())
    });
}

#[test]
fn views_of_memory() {
    play(&[], |stage| {
        let section = stage.verb(Op::Map, || Section::anonymous(100_000))?;
        // SAFETY: (1) to (3): nobody else knows this memory.
        let mut view = stage.verb(Op::Map, || unsafe { section.view_mut(0..100_000) })?;
        view[99_999] = 1;
        stage.leave(|| drop((section, view)));
        Ok(())
    });
}
