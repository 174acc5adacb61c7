//! TLS by rustls over the sockets for tokio's tasks: eight clients at once, in a runtime without any of tokio's drivers.
//!
//! ```sh
//! cargo run --example tls_tokio
//! ```

use std::error::Error;
use std::io;
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tapsock::Host;
use tapsock::tokio::{TcpListener, TcpStream};
use tapsock_driver::memory::{MemoryConfig, MemoryLink};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Bytes that each client sends and gets back.
const LEN: usize = 200_000;

fn main() -> Result<(), Box<dyn Error>> {
    // Neither `enable_io` nor `enable_time`: the stack wakes the tasks.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    runtime.block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let (connector, acceptor) = configs()?;
    let (left, right) = MemoryLink::pair(MemoryConfig::default())?;
    let client_host = Host::builder().link(left).address("10.0.0.1/24".parse()?).start()?;
    let server_host = Host::builder().link(right).address("10.0.0.2/24".parse()?).start()?;
    let listener = TcpListener::bind(&server_host, "10.0.0.2:4433").await?;
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(echo(acceptor.clone(), stream));
        }
        #[expect(unreachable_code, reason = "it says what the loop's errors are")]
        io::Result::Ok(())
    });

    let clients: Vec<_> =
        (0..8u8).map(|number| tokio::spawn(ask(client_host.clone(), connector.clone(), number))).collect();
    for client in clients {
        println!("{}", client.await??);
    }
    server.abort();
    Ok(())
}

/// Sends back what it gets until the client ends.
async fn echo(acceptor: TlsAcceptor, stream: TcpStream) -> io::Result<()> {
    let (mut reading, mut writing) = tokio::io::split(acceptor.accept(stream).await?);
    tokio::io::copy(&mut reading, &mut writing).await?;
    writing.shutdown().await
}

async fn ask(host: Host, connector: TlsConnector, number: u8) -> io::Result<String> {
    let stream = TcpStream::connect(&host, "10.0.0.2:4433").await?;
    let own = stream.local_addr()?;
    let name = ServerName::try_from("tapsock.example").expect("a name");
    let (mut reading, mut writing) = tokio::io::split(connector.connect(name, stream).await?);
    let sent = vec![number; LEN];
    let mut back = Vec::new();
    let (written, read) = tokio::join!(
        async {
            writing.write_all(&sent).await?;
            writing.shutdown().await
        },
        reading.read_to_end(&mut back),
    );
    written?;
    assert_eq!((read?, &back), (LEN, &sent));
    Ok(format!("{own}: {LEN} bytes there and back"))
}

/// A certificate made for this run, which the client trusts and the server has.
fn configs() -> Result<(TlsConnector, TlsAcceptor), Box<dyn Error>> {
    let made = rcgen::generate_simple_self_signed(["tapsock.example".to_owned()])?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let certificate = made.cert.der().clone();
    let mut trusted = RootCertStore::empty();
    trusted.add(certificate.clone())?;
    let client = ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
    let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key)?;
    Ok((Arc::new(client).into(), Arc::new(server).into()))
}
