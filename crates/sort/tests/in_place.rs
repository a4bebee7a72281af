//! Files that are sorted in place, and what can be wrong with them.

use granule_sort::shape::{Native, Shape};
use granule_sort::{Error, Found, Options, Recovery, Report, recover, sort_file_in_place};
use std::cmp::Ordering;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// A file that goes when the test does.
struct Data(PathBuf);

impl Data {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("granule-sort-{name}-{}", std::process::id()));
        std::fs::write(&path, bytes).expect("there is room");
        Data(path)
    }

    fn numbers(name: &str, numbers: impl Iterator<Item = u64>) -> Self {
        Data::new(name, &numbers.flat_map(u64::to_ne_bytes).collect::<Vec<u8>>())
    }

    fn journal(&self) -> PathBuf {
        let name = self.0.file_name().and_then(|name| name.to_str()).expect("it has a name");
        self.0.with_file_name(format!(".{name}.granule-sort"))
    }

    fn read(&self) -> Vec<u64> {
        let bytes = std::fs::read(&self.0).expect("it is there");
        bytes.as_chunks().0.iter().map(|number| u64::from_ne_bytes(*number)).collect()
    }

    fn sort_as<S: Shape>(&self, shape: &S, options: &Options<'_>) -> Result<Report, Error> {
        let file = File::options().read(true).write(true).open(&self.0).expect("it is there");
        // SAFETY: (1) the test's own file, which nobody uses meanwhile.
        unsafe { sort_file_in_place(&file, &self.0, shape, options) }
    }

    fn sort(&self, options: &Options<'_>) -> Result<Report, Error> {
        self.sort_as(&Native::<u64>::new(), options)
    }

    fn recover(&self) -> Result<Recovery, Error> {
        recover_at(&self.0)
    }
}

fn recover_at(path: &Path) -> Result<Recovery, Error> {
    // SAFETY: (1) the test's own file, which nobody uses meanwhile.
    unsafe { recover(path) }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.journal());
        let _ = std::fs::remove_file(&self.0);
    }
}

fn noise(len: u64) -> impl Iterator<Item = u64> {
    (0..len).map(|at| (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23))
}

