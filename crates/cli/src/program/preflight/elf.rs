//! What an ELF file tells about whether a preloaded `malloc` can reach it.
#![forbid(unsafe_code)]

use super::Purpose;
use crate::exit_code::Failure;
use object::elf;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSymbol};
use std::path::Path;

type Header = elf::FileHeader64<Endianness>;

/// Names that only the allocator itself defines, and whose it is.
const ALLOCATORS: [(&str, &str); 7] = [
    ("je_malloc", "jemalloc"),
    ("_rjem_malloc", "jemalloc"),
    ("mallocx", "jemalloc"),
    ("mi_malloc", "mimalloc"),
    ("tc_malloc", "tcmalloc"),
    ("scudo_malloc", "Scudo"),
    ("__scudo_print_stats", "Scudo"),
];
/// Defined by the runtimes of sanitizers that bring their own `malloc`.
const SANITIZERS: [(&str, &str); 4] = [
    ("__asan_init", "AddressSanitizer"),
    ("__msan_init", "MemorySanitizer"),
    ("__tsan_init", "ThreadSanitizer"),
    ("__hwasan_init", "HWAddressSanitizer"),
];

/// Checks an executable.
///
/// # Errors
/// 126 when the system cannot execute it, 125 when a preloaded library cannot reach it.
pub(super) fn check(purpose: Purpose, path: &Path) -> Result<(), Failure> {
    let content = std::fs::read(path).map_err(|error| {
        Failure::not_executable(format!("{} cannot be read: {error}", path.display()))
    })?;
    check_content(purpose, path, &content)
}

fn check_content(purpose: Purpose, path: &Path, content: &[u8]) -> Result<(), Failure> {
    check_kind(purpose, path, content)?;
    let shown = path.display();
    let damaged = |error: object::Error| {
        Failure::not_executable(format!("{shown} cannot be executed: exec format ({error})"))
    };
    let file = ElfFile64::<Endianness>::parse(content).map_err(damaged)?;
    let loader = loader(&file, content).map_err(damaged)?;
    let Some(loader) = loader else {
        let why = "it is statically linked, and nothing can be put between a static program and \
                   its malloc";
        return Err(purpose.cannot(path, why, instead_of_static(purpose)));
    };
    if loader.windows(7).any(|window| window == b"ld-musl") {
        return Err(purpose.cannot(
            path,
            "it runs on musl, and the preload library is built for glibc",
            "build it for glibc",
        ));
    }
    check_allocator(purpose, path, &file)
}

/// An executable of this machine and this word length.
fn check_kind(purpose: Purpose, path: &Path, content: &[u8]) -> Result<(), Failure> {
    let shown = path.display();
    if !content.starts_with(&elf::ELFMAG) {
        return Err(Failure::not_executable(format!(
            "{shown} cannot be executed: exec format (neither an ELF program nor a script with \
             #!); if it is a shell script, run it with `sh {shown}`"
        )));
    }
    if content.get(4) == Some(&elf::ELFCLASS32.0) {
        let why = "it is a 32-bit program, and the preload library has 64 bits";
        return Err(purpose.cannot(path, why, "build it for 64 bits"));
    }
    let machine = content.get(18..20).map(|word| u16::from_le_bytes([word[0], word[1]]));
    if machine != Some(own_machine()) {
        return Err(purpose.cannot(
            path,
            "it is for another architecture than this granule",
            "use a granule built for that architecture",
        ));
    }
    Ok(())
}

const fn own_machine() -> u16 {
    if cfg!(target_arch = "aarch64") {
        elf::EM_AARCH64.0
    } else if cfg!(target_arch = "riscv64") {
        elf::EM_RISCV.0
    } else {
        elf::EM_X86_64.0
    }
}

/// The loader that the program asks for; `None` for a static program.
fn loader<'a>(
    file: &ElfFile64<'a, Endianness>,
    content: &'a [u8],
) -> object::Result<Option<&'a [u8]>> {
    let (endian, header): (_, &Header) = (file.endian(), file.elf_header());
    for part in header.program_headers(endian, content)? {
        if let Some(loader) = part.interpreter(endian, content)? {
            return Ok(Some(loader));
        }
    }
    Ok(None)
}

/// A program that defines `malloc` itself comes before every preloaded library.
fn check_allocator(
    purpose: Purpose,
    path: &Path,
    file: &ElfFile64<'_, Endianness>,
) -> Result<(), Failure> {
    let is = |list: &[(&str, &'static str)], name: &str| {
        list.iter().find(|(known, _)| *known == name).map(|(_, whose)| *whose)
    };
    let mut exports_malloc = false;
    let mut inside = None;
    for symbol in file.dynamic_symbols().chain(file.symbols()) {
        let Ok(name) = symbol.name() else { continue };
        // Sanitizers may be linked as a library: there the symbol is only asked for.
        if let Some(sanitizer) = is(&SANITIZERS, name) {
            return Err(sanitized(purpose, path, sanitizer));
        }
        if symbol.is_definition() {
            inside = inside.or_else(|| is(&ALLOCATORS, name));
        }
    }
    for symbol in file.dynamic_symbols().filter(|symbol| symbol.is_definition()) {
        exports_malloc |= matches!(symbol.name(), Ok("malloc" | "free"));
    }
    match (exports_malloc, inside) {
        (_, Some(allocator)) => Err(own_allocator(purpose, path, &format!("({allocator})"))),
        (true, None) => Err(own_allocator(purpose, path, "(it defines malloc itself)")),
        (false, None) => Ok(()),
    }
}

fn own_allocator(purpose: Purpose, path: &Path, whose: &str) -> Failure {
    purpose.cannot(
        path,
        &format!(
            "it brings its own allocator {whose}, which takes every block before a preloaded \
             library sees it"
        ),
        "build it without that allocator (in Rust: without its #[global_allocator] line)",
    )
}

fn sanitized(purpose: Purpose, path: &Path, sanitizer: &str) -> Failure {
    purpose.cannot(
        path,
        &format!("it is built with {sanitizer}, which brings its own malloc"),
        "run it by itself, or build it without the sanitizer",
    )
}

/// How a static program gets what a preloaded library would give it.
const fn instead_of_static(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Guard => {
            "link it dynamically, or in Rust make granule::stomp::Stomp its #[global_allocator]"
        }
        Purpose::Run => {
            "link it dynamically, or link libgranule_malloc.a into it; in Rust make \
             granule::Granule its #[global_allocator]"
        }
    }
}
