//! What a sort looks at while it works: whether it is to stop, and who wants to know how far it is.

use crate::fuse::Fuse;
use crate::others::Others;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The sort was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped;

/// Gets the bytes that are done, and the bytes there are.
type Progress<'a> = &'a (dyn Fn(u64, u64) + Sync);

pub(crate) struct Watch<'a> {
    stop: Option<&'a AtomicBool>,
    progress: Option<Progress<'a>>,
    fuse: Option<&'a Fuse>,
    others: Option<&'a Others<'a>>,
    done: AtomicU64,
    total: u64,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(
        total: u64,
        stop: Option<&'a AtomicBool>,
        progress: Option<Progress<'a>>,
    ) -> Self {
        Watch { stop, progress, fuse: None, others: None, done: AtomicU64::new(0), total }
    }

    /// The same, which also stops when a page of the file is lost.
    pub(crate) fn with_fuse(self, fuse: &'a Fuse) -> Self {
        Watch { fuse: Some(fuse), ..self }
    }

    /// The same, which also stops when others have written to the file, or have waited too long.
    pub(crate) fn with_others(self, others: &'a Others<'a>) -> Self {
        Watch { others: Some(others), ..self }
    }

    pub(crate) fn check(&self) -> Result<(), Stopped> {
        let is_over = self.is_asked()
            || self.fuse.is_some_and(Fuse::is_blown)
            || self.others.is_some_and(Others::stop);
        if is_over { Err(Stopped) } else { Ok(()) }
    }

    /// Somebody has asked the sort to stop.
    pub(crate) fn is_asked(&self) -> bool {
        self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    /// So many bytes more were moved: twice as many as there are until the end.
    pub(crate) fn add(&self, bytes: usize) {
        if let Some(progress) = self.progress {
            let done = self.done.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
            progress(done.min(self.total) / 2, self.total / 2);
        }
    }
}
