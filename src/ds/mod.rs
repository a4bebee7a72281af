//! Floor 0, pure. Data structures that allocate nothing.
