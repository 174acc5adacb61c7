use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use tapsock_driver::memory::{MemoryConfig, MemoryLink};

use super::server::CONNECTIONS_MAX;
use super::*;
use crate::Counter;
use crate::Host;
use crate::net::{TcpListener, TcpStream, UdpSocket};
use crate::unix::UnixListener;

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("tapsock-control-{}-{name}.sock", std::process::id()))
}

fn all() -> Request {
    Request::Sockets(Which { tcp: true, udp: true, raw: true, local: true, info: true })
}

#[test]
fn sockets_are_told_of_in_their_states() {
    let path = path("sockets");
    let host = Host::builder().privileged().control(&path).start().unwrap();
    let listener = TcpListener::bind(&host, "127.0.0.1:80").unwrap();
    let mut client = TcpStream::connect(&host, "127.0.0.1:80").unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(&[0; 5000]).unwrap();
    let _waiting = TcpStream::connect(&host, "127.0.0.1:80").unwrap();
    let datagrams = UdpSocket::bind(&host, "[::]:53").unwrap();
    let _local = UnixListener::bind(&host, "/service").unwrap();

    let list: SocketList = ask(&path, &all()).unwrap();
    let tcp: Vec<_> = list.sockets.iter().filter(|socket| socket.kind == "tcp").collect();
    let listening = tcp.iter().find(|socket| socket.state == "LISTEN").unwrap();
    assert_eq!((listening.receive_queue, listening.send_queue), (1, 4096));
    assert_eq!(listening.local.to_string(), "127.0.0.1:80");
    let at_server =
        tcp.iter().find(|socket| socket.peer == client.local_addr().ok() && socket.state == "ESTAB").unwrap();
    assert_eq!((at_server.local, at_server.receive_queue), (server.local_addr().unwrap(), 5000));
    let info = at_server.info.as_ref().unwrap();
    assert_eq!((info.bytes_received, info.congestion.as_str()), (5000, "cubic"));
    let udp = list.sockets.iter().find(|socket| socket.kind == "udp").unwrap();
    assert_eq!((udp.state.as_str(), udp.only, udp.v6, udp.local.port()), ("UNCONN", false, true, 53));
    let local = &list.local[0];
    assert_eq!(
        (local.kind.as_str(), local.state.as_str(), local.name.as_str()),
        ("u_str", "LISTEN", "/service")
    );
    drop(datagrams);

    // What nobody has read would make it a reset.
    server.read_exact(&mut [0; 5000]).unwrap();
    drop(client);
    server.read_to_end(&mut Vec::new()).unwrap();
    drop(server);
    let only_tcp = Request::Sockets(Which { tcp: true, ..Which::default() });
    let list: SocketList = ask(&path, &only_tcp).unwrap();
    assert!(list.sockets.iter().all(|socket| socket.kind == "tcp" && socket.info.is_none()));
    let resting = list.sockets.iter().find(|socket| socket.state == "TIME-WAIT").unwrap();
    assert_eq!(resting.timer.as_ref().unwrap().name, "timewait");
    drop(host);
}

#[test]
fn interfaces_routes_neighbours_and_counters_are_told_of() {
    let path = path("links");
    let (link, other) = MemoryLink::pair(MemoryConfig::default()).unwrap();
    let other =
        Host::builder().link(other).address("10.7.0.1/24".parse().unwrap()).privileged().start().unwrap();
    let host = Host::builder().link(link).address("10.7.0.2/24".parse().unwrap());
    let host = host.gateway("10.7.0.1".parse().unwrap()).control(&path).start().unwrap();
    let _listener = TcpListener::bind(&other, "10.7.0.1:80").unwrap();
    let _stream = TcpStream::connect(&host, "10.7.0.1:80").unwrap();

    let links: Links = ask(&path, &Request::Links).unwrap();
    let (lo, eth) = (&links.links[0], &links.links[1]);
    assert_eq!((lo.name.as_str(), lo.kind.as_str(), lo.hardware.as_ref()), ("lo", "loopback", None));
    assert_eq!((eth.kind.as_str(), eth.up, eth.mtu), ("ether", true, 1500));
    assert!(eth.addresses.iter().any(|own| own.address.to_string() == "10.7.0.2" && own.prefix_len == 24));
    // ARP's answer and the handshake, at least.
    assert!(eth.rx_packets >= 2 && eth.tx_packets >= 2 && eth.rx_bytes > 80, "{eth:?}");
    let routes: Routes = ask(&path, &Request::Routes).unwrap();
    let default = routes.routes.iter().find(|route| route.prefix_len == 0).unwrap();
    assert_eq!(default.gateway, "10.7.0.1".parse().ok());
    let network = routes.routes.iter().find(|route| route.prefix_len == 24).unwrap();
    assert_eq!((network.source, network.protocol.as_str()), ("10.7.0.2".parse().ok(), "kernel"));
    let neighbors: Neighbors = ask(&path, &Request::Neighbors).unwrap();
    assert_eq!(neighbors.neighbors[0].address.to_string(), "10.7.0.1");
    let counted: Counted = ask(&path, &Request::Counters).unwrap();
    assert!(counted.counters.contains(&("TcpActiveOpens".to_owned(), 1)));
}

