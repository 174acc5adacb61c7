//! Programs of the machine's, run in the kernel's namespace.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where `name` is; says that the test is skipped where it is not installed.
///
/// ```
/// let sh = tapsock_tests::programs::find("sh").unwrap();
/// assert!(sh.is_absolute());
/// ```
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Ordinary users may not have the administrator's directories in their path.
    let places = env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    let found = places.map(|place| place.join(name)).find(|program| program.is_file());
    if found.is_none() {
        println!("skipped: {name} is not installed");
    }
    found
}

/// A program that runs beside the test, and is ended with it.
///
/// ```
/// use std::process::Command;
/// use tapsock_tests::programs::Beside;
///
/// let cat = Beside::start(&mut Command::new("cat")).unwrap();
/// drop(cat);
/// ```
#[derive(Debug)]
pub struct Beside(Child);

impl Beside {
    /// Starts it, without input.
    ///
    /// # Errors
    /// Those of fork(2) and execve(2).
    pub fn start(command: &mut Command) -> io::Result<Beside> {
        command.stdin(Stdio::null()).spawn().map(Beside)
    }

    /// The process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // One that has ended by itself is no error.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory of the test's own, removed with what is in it.
///
/// ```
/// use tapsock_tests::programs::Scratch;
///
/// let scratch = Scratch::new(&std::env::temp_dir(), "example");
/// let path = scratch.path("file");
/// std::fs::write(&path, "text").unwrap();
/// drop(scratch);
/// assert!(!path.exists());
/// ```
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes it in `parent`.
    ///
    /// # Panics
    /// Where it can't be made.
    pub fn new(parent: &Path, name: &str) -> Scratch {
        let path = parent.join(format!("tapsock-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Scratch(path)
    }

    /// The path of something in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is in the build's own directory for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}
