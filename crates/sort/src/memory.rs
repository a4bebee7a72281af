//! Sorting what is in memory: the same sort, with a journal that nobody keeps.

use crate::engine;
use crate::in_place::ROOM_LEN_MAX;
use crate::journal::{Area, Geometry};
use crate::shape::{Native, Number, Shape};
use crate::watch::Watch;

/// Bytes of room that a sort by buckets can do with.
const ROOM_LEN_MIN: usize = 4096;

/// Areas in ordinary memory.
pub(crate) struct Areas {
    memory: Vec<u64>,
    geometry: Geometry,
    count: usize,
}

impl Areas {
    pub(crate) fn new(geometry: Geometry, count: usize) -> Self {
        Areas { memory: vec![0; geometry.area_len() / 8 * count], geometry, count }
    }

    pub(crate) fn all(&mut self) -> Vec<Area<'_>> {
        let Areas { memory, geometry, count } = self;
        let bytes = bytes_of(memory);
        let areas = bytes.chunks_exact_mut(geometry.area_len()).take(*count);
        areas.map(|area| Area::of(area, *geometry)).collect()
    }
}

/// Sorts elements. Those that are equal may change places with each other.
///
/// Takes about 1 MiB of memory for each thread.
///
/// # Panics
/// When there is a part of an element at the end.
///
/// ```
/// use granule_sort::{shape::Native, sort_in_memory};
/// let mut numbers = [3u32, 1, 2].map(u32::to_ne_bytes);
/// sort_in_memory(numbers.as_flattened_mut(), &Native::<u32>::new(), 1);
/// assert_eq!(numbers.map(u32::from_ne_bytes), [1, 2, 3]);
/// ```
pub fn sort_in_memory<S: Shape>(bytes: &mut [u8], shape: &S, threads: usize) {
    sort_with_room(bytes, shape, threads, ROOM_LEN_MAX);
}

/// The same with about `room_len` bytes of room on each thread, if less is to be taken.
pub(crate) fn sort_with_room<S: Shape>(
    bytes: &mut [u8],
    shape: &S,
    threads: usize,
    room_len: usize,
) {
    assert_eq!(bytes.len() % shape.width(), 0, "the bytes are whole elements");
    let geometry = Geometry::for_shape(shape.width(), room_len.clamp(ROOM_LEN_MIN, ROOM_LEN_MAX));
    let mut areas = Areas::new(geometry, threads.max(1));
    let watch = Watch::new(bytes.len() as u64, None, None);
    let sorted = engine::sort(bytes, shape, engine::found(bytes, shape), &mut areas.all(), &watch);
    sorted.expect("nobody asks it to stop");
}

/// Sorts elements. Those that are equal stay in the order they are in.
///
/// Takes 16 bytes of memory for each element, besides what [`sort_in_memory`] takes.
///
/// # Panics
/// When there is a part of an element at the end.
///
/// ```
/// use granule_sort::shape::Shape;
///
/// /// Two letters, of which the first one counts.
/// struct Pair;
///
/// impl Shape for Pair {
///     fn width(&self) -> usize {
///         2
///     }
///     fn rank(&self, element: &[u8]) -> u64 {
///         element[0].into()
///     }
///     fn rank_decides(&self) -> bool {
///         true
///     }
/// }
/// let mut pairs = *b"b2a2b1a1";
/// granule_sort::sort_in_memory_stable(&mut pairs, &Pair, 1);
/// assert_eq!(&pairs, b"a2a1b2b1");
/// ```
pub fn sort_in_memory_stable<S: Shape>(bytes: &mut [u8], shape: &S, threads: usize) {
    let mut order = stable_order(bytes, shape, threads);
    let width = shape.width();
    let mut held = vec![0; width];
    // Each cycle of places: the first element is held, the others follow it, and it comes last.
    for start in 0..order.len() {
        if order[start] == start {
            continue;
        }
        held.copy_from_slice(&bytes[start * width..][..width]);
        let mut place = start;
        loop {
            let from = core::mem::replace(&mut order[place], place);
            if from == start {
                break;
            }
            bytes.copy_within(from * width..(from + 1) * width, place * width);
            place = from;
        }
        bytes[place * width..][..width].copy_from_slice(&held);
    }
}

/// Where the elements are, in their order: the place of the lowest one first, and of those that are
/// equal the one in front. Moves nothing.
///
/// Takes 16 bytes of memory for each element meanwhile, and half of it afterwards.
///
/// # Panics
/// When there is a part of an element at the end.
///
/// ```
/// use granule_sort::{shape::Native, stable_order};
/// assert_eq!(stable_order(&[30, 10, 20, 10], &Native::<u8>::new(), 1), [1, 3, 2, 0]);
/// ```
pub fn stable_order<S: Shape>(bytes: &[u8], shape: &S, threads: usize) -> Vec<usize> {
    let width = shape.width();
    assert_eq!(bytes.len() % width, 0, "the bytes are whole elements");
    let element = |place: u64| &bytes[place as usize * width..][..width];
    let elements = (0..).zip(bytes.chunks_exact(width));
    let mut pairs: Vec<u64> =
        elements.flat_map(|(place, element)| [shape.rank(element), place]).collect();
    sort_in_memory(bytes_of(&mut pairs), &RankAndPlace, threads);
    let (pairs, _) = pairs.as_chunks_mut::<2>();
    for equal in pairs.chunk_by_mut(|left, right| left[0] == right[0]) {
        if shape.rank_decides() {
            equal.sort_unstable_by_key(|pair| pair[1]);
        } else {
            equal.sort_unstable_by(|left, right| {
                let order = shape.compare(element(left[1]), element(right[1]));
                order.then(left[1].cmp(&right[1]))
            });
        }
    }
    pairs.iter().map(|pair| pair[1] as usize).collect()
}

/// A rank, and where its element is.
struct RankAndPlace;

impl Shape for RankAndPlace {
    #[inline(always)]
    fn width(&self) -> usize {
        16
    }

    #[inline(always)]
    fn rank(&self, element: &[u8]) -> u64 {
        u64::of_bytes(&element[..8])
    }

    #[inline(always)]
    fn rank_decides(&self) -> bool {
        true
    }
}

/// Sorts numbers: integers by value, floating point in the order of `total_cmp`.
///
/// ```
/// let mut numbers = [2.0, f64::NAN, -0.0, 0.0, -3.0];
/// granule_sort::sort(&mut numbers);
/// assert_eq!(numbers[..4], [-3.0, 0.0, 0.0, 2.0]);
/// assert!(numbers[1].is_sign_negative() && numbers[4].is_nan());
/// ```
pub fn sort<T: Number>(numbers: &mut [T]) {
    sort_in_memory(bytes_of(numbers), &Native::<T>::new(), 1);
}

/// Numbers as their bytes.
fn bytes_of<T: Number>(numbers: &mut [T]) -> &mut [u8] {
    let len = size_of_val(numbers);
    // SAFETY: the bytes of the slice, borrowed for as long; numbers have no padding, and any bytes
    // are a number (`Number` is sealed).
    unsafe { core::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), len) }
}
