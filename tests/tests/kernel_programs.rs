//! Real programs on the kernel's sockets, in the namespace at the other end of the link.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use tapsock::Host;
use tapsock::net::{TcpListener, TcpStream};
use tapsock_driver::pcapng::Capture;
use tapsock_tests::bench::{Bench, Family, Setup, address};
use tapsock_tests::bulk::{Fingerprint, bytes, transfer};
use tapsock_tests::programs::{Beside, Scratch, find};
use tapsock_tests::sides::{PATIENCE, Side};

const MIB: u64 = 1 << 20;
const DOCUMENT: u64 = 64 * MIB;

fn scratch(name: &str) -> Scratch {
    Scratch::new(Path::new(env!("CARGO_TARGET_TMPDIR")), name)
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}/document")
}

/// The head of an HTTP message: its lines up to the empty one.
fn read_head(stream: &mut impl BufRead) -> io::Result<Vec<String>> {
    let lines = stream.lines().map(|line| line.map(|line| line.trim_end().to_owned()));
    lines.take_while(|line| !line.as_ref().is_ok_and(String::is_empty)).collect()
}

/// The value of a header, if there is one.
fn header<'a>(head: &'a [String], name: &str) -> Option<&'a str> {
    let mut fields = head.iter().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Answers one request: a GET with the document of `seed`, a PUT with the hash of what came.
