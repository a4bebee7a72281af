//! Floor 0, pure.
