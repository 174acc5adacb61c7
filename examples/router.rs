//! A host with two links that routes between them, and the hosts at both ends.
//!
//! ```sh
//! cargo run --example router
//! ```

use std::error::Error;
use std::io::{Read, Write};
use std::thread;

use tapsock::net::{TcpListener, TcpStream};
use tapsock::{Counter, Host};
use tapsock_driver::memory::{MemoryConfig, MemoryLink};

fn main() -> Result<(), Box<dyn Error>> {
    let (left, left_port) = MemoryLink::pair(MemoryConfig::default())?;
    let (right, right_port) = MemoryLink::pair(MemoryConfig { mtu: 1400, ..MemoryConfig::default() })?;
    let router = Host::builder()
        .setting("net.ipv4.ip_forward", "1")
        .link(left_port)
        .interface_name("left")
        .address("10.0.1.1/24".parse()?)
        .link(right_port)
        .interface_name("right")
        .address("10.0.2.1/24".parse()?)
        .start()?;
    let host = |link, net| {
        let own = format!("10.0.{net}.2/24").parse().expect("an address");
        Host::builder().link(link).address(own).gateway([10, 0, net, 1].into()).start()
    };
    let (client, server) = (host(left, 1)?, host(right, 2)?);

    let listener = TcpListener::bind(&server, "10.0.2.2:8080")?;
    let serving = thread::spawn(move || {
        let mut bytes = Vec::new();
        listener.accept()?.0.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes.len())
    });
    let mut stream = TcpStream::connect(&client, "10.0.2.2:8080")?;
    stream.write_all(&[7; 1_000_000])?;
    drop(stream);
    let came = serving.join().expect("it does not panic")?;
    println!(
        "{came} bytes came, in {} packets that the router passed on",
        router.counters()[Counter::IpForwDatagrams]
    );
    assert_eq!(came, 1_000_000);
    Ok(())
}
