//! `tapsock get` over passt and slirp4netns, which bring it into the network of the machine without a privilege.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use common::{has_program, namespace, stderr, stdout};
use tapsock_driver::KernelEnd;

const PAGE: &str = "a page of the machine's own\n";

/// Fetches a page of a server on the loopback of a network, which stands behind the `gateway`.
fn fetches_by(program: &str, gateway: &str) {
    let Some(namespace) = namespace().filter(|_| has_program(program)) else { return };
    // A way out, which leads nowhere: passt asks for one.
    let end = KernelEnd::new("out0").address("192.0.2.1/24".parse().unwrap());
    let end = end.route("0.0.0.0/0".parse().unwrap(), Some("192.0.2.254".parse().unwrap()));
    let _way_out = match namespace.open_tap(&end) {
        Ok(tap) => tap,
        Err(error) => return println!("skipped: {error}"),
    };
    let listener = namespace.tcp_listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
        let asked = lines.next().unwrap();
        lines.find(String::is_empty).unwrap();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{PAGE}",
            PAGE.len()
        )
        .unwrap();
        asked
    });
    let mut get = namespace.command(env!("CARGO_BIN_EXE_tapsock"));
    let got =
        get.args(["get", "--link", program, &format!("http://{gateway}:{port}/page")]).output().unwrap();
    assert!(got.status.success(), "{}", stderr(&got));
    assert_eq!(stdout(&got), PAGE);
    assert_eq!(server.join().unwrap(), "GET /page HTTP/1.1");
}

#[test]
fn a_page_is_fetched_by_passt() {
    fetches_by("passt", "192.0.2.254");
}

#[test]
fn a_page_is_fetched_by_slirp4netns() {
    fetches_by("slirp4netns", "10.0.2.2");
}
