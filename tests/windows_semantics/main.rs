//! One table of calls of virtual memory (`rows_*.rs`) and of heaps (`heap/rows.rs`), and of the
//! answers of Windows, and whoever is said to answer like that: `granule::win32` on every system,
//! and on Windows the system itself.
//!
//! Each answer is the documented one; where Wine 8 is known to give another, the step says so and
//! says whence we know. `granule::win32` has to give the documented answer everywhere, Windows too,
//! and Wine may give either: a later Wine that has been corrected is none the worse.
//!
//! Not here: files as memory (`CreateFileMapping`, `MapViewOfFile`), for which `granule::section`
//! has words of its own.
//!
//! Only on Linux and Windows: catching a fault is different on every system.
#![cfg(any(target_os = "linux", windows))]

mod api;
mod catch;
mod heap;
mod ours;
#[cfg(windows)]
mod real;
mod rows_commit;
mod rows_extras;
mod rows_free;
mod rows_guard;
mod rows_protect;
mod rows_reserve;
mod rows_scenarios;
mod run;
mod step;

use std::sync::{Mutex, PoisonError};
use step::Row;

const TABLE: [&[Row]; 7] = [
    rows_reserve::ROWS,
    rows_commit::ROWS,
    rows_free::ROWS,
    rows_protect::ROWS,
    rows_scenarios::ROWS,
    rows_guard::ROWS,
    rows_extras::ROWS,
];

/// Rows use fixed addresses and the one fault catcher of the process.
static ALONE: Mutex<()> = Mutex::new(());

fn compare(api: &'static dyn api::Api) {
    if granule::vm::info().page_len != 4096 {
        println!("skipped: the table is told with pages of 4096 bytes");
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let rows = TABLE.iter().copied().flatten();
    let wrong: Vec<String> = rows.flat_map(|row| run::row(api, row)).collect();
    assert!(wrong.is_empty(), "{}: {} wrong:\n{}", api.name(), wrong.len(), wrong.join("\n"));
}

#[cfg(windows)]
fn is_wine() -> bool {
    real::is_wine()
}

#[cfg(not(windows))]
fn is_wine() -> bool {
    false
}

#[test]
fn granule_answers_as_windows_is_documented() {
    compare(&ours::Ours);
}

#[cfg(windows)]
#[test]
fn the_system_answers_as_windows_is_documented() {
    compare(&real::Real);
}
