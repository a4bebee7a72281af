//! Floor 1. Memory that changes its place: pages instead of bytes.

use super::super::carry::{Carried, copy};
use super::super::{Advice, CommitPolicy, Errno, Protection};
use super::info::limits;
use super::memory::advise;
use super::pages::{mmap_as, refuses_unknown_advice, reserve_flags};
use super::process::{abort, write_error};
use super::raw::syscall;
use super::touched::resident;
use core::ptr::NonNull;

/// What cannot be moved in one piece is halved at multiples of this, down to what has none inside,
/// and copied then: the length of a huge page of most processors, where advice about those splits
/// mappings.
const PIECE: usize = 2 << 20;

/// Moves the content of pages to others. Pages go where the kernel lets them, by pieces that are
/// one mapping each; the rest is copied. What was moved reads zero at its old place.
///
/// Calls: madvise(MADV_COLD), mremap(MREMAP_DONTUNMAP), Linux 5.7; after a refusal mincore, and
/// mmap.
///
/// # Safety
/// 1. Both are whole pages of reservations of ours that are committed lazily, to be read and
///    written; they do not overlap, and the page behind `from` is mapped.
/// 2. Nobody else uses any of them during the call, or what was in `to`, and nobody gives advice
///    about parts of `from`, which makes several mappings of one.
pub(crate) unsafe fn carry(from: NonNull<u8>, to: NonNull<u8>, len: usize) -> Carried {
    // An emulator, which takes any advice for done, does not know what a move leaves behind.
    // SAFETY: advice that does not exist does nothing.
    if unsafe { refuses_unknown_advice(from, len) } {
        // SAFETY: (1), (2).
        return unsafe { carry_pieces(from, to, len) };
    }
    // SAFETY: (1), (2).
    unsafe { copy(from, to, len) }
}

unsafe fn carry_pieces(from: NonNull<u8>, to: NonNull<u8>, len: usize) -> Carried {
    // SAFETY: the caller's.
    if unsafe { is_one_mapping(from, len) } {
        // SAFETY: the caller's.
        return unsafe { carry_piece(from, to, len) };
    }
    let start = from.addr().get();
    let middle = (start + len / 2).next_multiple_of(PIECE);
    let middle = if middle < start + len { middle } else { middle - PIECE };
    if middle <= start {
        // SAFETY: the caller's.
        return unsafe { copy(from, to, len) };
    }
    let half = middle - start;
    // SAFETY: the first half of what is the caller's.
    let first = unsafe { carry_pieces(from, to, half) };
    // SAFETY: inside of the range.
    let from = unsafe { from.add(half) };
    // SAFETY: the same.
    let to = unsafe { to.add(half) };
    // SAFETY: the other half.
    let second = unsafe { carry_pieces(from, to, len - half) };
    Carried { pieces: first.pieces + second.pieces, is_whole: first.is_whole && second.is_whole }
}

/// True if it is a part of one mapping. Asks for a page more where it is, which there is no room
/// for: the kernel says so, but EFAULT if the range itself is of several.
unsafe fn is_one_mapping(from: NonNull<u8>, len: usize) -> bool {
    let longer = len + limits().page_len;
    let args = [from.as_ptr().expose_provenance(), len, longer, 0, 0, 0];
    // SAFETY: the page behind is mapped, so nothing happens.
    matches!(unsafe { syscall(libc::SYS_mremap, args) }, Err(Errno(libc::ENOMEM, _)))
}

/// A piece that is one mapping.
unsafe fn carry_piece(from: NonNull<u8>, to: NonNull<u8>, len: usize) -> Carried {
    // SAFETY: the caller's.
    if unsafe { is_locked(from, len) } {
        // SAFETY: the caller's.
        return unsafe { copy(from, to, len) };
    }
    // SAFETY: the caller's.
    let pieces = match unsafe { move_to(from, to, len) } {
        Ok(()) => return Carried { pieces: 1, is_whole: true },
        // What is mapped anew is no part of the mapping around it, either.
        Err(errno) => usize::from(may_have_unmapped(errno) && mend(to, len)),
    };
    // SAFETY: the caller's; all of `to` is mapped.
    Carried { pieces, ..unsafe { copy(from, to, len) } }
}

