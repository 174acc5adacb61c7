//! `axum::serve` over the listeners of [`tapsock::tokio`](crate::tokio): the feature `axum`.
//!
//! Who wants the peer's address in a handler (`ConnectInfo`) calls `tap_io` of axum's `ListenerExt` on the listener, since
//! only axum itself may say what its address is taken from.
//!
//! ```
//! use std::net::SocketAddr;
//!
//! use axum::Router;
//! use axum::extract::ConnectInfo;
//! use axum::routing::get;
//! use axum::serve::ListenerExt;
//! use tapsock::Host;
//! use tapsock::tokio::{TcpListener, TcpStream};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let app = Router::new().route("/", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }));
//! let host = Host::builder().start()?;
//! let listener = TcpListener::bind(&host, "127.0.0.1:0").await?;
//! let mut client = TcpStream::connect(&host, listener.local_addr()?).await?;
//! let listener = listener.tap_io(|_| ());
//! let app = app.into_make_service_with_connect_info::<SocketAddr>();
//! tokio::spawn(axum::serve(listener, app).into_future());
//!
//! client.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
//! let mut answer = String::new();
//! let address = client.local_addr()?;
//! client.read_to_string(&mut answer).await?;
//! assert!(answer.ends_with(&address.to_string()));
//! # Ok(())
//! # }
//! ```

use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use ::axum::serve::Listener;

use crate::tokio::{TcpListener, TcpStream, UnixListener, UnixStream};
use crate::unix;

/// How long a server that is out of descriptors waits before it accepts again.
const RESPITE: Duration = Duration::from_secs(1);

impl Listener for TcpListener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match TcpListener::accept(self).await {
                Ok(accepted) => return accepted,
                Err(error) => respite(&error).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        TcpListener::local_addr(self)
    }
}

impl Listener for UnixListener {
    type Io = UnixStream;
    type Addr = unix::SocketAddr;

    async fn accept(&mut self) -> (UnixStream, unix::SocketAddr) {
        loop {
            match UnixListener::accept(self).await {
                Ok(accepted) => return accepted,
                Err(error) => respite(&error).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<unix::SocketAddr> {
        UnixListener::local_addr(self)
    }
}

/// After an error that the next call would meet again, as axum does over tokio's own. One of a connection that is over
/// already concerns nobody.
async fn respite(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        log::error!("accept: {error}");
        ::tokio::time::sleep(RESPITE).await;
    }
}
