//! The file that is sorted, and the new one that takes its place.

use super::disk;
use super::error::Error;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

/// The file that is sorted, and how it was when it was opened.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    pub(crate) facts: Metadata,
}

impl Input {
    /// Opens a regular file; a symbolic link leads to one.
    pub(crate) fn open(path: &Path) -> Result<Input, Error> {
        // Before it is opened: opening a pipe waits for a writer.
        let facts = std::fs::metadata(path).map_err(Error::system("open", path))?;
        if !facts.is_file() {
            let what = if facts.is_dir() { "a directory" } else { "a device or a pipe" };
            return Err(Error::NoFile { path: path.to_owned(), what });
        }
        let file = File::open(path).map_err(Error::system("open", path))?;
        let facts = file.metadata().map_err(Error::system("look at", path))?;
        Ok(Input { file, path: path.to_owned(), facts })
    }

    /// Bytes of the file when it was opened.
    pub(crate) fn len(&self) -> u64 {
        self.facts.len()
    }

    /// Refuses a length that is not a whole number of elements.
    pub(crate) fn check_whole(&self, width: usize) -> Result<(), Error> {
        if !self.len().is_multiple_of(width as u64) {
            return Err(Error::NotWhole { path: self.path.clone(), len: self.len(), width });
        }
        Ok(())
    }

    /// Fills `bytes` from `offset` on.
    ///
    /// # Errors
    /// The system's, and `Changed` if the file has become shorter.
    pub(crate) fn read(&self, bytes: &mut [u8], offset: u64) -> Result<(), Error> {
        let count = disk::read_full(&self.file, bytes, offset);
        if count.map_err(Error::system("read", &self.path))? < bytes.len() {
            return Err(Error::Changed { path: self.path.clone() });
        }
        Ok(())
    }

    /// Whether the file is still what was opened: the same one at its path, of the same length,
    /// last written at the same time.
    pub(crate) fn check_unchanged(&self) -> Result<(), Error> {
        let look = |path: &Path| -> io::Result<[Facts; 2]> {
            let open = Facts::of(&self.file, &self.file.metadata()?)?;
            let named = File::open(path)?;
            Ok([open, Facts::of(&named, &named.metadata()?)?])
        };
        let now = look(&self.path).map_err(Error::system("look at", &self.path))?;
        let then = Facts::of(&self.file, &self.facts);
        let then = then.map_err(Error::system("look at", &self.path))?;
        if now.iter().all(|now| *now == then) {
            return Ok(());
        }
        Err(Error::Changed { path: self.path.clone() })
    }
}

/// What is different after somebody wrote to a file or put another in its place.
#[derive(PartialEq)]
struct Facts {
    identity: (u64, u64),
    len: u64,
    written: SystemTime,
}

impl Facts {
    fn of(file: &File, facts: &Metadata) -> io::Result<Facts> {
        let identity = disk::identity(file, facts)?;
        Ok(Facts { identity, len: facts.len(), written: facts.modified()? })
    }
}

/// The file that a new one is to be like.
#[derive(Debug)]
pub(crate) struct Like {
    pub(crate) path: PathBuf,
    pub(crate) facts: Metadata,
}

/// A file in the making: nothing is seen of it before [`put`](Self::put), and nothing is left of it
/// when it is dropped.
#[derive(Debug)]
pub(crate) struct NewFile {
    pub(crate) file: File,
    pub(crate) directory: PathBuf,
    /// Where the file has a name: systems without nameless ones.
    name: Option<PathBuf>,
}

impl NewFile {
    /// A new file in `directory` that will have `wanted` bytes.
    pub(crate) fn create(directory: &Path, wanted: u64) -> Result<NewFile, Error> {
        let refused = || Error::writing(directory, wanted);
        let new = match disk::nameless(directory).map_err(refused())? {
            Some(file) => NewFile { file, directory: directory.to_owned(), name: None },
            None => {
                let name = fresh_name(directory);
                let mut options = OpenOptions::new();
                let file = options.read(true).write(true).create_new(true).open(&name);
                let file = file.map_err(refused())?;
                NewFile { file, directory: directory.to_owned(), name: Some(name) }
            }
        };
        Ok(new)
    }

    /// Puts the file at `target`, in place of what is there, with the rights and the attributes of
    /// `like`. Whatever happens meanwhile, `target` is the old file or the new one, and after it
    /// the new one stays.
    pub(crate) fn put(mut self, target: &Path, like: &Like) -> Result<(), Error> {
        let failed = |verb| Error::system(verb, target);
        let dressed = disk::dress(&self.file, &like.facts, &like.path);
        dressed.map_err(failed("give owner, mode and attributes to the new"))?;
        self.file.sync_all().map_err(failed("bring to the disk the new"))?;
        let name = match self.name.take() {
            Some(name) => name,
            None => {
                let name = fresh_name(&self.directory);
                disk::name(&self.file, &name).map_err(failed("give a name to the new"))?;
                name
            }
        };
        // From here on the name is removed if it cannot become the target's.
        self.name = Some(name.clone());
        std::fs::rename(&name, target).map_err(failed("replace"))?;
        self.name = None;
        disk::sync_names(&self.directory).map_err(failed("make durable the name of"))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // Whoever removed it before us has done what we wanted.
            let _ = std::fs::remove_file(name);
        }
    }
}

/// A name that no other process has, and that tells whose it is.
fn fresh_name(directory: &Path) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    directory.join(format!(".granule-sort-{}-{number}.new", std::process::id()))
}

/// The directory that a file is in.
pub(crate) fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
