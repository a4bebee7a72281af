//! The file of the journal: its name, its header, and who holds it.

use super::area::{Area, Geometry};
use super::put_back::{Damaged, put_back};
use crate::error::Error;
use granule::section::ViewMut;
use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

const MAGIC: u64 = u64::from_ne_bytes(*b"granSORT");
const VERSION: u64 = 1;

/// Bytes in front of the first area.
pub(crate) const HEADER_LEN: usize = 4096;

/// What the journal belongs to, and how it is cut into areas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) data_len: u64,
    pub(crate) identity: [u64; 2],
    pub(crate) width: usize,
    pub(crate) geometry: Geometry,
    pub(crate) areas: usize,
}

impl Header {
    const WORDS: usize = 10;

    fn words(&self) -> [u64; Self::WORDS] {
        let mut words = [
            MAGIC,
            VERSION,
            self.data_len,
            self.identity[0],
            self.identity[1],
            self.width as u64,
            self.geometry.room_len as u64,
            self.geometry.buckets_max as u64,
            self.areas as u64,
            0,
        ];
        words[9] = checksum(&words[..9]);
        words
    }

    /// `None`: the journal was never begun, and nothing is in it.
    fn read(bytes: &[u8]) -> Result<Option<Self>, Damaged> {
        let Some(bytes) = bytes.get(..8 * Self::WORDS) else { return Ok(None) };
        let mut words = [0; Self::WORDS];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
        if words[9] == 0 {
            return Ok(None);
        }
        let len = |word: u64| usize::try_from(word).map_err(|_| Damaged);
        let header = Header {
            data_len: words[2],
            identity: [words[3], words[4]],
            width: len(words[5])?,
            geometry: Geometry { room_len: len(words[6])?, buckets_max: len(words[7])? },
            areas: len(words[8])?,
        };
        if header.words() != words || header.width == 0 {
            return Err(Damaged);
        }
        Ok(Some(header))
    }

    fn file_len(&self) -> usize {
        HEADER_LEN + self.areas * self.geometry.area_len()
    }
}

/// Never 0.
fn checksum(words: &[u64]) -> u64 {
    let mix =
        |sum: u64, word: &u64| (sum ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
    words.iter().fold(0xcbf2_9ce4_8422_2325, mix) | 1
}

/// The journal of a file that is being sorted, or was when the sort died. Locked while it is open.
pub(crate) struct Journal {
    path: PathBuf,
    header: Option<Header>,
    view: ViewMut,
    /// Holds the lock.
    file: File,
}

impl Journal {
    /// The journal that belongs to a file of this name.
    pub(crate) fn path_of(data: &Path) -> PathBuf {
        let mut name = std::ffi::OsString::from(".");
        name.push(data.file_name().unwrap_or_default());
        name.push(".granule-sort");
        data.with_file_name(name)
    }

    /// A new one. Its place on the disk is taken now: a store to it cannot fail.
    pub(crate) fn create(data: &Path, header: Header) -> Result<Self, Error> {
        let path = Self::path_of(data);
        let mut file = match open(&path, true) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(Error::Busy { journal: path });
            }
            opened => opened?,
        };
        lock(&file, &path)?;
        let made = Self::fill(&mut file, &path, header);
        if made.is_err() {
            let _ = std::fs::remove_file(&path); // the first error is the one to tell
        }
        let view = made?;
        Ok(Journal { path, header: Some(header), view, file })
    }

    fn fill(file: &mut File, path: &Path, header: Header) -> Result<ViewMut, Error> {
        let zeros = vec![0u8; HEADER_LEN];
        let mut left = header.file_len();
        while left > 0 {
            let part = left.min(zeros.len());
            file.write_all(&zeros[..part]).map_err(Error::io("cannot write", path))?;
            left -= part;
        }
        let mut view = view(file, path)?;
        // The checksum comes last, when nothing but the header is there: a journal without one is
        // empty.
        for (target, word) in view.as_chunks_mut::<8>().0.iter_mut().zip(header.words()) {
            super::crash::point();
            *target = word.to_ne_bytes();
            core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
        }
        Ok(view)
    }

    /// The one that a dead sort of this file has left behind, if there is one.
    pub(crate) fn find(data: &Path) -> Result<Option<Self>, Error> {
        let path = Self::path_of(data);
        let file = match open(&path, false) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(None);
            }
            opened => opened?,
        };
        lock(&file, &path)?;
        let view = view(&file, &path)?;
        let damaged = |_| Error::Damaged { journal: path.clone() };
        let header = Header::read(&view).map_err(damaged)?;
        if header.is_some_and(|header| header.file_len() != view.len()) {
            return Err(Error::Damaged { journal: path });
        }
        Ok(Some(Journal { path, header, view, file }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All of it as it is mapped, and its file.
    #[cfg(target_os = "linux")]
    pub(crate) fn bytes(&mut self) -> (&mut [u8], &File) {
        (&mut self.view, &self.file)
    }

    /// What holds the lock.
    #[cfg(target_os = "linux")]
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn header(&self) -> Option<Header> {
        self.header
    }

    pub(crate) fn areas(&mut self) -> Vec<Area<'_>> {
        self.areas_iter().collect()
    }

    fn areas_iter(&mut self) -> impl Iterator<Item = Area<'_>> {
        let (geometry, count) = match self.header {
            Some(header) => (header.geometry, header.areas),
            None => (Geometry { room_len: 8, buckets_max: 0 }, 0),
        };
        let len = geometry.area_len();
        let areas = self.view.get_mut(HEADER_LEN..).unwrap_or_default();
        areas.chunks_exact_mut(len).take(count).map(move |area| Area::of(area, geometry))
    }

    /// Puts back what is in it, and says how many elements that were. Allocates nothing.
    pub(crate) fn put_back(&mut self, data: &mut [u8]) -> Result<usize, Damaged> {
        let width = self.header.map_or(1, |header| header.width);
        self.areas_iter().map(|mut area| put_back(data, width, &mut area)).sum()
    }

    /// Removes it from the disk.
    pub(crate) fn remove(self) -> Result<(), Error> {
        let Journal { path, view, file, .. } = self;
        drop(view);
        if cfg!(windows) {
            drop(file); // an open file cannot be removed
            return std::fs::remove_file(&path).map_err(Error::io("cannot remove", &path));
        }
        // Locked until it is gone.
        let removed = std::fs::remove_file(&path).map_err(Error::io("cannot remove", &path));
        drop(file);
        removed
    }
}

