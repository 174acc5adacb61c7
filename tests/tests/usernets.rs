//! A host that has the network of its namespace by passt and by slirp4netns, without a privilege.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use tapsock::net::{TcpStream, UdpSocket};
use tapsock::{Host, Lease};
use tapsock_driver::usernet::{Running, UserNet};
use tapsock_driver::{KernelEnd, Namespace};
use tapsock_tests::bench::skipped_for;
use tapsock_tests::bulk::Fingerprint;
use tapsock_tests::programs::find;
use tapsock_tests::sides::PATIENCE;

const MIB: u64 = 1 << 20;

/// A network with a way out of it, which leads nowhere, and a host that uses it.
struct Outside {
    host: Host,
    lease: Lease,
    _running: Running,
    namespace: Namespace,
    _way_out: tapsock_driver::tap::Tap,
}

fn outside(program: UserNet) -> Option<Outside> {
    find(&program.to_string())?;
    let namespace = Namespace::create().map_or_else(skipped_for, Some)?;
    let end = KernelEnd::new("out0").address("192.0.2.1/24".parse().unwrap());
    let end = end.route("0.0.0.0/0".parse().unwrap(), Some("192.0.2.254".parse().unwrap()));
    let way_out = namespace.open_tap(&end).map_or_else(skipped_for, Some)?;
    let command = namespace.command(program.to_string());
    let (link, running) = program.start_by(command, 1500).unwrap();
    let host = Host::builder().link(link).dhcp().start().unwrap();
    let lease = host.wait_for_lease(PATIENCE).unwrap();
    Some(Outside { host, lease, _running: running, namespace, _way_out: way_out })
}

impl Outside {
    /// The address that leads to the loopback of the namespace.
    fn router(&self) -> Ipv4Addr {
        self.lease.routes[0].1
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn tcp_there_and_back(program: UserNet) {
    let Some(outside) = outside(program) else { return };
    let listener = outside.namespace.tcp_listen(loopback(0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut stream, from) = listener.accept().unwrap();
        let heard = Fingerprint::of_stream(&mut Read::by_ref(&mut stream).take(8 * MIB)).unwrap();
        Fingerprint::send(&mut stream, 2, 8 * MIB).unwrap();
        (heard.to_string(), from)
    });
    let mut stream = TcpStream::connect(&outside.host, (outside.router(), port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let sent = Fingerprint::send(&mut stream, 1, 8 * MIB).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let (heard, from) = server.join().unwrap();
    assert_eq!(heard, sent.to_string());
    assert!(from.ip().is_loopback(), "{from}");
    assert_eq!(Fingerprint::of_stream(&mut &bytes[..]).unwrap().to_string(), reference(2));
}

fn reference(seed: u64) -> String {
    Fingerprint::send(&mut std::io::sink(), seed, 8 * MIB).unwrap().to_string()
}

#[test]
fn passt_carries_streams_to_the_loopback() {
    tcp_there_and_back(UserNet::Passt);
}

#[test]
fn slirp4netns_carries_streams_to_the_loopback() {
    tcp_there_and_back(UserNet::Slirp4netns);
}

#[test]
fn passt_gives_what_the_namespace_has() {
    let Some(outside) = outside(UserNet::Passt) else { return };
    assert_eq!(outside.lease.address.to_string(), "192.0.2.1/24");
    assert_eq!(outside.router().to_string(), "192.0.2.254");
    assert_eq!(outside.host.lease().as_ref(), Some(&outside.lease));
}

#[test]
fn datagrams_go_by_passt_both_ways() {
    let Some(outside) = outside(UserNet::Passt) else { return };
    let echo = outside.namespace.udp_bind(loopback(0)).unwrap();
    let port = echo.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let mut bytes = [0; 2000];
        let (count, from) = echo.recv_from(&mut bytes).unwrap();
        echo.send_to(&bytes[..count], from).unwrap();
    });
    let socket = UdpSocket::bind(&outside.host, "0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    socket.send_to(b"over and out", (outside.router(), port)).unwrap();
    let mut bytes = [0; 2000];
    let (count, from) = socket.recv_from(&mut bytes).unwrap();
    assert_eq!((&bytes[..count], from.port()), (&b"over and out"[..], port));
    server.join().unwrap();
}

/// The program is gone: the link says so, and whoever waits learns it.
#[test]
fn a_program_that_ends_takes_the_link_along() {
    let Some(outside) = outside(UserNet::Passt) else { return };
    let listener = outside.namespace.tcp_listen(loopback(0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut stream = TcpStream::connect(&outside.host, (outside.router(), port)).unwrap();
    stream.write_all(b"hello").unwrap();
    let Outside { _running, host, .. } = outside;
    drop(_running);
    let error = stream.read(&mut [0; 9]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(100), "ENETDOWN, not {error}");
    assert_eq!(host.wait_for_lease(PATIENCE).unwrap_err().raw_os_error(), Some(100));
}
