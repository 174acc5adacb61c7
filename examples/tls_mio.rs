//! TLS by rustls in one thread over mio: sockets of the stack are event sources as any others.
//!
//! ```sh
//! cargo run --example tls_mio
//! ```

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use tapsock::Host;
use tapsock::net::{TcpListener, TcpStream};
use tapsock_driver::memory::{MemoryConfig, MemoryLink};

const LISTENER: Token = Token(0);
const CLIENTS: usize = 3;

/// A connection of the server's.
struct Connection {
    stream: TcpStream,
    tls: ServerConnection,
    ended: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (client_config, server_config) = configs()?;
    let (left, right) = MemoryLink::pair(MemoryConfig::default())?;
    let client_host = Host::builder().link(left).address("10.0.0.1/24".parse()?).start()?;
    let server_host = Host::builder().link(right).address("10.0.0.2/24".parse()?).start()?;
    let mut listener = TcpListener::bind(&server_host, "10.0.0.2:4433")?;
    listener.set_nonblocking(true)?;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (host, config) = (client_host.clone(), client_config.clone());
            thread::spawn(move || ask(&host, config, number).expect("an answer"))
        })
        .collect();

    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(16));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    while connections.len() < CLIENTS || connections.iter().any(Option::is_some) {
        poll.poll(&mut events, Some(Duration::from_secs(20)))?;
        assert!(!events.is_empty(), "something comes");
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(connections.len() + 1), both)?;
                    let tls = ServerConnection::new(server_config.clone())?;
                    connections.push(Some(Connection { stream, tls, ended: false }));
                }
                continue;
            }
            let place = &mut connections[event.token().0 - 1];
            if let Some(connection) = place
                && !connection.turn()?
            {
                *place = None;
            }
        }
    }
    for client in clients {
        println!("{}", client.join().expect("the client ends"));
    }
    Ok(())
}

impl Connection {
    /// Does what there is to do until both directions would wait. Whether the connection goes on.
    fn turn(&mut self) -> Result<bool, Box<dyn Error>> {
        while self.tls.wants_read() {
            match self.tls.read_tls(&mut self.stream) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(_) => self.answer()?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(!self.ended || self.tls.wants_write())
    }

    /// Sends back in capitals what was said.
    fn answer(&mut self) -> Result<(), Box<dyn Error>> {
        let state = self.tls.process_new_packets()?;
        let mut said = vec![0; state.plaintext_bytes_to_read()];
        self.tls.reader().read_exact(&mut said)?;
        said.make_ascii_uppercase();
        self.tls.writer().write_all(&said)?;
        if state.peer_has_closed() {
            self.tls.send_close_notify();
            self.ended = true;
        }
        Ok(())
    }
}

fn ask(
    host: &Host,
    config: Arc<ClientConfig>,
    number: usize,
) -> Result<String, Box<dyn Error + Send + Sync>> {
    let stream = TcpStream::connect(host, "10.0.0.2:4433")?;
    let connection = ClientConnection::new(config, ServerName::try_from("tapsock.example")?)?;
    let mut tls = StreamOwned::new(connection, stream);
    write!(tls, "client {number} speaks")?;
    tls.conn.send_close_notify();
    tls.flush()?;
    let mut answer = String::new();
    tls.read_to_string(&mut answer)?;
    if answer != format!("CLIENT {number} SPEAKS") {
        return Err(io::Error::other(answer).into());
    }
    Ok(answer)
}

/// A certificate made for this run, which the clients trust and the server has.
fn configs() -> Result<(Arc<ClientConfig>, Arc<ServerConfig>), Box<dyn Error>> {
    let made = rcgen::generate_simple_self_signed(["tapsock.example".to_owned()])?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let certificate = made.cert.der().clone();
    let mut trusted = RootCertStore::empty();
    trusted.add(certificate.clone())?;
    let client = ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
    let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key)?;
    Ok((Arc::new(client), Arc::new(server)))
}
