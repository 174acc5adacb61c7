//! Names asked of a real server, dnsmasq, in the namespace at the other end of the link.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tapsock::bsd::{self, AF_INET, AF_INET6, SOCK_STREAM};
use tapsock::net::{TcpStream, UdpSocket};
use tapsock::resolve::{AI_CANONNAME, EaiError, Hints};
use tapsock::{Builder, Host};
use tapsock_driver::tap::Tap;
use tapsock_driver::{KernelEnd, Namespace};
use tapsock_tests::bench::skipped_for;
use tapsock_tests::programs::{Beside, find};
use tapsock_tests::sides::PATIENCE;

/// A namespace with dnsmasq in it, and a host on the link to it.
struct Network {
    host: Host,
    namespace: Namespace,
    _server: Beside,
}

/// dnsmasq with these arguments, and a host as `build` says.
fn network(arguments: &[&str], build: impl FnOnce(Builder) -> Builder) -> Option<Network> {
    let program = find("dnsmasq")?;
    let namespace = Namespace::create().map_or_else(skipped_for, Some)?;
    let end = KernelEnd::new("tap0").address("10.7.0.1/24".parse().unwrap());
    let end = end.address("fd07::1/64".parse().unwrap());
    let tap: Tap = namespace.open_tap(&end).map_or_else(skipped_for, Some)?;
    let mut command = namespace.command(program);
    command.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--pid-file=",
    ]);
    command.args(["--interface=tap0", "--bind-interfaces", "--user=", "--group="]).args(arguments);
    let server = Beside::start(command.stdin(Stdio::null()).stdout(Stdio::null())).unwrap();
    let host = build(Host::builder().link(tap)).start().unwrap();
    Some(Network { host, namespace, _server: server })
}

/// What the server knows, and nobody else is asked by it.
const ZONE: [&str; 6] = [
    "--local=/example/",
    "--host-record=web.example,10.7.0.1,fd07::1,600",
    "--host-record=four.example,10.7.0.44",
    "--host-record=six.example,fd07::66",
    "--cname=alias.example,second.example",
    "--cname=second.example,web.example",
];

fn addressed(builder: Builder) -> Builder {
    builder.address("10.7.0.2/24".parse().unwrap()).address("fd07::2/64".parse().unwrap())
}

fn at_server(builder: Builder) -> Builder {
    addressed(builder).resolv_conf("nameserver 10.7.0.1\nsearch nowhere.example example\noptions timeout:2\n")
}

/// What the host finds; asked again until the server listens.
fn found(host: &Host, name: &str, family: i32) -> Result<Vec<String>, EaiError> {
    let hints = Hints { family, socket_type: SOCK_STREAM, flags: AI_CANONNAME, ..Hints::default() };
    let begin = Instant::now();
    let found = loop {
        match bsd::getaddrinfo(host, Some(name), None, Some(&hints)) {
            Err(EaiError::Again) if begin.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20))
            }
            found => break found?,
        }
    };
    let canonical = found[0].canonical_name.clone().unwrap();
    Ok([canonical].into_iter().chain(found.iter().map(|info| info.address.ip().to_string())).collect())
}

#[test]
fn names_have_the_addresses_that_dnsmasq_gives_them() {
    let Some(network) = network(&ZONE, at_server) else { return };
    let host = &network.host;
    assert_eq!(found(host, "web.example", 0).unwrap(), ["web.example", "fd07::1", "10.7.0.1"]);
    assert_eq!(found(host, "four.example", 0).unwrap(), ["four.example", "10.7.0.44"]);
    assert_eq!(found(host, "six.example", 0).unwrap(), ["six.example", "fd07::66"]);
    assert_eq!(found(host, "web.example", AF_INET).unwrap(), ["web.example", "10.7.0.1"]);
    assert_eq!(found(host, "WEB.Example.", AF_INET6).unwrap()[1..], ["fd07::1"]);
    assert_eq!(found(host, "alias.example", 0).unwrap(), ["web.example", "fd07::1", "10.7.0.1"]);
    // By the search list.
    assert_eq!(found(host, "web", 0).unwrap(), ["web.example", "fd07::1", "10.7.0.1"]);
    assert_eq!(found(host, "none.example", 0), Err(EaiError::NoName));
    assert_eq!(found(host, "four.example", AF_INET6), Err(EaiError::NoData));
}

#[test]
fn a_connection_is_made_by_name() {
    let Some(network) = network(&ZONE, at_server) else { return };
    let (host, namespace) = (&network.host, &network.namespace);
    let listener = namespace.tcp_listen("10.7.0.1:8080".parse().unwrap()).unwrap();
    found(host, "web", AF_INET).unwrap();
    // IPv6 is tried first, where nobody listens.
    let mut ours = TcpStream::connect(host, "web:8080").unwrap();
    let (mut theirs, _) = listener.accept().unwrap();
    ours.write_all(b"by name").unwrap();
    drop(ours);
    let mut heard = String::new();
    theirs.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "by name");

    let error = TcpStream::connect(host, ("none.example", 80)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert_eq!(error.to_string(), "failed to lookup address information: Name or service not known");
    let datagrams = UdpSocket::bind(host, "10.7.0.2:0").unwrap();
    datagrams.connect("four.example:9").unwrap();
    assert_eq!(datagrams.peer_addr().unwrap(), "10.7.0.44:9".parse().unwrap());
}