/// True if a mapping is locked, or may be: a move unlocks all of it, of which others have parts.
/// The kernel refuses this advice for what is locked.
unsafe fn is_locked(from: NonNull<u8>, len: usize) -> bool {
    // A huge page that is advised in part would be split.
    let lead = from.addr().get().next_multiple_of(PIECE) - from.addr().get();
    let (lead, asked) = if lead + PIECE <= len { (lead, PIECE) } else { (0, len) };
    // SAFETY: inside the range.
    let from = unsafe { from.add(lead) };
    // SAFETY: the caller's; the content stays.
    unsafe { advise(from, asked, Advice::Cold) }.is_err()
}

unsafe fn move_to(from: NonNull<u8>, to: NonNull<u8>, len: usize) -> Result<(), Errno> {
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;
    let [from, to] = [from, to].map(|ptr| ptr.as_ptr().expose_provenance());
    // SAFETY: the caller's: pages of ours that nobody uses take the place of others such.
    unsafe { syscall(libc::SYS_mremap, [from, len, len, flags as usize, to, 0]) }.map(drop)
}

/// False for what is said before anything is done: a kernel that does not know the flag, a filter.
const fn may_have_unmapped(errno: Errno) -> bool {
    !matches!(errno.0, libc::EINVAL | libc::ENOSYS | libc::EPERM | libc::EACCES)
}

/// A call that fails late, for want of memory for the kernel's own books, has unmapped what it was
/// to replace. Maps it again if that is so. If even that cannot be, or another thread was just
/// given some of these addresses, the process ends here, where it is known why.
fn mend(to: NonNull<u8>, len: usize) -> bool {
    // SAFETY: (1) ours, as far as it is mapped: that is what ENOMEM denies.
    if !matches!(unsafe { resident(to, len) }, Err(Errno(libc::ENOMEM, _))) {
        return false;
    }
    let flags = reserve_flags(CommitPolicy::Lazy) | libc::MAP_FIXED_NOREPLACE as usize;
    // SAFETY: free addresses only: a kernel that moves pages knows the flag.
    if unsafe { mmap_as(to.addr().get(), len, Protection::ReadWrite, flags) }.is_err() {
        write_error(b"granule: a block that is moved has lost its addresses\n");
        abort();
    }
    true
}

