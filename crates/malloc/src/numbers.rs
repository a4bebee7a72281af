//! What the heap has, in the words of mallinfo(3), malloc_stats(3), malloc_info(3), malloc_trim(3)
//! and mallopt(3); and at the end of a program that was asked for it by the environment variable
//! `GRANULE_STATS`: `json` for one JSON object a process, anything else but `0` for a sentence.

use crate::start::is_passive;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicI32, Ordering};
use granule::Granule;
use granule_preload::set_errno;

/// Where standard error is kept for the end, because some programs close it before; -1 if nothing
/// was asked for.
static KEPT: AtomicI32 = AtomicI32::new(-1);
/// Descriptors below are those that programs use by number.
const KEPT_MIN: c_int = 100;

#[used]
#[unsafe(link_section = ".fini_array")]
static END: extern "C" fn() = end;

/// Keeps what is needed at the end.
pub(crate) fn prepare() {
    if wanted().is_some() {
        // SAFETY: makes a new descriptor, or -1.
        let kept = unsafe { libc::fcntl(2, libc::F_DUPFD_CLOEXEC, KEPT_MIN) };
        KEPT.store(kept, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Sentence,
    Json,
}

/// What the environment asks for.
fn wanted() -> Option<Form> {
    // SAFETY: a name; the answer is read before the program can change its environment.
    let value = unsafe { libc::getenv(c"GRANULE_STATS".as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: the environment has texts that end with a NUL.
    match unsafe { CStr::from_ptr(value) }.to_bytes() {
        b"" | b"0" => None,
        b"json" => Some(Form::Json),
        _ => Some(Form::Sentence),
    }
}

extern "C" fn end() {
    let kept = KEPT.load(Ordering::Relaxed);
    let Some(form) = wanted().filter(|_| kept >= 0) else { return };
    let text = if is_passive() {
        Text::of(format_args!("granule: {}: it has its own malloc\n", Program))
    } else if form == Form::Json {
        Text::of(format_args!("{}\n", Json(Numbers::now())))
    } else {
        Text::of(format_args!("granule: {}: {}\n", Program, Numbers::now()))
    };
    text.write_to(kept);
}

/// What there is, counted now.
struct Numbers {
    heap: granule::heap::HeapStats,
    /// Bytes of the process in memory, and the most there were.
    resident: usize,
    resident_max: usize,
}

impl Numbers {
    fn now() -> Self {
        let heap = Granule.stats();
        Numbers { heap, resident: resident(), resident_max: resident_max() }
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heap = &self.heap;
        write!(
            out,
            "{} blocks of {} bytes in use, {} bytes cached, in {} slabs and {} long blocks of {} \
             bytes; the process has {} bytes in memory, at most {}",
            heap.blocks,
            heap.bytes,
            heap.cached,
            heap.slabs,
            heap.runs,
            heap.len,
            self.resident,
            self.resident_max
        )
    }
}

struct Json(Numbers);

impl fmt::Display for Json {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Json(Numbers { heap, resident, resident_max }) = self;
        // SAFETY: asks for the number of this process.
        let pid = unsafe { libc::getpid() };
        write!(out, "{{\"pid\":{pid},\"program\":\"{ProgramName}\",\"blocks\":{}", heap.blocks)?;
        write!(out, ",\"bytes\":{},\"slabs\":{},\"runs\":{}", heap.bytes, heap.slabs, heap.runs)?;
        write!(out, ",\"len\":{},\"cached\":{}", heap.len, heap.cached)?;
        write!(out, ",\"resident\":{resident},\"resident_max\":{resident_max}}}")
    }
}

/// The name of the program and the number of the process.
struct Program;

impl fmt::Display for Program {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: asks for the number of this process.
        write!(out, "{ProgramName} ({})", unsafe { libc::getpid() })
    }
}

unsafe extern "C" {
    /// As glibc keeps it.
    static program_invocation_short_name: *const c_char;
}

/// The name of the program; what is not plain text in it is shown as a question mark.
struct ProgramName;

impl fmt::Display for ProgramName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: the C library sets it before anything of ours runs.
        let name = unsafe { program_invocation_short_name };
        if name.is_null() {
            return out.write_char('?');
        }
        // SAFETY: a text that ends with a NUL.
        let name = unsafe { CStr::from_ptr(name) }.to_bytes();
        name.iter().try_for_each(|&byte| match byte {
            b' '..=b'~' if byte != b'"' && byte != b'\\' => out.write_char(byte.into()),
            _ => out.write_char('?'),
        })
    }
}

