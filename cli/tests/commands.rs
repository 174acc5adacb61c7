//! `tapsock serve`, `get`, `ping`, `nc` and `enter`, as their users see them.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Stdio;
use std::thread;

use common::{Beside, Scratch, has_kernel_link, has_program, run, stderr, stdout, tapsock};

/// A directory with a few files.
fn site() -> Scratch {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("site")).unwrap();
    fs::write(scratch.path("site/hello.txt"), "hello\n").unwrap();
    fs::write(scratch.path("site/large"), vec![7; 3_000_000]).unwrap();
    fs::write(scratch.path("secret"), "secret").unwrap();
    scratch
}

/// A served site, and the address of the machine's network where it is published.
fn published(scratch: &Scratch, link: &str) -> (Beside, SocketAddr) {
    let directory = scratch.text("site");
    let mut server = Beside::start(&["serve", &directory, "--link", link, "--publish", "127.0.0.1:0"]);
    let address = server.word_after("http://").trim_end_matches('/').parse().unwrap();
    (server, address)
}

#[test]
fn a_published_site_is_reached_from_the_machines_network() {
    let scratch = site();
    for link in ["memory", "auto"] {
        let (mut server, address) = published(&scratch, link);
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /hello.txt HTTP/1.1\r\nHost: h\r\n\r\nGET /none HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("\r\n\r\nhello\nHTTP/1.1 404 "),
            "{text}"
        );
        let lines: Vec<_> =
            std::iter::from_fn(|| server.next_line()).filter(|line| line.contains("GET")).take(2).collect();
        assert!(lines[0].contains("GET /hello.txt  200  6 bytes"), "{lines:?}");
        assert!(lines[1].contains("GET /none  404"), "{lines:?}");
    }
}

#[test]
fn get_fetches_what_serve_serves() {
    let scratch = site();
    let (_server, address) = published(&scratch, "memory");
    let url = |path: &str| format!("http://{address}{path}");

    let hello = run(&["get", "--include", &url("/hello.txt")]);
    assert!(hello.status.success(), "{}", stderr(&hello));
    let text = stdout(&hello);
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\nhello\n"), "{text}");

    let file = scratch.text("fetched");
    let large = run(&["get", "-v", "-o", &file, &url("/large")]);
    assert!(large.status.success(), "{}", stderr(&large));
    assert!(fs::read(file).unwrap() == vec![7; 3_000_000]);
    assert!(stderr(&large).contains("* 3000000 bytes"), "{}", stderr(&large));

    let missing = run(&["get", "--fail", &url("/../secret")]);
    assert_eq!((missing.status.code(), stdout(&missing).as_str()), (Some(22), ""));
    assert!(stderr(&missing).contains("status 404"), "{}", stderr(&missing));
    assert_eq!(stdout(&run(&["get", &url("/../secret")])), "404 Not Found\n");
}

#[test]
fn get_says_what_failed_and_what_helps() {
    // Bound and not listening: nobody else can come to have it.
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = run(&["get", &format!("http://127.0.0.1:{closed}/")]);
    assert_eq!(refused.status.code(), Some(7));
    let text = stderr(&refused);
    assert!(
        text.contains(&format!("connect to 127.0.0.1:{closed}: Connection refused (os error 111)")),
        "{text}"
    );
    assert!(text.contains("Nothing listens there"), "{text}");

    let text = stderr(&run(&["get", "https://127.0.0.1/"]));
    assert!(text.contains("TLS"), "{text}");
    let text = stderr(&run(&["get", "--tap", "nosuch0", "http://127.0.0.1/"]));
    assert!(text.contains("nosuch0"), "{text}");
    let text = stderr(&run(&["get", "--link", "memory", "--set", "net.ipv4.nosuch=1", "http://127.0.0.1/"]));
    assert!(text.contains("start the stack: net.ipv4.nosuch = 1"), "{text}");
    let text = stderr(&run(&["get", "--address", "10.0.0.1/32", "http://127.0.0.1/"]));
    assert!(text.contains("no room for a peer"), "{text}");
    let text = stderr(&run(&["serve", "/nosuch"]));
    assert!(text.contains("serve /nosuch: No such file or directory (os error 2)"), "{text}");
}

