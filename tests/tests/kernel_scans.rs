//! The same scan of a host of ours and of a host on the kernel: both answer alike.

use std::net::{TcpListener, UdpSocket};
use std::thread;

use tapsock::net;
use tapsock_driver::Namespace;
use tapsock_tests::bench::{Bench, Family, Setup};
use tapsock_tests::far;
use tapsock_tests::programs;
use tapsock_tests::sides::Side;

/// A port of TCP, and one of UDP, that somebody listens to. Those that follow them are closed.
const TCP: u16 = 7080;
const UDP: u16 = 7053;

/// A host of ours and one on the kernel, each one hop from where the scans come.
struct Targets {
    bench: Bench,
    family: Family,
    _far: Namespace,
    _ours: (net::TcpListener, net::UdpSocket),
    _kernels: (TcpListener, UdpSocket),
}

impl Targets {
    /// `None`, with its reason printed, where `program` is missing or the machine allows no such networks.
    fn open(family: Family, program: &str) -> Option<Targets> {
        programs::find(program)?;
        // All errors are sent, however many are asked for, and buffers are as large as on the kernel.
        let settings = [
            ("net.ipv4.icmp_ratelimit", "0"),
            ("net.ipv6.icmp.ratelimit", "0"),
            ("net.ipv4.tcp_rmem", "4096 131072 6291456"),
        ];
        let setup = settings
            .iter()
            .fold(Setup::new().through_the_kernel(), |setup, (name, value)| setup.setting(name, value));
        let bench = setup.open()?;
        let far = far::behind(&bench);
        for (name, value) in settings {
            far.set_sysctl(name, value).unwrap();
        }
        let [ours, theirs] = [bench.address(Side::Ours, family), far::address(family)];
        let ours = (
            net::TcpListener::bind(&bench.host, (ours, TCP)).unwrap(),
            net::UdpSocket::bind(&bench.host, (ours, UDP)).unwrap(),
        );
        let kernels =
            (far.tcp_listen((theirs, TCP).into()).unwrap(), far.udp_bind((theirs, UDP).into()).unwrap());
        Some(Targets { bench, family, _far: far, _ours: ours, _kernels: kernels })
    }

