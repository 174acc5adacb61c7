//! A client with `std::net`'s method names fetches a page from a web server that knows nothing of tapsock: it
//! listens on the kernel's sockets, in a namespace that comes with the link.
//!
//! ```sh
//! cargo run --example http_client
//! ```

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::thread;
use std::time::Duration;

use tapsock::Host;
use tapsock::net::TcpStream;
use tapsock_driver::KernelEnd;
use tapsock_driver::auto::{FarEnd, Opened};

const PAGE: &str = "<p>Hello from the kernel's side.</p>\n";

fn main() -> Result<(), Box<dyn Error>> {
    let kernel_end = KernelEnd::new("tap0").address("fd07::1/64".parse()?);
    let opened = Opened::best(&kernel_end).map_err(|refused| format!("no link: {refused:?}"))?;
    let FarEnd::Kernel(namespace) = &opened.far_end else {
        println!("skipped: no link to the kernel: {}", opened.refused[0]);
        return Ok(());
    };
    let listener = namespace.tcp_listen("[fd07::1]:8080".parse()?)?;
    thread::spawn(move || listener.accept().and_then(|(stream, _)| serve(stream)));

    let client = Host::builder().link(opened.link).address("fd07::2/64".parse()?).start()?;
    let mut stream = TcpStream::connect(&client, "[fd07::1]:8080")?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: [fd07::1]:8080\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    println!("{response}");

    let (head, body) = response.split_once("\r\n\r\n").ok_or("a response without an end of its head")?;
    assert!(head.starts_with("HTTP/1.1 200 "));
    assert_eq!(body, PAGE);
    Ok(())
}

/// As little of a web server as will do.
fn serve(mut stream: std::net::TcpStream) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{PAGE}", PAGE.len())
}
