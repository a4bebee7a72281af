//! The supervisor and programs that report. The program is this test binary, started again with
//! one ignored test, [`client`], and a scene to play.

use super::{error_text, granule, output, start};
use granule::stomp::options::{Options, Placement, VARIABLE};
use granule::stomp::record::{Access, Block, Kind, Message, Notice, Record, Side, Stack};
use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with,
};
use std::process::{Command, Output, exit};

const SCENE: &str = "GRANULE_TEST_SCENE";
const HEADLINE: &str = "granule: overflow: write, 7 bytes after a 32-byte block\n";

fn play(scene: &str) -> Output {
    let myself = std::env::current_exe().expect("a path");
    let mut command = granule(["stomp", "--verbose", "--"]);
    command.arg(myself).args(["--ignored", "--exact", "reports::client", "--nocapture"]);
    output(command.env(SCENE, scene))
}

fn expect(scene: &str, status: i32, reports: usize) -> String {
    let output = play(scene);
    let text = error_text(&output);
    assert_eq!(output.status.code(), Some(status), "{scene}: {text}");
    assert_eq!(text.matches(HEADLINE).count(), reports, "{scene}: {text}");
    text
}

#[test]
#[ignore = "it is the program of the other tests"]
fn client() {
    match std::env::var(SCENE).as_deref() {
        Ok("one") => one(),
        Ok("threads") => threads(),
        Ok("gone") => gone(),
        Ok("silent") => silent(),
        Ok("garbage") => garbage(),
        Ok("sweep") => sweep(),
        Ok("children") => children(),
        Ok("notices") => notices(),
        Ok("no-region") => no_region(),
        Ok(other) => panic!("{SCENE} is {other:?}"),
        Err(_) => println!("skipped: there is no scene to play"),
    }
}

fn record() -> Record {
    let pid = std::process::id();
    let block = Block {
        address: 0x7f00_0000_0fe0,
        size: 32,
        pages_address: 0x7f00_0000_0000,
        pages_len: 4096,
        allocated_tid: pid,
        freed_tid: 0,
    };
    Record {
        kind: Kind::Overflow,
        access: Some(Access::Write),
        pid,
        tid: pid,
        address: 0x7f00_0000_1007,
        side: Side::After,
        distance: 7,
        block: Some(block),
        placement: Placement::End,
        exact: true,
        at_exit: false,
        accessed: Stack::from_frames([record as fn() -> Record as usize as u64]),
        allocated: Stack::EMPTY,
        freed: Stack::EMPTY,
    }
}

fn connection() -> OwnedFd {
    let variable = std::env::var(VARIABLE).expect("the supervisor sets it");
    let options = Options::parse(variable.as_bytes()).expect("what it wrote");
    let kind = SocketType::SEQPACKET;
    let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None);
    let socket = socket.expect("a socket");
    let address = SocketAddrUnix::new_abstract_name(options.socket()).expect("a name");
    connect(&socket, &address).expect("the supervisor listens");
    socket
}

fn tell(packet: &[u8]) -> OwnedFd {
    let socket = connection();
    assert_eq!(send(&socket, packet, SendFlags::NOSIGNAL), Ok(packet.len()));
    socket
}

/// Sends and waits for the one byte.
fn report(record: &Record) {
    let socket = tell(&Message::Report(*record).to_bytes());
    let mut answer = [0u8; 2];
    let (len, _) = recv(&socket, &mut answer, RecvFlags::empty()).expect("an answer");
    assert_eq!(&answer[..len], b"g");
}

fn one() {
    report(&record());
    exit(1);
}

#[test]
fn a_report_is_printed_and_answered() {
    let text = expect("one", 99, 1);
    assert!(text.contains("reports.rs:"), "the function is found by its address: {text}");
}

fn threads() {
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(one);
        }
    });
}

#[test]
fn a_process_reports_once() {
    expect("threads", 99, 1);
}

fn gone() {
    drop(tell(&Message::Report(record()).to_bytes()));
    exit(1);
}

#[test]
fn a_process_may_die_while_it_waits() {
    expect("gone", 99, 1);
}

fn silent() {
    let _socket = connection();
    exit(6);
}

#[test]
fn who_says_nothing_is_not_waited_for() {
    expect("silent", 6, 0);
}

fn garbage() {
    drop(tell(b"hello"));
    exit(7);
}

#[test]
fn what_is_no_report_is_none() {
    let text = expect("garbage", 7, 0);
    assert!(text.contains("sent what is no report"), "{text}");
}

fn sweep() {
    for _ in 0..3 {
        report(&Record { at_exit: true, ..record() });
    }
    exit(0);
}

#[test]
fn the_sweep_at_exit_may_report_several() {
    expect("sweep", 99, 3);
}

fn children() {
    let start = || {
        let mut command = Command::new(std::env::current_exe().expect("a path"));
        command.args(["--ignored", "--exact", "reports::client"]).env(SCENE, "one").spawn()
    };
    let children = [start(), start()].map(|child| child.expect("it can be started"));
    for mut child in children {
        assert_eq!(start::status(&mut child).code(), Some(1));
    }
    exit(4);
}

#[test]
fn children_report_too() {
    expect("children", 99, 2);
}

fn notices() {
    for notice in Notice::ALL.into_iter().filter(|&notice| notice != Notice::NoRegion) {
        drop(tell(&Message::Notice(notice, std::process::id(), [12, 34]).to_bytes()));
    }
    exit(8);
}

#[test]
fn notices_are_sentences_and_no_findings() {
    let text = expect("notices", 8, 0);
    let said = text.lines().filter(|line| line.starts_with("granule: ")).count();
    assert!(said >= Notice::ALL.len() - 1, "{text}");
    assert!(text.contains("12 of 34 blocks"), "{text}");
}

fn no_region() {
    drop(tell(&Message::Notice(Notice::NoRegion, std::process::id(), [12, 0]).to_bytes()));
    exit(0);
}

#[test]
fn a_program_that_could_not_be_guarded_is_no_success() {
    expect("no-region", 125, 0);
}
