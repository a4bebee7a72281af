mod area;
pub(crate) mod crash;
mod file;
mod put_back;

pub(crate) use area::{Area, Field, Geometry, Phase, commit, copy, value};
pub(crate) use file::{HEADER_LEN, Header, Journal, identity_of};
pub(crate) use put_back::Damaged;
#[cfg(test)]
pub(crate) use put_back::put_back;
