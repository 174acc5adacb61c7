//! The commands, by names that a server on the network knows.

mod common;

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;

use common::{has_program, namespace, stderr, stdout};
use tapsock_driver::Namespace;

/// Ends a program with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A namespace with a TAP device that nobody has open, and dnsmasq there.
fn network() -> Option<(Namespace, Ended)> {
    let namespace = namespace().filter(|_| has_program("ip") && has_program("dnsmasq"))?;
    let mut made = namespace.command("sh");
    made.args(["-c", "ip tuntap add dev t0 mode tap && ip addr add 10.7.0.1/24 dev t0 && ip link set t0 up"]);
    if !made.status().unwrap().success() {
        println!("skipped: no TAP device can be made");
        return None;
    }
    let mut command = namespace.command("dnsmasq");
    command.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--pid-file=",
    ]);
    command.args(["--interface=t0", "--bind-interfaces", "--user=", "--group=", "--local=/example/"]);
    command.args(["--host-record=web.example,10.7.0.1", "--cname=www.example,web.example"]);
    command.args([
        "--dhcp-range=10.7.0.50,10.7.0.60,255.255.255.0,2m",
        "--dhcp-authoritative",
        "--leasefile-ro",
    ]);
    command.args(["--no-ping", "--domain=example", "--dhcp-option=option:dns-server,10.7.0.1"]);
    let server = Ended(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
    Some((namespace, server))
}

fn tapsock(namespace: &Namespace, args: &[&str]) -> Command {
    let mut command = namespace.command(env!("CARGO_BIN_EXE_tapsock"));
    command.args(args).stdin(Stdio::null());
    command
}

#[test]
fn get_fetches_by_a_name_of_the_network() {
    let Some((namespace, _server)) = network() else { return };
    let listener = namespace.tcp_listen("10.7.0.1:80".parse().unwrap()).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let len = stream.read(&mut head).unwrap_or(0);
            let host = String::from_utf8_lossy(&head[..len]).into_owned();
            let host = host.lines().find(|line| line.starts_with("Host:")).unwrap_or("none").to_owned();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{host}",
                host.len()
            );
        }
    });
    // By DHCP's server and domain; then by a server that is named.
    for (args, url, host) in [
        (&["--dhcp"][..], "http://web/", "Host: web"),
        (&["--address", "10.7.0.9/24", "--dns", "10.7.0.1"], "http://www.example/", "Host: www.example"),
    ] {
        let output = tapsock(&namespace, &[&["get", "--tap", "t0"], args, &[url]].concat()).output().unwrap();
        assert_eq!(stdout(&output), host, "{}", stderr(&output));
    }
    let none =
        ["get", "--tap", "t0", "--address", "10.7.0.9/24", "--dns", "10.7.0.1", "http://none.example/"];
    let output = tapsock(&namespace, &none).output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(
        text.contains(
            "look up none.example: failed to lookup address information: Name or service not known"
        ),
        "{text}"
    );
}

#[test]
fn a_name_server_needs_a_network() {
    let output = common::run(&["ping", "--link", "memory", "--dns", "10.7.0.1", "a.example"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(
        text.contains("--dns: the stack is on a wire in memory") && text.contains("--link passt"),
        "{text}"
    );
}

/// dig in the network, with these words.
fn dig(namespace: &Namespace, words: &[&str]) -> (Option<i32>, String, String) {
    let args = [&["dig", "--tap", "t0", "--address", "10.7.0.9/24"], words].concat();
    let output = tapsock(namespace, &args).output().unwrap();
    (output.status.code(), stdout(&output), stderr(&output))
}

#[test]
fn dig_shows_what_a_server_says() {
    let Some((namespace, _server)) = network() else { return };
    let mut heard = dig(&namespace, &["@10.7.0.1", "www.example", "+short"]);
    for _ in 0..20 {
        // dnsmasq may have only just begun.
        if heard.0 != Some(0) {
            heard = dig(&namespace, &["@10.7.0.1", "www.example", "+short"]);
        }
    }
    assert_eq!(heard, (Some(0), "web.example.\n10.7.0.1\n".to_owned(), String::new()));
    assert_eq!(dig(&namespace, &["--dns", "10.7.0.1", "web.example", "a", "+short", "+tcp"]).1, "10.7.0.1\n");
    let (_, text, _) = dig(&namespace, &["@10.7.0.1", "web.example"]);
    for mark in [
        ";; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: ",
        ";; flags: qr aa rd ra; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 1\n",
        "; EDNS: version: 0, flags:; udp: ",
        ";; QUESTION SECTION:\n;web.example.\t\tIN\tA\n",
        ";; ANSWER SECTION:\nweb.example.\t0\tIN\tA\t10.7.0.1\n",
        ";; Query time: ",
        ";; SERVER: 10.7.0.1#53(10.7.0.1) (UDP)\n",
    ] {
        assert!(text.contains(mark), "{mark}: {text}");
    }
    // The same as an object, by RFC 8427's names.
    let (_, text, _) = dig(&namespace, &["-j", "@10.7.0.1", "www.example"]);
    let said: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&said["server"], &said["port"], &said["transport"]),
        (&"10.7.0.1".into(), &53.into(), &"UDP".into())
    );
    let message = &said["responseMessage"];
    assert_eq!(
        (&message["QNAME"], &message["QTYPEname"], &message["RCODE"]),
        (&"www.example.".into(), &"A".into(), &0.into())
    );
    let answers = message["answerRRs"].as_array().unwrap();
    assert_eq!(message["ANCOUNT"], answers.len());
    assert_eq!(
        (&answers[0]["TYPEname"], &answers[0]["rdataCNAME"]),
        (&"CNAME".into(), &"web.example.".into()),
        "{text}"
    );
    assert_eq!(
        (&answers[1]["NAME"], &answers[1]["rdataA"]),
        (&"web.example.".into(), &"10.7.0.1".into()),
        "{text}"
    );
    assert!(said["query_time"].as_f64().is_some_and(|took| took > 0.0) && message["QR"] == true, "{text}");
    assert!(dig(&namespace, &["@10.7.0.1", "none.example"]).1.contains("status: NXDOMAIN"));
    assert_eq!(dig(&namespace, &["@10.7.0.1", "-x", "10.7.0.1", "+short"]).1, "web.example.\n");
    let (code, _, why) = dig(&namespace, &["@10.7.0.1", "-p", "5399", "-w", "1", "web.example"]);
    assert_eq!(code, Some(9), "{why}");
    assert!(why.contains("ask 10.7.0.1:5399: Connection refused"), "{why}");
    let (code, _, why) = dig(&namespace, &["web.example", "nosuch"]);
    assert!(code == Some(1) && why.contains("\"nosuch\" is no type of records"), "{why}");
}

