//! A running host that is looked at through its control socket, as `tapsock ss`, `ip` and `nstat` do from other processes.
//!
//! ```sh
//! cargo run --example control
//! ```

use std::error::Error;
use std::io::{Read, Write};

use tapsock::Host;
use tapsock::control::{self, Counted, Links, Request, Routes, SocketList, Which};
use tapsock::net::{TcpListener, TcpStream};
use tapsock_driver::memory::{MemoryConfig, MemoryLink};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::temp_dir().join(format!("tapsock-example-{}.sock", std::process::id()));
    let (left, right) = MemoryLink::pair(MemoryConfig::default())?;
    let here = Host::builder().link(left).address("10.0.0.1/24".parse()?).control(&path).start()?;
    let there = Host::builder().link(right).address("10.0.0.2/24".parse()?).start()?;
    let listener = TcpListener::bind(&here, "10.0.0.1:8080")?;
    let mut client = TcpStream::connect(&there, "10.0.0.1:8080")?;
    client.write_all(b"hello")?;
    let (mut served, _) = listener.accept()?;
    served.read_exact(&mut [0; 5])?;

    let links: Links = control::ask(&path, &Request::Links)?;
    for link in &links.links {
        println!("{}: {} mtu {}", link.index, link.name, link.mtu);
    }
    let routes: Routes = control::ask(&path, &Request::Routes)?;
    println!("{} routes", routes.routes.len());
    let which = Which { tcp: true, info: true, ..Which::default() };
    let sockets: SocketList = control::ask(&path, &Request::Sockets(which))?;
    for socket in &sockets.sockets {
        let peer = socket.peer.map_or("nobody".to_owned(), |peer| peer.to_string());
        println!("{} {} to {peer}", socket.state, socket.local);
    }
    let counted: Counted = control::ask(&path, &Request::Counters)?;
    let opened = counted.counters.iter().find(|(name, _)| name == "TcpPassiveOpens");
    println!("{opened:?}");

    assert_eq!(links.links.len(), 2);
    assert!(sockets.sockets.iter().any(|socket| socket.state == "ESTAB"));
    assert_eq!(opened.map(|(_, count)| *count), Some(1));
    Ok(())
}
