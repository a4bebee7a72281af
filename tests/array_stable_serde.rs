//! Arrays as sequences of serde: `cargo test --features serde --test array_stable_serde`.
#![cfg(feature = "serde")]

use granule::array::StableVec;

#[test]
fn a_sequence_there_and_back() {
    let words = StableVec::from(["one", "two"].map(String::from));
    let text = serde_json::to_string(&words).expect("words can be written");
    assert_eq!(text, r#"["one","two"]"#);
    let back: StableVec<String> = serde_json::from_str(&text).expect("what was written");
    assert_eq!(back, words);
    assert!(serde_json::from_str::<StableVec<u8>>("[1, 2, 300]").is_err());
    let long: StableVec<u32> = (0..100_000).collect();
    let text = serde_json::to_string(&long).expect("numbers can be written");
    assert_eq!(serde_json::from_str::<StableVec<u32>>(&text).expect("what was written"), long);
}

/// A sequence that says it is longer than any array.
#[test]
fn a_length_that_lies_takes_no_memory() {
    use serde::de::value::{Error, SeqDeserializer};
    struct Liar(u8);
    impl Iterator for Liar {
        type Item = u8;
        fn next(&mut self) -> Option<u8> {
            self.0 = self.0.checked_sub(1)?;
            Some(self.0)
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            (usize::MAX, Some(usize::MAX))
        }
    }
    let sequence = SeqDeserializer::<_, Error>::new(Liar(3));
    let array: StableVec<u8> = serde::Deserialize::deserialize(sequence).expect("three");
    assert_eq!((array.as_slice(), array.capacity()), (&[2, 1, 0][..], 64 << 10));
}
