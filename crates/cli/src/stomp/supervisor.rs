//! Runs the program and listens to what its processes have to tell.
//!
//! Every guarded process that finds a crime connects to one abstract socket, sends one packet and
//! waits for one byte; the report is printed in between, while the process stands still. The
//! supervisor has one thread and one poll loop; a process that dies in the middle only closes its
//! end.
//!
//! What the program leaves running is heard to its end as well: orphans become the supervisor's
//! children, and it ends when it has none left.
#![forbid(unsafe_code)]

use crate::exit_code::Failure;
use crate::program::family::{ENDS_THE_WATCH, Family};
use crate::program::library::Library;
use crate::program::preflight::Program;
use crate::program::signals::{Signals, forward, readable};
use granule::stomp::options::{Options, VARIABLE};
use granule::stomp::record::{MESSAGE_LEN, Message, Notice, Record};
use rustix::event::{PollFd, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt,
};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// How long a process that has connected but not yet sent is waited for after the program's end.
const GRACE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// How long processes may outlive the program before a sentence says what is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Steps from a process up to its ancestors that are looked at.
const ANCESTORS_MAX: usize = 64;

/// Who is told what arrives.
pub(crate) trait Listener {
    /// A crime. The process waits until this returns.
    fn report(&mut self, record: &Record);
    /// A sentence.
    fn notice(&mut self, notice: Notice, pid: u32, numbers: [u64; 2]);
    /// A sentence of the supervisor itself.
    fn remark(&mut self, sentence: &str);
    /// Something that only `--verbose` shows.
    fn detail(&mut self, sentence: &str);
}

/// How a run ended.
pub(crate) struct Outcome {
    /// The program's own end.
    pub(crate) status: ExitStatus,
    /// Reports printed.
    pub(crate) findings: usize,
    /// The program could not be guarded and ended itself because of that.
    pub(crate) was_not_guarded: bool,
}

/// The listening end.
pub(crate) struct Supervisor<'a, L> {
    socket: OwnedFd,
    name: Vec<u8>,
    peers: Vec<Peer>,
    /// Processes that have reported, with the time of their start: numbers are used again.
    reported: HashMap<u32, Option<u64>>,
    findings: usize,
    main_pid: u32,
    was_not_guarded: bool,
    listener: &'a mut L,
}

struct Peer {
    connection: OwnedFd,
    pid: u32,
}

/// What is left to do with a connection.
enum Next {
    Keep,
    Close,
}

impl<'a, L: Listener> Supervisor<'a, L> {
    /// Opens the socket under a new abstract name.
    ///
    /// # Errors
    /// A sentence with the system's reason.
    pub(crate) fn listen(listener: &'a mut L) -> Result<Self, String> {
        let number = RandomState::new().build_hasher().finish();
        let name = format!("granule-stomp-{}-{number:016x}", std::process::id()).into_bytes();
        let socket = open_socket(&name)
            .map_err(|error| format!("the socket for the reports cannot be opened: {error}"))?;
        Ok(Supervisor {
            socket,
            name,
            peers: Vec::new(),
            reported: HashMap::new(),
            findings: 0,
            main_pid: 0,
            was_not_guarded: false,
            listener,
        })
    }

    /// Runs `program` and all that it leaves running to their end, with `library` preloaded.
    ///
    /// # Errors
    /// When it cannot be started, or the system refuses what watching it needs.
    pub(crate) fn run(
        &mut self,
        program: &Program,
        library: &Library,
        mut options: Options,
    ) -> Result<Outcome, Failure> {
        let fits = options.set_socket(&self.name);
        assert!(fits, "the name has 14 + 10 + 1 + 16 bytes at most");
        let unwatched = |error| Failure::cannot(format!("the program cannot be watched: {error}"));
        let signals = Signals::take_over().map_err(unwatched)?;
        Family::adopt().map_err(unwatched)?;
        let child = self.spawn(program, library, &options, &signals)?;
        let status = self.watch(&child, &program.name, signals).map_err(unwatched)?;
        let was_not_guarded = self.was_not_guarded;
        Ok(Outcome { status, findings: self.findings, was_not_guarded })
    }

    fn spawn(
        &mut self,
        program: &Program,
        library: &Library,
        options: &Options,
        signals: &Signals,
    ) -> Result<Child, Failure> {
        let mut command = program.command(library);
        command.env(VARIABLE, options.to_string());
        signals.restore_in(&mut command);
        let child = command.spawn().map_err(|error| program.not_started(&error))?;
        self.main_pid = child.id();
        Ok(child)
    }

    /// Serves until no process is left, or until a signal ends the wait for the last ones.
    fn watch(
        &mut self,
        child: &Child,
        name: &OsStr,
        mut signals: Signals,
    ) -> io::Result<ExitStatus> {
        let mut family = Family::of(child);
        let mut ended_at = None;
        let mut is_patient = true;
        loop {
            let left = ended_at.filter(|_| is_patient).map(|at: Instant| {
                // A patience is a second at most: it fits.
                Timespec::try_from(PATIENCE.saturating_sub(at.elapsed())).unwrap_or_default()
            });
            self.wait(&[signals.as_fd()], left.as_ref())?;
            while let Some(signal) = signals.next() {
                match family.status {
                    None => forward(family.main, signal),
                    Some(status) if ENDS_THE_WATCH.contains(&signal) => return Ok(status),
                    Some(_) => {}
                }
            }
            self.serve()?;
            let is_over = family.reap()?;
            if let (true, Some(status)) = (is_over, family.status) {
                self.drain()?;
                return Ok(status);
            }
            if family.status.is_some() {
                let at = *ended_at.get_or_insert_with(Instant::now);
                if is_patient && at.elapsed() >= PATIENCE {
                    is_patient = false;
                    let name = name.display();
                    self.listener.remark(&format!(
                        "still watching what {name} left running; Ctrl-C ends the watch"
                    ));
                }
            }
        }
    }

