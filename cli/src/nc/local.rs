//! -U: local sockets of the machine, by their paths. The stack's own are in its memory, where no other program finds
//! them; so a relay joins one of those with the machine's, as it does for TCP.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use tapsock::Host;
use tapsock::unix;

use super::exchange::{Input, Side};
use super::{Options, usage};
use crate::accepting::{Accept, Accepting};
use crate::failure::{During, Failure};
use crate::reach::LAST_BYTES;
use crate::splice::Joined;

/// Connects to a path, or only sees who listens there.
pub fn connect(options: &Options) -> Result<(), Failure> {
    let path = place(options)?;
    let outside = UnixStream::connect(path).during(format_args!("connect to {}", path.display()))?;
    options.tell(&format!("Connection to {} succeeded!", path.display()));
    if options.scan {
        return Ok(());
    }
    let host = options.attach.start_alone()?;
    let input = Input::start(options.manner(Side::Client));
    exchange(&host, &input, outside, path)
}

/// Listens at a path.
pub fn listen(options: &Options) -> Result<(), Failure> {
    let path = place(options)?;
    let host = options.attach.start_alone()?;
    let door = Door::open(path).during(format_args!("listen at {}", path.display()))?;
    options.tell(&format!("Listening on {}", path.display()));
    let mut accepting = Accepting::new(door);
    let input = Input::start(options.manner(Side::Server));
    loop {
        let outside = accepting.next().during(format_args!("accept at {}", path.display()))?;
        options.tell(&format!("Connection received on {}", path.display()));
        if !options.keep {
            drop(accepting);
            return exchange(&host, &input, outside, path);
        }
        // The next one may fare better.
        if let Err(failure) = exchange(&host, &input, outside, path) {
            crate::complain(&failure);
        }
    }
}

/// A listener, whose name goes with it.
struct Door {
    listener: UnixListener,
    path: PathBuf,
}

impl Door {
    /// One at `path`. A name that was left behind, where nobody listens any more, is taken over.
    fn open(path: &Path) -> io::Result<Door> {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && is_left_behind(path) => {
                fs::remove_file(path)?;
                UnixListener::bind(path)
            }
            bound => bound,
        }?;
        Ok(Door { listener, path: path.to_owned() })
    }
}

impl Accept for Door {
    type Stream = UnixStream;

    fn accept_one(&self) -> io::Result<UnixStream> {
        self.listener.accept().map(|(stream, _)| stream)
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Somebody else may have removed it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether nobody has that name any more. A listener does not notice being asked: the question is of another type,
/// which it refuses otherwise (EPROTOTYPE).
fn is_left_behind(path: &Path) -> bool {
    let asked = UnixDatagram::unbound().and_then(|socket| socket.connect(path));
    asked.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

fn exchange(
    host: &Host,
    input: &Input<unix::UnixStream>,
    outside: UnixStream,
    path: &Path,
) -> Result<(), Failure> {
    let (ours, relay) = unix::UnixStream::pair(host).during("socketpair")?;
    let joined = Joined::start(relay, outside).during("join the stack")?;
    let done = input.exchange(ours).during(format_args!("connection of {}", path.display()));
    joined.wait_until_written(LAST_BYTES);
    done
}

fn place(options: &Options) -> Result<&Path, Failure> {
    if options.attach.is_chosen() {
        return Err(usage("-U is for this machine", "No link leads to local sockets."));
    }
    if options.udp {
        return Err(usage("-U speaks streams only", "Without -u, nc connects to local sockets."));
    }
    match (options.place.as_slice(), &options.port, options.source) {
        ([path], None, None) => Ok(Path::new(path)),
        _ => Err(usage("-U needs a path alone", "tapsock nc -U PATH, or tapsock nc -l -U PATH")),
    }
}
