//! TLS by rustls over blocking sockets: rustls wants `Read` and `Write`, and gets them.
//!
//! ```sh
//! cargo run --example tls
//! ```

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use tapsock::Host;
use tapsock::net::{TcpListener, TcpStream};
use tapsock_driver::memory::{MemoryConfig, MemoryLink};

fn main() -> Result<(), Box<dyn Error>> {
    let (client_config, server_config) = configs()?;
    let (left, right) = MemoryLink::pair(MemoryConfig::default())?;
    let client_host = Host::builder().link(left).address("10.0.0.1/24".parse()?).start()?;
    let server_host = Host::builder().link(right).address("10.0.0.2/24".parse()?).start()?;
    let listener = TcpListener::bind(&server_host, "10.0.0.2:4433")?;

    let server = thread::spawn(move || -> Result<(), rustls::Error> {
        let (stream, peer) = listener.accept().expect("somebody connects");
        let mut tls = BufReader::new(StreamOwned::new(ServerConnection::new(server_config)?, stream));
        let mut line = String::new();
        tls.read_line(&mut line).expect("a line");
        let tls = tls.get_mut();
        write!(tls, "{peer} said: {line}").expect("the client reads");
        tls.conn.send_close_notify();
        tls.flush().expect("the client reads");
        Ok(())
    });

    let stream = TcpStream::connect(&client_host, "10.0.0.2:4433")?;
    let connection = ClientConnection::new(client_config, ServerName::try_from("tapsock.example")?)?;
    let mut tls = StreamOwned::new(connection, stream);
    tls.write_all(b"hello over TLS\n")?;
    let mut answer = String::new();
    tls.read_to_string(&mut answer)?;
    println!("{:?}, {:?}", tls.conn.protocol_version(), tls.conn.negotiated_cipher_suite());
    print!("{answer}");
    assert!(answer.ends_with("said: hello over TLS\n"));
    server.join().expect("the server ends")?;
    Ok(())
}

/// A certificate made for this run, which the client trusts and the server has.
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
