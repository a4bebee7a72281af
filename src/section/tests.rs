//! Sections while the system's calls fail: see `vm::tests::stage` for what is checked.

use super::lease::{Leased, OwnFile as OwnedFile};
use super::mapped::{Keeps, Mapped};
use super::{Access, Durability, Exclusive, FreezePolicy, Frozen, Section};
use crate::error::{Call, Error, Op};
use crate::sys::inject::{Ledger, Plan, Session};
use crate::sys::{self, Sharing};
use crate::vm::tests::stage::{Absorbed, play};
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

#[test]
fn a_racy_view() {
    let path = OwnFile::new("story-racy", 100_000);
    let file = std::fs::File::options().read(true).write(true).open(&path.0).expect("it is there");
    play(&[], |stage| {
        let section = stage.verb(Op::Map, || Section::of_file(&file, Access::Write))?;
        let view = stage.verb(Op::Map, || section.racy::<u32>(0..100_000))?;
        assert_eq!(view.load(24_999)?, 0x0707_0707);
        stage.verb(Op::Flush, || view.flush(0..10, Durability::Data))?;
        stage.leave(|| drop((section, view)));
        Ok(())
    });
}

#[test]
fn a_copy_that_is_committed() {
    let path = OwnFile::new("story-copy", 100_000);
    let file = std::fs::File::options().read(true).write(true).open(&path.0).expect("it is there");
    let looked = "the view is compared with the file instead";
    let copied = "the file is copied into the pages instead";
    let stays = "the twin stays; where nothing is refused any more, without memory";
    let rare = |op, call, why| Absorbed::by(op, call, why).on_some_systems();
    let absorbs = [
        Absorbed::by(Op::Written, Call::Pread, looked),
        rare(Op::Written, Call::Munmap, stays),
        rare(Op::Written, Call::Mmap, stays),
        rare(Op::Written, Call::Mprotect, stays),
        rare(Op::Written, Call::Madvise, stays),
        rare(Op::Written, Call::UnmapViewOfFile, stays),
        Absorbed::by(Op::Discard, Call::Madvise, copied),
        rare(Op::Discard, Call::Munlock, copied),
        rare(Op::Discard, Call::Munmap, stays),
        rare(Op::Discard, Call::Mmap, stays),
        rare(Op::Discard, Call::Mprotect, stays),
        Absorbed::by(Op::Discard, Call::UnmapViewOfFile, stays),
        Absorbed::by(Op::Commit, Call::Pread, looked),
        Absorbed::by(Op::Commit, Call::Madvise, copied),
        rare(Op::Commit, Call::Munlock, copied),
        Absorbed::by(Op::Commit, Call::Munmap, stays),
        rare(Op::Commit, Call::Mmap, stays),
        rare(Op::Commit, Call::Mprotect, stays),
        Absorbed::by(Op::Commit, Call::UnmapViewOfFile, stays),
    ];
    play(&absorbs, |stage| {
        let section = stage.verb(Op::Map, || Section::of_file(&file, Access::Write))?;
        // SAFETY: (1), (2): the file is this test's own; no slice of it is used while it changes.
        let mut view = stage.verb(Op::Map, || unsafe { section.view_copy(0..100_000) })?;
        view[50_000] = view[50_000].wrapping_add(1);
        let dirty = stage.verb(Op::Written, || view.dirty_ranges().next().transpose())?;
        assert!(dirty.is_some_and(|run| run.contains(&50_000)));
        stage.verb(Op::Discard, || view.discard(0..10))?;
        stage.verb(Op::Commit, || view.commit(Durability::Data))?;
        stage.leave(|| drop((section, view)));
        Ok(())
    });
}

