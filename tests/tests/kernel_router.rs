//! A router of ours between two networks of the kernel's.

use std::io::Write;
use std::net::{IpAddr, Shutdown};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tapsock_driver::{KernelEnd, Link, Namespace};
use tapsock_stack::counters::{Counter, Counters};
use tapsock_stack::wire::offload::LinkCaps;
use tapsock_tests::bench::skipped_for;
use tapsock_tests::bulk::{Fingerprint, bytes};
use tapsock_tests::programs::{self, Beside};
use tapsock_tests::router::Router;
use tapsock_tests::sides::PATIENCE;

/// The kernel's addresses at the two ends; the router has those that end with 1.
const LEFT: [&str; 2] = ["10.20.0.2", "fd20::2"];
const RIGHT: [&str; 2] = ["10.20.1.2", "fd20:0:0:1::2"];

/// Two networks of the kernel's, and the router between them.
struct Networks {
    left: Namespace,
    right: Namespace,
    router: Router,
}

/// What the router's links can do.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Offload {
    Link,
    Stack,
}

impl Networks {
    /// `None`, with its reason printed, where the machine allows no such networks.
    fn open(offloads: [Offload; 2], right_mtu: usize, settings: &[(&str, &str)]) -> Option<Networks> {
        let nets = [(LEFT, "", 1500), (RIGHT, ":0:0:1", right_mtu)];
        let mut ends = Vec::new();
        for (net, (addresses, part, mtu)) in nets.into_iter().enumerate() {
            let router = [format!("10.20.{net}.1"), format!("fd20{part}::1")];
            let lens = [24, 64];
            let mut kernel_end = KernelEnd::new("tap0").mtu(mtu);
            for (family, any) in ["0.0.0.0/0", "::/0"].into_iter().enumerate() {
                let address = format!("{}/{}", addresses[family], lens[family]);
                kernel_end = kernel_end.address(address.parse().unwrap());
                kernel_end = kernel_end.route(any.parse().unwrap(), Some(router[family].parse().unwrap()));
            }
            let opened = Namespace::create().and_then(|namespace| {
                let tap = namespace.open_tap(&kernel_end)?;
                Ok((namespace, tap))
            });
            let (namespace, tap) = match opened {
                Ok(opened) => opened,
                Err(error) => return skipped_for(error),
            };
            let mut link: Box<dyn Link> = Box::new(tap);
            if offloads[net] == Offload::Stack {
                programs::find("ip")?;
                // The kernel cuts what it sends, and so does the router.
                let whole = ["link", "set", "tap0", "gso_max_segs", "1"];
                assert!(namespace.command("ip").args(whole).status().unwrap().success());
                link = Box::new(Plain(link));
            }
            let addresses = router.iter().zip(lens).map(|(at, len)| format!("{at}/{len}").parse().unwrap());
            ends.push((namespace, (link, addresses.collect())));
        }
        let (namespaces, links): (Vec<Namespace>, Vec<_>) = ends.into_iter().unzip();
        let router = Router::start(links, settings);
        let [left, right] = namespaces.try_into().ok()?;
        let networks = Networks { left, right, router };
        networks.await_addresses();
        Some(networks)
    }

