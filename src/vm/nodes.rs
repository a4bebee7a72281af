//! Floor 2, uses floors 0 and 1. The page tables of the process: floors above can have their own.
//!
//! The nodes of all tables come from the same pools, and stay.

pub(crate) use super::pool::{Pool, Pooled, Refusal};
pub(crate) use super::states::{Nodes, PAGES, Root, page};
