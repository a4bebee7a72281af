//! Names whose users were all killed: whoever comes next removes them, and nothing else.

mod shared_support;

use granule::ErrorKind;
use granule::section::shared::SharedMemory;
use shared_support::{Player, kind, own_name, pause, role, say};
use std::sync::{Barrier, Mutex, PoisonError};

/// So many names are left at once.
const MANY: usize = 20;
/// How often somebody comes and goes. Under Wine or an emulator that takes long.
fn visits() -> usize {
    if cfg!(windows) || std::env::var("GRANULE_TEST_RUNNER").is_ok() { 100 } else { 2000 }
}

/// One test at a time: what one of them removes, no other one has to.
static TURN: Mutex<()> = Mutex::new(());

/// Opening would remove what was left, so that the folder is asked.
fn is_listed(name: &str) -> bool {
    cfg!(target_os = "linux") && std::path::Path::new("/dev/shm").join(name).exists()
}

fn numbered(name: &str) -> impl Iterator<Item = String> {
    (0..MANY).map(move |number| format!("{name}-{number}"))
}

/// What other processes do in these tests, until they are killed.
#[test]
fn a_player() {
    let Some((role, name)) = role() else { return };
    match role.as_str() {
        "create and stay" => {
            let _memory = SharedMemory::create(&name, 4096).expect("nobody has it");
            say("here");
            pause();
        }
        "open and stay" => {
            let _memory = SharedMemory::open(&name).expect("it is there");
            say("here");
            pause();
        }
        "create many" => {
            let _all: Vec<SharedMemory> = numbered(&name)
                .map(|name| SharedMemory::create(&name, 64).expect("nobody has it"))
                .collect();
            say("here");
            pause();
        }
        "come and go" => {
            say("here");
            for _ in 0..visits() {
                let memory = SharedMemory::create(&name, 64).expect("nobody has it");
                let same = SharedMemory::open(&name).expect("a name that is used stays");
                drop(memory);
                drop(SharedMemory::open(&name).expect("a name that is used stays"));
                drop(same);
                assert!(!is_listed(&name), "the last one takes it away");
            }
        }
        "reclaim" => {
            say("here");
            loop {
                SharedMemory::reclaim_abandoned().expect("the folder is readable");
            }
        }
        role => panic!("{role}"),
    }
}

fn player(role: &str, name: &str) -> Player {
    let mut player = Player::start("a_player", role, name);
    player.expect("here");
    player
}

#[test]
fn whoever_makes_its_first_name_removes_what_was_left() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(left), Some(other)) = (own_name("left"), own_name("other")) else { return };
    let users = [player("create and stay", &left), player("open and stay", &left)];
    users.into_iter().for_each(Player::kill);
    let stays = player("create and stay", &other);
    assert!(!is_listed(&left), "{left} is left");
    stays.kill();
    SharedMemory::reclaim_abandoned().expect("the folder is readable");
    assert!(!is_listed(&other), "{other} is left");
    for name in [left, other] {
        assert_eq!(kind(SharedMemory::open(&name)), ErrorKind::NotFound);
    }
}

#[test]
fn what_somebody_uses_stays() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(own), Some(name)) = (own_name("own"), own_name("used")) else { return };
    let memory = SharedMemory::create(&own, 64).expect("nobody has it");
    let maker = player("create and stay", &name);
    let user = player("open and stay", &name);
    let reclaim = || SharedMemory::reclaim_abandoned().expect("the folder is readable");
    reclaim();
    drop(SharedMemory::open(&own).expect("we have it"));
    drop(SharedMemory::open(&name).expect("two have it"));
    maker.kill();
    reclaim();
    drop(SharedMemory::open(&name).expect("one has it"));
    user.kill();
    reclaim();
    assert!(!is_listed(&name), "{name} is left");
    drop(memory);
    assert!(!is_listed(&own), "{own} is left");
}

#[test]
fn two_who_reclaim_at_once_remove_everything_and_fail_at_nothing() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(name) = own_name("race") else { return };
    for _ in 0..5 {
        player("create many", &name).kill();
        let start = Barrier::new(2);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    start.wait();
                    SharedMemory::reclaim_abandoned().expect("the folder is readable");
                });
            }
        });
        let left: Vec<String> = numbered(&name).filter(|name| is_listed(name)).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn one_who_reclaims_is_killed_and_another_goes_on() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(name) = own_name("reclaimer") else { return };
    for _ in 0..5 {
        let reclaimer = player("reclaim", &name);
        player("create many", &name).kill();
        reclaimer.kill();
        SharedMemory::reclaim_abandoned().expect("the folder is readable");
        let left: Vec<String> = numbered(&name).filter(|name| is_listed(name)).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn nobody_who_comes_and_goes_is_disturbed() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(first), Some(second)) = (own_name("first"), own_name("second")) else { return };
    let reclaimers = [player("reclaim", &first), player("reclaim", &second)];
    let visitors = [player("come and go", &first), player("come and go", &second)];
    visitors.into_iter().for_each(Player::finish);
    reclaimers.into_iter().for_each(Player::kill);
    assert!(!is_listed(&first) && !is_listed(&second));
}

/// Files of other programs: without the mark, and what is no file.
#[cfg(target_os = "linux")]
#[test]
fn what_other_programs_have_put_there_stays() {
    use std::os::unix::fs::PermissionsExt;
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(name) = own_name("plain") else { return };
    let path = |what: &str| std::path::Path::new("/dev/shm").join(format!("{name}-{what}"));
    let [file, folder, link, marked] = ["file", "folder", "link", "marked"].map(path);
    std::fs::write(&file, "theirs").expect("a file");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(&marked, "nobody's").expect("a file");
    let rights = std::fs::Permissions::from_mode(0o1600);
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o1700)).expect("ours");
    // The link leads to what would be removed.
    let target = std::env::temp_dir().join(format!("{name}-target"));
    std::fs::write(&target, "nobody's").expect("a file");
    std::fs::set_permissions(&target, rights.clone()).expect("it is ours");
    std::os::unix::fs::symlink(&target, &link).expect("a link");
    std::fs::set_permissions(&marked, rights).expect("it is ours");
    SharedMemory::reclaim_abandoned().expect("the folder is readable");
    assert!(!marked.exists(), "it has the mark, and nobody uses it");
    assert_eq!(std::fs::read(&file).expect("it is there"), b"theirs");
    assert!(folder.is_dir() && link.is_symlink() && target.exists());
    std::fs::remove_dir(&folder).expect("it is ours");
    for path in [file, link, target] {
        std::fs::remove_file(path).expect("it is ours");
    }
}
