//! Sorting into a new file, against the sort of the standard library: all at once and in runs, all
//! forms, and what goes wrong.

mod support;

use granule_sort::check::check_file;
use granule_sort::external::{
    Done, Error, Fixed, Form, Job, MEMORY_MIN, Unwatched, Watch, sort_file,
};
use granule_sort::lines::Lines;
use granule_sort::order::{Numbers, Records};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use support::{Random, Scratch};

/// Sorts `bytes` with every number of threads, and compares with what is expected.
fn check<F: Form>(scratch: &Scratch, form: &F, bytes: &[u8], expected: &[u8]) -> Done {
    let mut done = None;
    for threads in [1, 2, 3] {
        let path = scratch.file(bytes);
        let job = Job { memory: MEMORY_MIN, threads, ..Job::new(&path) };
        done = Some(sort_file(form, &job).expect("a good file"));
        let found = fs::read(&path).expect("it is there");
        assert!(found == expected, "{} bytes, {threads} threads: {done:?}", bytes.len());
        assert_eq!(scratch.names(), ["file"]);
    }
    done.expect("three of them")
}

#[test]
fn records_keep_the_order_of_equal_ones() {
    let scratch = Scratch::new("records");
    let records = |keys: &[&str]| {
        let keys = keys.iter().map(|key| key.parse().expect("a good key"));
        Records::new(10, keys).expect("good records")
    };
    let mut random = Random(1);
    for (count, runs) in [(0, 0..1), (1, 1..2), (2, 1..2), (777, 1..2), (400_000, 8..40)] {
        let mut bytes = random.bytes(10 * count);
        // A key with few values, and the number of the record behind it.
        for (number, record) in bytes.chunks_mut(10).enumerate() {
            record[0] %= 50;
            record[2..6].copy_from_slice(&(number as u32).to_be_bytes());
        }
        let mut by: Vec<&[u8]> = bytes.chunks(10).collect();
        by.sort_by_key(|record| record[0]);
        let done = check(&scratch, &Fixed::new(records(&["0..1"])), &bytes, &by.concat());
        assert!(runs.contains(&done.runs), "{done:?}");
        assert_eq!((done.elements, done.bytes), (count as u64, bytes.len() as u64));
        by.sort_by(|a, b| b[0].cmp(&a[0]).then(a[6..].cmp(&b[6..])));
        check(&scratch, &Fixed::new(records(&["0..1:desc", "6..10"])), &bytes, &by.concat());
    }
}

#[test]
fn more_runs_than_can_be_merged_at_once() {
    let scratch = Scratch::new("merges");
    let bytes = Random(2).bytes(12 << 20);
    let mut numbers: Vec<[u8; 8]> = bytes.as_chunks().0.to_vec();
    numbers.sort_by_key(|bytes| u64::from_le_bytes(*bytes));
    let form = Fixed::plain(Numbers::new("u64".parse().expect("a type")));
    let done = check(&scratch, &form, &bytes, numbers.as_flattened());
    assert!(done.merges > 1, "{done:?}");
}

#[test]
fn numbers_of_every_type() {
    let scratch = Scratch::new("numbers");
    let bytes = Random(3).bytes(5 << 18);
    for name in ["u8", "i16be", "u32", "i32be", "f32", "f64be", "i64", "u16"] {
        let number: granule_sort::order::Number = name.parse().expect("a type");
        for descending in [false, true] {
            let mut expected: Vec<&[u8]> = bytes.chunks(number.len()).collect();
            expected.sort_by_key(|bytes| number.rank(bytes));
            if descending {
                expected.reverse();
            }
            let form = Fixed::plain(Numbers::new(number).descending(descending));
            check(&scratch, &form, &bytes, &expected.concat());
        }
    }
}

/// Lines of some kinds: short, empty, equal, with long common beginnings, with zeros.
fn text(random: &mut Random, len: usize, kind: u64) -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < len {
        match kind {
            0 => text.extend(random.next().to_string().bytes()),
            1 => text.extend(std::iter::repeat_n(
                b'a' + (random.next() % 2) as u8,
                (random.next() % 40) as usize,
            )),
            2 => {
                text.extend(b"https://example.org/a/long/common/beginning/of/all/");
                text.extend((random.next() % 5000).to_string().bytes());
            }
            _ => {
                let len = (random.next() % 30) as usize;
                let line = random.bytes(len);
                text.extend(line.iter().map(|byte| [0, 1, 255, b'x'][usize::from(byte % 4)]));
            }
        }
        text.push(b'\n');
    }
    text
}

