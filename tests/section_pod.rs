//! Views as values: slices of numbers and structures, and when they are refused.

mod section_support;

use granule::section::{Access, CowView, Pod, Section, View, ViewMut, bytes_of};
use granule::{Error, ErrorKind, Op, pod_struct};
use section_support::{OwnFile, pattern};

pod_struct! {
    #[derive(Debug, PartialEq)]
    struct Record {
        key: u64,
        place: [u16; 3],
        kind: u8,
        unused: u8,
    }
}

const RECORD: Record = Record { key: 7, place: [1, 2, 3], kind: 4, unused: 5 };

/// # Safety
/// 1. The file is the test's own.
unsafe fn view_of(file: &OwnFile) -> View {
    // SAFETY: (1).
    unsafe { View::open(file) }.expect("a small file")
}

fn told<T: std::fmt::Debug>(result: Result<T, Error>) -> (ErrorKind, usize, usize) {
    let error = result.expect_err("this must be refused");
    assert_eq!((error.op(), error.call()), (Op::Cast, None));
    (error.kind(), error.addr(), error.len())
}

#[test]
fn values_lie_in_the_file_as_in_memory() {
    let file = OwnFile::new(&[0; 64]);
    // SAFETY: (1) to (3): the file is this test's own, and mapped once.
    let mut view = unsafe { ViewMut::open(&file) }.expect("a small file");
    let records = view.as_mut_slice_of::<Record>().expect("4 of 16 bytes");
    assert_eq!(records.len(), 4);
    records[2] = RECORD;
    assert_eq!(view.as_slice_of::<Record>().expect("the same")[2], RECORD);
    drop(view);
    let content = file.content();
    assert_eq!(content[32..40], 7u64.to_ne_bytes());
    assert_eq!(content[40..46], [1u16, 2, 3].map(u16::to_ne_bytes).concat()[..]);
    assert_eq!(content[46..48], [4, 5]);
    assert_eq!(content[32..48], *bytes_of(&[RECORD]));
}

#[test]
fn every_view_can_be_cast() {
    let numbers: Vec<u32> = (0..50_000).collect();
    let file = OwnFile::new(bytes_of(&numbers));
    // SAFETY: (1) the file is this test's own.
    let read = unsafe { view_of(&file) };
    assert_eq!(read.as_slice_of::<u32>().expect("aligned"), numbers);
    // SAFETY: (1), (2): nobody writes to the file.
    let mut copy = unsafe { CowView::open(&file) }.expect("a small file");
    copy.as_mut_slice_of::<u32>().expect("aligned").reverse();
    assert_eq!(copy.as_slice_of::<u32>().expect("aligned")[..2], [49_999, 49_998]);
    assert_eq!(read.as_slice_of::<u32>().expect("aligned"), numbers);
    assert_eq!(read.as_slice_of::<[u32; 5]>().expect("aligned")[1], [5, 6, 7, 8, 9]);
}

#[test]
fn alignment_comes_from_the_offset() {
    let file = OwnFile::new(&pattern(100_000));
    let section = Section::of_file(&file.open(), Access::Read).expect("an open file");
    for (start, fits) in [(8, [true; 4]), (70_004, [true, true, true, false])] {
        // SAFETY: (1), (2): nobody writes to the file.
        let view = unsafe { section.view(start..start + 800) }.expect("inside");
        let told = [
            view.as_slice_of::<u8>().is_ok(),
            view.as_slice_of::<i16>().is_ok(),
            view.as_slice_of::<f32>().is_ok(),
            view.as_slice_of::<f64>().is_ok(),
        ];
        assert_eq!(told, fits, "from {start} on");
    }
    // SAFETY: (1), (2): as above.
    let odd = unsafe { section.view(4097..4105) }.expect("inside");
    assert_eq!(told(odd.as_slice_of::<u64>()), (ErrorKind::Misaligned, 4097, 8));
    assert_eq!(odd.as_slice_of::<[u8; 8]>().expect("bytes lie anywhere").len(), 1);
}