/// Bytes of the process in memory; 0 if the system does not tell.
fn resident() -> usize {
    // SAFETY: a name; a new descriptor or -1.
    let file =
        unsafe { libc::open(c"/proc/self/statm".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return 0;
    }
    let mut text = [0_u8; 128];
    // SAFETY: the place is ours and that long.
    let len = unsafe { libc::read(file, text.as_mut_ptr().cast(), text.len()) };
    // SAFETY: opened a moment ago. There is nothing to lose in what was only read.
    let _ = unsafe { libc::close(file) };
    let text = core::str::from_utf8(&text[..len.max(0) as usize]).unwrap_or("");
    let pages = text.split(' ').nth(1).and_then(|word| word.parse::<usize>().ok()).unwrap_or(0);
    pages * crate::family::page_len()
}

/// The most there ever were.
fn resident_max() -> usize {
    // SAFETY: zero is a value of plain numbers.
    let mut usage: libc::rusage = unsafe { core::mem::zeroed() };
    // SAFETY: the place is ours.
    let answer = unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    if answer == 0 { usage.ru_maxrss as usize * 1024 } else { 0 }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mallinfo2() -> libc::mallinfo2 {
    let heap = Granule.stats();
    // SAFETY: zero is a value of plain numbers: of what this heap does not have.
    let mut info: libc::mallinfo2 = unsafe { core::mem::zeroed() };
    info.arena = heap.len;
    info.uordblks = heap.bytes;
    info.fordblks = heap.len.saturating_sub(heap.bytes);
    info
}

/// The same in numbers that may be too small, which then say the most they can.
#[unsafe(no_mangle)]
unsafe extern "C" fn mallinfo() -> libc::mallinfo {
    let small = |number: usize| c_int::try_from(number).unwrap_or(c_int::MAX);
    let heap = Granule.stats();
    // SAFETY: zero is a value of plain numbers: of what this heap does not have.
    let mut info: libc::mallinfo = unsafe { core::mem::zeroed() };
    info.arena = small(heap.len);
    info.uordblks = small(heap.bytes);
    info.fordblks = small(heap.len.saturating_sub(heap.bytes));
    info
}

#[unsafe(no_mangle)]
unsafe extern "C" fn malloc_stats() {
    say(format_args!("granule: {}: {}\n", Program, Numbers::now()));
}

/// Gives back what is not in use; 1 if the process has less memory then. `pad` bytes at the top are
/// of another kind of heap.
#[unsafe(no_mangle)]
unsafe extern "C" fn malloc_trim(_pad: usize) -> c_int {
    let before = resident();
    Granule.trim();
    c_int::from(resident() < before)
}

/// Nothing of the C library's parameters is one of this heap's: 0, "it was not set".
#[unsafe(no_mangle)]
unsafe extern "C" fn mallopt(_parameter: c_int, _value: c_int) -> c_int {
    0
}

/// Writes to a stream in XML, as glibc does; the elements are those that this heap has.
///
/// # Safety
/// 1. `stream` is a `FILE` that is open.
#[unsafe(no_mangle)]
unsafe extern "C" fn malloc_info(options: c_int, stream: *mut c_void) -> c_int {
    if options != 0 {
        set_errno(libc::EINVAL);
        return -1;
    }
    let heap = Granule.stats();
    let (len, free) = (heap.len, heap.len.saturating_sub(heap.bytes));
    let text = Text::of(format_args!(
        "<malloc version=\"1\">\n<heap nr=\"0\">\n\
         <total type=\"fast\" count=\"0\" size=\"{}\"/>\n\
         <total type=\"rest\" count=\"0\" size=\"{free}\"/>\n\
         <system type=\"current\" size=\"{len}\"/>\n</heap>\n</malloc>\n\0",
        heap.cached
    ));
    // SAFETY: a text that ends with a NUL, and (1).
    let written = unsafe { libc::fputs(text.bytes.as_ptr().cast(), stream.cast()) };
    if written < 0 { -1 } else { 0 }
}

/// Text on the stack; what does not fit is left out.
struct Text {
    bytes: [u8; 512],
    len: usize,
}

impl Text {
    fn of(arguments: fmt::Arguments<'_>) -> Self {
        let mut text = Text { bytes: [0; 512], len: 0 };
        // Writing to a place of our own has no errors.
        let _ = fmt::write(&mut text, arguments);
        text
    }

    /// Best effort: there is nobody who could be told.
    fn write_to(&self, descriptor: c_int) {
        // SAFETY: bytes of ours.
        let _ = unsafe { libc::write(descriptor, self.bytes.as_ptr().cast(), self.len) };
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.len() - 1 - self.len;
        let taken = text.len().min(room);
        self.bytes[self.len..self.len + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.len += taken;
        Ok(())
    }
}

/// Writes to standard error.
pub(crate) fn say(arguments: fmt::Arguments<'_>) {
    Text::of(arguments).write_to(2);
}
