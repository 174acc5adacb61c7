//! Warnings of the stack and its link, on standard error.

use console::style;
use log::{LevelFilter, Log, Metadata, Record};

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!("{} {}", style("tapsock: warning:").yellow().bold().for_stderr(), record.args());
        }
    }

    fn flush(&self) {}
}

/// From now on, warnings are told.
pub fn start() {
    // Refused only where there is one already, which will do.
    let _ = log::set_logger(&Stderr);
    log::set_max_level(LevelFilter::Warn);
}

/// Ends the warnings when it is dropped: of two hosts that share a wire, the second to go warns that the first has
/// left, which nobody needs to know. It belongs before the hosts.
#[derive(Debug)]
pub struct UntilItEnds(());

impl UntilItEnds {
    /// From now on, warnings are told (again).
    pub fn begin() -> Self {
        start();
        UntilItEnds(())
    }
}

impl Drop for UntilItEnds {
    fn drop(&mut self) {
        log::set_max_level(LevelFilter::Off);
    }
}
