//! A capture of the command's link, which is whole however the command ends.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tapsock_driver::Link;
use tapsock_driver::pcapng::{Capture, CaptureStats};

use crate::failure::{During, Failure};

/// A capture under way. It is finished when this is dropped, whoever else waits to do it.
#[derive(Debug)]
pub struct Capturing {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    capture: Mutex<Option<Capture>>,
}

impl Capturing {
    /// Captures to `path`; where that can't be made, to a new file at `otherwise`.
    ///
    /// # Errors
    /// Those of open(2) and write(2).
    pub fn create(path: &Path, otherwise: Option<&Path>) -> Result<Self, Failure> {
        let opened = match (File::create(path), otherwise) {
            (Err(_), Some(otherwise)) => {
                // A directory that others may write to could have a link of theirs by that name.
                File::options().write(true).create_new(true).open(otherwise).map(|file| (file, otherwise))
            }
            (created, _) => created.map(|file| (file, path)),
        };
        let what = format!("capture to {}", path.display());
        let (file, path) = opened.during(&what)?;
        let capture = Capture::new(file).during(&what)?;
        let shared = Shared { path: path.to_owned(), capture: Mutex::new(Some(capture)) };
        Ok(Capturing { shared: Arc::new(shared) })
    }

    /// Where it goes.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// `link`, captured.
    pub fn tee(&self, link: Box<dyn Link>) -> Box<dyn Link> {
        match &*self.shared.capture.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(capture) => Box::new(capture.tee(link)),
            None => link,
        }
    }

    /// Writes what waits, and closes the file. A second call finds nothing to do.
    ///
    /// # Errors
    /// The first that writing met with.
    pub fn finish(&self) -> Result<CaptureStats, Failure> {
        self.shared.finish()
    }

    /// Does so too, from another thread.
    pub fn finisher(&self) -> impl Fn() -> Result<CaptureStats, Failure> + Send + 'static {
        let shared = self.shared.clone();
        move || shared.finish()
    }

    /// Has a signal that ends the process finish the capture first.
    ///
    /// # Errors
    /// Where no handler or no thread can be had.
    pub fn finish_when_interrupted(&self) -> Result<(), Failure> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).during("handle signals")?;
        let finish = self.finisher();
        let wait = move || {
            for signal in signals.forever() {
                // Who ended us wants no more of it than that.
                let _ = finish();
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(wait).during("handle signals").map(drop)
    }
}

impl Drop for Capturing {
    fn drop(&mut self) {
        if let Err(failure) = self.finish() {
            crate::complain(&failure);
        }
    }
}

impl Shared {
    fn finish(&self) -> Result<CaptureStats, Failure> {
        let capture = self.capture.lock().unwrap_or_else(PoisonError::into_inner).take();
        let finished: io::Result<_> = capture.map_or(Ok(CaptureStats::default()), Capture::finish);
        finished.during(format_args!("capture to {}", self.path.display()))
    }
}
