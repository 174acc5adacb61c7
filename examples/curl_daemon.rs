//! A daemon with a stack linked in, and the distribution's own `curl` as its client.
//!
//! Nothing of `curl` is changed: it runs in a namespace in which the daemon's stack is the only neighbour.
//!
//! ```sh
//! cargo run --example curl_daemon
//! ```

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::thread;

use tapsock::Host;
use tapsock::net::{TcpListener, TcpStream};
use tapsock_driver::KernelEnd;
use tapsock_driver::auto::{FarEnd, Opened};

fn main() -> Result<(), Box<dyn Error>> {
    let kernel_end = KernelEnd::new("tap0").address("10.7.0.1/24".parse()?).address("fd07::1/64".parse()?);
    let opened = Opened::best(&kernel_end).map_err(|refused| format!("no link: {refused:?}"))?;
    let FarEnd::Kernel(namespace) = &opened.far_end else {
        println!("skipped: no link to the kernel: {}", opened.refused[0]);
        return Ok(());
    };
    // Port 80 is reserved, but the stack is this program's own, and so are its ports.
    let host = Host::builder().link(opened.link).privileged();
    let host = host.address("10.7.0.2/24".parse()?).address("fd07::2/64".parse()?).start()?;
    let listener = TcpListener::bind(&host, "[::]:80")?;
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream?;
            thread::spawn(move || answer(stream));
        }
        io::Result::Ok(())
    });

    for url in ["http://10.7.0.2/over/ipv4", "http://[fd07::2]/over/ipv6"] {
        let mut curl = namespace.command("curl");
        curl.args(["--silent", "--show-error", "--max-time", "5", url]);
        match curl.output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                println!("skipped: there is no curl on this machine");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
            Ok(output) => {
                let said = String::from_utf8(output.stdout)?;
                println!("$ curl {url}\n{said}");
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                assert!(said.contains("/over/ipv"), "{said}");
            }
        }
    }
    Ok(())
}

/// Tells the client what it asked for, and who it is.
fn answer(mut stream: TcpStream) -> io::Result<()> {
    let peer = stream.peer_addr()?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let page = format!("{peer} says: {request}\n");
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}", page.len())
}
