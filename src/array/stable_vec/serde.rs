//! Floor 4, pure. Arrays as sequences of serde.
#![forbid(unsafe_code)]

use super::StableVec;
use core::fmt;
use core::marker::PhantomData;
use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// Elements that room is made for because the input says so; it may be wrong.
const TRUSTED_LEN: usize = 64 << 10;

impl<T: Serialize> Serialize for StableVec<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_slice().serialize(serializer)
    }
}

struct Elements<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
    type Value = StableVec<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<StableVec<T>, A::Error> {
        let mut array = StableVec::new();
        let trusted = elements.size_hint().unwrap_or(0).min(TRUSTED_LEN / size_of::<T>().max(1));
        array.make_room(trusted).map_err(A::Error::custom)?;
        while let Some(element) = elements.next_element()? {
            array.try_push(element).map_err(A::Error::custom)?;
        }
        Ok(array)
    }
}

/// An array with the usual maximum. Where there is no room the error of the input says so.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for StableVec<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Elements(PhantomData))
    }
}
