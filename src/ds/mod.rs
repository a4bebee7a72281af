//! Floor 0. Data structures that allocate nothing. All are pure but [`once`] and the one pointer in
//! [`page_table`].
//!
//! Those that only the floors for one system use are built for that system alone.

#[cfg(target_os = "linux")]
pub(crate) mod batches;
pub(crate) mod bits;
#[cfg(target_os = "linux")]
pub(crate) mod cfi;
#[cfg(target_os = "linux")]
pub(crate) mod depot;
pub(crate) mod doorbell;
#[allow(dead_code, reason = "systems without a write watch fill none")]
pub(crate) mod extents;
pub(crate) mod handed;
pub(crate) mod in_use;
pub(crate) mod keyed_lock;
pub(crate) mod messages;
pub(crate) mod name;
pub(crate) mod once;
pub(crate) mod page_table;
pub(crate) mod positions;
pub(crate) mod prefix;
pub(crate) mod primitive;
pub(crate) mod ready_stack;
pub(crate) mod returned;
#[cfg(target_os = "linux")]
pub(crate) mod ring;
pub(crate) mod runs;
pub(crate) mod share_name;
pub(crate) mod shelf;
pub(crate) mod text;
