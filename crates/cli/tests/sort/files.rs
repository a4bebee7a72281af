//! What becomes of the file: its mode, its links, its owner, its name; and what is said.

use super::{Scratch, done, error_text, sort};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

#[test]
fn a_new_file_has_the_mode_of_the_old() {
    let scratch = Scratch::new("mode");
    let path = scratch.file(b"b\na\n");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("ours");
    done(sort(["--lines", "-q"]).arg(&path));
    assert_eq!(fs::read(&path).expect("it is there"), b"a\nb\n");
    assert_eq!(fs::metadata(&path).expect("it is there").mode() & 0o7777, 0o640);
    assert_eq!(scratch.names(), ["file"]);
}

#[test]
fn the_owner_stays() {
    let scratch = Scratch::new("owner");
    let path = scratch.file(b"b\na\n");
    if std::os::unix::fs::chown(&path, Some(65534), Some(65534)).is_err() {
        println!("skipped: only root gives files away");
        return;
    }
    done(sort(["--lines", "-q"]).arg(&path));
    let facts = fs::metadata(&path).expect("it is there");
    assert_eq!((facts.uid(), facts.gid()), (65534, 65534));
}

/// An access control list of POSIX as the kernel keeps it: version 2, and of each entry the tag,
/// the rights and whose they are.
fn access_list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        list.extend(tag.to_le_bytes().into_iter().chain(rights.to_le_bytes()));
        list.extend(id.to_le_bytes());
    }
    list
}

#[test]
fn a_new_file_has_the_attributes_and_the_access_list_of_the_old() {
    const NOBODY: u32 = u32::MAX;
    let scratch = Scratch::new("attributes");
    let (input, output) = (scratch.file(b"b\na\n"), scratch.path().join("output"));
    fs::set_permissions(&input, Permissions::from_mode(0o640)).expect("ours");
    // Owner rw, user 65534 r, group nothing, mask r, others nothing.
    let entries =
        [(1, 6, NOBODY), (2, 4, 65534), (4, 0, NOBODY), (0x10, 4, NOBODY), (0x20, 0, NOBODY)];
    let attributes = [
        ("user.granule.note", b"kept \xff\0".to_vec()),
        ("user.granule.empty", Vec::new()),
        ("system.posix_acl_access", access_list(&entries)),
    ];
    for (name, value) in &attributes {
        let set = rustix::fs::setxattr(&input, *name, value, rustix::fs::XattrFlags::empty());
        if set == Err(rustix::io::Errno::NOTSUP) {
            println!("skipped: the file system has no {name}");
            return;
        }
        set.expect("an attribute");
    }
    // A new file, one that replaces another, and one that takes the place of the old.
    fs::copy(&input, scratch.path().join("other")).expect("a copy");
    let other = scratch.path().join("other");
    let plain = sort(["--lines", "-q", "--output"]).arg(&output).arg(&other).output();
    assert!(plain.expect("it starts").status.success());
    assert_eq!(attribute(&output, "user.granule.note"), None);
    fs::remove_file(&output).expect("ours");
    done(sort(["--lines", "-q", "--output"]).arg(&output).arg(&input));
    done(sort(["--lines", "-q", "--output"]).arg(&input).arg(&other));
    for path in [&input, &output] {
        assert_eq!(fs::read(path).expect("it is there"), b"a\nb\n");
        assert_eq!(fs::metadata(path).expect("it is there").mode() & 0o7777, 0o640);
        for (name, value) in &attributes {
            assert_eq!(attribute(path, name).as_ref(), Some(value), "{name} of {path:?}");
        }
    }
}

/// The value of an extended attribute, if there is one.
fn attribute(path: &std::path::Path, name: &str) -> Option<Vec<u8>> {
    let mut value = [0; 256];
    match rustix::fs::getxattr(path, name, &mut value) {
        Ok(len) => Some(value[..len].to_vec()),
        Err(rustix::io::Errno::NODATA) => None,
        Err(error) => panic!("{name}: {error}"),
    }
}

#[test]
fn a_symbolic_link_stays_one() {
    let scratch = Scratch::new("symlink");
    let path = scratch.file(b"b\na\n");
    let link = scratch.path().join("link");
    symlink("file", &link).expect("a link");
    done(sort(["--lines", "-q"]).arg(&link));
    assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
    assert_eq!(fs::read(&path).expect("it is there"), b"a\nb\n");
    fs::write(&path, [2, 1]).expect("writable");
    done(sort(["--type", "u8", "-q"]).arg(&link));
    assert_eq!(fs::read(&path).expect("it is there"), [1, 2]);
}

#[test]
fn hard_links_are_kept_in_place_and_warned_of() {
    let scratch = Scratch::new("hard-link");
    let path = scratch.file(&[3, 1, 2]);
    let other = scratch.path().join("other");
    fs::hard_link(&path, &other).expect("a link");
    let output = done(sort(["--type", "u8", "-q"]).arg(&path));
    assert_eq!(error_text(&output), "");
    assert_eq!(fs::read(&other).expect("it is there"), [1, 2, 3]);
    let output = done(sort(["--type", "u8", "-q", "-r", "--new-file"]).arg(&path));
    assert!(error_text(&output).contains("has 2 names"), "{}", error_text(&output));
    assert_eq!(fs::read(&path).expect("it is there"), [3, 2, 1]);
    assert_eq!(fs::read(&other).expect("it is there"), [1, 2, 3]);
}

#[test]
fn what_was_done_is_said() {
    let scratch = Scratch::new("said");
    let path = scratch.file(&[0; 800]);
    let output = done(sort(["--type", "f32"]).arg(&path));
    assert!(error_text(&output).contains(": 200 f32, 800 bytes, sorted in place in "));
    let output = done(sort(["--record", "8", "--key", "0..4", "--new-file"]).arg(&path));
    assert!(error_text(&output).contains(": 100 records, 800 bytes, sorted into a new file in "));
    let output = done(sort(["--lines", "--json", "--threads", "1", "--memory", "3M"]).arg(&path));
    assert_eq!(error_text(&output), "");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!((&json["kind"], &json["mode"]), (&"lines".into(), &"new-file".into()), "{json}");
    assert_eq!((&json["elements"], &json["bytes"]), (&1.into(), &801.into()), "{json}");
    assert_eq!((&json["threads"], &json["memory"]), (&1.into(), &(3 << 20).into()), "{json}");
    assert!(json["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{json}");
    let output = done(sort(["--lines", "--quiet"]).arg(&path));
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
}