fn open(path: &Path, is_new: bool) -> Result<File, Error> {
    let what = if is_new { "cannot make the journal" } else { "cannot open the journal" };
    let mut options = File::options();
    options.read(true).write(true).create_new(is_new);
    options.open(path).map_err(Error::io(what, path))
}

/// Takes the lock, which the system gives back when the process dies.
fn lock(file: &File, path: &Path) -> Result<(), Error> {
    match file.try_lock() {
        Ok(()) if is_removed(file) => Err(Error::Busy { journal: path.to_owned() }),
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Error::Busy { journal: path.to_owned() }),
        Err(TryLockError::Error(source)) => {
            Err(Error::Io { what: "cannot lock", path: path.to_owned(), source })
        }
    }
}

/// True when somebody else has had the lock, and has removed the file from its folder.
#[cfg(unix)]
fn is_removed(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
}

#[cfg(not(unix))]
fn is_removed(_: &File) -> bool {
    false
}

fn view(file: &File, path: &Path) -> Result<ViewMut, Error> {
    // SAFETY: (1) to (3): the journal is locked by this process, and mapped once; others have no
    // business with a file of this name.
    unsafe { ViewMut::of_file(file) }.map_err(Error::map(path))
}

/// What tells a file from another of the same name: its device and its number there.
#[cfg(unix)]
pub(crate) fn identity_of(file: &File) -> std::io::Result<[u64; 2]> {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata()?;
    Ok([metadata.dev(), metadata.ino()])
}

/// What tells a file from another of the same name: its volume and its number there.
#[cfg(windows)]
pub(crate) fn identity_of(file: &File) -> std::io::Result<[u64; 2]> {
    use std::os::windows::io::AsRawHandle;
    use windows_sys::Win32::Storage::FileSystem::{
        BY_HANDLE_FILE_INFORMATION, GetFileInformationByHandle,
    };
    let mut told = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the file is open, and the structure lives through the call.
    if unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut told) } == 0 {
        return Err(std::io::Error::last_os_error());
    }
    let number = u64::from(told.nFileIndexHigh) << 32 | u64::from(told.nFileIndexLow);
    Ok([u64::from(told.dwVolumeSerialNumber), number])
}
