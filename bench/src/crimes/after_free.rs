//! With an argument it reads a box after the map around it has dropped it.

use std::collections::BTreeMap;

fn main() {
    let mut map: BTreeMap<u32, Box<u64>> = (0..100).map(|n| (n, Box::new(n.into()))).collect();
    let kept: *const u64 = &*map[&7];
    if std::env::args().len() > 1 {
        map.remove(&7);
    }
    // SAFETY: none. The box may be gone: that is the crime.
    let value = unsafe { kept.read() };
    assert_eq!(value, 7);
}