/// Lays new memory over pages, which read zero then: they are a part of the mapping around them
/// again, wherever they came from. Refused if they may be locked. Calls: madvise(MADV_COLD), mmap.
///
/// # Safety
/// 1. As for `empty`; the reservation commits lazily.
pub(crate) unsafe fn renew(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { advise(ptr, len, Advice::Cold) }?;
    let addr = ptr.as_ptr().expose_provenance();
    let flags = reserve_flags(CommitPolicy::Lazy) | libc::MAP_FIXED as usize;
    // SAFETY: (1): the pages replaced are ours and unused.
    match unsafe { mmap_as(addr, len, Protection::ReadWrite, flags) } {
        Err(_) if mend(ptr, len) => Ok(()),
        told => told.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{commit, lock, release, reserve};
    use super::*;
    use crate::sys::inject::{Plan, Session, is_emulated};

    const LEN: usize = 4 * PIECE;

    /// Pages of which the first half has content and the second will get it, and one behind.
    struct Pages(NonNull<u8>);

    fn words<'a>(half: NonNull<u8>) -> &'a mut [usize] {
        // SAFETY: inside, aligned, and nothing else looks at it.
        unsafe { core::slice::from_raw_parts_mut(half.cast().as_ptr(), LEN / size_of::<usize>()) }
    }

    impl Pages {
        fn new() -> Self {
            let len = 3 * LEN;
            // SAFETY: (1) whole pages.
            let base = unsafe { reserve(0, len, PIECE, CommitPolicy::Lazy) }.expect("room");
            // SAFETY: (1) as above.
            unsafe { commit(base, len, Protection::ReadWrite) }.expect("lazily");
            let pages = Pages(base);
            words(base).iter_mut().enumerate().for_each(|(at, word)| *word = at ^ 0x5EED);
            pages
        }

        fn to(&self) -> NonNull<u8> {
            // SAFETY: inside.
            unsafe { self.0.add(LEN) }
        }

        fn carry(&self) -> Carried {
            // SAFETY: (1) both inside, and there is more behind; (2) nobody knows them.
            unsafe { carry(self.0, self.to(), LEN) }
        }

        fn has_arrived(&self) -> bool {
            words(self.to()).iter().enumerate().all(|(at, &word)| word == at ^ 0x5EED)
        }

        fn kept(&self) -> usize {
            // SAFETY: (1) as above.
            unsafe { resident(self.0, LEN) }.expect("mincore")
        }
    }

    impl Drop for Pages {
        fn drop(&mut self) {
            // SAFETY: (1) reserved above; nobody uses it any more.
            unsafe { release(self.0, 3 * LEN) }.expect("munmap");
        }
    }

    #[test]
    fn pages_move_and_read_zero_where_they_were() {
        let pages = Pages::new();
        let carried = pages.carry();
        assert!(pages.has_arrived());
        if carried.pieces == 0 && is_emulated() {
            std::println!("skipped: an emulator does not move pages");
            return;
        }
        assert_eq!((carried, pages.kept()), (Carried { pieces: 1, is_whole: true }, 0));
        assert_eq!(words(pages.0)[LEN / 16], 0);
        // Back again: new memory is laid over what has come from elsewhere.
        // SAFETY: (1) ours; the content is not needed.
        unsafe { renew(pages.to(), LEN) }.expect("mmap");
        assert_eq!(words(pages.to())[0], 0);
    }

    #[test]
    fn several_mappings_move_by_pieces_and_what_is_too_short_is_copied() {
        let page_len = limits().page_len;
        let pages = Pages::new();
        let (page, far) = (3 * page_len, LEN - PIECE);
        for (start, len) in [(page, page_len), (far, PIECE)] {
            // SAFETY: inside.
            let place = unsafe { pages.0.add(start) };
            // SAFETY: (1) ours; the content stays. It makes a mapping of its own.
            unsafe { advise(place, len, Advice::NoFork) }.expect("madvise");
        }
        let carried = pages.carry();
        assert!(pages.has_arrived());
        if !is_emulated() {
            assert_eq!(carried, Carried { pieces: 3, is_whole: false });
            assert_eq!(pages.kept(), PIECE / page_len);
        }
    }

    #[test]
    fn what_is_locked_stays_where_it_is() {
        let pages = Pages::new();
        // SAFETY: (1) ours.
        if unsafe { lock(pages.0, LEN) }.is_err() {
            std::println!("skipped: nothing may be locked here");
            return;
        }
        let carried = pages.carry();
        assert!(pages.has_arrived());
        if !is_emulated() {
            assert_eq!(carried.pieces, 0);
            // SAFETY: (1) ours; the content is not needed.
            assert!(unsafe { renew(pages.0, LEN) }.is_err());
        }
    }

    #[test]
    fn whatever_is_refused_the_content_arrives() {
        for nth in 1..6 {
            for (count, choice) in [(1, 0), (1, 1), (usize::MAX, 0)] {
                let pages = Pages::new();
                let session = Session::open(Plan { nth, count, choice });
                pages.carry();
                drop(session);
                assert!(pages.has_arrived(), "call {nth}, {count} times, choice {choice}");
            }
        }
    }
}
