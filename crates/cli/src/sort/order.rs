//! What is sorted, and by what: the words of the command line as an order of the library.
use super::SortArguments;
use crate::exit_code::Failure;
use granule_sort::check::{Checked, check_file};
use granule_sort::external::{Done, Error, Fixed, Job, Watch, sort_file};
use granule_sort::lines::Lines;
use granule_sort::order::{Endian, Number, NumberKind, Numbers, NumbersOf, Records};
use granule_sort::shape::Native;
use granule_sort::{Options, Report, sort_file_in_place};
use std::fs::File;
use std::path::Path;

/// What the file is made of.
pub(super) enum Order {
    Numbers(Numbers),
    Records(Records),
    Lines(Lines),
}

impl Order {
    /// What the arguments say.
    pub(super) fn of(arguments: &SortArguments) -> Result<Order, Failure> {
        let reverse = arguments.reverse;
        if let Some(number) = arguments.number {
            let number = match arguments.endian {
                Some(endian) => checked_endian(number, endian.into())?,
                None => number,
            };
            return Ok(Order::Numbers(Numbers::new(number).descending(reverse)));
        }
        if let Some(len) = arguments.record {
            let records = Records::new(len, arguments.key.iter().cloned());
            let records = records.map_err(|error| Failure::cannot(error.to_string()))?;
            return Ok(Order::Records(records.reversed(reverse)));
        }
        if arguments.lines {
            let separator = if arguments.zero_terminated { 0 } else { b'\n' };
            let lines = Lines::new().separator(separator);
            return Ok(Order::Lines(lines.descending(reverse).unique(arguments.unique)));
        }
        let file = arguments.file.display();
        Err(Failure::cannot(format!(
            "what is in {file}? Say --type u64 (numbers), --record 100 --key 0..10 (records) or \
             --lines (text); for example: granule sort --lines {file}"
        )))
    }

    /// The elements in words, for the report.
    pub(super) fn elements(&self) -> String {
        match self {
            Order::Numbers(numbers) => numbers.number().to_string(),
            Order::Records(_) => "records".to_owned(),
            Order::Lines(_) => "lines".to_owned(),
        }
    }
}

/// The type says `be` itself, or `--endian` does, but not both in different ways.
fn checked_endian(number: Number, endian: Endian) -> Result<Number, Failure> {
    if number.endian() == Endian::Big && endian == Endian::Little {
        return Err(Failure::cannot(format!(
            "--type {number} is big-endian, and --endian says little: leave one of them out"
        )));
    }
    Ok(number.with_endian(endian))
}

/// Numbers as a shape that is compiled into the sort: `shape` in `work`. Those that are common, in
/// the byte order of this machine and from the lowest on, have shapes of their own: to compare them
/// is one instruction. Others have a constant length, at least.
macro_rules! with_numbers {
    ($numbers:expr, $shape:ident => $work:expr) => {{
        let numbers = $numbers;
        macro_rules! of_type {
            ($type:ty) => {{
                let $shape = Native::<$type>::new();
                $work
            }};
        }
        macro_rules! of_len {
            ($len:literal) => {{
                let $shape = NumbersOf::<$len>::new(numbers).expect("the length was asked for");
                $work
            }};
        }
        match (numbers.number().kind(), numbers.number().len(), is_native(numbers)) {
            (NumberKind::Unsigned, 8, true) => of_type!(u64),
            (NumberKind::Signed, 8, true) => of_type!(i64),
            (NumberKind::Float, 8, true) => of_type!(f64),
            (NumberKind::Unsigned, 4, true) => of_type!(u32),
            (_, 1, _) => of_len!(1),
            (_, 2, _) => of_len!(2),
            (_, 4, _) => of_len!(4),
            _ => of_len!(8),
        }
    }};
}

/// Whether the numbers are in the byte order of this machine, the lowest first.
fn is_native(numbers: Numbers) -> bool {
    let native = if cfg!(target_endian = "big") { Endian::Big } else { Endian::Little };
    numbers.number().endian() == native && !numbers.is_descending()
}

/// Does something with a file through the form that its elements have.
macro_rules! with_form {
    ($order:expr, $form:ident => $work:expr) => {
        match $order {
            Order::Numbers(numbers) => with_numbers!(*numbers, shape => {
                let $form = Fixed::plain(shape);
                $work
            }),
            Order::Records(records) => {
                let $form = Fixed::new(records.clone());
                $work
            }
            Order::Lines(lines) => {
                let $form = *lines;
                $work
            }
        }
    };
}

impl Order {
    /// Looks whether the file is sorted.
    pub(super) fn check(&self, path: &Path, watch: &dyn Watch) -> Result<Checked, Error> {
        with_form!(self, form => check_file(&form, path, watch))
    }

    /// Sorts the file into a new one.
    pub(super) fn sort_file(&self, job: &Job<'_>) -> Result<Done, Error> {
        with_form!(self, form => sort_file(&form, job))
    }

    /// Sorts the file where it is.
    ///
    /// # Safety
    /// 1. As for [`sort_file_in_place`].
    ///
    /// # Panics
    /// If it is one of lines.
    pub(super) unsafe fn sort_in_place(
        &self,
        file: &File,
        path: &Path,
        options: &Options<'_>,
    ) -> Result<Report, granule_sort::Error> {
        match self {
            Order::Numbers(numbers) => with_numbers!(*numbers, shape => {
                // SAFETY: (1).
                unsafe { sort_file_in_place(file, path, &shape, options) }
            }),
            Order::Records(records) => {
                // SAFETY: (1).
                unsafe { sort_file_in_place(file, path, records, options) }
            }
            Order::Lines(_) => panic!("lines are sorted into a new file"),
        }
    }
}
