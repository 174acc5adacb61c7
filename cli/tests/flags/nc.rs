//! `tapsock nc` with the options of OpenBSD's: local sockets, ends of lines, intervals, limits, marks.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::code;
use crate::common::{Beside, Scratch, has_kernel_link, has_program, run, stderr, stdout, tapsock};

/// What a server at a port of the machine's gets from nc, whose standard input is `input`.
fn received(flags: &[&str], input: &[u8]) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut client = tapsock(&["nc", "-N"]);
    let mut client = client.args(flags).args(["127.0.0.1", &port]).stdin(Stdio::piped()).spawn().unwrap();
    client.stdin.take().unwrap().write_all(input).unwrap();
    let mut came = Vec::new();
    listener.accept().unwrap().0.read_to_end(&mut came).unwrap();
    assert_eq!(client.wait().unwrap().code(), Some(0));
    came
}

#[test]
fn ends_of_lines_and_intervals() {
    assert_eq!(received(&["-C"], b"a\nb\r\nc"), b"a\r\nb\r\nc");
    let begin = Instant::now();
    assert_eq!(received(&["-i", "0.2"], b"a\nb\nc\n"), b"a\nb\nc\n");
    assert!(begin.elapsed() >= Duration::from_millis(400), "{:?}", begin.elapsed());
}

#[test]
fn it_quits_after_so_many_packets() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    let mut client = tapsock(&["nc", "-u", "-W", "2", "127.0.0.1", &port]);
    let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    client.stdin.as_mut().unwrap().write_all(b"hello").unwrap();
    let (_, peer) = server.recv_from(&mut [0; 8]).unwrap();
    for text in ["one", "two"] {
        server.send_to(text.as_bytes(), peer).unwrap();
    }
    // Its standard input is still open.
    let mut text = String::new();
    client.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), client.wait().unwrap().code()), ("onetwo", Some(0)));
}

#[test]
fn local_sockets_are_the_machines() {
    let scratch = Scratch::new();
    let path = scratch.text("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        write!(stream, "you said {text}").unwrap();
    });
    let mut client = tapsock(&["nc", "-N", "-U", &path]);
    let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    client.stdin.take().unwrap().write_all(b"hello").unwrap();
    assert_eq!(stdout(&client.wait_with_output().unwrap()), "you said hello");
    server.join().unwrap();

    // Nobody listens there any more: the name is taken over.
    let gone = run(&["nc", "-zU", &path]);
    assert_eq!(code(&gone), Some(1));
    assert!(stderr(&gone).contains("Connection refused"), "{}", stderr(&gone));
    let mut server = Beside::start_telling_on_stderr(&["nc", "-lvNU", &path], Stdio::null());
    assert_eq!(server.word_after("Listening on "), path);
    let taken = run(&["nc", "-lU", &path]);
    assert!(stderr(&taken).contains("Address already in use"), "{}", stderr(&taken));
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"hello").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(server.output(), (true, "hello".to_owned()));
    assert!(!scratch.path("socket").exists(), "the name goes with its listener");
}

#[test]
fn what_it_does_not_do_is_refused() {
    for (args, says) in [
        (&["nc", "-t", "127.0.0.1", "23"][..], "TELNET"),
        (&["nc", "-U", "-u", "/x"], "streams only"),
        (&["nc", "-U", "--link", "memory", "/x"], "No link leads to local sockets"),
        (&["nc", "-U", "/x", "1"], "a path alone"),
        (&["nc", "-T", "nosuch", "127.0.0.1", "1"], "no class of packets"),
        (&["nc", "-W", "0", "127.0.0.1", "1"], "invalid value"),
    ] {
        let output = run(args);
        assert_eq!(code(&output), Some(1), "{args:?}");
        assert!(stderr(&output).contains(says), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn ports_are_scanned_in_no_order() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap().port();
    let ports = format!("{}-{}", open - 3, open);
    let scanned = run(&["nc", "-zvr", "-i", "0.01", "127.0.0.1", &ports]);
    assert_eq!(code(&scanned), Some(0), "{}", stderr(&scanned));
    assert_eq!(stderr(&scanned).lines().count(), 4, "{}", stderr(&scanned));
}

#[test]
fn packets_are_marked() {
    let scratch = Scratch::new();
    let capture = scratch.text("nc.pcapng");
    let mut command = tapsock(&["nc", "-u", "-T", "ef", "-M", "9", "-w", "0.3", "--link", "memory"]);
    command.args(["--capture", &capture, "10.7.0.1", "9"]);
    let mut client = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    client.stdin.take().unwrap().write_all(b"x").unwrap();
    client.wait().unwrap();
    // An Ethernet frame's type, then IPv4: version and length, and the type of service; the TTL is 6 bytes further.
    let marked = |bytes: &[u8]| bytes[..4] == [8, 0, 0x45, 46 << 2] && bytes[10] == 9;
    assert!(std::fs::read(capture).unwrap().windows(11).any(marked));
}

/// OpenBSD's `-b`: over the stack, where a capture shows it, and over the machine's own sockets.
#[test]
fn datagrams_to_all_go_where_that_is_asked_for() {
    let scratch = Scratch::new();
    let capture = scratch.text("nc.pcapng");
    let server = UdpSocket::bind("0.0.0.0:0").unwrap();
    server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    let over_the_stack = ["--link", "auto", "--capture", &capture, "10.7.0.255", "9"];
    let over_the_machine = ["127.255.255.255", &port];
    let send = |flags: &[&str], to: &[&str]| {
        let mut client = tapsock(&["nc", "-u", "-w", "0.3"]);
        let client = client.args(flags).args(to).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut client = client.spawn().unwrap();
        // It may be gone already.
        let _ = client.stdin.take().unwrap().write_all(b"to all");
        client.wait_with_output().unwrap()
    };
    let kernel_link = has_kernel_link();
    let ways =
        if kernel_link { vec![&over_the_machine[..], &over_the_stack] } else { vec![&over_the_machine[..]] };
    for to in ways {
        let refused = send(&[], to);
        assert_eq!(code(&refused), Some(1), "{to:?}");
        assert!(stderr(&refused).contains("Permission denied"), "{}", stderr(&refused));
        let sent = send(&["-b"], to);
        assert!(!stderr(&sent).contains("Permission denied"), "{}", stderr(&sent));
    }
    let mut bytes = [0; 16];
    let (len, _) = server.recv_from(&mut bytes).unwrap();
    assert_eq!(&bytes[..len], b"to all");
    if kernel_link {
        let frames = std::fs::read(capture).unwrap();
        assert!(frames.windows(6).any(|bytes| bytes == b"to all"), "a frame with it");
    }
}

/// The built-in table, on a machine without /etc/services: in a mount namespace where /etc is empty.
#[test]
fn services_have_names_where_the_machine_has_no_table() {
    if !has_program("unshare") {
        return;
    }
    for (name, port) in [("finger", "79"), ("login", "513")] {
        let nc = tapsock(&[]);
        let script = "mount -t tmpfs none /etc && test ! -e /etc/services && echo hidden && \
                      exec \"$0\" nc -vz 127.0.0.1 \"$1\"";
        let mut inside = Command::new("unshare");
        inside.args(["-rm", "sh", "-c", script]).arg(nc.get_program()).arg(name);
        let output = inside.output().unwrap();
        if !stdout(&output).contains("hidden") {
            return println!("skipped: no mount namespace: {}", stderr(&output));
        }
        let told = stderr(&output);
        assert!(told.contains(&format!("port {port} ")), "{name}: {told}");
    }
}
