//! `tapsock ss`, `ip` and `nstat`, of a host that runs.

mod common;

use std::net::{TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Beside, Scratch, has_program, run, stderr, stdout};
use serde_json::{Value, json};
use tapsock::Host;
use tapsock_driver::memory::{MemoryConfig, MemoryLink};
use tapsock_stack::wire::EthernetAddress;

/// A server with a control socket of its own.
struct Served {
    scratch: Scratch,
    _server: Beside,
    _client: TcpStream,
}

fn served() -> Served {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path("site")).unwrap();
    let (site, control) = (scratch.text("site"), scratch.text("control"));
    let mut server = Beside::start(&[
        "serve",
        &site,
        "--link",
        "memory",
        "--publish",
        "127.0.0.1:0",
        "--control",
        &control,
        "--address",
        "10.7.0.2/24",
    ]);
    let address = server.word_after("http://").trim_end_matches('/').to_owned();
    let client = TcpStream::connect(&address).unwrap();
    let served = Served { scratch, _server: server, _client: client };
    // The relay opens the connection's other half when it has taken the client's.
    let began = Instant::now();
    while served.ask(&["ss", "-tanH"]).lines().filter(|line| line.contains("ESTAB")).count() < 2 {
        assert!(began.elapsed() < PATIENCE, "the client is not relayed");
    }
    served
}

/// Longer than a relay takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(20);

impl Served {
    fn ask(&self, args: &[&str]) -> String {
        let output = run(&[args, &["--control", &self.scratch.text("control")]].concat());
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        stdout(&output)
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ask(args)).unwrap()
    }
}

