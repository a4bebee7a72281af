//! The same files, the same order: GNU sort in the C locale.

use super::{Random, Scratch, done, error_text, sort, start};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn gnu(arguments: &[&str], file: &Path) -> Output {
    let mut command = Command::new("sort");
    start::output(command.args(arguments).arg(file).env("LC_ALL", "C"))
}

/// Lines of some kinds, without an end of the last one.
fn text(random: &mut Random, count: usize, separator: u8) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..count {
        match random.next() % 4 {
            0 => text.extend((random.next() % 1000).to_string().bytes()),
            1 => text.extend(format!("a common beginning of {}", random.next() % 300).bytes()),
            2 => {
                let len = (random.next() % 20) as usize;
                text.extend(random.bytes(len).iter().filter(|byte| **byte != separator));
            }
            _ => {}
        }
        text.push(separator);
    }
    text.extend(b"the last");
    text
}

#[test]
fn lines() {
    let scratch = Scratch::new("gnu-lines");
    let mut random = Random(11);
    for count in [0, 1, 40, 30_000] {
        for words in [&[][..], &["-r"], &["-u"], &["-r", "-u"], &["-z"], &["-z", "-u"]] {
            let separator = if words.contains(&"-z") { 0 } else { b'\n' };
            let path = scratch.file(&text(&mut random, count, separator));
            let expected = gnu(words, &path).stdout;
            for memory in ["1M", "64M"] {
                let out = scratch.path().join("out");
                let mut granule = sort(["--lines", "-q", "--memory", memory, "--output"]);
                done(granule.arg(&out).args(words).arg(&path));
                let found = fs::read(&out).expect("it was written");
                assert!(found == expected, "{count} lines, {words:?}, {memory}");
            }
        }
    }
}

#[test]
fn records_of_text() {
    let scratch = Scratch::new("gnu-records");
    let mut random = Random(12);
    // The format of the sort benchmark in ASCII: a key of 10 bytes, 100 bytes with the line's end.
    let mut bytes = Vec::new();
    for number in 0..30_000_u64 {
        let key: String = (0..10).map(|_| char::from(b' ' + (random.next() % 95) as u8)).collect();
        let key = if number % 5 == 0 { "same key..".to_owned() } else { key };
        bytes.extend(format!("{key}  {number:032X}  {:052}\r\n", number * 7).bytes());
    }
    let path = scratch.file(&bytes);
    let expected = gnu(&["-s", "-k1.1,1.10", "-t", "\n"], &path).stdout;
    assert_eq!(expected.len(), bytes.len());
    for memory in ["1M", "64M"] {
        let path = scratch.file(&bytes);
        let words = ["--record", "100", "--key", "0..10", "--stable", "-q", "--memory", memory];
        done(sort(words).arg(&path));
        assert!(fs::read(&path).expect("it is there") == expected, "{memory}");
    }
    // In place equal keys are in no order: the keys are the same, and so are all the records.
    let path = scratch.file(&bytes);
    done(sort(["--record", "100", "--key", "0..10", "-q"]).arg(&path));
    let found = fs::read(&path).expect("it is there");
    assert!(found.chunks(100).zip(expected.chunks(100)).all(|(a, b)| a[..10] == b[..10]));
    assert!(super::elements(&found, 100) == super::elements(&bytes, 100));
}

#[test]
fn numbers() {
    let scratch = Scratch::new("gnu-numbers");
    let mut random = Random(13);
    let numbers: Vec<i64> =
        (0..20_000).map(|_| random.next() as i64 >> (random.next() % 64)).collect();
    let text: String = numbers.iter().map(|number| format!("{number}\n")).collect();
    for (words, reverse) in [(&["-n"][..], &[][..]), (&["-n", "-r"], &["-r"])] {
        let path = scratch.file(text.as_bytes());
        let sorted = String::from_utf8(gnu(words, &path).stdout).expect("digits");
        let expected: Vec<i64> = sorted.lines().map(|line| line.parse().expect("digits")).collect();
        for mode in ["--in-place", "--new-file"] {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
            let path = scratch.file(&bytes);
            let words = ["--type", "i64", "--endian", "big", "-q", mode];
            done(sort(words).args(reverse).arg(&path));
            let bytes = fs::read(&path).expect("it is there");
            let found: Vec<i64> =
                bytes.as_chunks().0.iter().map(|bytes| i64::from_be_bytes(*bytes)).collect();
            assert!(found == expected, "{mode} {reverse:?}");
        }
    }
}

#[test]
fn floats_in_total_order() {
    let scratch = Scratch::new("floats");
    let mut floats = [0.0, -0.0, f64::NAN, -f64::NAN, 1.5, -1.5, f64::INFINITY, f64::MIN, 5e-324];
    for mode in ["--in-place", "--new-file"] {
        let path = scratch.file(floats.map(f64::to_le_bytes).as_flattened());
        done(sort(["--type", "f64", "-q", mode]).arg(&path));
        floats.sort_by(f64::total_cmp);
        let expected = floats.map(f64::to_le_bytes);
        assert_eq!(fs::read(&path).expect("it is there"), expected.as_flattened());
        floats.reverse();
    }
}

#[test]
fn checks() {
    let scratch = Scratch::new("gnu-check");
    let cases = [&b""[..], b"a\nb\n", b"b\na\n", b"a\na\n", b"a\nab\naa\nz", b"x\ny\nz\n\n"];
    for text in cases {
        for words in [&["-c"][..], &["-c", "-r"], &["-c", "-u"]] {
            let path = scratch.file(text);
            let expected = gnu(words, &path);
            let found = start::output(sort(["--lines"]).args(words).arg(&path));
            assert_eq!(found.status.code(), expected.status.code(), "{text:?} {words:?}");
            // sort: FILE:3: disorder: ..
            let said = String::from_utf8_lossy(&expected.stderr).into_owned();
            if let Some(line) = said.rsplit_once(": disorder").and_then(|(a, _)| a.rsplit_once(':'))
            {
                let text = error_text(&found);
                assert!(text.contains(&format!("line {},", line.1)), "{text} {said}");
            }
            assert_eq!(fs::read(&path).expect("it is there"), text);
        }
    }
    let path = scratch.file(&[1, 0, 3, 0, 2, 0]);
    let found = start::output(sort(["--type", "u16", "--check", "--json"]).arg(&path));
    assert_eq!(found.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&found.stdout).expect("one object");
    assert_eq!((&json["disorder"]["element"], &json["disorder"]["offset"]), (&2.into(), &4.into()));
}