#[test]
fn lines_as_the_standard_library_sorts_them() {
    let scratch = Scratch::new("lines");
    let mut random = Random(4);
    for kind in 0..4 {
        for len in [1, 30, 5000, 3 << 20] {
            let mut bytes = text(&mut random, len, kind);
            if len % 4 == 0 {
                bytes.pop();
            }
            let whole = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            let mut lines: Vec<&[u8]> = whole.split(|&byte| byte == b'\n').collect();
            let joined = |lines: &[&[u8]]| [lines.join(&b'\n'), vec![b'\n']].concat();
            lines.sort();
            check(&scratch, &Lines::new(), &bytes, &joined(&lines));
            let turned: Vec<&[u8]> = lines.iter().rev().copied().collect();
            check(&scratch, &Lines::new().descending(true), &bytes, &joined(&turned));
            lines.dedup();
            let done = check(&scratch, &Lines::new().unique(true), &bytes, &joined(&lines));
            assert_eq!(done.elements, lines.len() as u64);
        }
    }
}

#[test]
fn odd_texts() {
    let scratch = Scratch::new("odd");
    check(&scratch, &Lines::new(), b"", b"");
    check(&scratch, &Lines::new(), b"\n", b"\n");
    check(&scratch, &Lines::new(), b"b\n\na", b"\na\nb\n");
    check(&scratch, &Lines::new().separator(0), b"b\n\0a\0", b"a\0b\n\0");
    check(&scratch, &Lines::new(), b"a\0\na\na\0\0\n", b"a\na\0\na\0\0\n");
    // More entries than bytes.
    check(&scratch, &Lines::new(), &vec![b'\n'; 1 << 20], &vec![b'\n'; 1 << 20]);
    // Lines that fill a buffer, of which one has no room for two.
    let long = |byte, len| [vec![byte; len], vec![b'\n']].concat();
    let (a, b, c) = (long(b'a', 300_000), long(b'b', 200_000), long(b'c', 300_000));
    check(&scratch, &Lines::new(), &[&c[..], &b, &a, &c].concat(), &[&a[..], &b, &c, &c].concat());
}

#[test]
fn the_output_may_be_another_file_or_the_same() {
    let scratch = Scratch::new("output");
    let input = scratch.file(b"b\na\n");
    let output = scratch.path().join("output");
    for before in [None, Some("what was there before, and is longer")] {
        if let Some(text) = before {
            fs::write(&output, text).expect("writable");
        }
        let job = Job { output: Some(&output), ..Job::new(&input) };
        sort_file(&Lines::new(), &job).expect("a good file");
        assert_eq!(fs::read(&output).expect("it is there"), b"a\nb\n");
        assert_eq!(fs::read(&input).expect("it is there"), b"b\na\n");
    }
    sort_file(&Lines::new(), &Job { output: Some(&input), ..Job::new(&input) }).expect("good");
    assert_eq!(fs::read(&input).expect("it is there"), b"a\nb\n");
    assert_eq!(scratch.names(), ["file", "output"]);
}

#[test]
fn what_is_no_file_is_refused() {
    let scratch = Scratch::new("no-file");
    let sort = |path: &Path| sort_file(&Lines::new(), &Job::new(path)).expect_err("no file");
    let error = sort(scratch.path());
    assert!(matches!(error, Error::NoFile { what: "a directory", .. }), "{error}");
    let error = sort(&scratch.path().join("missing"));
    assert!(error.to_string().starts_with("cannot open "), "{error}");
    let path = scratch.file(b"12345");
    let form = Fixed::plain(Numbers::new("u16".parse().expect("a type")));
    let error = sort_file(&form, &Job::new(&path)).expect_err("five bytes");
    assert!(error.to_string().contains("5 bytes, which is no multiple of 2"), "{error}");
    assert!(error.to_string().contains("behind offset 4 there are 1 bytes"), "{error}");
    let long = vec![b'a'; MEMORY_MIN + 1];
    let path = scratch.file(&long);
    let job = Job { memory: MEMORY_MIN, ..Job::new(&path) };
    let error = sort_file(&Lines::new(), &job).expect_err("a long line");
    assert!(matches!(error, Error::LineTooLong { offset: 0, .. }), "{error}");
    let form = Fixed::new(Records::new(1 << 20, []).expect("records"));
    let path = scratch.file(&vec![b'a'; 3 << 20]);
    let job = Job { memory: MEMORY_MIN, ..Job::new(&path) };
    let error = sort_file(&form, &job).expect_err("wide records");
    assert!(matches!(error, Error::TooLittleMemory { .. }), "{error}");
    assert_eq!(fs::read(&path).expect("it is there").len(), 3 << 20);
    assert_eq!(scratch.names(), ["file"]);
}

