//! Floor 4, uses floors 0 to 3. Memory without a name: handed from process to process.

use super::super::{Access, Section};
use crate::error::{Error, Op};
use crate::sys::{self, AsHandle, OwnedHandle};

impl Section {
    /// Another handle of it, to be handed to another process: an `OwnedFd` under Unix, an
    /// `OwnedHandle` on Windows. The other makes a section of it with [`received`](Self::received).
    ///
    /// Anything that carries handles will do: the standard streams of a child, as here;
    /// `SCM_RIGHTS` of a Unix socket; `DuplicateHandle` into the other process.
    ///
    /// ```no_run
    /// use granule::section::Section;
    /// # fn parent() -> std::io::Result<()> {
    /// // In the parent: memory in the place of the child's standard input.
    /// let memory = Section::anonymous(4096)?;
    /// std::process::Command::new("child").stdin(memory.to_handle()?).spawn()?;
    /// # Ok(()) }
    /// # fn child() -> std::io::Result<()> {
    /// // In the child:
    /// let memory = Section::received(&std::io::stdin())?;
    /// memory.racy::<u32>(0..4096)?.store(0, 1)?; // the parent sees it
    /// # Ok(()) }
    /// ```
    ///
    /// Linux: fcntl. Windows: `DuplicateHandle`.
    ///
    /// # Errors
    /// - `Denied`, `NoMemory`: too many files are open.
    /// - `Other`: an empty file has no section on Windows.
    pub fn to_handle(&self) -> Result<OwnedHandle, Error> {
        sys::handle_of(self.backing).map_err(|errno| errno.of(Op::Map, 0, self.len as usize))
    }

    /// Memory that another process has handed over, to be read and written: what
    /// [`to_handle`](Self::to_handle) gives there, a C program's memfd or file, or a handle of
    /// `CreateFileMapping`. The handle stays the caller's, who may close it afterwards. It is as
    /// long as the file is now; on Windows as the section in whole pages.
    ///
    /// The other process may make a file shorter at any time, a memfd unless it has sealed it:
    /// [`racy`](Self::racy) views live with that.
    ///
    /// Linux: fcntl twice, fstat. Windows: `DuplicateHandle`, `MapViewOfFile`, `VirtualQuery`,
    /// `UnmapViewOfFile`.
    ///
    /// # Errors
    /// - `Denied`: it may not be read and written, or too many files are open.
    /// - `Unsupported`: it is no regular file.
    /// - `Other`: it is no section.
    pub fn received(handle: &impl AsHandle) -> Result<Self, Error> {
        // SAFETY: (1) it is borrowed, and so open.
        let received = unsafe { sys::received(sys::number_of_handle(handle)) };
        let (backing, len) = received.map_err(|errno| errno.of(Op::Map, 0, 0))?;
        Ok(Section { backing, len, access: Access::Write })
    }
}