#[test]
fn ping_counts_answers() {
    for (link, to) in
        [("memory", "10.7.0.1"), ("memory", "fd07::1"), ("auto", "10.7.0.1"), ("memory", "127.0.0.1")]
    {
        let output = run(&["ping", "-c", "3", "-i", "0.01", "-s", "1000", "--link", link, to]);
        let text = stdout(&output);
        assert!(output.status.success(), "{text}{}", stderr(&output));
        assert!(text.contains(&format!("1008 bytes from {to}: icmp_seq=3 ttl=64 time=")), "{text}");
        assert!(text.contains("3 packets transmitted, 3 received, 0% packet loss"), "{text}");
        assert!(text.contains("rtt min/avg/max/mdev = "), "{text}");
    }
}

#[test]
fn ping_tells_when_nobody_answers() {
    let nobody = run(&["ping", "-c", "2", "-i", "0.01", "-W", "0.1", "--link", "memory", "10.7.0.77"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        stdout(&nobody).contains("2 packets transmitted, 0 received, 100% packet loss"),
        "{}",
        stdout(&nobody)
    );

    let elsewhere = run(&["ping", "-c", "1", "--link", "memory", "192.0.2.1"]);
    assert_eq!(elsewhere.status.code(), Some(2));
    let text = stderr(&elsewhere);
    assert!(text.contains("Network is unreachable (os error 101)") && text.contains("--interface"), "{text}");
}

#[test]
fn an_interrupted_ping_sums_up() {
    let mut ping = Beside::start(&["ping", "-i", "0.05", "--link", "memory", "10.7.0.1"]);
    ping.word_after("icmp_seq=2");
    let pid = rustix::process::Pid::from_raw(ping.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let sum =
        std::iter::from_fn(|| ping.next_line()).find(|line| line.contains("packets transmitted")).unwrap();
    assert!(sum.contains(" 0% packet loss") || sum.contains("received"), "{sum}");
    assert_eq!(ping.code(), Some(0));
}

#[test]
fn nc_talks_with_a_server_of_the_machine() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        write!(stream, "you said {text}").unwrap();
    });
    let mut client = tapsock(&["nc", "-N", "-v", "127.0.0.1", &port]);
    let mut client =
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    client.stdin.take().unwrap().write_all(b"hello").unwrap();
    let output = client.wait_with_output().unwrap();
    server.join().unwrap();
    assert_eq!(stdout(&output), "you said hello", "{}", stderr(&output));
    assert!(
        stderr(&output).contains(&format!("Connection to 127.0.0.1 {port} port [tcp/")),
        "{}",
        stderr(&output)
    );
}

#[test]
fn nc_comes_from_where_it_is_told_to() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.3:0").unwrap().local_addr().unwrap().port();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap().port().to_string();
    let server = thread::spawn(move || listener.accept().unwrap().1);
    let output = run(&["nc", "-s", "127.0.0.3", "-p", &port.to_string(), "127.0.0.1", &to]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(server.join().unwrap(), SocketAddr::from(([127, 0, 0, 3], port)));
}

#[test]
fn nc_listens_for_the_machine() {
    let mut server = Beside::start_telling_on_stderr(&["nc", "-l", "-N", "-v", "0"], Stdio::null());
    let address: SocketAddr = server.word_after("Listening on ").parse().unwrap();
    assert!(address.ip().is_unspecified(), "{address}");
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(&vec![b'x'; 500_000]).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    let (success, text) = server.output();
    assert!(success && text.len() == 500_000, "{} bytes", text.len());
}

#[test]
fn nc_listens_again_when_it_is_told_to() {
    let mut server = Beside::start_telling_on_stderr(&["nc", "-l", "-k", "-N", "-v", "0"], Stdio::null());
    let address: SocketAddr = server.word_after("Listening on ").parse().unwrap();
    for _ in 0..3 {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"x").unwrap();
        server.word_after("Connection received from ");
        client.shutdown(std::net::Shutdown::Write).unwrap();
        // Its standard input has ended, and so has its side of each connection.
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    }
}

#[test]
fn nc_speaks_udp_both_ways() {
    let echo = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = echo.local_addr().unwrap().port().to_string();
    thread::spawn(move || {
        let mut bytes = [0; 100];
        let (len, from) = echo.recv_from(&mut bytes).unwrap();
        echo.send_to(&bytes[..len], from).unwrap();
    });
    let mut client = tapsock(&["nc", "-u", "-w", "1", "127.0.0.1", &port]);
    let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    client.stdin.take().unwrap().write_all(b"datagram").unwrap();
    assert_eq!(stdout(&client.wait_with_output().unwrap()), "datagram");

    let mut server =
        Beside::start_telling_on_stderr(&["nc", "-l", "-u", "-v", "-w", "1", "-p", "0"], Stdio::null());
    let address: SocketAddr = server.word_after("Listening on ").parse().unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"one", address).unwrap();
    assert_eq!(server.output(), (true, "one".to_owned()));
}

