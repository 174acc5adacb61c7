//! tapsock's sockets, as the near end uses them.

use std::io;
use std::net::{Shutdown, SocketAddr};

use tapsock::Host;
use tapsock::net::{TcpListener, TcpStream};

use crate::lab::{Contender, Lab, Side, cidrs};
use crate::role::{Net, Stream};

/// A host with a TAP device of the lab. Its thread runs where the calling thread may.
pub(crate) fn host(lab: &Lab) -> io::Result<Host> {
    let [v4, v6] = cidrs(Contender::Tapsock, Side::Near);
    let mut builder = Host::builder().link(lab.tap(Contender::Tapsock)?).address(v4).address(v6);
    if let Some(spin) = lab.tuning.spin {
        builder = builder.spin(spin);
    }
    lab.tuning.settings.iter().fold(builder, |builder, (name, value)| builder.setting(name, value)).start()
}

impl Net for Host {
    type Stream = TcpStream;
    type Listener = TcpListener;

    fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(self, to)
    }

    fn listen(&self, at: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind(self, at)
    }

    fn accept(&self, listener: &TcpListener) -> io::Result<TcpStream> {
        Ok(listener.accept()?.0)
    }
}

impl Stream for TcpStream {
    fn no_delay(&self) -> io::Result<()> {
        self.set_nodelay(true)
    }

    fn end(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// Prints what the engine and the stack of `host` have counted.
pub(crate) fn print_counters(host: &Host) {
    eprintln!("{:#?}", host.engine_stats());
    for (counter, value) in host.counters().iter().filter(|(_, value)| *value > 0) {
        eprintln!("{:<32} {value:>12}", counter.name());
    }
}