#[test]
fn files_of_all_orders_are_sorted_and_leave_no_journal() {
    const LEN: u64 = 400_000;
    type Order = (&'static str, Found, fn(u64) -> u64);
    let orders: [Order; 5] = [
        ("random", Found::Unsorted, |at| (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        ("sorted", Found::Sorted, |at| at / 3),
        ("reversed", Found::Reversed, |at| LEN - at / 2),
        ("equal", Found::Sorted, |_| 4),
        ("pipes", Found::Unsorted, |at| at.abs_diff(LEN / 2)),
    ];
    for (name, found, order) in orders {
        let data = Data::numbers(name, (0..LEN).map(order));
        for threads in [1, 2] {
            std::fs::write(
                &data.0,
                (0..LEN).map(order).flat_map(u64::to_ne_bytes).collect::<Vec<_>>(),
            )
            .expect("there is room");
            let options = Options { threads, ..Options::default() };
            let report = data.sort(&options).expect("it is sorted");
            assert_eq!((report.found, report.elements, report.threads), (found, LEN, threads));
            assert_eq!(report.recovery, Recovery::Nothing);
            let mut expected: Vec<u64> = (0..LEN).map(order).collect();
            expected.sort_unstable();
            assert!(data.read() == expected, "{name} on {threads}");
            assert!(!data.journal().exists());
        }
    }
}

#[test]
fn small_files_are_sorted() {
    for len in [0, 1, 2, 3, 511, 512, 513] {
        let data = Data::numbers("small", noise(len));
        data.sort(&Options::default()).expect("it is sorted");
        assert!(data.read().is_sorted());
        assert_eq!(data.read().len() as u64, len);
    }
}

#[test]
fn a_part_of_an_element_is_refused() {
    let data = Data::new("part", &[9; 20]);
    let error = data.sort(&Options::default()).expect_err("20 is no multiple of 8");
    assert!(matches!(error, Error::NotWhole { len: 20, width: 8, .. }), "{error:?}");
    assert!(error.to_string().contains("offset 16"), "{error}");
    assert_eq!(std::fs::read(&data.0).expect("it is there"), [9; 20]);
}

#[test]
fn a_stopped_sort_leaves_all_elements() {
    let data = Data::numbers("stopped", noise(500_000));
    let stop = AtomicBool::new(false);
    let progress = |_: u64, _: u64| stop.store(true, Relaxed);
    for threads in [1, 2] {
        stop.store(false, Relaxed);
        let options =
            Options { threads, progress: Some(&progress), stop: Some(&stop), ..Options::default() };
        let error = data.sort(&options).expect_err("it was stopped");
        assert!(matches!(error, Error::Stopped { .. }), "{error:?}");
        let (mut found, mut expected) = (data.read(), noise(500_000).collect::<Vec<_>>());
        assert!(!found.is_sorted());
        found.sort_unstable();
        expected.sort_unstable();
        assert!(found == expected);
        assert!(!data.journal().exists());
    }
}

#[test]
fn progress_goes_on_to_the_end() {
    let data = Data::numbers("progress", noise(300_000));
    let seen = Mutex::new(Vec::new());
    let progress = |done: u64, total: u64| seen.lock().expect("no panic").push((done, total));
    let options = Options { threads: 1, progress: Some(&progress), ..Options::default() };
    data.sort(&options).expect("it is sorted");
    let seen = seen.into_inner().expect("no panic");
    assert!(seen.len() > 4 && seen.is_sorted(), "{seen:?}");
    assert!(seen.iter().all(|&(_, total)| total == 2_400_000));
    assert_eq!(seen.last(), Some(&(2_400_000, 2_400_000)));
}

/// Numbers of which the n-th comparison, or rank, panics.
struct Panics(AtomicUsize);

impl Shape for Panics {
    fn width(&self) -> usize {
        8
    }

    fn rank(&self, element: &[u8]) -> u64 {
        assert!(self.0.fetch_sub(1, Relaxed) > 0, "as the test wants it");
        u64::from_ne_bytes(element.try_into().expect("eight bytes"))
    }

    fn rank_decides(&self) -> bool {
        true
    }

    fn compare(&self, left: &[u8], right: &[u8]) -> Ordering {
        self.rank(left).cmp(&self.rank(right))
    }
}

#[test]
fn a_panic_of_the_shape_leaves_all_elements() {
    let data = Data::numbers("panics", noise(200_000));
    for count in [1, 100_000, 230_000, 320_000, 405_000, 700_000, 1_000_000] {
        let shape = Panics(AtomicUsize::new(count));
        let options = Options { threads: 1, ..Options::default() };
        let sorted = catch_unwind(AssertUnwindSafe(|| data.sort_as(&shape, &options)));
        assert!(sorted.is_err(), "{count} looks are enough");
        let (mut found, mut expected) = (data.read(), noise(200_000).collect::<Vec<_>>());
        found.sort_unstable();
        expected.sort_unstable();
        assert!(found == expected, "after {count}");
        assert!(!data.journal().exists());
    }
}

#[test]
fn nothing_to_recover_is_no_error() {
    let data = Data::numbers("nothing", noise(5));
    assert_eq!(data.recover().expect("there is no journal"), Recovery::Nothing);
    assert_eq!(recover_at(Path::new("no such file")).expect("nor here"), Recovery::Nothing);
}

#[test]
fn a_damaged_journal_is_kept() {
    let data = Data::numbers("damaged", noise(5));
    std::fs::write(data.journal(), vec![0x55; 9000]).expect("there is room");
    let error = data.sort(&Options::default()).expect_err("that is no journal");
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    let error = data.recover().expect_err("nor is it now");
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert!(data.journal().exists());
    assert_eq!(data.read(), noise(5).collect::<Vec<_>>());
}
