//! Random verbs do to a `GrowMap` what they do to a `Vec`, and to the file what they should.

mod section_support;

use granule::section::{Durability, GrowMap};
use proptest::prelude::*;
use section_support::{OwnFile, pattern};
use std::path::Path;

/// Bytes that there may be.
const MAX: usize = 1 << 20;

/// Places are shares of 256 of the content.
#[derive(Clone, Copy, Debug)]
enum Verb {
    Append(usize),
    Push(u64),
    Reserve(usize),
    Truncate(usize),
    Punch(usize, usize),
    Write(usize, usize, u8),
    Flush(usize, usize),
    Close,
    Drop,
    Die,
}

fn verbs() -> impl Strategy<Value = Vec<Verb>> {
    let share = || 0usize..=256;
    let write = |(from, to, byte)| Verb::Write(from, to, byte);
    let verb = prop_oneof![
        8 => prop_oneof![0usize..5000, 0usize..200_000].prop_map(Verb::Append),
        2 => any::<u64>().prop_map(Verb::Push),
        1 => (0usize..300_000).prop_map(Verb::Reserve),
        1 => share().prop_map(Verb::Truncate),
        2 => (share(), share()).prop_map(|(from, to)| Verb::Punch(from, to)),
        2 => (share(), share(), any::<u8>()).prop_map(write),
        1 => (share(), share()).prop_map(|(from, to)| Verb::Flush(from, to)),
        1 => Just(Verb::Close),
        1 => Just(Verb::Drop),
        1 => Just(Verb::Die),
    ];
    prop::collection::vec(verb, 1..40)
}

fn open(path: &Path) -> GrowMap {
    // SAFETY: (1), (2): the file is the test's own.
    unsafe { GrowMap::builder().max(MAX).step(128 << 10).open(path) }.expect("there is room")
}

fn append(map: &mut GrowMap, model: &mut Vec<u8>, bytes: &[u8]) {
    let told = map.append(bytes);
    assert_eq!(told.is_ok(), model.len() + bytes.len() <= MAX);
    if let Ok(range) = told {
        assert_eq!(range, model.len()..model.len() + bytes.len());
        model.extend_from_slice(bytes);
    }
}

fn play(verbs: &[Verb]) {
    let mut file = OwnFile::new(b"");
    let mut model = Vec::new();
    let mut map = open(&file);
    for &verb in verbs {
        let place = |share: usize| model.len() * share / 256;
        let range = |from: usize, to: usize| place(from.min(to))..place(from.max(to));
        match verb {
            Verb::Append(len) => append(&mut map, &mut model, &pattern(len)),
            Verb::Push(value) => append(&mut map, &mut model, &value.to_ne_bytes()),
            Verb::Reserve(len) => {
                assert_eq!(map.reserve_additional(len).is_ok(), model.len() + len <= MAX);
            }
            Verb::Truncate(share) => {
                let len = place(share);
                map.truncate(len);
                model.truncate(len);
            }
            Verb::Punch(from, to) => {
                let range = range(from, to);
                map.punch(range.clone()).expect("inside");
                model[range].fill(0);
            }
            Verb::Write(from, to, byte) => {
                let range = range(from, to);
                map.as_mut_slice(range.clone()).expect("inside").fill(byte);
                model[range].fill(byte);
            }
            Verb::Flush(from, to) => {
                map.flush(range(from, to), Durability::Start).expect("the disk is well");
            }
            Verb::Close => {
                map.close().expect("it can be cut");
                assert_eq!(file.content(), model);
                map = open(&file);
                assert_eq!(map.recovered(), None);
            }
            Verb::Drop => {
                drop(map);
                assert_eq!(file.content(), model);
                map = open(&file);
            }
            Verb::Die => {
                let left = OwnFile::new(&file.content());
                drop(map);
                file = left;
                map = open(&file);
                assert_eq!(map.recovered().map(|told| told.len), Some(model.len()));
            }
        }
        assert!(map.as_slice() == model, "{verb:?}");
        assert!(file.content().starts_with(&model), "{verb:?}");
    }
    map.close().expect("it can be cut");
    assert!(file.content() == model);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_map_is_a_vec_that_is_a_file(verbs in verbs()) {
        play(&verbs);
    }
}
