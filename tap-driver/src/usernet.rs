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
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::{During, OpenError};
use crate::link::Link;
use crate::stream::StreamLink;
use crate::unix::{Framing, UnixLink};

/// How long a program may take until it listens.
const READY_WITHIN: Duration = Duration::from_secs(5);
/// What slirp4netns says then, on standard error.
const LISTENS: &[u8] = b"Waiting for connection";
/// How long the end of an ended program's words is waited for, or that of a program that speaks no more.
const WORDS_WITHIN: Duration = Duration::from_secs(1);
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
    /// The end of what the program complains of, once it is known. It is read all the while, so that the program never
    /// waits to be heard.
    words: Option<Receiver<Vec<u8>>>,
    /// Removed after the program has ended.
    _folder: Option<Folder>,
}

impl Running {
    /// `heard` is told when the program says [`LISTENS`], and dropped when it speaks no more.
    fn new(mut child: Child, folder: Option<Folder>, heard: Sender<()>) -> Self {
        let (sender, words) = mpsc::channel();
        if let Some(stderr) = child.stderr.take() {
            // Where nobody asks any more there is nobody to tell.
            thread::spawn(move || drop(sender.send(end_of(stderr, heard))));
        }
        Running { child, words: Some(words), _folder: folder }
    }

    /// Why the program has ended, in its own words, if it has: told once. What it has started may speak on in its place,
    /// and is not waited for long.
    pub fn last_words(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let words = self.words.take().and_then(|words| words.recv_timeout(WORDS_WITHIN).ok());
        let words = String::from_utf8_lossy(&words.unwrap_or_default()).trim().to_owned();
        Some(if words.is_empty() { status.to_string() } else { words })
    }

    /// Waits until the program has ended, for `limit` at most.
    fn await_end(&self, limit: Duration) -> io::Result<()> {
        let end = Instant::now() + limit;
        let process = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty())?;
        loop {
            let left = Timespec::try_from(end.saturating_duration_since(Instant::now())).ok();
            match poll(&mut [PollFd::new(&process, PollFlags::IN)], left.as_ref()) {
                Err(Errno::INTR) => {}
                done => return done.map(drop).map_err(Into::into),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder that is nobody else's, and goes with what is in it.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("tapsock-{}-{number}", std::process::id()));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Folder(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Somebody may have cleared up.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn start_passt(mut command: Command, mtu: usize) -> Result<(Box<dyn Link>, Running), OpenError> {
    let (ours, theirs) = UnixStream::pair().during("socketpair")?;
    command.args(["--foreground", "--quiet", "--fd", "0", "--mtu"]).arg(mtu.to_string());
    command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
    let child = UserNet::Passt.spawn(&mut command)?;
    let running = Running::new(child, None, mpsc::channel().0);
    let link = StreamLink::from_fd(ours.into(), mtu).during("socketpair")?;
    Ok((Box::new(link), running))
}

fn start_slirp4netns(mut command: Command, mtu: usize) -> Result<(Box<dyn Link>, Running), OpenError> {
    let folder = Folder::new().during("make a folder for a socket")?;
    let path = folder.0.join("bess");
    // Without the other end of its input, which goes with us, it ends.
    command.args(["--target-type=bess", "--exit-fd=0", "--mtu"]).arg(mtu.to_string()).arg(&path);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let child = UserNet::Slirp4netns.spawn(&mut command)?;
    let (heard, listens) = mpsc::channel();
    let mut running = Running::new(child, Some(folder), heard);
    if listens.recv_timeout(READY_WITHIN) == Err(RecvTimeoutError::Disconnected) {
        // It closes its standard error a little before it has ended.
        let _ = running.await_end(WORDS_WITHIN);
    }
    // One that says it in other words listens by now.
    match UnixLink::connect(&path, Framing::Frame, mtu) {
        Ok(link) => Ok((Box::new(link), running)),
        Err(error) => Err(OpenError::new("connect to slirp4netns", error).because(running.last_words())),
    }
}

/// The last bytes of a stream. `heard` is told when it says [`LISTENS`].
fn end_of(mut stream: impl Read, heard: Sender<()>) -> Vec<u8> {
    let (mut kept, mut some) = (Vec::new(), [0; 1024]);
    let mut heard = Some(heard);
    while let Ok(count @ 1..) = stream.read(&mut some) {
        kept.extend_from_slice(&some[..count]);
        if kept.windows(LISTENS.len()).any(|words| words == LISTENS)
            && let Some(heard) = heard.take()
        {
            // Nobody listens who was not told to.
            let _ = heard.send(());
        }
        kept.drain(..kept.len().saturating_sub(MAX_LAST_WORDS));
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Held by those that make folders.
    static FOLDERS: Mutex<()> = Mutex::new(());

    #[test]
    fn a_program_that_is_not_there_is_told_of() {
        let _alone = FOLDERS.lock();
        for program in UserNet::ALL {
            let before = folders();
            let missing = Command::new("/nowhere/at/all");
            let error = program.start_by(missing, 1500).map(drop).unwrap_err();
            assert_eq!(error.errno(), libc::ENOENT);
            assert!(error.to_string().contains(&format!("apt install {program}")), "{error}");
            assert_eq!(folders(), before, "nothing is left behind");
        }
    }

    /// How many folders of this process there are.
    fn folders() -> usize {
        let begins = format!("tapsock-{}-", std::process::id());
        let all = fs::read_dir(std::env::temp_dir()).unwrap();
        all.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(&begins)).count()
    }

    /// What it has started keeps its standard error open.
    #[test]
    fn a_program_that_leaves_another_behind_is_not_waited_for() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo gone >&2; sleep 5 & exit 3"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut running = Running::new(command.spawn().unwrap(), None, mpsc::channel().0);
        let started = Instant::now();
        running.await_end(Duration::from_secs(4)).unwrap();
        let words = running.last_words().unwrap();
        assert!(started.elapsed() < Duration::from_secs(4));
        assert!(words.contains('3'), "the status, where the words do not end: {words}");
    }

    #[test]
    fn a_program_that_ends_at_once_says_why() {
        let mut command = Command::new("sh");
        command.args(["-c", "seq 100000 >&2; echo no network here >&2; exit 3"]);
        let (_link, mut running) = UserNet::Passt.start_by(command, 1500).unwrap();
        running.await_end(Duration::from_secs(50)).unwrap();
        let words = running.last_words().unwrap();
        assert!(words.ends_with("\n100000\nno network here") && words.len() <= MAX_LAST_WORDS, "{words}");
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]);
        let _alone = FOLDERS.lock();
        let error = UserNet::Slirp4netns.start_by(command, 1500).map(drop).unwrap_err();
        assert_eq!(error.errno(), libc::ENOENT, "{error}");
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }
}