#[test]
fn half_a_value_is_refused() {
    let file = OwnFile::new(&[0; 20]);
    // SAFETY: (1) to (3): the file is this test's own, and mapped once.
    let mut view = unsafe { ViewMut::open(&file) }.expect("a small file");
    assert_eq!(told(view.as_slice_of::<u64>()), (ErrorKind::OutOfRange, 0, 20));
    assert_eq!(told(view.as_mut_slice_of::<u128>()), (ErrorKind::OutOfRange, 0, 20));
    assert_eq!(told(view.as_slice_of::<[u64; 0]>()), (ErrorKind::OutOfRange, 0, 20));
    assert_eq!(view.as_slice_of::<u32>().expect("5 of 4 bytes").len(), 5);
    let error = view.as_slice_of::<u64>().expect_err("as above");
    assert!(error.to_string().contains("no multiple of the size"), "{error}");
}

#[test]
fn an_empty_view_is_no_values_of_any_type() {
    let file = OwnFile::new(b"");
    // SAFETY: (1) the file is this test's own.
    assert_eq!(unsafe { view_of(&file) }.as_slice_of::<u128>().expect("none").len(), 0);
    // SAFETY: (1) to (3): as above, and mapped once.
    let mut view = unsafe { ViewMut::open(&file) }.expect("a small file");
    assert!(view.as_mut_slice_of::<Record>().expect("none").is_empty());
}

#[test]
fn the_list_of_plain_types() {
    fn bytes<T: Pod>(value: T) -> usize {
        bytes_of(&[value]).len()
    }
    let sizes = [bytes(1u8), bytes(1u16), bytes(1u32), bytes(1u64), bytes(1u128), bytes(1usize)];
    assert_eq!(sizes, [1, 2, 4, 8, 16, size_of::<usize>()]);
    assert_eq!([bytes(1f32), bytes(1f64), bytes([1i8; 3]), bytes([[0i64; 2]; 2])], [4, 8, 3, 32]);
    assert_eq!(bytes(std::num::Wrapping(5i32)), 4);
    assert_eq!(bytes_of(&[-1i16]), [255, 255]);
}

/// What other crates call plain data; that it can be cast does not depend on the system.
#[cfg(target_os = "linux")]
mod others {
    use super::*;

    /// Derived with `bytemuck`: views are bytes, and need no adapter.
    #[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
    #[repr(C)]
    struct Muck {
        key: u64,
        value: f64,
    }

    #[test]
    fn what_bytemuck_knows_can_be_cast() {
        let file = OwnFile::new(&[0; 160]);
        // SAFETY: (1) to (3): the file is this test's own, and mapped once.
        let mut view = unsafe { ViewMut::open(&file) }.expect("a small file");
        let values: &mut [Muck] = bytemuck::try_cast_slice_mut(&mut view).expect("10 of 16 bytes");
        values[9] = Muck { key: 3, value: 0.5 };
        let again: &[Muck] = bytemuck::try_cast_slice(&view).expect("10 of 16 bytes");
        assert_eq!(again[9], Muck { key: 3, value: 0.5 });
        assert_eq!(file.content()[144..], *bytemuck::bytes_of(&again[9]));
        let odd: Result<&[Muck], _> = bytemuck::try_cast_slice(&view[1..17]);
        assert_eq!(odd, Err(bytemuck::PodCastError::TargetAlignmentGreaterAndInputNotAligned));
    }

    /// Derived with `zerocopy`.
    #[derive(
        Debug,
        PartialEq,
        zerocopy::FromBytes,
        zerocopy::IntoBytes,
        zerocopy::Immutable,
        zerocopy::KnownLayout,
    )]
    #[repr(C)]
    struct Zero {
        key: u32,
        place: [u16; 2],
    }

    #[test]
    fn what_zerocopy_knows_can_be_cast() {
        use zerocopy::{FromBytes, IntoBytes};
        let file = OwnFile::new(&[0; 80]);
        // SAFETY: (1) to (3): the file is this test's own, and mapped once.
        let mut view = unsafe { ViewMut::open(&file) }.expect("a small file");
        let values = <[Zero]>::mut_from_bytes(&mut view).expect("10 of 8 bytes");
        values[1] = Zero { key: 9, place: [1, 2] };
        let again = <[Zero]>::ref_from_bytes(&view).expect("10 of 8 bytes");
        assert_eq!(again[1], Zero { key: 9, place: [1, 2] });
        assert_eq!(file.content()[8..16], *again[1].as_bytes());
        assert!(<[Zero]>::ref_from_bytes(&view[1..]).is_err());
    }
}
