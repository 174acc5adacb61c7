//! Whom nc talks with over the machine's own network: a relay stands between, and does not show.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Stdio;
use std::time::Duration;

use crate::common::{Beside, run, stderr, stdout, tapsock};
use crate::{closed, code};

const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

fn listening(args: &[&str], stdin: Stdio) -> (Beside, SocketAddr) {
    let mut server = Beside::start_telling_on_stderr(args, stdin);
    let address = server.word_after("Listening on ").parse().unwrap();
    (server, address)
}

fn udp_to(address: SocketAddr) -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(address).unwrap();
    socket.set_read_timeout(PATIENCE).unwrap();
    let own = socket.local_addr().unwrap().to_string();
    (socket, own)
}

#[test]
fn a_listener_names_its_peers() {
    let (mut server, address) = listening(&["nc", "-lkdv", "127.0.0.1", "0"], Stdio::null());
    for _ in 0..2 {
        let client = TcpStream::connect(address).unwrap();
        let peer = server.word_after("Connection received from ");
        assert_eq!(peer, client.local_addr().unwrap().to_string());
    }
}

#[test]
fn who_listens_for_one_refuses_others() {
    let (mut server, address) = listening(&["nc", "-ldv", "127.0.0.1", "0"], Stdio::null());
    let client = TcpStream::connect(address).unwrap();
    server.word_after("Connection received from ");
    let refused = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
    assert!(refused);
    drop(client);
    assert_eq!(server.output(), (true, String::new()));
}

#[test]
fn a_session_of_datagrams_is_with_one_peer() {
    let (mut server, address) = listening(&["nc", "-luv", "-w", "3", "127.0.0.1", "0"], Stdio::piped());
    let mut stdin = server.stdin();
    let ((first, own), (second, _)) = (udp_to(address), udp_to(address));
    first.send(b"A1").unwrap();
    assert_eq!(server.word_after("Connection received from "), own);
    let refused = (0..100).any(|_| {
        // As the kernel has it: whoever comes second finds nobody there.
        let _ = second.send(b"B");
        second.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        second.recv(&mut [0; 8]).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
    assert!(refused);
    first.send(b"A2").unwrap();
    stdin.write_all(b"reply").unwrap();
    let mut reply = [0; 8];
    assert_eq!(first.recv(&mut reply).unwrap(), 5);
    drop(stdin);
    assert_eq!(server.output(), (true, "A1A2".to_owned()));
}

#[test]
fn with_k_everybodys_datagrams_are_taken() {
    let (server, address) = listening(&["nc", "-lukv", "-w", "2", "127.0.0.1", "0"], Stdio::null());
    for text in ["A1", "B1"] {
        udp_to(address).0.send(text.as_bytes()).unwrap();
    }
    assert_eq!(server.output(), (true, "A1B1".to_owned()));
}

#[test]
fn nc_hears_that_datagrams_are_refused() {
    let (_keep, port) = closed_udp();
    let probed = run(&["nc", "-uv", "127.0.0.1", &port]);
    assert_eq!(code(&probed), Some(1), "{}", stderr(&probed));
    assert!(stderr(&probed).contains("Connection refused"), "{}", stderr(&probed));
    assert!(!stderr(&probed).contains("succeeded"), "{}", stderr(&probed));

    let mut client = tapsock(&["nc", "-u", "127.0.0.1", &port]);
    let mut client = client.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    client.stdin.as_mut().unwrap().write_all(b"anybody?").unwrap();
    // Its standard input stays open.
    let mut told = String::new();
    client.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(told.contains("Connection refused"), "{told}");
    assert_eq!(client.wait().unwrap().code(), Some(1));
}

/// A UDP port that nobody has. (One that was free a moment ago.)
fn closed_udp() -> (TcpListener, String) {
    // Nobody else gets that port from the kernel for a TCP listener, and hardly for a UDP socket.
    let keep = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = keep.local_addr().unwrap().port().to_string();
    (keep, port)
}

#[test]
fn nothing_is_lost_when_nc_quits() {
    for _ in 0..3 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let mut client = tapsock(&["nc", "-q", "0", "127.0.0.1", &port]);
        let mut client = client.stdin(Stdio::piped()).spawn().unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let mut stdin = client.stdin.take().unwrap();
        let sending = std::thread::spawn(move || stdin.write_all(&vec![7; 3_000_000]).unwrap());
        let mut came = Vec::new();
        stream.read_to_end(&mut came).unwrap();
        sending.join().unwrap();
        assert_eq!((came.len(), client.wait().unwrap().code()), (3_000_000, Some(0)));
    }
}

#[test]
fn a_server_says_all_before_it_ends() {
    let (mut server, address) = listening(&["nc", "-lvN", "127.0.0.1", "0"], Stdio::piped());
    let mut stdin = server.stdin();
    let client = TcpStream::connect(address).unwrap();
    server.word_after("Connection received from ");
    stdin.write_all(&vec![7; 1_000_000]).unwrap();
    drop(stdin);
    let mut came = Vec::new();
    (&client).read_to_end(&mut came).unwrap();
    assert_eq!(came.len(), 1_000_000);
    client.shutdown(Shutdown::Write).unwrap();
    assert!(server.output().0);
}

#[test]
fn no_limit_of_a_connect_is_the_usual_one() {
    let (_socket, port) = closed();
    let url = format!("http://127.0.0.1:{port}/");
    let refused = run(&["get", "--connect-timeout", "0", &url]);
    assert_eq!((code(&refused), stdout(&refused).as_str()), (Some(7), ""), "{}", stderr(&refused));
}
