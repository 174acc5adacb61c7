//! A host that looks names up over its own sockets, at a name server on the next host.
//!
//! ```sh
//! cargo run --example names
//! ```

use std::error::Error;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::thread;

use tapsock::Host;
use tapsock::net::{TcpListener, TcpStream, UdpSocket};
use tapsock_driver::memory::{MemoryConfig, MemoryLink};

const NAME: &str = "www.example.test";

fn main() -> Result<(), Box<dyn Error>> {
    let (left, right) = MemoryLink::pair(MemoryConfig::default())?;
    let server = Host::builder().link(right).address("10.0.0.2/24".parse()?).privileged().start()?;
    let client = Host::builder()
        .link(left)
        .address("10.0.0.1/24".parse()?)
        .name_server("10.0.0.2:53".parse()?)
        .resolv_conf("search example.test")
        .start()?;

    let names = UdpSocket::bind(&server, "10.0.0.2:53")?;
    thread::spawn(move || answer_questions(&names));
    let listener = TcpListener::bind(&server, "10.0.0.2:80")?;
    thread::spawn(move || listener.accept().and_then(|(mut stream, _)| stream.write_all(b"found")));

    println!("{NAME} has {:?}", client.look_up(NAME, 80)?);
    // The search list makes the rest of it.
    let mut stream = TcpStream::connect(&client, "www:80")?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    println!("www says {said:?}");
    assert_eq!(said, "found");
    assert!(client.look_up("nobody", 80).is_err());
    Ok(())
}

/// As little of a name server (RFC 1035 §4.1) as will do: one name, with one address.
fn answer_questions(names: &UdpSocket) -> std::io::Result<()> {
    let known: Vec<u8> =
        NAME.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    let mut question = [0; 512];
    loop {
        let (len, from) = names.recv_from(&mut question)?;
        // Behind the header: the name, of labels with their lengths, its end, type and class.
        let Some(end) = question[12..len].iter().position(|byte| *byte == 0) else { continue };
        let (name, end) = (&question[12..12 + end], 12 + end + 5);
        let is_known = name.eq_ignore_ascii_case(&known);
        let asks_v4 = question[end - 4..end - 2] == [0, 1];
        let mut answer = question[..end].to_vec();
        // An answer, with authority; and whether there is such a name.
        (answer[2], answer[3]) = (0x85, if is_known { 0 } else { 3 });
        answer[6..12].copy_from_slice(&[0, u8::from(is_known && asks_v4), 0, 0, 0, 0]);
        if is_known && asks_v4 {
            // The name again, type A, class IN, a minute, four bytes.
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend(Ipv4Addr::new(10, 0, 0, 2).octets());
        }
        names.send_to(&answer, from)?;
    }
}
