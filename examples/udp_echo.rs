//! Two stacks of one process on a wire in memory: one sends datagrams, the other sends them back. No device, no
//! privileges, no kernel in between.
//!
//! ```sh
//! cargo run --example udp_echo
//! ```

use std::error::Error;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use tapsock::Host;
use tapsock::net::UdpSocket;
use tapsock_driver::memory::{MemoryConfig, MemoryLink};

fn main() -> Result<(), Box<dyn Error>> {
    let (left, right) = MemoryLink::pair(MemoryConfig::default())?;
    let left = Host::builder().link(left).address("192.0.2.1/24".parse()?).start()?;
    let right = Host::builder().link(right).address("192.0.2.2/24".parse()?).start()?;

    let server = UdpSocket::bind(&right, "192.0.2.2:7007")?;
    thread::spawn(move || echo(&server));

    let client = UdpSocket::bind(&left, "0.0.0.0:0")?;
    client.set_read_timeout(Some(Duration::from_secs(1)))?;
    client.connect("192.0.2.2:7007")?;
    let mut back = [0; 1500];
    for len in [1, 100, 1472] {
        let begin = Instant::now();
        client.send(&vec![b'x'; len])?;
        let came = client.recv(&mut back)?;
        println!("{len} bytes to {} and back in {:?}", client.peer_addr()?, begin.elapsed());
        assert_eq!(came, len);
    }

    // Nobody listens at this port: the other stack says so, and the connected socket hears it.
    client.connect("192.0.2.2:9")?;
    client.send(b"anybody?")?;
    let refusal = client.recv(&mut back).unwrap_err();
    println!("port 9: {refusal}");
    assert_eq!(refusal.kind(), io::ErrorKind::ConnectionRefused);
    Ok(())
}

fn echo(socket: &UdpSocket) -> io::Result<()> {
    let mut bytes = [0; 1500];
    loop {
        let (len, from) = socket.recv_from(&mut bytes)?;
        socket.send_to(&bytes[..len], from)?;
    }
}
