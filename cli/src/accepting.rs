//! Accepting one connection after the other, through what passes by itself: no descriptor left, or a peer that was
//! gone before it was accepted.

use std::io;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use crate::failure::During;
use crate::network::Listener;

/// The first wait for what an accept lacks. Each that follows is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest.
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// What connections come to.
pub trait Accept {
    /// What it gives.
    type Stream;

    /// The next connection.
    fn accept_one(&self) -> io::Result<Self::Stream>;
    /// Where it is, for messages.
    fn place(&self) -> String;
}

impl<L: Listener> Accept for L {
    type Stream = L::Stream;

    fn accept_one(&self) -> io::Result<L::Stream> {
        self.next()
    }

    fn place(&self) -> String {
        self.address().map_or_else(|_| "a listener".to_owned(), |address| address.to_string())
    }
}

/// The connections that come to a listener.
#[derive(Debug)]
pub struct Accepting<L> {
    listener: L,
    pause: Duration,
    told: bool,
}

impl<L: Accept> Accepting<L> {
    /// Those that come to `listener`.
    pub fn new(listener: L) -> Self {
        Accepting { listener, pause: FIRST_PAUSE, told: false }
    }

    /// The next one. What an accept lacks (descriptors, memory) is told once on standard error, and waited for.
    ///
    /// # Errors
    /// What does not pass: ENETDOWN where the link is gone, EBADF, EINVAL.
    pub fn next(&mut self) -> io::Result<L::Stream> {
        loop {
            let error = match self.listener.accept_one() {
                Ok(stream) => {
                    self.pause = FIRST_PAUSE;
                    return Ok(stream);
                }
                Err(error) => error,
            };
            match Trouble::of(&error) {
                Trouble::OfOne => {}
                Trouble::Passing => self.wait(error),
                Trouble::Lasting => return Err(error),
            }
        }
    }

    /// Where they come to, for messages.
    pub fn place(&self) -> String {
        self.listener.place()
    }

    /// Nothing tells when there is a descriptor again: other parts of the process, and other processes, have them.
    fn wait(&mut self, error: io::Error) {
        if !std::mem::replace(&mut self.told, true) {
            let told: io::Result<()> = Err(error);
            if let Err(failure) = told.during(format_args!("accept at {}", self.place())) {
                crate::complain(&failure.hint("Connections wait until that has passed."));
            }
        }
        #[expect(clippy::disallowed_methods, reason = "nothing tells when there is what it lacked")]
        thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(LAST_PAUSE);
    }
}

/// What an error of accept(2) means for the connections after it.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Trouble {
    /// Nothing: it took its connection with it, or a signal came.
    OfOne,
    /// They wait until there is what it lacks.
    Passing,
    /// There will be none.
    Lasting,
}

impl Trouble {
    fn of(error: &io::Error) -> Trouble {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::INTR | Errno::CONNABORTED | Errno::CONNRESET | Errno::PROTO) => Trouble::OfOne,
            // EPERM is a firewall's word.
            Some(
                Errno::MFILE
                | Errno::NFILE
                | Errno::NOBUFS
                | Errno::NOMEM
                | Errno::AGAIN
                | Errno::PERM
                | Errno::TIMEDOUT,
            ) => Trouble::Passing,
            _ => Trouble::Lasting,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpStream};
    use std::sync::Mutex;
    use std::time::Instant;

    use super::*;

    /// One whose accepts fail as told, the last first, and then succeed.
    struct Troubled {
        errors: Mutex<Vec<Errno>>,
        listener: std::net::TcpListener,
    }

    impl Listener for Troubled {
        type Stream = TcpStream;

        fn next(&self) -> io::Result<TcpStream> {
            match self.errors.lock().unwrap().pop() {
                Some(errno) => Err(errno.into()),
                None => self.listener.next(),
            }
        }

        fn address(&self) -> io::Result<SocketAddr> {
            self.listener.address()
        }
    }

    fn troubled(errors: &[Errno]) -> (Accepting<Troubled>, TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let errors = Mutex::new(errors.iter().rev().copied().collect());
        (Accepting::new(Troubled { errors, listener }), client)
    }

    #[test]
    fn what_passes_is_waited_for() {
        let errors =
            [Errno::CONNABORTED, Errno::MFILE, Errno::NFILE, Errno::INTR, Errno::NOBUFS, Errno::NOMEM];
        let (mut accepting, _client) = troubled(&errors);
        let begin = Instant::now();
        accepting.next().unwrap();
        // 10, 20, 40 and 80 ms: no busy loop.
        assert!(begin.elapsed() >= Duration::from_millis(150), "{:?}", begin.elapsed());
        assert!(accepting.told && accepting.pause == FIRST_PAUSE);
    }

    #[test]
    fn what_lasts_is_an_error() {
        for errno in [Errno::NETDOWN, Errno::BADF, Errno::INVAL] {
            let (mut accepting, _client) = troubled(&[Errno::CONNABORTED, errno]);
            assert_eq!(accepting.next().unwrap_err().raw_os_error(), Some(errno.raw_os_error()));
            assert!(!accepting.told);
        }
    }
}
