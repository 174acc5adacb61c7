//! Where control sockets are.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The longest path of a socket, in bytes: `sun_path`, without the zero at its end (unix(7)).
const PATH_MAX: usize = 107;

/// The directory of this user's control sockets: `tapsock` in `$XDG_RUNTIME_DIR`; where that is not set, `tapsock-UID` in the
/// directory of temporary files.
pub fn directory() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|path| Path::new(path).is_absolute()) {
        Some(path) => PathBuf::from(path).join("tapsock"),
        None => std::env::temp_dir().join(format!("tapsock-{}", rustix::process::geteuid().as_raw())),
    }
}

/// Where a host of this process opens its control socket unless told otherwise: `PID.sock` in [`directory`], which is made where
/// it is missing; `PID-2.sock` for the second host, and so on.
///
/// # Errors
/// Those of mkdir(2); PermissionDenied where the directory is another's, or others may write there; InvalidInput where the path
/// is too long for a socket.
pub fn default_path() -> io::Result<PathBuf> {
    let directory = directory();
    DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
    let found = fs::symlink_metadata(&directory)?;
    // In a directory that everybody writes to, somebody else may have made it.
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o022 != 0 {
        let what = format!("{} belongs to somebody else, or others may write there", directory.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    clear(&directory);
    let pid = std::process::id();
    let names = std::iter::once(format!("{pid}.sock")).chain((2..).map(|n| format!("{pid}-{n}.sock")));
    let mut paths = names.map(|name| directory.join(name));
    // There are fewer hosts than numbers.
    let path = paths.find(|path| !answers(path)).unwrap_or(directory);
    match path.as_os_str().len() {
        0..=PATH_MAX => Ok(path),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{}: no socket's name may be so long", path.display()),
        )),
    }
}

/// The control sockets of this user's hosts that run now, by their paths.
pub fn running() -> Vec<PathBuf> {
    let entries = fs::read_dir(directory()).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(|path| answers(path)).collect();
    paths.sort();
    paths
}

/// Takes away what processes that are gone have left: a signal that ends one gives it no time to.
fn clear(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.split(['-', '.']).next()?.parse().ok());
        let process = number.and_then(rustix::process::Pid::from_raw);
        let is_gone = |process| rustix::process::test_kill_process(process) == Err(rustix::io::Errno::SRCH);
        if process.is_some_and(is_gone) {
            // Another process may have been faster.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether somebody listens there.
pub(super) fn answers(path: &Path) -> bool {
    UnixStream::connect(path).is_ok()
}
