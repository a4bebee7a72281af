//! Which means this machine has. A test that needs one that is absent says so and passes.

use granule::vm;

/// Ends a test that runs in a process of its own, with a sentence.
pub(crate) fn skip(why: &str) -> ! {
    println!("skipped: {why}");
    println!("finished: {}", std::env::var(super::CHILD).expect("in a process of its own"));
    std::process::exit(0)
}

/// True if programs here have addresses for ranges of `len` bytes, and they are cheap; else says
/// so.
pub(crate) fn has_addresses(len: usize) -> bool {
    if len >= vm::info().address_max {
        println!("skipped: there are no {len:#x} bytes of addresses here");
        return false;
    }
    let is_dear = len > 1 << 40 && super::system::is_wine();
    if is_dear {
        println!("skipped: {len:#x} bytes of addresses take too much memory here");
    }
    !is_dear
}

/// True if advice is taken and the flags of mappings are what the kernel knows; else says so. Tries
/// it on a page of its own. An emulator takes all advice for done and does nothing, and it makes up
/// a list of its own, or shows the one of itself.
#[cfg(target_os = "linux")]
pub(crate) fn advice_shows() -> bool {
    let len = vm::info().page_len;
    let (rights, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON);
    // SAFETY: a fresh page.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), len, rights, flags, -1, 0) };
    assert_ne!(page, libc::MAP_FAILED);
    // SAFETY: the page made above.
    assert_eq!(unsafe { libc::madvise(page, len, libc::MADV_DONTDUMP) }, 0);
    let told = super::mapping_flags(page.addr());
    let show = ["wr", "ac", "dd"].iter().all(|flag| told.iter().any(|told| told == flag));
    // SAFETY: the page made above, which nobody uses.
    assert_eq!(unsafe { libc::munmap(page, len) }, 0);
    if !show {
        println!("skipped: no advice is taken here, or it cannot be seen");
    }
    show
}

/// True if the list of mappings has all that count towards the process's limit; else says so. The
/// list of an emulated process leaves out its emulator, that of its thread does not.
#[cfg(target_os = "linux")]
pub(crate) fn sees_all_mappings() -> bool {
    let count = |path| std::fs::read_to_string(path).map(|text| text.lines().count());
    let own = count("/proc/self/maps").expect("maps is readable");
    let hidden = count("/proc/thread-self/maps").is_ok_and(|all| all > own + 5);
    if hidden {
        println!("skipped: this process has mappings that it cannot see");
    }
    !hidden
}
