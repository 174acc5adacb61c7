//! A ping socket (SOCK_DGRAM with IPPROTO_ICMP) by the C calls with integer socket ids, in `tapsock::bsd`.
//!
//! ```sh
//! cargo run --example ping
//! ```

use std::error::Error;
use std::time::Instant;

use tapsock::bsd::{self, AF_INET, IPPROTO_ICMP, PollFd, PollMask, SOCK_DGRAM};
use tapsock::{Host, SockAddr};
use tapsock_driver::KernelEnd;
use tapsock_driver::auto::{FarEnd, Opened};

const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;

fn main() -> Result<(), Box<dyn Error>> {
    let kernel_end = KernelEnd::new("tap0").address("10.7.0.1/24".parse()?);
    let opened = Opened::best(&kernel_end).map_err(|refused| format!("no link: {refused:?}"))?;
    let host = Host::builder().link(opened.link).address("10.7.0.2/24".parse()?).start()?;
    // Somebody must be there to answer: the kernel, or else a second stack.
    let (who, _peer) = match opened.far_end {
        FarEnd::Kernel(_) => ("the kernel", None),
        FarEnd::Link(link) => {
            ("a second stack", Some(Host::builder().link(link).address("10.7.0.1/24".parse()?).start()?))
        }
    };

    let socket = bsd::socket(&host, AF_INET, SOCK_DGRAM, IPPROTO_ICMP)?;
    bsd::connect(&host, socket, &SockAddr::V4("10.7.0.1:0".parse()?))?;
    for sequence in 1..=3u8 {
        // Type, code, checksum, identifier, sequence number, data. The stack fills in checksum and identifier.
        let mut request = vec![ECHO_REQUEST, 0, 0, 0, 0, 0, 0, sequence];
        request.extend(b"are you there?");
        let begin = Instant::now();
        bsd::send(&host, socket, &request, 0)?;
        if bsd::poll(&host, &mut [PollFd::new(socket, PollMask::IN)], 1000)? == 0 {
            return Err("nobody answers".into());
        }
        let mut reply = [0; 64];
        let len = bsd::recv(&host, socket, &mut reply, 0)?;
        println!("{who} answered {len} bytes, number {}, in {:?}", reply[7], begin.elapsed());
        assert_eq!((reply[0], reply[7], &reply[8..len]), (ECHO_REPLY, sequence, &request[8..]));
    }
    bsd::close(&host, socket)?;
    Ok(())
}
