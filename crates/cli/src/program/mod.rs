//! A program that is run with a library preloaded: the library, the check before, the signals, the
//! processes.

pub(crate) mod family;
pub(crate) mod library;
pub(crate) mod preflight;
pub(crate) mod signals;

/// One line of granule itself among the program's output.
pub(crate) fn say(sentence: &str) {
    eprintln!("granule: {sentence}");
}