    /// The kernel takes an IPv6 address into use in the background.
    fn await_addresses(&self) {
        let deadline = Instant::now() + PATIENCE;
        for (namespace, address) in [(&self.left, LEFT[1]), (&self.right, RIGHT[1])] {
            while let Err(error) = namespace.tcp_listen((address.parse::<IpAddr>().unwrap(), 0).into()) {
                assert!(Instant::now() < deadline, "{address}: {error}");
                thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// What a program prints in the left network, and whether it succeeded.
    fn run(&self, program: &str, arguments: &[&str]) -> (String, bool) {
        let output = self.left.command(program).args(arguments).output().expect("it can be started");
        let text = [output.stdout, output.stderr].concat();
        (String::from_utf8_lossy(&text).into_owned(), output.status.success())
    }

    /// Carries bytes from one network to the other.
    fn carry(&self, family: usize, towards_left: bool, len: usize) {
        let (from, to, address) = match towards_left {
            false => (&self.left, &self.right, RIGHT[family]),
            true => (&self.right, &self.left, LEFT[family]),
        };
        let listener = to.tcp_listen((address.parse::<IpAddr>().unwrap(), 0).into()).unwrap();
        let at = listener.local_addr().unwrap();
        let receiving =
            thread::spawn(move || Fingerprint::of_stream(&mut listener.accept().unwrap().0).unwrap());
        let data = bytes(7, len);
        let mut stream = from.tcp_connect(at).unwrap();
        stream.write_all(&data).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(receiving.join().unwrap(), Fingerprint::of_stream(&mut &data[..]).unwrap());
    }
}

/// A link whose offloads are not used: the router cuts and sums itself.
struct Plain(Box<dyn Link>);

impl Link for Plain {
    fn caps(&self) -> LinkCaps {
        LinkCaps::plain(self.0.caps().medium, self.0.caps().mtu)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn drops(&self) -> tapsock_driver::drops::LinkDrops {
        self.0.drops()
    }

    fn split(self: Box<Self>) -> (Box<dyn tapsock_driver::RecvHalf>, Box<dyn tapsock_driver::SendHalf>) {
        self.0.split()
    }
}

fn count(all: &Counters, counters: [Counter; 2]) -> [u64; 2] {
    counters.map(|counter| all[counter])
}

//= RFC 1122 §3.1 MAY-1, type=test
#[test]
fn streams_pass_whatever_the_links_can() {
    use Offload::{Link, Stack};
    for offloads in [[Link, Link], [Link, Stack], [Stack, Link], [Stack, Stack]] {
        let Some(networks) = Networks::open(offloads, 1500, &[]) else { return };
        for family in [0, 1] {
            for towards_left in [false, true] {
                networks.carry(family, towards_left, 8 << 20);
            }
        }
        let counters = networks.router.stop();
        let passed = count(&counters, [Counter::IpForwDatagrams, Counter::Ip6OutForwDatagrams]);
        assert!(passed.iter().all(|passed| *passed > 100), "{offloads:?}: {passed:?}");
        assert_eq!(count(&counters, [Counter::IpFragFails, Counter::Ip6FragFails]), [0, 0], "{offloads:?}");
    }
}

#[test]
fn iperf3_passes() {
    if programs::find("iperf3").is_none() {
        return;
    }
    let Some(networks) = Networks::open([Offload::Link; 2], 1500, &[]) else { return };
    for address in RIGHT {
        for extra in
            [&["-n", "32M"][..], &["-n", "32M", "-R"], &["-n", "4M", "-u", "-b", "50M", "-l", "1400"]]
        {
            let mut command = networks.right.command("iperf3");
            let _server = Beside::start(command.args(["-s", "-1", "-B", address])).unwrap();
            let deadline = Instant::now() + PATIENCE;
            loop {
                let arguments = [&["-c", address, "-J"], extra].concat();
                let (text, done) = networks.run("iperf3", &arguments);
                if done && !text.contains("\"error\"") {
                    let report: Value = serde_json::from_str(&text).unwrap();
                    let end = &report["end"];
                    if extra.contains(&"-u") {
                        // Slowly enough for a busy machine.
                        let sum = &end["sum"];
                        assert!(sum["bytes"].as_u64().unwrap() >= 4 << 20, "{sum}");
                        let lost = sum["lost_percent"].as_f64().unwrap();
                        assert!((0.0..10.0).contains(&lost), "{sum}");
                    } else {
                        let [sent, received] = ["sum_sent", "sum_received"].map(|sum| &end[sum]["bytes"]);
                        let [sent, received] = [sent, received].map(|bytes| bytes.as_u64().unwrap());
                        // The sender counts what it has written, and its end cuts off what is under way: no more than the
                        // kernel's two buffers hold, 4 MiB and 6 MiB.
                        assert!(sent >= 32 << 20, "{sent} sent");
                        let cut_off = sent.checked_sub(received).expect("no more than was sent");
                        assert!(cut_off <= 10 << 20, "{received} of {sent} received");
                    }
                    break;
                }
                // It may not listen yet.
                assert!(Instant::now() < deadline && text.contains("refused"), "{extra:?}: {text}");
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
    let counters = networks.router.stop();
    let passed = count(&counters, [Counter::IpForwDatagrams, Counter::Ip6OutForwDatagrams]);
    assert!(passed.iter().all(|passed| *passed > 1000), "{passed:?}");
}

/// ping says what the router said: that the time is over, what the next link takes, that nobody is there.
//= RFC 1812 §5.2.7.1, type=test
//= RFC 1812 §5.2.7.3, type=test
//= RFC 1191 §4, type=test
#[test]
fn ping_hears_of_the_router() {
    if programs::find("ping").is_none() {
        return;
    }
    let Some(networks) = Networks::open([Offload::Link; 2], 1400, &[]) else { return };
    for (arguments, heard) in [
        (&["-4", RIGHT[0]][..], "1 received"),
        (&["-6", RIGHT[1]], "1 received"),
        // Cut by us, for the next link takes less, and put together again there.
        (&["-4", "-M", "dont", "-s", "8000", RIGHT[0]], "1 received"),
        (&["-4", "-t", "1", RIGHT[0]], "Time to live exceeded"),
        (&["-6", "-t", "1", RIGHT[1]], "Hop limit"),
        (&["-4", "-M", "do", "-s", "1472", RIGHT[0]], "mtu = 1400"),
        (&["-6", "-M", "do", "-s", "1452", RIGHT[1]], "mtu=1400"),
        (&["-4", "10.99.0.1"], "Net Unreachable"),
        (&["-6", "fd99::1"], "No route"),
        (&["-4", "-W", "5", "10.20.1.77"], "Host Unreachable"),
        (&["-6", "-W", "5", "fd20:0:0:1::77"], "Address unreachable"),
    ] {
        let (text, _) = networks.run("ping", &[&["-c", "1", "-W", "10"], arguments].concat());
        let heard = heard.to_lowercase();
        assert!(text.to_lowercase().contains(&heard), "{arguments:?}: {text}");
    }
    let counters = networks.router.stop();
    assert!(counters[Counter::IpFragCreates] > 5);
}
