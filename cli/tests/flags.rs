//! The options that people know from curl, nc and ping, and what becomes of a command whose link goes.

mod common;
#[path = "flags/crowds.rs"]
mod crowds;
#[path = "flags/get.rs"]
mod get;
#[path = "flags/nc.rs"]
mod nc;
#[path = "flags/peers.rs"]
mod peers;
#[path = "flags/ping.rs"]
mod ping;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Output, Stdio};
use std::thread;

use common::{Scratch, has_kernel_link, has_program, namespace, object, run, stderr, stdout, tapsock};

/// A server that gives each request to `answer`, and sends what that returns.
fn server(answer: impl Fn(&str) -> String + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut from = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while from.read_line(&mut head).unwrap() > 2 {}
            from.into_inner().write_all(answer(&head).as_bytes()).unwrap();
        }
    });
    port
}

/// A port where nobody listens, and nobody else comes to listen while this is kept.
fn closed() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port().to_string();
    (socket, port)
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn get_takes_curls_options() {
    let port = server(|head| match head {
        _ if head.starts_with("GET /old ") => {
            "HTTP/1.1 302 Found\r\nLocation: new?x\r\nContent-Length: 0\r\n\r\n".into()
        }
        _ if head.starts_with("GET /loop ") => {
            "HTTP/1.1 301 Moved\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n".into()
        }
        _ if head.starts_with("HEAD ") => "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n".into(),
        _ => format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{head}"),
    });
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let fetched = run(&["get", "-sSL", "-o", "-", "-H", "X-One: 1", "-H", "Accept:", &url("/old")]);
    let text = stdout(&fetched);
    assert!(text.starts_with("GET /new?x HTTP/1.1\r\n") && text.contains("\r\nX-One: 1\r\n"), "{text}");
    assert!(!text.contains("Accept"), "{text}");
    let head = run(&["get", "-I", &url("/")]);
    assert_eq!(stdout(&head), "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", "{}", stderr(&head));
    let found = run(&["get", "-i", &url("/old")]);
    assert!(stdout(&found).starts_with("HTTP/1.1 302 Found\r\n"), "{}", stdout(&found));
    assert_eq!(code(&run(&["get", "-L", &url("/loop")])), Some(47));
    let full = run(&["get", "-o", "/dev/full", &url("/")]);
    assert_eq!(code(&full), Some(23));
    assert!(stderr(&full).contains("write /dev/full: No space left on device"), "{}", stderr(&full));
}

#[test]
fn get_is_silent_where_it_is_told_to() {
    let (_socket, port) = closed();
    let url = format!("http://127.0.0.1:{port}/");
    let silent = run(&["get", "-s", &url]);
    assert_eq!((code(&silent), stderr(&silent).as_str()), (Some(7), ""));
    let failed = run(&["get", "-sS", &url]);
    assert!(stderr(&failed).contains("Connection refused"), "{}", stderr(&failed));
}

#[test]
fn get_says_that_nothing_came() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let output = run(&["get", "--timeout", "0.3", &url]);
    assert_eq!(code(&output), Some(28));
    assert!(stderr(&output).contains("nothing came for 0.3 s"), "{}", stderr(&output));
    let output = run(&["get", "-m", "0.3", &url]);
    assert_eq!(code(&output), Some(28));
    assert!(stderr(&output).contains("not done after 0.3 s"), "{}", stderr(&output));
}

#[test]
fn all_addresses_of_a_name_are_tried() {
    let scratch = Scratch::new();
    // Nobody listens at the first, which the resolver prefers (RFC 6724).
    fs::write(scratch.path("hosts"), "::1 twofold\n127.0.0.1 twofold\n").unwrap();
    let inside = |args: &[&str]| {
        let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-Urm", "sh", "-c", script, &scratch.text("hosts"), env!("CARGO_BIN_EXE_tapsock")]);
        command.args(args).stdin(Stdio::null()).output().unwrap()
    };
    if !has_program("unshare") || code(&inside(&["--version"])) != Some(0) {
        return println!("skipped: no mount namespace");
    }
    let port = server(|_| "HTTP/1.1 200 OK\r\n\r\nhello\n".to_owned()).to_string();
    let fetched = inside(&["get", &format!("http://twofold:{port}/")]);
    assert_eq!(stdout(&fetched), "hello\n", "{}", stderr(&fetched));
    let scanned = inside(&["nc", "-zv", "twofold", &port]);
    assert!(scanned.status.success(), "{}", stderr(&scanned));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let connected = inside(&["nc", "-v", "-w", "0.2", "twofold", &port]);
    let text = stderr(&connected);
    assert!(text.contains("succeeded"), "{text}");
    let has_v6 = TcpListener::bind("[::1]:0").is_ok();
    assert!(!has_v6 || text.contains("nc: connect to twofold (::1) port "), "{text}");
    // The first is no neighbour of the stack, which has no route elsewhere.
    fs::write(scratch.path("hosts"), "10.6.0.1 twofold\n10.7.0.1 twofold\n").unwrap();
    let pinged = inside(&["ping", "-c", "1", "--link", "memory", "twofold"]);
    assert!(
        stdout(&pinged).starts_with("PING twofold (10.7.0.1) "),
        "{}{}",
        stdout(&pinged),
        stderr(&pinged)
    );
}