#[test]
fn what_passes_can_be_captured_and_let_go() {
    let path = path("capture");
    let (link, other) = MemoryLink::pair(MemoryConfig::default()).unwrap();
    let _other = Host::builder().link(other).address("10.7.0.1/24".parse().unwrap()).start().unwrap();
    let host =
        Host::builder().link(link).address("10.7.0.2/24".parse().unwrap()).control(&path).start().unwrap();
    let mut stream = capture(&path).unwrap();
    let socket = UdpSocket::bind(&host, "10.7.0.2:0").unwrap();
    let mark = b"a mark that stands nowhere else";
    let mut seen = Vec::new();
    let mut some = [0; 4096];
    while !seen.windows(mark.len()).any(|part| part == mark) {
        // A capture begins a moment after it is asked for.
        socket.send_to(mark, "10.7.0.1:9").unwrap();
        let len = stream.read(&mut some).unwrap();
        assert!(len > 0, "the stream has ended");
        seen.extend_from_slice(&some[..len]);
    }
    assert_eq!(seen[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
    drop(host);
    drop(socket);
    // It ends with the host.
    while stream.read(&mut some).is_ok_and(|len| len > 0) {}
}

#[test]
fn only_this_user_may_ask_and_nonsense_is_refused() {
    let path = path("refusals");
    let host = Host::builder().control(&path).start().unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for nonsense in ["", "nonsense\n", "{\"ask\":\"secrets\"}\n", &format!("{}\n", "x".repeat(5000))] {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(nonsense.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        assert!(text.starts_with("{\"error\":\"no request"), "{text:?}");
    }
    let error = capture(&path).map(drop).unwrap_err();
    assert!(error.to_string().contains("no link"), "{error}");
    // A second host does not take it away, and the first one does when it goes.
    let error = Host::builder().control(&path).start().map(drop).unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    drop(host);
    assert!(!path.exists());
}

#[test]
fn a_socket_that_was_left_behind_is_replaced_and_a_file_is_not() {
    let path = path("stale");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    drop(Host::builder().control(&path).start().unwrap());
    std::fs::write(&path, "text").unwrap();
    assert!(Host::builder().control(&path).start().is_err());
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn many_may_ask_and_a_silent_one_keeps_nobody_waiting() {
    let path = path("many");
    let host = Host::builder().control(&path).start().unwrap();
    let silent: Vec<_> = (0..8).map(|_| UnixStream::connect(&path).unwrap()).collect();
    for _ in 0..50 {
        let links: Links = ask(&path, &Request::Links).unwrap();
        assert_eq!(links.links.len(), 1);
    }
    drop(silent);
    drop(host);
}

/// As many as may ask at a time, and one more, who is told and counted.
#[test]
fn one_more_than_may_ask_is_told_so() {
    let path = path("crowd");
    let host = Host::builder().control(&path).start().unwrap();
    let silent: Vec<_> = (0..CONNECTIONS_MAX).map(|_| UnixStream::connect(&path).unwrap()).collect();
    for _ in 0..2 {
        let error = ask::<Links>(&path, &Request::Links).unwrap_err();
        assert!(error.to_string().contains("16 others are being answered"), "{error}");
        let error = capture(&path).map(drop).unwrap_err();
        assert!(error.to_string().contains("16 others are being answered"), "{error}");
    }
    assert_eq!(host.counters()[Counter::TapsockControlRefused], 4);
    // Those that leave make room, at some moment after.
    drop(silent);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(50);
    while ask::<Links>(&path, &Request::Links).is_err() {
        assert!(std::time::Instant::now() < end, "nobody makes room");
        std::thread::yield_now();
    }
}

#[test]
fn a_question_has_an_end() {
    let path = path("long");
    let _host = Host::builder().control(&path).start().unwrap();
    let question = |len: usize| {
        let mut stream = UnixStream::connect(&path).unwrap();
        let text = format!("{{\"ask\":{}\"links\"}}\n", " ".repeat(len - 16));
        assert_eq!(text.len(), len);
        stream.write_all(text.as_bytes()).unwrap();
        // What is not read of the question shows behind the answer.
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8(bytes).unwrap()
    };
    let longest = REQUEST_MAX as usize;
    assert!(question(longest).starts_with("{\"links\""));
    assert!(question(longest + 2).starts_with("{\"error\""));
}

#[test]
fn an_answer_has_an_end() {
    assert_eq!(read(&[b'x'; 100][..], 100).unwrap().len(), 100);
    let error = read(io::repeat(b'x'), 100).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    // The one that `ask` takes is longer than all that a host has to tell at most.
    let most = tapsock_stack::stack::SURVEY_MAX as u64;
    assert!(ANSWER_MAX / most >= 2048, "bytes for each of {most} sockets");
}