/// Whatever is refused on the way to a proof, a copy is made instead.
#[test]
fn a_frozen_view() {
    let path = OwnFile::new("story-frozen", 100_000);
    let file = std::fs::File::open(&path.0).expect("it is there");
    let copied = "it is copied instead";
    let rare = |call| Absorbed::by(Op::Map, call, copied).on_some_systems();
    let absorbs = [
        rare(Call::Openat),
        rare(Call::Fcntl),
        rare(Call::Statx),
        rare(Call::Fstatfs),
        rare(Call::Madvise),
        rare(Call::Mmap),
        rare(Call::Mprotect),
        rare(Call::ReOpenFile),
        Absorbed::by(Op::Map, Call::Munmap, "what was given up stays").on_some_systems(),
    ];
    play(&absorbs, |stage| {
        let freeze = || {
            let view = Frozen::of_range(&file, 70_000..100_000, FreezePolicy::AllowCopy);
            view.map_err(|error| error.as_part_of(Op::Map))
        };
        let view = stage.verb(Op::Map, freeze)?;
        assert_eq!(view[..], [7; 30_000]);
        stage.leave(|| drop(view));
        Ok(())
    });
    play(&[], |stage| {
        let copy = || Frozen::of_file(&file, FreezePolicy::Copy);
        let view = stage.verb(Op::Map, copy)?;
        assert_eq!(view[..], [7; 100_000]);
        stage.leave(|| drop(view));
        Ok(())
    });
}

/// A copy that cannot be laid over a view leaves the view as it was, and nothing else behind.
#[test]
fn a_view_that_is_moved() {
    let bytes = std::vec![7; 100_000];
    for access in [Access::Read, Access::Write] {
        let path = OwnFile::new("story-moved", bytes.len());
        for nth in 1.. {
            let Some(leased) = leased(&path, access) else { return };
            let shown = || {
                let (start, len) = (leased.mapped().as_ptr(), leased.mapped().len());
                // SAFETY: the view is mapped, and nobody writes to it.
                unsafe { core::slice::from_raw_parts(start.as_ptr(), len) }
            };
            let session = Session::open(Plan { nth, count: 1, choice: 0 });
            let end = std::time::Instant::now() + std::time::Duration::from_secs(600);
            let told = leased.entry().move_copy(end);
            let (refused, ledger) = (session.refused(), session.ledger());
            drop(session);
            assert_eq!(shown(), bytes);
            let Some(refused) = refused.first() else {
                told.expect("nothing was refused");
                assert!(nth > 4, "reserve, commit, read, move");
                break;
            };
            let error = told.expect_err("a call was refused");
            assert_eq!(error.call(), refused.call.name());
            assert_eq!(ledger, Ledger::default());
        }
    }
}

/// A leased view of a whole file; `None`, with a message, where there are no leases.
fn leased(path: &OwnFile, access: Access) -> Option<Leased> {
    let mut options = std::fs::File::options();
    let options = options.read(true).write(access == Access::Write);
    let number = sys::into_number(options.open(&path.0).expect("it is there"));
    // SAFETY: (1) opened a moment ago.
    let mut file = unsafe { OwnedFile::new(number) };
    if let Err(error) = file.lease(access) {
        std::println!("skipped: {error}");
        return None;
    }
    // SAFETY: (1) it is open.
    let section = unsafe { Section::from_raw(number, access) }.expect("an open file");
    let sharing = if access == Access::Write { Sharing::Write } else { Sharing::Read };
    let mapped = Mapped::new(&section, section.all(), sharing, Keeps::Nothing).expect("a file");
    let leased = Leased::new(file, mapped, access, std::time::Duration::ZERO);
    Some(leased.expect("a few pages"))
}

/// The library's own error, whatever step of the verb it names.
fn of_ours(error: std::io::Error) -> Error {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    error.expect("the file is there").as_part_of(Op::Hold)
}

/// Without a copy every refusal is an error.
#[test]
fn an_exclusive_view() {
    let path = OwnFile::new("story-exclusive", 10);
    if let Err(error) = Exclusive::open(&path.0) {
        std::println!("skipped: {error}");
        return;
    }
    let count = core::cell::Cell::new(0);
    play(&[], |stage| {
        // A view that the system refused to take away keeps its file in use.
        count.set(count.get() + 1);
        let path = OwnFile::new(&std::format!("story-exclusive-{}", count.get()), 100_000);
        let open = || Exclusive::open(&path.0).map_err(of_ours);
        let view = stage.verb(Op::Hold, open)?;
        stage.verb(Op::Flush, || view.flush(0..10, Durability::Data))?;
        stage.leave(|| drop(view));
        Ok(())
    });
}
