//! Floor 4. The stomp finder.
pub mod options;
pub mod record;