//= RFC 7766 §5, type=test
#[test]
fn what_does_not_fit_into_a_datagram_comes_by_tcp() {
    let many: Vec<String> = (1..=200).map(|n| format!("--host-record=many.example,10.8.0.{n}")).collect();
    let arguments: Vec<&str> = ZONE.into_iter().chain(many.iter().map(String::as_str)).collect();
    let Some(network) = network(&arguments, at_server) else { return };
    let host = &network.host;
    let tcp = host.counters()[tapsock::Counter::TcpActiveOpens];
    assert_eq!(found(host, "many.example", AF_INET).unwrap().len(), 201);
    assert!(host.counters()[tapsock::Counter::TcpActiveOpens] > tcp);
}

#[test]
fn a_dead_server_or_one_that_is_not_there_leaves_it_to_the_next() {
    // At 10.7.0.99 nobody is, and at 10.7.0.1's port 5399 nobody listens.
    for dead in ["10.7.0.99:53", "10.7.0.1:5399"] {
        let servers: [SocketAddr; 2] = [dead.parse().unwrap(), "10.7.0.1:53".parse().unwrap()];
        let build = |builder: Builder| {
            let builder = addressed(builder).resolv_conf("options timeout:1 attempts:2\n");
            servers.into_iter().fold(builder, Builder::name_server)
        };
        let Some(network) = network(&ZONE, build) else { return };
        let host = &network.host;
        assert_eq!(host.name_servers(), servers);
        assert_eq!(found(host, "web.example", AF_INET).unwrap(), ["web.example", "10.7.0.1"], "{dead}");
    }
}

#[test]
fn what_was_heard_is_not_asked_again() {
    let Some(network) = network(&ZONE, at_server) else { return };
    let host = &network.host;
    let sent = || host.counters()[tapsock::Counter::UdpOutDatagrams];
    let first = found(host, "web.example", 0).unwrap();
    let before = sent();
    assert_eq!(found(host, "web.example", 0).unwrap(), first);
    assert_eq!(sent(), before);
}

#[test]
fn without_an_answer_it_says_that_it_may_be_worth_trying_again() {
    let build = |builder: Builder| {
        addressed(builder).resolv_conf("nameserver 10.7.0.99\noptions timeout:1 attempts:1\n")
    };
    let Some(network) = network(&ZONE, build) else { return };
    let host = &network.host;
    let hints = Hints { socket_type: SOCK_STREAM, ..Hints::default() };
    let error = bsd::getaddrinfo(host, Some("web.example"), None, Some(&hints)).unwrap_err();
    assert_eq!(error, EaiError::Again);
    // This host's own names are asked of nobody.
    let localhost = bsd::getaddrinfo(host, Some("a.localhost"), None, Some(&hints)).unwrap();
    assert!(localhost.iter().all(|info| info.address.ip().is_loopback()));
}

#[test]
fn dhcp_tells_whom_to_ask_and_in_which_domain() {
    let dhcp = [
        "--dhcp-range=10.7.0.50,10.7.0.60,255.255.255.0,2m",
        "--dhcp-authoritative",
        "--leasefile-ro",
        "--no-ping",
        "--domain=example",
        "--dhcp-option=option:dns-server,10.7.0.1",
    ];
    let arguments: Vec<&str> = ZONE.into_iter().chain(dhcp).collect();
    let Some(network) = network(&arguments, Builder::dhcp) else { return };
    let host = &network.host;
    assert_eq!(host.name_servers(), []);
    host.wait_for_lease(PATIENCE).unwrap();
    assert_eq!(host.name_servers(), ["10.7.0.1:53".parse().unwrap()]);
    assert_eq!(found(host, "four", 0).unwrap(), ["four.example", "10.7.0.44"]);
}

#[test]
fn routers_tell_whom_to_ask() {
    let ra = [
        "--enable-ra",
        "--dhcp-range=fd07::,ra-only,64",
        "--leasefile-ro",
        "--dhcp-option=option6:dns-server,[fd07::1]",
    ];
    let arguments: Vec<&str> = ZONE.into_iter().chain(ra).collect();
    let build = |builder: Builder| {
        builder
            .setting("net.ipv6.conf.all.router_solicitations", "10")
            .setting("net.ipv6.conf.all.router_solicitation_interval", "1")
    };
    let Some(network) = network(&arguments, build) else { return };
    let host = &network.host;
    let begin = Instant::now();
    while host.name_servers().is_empty() {
        assert!(begin.elapsed() < PATIENCE, "no router has told of a server");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(host.name_servers(), ["[fd07::1]:53".parse().unwrap()]);
    assert_eq!(found(host, "six.example", 0).unwrap(), ["six.example", "fd07::66"]);
}
