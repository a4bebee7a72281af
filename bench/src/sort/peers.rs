//! What others would write: the file mapped by memmap2, sorted by the standard library.
#![allow(unsafe_code, reason = "memmap2 maps by an unsafe function")]

use super::data::RECORD_LEN;
use crate::Result;
use memmap2::MmapMut;
use std::fs::File;

/// `granule-bench sort-child WHAT FILE`: sorts the file through its map.
pub(crate) fn child(words: &[String]) -> Result<()> {
    let [what, path] = words else { return Err("sort-child WHAT FILE".into()) };
    let file = File::options().read(true).write(true).open(path)?;
    // SAFETY: the file is a copy that only this process knows.
    let mut map = unsafe { MmapMut::map_mut(&file) }?;
    match what.as_str() {
        "numbers" => {
            // SAFETY: any 8 bytes are a u64.
            let (before, numbers, behind) = unsafe { map.align_to_mut::<u64>() };
            if !before.is_empty() || !behind.is_empty() {
                return Err("a map is aligned, and the file is whole".into());
            }
            numbers.sort_unstable();
        }
        "records" => {
            let (records, _) = map.as_chunks_mut::<RECORD_LEN>();
            records.sort_unstable_by(|left, right| left[..10].cmp(&right[..10]));
        }
        _ => return Err("WHAT is numbers or records".into()),
    }
    Ok(())
}
