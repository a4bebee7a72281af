//! Systems but Linux: nothing is asked.

use std::fs::File;
use std::io;
use std::path::Path;

pub(in crate::external) fn nameless(_: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

pub(in crate::external) fn name(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(in crate::external) fn take_room(_: &File, _: u64) -> io::Result<()> {
    Ok(())
}

pub(in crate::external) fn give_room_back(_: &File, _: u64, _: u64) {}

pub(in crate::external) fn will_be_read_in_order(_: &File) {}

pub(in crate::external) fn will_need(_: &File, _: u64, _: u64) {}

pub(in crate::external) fn forget(_: &File, _: u64, _: u64) {}

pub(in crate::external) fn start_writing(_: &File, _: u64, _: u64) {}
