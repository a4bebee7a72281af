//! Held files while the system's calls fail.

use super::lease::{Leased, OwnFile as OwnedFile};
use crate::error::{Call, Error, Op};
use crate::section::mapped::{Keeps, Mapped};
use crate::section::tests::OwnFile;
use crate::section::{Access, Durability, Exclusive, FreezePolicy, Frozen, Lease, Section};
use crate::sys::inject::{Ledger, Plan, Session};
use crate::sys::{self, Sharing};
use crate::vm::tests::stage::{Absorbed, play};
use core::sync::atomic::{AtomicU32, Ordering};

/// Whatever is refused on the way to a proof, a copy is made instead.
#[test]
fn a_frozen_view() {
    let path = OwnFile::new("story-frozen", 100_000);
    let file = std::fs::File::open(&path.0).expect("it is there");
    let (copied, stays) = ("it is copied instead", "what was given up stays");
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
        rare(Call::VirtualAlloc),
        Absorbed::by(Op::Map, Call::Munmap, stays).on_some_systems(),
        Absorbed::by(Op::Map, Call::UnmapViewOfFile, stays).on_some_systems(),
        Absorbed::by(Op::Map, Call::VirtualFree, stays).on_some_systems(),
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
    let path = OwnFile::new("story-exclusive", 1);
    if let Err(error) = Exclusive::open(&path.0) {
        std::println!("skipped: {error}");
        return;
    }
    play(&[], |stage| {
        // On Windows a view that could not be taken away keeps everybody out of its file.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = OwnFile::new(&std::format!("story-exclusive-{count}"), 100_000);
        let open = || Exclusive::open(&path.0).map_err(of_ours);
        let view = stage.verb(Op::Hold, open)?;
        stage.verb(Op::Flush, || view.flush(0..10, Durability::Data))?;
        stage.leave(|| drop(view));
        Ok(())
    });
}

/// Without a view of ours there is only the lease.
#[test]
fn a_lease() {
    let path = OwnFile::new("story-lease", 100_000);
    let file = std::fs::File::options().read(true).write(true).open(&path.0);
    let file = file.expect("it is there");
    if let Err(error) = Lease::of_file(&file) {
        std::println!("skipped: {error}");
        return;
    }
    play(&[], |stage| {
        let lease = stage.verb(Op::Hold, || Lease::of_file(&file))?;
        stage.leave(|| drop(lease));
        Ok(())
    });
}
