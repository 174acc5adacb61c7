//! A web server of hyper's in one thread over mio: sockets of the stack are event sources, and hyper's connections are
//! polled when an event is theirs. There is no runtime, and nobody has to be woken.
//!
//! ```sh
//! cargo run --example hyper_mio
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io::{self, ErrorKind, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll as Ready, Waker};
use std::thread;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use mio::{Events, Interest, Poll, Token};
use tapsock::Host;
use tapsock::net::{TcpListener, TcpStream};
use tapsock_driver::memory::{MemoryConfig, MemoryLink};

const LISTENER: Token = Token(0);
const CLIENTS: usize = 3;
const REQUESTS: usize = 2;

type Served = Pin<Box<dyn Future<Output = Result<(), hyper::Error>>>>;

fn main() -> Result<(), Box<dyn Error>> {
    let (left, right) = MemoryLink::pair(MemoryConfig::default())?;
    let client_host = Host::builder().link(left).address("10.0.0.1/24".parse()?).start()?;
    let server_host = Host::builder().link(right).address("10.0.0.2/24".parse()?).start()?;
    let mut listener = TcpListener::bind(&server_host, "10.0.0.2:8080")?;
    listener.set_nonblocking(true)?;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let host = client_host.clone();
            thread::spawn(move || ask(&host, number).expect("answers"))
        })
        .collect();

    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(16));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections: Vec<Option<Served>> = Vec::new();
    while connections.len() < CLIENTS || connections.iter().any(Option::is_some) {
        poll.poll(&mut events, Some(Duration::from_secs(20)))?;
        assert!(!events.is_empty(), "something comes");
        for event in &events {
            if event.token() != LISTENER {
                turn(&mut connections[event.token().0 - 1])?;
                continue;
            }
            while let Ok((mut stream, _)) = listener.accept() {
                stream.set_nonblocking(true)?;
                let both = Interest::READABLE | Interest::WRITABLE;
                poll.registry().register(&mut stream, Token(connections.len() + 1), both)?;
                let served = http1::Builder::new().serve_connection(Polled(stream), service_fn(answer));
                connections.push(Some(Box::pin(served)));
            }
        }
    }
    for client in clients {
        print!("{}", client.join().expect("the client ends"));
    }
    Ok(())
}

/// Lets a connection do what it can until it would wait. The next event of its socket is all that it waits for.
fn turn(connection: &mut Option<Served>) -> Result<(), hyper::Error> {
    let Some(served) = connection else { return Ok(()) };
    if let Ready::Ready(ended) = served.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        *connection = None;
        ended?;
    }
    Ok(())
}

async fn answer(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let mut response = match request.uri().path().strip_prefix("/hello/") {
        Some(name) => Response::new(format!("hello, {name}\n")),
        None => Response::new("nothing is there\n".to_owned()),
    };
    if !request.uri().path().starts_with("/hello/") {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}

/// A socket whose readiness somebody else looks at.
struct Polled(TcpStream);

fn or_pending<T>(outcome: io::Result<T>) -> Ready<io::Result<T>> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ready::Pending,
        outcome => Ready::Ready(outcome),
    }
}

impl hyper::rt::Read for Polled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Ready<io::Result<()>> {
        let mut bytes = [0; 4096];
        let room = bytes.len().min(into.remaining());
        or_pending(self.0.read(&mut bytes[..room])).map_ok(|len| into.put_slice(&bytes[..len]))
    }
}

impl hyper::rt::Write for Polled {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Ready<io::Result<usize>> {
        or_pending(self.0.write(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Ready<io::Result<()>> {
        or_pending(self.0.flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Ready<io::Result<()>> {
        Ready::Ready(self.0.shutdown(std::net::Shutdown::Write))
    }
}

/// Several requests over one connection, and what came back.
fn ask(host: &Host, number: usize) -> io::Result<String> {
    let mut stream = TcpStream::connect(host, "10.0.0.2:8080")?;
    for at in 0..REQUESTS {
        let last = if at + 1 == REQUESTS { "Connection: close\r\n" } else { "" };
        write!(stream, "GET /hello/{number}.{at} HTTP/1.1\r\nHost: lo\r\n{last}\r\n")?;
    }
    let mut answers = String::new();
    stream.read_to_string(&mut answers)?;
    for at in 0..REQUESTS {
        assert!(answers.contains(&format!("hello, {number}.{at}\n")), "{answers}");
    }
    Ok(answers)
}
