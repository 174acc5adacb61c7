//! Addresses with a purpose of their own: what becomes of packets from them and to them.

use super::*;

/// An address of each row of RFC 6890's tables (and of RFC 8190's corrections), and whether a host takes a packet from it,
/// whether a router passes one on from it, and one to it. Documentation, benchmarks and private networks are for those who run
/// routers to keep apart, as with Linux, which passes on more still (`docs/conformance.md`).
const SPECIAL: [(&str, &str, [bool; 3]); 29] = [
    ("this host on this network", "0.0.0.1", [true, false, false]),
    ("private use", "10.9.9.9", [true; 3]),
    ("shared address space", "100.64.0.1", [true; 3]),
    ("loopback", "127.0.0.1", [false; 3]),
    ("link-local", "169.254.1.1", [true, false, false]),
    ("private use", "172.16.0.1", [true; 3]),
    ("IETF's own", "192.0.0.1", [true; 3]),
    ("DS-Lite", "192.0.0.2", [true; 3]),
    ("documentation", "192.0.2.1", [true; 3]),
    ("relays of 6to4", "192.88.99.1", [true; 3]),
    ("private use", "192.168.0.1", [true; 3]),
    ("benchmarks", "198.18.0.1", [true; 3]),
    ("documentation", "198.51.100.1", [true; 3]),
    ("documentation", "203.0.113.1", [true; 3]),
    ("reserved", "240.0.0.1", [true, false, false]),
    ("limited broadcast", "255.255.255.255", [false; 3]),
    ("loopback", "::1", [false; 3]),
    ("unspecified", "::", [false; 3]),
    ("translation to IPv4", "64:ff9b::1", [true; 3]),
    ("mapped IPv4", "::ffff:192.0.2.1", [false; 3]),
    ("discard only", "100::1", [true; 3]),
    ("IETF's own", "2001:100::1", [true; 3]),
    ("Teredo", "2001::1", [true; 3]),
    ("benchmarks", "2001:2::1", [true; 3]),
    ("documentation", "2001:db8::1", [true; 3]),
    ("ORCHID", "2001:10::1", [true; 3]),
    ("6to4", "2002:c000:201::1", [true; 3]),
    ("unique local", "fd99::1", [true; 3]),
    ("link-local", "fe80::99", [true, false, false]),
];

//= RFC 6890 §2.2.2, type=test
//= RFC 6890 §2.2.3, type=test
//= RFC 1812 §5.3.7, type=test
//= RFC 3927 §7, type=test
#[test]
fn each_special_address_is_taken_and_passed_on_or_not() {
    for (purpose, address, expected) in SPECIAL {
        let mut router = Router::plain(&[]);
        let (here, beyond, everything, gateway, delivered) = match address.contains(':') {
            false => ("10.0.0.10", "10.0.1.2", "0.0.0.0/0", "10.0.1.2", Counter::IpInDelivers),
            true => ("fd00::a", "fd00:0:0:1::2", "::/0", "fd00:0:0:1::2", Counter::Ip6InDelivers),
        };
        let way = Route::via(everything.parse().unwrap(), gateway.parse().unwrap(), RIGHT);
        router.stack.add_route(way).unwrap();
        router.pass(LEFT, from_left(here).from(address).udp((1000, 9), &[7; 10]));
        let taken = router.count(delivered) == 1;
        let passed =
            |sent: Sent| sent.iter().any(|(id, frame)| *id == RIGHT && frame.bytes[5] == station(1).0[5]);
        let from = passed(router.pass(LEFT, from_left(beyond).from(address).udp((1000, 9), &[7; 10])));
        let to = passed(router.pass(LEFT, from_left(address).udp((1000, 9), &[7; 10])));
        assert_eq!(
            [taken, from, to],
            expected,
            "{address}, {purpose}: taken from, passed on from, passed on to"
        );
    }
}
