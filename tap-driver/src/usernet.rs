//! The machine's own network without any privilege: programs that carry frames to sockets of the kernel's.
//!
//! passt and slirp4netns each are a router of their own with a DHCP server, behind which a host of ours has the network
//! that the program itself has. The router's address leads to the machine's loopback.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::{During, OpenError};
use crate::link::Link;
use crate::stream::StreamLink;
use crate::unix::{Framing, UnixLink};

/// How long a program may take until it listens, and how often that is looked at.
const READY_WITHIN: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// Bytes of a program's last words that are kept.
const MAX_LAST_WORDS: usize = 4096;

/// A program that gives a host the machine's network.
///
/// ```
/// use tapsock_driver::usernet::UserNet;
///
/// assert_eq!(UserNet::Passt.to_string(), "passt");
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum UserNet {
    /// passt(1).
    Passt,
    /// slirp4netns(1).
    Slirp4netns,
}

impl UserNet {
    /// All, the better one first.
    pub const ALL: [UserNet; 2] = [UserNet::Passt, UserNet::Slirp4netns];

    /// Starts the program, with a link of largest packets of `mtu` bytes to it. It ends when what is returned is dropped.
    ///
    /// # Errors
    ///
    /// ENOENT where the program is not installed; what starting it says, and what connecting to it does (ENOENT,
    /// ECONNREFUSED) where it does not begin to listen.
    pub fn start(self, mtu: usize) -> Result<(Box<dyn Link>, Running), OpenError> {
        self.start_by(Command::new(self.to_string()), mtu)
    }

    /// As [`start`](UserNet::start), by a command that runs the program: in another namespace, say.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn start_by(self, command: Command, mtu: usize) -> Result<(Box<dyn Link>, Running), OpenError> {
        match self {
            UserNet::Passt => start_passt(command, mtu),
            UserNet::Slirp4netns => start_slirp4netns(command, mtu),
        }
    }

    fn spawn(self, command: &mut Command) -> Result<Child, OpenError> {
        let spawned = command.stderr(Stdio::piped()).spawn();
        spawned.during(format!("run {self}")).map_err(|error| {
            error.or_because(|errno| {
                (errno == libc::ENOENT).then(|| format!("it is not installed (Debian: apt install {self})"))
            })
        })
    }
}

impl fmt::Display for UserNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UserNet::Passt => "passt",
            UserNet::Slirp4netns => "slirp4netns",
        })
    }
}

/// A program that was started, and its folder, where it has one. Dropping it ends the program.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Reads what the program complains of, so that it never waits to be heard, and keeps the end of it.
    listener: Option<JoinHandle<Vec<u8>>>,
    folder: Option<PathBuf>,
}

impl Running {
    fn new(mut child: Child, folder: Option<PathBuf>) -> Self {
        let stderr = child.stderr.take();
        let listener = stderr.map(|stderr| thread::spawn(move || end_of(stderr)));
        Running { child, listener, folder }
    }

    /// Why the program has ended, in its own words, if it has: told once.
    pub fn last_words(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let words = self.listener.take().and_then(|listener| listener.join().ok()).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).trim().to_owned();
        Some(if words.is_empty() { status.to_string() } else { words })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

fn start_passt(mut command: Command, mtu: usize) -> Result<(Box<dyn Link>, Running), OpenError> {
    let (ours, theirs) = UnixStream::pair().during("socketpair")?;
    command.args(["--foreground", "--quiet", "--fd", "0", "--mtu"]).arg(mtu.to_string());
    command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
    let child = UserNet::Passt.spawn(&mut command)?;
    let running = Running::new(child, None);
    let link = StreamLink::from_fd(ours.into(), mtu).during("socketpair")?;
    Ok((Box::new(link), running))
}

fn start_slirp4netns(mut command: Command, mtu: usize) -> Result<(Box<dyn Link>, Running), OpenError> {
    let folder = new_folder().during("make a folder for a socket")?;
    let path = folder.join("bess");
    // Without the other end of its input, which goes with us, it ends.
    command.args(["--target-type=bess", "--exit-fd=0", "--mtu"]).arg(mtu.to_string()).arg(&path);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let child = UserNet::Slirp4netns.spawn(&mut command)?;
    let mut running = Running::new(child, Some(folder));
    let until = Instant::now() + READY_WITHIN;
    loop {
        // It does not say when it listens.
        let error = match UnixLink::connect(&path, Framing::Frame, mtu) {
            Ok(link) => return Ok((Box::new(link), running)),
            Err(error) => OpenError::new("connect to slirp4netns", error),
        };
        if let Some(words) = running.last_words() {
            return Err(error.because(Some(words)));
        }
        if Instant::now() >= until {
            return Err(error);
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// The last bytes of a stream.
fn end_of(mut stream: impl Read) -> Vec<u8> {
    let (mut kept, mut some) = (Vec::new(), [0; 1024]);
    while let Ok(count @ 1..) = stream.read(&mut some) {
        kept.extend_from_slice(&some[..count]);
        kept.drain(..kept.len().saturating_sub(MAX_LAST_WORDS));
    }
    kept
}

/// A folder that is nobody else's.
fn new_folder() -> io::Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("tapsock-{}-{number}", std::process::id()));
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_told_of() {
        for program in UserNet::ALL {
            let missing = Command::new("/nowhere/at/all");
            let error = program.start_by(missing, 1500).map(drop).unwrap_err();
            assert_eq!(error.errno(), libc::ENOENT);
            assert!(error.to_string().contains(&format!("apt install {program}")), "{error}");
        }
    }

    #[test]
    fn a_program_that_ends_at_once_says_why() {
        let mut command = Command::new("sh");
        command.args(["-c", "seq 100000 >&2; echo no network here >&2; exit 3"]);
        let (_link, mut running) = UserNet::Passt.start_by(command, 1500).unwrap();
        let words = loop {
            if let Some(words) = running.last_words() {
                break words;
            }
            std::thread::yield_now();
        };
        assert!(words.ends_with("\n100000\nno network here") && words.len() <= MAX_LAST_WORDS, "{words}");
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]);
        let error = UserNet::Slirp4netns.start_by(command, 1500).map(drop).unwrap_err();
        assert_eq!(error.errno(), libc::ENOENT, "{error}");
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }
}