fn serve_one(stream: TcpStream, seed: u64) -> io::Result<()> {
    let mut input = BufReader::new(stream.try_clone()?);
    let mut output = stream;
    let head = read_head(&mut input)?;
    if head[0].starts_with("GET ") {
        write!(output, "HTTP/1.1 200 OK\r\nContent-Length: {DOCUMENT}\r\nConnection: close\r\n\r\n")?;
        Fingerprint::send(&mut output, seed, DOCUMENT)?;
    } else {
        if header(&head, "Expect").is_some() {
            write!(output, "HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let len = header(&head, "Content-Length").and_then(|len| len.parse().ok()).unwrap_or(0);
        let verdict = Fingerprint::of_stream(&mut input.take(len))?.to_string();
        let len = verdict.len();
        write!(output, "HTTP/1.1 200 OK\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{verdict}")?;
    }
    output.shutdown(Shutdown::Write)
}

/// A small HTTP server on the stack, for as many requests.
fn serve(host: &Host, at: IpAddr, seed: u64, requests: usize) -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind(host, (at, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || {
        for stream in listener.incoming().take(requests) {
            serve_one(stream.unwrap(), seed).unwrap();
        }
    });
    (address, serving)
}

#[test]
fn curl_fetches_from_us_and_sends_to_us() {
    let Some(curl) = find("curl") else { return };
    let Some(bench) = Setup::new().open() else { return };
    let scratch = scratch("curl");
    let upload = scratch.path("upload");
    fs::write(&upload, bytes(5, 16 << 20)).unwrap();
    for family in Family::ALL {
        let (address, serving) = serve(&bench.host, bench.address(Side::Ours, family), 4, 2);
        let mut command = bench.namespace.command(&curl);
        command.args(["-sS", "--max-time", "60", &url(address)]).stdout(Stdio::piped());
        let mut fetching = Beside::start(&mut command).unwrap();
        let mut output = fetching.child().stdout.take().unwrap();
        let fetched = Fingerprint::of_stream(&mut output).unwrap();
        assert!(fetching.child().wait().unwrap().success());
        assert_eq!(fetched, Fingerprint::send(&mut io::sink(), 4, DOCUMENT).unwrap());

        let file = upload.to_str().unwrap();
        let verdict =
            bench.run(curl.to_str().unwrap(), &["-sS", "--max-time", "60", "-T", file, &url(address)]);
        assert_eq!(verdict, Fingerprint::send(&mut io::sink(), 5, 16 * MIB).unwrap().to_string());
        serving.join().unwrap();
    }
}

/// Connects to a program that may be about to start.
fn connect_when_up(bench: &Bench, address: SocketAddr) -> TcpStream {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect(&bench.host, address) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return stream;
            }
            Err(error) if Instant::now() > deadline => panic!("{address}: {error}"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[test]
fn we_fetch_from_nginx() {
    let Some(nginx) = find("nginx") else { return };
    let Some(bench) = Setup::new().open() else { return };
    let scratch = scratch("nginx");
    fs::write(scratch.path("document"), bytes(6, DOCUMENT as usize)).unwrap();
    let directory = scratch.path("").display().to_string();
    let kernel = Family::ALL.map(|family| bench.at(Side::Kernel, family, 8080));
    let configuration = format!(
        "daemon off; master_process off; user root; pid {directory}/pid; error_log stderr;
         events {{ }}
         http {{
           access_log off; sendfile on;
           client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
           fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
           server {{ listen {}; listen {}; root {directory}; }}
         }}",
        kernel[0], kernel[1]
    );
    fs::write(scratch.path("conf"), configuration).unwrap();
    let mut command = bench.namespace.command(nginx);
    command.arg("-c").arg(scratch.path("conf")).arg("-p").arg(&directory).stderr(Stdio::null());
    let _nginx = Beside::start(&mut command).unwrap();
    let wanted = Fingerprint::send(&mut io::sink(), 6, DOCUMENT).unwrap();
    for address in kernel {
        let mut stream = connect_when_up(&bench, address);
        // Two requests over one connection, which the server ends after the second.
        for connection in ["keep-alive", "close"] {
            write!(stream, "GET /document HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\r\n").unwrap();
            let mut input = BufReader::new(&stream);
            let head = read_head(&mut input).unwrap();
            assert_eq!(
                (&head[0][..], header(&head, "Content-Length")),
                ("HTTP/1.1 200 OK", Some("67108864"))
            );
            assert_eq!(Fingerprint::of_stream(&mut input.take(DOCUMENT)).unwrap(), wanted);
        }
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the server has closed");
    }
}

/// Copies to `to` what comes from `from`, and then its end.
fn pump(mut from: TcpStream, mut to: TcpStream) {
    if io::copy(&mut from, &mut to).is_ok() {
        // The other may have closed already.
        let _ = to.shutdown(Shutdown::Write);
    }
}

/// Forwards connections to `target`, for as long as the test runs.
fn forward(host: &Host, listener: TcpListener, target: SocketAddr) {
    let host = host.clone();
    thread::spawn(move || {
        // Ends with the host.
        while let Ok((inbound, _)) = listener.accept() {
            let Ok(outbound) = TcpStream::connect(&host, target) else { continue };
            let back = (outbound.try_clone().unwrap(), inbound.try_clone().unwrap());
            thread::spawn(move || pump(inbound, outbound));
            thread::spawn(move || pump(back.0, back.1));
        }
    });
}

/// Waits until a program listens at `port`, without connecting to it.
fn await_listener(program: &mut Beside, port: u16) {
    let listening = format!(":{port:04X} ");
    let tables = ["tcp", "tcp6"].map(|table| format!("/proc/{}/net/{table}", program.child().id()));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = tables.iter().filter_map(|table| fs::read_to_string(table).ok()).any(|table| {
            // A socket's own address, its peer's, and the state TCP_LISTEN.
            table.lines().any(|line| line.contains(&listening) && line.contains(":0000 0A "))
        });
        if found {
            return;
        }
        assert!(Instant::now() < deadline, "nobody listens at port {port}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// iperf3 at both ends of a relay on the stack: its streams cross the link twice.
#[test]
fn iperf3_through_us() {
    let Some(iperf3) = find("iperf3") else { return };
    let Some(bench) = Setup::new().open() else { return };
    let iperf3 = iperf3.to_str().unwrap();
    for (family, port) in Family::ALL.into_iter().zip([5201, 5202]) {
        let (kernel, ours) = (bench.address(Side::Kernel, family), bench.address(Side::Ours, family));
        let listener = TcpListener::bind(&bench.host, (ours, port)).unwrap();
        forward(&bench.host, listener, (kernel, port).into());
        let (kernel, ours, number) = (kernel.to_string(), ours.to_string(), port.to_string());
        for way in [None, Some("--reverse"), Some("--bidir")] {
            let mut server = bench.namespace.command(iperf3);
            server.args(["-s", "-1", "-p", &number, "-B", &kernel]).stdout(Stdio::null());
            let mut server = Beside::start(&mut server).unwrap();
            await_listener(&mut server, port);
            let mut arguments = vec!["-c", &ours, "-p", &number, "-n", "64M", "-P", "3", "-J"];
            arguments.extend(way);
            let report = bench.run(iperf3, &arguments);
            assert!(!report.contains("\"error\""), "{report}");
            assert!(server.child().wait().unwrap().success());
        }
    }
}

#[test]
fn tcpdump_reads_our_capture() {
    let Some(tcpdump) = find("tcpdump") else { return };
    let scratch = scratch("capture");
    let path = scratch.path("link.pcapng");
    let capture = Capture::create(&path).unwrap();
    let Some(bench) = Setup::new().open_with(|link| capture.tee(link)) else { return };
    for family in Family::ALL {
        transfer(&bench, family, Side::Ours, Side::Ours, MIB);
        transfer(&bench, family, Side::Kernel, Side::Ours, MIB);
    }
    drop(bench);
    let stats = capture.finish().unwrap();
    assert_eq!(stats.dropped, 0);

    let mut command = std::process::Command::new(tcpdump);
    command.args(["-n", "-t", "-K", "-r"]).arg(&path);
    if rustix::process::geteuid().is_root() {
        // Whom it would become else may have no way to the file.
        command.args(["-Z", "root"]);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.lines().count() as u64, stats.written);
    for family in Family::ALL {
        let (ours, kernel) = (address(Side::Ours, family), address(Side::Kernel, family));
        let segments = |from: IpAddr, to: IpAddr, flags: &str| {
            let (from, to) = (format!(" {from}."), format!(" > {to}."));
            let matches = |line: &&str| line.contains(&from) && line.contains(&to) && line.contains(flags);
            text.lines().filter(matches).count()
        };
        assert_eq!(segments(ours, kernel, "Flags [S],"), 2, "{text}");
        assert_eq!(segments(kernel, ours, "Flags [S.],"), 2, "{text}");
        let largest = text.lines().filter(|line| line.contains(&format!(" {ours}.")));
        let largest = largest.filter_map(|line| line.rsplit_once("length ")?.1.parse::<u64>().ok()).max();
        assert!(largest.is_some_and(|len| len > 1500), "frames are shown as they cross: {largest:?}");
    }
    for wrong in ["bad-len", "truncated", "[|"] {
        assert!(!text.contains(wrong), "{text}");
    }
}