    /// Our address, and the kernel's.
    fn addresses(&self) -> [String; 2] {
        [self.bench.address(Side::Ours, self.family), far::address(self.family)].map(|at| at.to_string())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.bench.namespace.command(program).args(arguments).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// What nmap says of the two, scanned at once: why they are taken to be there, and the table of ports.
    fn nmap(&self, arguments: &[&str]) {
        let [ours, kernels] = &self.addresses();
        let six: &[&str] = if self.family == Family::V6 { &["-6"] } else { &[] };
        let arguments =
            [&["-n", "--reason", "--max-retries", "1"], six, arguments, &[ours, kernels]].concat();
        let text = self.run("nmap", &arguments);
        let of_interest =
            |line: &&str| line.starts_with(|c: char| c.is_ascii_digit()) || line.starts_with("Host is");
        // The time that it took stands in brackets.
        let known = |line: &str| line.split(" (").next().unwrap_or_default().to_owned();
        let reports: Vec<Vec<String>> = text
            .split("Nmap scan report for ")
            .skip(1)
            .map(|report| report.lines().skip(1).filter(of_interest).map(known).collect())
            .collect();
        assert!(reports.len() == 2 && !reports[0].is_empty(), "{arguments:?}: {text}");
        assert_eq!(reports[0], reports[1], "{arguments:?}: ours, and the kernel's");
    }

    /// What hping3 says of the answers of each.
    fn hping(&self, arguments: &[&str]) {
        let addresses = self.addresses();
        let [ours, kernels] = thread::scope(|scope| {
            let asked = addresses.each_ref().map(|target| scope.spawn(|| self.hping_one(arguments, target)));
            asked.map(|asking| asking.join().unwrap())
        });
        assert_eq!(ours, kernels, "{arguments:?}: ours, and the kernel's");
    }

    fn hping_one(&self, arguments: &[&str], target: &str) -> Vec<String> {
        let text = self.run("hping3", &[&["-n", "-c", "2", "-i", "u20000"], arguments, &[target]].concat());
        assert!(text.contains("2 packets transmitted"), "{arguments:?}: {text}");
        let (answers, _) = text.split_once("\n---").unwrap();
        let known = |line: &str| {
            if let Some(times) = line.strip_prefix("ICMP timestamp: ") {
                return format!("ICMP timestamp {}", if tell_the_day(times) { "of the day" } else { times });
            }
            let words = line.split_whitespace().filter(|word| !word.starts_with("rtt="));
            // Identifications and time stamps are counted from anywhere.
            let words = words.map(|word| match word.strip_prefix("id=") {
                Some(id) if id != "0" => "id=N",
                _ if word.starts_with("tcpts=") => "tcpts=N",
                _ => word,
            });
            words.collect::<Vec<_>>().join(" ").replace(target, "TARGET")
        };
        let told = |line: &&str| !line.starts_with("HPING") && !line.starts_with("ICMP timestamp RTT");
        answers.lines().filter(told).map(known).collect()
    }
}

/// Whether what hping3 says of timestamps has the answerer's within a minute of the asker's.
fn tell_the_day(times: &str) -> bool {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let times: Vec<u64> = times
        .split_whitespace()
        .filter_map(|time| time.split_once('=').and_then(|(_, time)| time.parse().ok()))
        .collect();
    let [asked, received, sent] = times[..] else { return false };
    let near = |time: u64| time < DAY && (time + DAY + 30_000 - asked) % DAY < 60_000;
    near(received) && near(sent)
}

/// Scans for ports of all kinds that nmap knows.
fn ports(family: Family) {
    let Some(targets) = Targets::open(family, "nmap") else { return };
    let ports = format!("T:{TCP},{},U:{UDP},{}", TCP + 1, UDP + 1);
    let scan = |arguments: &[&str]| targets.nmap(&[&["-Pn"], arguments, &["-p", &ports]].concat());
    // SYNs and datagrams.
    scan(&["-sS", "-sU"]);
    // An acknowledgement; its window; FIN; nothing; FIN, PSH and URG; FIN with an acknowledgement.
    for kind in ["-sA", "-sW", "-sF", "-sN", "-sX", "-sM"] {
        scan(&[kind]);
    }
    // SYN with FIN, with FIN, PSH and URG, with URG, with ECE and CWR; all flags; a reset.
    for flags in ["0x03", "0x2b", "0x22", "0xc2", "0xff", "0x04"] {
        scan(&["-sS", "--scanflags", flags]);
    }
    match family {
        Family::V4 => {
            // In fragments of eight bytes.
            scan(&["-sS", "-f"]);
            targets.nmap(&["-Pn", "-sO", "-p", "6,17,58,253,254"]);
        }
        Family::V6 => targets.nmap(&["-Pn", "-6", "-sO", "-p", "1,6,17,253,254"]),
    }
}

#[test]
fn ports_that_nmap_finds() {
    ports(Family::V4);
}

#[test]
fn ports_that_nmap_finds_by_ipv6() {
    ports(Family::V6);
}

#[test]
fn hosts_that_nmap_finds() {
    for (family, questions) in [
        (Family::V4, &["-PE", "-PP", "-PU1", "-PS1", "-PA1", "-PO6"][..]),
        (Family::V6, &["-PE", "-PU1", "-PA1"]),
    ] {
        let Some(targets) = Targets::open(family, "nmap") else { return };
        for question in questions {
            targets.nmap(&["-sn", "--disable-arp-ping", question]);
        }
    }
}

//= RFC 1122 §3.2.2 MUST-1, type=test
//= RFC 1122 §3.2.2.6 MUST-1, type=test
//= RFC 1122 §3.2.2.8 MUST-4, type=test
#[test]
fn answers_that_hping3_gets() {
    let Some(targets) = Targets::open(Family::V4, "hping3") else { return };
    let [open, closed] = [TCP, TCP + 1].map(|port| port.to_string());
    for port in [&open, &closed] {
        // Of each set of flags; what comes with a timestamp; data; in fragments; a wrong checksum; a strange header length.
        for arguments in [
            &["-S"][..],
            &["-A"],
            &["-F"],
            &["-R"],
            &["-S", "-F", "-P", "-U"],
            &["-S", "-X", "-Y"],
            &["-S", "--tcp-timestamp"],
            &["-S", "-d", "1400"],
            &["-S", "-f", "-d", "64"],
            &["-S", "-b"],
            &["-S", "-O", "4"],
            &["-S", "-o", "10"],
            &["-S", "-t", "1"],
            &["-A", "-L", "12345", "-M", "54321", "-w", "1"],
        ] {
            targets.hping(&[arguments, &["-s", "4000", "-p", port]].concat());
        }
    }
    for port in [UDP, UDP + 1] {
        targets.hping(&["-2", "-s", "4000", "-p", &port.to_string(), "-d", "100"]);
    }
    // Echoes, also with another code and with the route recorded; a timestamp; the mask and what nobody knows.
    for arguments in [
        &["-1"][..],
        &["-1", "-K", "5"],
        &["-1", "-G"],
        &["-1", "-d", "3000"],
        &["-1", "--icmp-ts"],
        &["-1", "--icmp-addr", "--force-icmp"],
        &["-1", "-C", "77", "--force-icmp"],
        &["-0", "-H", "200", "-d", "20"],
    ] {
        targets.hping(arguments);
    }
}

/// What nmap tells systems apart by: options, windows, and the answers to what no system sends.
#[test]
fn the_system_that_nmap_sees() {
    let Some(targets) = Targets::open(Family::V4, "nmap") else { return };
    let [ours, kernels] = &targets.addresses();
    let ports = format!("{TCP},{}", TCP + 1);
    let text = targets.run("nmap", &["-n", "-Pn", "-d", "-O", "-p", &ports, ours, kernels]);
    let seen: Vec<Vec<String>> = text
        .split("Nmap scan report for ")
        .skip(1)
        .map(|report| report.lines().filter_map(|line| line.strip_prefix("OS:")).collect::<String>())
        .map(|print| {
            let tests = print.split(')').filter(|test| !test.is_empty() && !test.starts_with("SCAN("));
            tests.map(without_chance).collect()
        })
        .collect();
    assert!(seen.len() == 2 && seen[0].len() > 10, "{text}");
    assert_eq!(seen[0], seen[1], "ours, and the kernel's");
}

/// A test of nmap's without what is drawn: how sequence numbers and the clock of the time stamps go on.
fn without_chance(test: &str) -> String {
    let drawn = ["SEQ(SP=", "GCD=", "ISR=", "TS="];
    let told = test.split('%').filter(|part| !drawn.iter().any(|drawn| part.starts_with(drawn)));
    told.collect::<Vec<_>>().join("%")
}