    /// After the end of all processes: hears out whoever is already there.
    fn drain(&mut self) -> io::Result<()> {
        loop {
            self.serve()?;
            let patience = if self.peers.is_empty() { Timespec::default() } else { GRACE };
            if self.wait(&[], Some(&patience))?.iter().all(|&ready| !ready) {
                return Ok(());
            }
        }
    }

    /// Waits until one of `others`, the socket or a peer has something; says which, in this order.
    fn wait(
        &self,
        others: &[rustix::fd::BorrowedFd<'_>],
        patience: Option<&Timespec>,
    ) -> io::Result<Vec<bool>> {
        let mut entries: Vec<PollFd<'_>> = others.iter().map(readable).collect();
        entries.push(readable(&self.socket));
        entries.extend(self.peers.iter().map(|peer| readable(&peer.connection)));
        match poll(&mut entries, patience) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(entries.iter().map(|entry| !entry.revents().is_empty()).collect())
    }

    /// Accepts all who knock and reads all that was sent, without waiting.
    fn serve(&mut self) -> io::Result<()> {
        while let Some(connection) = accept(&self.socket)? {
            if let Some(peer) = self.admit(connection) {
                self.peers.push(peer);
            }
        }
        for peer in std::mem::take(&mut self.peers) {
            if matches!(self.hear(&peer), Next::Keep) {
                self.peers.push(peer);
            }
        }
        Ok(())
    }

    /// Lets in our own user's processes, and descendants that have changed their user.
    fn admit(&mut self, connection: OwnedFd) -> Option<Peer> {
        let who = sockopt::socket_peercred(&connection).ok()?;
        let pid = who.pid.as_raw_nonzero().get() as u32;
        if who.uid == rustix::process::geteuid() || is_descendant(pid, std::process::id()) {
            return Some(Peer { connection, pid });
        }
        self.listener.detail(&format!("process {pid} of another user was turned away"));
        None
    }

    fn hear(&mut self, peer: &Peer) -> Next {
        let mut packet = [0u8; MESSAGE_LEN];
        let len = match rustix::net::recv(&peer.connection, &mut packet, RecvFlags::DONTWAIT) {
            Ok((len, _)) if len > 0 => len,
            Err(Errno::AGAIN | Errno::INTR) => return Next::Keep,
            Ok(_) | Err(_) => return Next::Close,
        };
        match Message::from_bytes(&packet[..len]) {
            Some(Message::Notice(notice, pid, numbers)) => {
                self.was_not_guarded |= notice == Notice::NoRegion && peer.pid == self.main_pid;
                self.listener.notice(notice, pid, numbers);
                Next::Keep
            }
            Some(Message::Report(record)) => {
                self.hear_report(peer, record);
                Next::Close
            }
            None => {
                let pid = peer.pid;
                self.listener.detail(&format!("process {pid} sent what is no report"));
                Next::Close
            }
        }
    }

    fn hear_report(&mut self, peer: &Peer, mut record: Record) {
        // The kernel's word on who sent it; inside a process namespace the sender knows another.
        record.pid = peer.pid;
        let started = start_time(peer.pid);
        let is_further = match self.reported.get(&peer.pid) {
            Some(known) => started.is_none() || *known == started,
            None => false,
        };
        if !is_further {
            // The sweep at exit may find several; every other crime is a process's last.
            if !record.at_exit {
                self.reported.insert(peer.pid, started);
            }
            self.findings += 1;
            self.listener.report(&record);
        }
        // Whoever has died meanwhile needs no answer.
        let _ = rustix::net::send(&peer.connection, b"g", SendFlags::NOSIGNAL);
    }
}

fn open_socket(name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new_abstract_name(name)?)?;
    rustix::net::listen(&socket, 128)?;
    Ok(socket)
}

fn accept(socket: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    loop {
        match rustix::net::accept_with(socket, SocketFlags::CLOEXEC) {
            Ok(connection) => return Ok(Some(connection)),
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(Errno::AGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The fields of /proc/PID/stat from the state on: the name before them may hold anything.
fn stat_fields(pid: u32) -> Option<Vec<u64>> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = text.iter().rposition(|&byte| byte == b')')? + 1;
    let fields = String::from_utf8_lossy(&text[after_name..]);
    Some(fields.split_ascii_whitespace().map(|word| word.parse().unwrap_or(0)).collect())
}

/// When the process was started, in the kernel's ticks; `None` when it is gone.
fn start_time(pid: u32) -> Option<u64> {
    stat_fields(pid)?.get(19).copied()
}

fn is_descendant(pid: u32, ancestor: u32) -> bool {
    let parent = |&pid: &u32| Some(*stat_fields(pid)?.get(1)? as u32).filter(|&pid| pid > 1);
    std::iter::successors(Some(pid), parent).take(ANCESTORS_MAX).any(|pid| pid == ancestor)
}
