//! How far the work is, for somebody at a terminal.
#![forbid(unsafe_code)]

use super::signals;
use granule_sort::external::{Stage, Watch};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

const TEMPLATE: &str = "{msg:10} [{bar:30}] {percent:>3}%  {bytes_per_sec}, ETA {eta}";

/// A bar on standard error if that is a terminal, else nothing.
pub(super) struct Face {
    bar: Option<ProgressBar>,
}

impl Face {
    /// A face that shows something only if it may.
    pub(super) fn new(may_show: bool) -> Face {
        let shows = may_show && std::io::stderr().is_terminal();
        let bar = || {
            let style = ProgressStyle::with_template(TEMPLATE).expect("the template is sound");
            ProgressBar::new(0).with_style(style.progress_chars("=> "))
        };
        Face { bar: shows.then(bar) }
    }

    /// So many bytes of all are sorted where they are.
    pub(super) fn show(&self, done: u64, all: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message("sorting");
            bar.set_length(all);
            bar.set_position(done);
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Runs => "sorting",
        Stage::Merge => "merging",
        Stage::Check => "checking",
    }
}

impl Watch for Face {
    fn begin(&self, stage: Stage, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.reset();
            bar.set_message(name(stage));
            bar.set_length(bytes);
        }
    }

    fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    fn is_stopped(&self) -> bool {
        signals::received().is_some()
    }
}