/// What the machine's own program prints, where it is installed.
fn kernels(program: &str, args: &[&str]) -> Option<String> {
    if !has_program(program) {
        return None;
    }
    Some(String::from_utf8(Command::new(program).args(args).output().ok()?.stdout).unwrap())
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn ss_shows_sockets_in_the_form_of_the_machines() {
    let served = served();
    let text = served.ask(&["ss", "-tuan"]);
    let mut lines = text.lines();
    assert_eq!(
        words(lines.next().unwrap()),
        ["Netid", "State", "Recv-Q", "Send-Q", "Local", "Address:Port", "Peer", "Address:Port", "Process"]
    );
    let listener = text.lines().find(|line| line.contains("LISTEN")).unwrap();
    assert_eq!(words(listener), ["tcp", "LISTEN", "0", "4096", "*:80", "*:*"], "{text}");
    // The relayed connection has two ends, both on the host's lo, as the client has not asked yet.
    let mut ends = text.lines().filter(|line| line.contains("ESTAB"));
    let (one, other) = (words(ends.next().unwrap()), words(ends.next().unwrap()));
    assert_eq!((one[4], one[5]), (other[5], other[4]), "{text}");

    let detailed = served.ask(&["ss", "-tni"]);
    let info = detailed.lines().find(|line| line.starts_with('\t')).unwrap();
    for mark in ["cubic", "wscale:", "rto:", "mss:", "cwnd:10", "rcv_space:", "snd_wnd:"] {
        assert!(info.contains(mark), "{mark}: {detailed}");
    }
    assert!(!detailed.contains("LISTEN"), "{detailed}");
    assert!(served.ask(&["ss", "-tl"]).contains("*:http"), "a service has a name");
    assert_eq!(served.ask(&["ss", "-uanH"]), "");
    assert_eq!(words(&served.ask(&["ss", "-tlnH"])), ["LISTEN", "0", "4096", "*:80", "*:*"]);
    assert_eq!(served.ask(&["ss", "-4tlnH"]), "");
    let json = served.json(&["ss", "-tlj"]);
    assert_eq!(
        (&json["sockets"][0]["state"], json["sockets"].as_array().unwrap().len()),
        (&"LISTEN".into(), 1)
    );

    // All at once: a connection has its details in the line behind it.
    let all = served.ask(&["ss", "-tuani"]);
    let lines: Vec<&str> = all.lines().collect();
    let is_detail = |line: &&str| line.starts_with('\t') && line.contains("cubic") && line.contains("rto:");
    assert_eq!(words(lines[0]), words(text.lines().next().unwrap()), "{all}");
    assert_eq!(lines.iter().filter(|line| words(line)[0] == "tcp").count(), 3, "{all}");
    assert_eq!(lines.iter().filter(|line| line.starts_with('\t')).count(), 3, "{all}");
    let listener = lines.windows(2).find(|pair| pair[0].contains("LISTEN")).unwrap();
    assert_eq!(listener[1], "\t cubic cwnd:10", "what its connections begin with, as ss says: {all}");
    for pair in lines.windows(2).filter(|pair| pair[0].contains("ESTAB")) {
        assert!(is_detail(&pair[1]), "{all}");
    }

    // The machine's own, of a socket like it.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let Some(theirs) = kernels("ss", &["-uan"]) else { return };
    let ours = served.ask(&["ss", "-uan"]);
    assert_eq!(words(ours.lines().next().unwrap())[..6], words(theirs.lines().next().unwrap())[..6]);
    assert!(theirs.contains(&socket.local_addr().unwrap().to_string()));
}

/// The names of fields, with those of what is in them.
fn fields(value: &Value) -> Vec<String> {
    let object = value.as_object().unwrap();
    let inner = |(name, value): (&String, &Value)| match value {
        Value::Object(_) => fields(value).into_iter().map(|field| format!("{name}.{field}")).collect(),
        _ => vec![name.clone()],
    };
    object.iter().flat_map(inner).collect()
}

#[test]
fn ip_shows_what_the_machines_shows_by_the_same_names() {
    let served = served();
    let text = served.ask(&["ip", "addr"]);
    assert!(text.starts_with("1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 "), "{text}");
    assert!(text.contains("    inet 10.7.0.2/24 brd 10.7.0.255 scope global memory"), "{text}");
    assert!(text.contains("       valid_lft forever preferred_lft forever\n"), "{text}");
    let lines = served.ask(&["ip", "-br", "a"]);
    assert!(lines.lines().any(|line| words(line)[1..3] == ["UP", "10.7.0.2/24"]), "{lines}");
    let route = served.ask(&["ip", "route"]);
    assert!(
        route.lines().any(
            |line| line.starts_with("10.7.0.0/24 dev memory") && line.contains("scope link src 10.7.0.2")
        ),
        "{route}"
    );
    let counted = served.json(&["ip", "-j", "-s", "link"]);
    let device = &counted[1];
    assert!(
        device["stats64"]["tx"]["bytes"].is_u64() && device["ifname"].as_str().unwrap().starts_with("memory")
    );

    // Each name of ours is one of iproute2's.
    for (ours, theirs) in [
        (&["ip", "-j", "addr", "show", "lo"][..], &["-j", "addr", "show", "lo"][..]),
        (&["ip", "-js", "link", "show", "lo"], &["-j", "-s", "link"]),
    ] {
        let Some(theirs) = kernels("ip", theirs) else { return };
        let theirs: Value = serde_json::from_str(&theirs).unwrap();
        let (ours, theirs) = (fields(&served.json(ours)[0]), fields(&theirs[0]));
        let unknown: Vec<_> = ours.iter().filter(|name| !theirs.contains(name)).collect();
        assert!(unknown.is_empty(), "{unknown:?} are not among {theirs:?}");
    }
}

/// A host of this process, with a neighbour that answers, one that does not, and routes.
#[test]
fn neighbours_and_routes_are_shown_as_the_machines_are() {
    let scratch = Scratch::new();
    let (link, end) = MemoryLink::pair(MemoryConfig::default()).unwrap();
    let station = "02:00:00:00:00:07";
    let hardware = EthernetAddress([2, 0, 0, 0, 0, 7]);
    let other = Host::builder().link(end).hardware_address(hardware);
    let _other = other.address("10.7.0.1/24".parse().unwrap()).start().unwrap();
    let host = Host::builder().link(link).interface_name("eth0").control(scratch.path("control"));
    let host = host.address("10.7.0.2/24".parse().unwrap()).address("fd07::2/64".parse().unwrap());
    let host = host.gateway("10.7.0.1".parse().unwrap());
    let host = host.route("10.9.0.0/16".parse().unwrap(), Some("10.7.0.3".parse().unwrap())).start().unwrap();
    let socket = tapsock::net::UdpSocket::bind(&host, "0.0.0.0:0").unwrap();
    for to in ["10.7.0.1:9", "10.7.0.99:9"] {
        socket.send_to(b"x", to).unwrap();
    }
    let control = scratch.text("control");
    let ask = |args: &[&str]| {
        let output = run(&[args, &["--control", &control]].concat());
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        stdout(&output)
    };
    let json = |args: &[&str]| -> Value { serde_json::from_str(&ask(args)).unwrap() };
    let began = Instant::now();
    let text = loop {
        let text = ask(&["ip", "neigh"]);
        if text.contains("lladdr") {
            break text;
        }
        assert!(began.elapsed() < PATIENCE, "{text}");
    };
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap();
    assert_eq!(line("10.7.0.1 "), format!("10.7.0.1 dev eth0 lladdr {station} REACHABLE "));
    // By now it may be given up.
    assert!(["INCOMPLETE", "FAILED"].contains(words(line("10.7.0.99 ")).last().unwrap()), "{text}");
    let neighbors = json(&["ip", "-j", "neigh"]);
    let neighbor = |address: &str| {
        let found = neighbors.as_array().unwrap().iter().find(|neighbor| neighbor["dst"] == address);
        found.unwrap().clone()
    };
    let expected = json!({ "dst": "10.7.0.1", "dev": "eth0", "lladdr": station, "state": ["REACHABLE"] });
    assert_eq!(neighbor("10.7.0.1"), expected);
    assert_eq!(fields(&neighbor("10.7.0.99")), ["dev", "dst", "state"]);

    let routes = json(&["ip", "-j", "route"]);
    for expected in [
        json!({ "dst": "default", "gateway": "10.7.0.1", "dev": "eth0", "protocol": "static", "flags": [] }),
        json!({ "dst": "10.7.0.0/24", "dev": "eth0", "protocol": "kernel", "scope": "link",
            "prefsrc": "10.7.0.2", "flags": [] }),
        json!({ "dst": "10.9.0.0/16", "gateway": "10.7.0.3", "dev": "eth0", "protocol": "static", "flags": [] }),
    ] {
        assert!(routes.as_array().unwrap().contains(&expected), "{expected} is not in {routes}");
    }
    let sixth = json!({ "dst": "fd07::/64", "dev": "eth0", "protocol": "kernel", "metric": 256, "flags": [],
        "pref": "medium" });
    let routes = json(&["ip", "-6", "-j", "route"]);
    assert!(routes.as_array().unwrap().contains(&sixth), "{routes}");

    // Each name of ours is one of iproute2's, which prints the same of the same.
    let script = "ip link add eth0 type veth peer name peer && ip link set eth0 up && ip link set peer up \
                  && ip addr add 10.7.0.2/24 dev eth0 && ip route add default via 10.7.0.1 proto static \
                  && ip neigh add 10.7.0.1 lladdr 02:00:00:00:00:07 nud reachable dev eth0 \
                  && ip -j neigh show 10.7.0.1 && ip -j route show default && ip -j route show 10.7.0.0/24";
    let Some(theirs) = kernels("unshare", &["--net", "sh", "-c", script]) else { return };
    let theirs: Vec<Value> = theirs.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    if let [theirs_neighbor, theirs_default, theirs_connected] = &theirs[..] {
        assert_eq!(neighbor("10.7.0.1"), theirs_neighbor[0]);
        let routes = json(&["ip", "-j", "route"]);
        for theirs in [&theirs_default[0], &theirs_connected[0]] {
            assert!(routes.as_array().unwrap().contains(theirs), "{theirs} is not in {routes}");
        }
    } else {
        println!("skipped: no network of its own for ip: {theirs:?}");
    }
}

#[test]
fn ip_route_get_says_which_way_a_packet_takes() {
    let served = served();
    let way = served.ask(&["ip", "route", "get", "10.7.0.9"]);
    assert!(way.starts_with("10.7.0.9 dev memory") && way.ends_with(" src 10.7.0.2 \n"), "{way}");
    assert_eq!(served.ask(&["ip", "r", "get", "10.7.0.2"]), "local 10.7.0.2 dev lo src 10.7.0.2 \n");
    let json = served.json(&["ip", "-j", "route", "get", "10.7.0.9", "from", "10.7.0.2"]);
    assert_eq!((&json[0]["dst"], &json[0]["from"]), (&"10.7.0.9".into(), &"10.7.0.2".into()));
    let control = served.scratch.text("control");
    for (address, status, why) in [("192.0.2.1", 2, "unreachable"), ("nonsense", 255, "any valid address")] {
        let output = run(&["ip", "route", "get", address, "--control", &control]);
        assert_eq!(output.status.code(), Some(status), "{address}: {}", stderr(&output));
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
    // Each name of ours is one of iproute2's.
    let Some(theirs) = kernels("ip", &["-j", "route", "get", "127.0.0.1"]) else { return };
    let theirs: Value = serde_json::from_str(&theirs).unwrap();
    let (ours, theirs) =
        (fields(&served.json(&["ip", "-j", "route", "get", "10.7.0.2"])[0]), fields(&theirs[0]));
    assert!(ours.iter().all(|name| theirs.contains(name)), "{ours:?} and {theirs:?}");
}

#[test]
fn ss_shows_sockets_of_the_states_that_are_asked_for() {
    let served = served();
    let states = |filter: &[&str]| -> Vec<String> {
        let text = served.ask(&[&["ss", "-tanH"], filter].concat());
        text.lines().map(|line| words(line)[0].to_owned()).collect()
    };
    assert_eq!(states(&[]).len(), 3);
    assert_eq!(states(&["state", "listening"]), ["LISTEN"]);
    assert_eq!(states(&["state", "established"]), ["ESTAB", "ESTAB"]);
    assert_eq!(states(&["exclude", "listening"]), ["ESTAB", "ESTAB"]);
    assert_eq!(states(&["state", "connected"]), ["ESTAB", "ESTAB"]);
    assert_eq!(states(&["state", "listening", "state", "established"]).len(), 3);
    assert_eq!(states(&["state", "all", "exclude", "established"]), ["LISTEN"]);
    assert!(states(&["state", "time-wait"]).is_empty());
    // A filter says more than -l.
    assert_eq!(states(&["-l", "state", "established"]).len(), 2);
    let json = served.json(&["ss", "-tj", "state", "listening"]);
    assert_eq!(json["sockets"].as_array().unwrap().len(), 1);
    for filter in [&["state", "nonsense"][..], &["state"], &["sport", "established"]] {
        let control = served.scratch.text("control");
        let output = run(&[&["ss", "-ta"], filter, &["--control", &control]].concat());
        assert_eq!(output.status.code(), Some(255), "{filter:?}: {}", stderr(&output));
    }
}

#[test]
fn nstat_shows_counters_by_pattern() {
    let served = served();
    let text = served.ask(&["nstat", "-az", "TcpIn*"]);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("#kernel"));
    assert!(lines.all(|line| line.starts_with("TcpIn") && words(line).len() == 3), "{text}");
    assert!(text.contains("TcpInErrs                       0                  0.0"), "{text}");
    assert!(!served.ask(&["nstat", "-a"]).contains("TcpInErrs"));
    let json = served.json(&["nstat", "-aj", "TcpPassiveOpens"]);
    assert!(json["kernel"]["TcpPassiveOpens"].as_u64().unwrap() >= 1, "{json}");

    let Some(theirs) = kernels("nstat", &["-azs", "TcpIn*"]) else { return };
    let line = |text: &str| text.lines().find(|line| line.starts_with("TcpInCsumErrors")).map(str::to_owned);
    if let (Some(ours), Some(theirs)) = (line(&text), line(&theirs)) {
        assert_eq!(ours.len(), theirs.len());
    }
}

#[test]
fn whoever_can_not_be_asked_is_named() {
    let scratch = Scratch::new();
    let nobody = scratch.text("nobody");
    for command in [&["ss"][..], &["ip", "addr"], &["nstat"]] {
        let output = run(&[command, &["--control", &nobody]].concat());
        assert_eq!(output.status.code(), Some(1));
        let text = stderr(&output);
        assert!(
            text.contains(&format!("ask the host at {nobody}: No such file")) && text.contains("does it run"),
            "{text}"
        );
    }
    let empty = scratch.text("empty");
    let output = common::tapsock(&["ss"]).env("XDG_RUNTIME_DIR", &empty).output().unwrap();
    let text = stderr(&output);
    assert!(text.contains(&format!("no running host found: no socket in {empty}/tapsock answers")), "{text}");

    // The one that runs is found without being named, and two are told apart.
    std::fs::create_dir(scratch.path("site")).unwrap();
    let site = scratch.text("site");
    let server = |port: &str| {
        let mut command = common::tapsock(&["serve", &site, "--link", "memory", "--port", port]);
        command.env("XDG_RUNTIME_DIR", &empty).stdout(std::process::Stdio::piped());
        Ended(command.spawn().unwrap())
    };
    let ss = || common::tapsock(&["ss", "-tlnH"]).env("XDG_RUNTIME_DIR", &empty).output().unwrap();
    let first = server("80");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !stdout(&ss()).contains("*:80") {
        assert!(std::time::Instant::now() < until, "{}", stderr(&ss()));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let _second = server("81");
    while !stderr(&ss()).contains("several hosts run: say which by --control") {
        assert!(std::time::Instant::now() < until, "{}", stderr(&ss()));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let pid = first.0.id().to_string();
    let mut named = common::tapsock(&["ss", "-tlnH", "--control", &pid]);
    let output = named.env("XDG_RUNTIME_DIR", &empty).output().unwrap();
    assert!(stdout(&output).contains("*:80"), "{}", stderr(&output));
}

/// Ends a program with the test.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