#[test]
fn nc_scans() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap().port();
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let found = run(&["nc", "-z", "-v", "127.0.0.1", &open.to_string()]);
    assert!(found.status.success() && stderr(&found).contains("succeeded"), "{}", stderr(&found));
    let none = run(&["nc", "-z", "-v", "127.0.0.1", &closed.to_string()]);
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("failed: Connection refused (os error 111)"), "{}", stderr(&none));
    for link in [&[][..], &["--link", "auto"]] {
        let to = if link.is_empty() { "127.0.0.1" } else { "10.7.0.1" };
        let none = tapsock(&["nc", "-z", "-v", "-u", to, "9"]).args(link).output().unwrap();
        assert_eq!(none.status.code(), Some(1), "{}", stderr(&none));
        assert!(stderr(&none).contains("(udp) failed: Connection refused"), "{}", stderr(&none));
    }
    let range = stderr(&run(&["nc", "-z", "127.0.0.1", &format!("{open}-{open}")]));
    assert!(range.contains("succeeded"), "{range}");
}

#[test]
fn nc_knows_what_it_is_asked_for() {
    let text = stderr(&run(&["nc", "127.0.0.1"]));
    assert!(text.contains("HOST and PORT are missing"), "{text}");
    let text = stderr(&run(&["nc", "-l"]));
    assert!(text.contains("-l needs one port"), "{text}");
    let text = stderr(&run(&["nc", "127.0.0.1", "nosuchservice"]));
    assert!(text.contains("neither a port nor a service"), "{text}");
    let text = stderr(&run(&["nc", "127.0.0.1", "20-30"]));
    assert!(text.contains("range"), "{text}");
    let text = stderr(&run(&["nc", "--link", "memory", "-s", "192.0.2.1", "10.7.0.1", "80"]));
    assert!(text.contains("Cannot assign requested address (os error 99)"), "{text}");
    let text = stderr(&run(&["nc", "-l", "--capture", "/nosuch/file", "0"]));
    assert!(text.contains("need a link"), "{text}");
}

#[test]
fn a_program_inside_reaches_the_stack() {
    if !has_kernel_link() || !has_program("curl") {
        return;
    }
    for url in ["http://10.7.0.2/", "http://[fd07::2]/"] {
        let output = run(&["enter", "--", "curl", "-sS", "--max-time", "10", url]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stdout(&output).starts_with("Hello from tapsock"), "{}", stdout(&output));
        assert!(stderr(&output).contains("answers pings"), "{}", stderr(&output));
    }
    let scratch = site();
    let (site, capture) = (scratch.text("site"), scratch.text("enter.pcapng"));
    let output = run(&[
        "enter",
        "-q",
        "--address",
        "192.0.2.9/24",
        "--serve",
        &site,
        "--capture",
        &capture,
        "--",
        "curl",
        "-sS",
        "--max-time",
        "10",
        "http://192.0.2.9/hello.txt",
    ]);
    assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("hello\n", ""));
    assert!(fs::metadata(capture).unwrap().len() > 500);
}

#[test]
fn enter_ends_as_its_program_does() {
    if !has_kernel_link() {
        return;
    }
    let code = |script: &str| run(&["enter", "-q", "--", "sh", "-c", script]).status.code();
    assert_eq!(code("exit 7"), Some(7));
    assert_eq!(code("kill -9 $$"), Some(137));
    assert_eq!(code("test \"$TAPSOCK_ADDRESS\" = 10.7.0.2 && test -d /sys/class/net"), Some(0));
    let output = run(&["enter", "-q", "--", "/nosuch/program"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("run /nosuch/program: No such file or directory (os error 2)"),
        "{}",
        stderr(&output)
    );

    let mut running = Beside::start(&["enter", "-q", "--", "sh", "-c", "echo ready; exec sleep 60"]);
    assert_eq!(running.next_line().as_deref(), Some("ready"));
    let pid = rustix::process::Pid::from_raw(running.id() as i32).unwrap();
    // Ctrl-C is the program's own affair; SIGTERM is passed on.
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(running.code(), Some(128 + 15));
}

#[test]
fn enter_needs_the_kernel() {
    let output = run(&["enter", "--link", "memory", "--", "true"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("with the kernel at its other end"), "{}", stderr(&output));
}

#[test]
fn who_stops_reading_ends_the_command() {
    let mut child = tapsock(&["ping", "-i", "0.01", "--link", "memory", "10.7.0.1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(128 + 13));
}