#[test]
fn nc_goes_on_sending_after_the_peers_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"hello").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut came = Vec::new();
        stream.read_to_end(&mut came).unwrap();
        came.len()
    });
    let mut command = tapsock(&["nc", "127.0.0.1", &port]);
    let mut client = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut hello = [0; 5];
    client.stdout.as_mut().unwrap().read_exact(&mut hello).unwrap();
    client.stdin.take().unwrap().write_all(&[b'x'; 200_000]).unwrap();
    assert_eq!((client.wait().unwrap().code(), server.join().unwrap()), (Some(0), 200_000));
}

#[test]
fn standard_input_ends_a_connection_only_where_it_is_told_to() {
    // Ends of standard input: seen by the peer with -N; after -q, the whole connection's.
    let session = |flags: &[&str]| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let mut client = tapsock(&["nc"]);
        let mut client = client.args(flags).args(["127.0.0.1", &port]).spawn().unwrap();
        let (stream, _) = listener.accept().unwrap();
        (client.try_wait().unwrap(), stream, client)
    };
    let ends = |mut stream: &TcpStream, wait: u64| {
        stream.set_read_timeout(Some(std::time::Duration::from_millis(wait))).unwrap();
        stream.read(&mut [0; 1]).ok() == Some(0)
    };
    let (_, stream, mut client) = session(&[]);
    assert!(!ends(&stream, 300), "as OpenBSD's, it waits for the peer");
    drop(stream);
    assert_eq!(client.wait().unwrap().code(), Some(0));
    let (_, stream, mut client) = session(&["-N"]);
    assert!(ends(&stream, 10_000));
    assert_eq!(client.try_wait().unwrap(), None, "the other direction goes on");
    drop(stream);
    assert_eq!(client.wait().unwrap().code(), Some(0));
    let (_, stream, mut client) = session(&["-q", "0"]);
    assert!(ends(&stream, 10_000));
    assert_eq!(client.wait().unwrap().code(), Some(0), "though the peer has not ended");
}

#[test]
fn nc_takes_ncs_options_and_has_its_status() {
    let (_socket, port) = closed();
    assert_eq!(code(&run(&["nc", "-n4", "127.0.0.1", &port])), Some(1));
    assert_eq!(code(&run(&["nc", "-zvn", "127.0.0.1", &port])), Some(1));
    for (args, says) in [
        (&["nc", "-n", "localhost", "1"][..], "it is no address"),
        (&["nc", "-6", "127.0.0.1", "1"], "it has no IPv6 address"),
        (&["nc", "-Y"], "unexpected argument '-Y'"),
        (&["nc", "-k", "127.0.0.1", "1"], "required"),
    ] {
        let output = run(args);
        assert_eq!(code(&output), Some(1), "{args:?}");
        assert!(stderr(&output).contains(says), "{args:?}: {}", stderr(&output));
    }
    assert_eq!(code(&run(&["nc", "--tap", "nosuch0", "127.0.0.1", "1"])), Some(2));
    assert_eq!(code(&run(&["nc", "--help"])), Some(0));
    let mut server = common::Beside::start_telling_on_stderr(
        &["nc", "-lvnp", "0", "-s", "127.0.0.1", "-d", "-w", "5"],
        Stdio::null(),
    );
    let mut client = TcpStream::connect(server.word_after("Listening on ")).unwrap();
    client.write_all(b"hi").unwrap();
    drop(client);
    assert_eq!(server.output(), (true, "hi".to_owned()));
}