/// Says stop when it was asked so often.
struct StopAt(AtomicU32, u32);

impl Watch for StopAt {
    fn is_stopped(&self) -> bool {
        self.0.fetch_add(1, Relaxed) >= self.1
    }
}

#[test]
fn a_stop_at_any_moment_leaves_everything_as_it_was() {
    let scratch = Scratch::new("stop");
    let bytes = text(&mut Random(5), 3 << 20, 0);
    let path = scratch.file(&bytes);
    let (mut stops, mut asked) = (0, 0);
    loop {
        let watch = StopAt(AtomicU32::new(0), asked);
        let job = Job { memory: MEMORY_MIN, watch: &watch, ..Job::new(&path) };
        match sort_file(&Lines::new(), &job) {
            Err(Error::Stopped) => stops += 1,
            other => break assert!(other.is_ok(), "{other:?}"),
        }
        assert!(fs::read(&path).expect("it is there") == bytes);
        assert_eq!(scratch.names(), ["file"]);
        asked += 1 + asked / 4;
    }
    assert!(stops > 5, "{stops}");
}

/// Does something to the file when so many bytes are done.
struct Meanwhile<F>(AtomicU64, F);

impl<F: Fn() + Sync> Watch for Meanwhile<F> {
    fn advance(&self, bytes: u64) {
        let before = self.0.fetch_add(bytes, Relaxed);
        if before == 0 && bytes > 0 {
            (self.1)();
        }
    }
}

#[test]
fn a_file_that_is_changed_meanwhile_stays_as_its_writer_left_it() {
    let scratch = Scratch::new("changed");
    let bytes = text(&mut Random(6), 3 << 20, 0);
    let path = scratch.file(&bytes);
    let append = || {
        let mut file = fs::File::options().append(true).open(&path).expect("writable");
        std::io::Write::write_all(&mut file, b"one more\n").expect("room");
    };
    let cut = || {
        let file = fs::File::options().write(true).open(&path).expect("writable");
        file.set_len(100).expect("shorter");
    };
    let replace = || {
        let other = path.with_file_name("other");
        fs::write(&other, b"another file\n").expect("room");
        fs::rename(&other, &path).expect("renamed");
    };
    let changes: [(&(dyn Fn() + Sync), Vec<u8>); 3] = [
        (&append, [&bytes[..], b"one more\n"].concat()),
        (&cut, bytes[..100].to_vec()),
        (&replace, b"another file\n".to_vec()),
    ];
    for (change, after) in changes {
        if cfg!(windows) && after.starts_with(b"another") {
            // There a file that is open is not replaced.
            continue;
        }
        for memory in [MEMORY_MIN, 64 << 20] {
            fs::write(&path, &bytes).expect("room");
            let watch = Meanwhile(AtomicU64::new(0), change);
            let job = Job { memory, watch: &watch, ..Job::new(&path) };
            let error = sort_file(&Lines::new(), &job).expect_err("it was changed");
            assert!(matches!(error, Error::Changed { .. }), "{error}");
            assert!(fs::read(&path).expect("it is there") == after);
            assert_eq!(scratch.names(), ["file"]);
        }
    }
}

#[test]
fn a_file_that_is_changed_while_it_is_checked_is_told() {
    let scratch = Scratch::new("checked");
    let path = scratch.file(&[b'\n'; 9 << 20]);
    let write = || {
        let mut file = fs::File::options().append(true).open(&path).expect("writable");
        std::io::Write::write_all(&mut file, b"one more\n").expect("room");
    };
    let watch = Meanwhile(AtomicU64::new(0), write);
    let error = check_file(&Lines::new(), &path, &watch).expect_err("it was changed");
    assert!(matches!(error, Error::Changed { .. }), "{error}");
    let checked = check_file(&Lines::new(), &path, &Unwatched).expect("it is at rest");
    assert_eq!((checked.elements, checked.disorder), ((9 << 20) + 1, None));
}
