//! What is not done is said in a sentence, and nothing has happened.

use super::{Scratch, error_text, sort, start};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

/// Lines that are wrong for a file of 10 bytes, and words of what is said.
const BAD: [(&[&str], &str); 22] = [
    (&[], "Say --type u64 (numbers)"),
    (&["--type", "u128"], "no type of numbers"),
    (&["--type", "f16"], "u8 to u64, i8 to i64, f32 or f64"),
    (&["--type", "u64"], "10 bytes"),
    (&["--type", "u64", "--new-file"], "behind offset 8 there are 2 bytes"),
    (&["--type", "u16be", "--endian", "little"], "leave one of them out"),
    (&["--record", "0"], "a record has from 1"),
    (&["--record", "3"], "at offset 9"),
    (&["--record", "5", "--key", "0..6"], "`0..6` leaves the record of 5 bytes"),
    (&["--record", "5", "--key", "0..4:u64"], "has 4 bytes, and u64 has 8"),
    (&["--record", "5", "--key", "4"], "FROM..TO"),
    (&["--record", "5", "--key", "0..2:word"], "neither a type"),
    (&["--key", "0..2"], "--record <N>"),
    (&["--lines", "--type", "u8"], "cannot be used with"),
    (&["--type", "u8", "--unique"], "cannot be used with"),
    (&["--lines", "--key", "0..1"], "cannot be used with"),
    (&["--lines", "--in-place"], "cannot be used with"),
    (&["--lines", "--check", "--output", "x"], "cannot be used with"),
    (&["--lines", "--memory", "1000"], "a sort needs 1M at least"),
    (&["--lines", "--threads", "0"], "from 1 to 256"),
    (&["--lines", "--output", "/"], "is a directory"),
    (&["--lines", "--output", "/no/such/directory/out"], "no such file or directory"),
];

#[test]
fn bad_lines() {
    let scratch = Scratch::new("bad-lines");
    let bytes = b"9876543210";
    let path = scratch.file(bytes);
    for (line, words) in BAD {
        let output = start::output(sort(line).arg(&path));
        let text = error_text(&output);
        assert_eq!(output.status.code(), Some(125), "{line:?}: {text}");
        assert!(text.contains(words), "{line:?}: {text}");
        assert!(text.starts_with("granule: ") || text.starts_with("error: "), "{text}");
        assert_eq!(fs::read(&path).expect("it is there"), bytes);
        assert_eq!(scratch.names(), ["file"]);
    }
}

#[test]
fn bad_files() {
    let scratch = Scratch::new("bad-files");
    let missing = scratch.path().join("missing");
    for form in [&["--lines"][..], &["--type", "u8"], &["--lines", "--check"]] {
        let cases = [
            (scratch.path(), "is a directory, and only regular files"),
            (missing.as_path(), "no such file or directory"),
            ("/dev/null".as_ref(), "is a device or a pipe"),
        ];
        for (path, words) in cases {
            let output = start::output(sort(form).arg(path));
            let text = error_text(&output);
            assert_eq!(output.status.code(), Some(125), "{path:?}: {text}");
            assert!(text.contains(words), "{path:?}: {text}");
        }
    }
    let path = scratch.file(b"b\na\n");
    let words = ["--lines", "--temp-dir", "/no/such/directory", "--memory", "1M"];
    fs::write(&path, vec![b'\n'; 1 << 20]).expect("room");
    let output = start::output(sort(words).arg(&path));
    assert_eq!(output.status.code(), Some(125));
    assert!(error_text(&output).contains("/no/such/directory: no such"), "{}", error_text(&output));
}

#[test]
fn a_file_that_may_not_be_written_is_not_replaced() {
    let scratch = Scratch::new("read-only");
    fs::set_permissions(scratch.path(), Permissions::from_mode(0o777)).expect("ours");
    let path = scratch.file(b"b\na\n");
    fs::set_permissions(&path, Permissions::from_mode(0o444)).expect("ours");
    for form in [&["--lines"][..], &["--type", "u16"]] {
        let mut command = sort(form);
        if chown(&path, Some(1), Some(1)).is_ok() {
            // Root may write everything: be somebody else, who may run the program, too.
            command = Command::new("setpriv");
            let copy = scratch.path().join("granule");
            fs::copy(env!("CARGO_BIN_EXE_granule"), &copy).expect("room");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
            command.arg(copy).arg("sort").args(form);
        }
        let output = start::output(command.arg(&path));
        let text = error_text(&output);
        assert_eq!(output.status.code(), Some(125), "{text}");
        assert!(text.contains("may not be written (permission denied); --output OUT"), "{text}");
        assert_eq!(fs::read(&path).expect("it is there"), b"b\na\n");
    }
}

#[test]
fn a_full_disk() {
    let scratch = Scratch::new("full-disk");
    let path = scratch.file(&b"some line or other\n".repeat(200_000));
    // A small disk of its own, which goes away with the shell that mounts it.
    let script = "\
mount -t tmpfs -o size=5m tmpfs \"$1\" && cp \"$2\" \"$1/file\" || exit 77
\"$3\" sort --lines --memory \"$4\" \"$1/file\"; status=$?
cmp \"$2\" \"$1/file\" || exit 78
[ \"$(ls -A \"$1\")\" = file ] || exit 79
exit $status";
    let disk = scratch.path().join("disk");
    fs::create_dir(&disk).expect("a directory");
    for memory in ["1M", "64M"] {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]);
        command.arg(&disk).arg(&path).arg(env!("CARGO_BIN_EXE_granule")).arg(memory);
        let output = start::output(&mut command);
        let text = error_text(&output);
        if output.status.code() == Some(77) || text.contains("unshare") {
            println!("skipped: nothing can be mounted here: {text}");
            return;
        }
        assert_eq!(output.status.code(), Some(125), "{memory}: {text}");
        assert!(text.contains("the disk is full") && text.contains("as it was"), "{text}");
    }
}
