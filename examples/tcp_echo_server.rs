//! A TCP echo server on a stack of its own, across the best link that this process may open.
//!
//! Its client is the kernel, in a namespace that comes with the link; no privileges are needed. Where there is no such
//! link, a second stack of this process takes the kernel's place.
//!
//! ```sh
//! cargo run --example tcp_echo_server
//! ```

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::thread;

use tapsock::Host;
use tapsock::net::{Shutdown, TcpListener, TcpStream};
use tapsock_driver::KernelEnd;
use tapsock_driver::auto::{FarEnd, Opened};

fn main() -> Result<(), Box<dyn Error>> {
    let kernel_end = KernelEnd::new("tap0").address("10.7.0.1/24".parse()?);
    let opened = Opened::best(&kernel_end).map_err(|refused| format!("no link: {refused:?}"))?;
    println!("link: {}", opened.kind);
    opened.refused.iter().for_each(|refusal| println!("not {refusal}"));

    let server = Host::builder().link(opened.link).address("10.7.0.2/24".parse()?).start()?;
    let listener = TcpListener::bind(&server, "10.7.0.2:7007")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream?;
            thread::spawn(move || echo(stream));
        }
        io::Result::Ok(())
    });

    match opened.far_end {
        FarEnd::Kernel(namespace) => talk(namespace.tcp_connect(address)?, address, "the kernel"),
        FarEnd::Link(link) => {
            let client = Host::builder().link(link).address("10.7.0.1/24".parse()?).start()?;
            talk(TcpStream::connect(&client, address)?, address, "a second stack")
        }
    }?;
    println!("the server's TCP: {} segments in", server.counters()[tapsock::Counter::TcpInSegs]);
    Ok(())
}

/// Sends back what comes, until the client has ended.
fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    io::copy(&mut stream.try_clone()?, &mut stream)?;
    stream.shutdown(Shutdown::Write)
}

/// What the client does; it does not care whose sockets it speaks through.
fn talk(mut stream: impl Read + Write, address: SocketAddr, who: &str) -> io::Result<()> {
    for line in ["a line", "and another"] {
        stream.write_all(line.as_bytes())?;
        let mut back = vec![0; line.len()];
        stream.read_exact(&mut back)?;
        println!("{who} sent {line:?} to {address}, and got {:?}", String::from_utf8_lossy(&back));
        assert_eq!(back, line.as_bytes());
    }
    Ok(())
}
