//! SYNs of strangers, sent over a link while it carries data in earnest.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sendto, socket_with};
use tapsock_stack::buf::{HeaderBlock, Rope};
use tapsock_stack::wire::offload::{PartialChecksum, Transmit};
use tapsock_stack::wire::{IpProtocol, Ipv4Header, TcpFlags, TcpHeader, TcpOptions};

/// SYNs are sent in bursts, so often.
const BURST: Duration = Duration::from_millis(1);
/// The last numbers of the strangers' addresses: the ends of the link have those below.
const STRANGERS: std::ops::Range<u32> = 10..250;
const STRANGERS_COUNT: u32 = STRANGERS.end - STRANGERS.start;

/// Does `work` while `to` is sent `rate` SYNs a second from ever new places of its own network. Returns with it how many a
/// second were sent.
pub(crate) fn during<T>(
    to: SocketAddr,
    rate: u32,
    work: impl FnOnce() -> io::Result<T>,
) -> io::Result<(T, f64)> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let sending = scope.spawn(|| send(to, rate, &over));
        let done = work();
        over.store(true, Ordering::Relaxed);
        let sent = sending.join().unwrap_or_else(|_| Err(io::Error::other("the siege panicked")))?;
        Ok((done?, sent))
    })
}

fn send(to: SocketAddr, rate: u32, over: &AtomicBool) -> io::Result<f64> {
    let IpAddr::V4(host) = to.ip() else { return Err(io::ErrorKind::Unsupported.into()) };
    let socket = socket_with(AddressFamily::INET, SocketType::RAW, SocketFlags::CLOEXEC, Some(ipproto::RAW))?;
    let (started, burst) = (Instant::now(), (f64::from(rate) * BURST.as_secs_f64()) as u32);
    let (mut serial, mut bursts) = (0u32, 0u32);
    while !over.load(Ordering::Relaxed) {
        for _ in 0..burst {
            serial = serial.wrapping_add(1);
            match sendto(&socket, &syn(host, to.port(), serial), SendFlags::empty(), &to) {
                // The link is full.
                Ok(_) | Err(rustix::io::Errno::NOBUFS) => {}
                Err(error) => return Err(error.into()),
            }
        }
        bursts += 1;
        thread::sleep((BURST * bursts).saturating_sub(started.elapsed()));
    }
    Ok(f64::from(serial) / started.elapsed().as_secs_f64())
}

/// The `serial`-th.
fn syn(host: Ipv4Addr, port: u16, serial: u32) -> Vec<u8> {
    let mut source = host.octets();
    source[3] = (STRANGERS.start + serial % STRANGERS_COUNT) as u8;
    let source = Ipv4Addr::from(source);
    let mut headers = HeaderBlock::new();
    TcpHeader {
        source_port: 1024 + (serial / STRANGERS_COUNT % 60_000) as u16,
        destination_port: port,
        sequence: serial.wrapping_mul(2_654_435_761),
        flags: TcpFlags::SYN,
        window: u16::MAX,
        options: TcpOptions { mss: Some(1460), ..TcpOptions::default() },
        ..TcpHeader::default()
    }
    .prepend_to(&mut headers);
    let (len, offset) = (headers.len(), TcpHeader::CHECKSUM_OFFSET);
    let addresses = (IpAddr::V4(source), IpAddr::V4(host));
    let checksum = PartialChecksum::begin(&mut headers, offset, addresses, IpProtocol::TCP, len);
    Ipv4Header { source, destination: host, protocol: IpProtocol::TCP, ..Ipv4Header::default() }
        .prepend_to(len, &mut headers);
    let mut packet = Transmit { headers, payload: Rope::new(), checksum: Some(checksum), segmentation: None };
    packet.complete_checksum();
    packet.headers.to_vec()
}
