//! Who looks on while a file is sorted.

/// What is being done with the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is read, and sorted as far as memory goes.
    Runs,
    /// The sorted runs are merged.
    Merge,
    /// It is read, and compared.
    Check,
}

/// Hears how far the work is, and may stop it. Called from all threads that work.
pub trait Watch: Sync {
    /// A stage begins that goes over `bytes` bytes.
    fn begin(&self, stage: Stage, bytes: u64) {
        let _ = (stage, bytes);
    }

    /// So many bytes more are done.
    fn advance(&self, bytes: u64) {
        let _ = bytes;
    }

    /// Whether to stop. Asked often; the work then ends with [`Error::Stopped`](super::Error).
    fn is_stopped(&self) -> bool {
        false
    }
}

/// Nobody looks on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {}
