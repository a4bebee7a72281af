//! Memory with a name: who finds it, who may, and what is left of it.

mod shared_support;

use granule::section::shared::{Reset, SharedMemory};
use granule::section::{Racy, Section};
use granule::{ErrorKind, Op};
use shared_support::{Player, kind, own_name, pause, role, say, start};
use std::process::Stdio;

fn words(memory: &SharedMemory) -> Racy<u64> {
    let len = memory.len() as u64 / 8 * 8;
    memory.section().racy(0..len).expect("addresses")
}

/// What other processes do in these tests.
#[test]
fn a_player() {
    let Some((role, name)) = role() else { return };
    match role.as_str() {
        "open and stay" => {
            let memory = SharedMemory::open(&name).expect("it is there");
            words(&memory).store(1, 11).expect("inside");
            say("open");
            pause();
        }
        "create and stay" => {
            let memory = SharedMemory::create(&name, 4096).expect("nobody has it");
            words(&memory).store(0, 7).expect("inside");
            say("created");
            pause();
        }
        "take a seat" => {
            let memory = SharedMemory::open(&name).expect("it is there");
            let _seat = memory.take_seat(3).expect("it is free");
            say("seated");
            pause();
        }
        "count" => {
            let memory = SharedMemory::open_or_create(&name, 8).expect("one or the other");
            say("here");
            pause();
            for _ in 0..1000 {
                words(&memory).fetch_add(0, 1).expect("inside");
            }
            say("counted");
            pause();
        }
        "receive a handle" => {
            // The memory stands where the standard input would be.
            let memory = Section::received(&std::io::stdin()).expect("a section");
            assert!(memory.len() >= 100);
            memory.racy::<u32>(0..100).expect("addresses").store(24, 99).expect("inside");
        }
        role => panic!("{role}"),
    }
}

fn player(role: &str, name: &str) -> Player {
    Player::start("a_player", role, name)
}

/// Nobody has the name, and nothing is left of it.
fn assert_free(name: &str) {
    #[cfg(target_os = "linux")]
    assert!(!std::path::Path::new("/dev/shm").join(name).exists(), "{name} is left");
    assert_eq!(kind(SharedMemory::open(name)), ErrorKind::NotFound);
}

#[test]
fn whoever_opens_the_name_has_the_same_bytes_and_the_last_one_takes_it_away() {
    let Some(name) = own_name("same") else { return };
    assert_free(&name);
    let memory = SharedMemory::create(&name, 100).expect("nobody has it");
    assert_eq!((memory.len(), memory.name(), memory.is_empty()), (100, name.as_str(), false));
    assert_eq!(words(&memory).load(11).expect("inside"), 0);
    let same = SharedMemory::open(&name).expect("it is there");
    assert!(same.len() >= 100);
    words(&same).store(3, 5).expect("inside");
    assert_eq!(words(&memory).load(3).expect("inside"), 5);
    let view = words(&memory);
    drop(memory);
    // Views stay, and keep no name.
    let third = SharedMemory::open(&name).expect("it is still there");
    drop(same);
    drop(third);
    assert_free(&name);
    assert_eq!(view.load(3).expect("inside"), 5);
}

#[test]
fn two_processes_share_it_and_either_may_leave_first() {
    let Some(name) = own_name("two") else { return };
    let memory = SharedMemory::create(&name, 4096).expect("nobody has it");
    let mut other = player("open and stay", &name);
    other.expect("open");
    assert_eq!(words(&memory).load(1).expect("inside"), 11);
    drop(memory);
    let again = SharedMemory::open(&name).expect("the other one has it");
    assert_eq!(words(&again).load(1).expect("inside"), 11);
    other.go();
    other.finish();
    drop(again);
    assert_free(&name);
}

#[test]
fn what_cannot_be_is_refused() {
    let Some(name) = own_name("bad") else { return };
    for bad in ["", ".", "..", "a/b", "/a", "a\\b", "a\0b", "x".repeat(201).as_str()] {
        assert_eq!(kind(SharedMemory::create(bad, 1)), ErrorKind::BadName, "{bad:?}");
        assert_eq!(kind(SharedMemory::open(bad)), ErrorKind::BadName, "{bad:?}");
    }
    assert_eq!(kind(SharedMemory::create(&name, 0)), ErrorKind::OutOfRange);
    assert_eq!(kind(SharedMemory::create(&name, usize::MAX)), ErrorKind::OutOfRange);
    let error = SharedMemory::create(&name, 1 << 60).expect_err("there is not so much");
    assert_eq!(error.op(), Op::Share);
    assert_free(&name);
    let _memory = SharedMemory::create(&name, 1).expect("nobody has it");
    let error = SharedMemory::create(&name, 1).expect_err("somebody has it");
    assert_eq!((error.op(), error.kind()), (Op::Share, ErrorKind::AlreadyExists));
    assert!(error.to_string().contains("open it instead"), "{error}");
}

#[test]
fn long_names_are_names() {
    let Some(name) = own_name("long") else { return };
    let name = name.clone() + &"x".repeat(200 - name.len());
    let memory = SharedMemory::create(&name, 64).expect("200 bytes are allowed");
    let _seat = memory.take_seat(u32::MAX).expect("it is free");
    let _event = memory.event(0, Reset::Auto).expect("inside");
    drop(SharedMemory::open(&name).expect("it is there"));
    drop((_event, _seat));
    drop(memory);
    assert_free(&name);
}