/// Behind the kernel of the namespace, which forwards, a second one at 10.9.0.2.
fn second_network(namespace: &Namespace) -> Option<Ended> {
    // The inner one ends with the input of the outer one, which goes with the test.
    let script = "exec 3<&0
        unshare -n sh -c 'echo apart
            for _ in $(seq 400); do ip addr add 10.9.0.2/24 dev v1 2>/dev/null && break; sleep 0.05; done
            ip link set v1 up && ip link set lo up && ip route add default via 10.9.0.1 && echo ready && exec cat <&3 >/dev/null' &
        ip link add v0 type veth peer name v1 && ip addr add 10.9.0.1/24 dev v0 && ip link set v0 up || exit 1
        read apart; ip link set v1 netns $! && echo 1 > /proc/sys/net/ipv4/ip_forward || exit 1
        # Each probe is answered, however many come in a second.
        echo 0 > /proc/sys/net/ipv4/icmp_ratelimit; wait";
    let mut command = namespace.command("sh");
    let mut child =
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut says = child.stdout.take().unwrap();
    let mut hears = |word: &[u8]| {
        let mut heard = vec![0; word.len()];
        says.read_exact(&mut heard).is_ok() && heard == word
    };
    // It stays open: what is taken would be closed at the end of the line.
    let told = hears(b"apart\n") && child.stdin.as_mut().unwrap().write_all(b"apart\n").is_ok();
    let is_ready = told && hears(b"ready\n");
    let child = Ended(child);
    if !is_ready {
        println!("skipped: no second network can be made");
    }
    is_ready.then_some(child)
}

#[test]
fn traceroute_lists_the_routers_on_the_way() {
    let Some((namespace, _server)) = network() else { return };
    let Some(_second) = second_network(&namespace) else { return };
    let attach =
        ["traceroute", "--tap", "t0", "--address", "10.7.0.2/24", "--gateway", "10.7.0.1", "-w", "2"];
    for method in [&["-q2"][..], &["-I", "-q", "2"], &["-T", "-q2", "-p", "80"]] {
        let output = tapsock(&namespace, &[&attach[..], method, &["10.9.0.2"]].concat()).output().unwrap();
        let text = stdout(&output);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(
            text.starts_with("traceroute to 10.9.0.2 (10.9.0.2), 30 hops max, 60 byte packets\n"),
            "{text}"
        );
        assert_eq!(lines.len(), 3, "{method:?}: {text}{}", stderr(&output));
        for (line, hop, address) in [(&lines[1], "1", "10.7.0.1"), (&lines[2], "2", "10.9.0.2")] {
            assert_eq!((line[0], line[1]), (hop, address), "{method:?}: {text}");
            assert_eq!((line[2], line[4], line[6]), (format!("({address})").as_str(), "ms", "ms"), "{text}");
        }
    }
    let output = tapsock(&namespace, &[&attach[..], &["-j", "-q2", "10.9.0.2"]].concat()).output().unwrap();
    let said: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(
        (&said["dst"], &said["method"], &said["max_hops"]),
        (&"10.9.0.2".into(), &"udp".into(), &30.into())
    );
    let hops = said["hops"].as_array().unwrap();
    assert_eq!(hops.len(), 2, "{said}");
    for (hop, ttl, from) in [(&hops[0], 1, "10.7.0.1"), (&hops[1], 2, "10.9.0.2")] {
        let probes = hop["probes"].as_array().unwrap();
        assert_eq!((&hop["ttl"], probes.len()), (&ttl.into(), 2), "{said}");
        for probe in probes {
            assert_eq!((&probe["from"], &probe["arrived"]), (&from.into(), &(ttl == 2).into()), "{said}");
            assert!(probe["rtt"].as_f64().is_some_and(|rtt| rtt > 0.0) && probe["mark"].is_null(), "{said}");
        }
    }
    // Where nobody is, a router says so.
    let nowhere = tapsock(&namespace, &[&attach[..], &["-q", "1", "10.66.0.1"]].concat()).output().unwrap();
    assert!(stdout(&nowhere).contains(" ms !N"), "{}", stdout(&nowhere));
    let nowhere = tapsock(&namespace, &[&attach[..], &["-j", "-q1", "10.66.0.1"]].concat()).output().unwrap();
    let said: serde_json::Value = serde_json::from_str(&stdout(&nowhere)).unwrap();
    assert_eq!(said["hops"][0]["probes"][0]["mark"], "!N", "{said}");
}