#[test]
fn ping_takes_pings_options() {
    let ping = |args: &[&str]| tapsock(&["ping", "--link", "memory"]).args(args).output().unwrap();
    let quiet = ping(&["-4", "-n", "-q", "-c", "2", "-i", "0.01", "-t", "9", "-I", "10.7.0.2", "10.7.0.1"]);
    let text = stdout(&quiet);
    assert!(
        text.starts_with("PING 10.7.0.1 (10.7.0.1) from 10.7.0.2, link memory: 56(84) bytes of data.\n"),
        "{text}"
    );
    assert!(!text.contains("icmp_seq") && text.contains("2 received, 0% packet loss, time "), "{text}");
    let flood = stdout(&ping(&["-f", "-c", "50", "10.7.0.1"]));
    assert!(flood.contains("50 packets transmitted, 50 received") && flood.contains("ipg/ewma"), "{flood}");
    let deadline = ping(&["-w", "0.3", "-c", "5", "10.7.0.77"]);
    assert_eq!(code(&deadline), Some(1), "{}", stdout(&deadline));
    let enough = ping(&["-w", "60", "-c", "2", "-i", "0.01", "10.7.0.1"]);
    assert!(stdout(&enough).contains("2 packets transmitted, 2 received"), "{}", stdout(&enough));
    for (args, says) in [
        (&["-I", "nosuch", "10.7.0.1"][..], "interfaces lo and memory0"),
        (&["-I", "10.7.0.9", "10.7.0.1"], "Cannot assign requested address"),
        (&["-t", "0", "10.7.0.1"], "invalid value"),
        (&["-6", "10.7.0.1"], "it has no IPv6 address"),
        (&["-Y", "10.7.0.1"], "unexpected argument '-Y'"),
    ] {
        let output = ping(args);
        assert_eq!(code(&output), Some(2), "{args:?}");
        assert!(stderr(&output).contains(says), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn the_choice_of_a_link_is_told() {
    let output = run(&["ping", "-c", "1", "10.7.0.1"]);
    assert!(stderr(&output).contains("tapsock: link "), "{}", stderr(&output));
    let output = run(&["nc", "-z", "--link", "auto", "10.7.0.1", "9"]);
    assert!(stderr(&output).contains("tapsock: link "), "{}", stderr(&output));
    let output = run(&["ping", "-q", "-c", "1", "10.7.0.1"]);
    assert_eq!(stderr(&output), "");
}

#[test]
fn who_serves_ends_with_the_link() {
    let Some(namespace) = namespace().filter(|_| has_program("ip")) else { return };
    let scratch = Scratch::new();
    let script = "ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up || exit 9
        out=$1; shift
        \"$@\" --interface v1 --address 10.9.0.2/24 >$out 2>&1 & pid=$!
        until grep -q -e Ctrl-C -e Listening $out; do kill -0 $pid || exit 9; sleep 0.05; done
        ip link del v0
        wait $pid";
    let commands = [
        ("serve", &["serve", "/tmp"][..]),
        ("nc", &["nc", "-l", "-v", "80"]),
        ("nc-udp", &["nc", "-l", "-u", "-v", "80"]),
    ];
    for (name, args) in commands {
        let out = scratch.text(name);
        let mut command = namespace.command("timeout");
        command.args(["60", "sh", "-c", script, "sh", &out, env!("CARGO_BIN_EXE_tapsock")]).args(args);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = fs::read_to_string(out).unwrap_or_default();
        if code(&output) == Some(9) && text.is_empty() {
            return println!("skipped: {}", stderr(&output));
        }
        assert_eq!(code(&output), Some(2), "{text}{}", stderr(&output));
        assert!(text.contains("tapsock: the link v1 is gone: "), "{text}");
    }
}

#[test]
fn a_program_inside_ends_with_the_link() {
    if !has_kernel_link() || !has_program("ip") {
        return;
    }
    let output = run(&["enter", "-q", "--", "sh", "-c", "ip link del tapsock0; exec sleep 60"]);
    assert_eq!(code(&output), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains(" is gone: "), "{}", stderr(&output));
}

#[test]
fn without_a_link_a_demo_still_prints_its_object() {
    let Some(namespace) = namespace() else { return };
    let scratch = Scratch::new();
    let script =
        "echo 0 > /proc/sys/user/max_user_namespaces && echo 0 > /proc/sys/user/max_net_namespaces || exit 9
        cd \"$1\"; shift; exec \"$@\"";
    let mut command = namespace.command("sh");
    command.args(["-c", script, "sh", &scratch.text(""), env!("CARGO_BIN_EXE_tapsock")]);
    let output = command.args(["demo", "--json", "--link", "tap"]).output().unwrap();
    if code(&output) == Some(9) {
        return println!("skipped: {}", stderr(&output));
    }
    let object = object(&output);
    assert_eq!((code(&output), &object["ok"]), (Some(1), &false.into()), "{object:#}");
    assert_eq!((&object["link"], &object["refused"][0]["link"]), (&().into(), &"tap".into()), "{object:#}");
    assert_eq!(object["checks"], serde_json::json!([]));
    assert!(!scratch.path("tapsock-demo.pcapng").exists(), "a run that can't begin leaves no capture");
}
