//! Floor 4, uses floors 0 to 3. Shared memory while the system's calls fail: see
//! `vm::tests::stage` for what is checked.

use super::{Consumer, Producer, Reset, SharedMemory};
use crate::error::{Call, Error, ErrorKind, Op};
use crate::vm::tests::stage::{Absorbed, play};
use core::time::Duration;
use std::string::String;

/// A name of the test's own. What a refused call leaves of it is removed in the end.
struct OwnName(String);

impl OwnName {
    fn new(what: &str) -> Option<Self> {
        let name = OwnName(std::format!("granule-story-{what}-{}", std::process::id()));
        match SharedMemory::open(&name.0) {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                std::println!("skipped: {error}");
                None
            }
            _ => Some(name),
        }
    }
}

impl Drop for OwnName {
    fn drop(&mut self) {
        // Opening what nobody uses removes it.
        let told = SharedMemory::open(&self.0).map(drop);
        assert!(told.is_err_and(|error| error.kind() != ErrorKind::AlreadyExists));
    }
}

/// Success, or a time that is over.
fn in_time<T>(told: Result<T, Error>) -> Result<Option<T>, Error> {
    match told {
        Ok(got) => Ok(Some(got)),
        Err(error) if error.kind() == ErrorKind::TimedOut => Ok(None),
        Err(error) => Err(error),
    }
}

const SHORT: Option<Duration> = Some(Duration::from_millis(1));

/// What is left of an earlier play under this name, which a refused call has left there; and the
/// start of this process, of which 0 is told then.
const LEFT: [Absorbed; 4] = [
    Absorbed::by(Op::Share, Call::Fallocate, "its length is set, without a promise")
        .on_some_systems(),
    Absorbed::by(Op::Share, Call::Read, "0 stands for the start of the process").on_some_systems(),
    Absorbed::by(Op::Share, Call::Openat, "what was to be removed is not there").on_some_systems(),
    Absorbed::by(Op::Share, Call::UnmapViewOfFile, "a page stays").on_some_systems(),
];

#[test]
fn a_name_and_a_seat() {
    let Some(name) = OwnName::new("name") else { return };
    play(&LEFT, |stage| {
        let memory = stage.verb(Op::Share, || SharedMemory::create(&name.0, 100_000))?;
        let same = stage.verb(Op::Share, || SharedMemory::open(&name.0))?;
        let creator = stage.verb(Op::Share, || same.creator())?;
        assert!(creator.is_some_and(|creator| creator.id == std::process::id()));
        let seat = stage.verb(Op::Share, || memory.take_seat(1))?;
        assert!(stage.verb(Op::Share, || same.is_seated(1))?);
        stage.leave(|| drop(seat));
        assert!(!stage.verb(Op::Share, || same.is_seated(1))?);
        stage.verb(Op::Share, || same.unlink())?;
        stage.leave(|| drop((memory, same)));
        Ok(())
    });
}

#[test]
fn a_name_that_was_left() {
    let Some(name) = OwnName::new("left") else { return };
    play(&LEFT, |stage| {
        let mut memory = stage.verb(Op::Share, || SharedMemory::create(&name.0, 64))?;
        // It ends as in a process that is killed: closed, and nothing done for the name.
        memory.generation = memory.generation.wrapping_add(1);
        stage.leave(|| drop(memory));
        stage.verb(Op::Share, SharedMemory::reclaim_abandoned)?;
        Ok(())
    });
}

#[test]
fn an_event_and_a_lock() {
    let Some(name) = OwnName::new("wait") else { return };
    play(&LEFT, |stage| {
        let memory = stage.verb(Op::Share, || SharedMemory::open_or_create(&name.0, 128))?;
        let event = stage.verb(Op::Share, || memory.event(0, Reset::Auto))?;
        stage.verb(Op::Wait, || in_time(event.wait(SHORT)))?;
        stage.tell(|| event.set());
        stage.verb(Op::Wait, || event.wait(None))?;
        let lock = stage.verb(Op::Share, || memory.lock(64))?;
        let held = stage.verb(Op::Wait, || lock.lock(None))?;
        assert!(stage.verb(Op::Wait, || lock.try_lock())?.is_none());
        assert!(stage.verb(Op::Wait, || in_time(lock.lock(SHORT)))?.is_none());
        stage.leave(|| drop(held));
        stage.leave(|| drop((event, lock)));
        stage.leave(|| drop(memory));
        Ok(())
    });
}

#[test]
fn a_ring() {
    let Some(name) = OwnName::new("ring") else { return };
    play(&LEFT, |stage| {
        let mut producer = stage.verb(Op::Share, || Producer::create(&name.0, 256))?;
        let mut consumer = stage.verb(Op::Share, || Consumer::open(&name.0))?;
        assert!(stage.verb(Op::Receive, || in_time(consumer.receive(SHORT)))?.is_none());
        while stage.verb(Op::Send, || in_time(producer.send(&[3; 40], SHORT)))?.is_some() {}
        let message = stage.verb(Op::Receive, || consumer.receive(None))?;
        assert_eq!(message.len(), 40);
        stage.tell(|| drop(message));
        assert!(!stage.verb(Op::Share, || consumer.is_peer_gone())?);
        stage.leave(|| drop((producer, consumer)));
        Ok(())
    });
}
