//! The arrays while the system's calls fail: see `vm::tests::stage` for what is checked.

use super::*;
use crate::error::{Call, Op};
use crate::vm::tests::stage::{Absorbed, play};

/// Where to reserve is tried first at a place of our choice.
const PLACE: Absorbed =
    Absorbed::by(Op::Reserve, Call::VirtualAlloc, "the system chooses instead").on_some_systems();

/// A region lives from its first call to its last while some of them fail; what it could not make
/// is not there, and what it made can be used.
#[test]
fn regions_of_every_engine() {
    let in_place = "emptied in place instead, which keeps the charge";
    let locked = "locked pages take no guards: unlocked first";
    let by_mincore = "counted by mincore";
    let absorbed = [
        PLACE,
        Absorbed::by(Op::Decommit, Call::Mmap, in_place).on_some_systems(),
        // Where there are no markers a guard is a decommit.
        Absorbed::by(Op::Reserve, Call::Mmap, in_place).on_some_systems(),
        Absorbed::by(Op::Reserve, Call::Madvise, locked).on_some_systems(),
        Absorbed::by(Op::Decommit, Call::Madvise, locked).on_some_systems(),
        Absorbed::by(Op::Query, Call::Ioctl, by_mincore).on_some_systems(),
        Absorbed::by(Op::Query, Call::Openat, by_mincore).on_some_systems(),
        Absorbed::by(Op::Query, Call::Fcntl, by_mincore).on_some_systems(),
    ];
    play(&absorbed, |stage| {
        for engine in [Engine::Demand, Engine::Guard, Engine::Mprotect] {
            let page_len = crate::sys::limits().page_len;
            let builder = FaultRegion::builder().len(8 * page_len).engine(engine);
            let make = || builder.chunk_len(2 * page_len).make();
            let mut region = stage.verb(Op::Reserve, make)?;
            let prepared = stage.verb(Op::Commit, || region.prepare_for_io(0..3 * page_len));
            if prepared.is_ok() {
                // SAFETY: the first three pages are committed, and the region is ours.
                unsafe { region.as_ptr().write(1) };
            }
            prepared?;
            stage.verb(Op::Query, || region.committed_pages())?;
            let reset = stage.verb(Op::Decommit, || region.reset(0..page_len));
            // Even if it was refused half way.
            stage.verb(Op::Commit, || region.prepare_for_io(0..page_len))?;
            // SAFETY: as above.
            unsafe { region.as_ptr().write(1) };
            if engine != Engine::Demand {
                assert_eq!(region.committed_pages(), Ok(4), "none is counted twice");
            }
            reset?;
            stage.leave(|| drop(region));
        }
        Ok(())
    });
}
