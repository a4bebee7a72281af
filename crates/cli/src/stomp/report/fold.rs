//! Which frames of a stack are the user's: the rest is folded into one line.
#![forbid(unsafe_code)]

use crate::stomp::symbols::Frame;

/// Whose code a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Program,
    /// The standard library of Rust or C++.
    Std,
    /// The C library and the loader.
    Libc,
}

/// A line of a stack.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A frame of the program.
    Own(&'a Frame),
    /// A frame of somebody else, and whose.
    Other(&'a Frame, &'static str),
    /// So many frames of others, and whose.
    Folded(usize, &'static str),
}

/// Every frame, unfolded.
pub(crate) fn unfolded(frames: &[Frame]) -> Vec<Line<'_>> {
    let owners = owners(frames);
    frames.iter().zip(owners).map(|(frame, owner)| line(frame, owner)).collect()
}

fn line(frame: &Frame, owner: Owner) -> Line<'_> {
    if owner == Owner::Program { Line::Own(frame) } else { Line::Other(frame, label(&[owner])) }
}

/// Runs of two frames and more that are not the program's become one line; the last run, which
/// started the thread, is left out.
pub(crate) fn folded(frames: &[Frame]) -> Vec<Line<'_>> {
    let owners = owners(frames);
    let last_own = owners.iter().rposition(|&owner| owner == Owner::Program);
    let shown = last_own.map_or(frames.len(), |last| last + 1);
    let mut lines = Vec::new();
    let mut start = 0;
    let same_side = |a: &Owner, b: &Owner| (*a == Owner::Program) == (*b == Owner::Program);
    for run in owners[..shown].chunk_by(same_side) {
        let run_frames = &frames[start..start + run.len()];
        start += run.len();
        if run[0] == Owner::Program || run.len() == 1 {
            lines.extend(run_frames.iter().zip(run).map(|(frame, &owner)| line(frame, owner)));
        } else {
            lines.push(Line::Folded(run.len(), label(run)));
        }
    }
    lines
}

fn label(run: &[Owner]) -> &'static str {
    match (run.contains(&Owner::Std), run.contains(&Owner::Libc)) {
        (true, true) => "std and libc",
        (true, false) => "std",
        _ => "libc",
    }
}

fn owners(frames: &[Frame]) -> Vec<Owner> {
    let mut owners: Vec<Owner> = Vec::with_capacity(frames.len());
    for (position, frame) in frames.iter().enumerate() {
        let inner = position.checked_sub(1).map(|inner| (&frames[inner], owners[inner]));
        owners.push(if is_start_of_rust(frame, inner) { Owner::Std } else { owner(frame) });
    }
    owners
}

/// The C `main` that rustc makes: it has no source, and calls the runtime of std.
fn is_start_of_rust(frame: &Frame, inner: Option<(&Frame, Owner)>) -> bool {
    frame.function.as_deref() == Some("main")
        && frame.file.is_none()
        && inner.is_some_and(|(_, owner)| owner == Owner::Std)
}

/// The module decides where it can, then the source file, then the name.
fn owner(frame: &Frame) -> Owner {
    let module = frame.module.as_deref().unwrap_or_default();
    let module = module.rsplit('/').next().unwrap_or_default();
    let is_one_of = |names: &[&str]| names.iter().any(|name| module.starts_with(name));
    if is_one_of(&["libc.so", "libc-2", "ld-linux", "ld-2", "libpthread", "libm.so", "[vdso]"]) {
        return Owner::Libc;
    }
    if is_one_of(&["libstdc++.so", "libc++.so", "libc++abi.so", "libgcc_s.so"]) {
        return Owner::Std;
    }
    let name = frame.function.as_deref().unwrap_or_default();
    match frame.file.as_deref() {
        Some(file) if is_std_source(file) => Owner::Std,
        Some(_) => Owner::Program,
        None if name == "_start" => Owner::Libc,
        None if is_std_name(name) => Owner::Std,
        None => Owner::Program,
    }
}

fn is_std_source(file: &str) -> bool {
    let of_rust = file.contains("/rustc/") || file.contains("/rustlib/src/rust/");
    (of_rust && file.contains("/library/")) || file.contains("/include/c++/")
}

fn is_std_name(name: &str) -> bool {
    let name = name.trim_start_matches(['<', '&', '*']);
    ["std::", "core::", "alloc::", "__rust", "__rdl", "operator new", "operator delete"]
        .iter()
        .any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, file: Option<&str>, module: &str) -> Frame {
        Frame {
            function: Some(function.to_owned()),
            file: file.map(str::to_owned),
            module: Some(module.to_owned()),
            ..Frame::default()
        }
    }

    fn rust_stack() -> Vec<Frame> {
        let std = Some("/rustc/0123/library/core/src/ptr/mod.rs");
        vec![
            frame("core::ptr::write", std, "/a/prog"),
            frame("<alloc::vec::Vec<T>>::push", None, "/a/prog"),
            frame("prog::fill", Some("/a/src/main.rs"), "/a/prog"),
            frame("core::hint::black_box", std, "/a/prog"),
            frame("prog::main", Some("/a/src/main.rs"), "/a/prog"),
            frame("std::rt::lang_start", std, "/a/prog"),
            frame("main", None, "/a/prog"),
            frame("__libc_start_call_main", None, "/lib/x86_64-linux-gnu/libc.so.6"),
            frame("_start", None, "/a/prog"),
        ]
    }

    #[test]
    fn runs_are_folded_and_the_start_is_left_out() {
        let frames = rust_stack();
        let expected = [
            Line::Folded(2, "std"),
            Line::Own(&frames[2]),
            Line::Other(&frames[3], "std"),
            Line::Own(&frames[4]),
        ];
        assert_eq!(folded(&frames), expected);
        assert_eq!(unfolded(&frames).len(), frames.len());
    }

    #[test]
    fn a_stack_without_own_frames_stays() {
        let libc = "/usr/lib/libc.so.6";
        let frames = [frame("qsort", None, libc), frame("_start", None, "/a/prog")];
        assert_eq!(folded(&frames), [Line::Folded(2, "libc")]);
        assert_eq!(folded(&[]), []);
    }

    #[test]
    fn the_users_names_stay_the_users() {
        let own = [
            frame("main", Some("/a/main.c"), "/a/prog"),
            frame("main", None, "/a/prog"),
            frame("core::Engine::run()", Some("/a/engine.cc"), "/a/prog"),
            frame("standard", None, "/a/prog"),
            frame("jv_free", None, "/usr/lib/libjq.so.1"),
            Frame::default(),
        ];
        assert!(own.iter().all(|frame| owner(frame) == Owner::Program), "{own:?}");
        let cpp = Some("/usr/include/c++/12/bits/stl_vector.h");
        assert_eq!(owner(&frame("std::vector<int>::push_back", cpp, "/a/prog")), Owner::Std);
        let new = frame("operator new(unsigned long)", None, "/usr/lib/libstdc++.so.6");
        assert_eq!(owner(&new), Owner::Std);
    }
}