#[test]
fn its_creator_is_known_while_it_lives() {
    let Some(name) = own_name("creator") else { return };
    let mut other = player("create and stay", &name);
    other.expect("created");
    let memory = SharedMemory::open(&name).expect("it is there");
    let creator = memory.creator().expect("the system says").expect("it lives");
    #[cfg(target_os = "linux")]
    if std::env::var("GRANULE_TEST_RUNNER").is_err() {
        assert_eq!(creator.id, other.id());
    }
    assert_ne!((creator.id, creator.started), (std::process::id(), 0));
    other.kill();
    assert_eq!(memory.creator().expect("the system says"), None);
    assert_eq!(words(&memory).load(0).expect("inside"), 7);
    drop(memory);
    assert_free(&name);
    let memory = SharedMemory::create(&name, 1).expect("nobody has it");
    let own = memory.creator().expect("the system says").expect("it is us");
    assert_eq!(own.id, std::process::id());
    assert_ne!(own.started, 0);
    let second = SharedMemory::open(&name).expect("it is there");
    assert_eq!(second.creator().expect("the system says"), Some(own));
}

#[test]
fn what_a_killed_process_has_left_is_nobodys() {
    let Some(name) = own_name("stale") else { return };
    for reopen in [false, true] {
        let mut other = player("create and stay", &name);
        other.expect("created");
        assert_eq!(kind(SharedMemory::create(&name, 1)), ErrorKind::AlreadyExists);
        other.kill();
        if reopen {
            assert_eq!(kind(SharedMemory::open(&name)), ErrorKind::NotFound);
        } else {
            let memory = SharedMemory::create(&name, 64).expect("nobody has it");
            assert_eq!(words(&memory).load(0).expect("inside"), 0, "it is another one");
        }
        assert_free(&name);
    }
}

#[test]
fn who_survives_takes_the_name_away() {
    let Some(name) = own_name("survivor") else { return };
    let memory = SharedMemory::create(&name, 4096).expect("nobody has it");
    let mut other = player("open and stay", &name);
    other.expect("open");
    other.kill();
    assert_eq!(words(&memory).load(1).expect("inside"), 11);
    drop(memory);
    assert_free(&name);
}

#[test]
fn a_name_that_was_unlinked_is_free_and_the_memory_is_not() {
    let Some(name) = own_name("unlink") else { return };
    let memory = SharedMemory::create(&name, 8).expect("nobody has it");
    let same = SharedMemory::open(&name).expect("it is there");
    memory.unlink().expect("it is ours");
    same.unlink().expect("twice is once");
    if cfg!(target_os = "linux") {
        let other = SharedMemory::create(&name, 8).expect("the name is free");
        words(&other).store(0, 2).expect("inside");
        same.unlink().expect("another one has the name, and keeps it");
        assert!(SharedMemory::open(&name).is_ok());
    }
    words(&memory).store(0, 1).expect("inside");
    assert_eq!(words(&same).load(0).expect("inside"), 1);
    drop((memory, same));
    assert_free(&name);
}

#[test]
fn of_many_that_come_at_once_one_makes_it() {
    let Some(name) = own_name("many") else { return };
    let mut players: Vec<Player> = (0..4).map(|_| player("count", &name)).collect();
    for player in &mut players {
        player.expect("here");
    }
    let memory = SharedMemory::open(&name).expect("they have it");
    players.iter_mut().for_each(Player::go);
    players.iter_mut().for_each(|player| player.expect("counted"));
    assert_eq!(words(&memory).load(0).expect("inside"), 4000);
    players.iter_mut().for_each(Player::go);
    players.into_iter().for_each(Player::finish);
    drop(memory);
    assert_free(&name);
}

#[test]
fn a_seat_is_taken_for_as_long_as_somebody_lives() {
    let Some(name) = own_name("seat") else { return };
    let memory = SharedMemory::create(&name, 1).expect("nobody has it");
    assert!(!memory.is_seated(3).expect("the system says"));
    for is_killed in [true, false] {
        let mut other = player("take a seat", &name);
        other.expect("seated");
        assert!(memory.is_seated(3).expect("the system says"));
        assert!(!memory.is_seated(4).expect("the system says"));
        assert_eq!(kind(memory.take_seat(3)), ErrorKind::AlreadyExists);
        if is_killed {
            other.kill();
        } else {
            other.go();
            other.finish();
        }
        assert!(!memory.is_seated(3).expect("the system says"));
    }
    let seat = memory.take_seat(3).expect("it is free");
    assert!(memory.is_seated(3).expect("the system says"));
    assert_eq!(kind(memory.take_seat(3)), ErrorKind::AlreadyExists);
    drop(seat);
    assert!(!memory.is_seated(3).expect("the system says"));
}

#[test]
fn memory_without_a_name_is_handed_to_a_child() {
    let memory = Section::anonymous(100).expect("so little");
    let view = memory.racy::<u32>(0..100).expect("addresses");
    let handle = memory.to_handle().expect("a handle");
    drop(memory);
    let mut command = shared_support::command("a_player", "receive a handle", "none");
    let mut child = shared_support::start::spawn(command.stdin(Stdio::from(handle)));
    // And with it our copy of the handle.
    drop(command);
    let status = start::status(&mut child);
    assert!(status.success(), "{status}");
    assert_eq!(view.load(24).expect("inside"), 99);
}

#[test]
fn what_is_no_memory_is_not_received() {
    let (reader, _writer) = std::io::pipe().expect("two handles are to be had");
    let error = Section::received(&reader).expect_err("a pipe cannot be mapped");
    assert_eq!(error.op(), Op::Map);
}
