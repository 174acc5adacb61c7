//! Which of our addresses a packet leaves with, where its sender has none bound.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::interface::{AssignedAddress, Interface, InterfaceId, LinkState, Preference, Stay, is_link_local};
use super::next_hop::PreferredSource;

/// The source for packets to `destination` that leave at `outgoing` for `next_hop`; `None` where no address will do.
pub(super) fn select(
    destination: IpAddr,
    next_hop: IpAddr,
    outgoing: &Interface,
    interfaces: &[Interface],
    preferred: PreferredSource,
) -> Option<IpAddr> {
    match destination {
        IpAddr::V4(_) => select_v4(next_hop, outgoing, interfaces).map(IpAddr::V4),
        IpAddr::V6(destination) => {
            let candidates = candidates_v6(destination, outgoing, interfaces);
            best(destination, outgoing.id(), preferred, candidates).map(IpAddr::V6)
        }
    }
}

/// Linux's `inet_select_addr`: an address in the next hop's network, else the interface's first, else the first of
/// another interface.
fn select_v4(next_hop: IpAddr, outgoing: &Interface, interfaces: &[Interface]) -> Option<Ipv4Addr> {
    let of = |interface: &Interface, fits: &dyn Fn(&AssignedAddress) -> bool| {
        interface.addresses().iter().filter(|own| fits(own)).find_map(|own| match own.cidr.address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    };
    let elsewhere = || interfaces.iter().filter(|other| lends_addresses(other));
    of(outgoing, &|own| own.cidr.contains(next_hop))
        .or_else(|| of(outgoing, &|_| true))
        .or_else(|| elsewhere().find_map(|other| of(other, &|own| !is_link_local(own.cidr.address))))
}

/// An address that could be the source, with what the rules look at.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
struct Candidate {
    address: Ipv6Addr,
    prefix_len: u8,
    interface: InterfaceId,
    preference: Preference,
    stay: Stay,
}

//= RFC 6724 §4
//= RFC 6724 §4 MUST-2
//= RFC 6724 §4 MUST-4
fn candidates_v6<'a>(
    destination: Ipv6Addr,
    outgoing: &'a Interface,
    interfaces: &'a [Interface],
) -> impl Iterator<Item = Candidate> + 'a {
    let link_only = destination.is_multicast() || scope(destination) <= Scope::LINK_LOCAL;
    let others = interfaces.iter().filter(move |other| !link_only && lends_addresses(other));
    let others = others.filter(|other| other.id() != outgoing.id());
    core::iter::once(outgoing).chain(others).flat_map(move |interface| {
        // As on Linux, of equals the one that was given last.
        interface.addresses().iter().rev().filter_map(move |own| match own.cidr.address {
            // A link-local address means nothing on another link.
            IpAddr::V6(address) if interface.id() == outgoing.id() || scope(address) > Scope::LINK_LOCAL => {
                Some(Candidate {
                    address,
                    prefix_len: own.cidr.prefix_len,
                    interface: interface.id(),
                    preference: own.preference,
                    stay: own.stay,
                })
            }
            _ => None,
        })
    })
}

fn lends_addresses(interface: &Interface) -> bool {
    !interface.is_loopback() && interface.link() == LinkState::Up
}

/// The best candidate; of equals the first.
fn best(
    destination: Ipv6Addr,
    outgoing: InterfaceId,
    preferred: PreferredSource,
    candidates: impl Iterator<Item = Candidate>,
) -> Option<Ipv6Addr> {
    let better = |best: Candidate, other: Candidate| {
        if prefers(destination, outgoing, preferred, &other, &best) { other } else { best }
    };
    candidates.reduce(better).map(|best| best.address)
}

/// Whether the rules prefer `a` to `b`. Rules 4 (mobile IPv6) and 5.5 (prefixes by router) have nothing to decide here.
//= RFC 6724 §5
//= RFC 6724 §5 MUST-1
//= RFC 6724 §5 MUST-4
fn prefers(
    destination: Ipv6Addr,
    outgoing: InterfaceId,
    preferred: PreferredSource,
    a: &Candidate,
    b: &Candidate,
) -> bool {
    let wanted = scope(destination);
    // Rule 2 as one order: scopes that reach the destination come first, the smallest of them leading; of those that
    // do not reach it the largest leads.
    let reach = |candidate: &Candidate| match scope(candidate.address) {
        scope if scope >= wanted => (0, scope.0),
        scope => (1, u8::MAX - scope.0),
    };
    // As Linux: `use_tempaddr` of the interface decides where the socket does not.
    let stay = |candidate: &Candidate| match (preferred, candidate.stay) {
        (PreferredSource::Any, Stay::TemporaryFirst) => 0,
        (PreferredSource::Any, Stay::Lasting) => 1,
        (PreferredSource::Any, Stay::Temporary) => 2,
        (PreferredSource::Lasting, stay) => u8::from(stay != Stay::Lasting),
        (PreferredSource::Temporary, stay) => u8::from(stay == Stay::Lasting),
    };
    let cost = |candidate: &Candidate| {
        (
            candidate.address != destination,                    // rule 1
            reach(candidate),                                    // rule 2
            candidate.preference == Preference::Deprecated,      // rule 3
            candidate.interface != outgoing,                     // rule 5
            label(candidate.address) != label(destination),      // rule 6
            stay(candidate),                                     // rule 7
            u8::MAX - common_prefix_len(candidate, destination), // rule 8
        )
    };
    cost(a) < cost(b)
}

/// How far an address reaches, in the numbers of multicast scopes.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
struct Scope(u8);

impl Scope {
    const LINK_LOCAL: Scope = Scope(0x2);
    const SITE_LOCAL: Scope = Scope(0x5);
    const GLOBAL: Scope = Scope(0xe);
}

//= RFC 6724 §3.1
//= RFC 6724 §3.3 MUST-1
//= RFC 6724 §3.4 MUST-1
//= RFC 6724 §3.4 MUST-2
fn scope(address: Ipv6Addr) -> Scope {
    let [first, second, ..] = address.octets();
    match (first, second & 0xc0) {
        (0xff, _) => Scope(second & 0x0f),
        (0xfe, 0x80) => Scope::LINK_LOCAL,
        (0xfe, 0xc0) => Scope::SITE_LOCAL,
        _ if address.is_loopback() => Scope::LINK_LOCAL,
        _ => Scope::GLOBAL,
    }
}

/// The default policy table's labels; the longest prefix stands first.
//= RFC 6724 §2.1
const LABELS: [(Ipv6Addr, u32, u8); 9] = [
    (Ipv6Addr::LOCALHOST, 128, 0),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 4),
    (Ipv6Addr::UNSPECIFIED, 96, 3),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, 5),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 2),
    (Ipv6Addr::new(0x3ffe, 0, 0, 0, 0, 0, 0, 0), 16, 12),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, 11),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, 13),
    (Ipv6Addr::UNSPECIFIED, 0, 1),
];

fn label(address: Ipv6Addr) -> u8 {
    let matches = |prefix: Ipv6Addr, len| equal_bits(prefix, address) >= len;
    LABELS.iter().find(|(prefix, len, _)| matches(*prefix, *len)).map_or(1, |(_, _, label)| *label)
}

/// Leading bits that the destination shares with the candidate's prefix; host bits do not count.
//= RFC 6724 §2.2
fn common_prefix_len(candidate: &Candidate, destination: Ipv6Addr) -> u8 {
    (equal_bits(candidate.address, destination) as u8).min(candidate.prefix_len)
}

fn equal_bits(a: Ipv6Addr, b: Ipv6Addr) -> u32 {
    (a.to_bits() ^ b.to_bits()).leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iface::IpCidr;
    use crate::wire::EthernetAddress;
    use crate::wire::offload::{LinkCaps, Medium};

    const OUTGOING: InterfaceId = InterfaceId(1);

    /// `fe80::2/64@1!` is fe80::2/64 on interface 1, deprecated.
    fn candidate(text: &str) -> Candidate {
        let (text, preference) = match text.strip_suffix('!') {
            Some(text) => (text, Preference::Deprecated),
            None => (text, Preference::Preferred),
        };
        let (cidr, interface) = text.split_once('@').unwrap_or((text, "1"));
        let cidr: IpCidr = cidr.parse().unwrap();
        let IpAddr::V6(address) = cidr.address else { panic!("{text} is IPv6") };
        let interface = InterfaceId(interface.parse().unwrap());
        Candidate { address, prefix_len: cidr.prefix_len, interface, preference, stay: Stay::Lasting }
    }

    //= RFC 6724 §10.1, type=test
    //= RFC 6724 §5, type=test
    //= RFC 6724 §5 MUST-1, type=test
    //= RFC 6724 §3.4 MUST-2, type=test
    #[test]
    fn rules_decide_whatever_the_order() {
        let table = [
            // RFC 6724 §10.1, without the rows about mobile and temporary addresses.
            ("2001:db8:1::1", "2001:db8:3::1/64", "fe80::1/64"),
            ("ff05::1", "2001:db8:3::1/64", "fe80::1/64"),
            ("2001:db8:1::1", "2001:db8:1::1/64!", "2001:db8:2::1/64"),
            ("fe80::1", "fe80::2/64!", "2001:db8:1::1/64"),
            ("2001:db8:1::1", "2001:db8:1::2/64", "2001:db8:3::2/64"),
            ("2002:c633:6401::1", "2002:c633:6401::d5e3:7953:13eb:22e8/64", "2001:db8:1::2/64"),
            // Rule 3 in its own right, and before rules 5 and 8.
            ("2001:db8:1::1", "2001:db8:3::3/64", "2001:db8:1::2/64!"),
            ("2001:db8:1::1", "2001:db8:1::3/64@2", "2001:db8:1::2/64!"),
            // Rule 5 before rule 8.
            ("2001:db8:1::1", "2001:db8:3::2/64@1", "2001:db8:1::2/64@2"),
            // Rule 6: a unique local address for a unique local destination.
            ("fd00:1::1", "fd00:9::2/64", "2001:db8:1::2/64"),
            ("2001:db8:1::1", "2001:db8:9::2/64", "fd00:9::2/64"),
            // Rule 8 stops at the prefix: there both are equal, so the shorter prefix can't win by host bits.
            ("2001:db8::1:1", "2001:db8::9:1/64", "2001:db8::1:2/48"),
            // Where none reaches, the larger scope.
            ("2001:db8::1", "fec0::1/64", "fe80::1/64"),
        ];
        for (destination, winner, loser) in table {
            let to = destination.parse().unwrap();
            let (winner, loser) = (candidate(winner), candidate(loser));
            for order in [[winner, loser], [loser, winner]] {
                assert_eq!(
                    best(to, OUTGOING, PreferredSource::Any, order.into_iter()),
                    Some(winner.address),
                    "{destination} {order:?}"
                );
            }
        }
    }

    //= RFC 6724 §5 MUST-4, type=test
    #[test]
    fn temporary_addresses_go_first_where_host_or_socket_says_so() {
        use PreferredSource::{Any, Lasting, Temporary};
        let to = "2001:db8:1::1".parse().unwrap();
        let [lasting, other] = ["2001:db8:1::2/64", "2001:db8:1::9/64"].map(candidate);
        for (stay, preferred, temporary) in [
            (Stay::Temporary, Any, false),
            (Stay::TemporaryFirst, Any, true),
            (Stay::TemporaryFirst, Lasting, false),
            (Stay::Temporary, Temporary, true),
        ] {
            let other = Candidate { stay, ..other };
            for order in [[lasting, other], [other, lasting]] {
                let expected = if temporary { other.address } else { lasting.address };
                let best = best(to, OUTGOING, preferred, order.into_iter());
                assert_eq!(best, Some(expected), "{stay:?} {preferred:?}");
            }
        }
    }

    //= RFC 6724 §5 MUST-1, type=test
    #[test]
    fn of_equals_the_first_is_taken() {
        let order = [candidate("2001:db8::9/64"), candidate("2001:db8::8/64")];
        assert_eq!(
            best("2001:db8::1".parse().unwrap(), OUTGOING, PreferredSource::Any, order.into_iter()),
            Some(order[0].address)
        );
        assert_eq!(
            best("2001:db8::1".parse().unwrap(), OUTGOING, PreferredSource::Any, core::iter::empty()),
            None
        );
    }

    //= RFC 6724 §2.1, type=test
    #[test]
    fn labels_follow_the_default_policy() {
        let table = [
            ("::1", 0),
            ("2001:db8::1", 1),
            ("2002:c000:201::1", 2),
            ("::192.0.2.1", 3),
            ("::ffff:192.0.2.1", 4),
            ("2001:0:1::1", 5),
            ("fec0::1", 11),
            ("3ffe::1", 12),
            ("fd00::1", 13),
            ("fe80::1", 1),
        ];
        for (address, expected) in table {
            assert_eq!(label(address.parse().unwrap()), expected, "{address}");
        }
    }

    //= RFC 6724 §3.3 MUST-1, type=test
    //= RFC 6724 §3.4 MUST-1, type=test
    //= RFC 6724 §3.4 MUST-2, type=test
    #[test]
    fn scopes_follow_from_the_form_of_an_address() {
        for (address, expected) in [
            ("::1", 2),
            ("fe80::1", 2),
            ("fec0::1", 5),
            ("2001:db8::1", 14),
            ("fd00::1", 14),
            ("::ffff:192.0.2.1", 14),
            ("::192.0.2.1", 14),
            ("2002:c000:201::1", 14),
            ("64:ff9b::192.0.2.1", 14),
            ("200::1", 14),
            ("4000::1", 14),
            ("ff02::1", 2),
            ("ff08::1", 8),
        ] {
            assert_eq!(scope(address.parse().unwrap()).0, expected, "{address}");
        }
    }

    fn interface(id: u8, addresses: &[&str]) -> Interface {
        let hardware = EthernetAddress([2, 0, 0, 0, 0, id]);
        let mut interface =
            Interface::new(InterfaceId(id), "x", hardware, LinkCaps::plain(Medium::Ethernet, 1500));
        for address in addresses {
            interface.assign(address.parse().unwrap());
        }
        interface
    }

    fn selected(
        destination: &str,
        next_hop: &str,
        outgoing: usize,
        interfaces: &[Interface],
    ) -> Option<String> {
        let to = destination.parse().unwrap();
        let any = PreferredSource::Any;
        select(to, next_hop.parse().unwrap(), &interfaces[outgoing], interfaces, any)
            .map(|source| source.to_string())
    }

    //= RFC 6724 §4, type=test
    //= RFC 6724 §4 MUST-2, type=test
    #[test]
    fn link_local_addresses_stay_on_their_link() {
        let interfaces =
            [interface(0, &["::1/128"]), interface(1, &[]), interface(2, &["fe80::2/64", "2001:db8::2/64"])];
        assert_eq!(selected("2001:db8:1::1", "fe80::9", 1, &interfaces), Some("2001:db8::2".into()));
        assert_eq!(selected("fe80::9", "fe80::9", 1, &interfaces), None);
        assert_eq!(selected("ff02::1", "ff02::1", 1, &interfaces), None);
        assert_eq!(selected("ff02::1", "ff02::1", 2, &interfaces), Some("fe80::2".into()));
        assert_eq!(selected("2001:db8:1::1", "fe80::9", 1, &interfaces[..2]), None);
    }

    #[test]
    fn ipv4_takes_the_address_of_the_next_hops_network() {
        let mut interfaces = [
            interface(0, &["127.0.0.1/8"]),
            interface(1, &["10.0.0.1/24", "10.0.1.1/24", "fd00::1/64"]),
            interface(2, &[]),
        ];
        assert_eq!(selected("203.0.113.1", "10.0.1.254", 1, &interfaces), Some("10.0.1.1".into()));
        assert_eq!(selected("203.0.113.1", "203.0.113.1", 1, &interfaces), Some("10.0.0.1".into()));
        assert_eq!(selected("203.0.113.1", "203.0.113.1", 2, &interfaces), Some("10.0.0.1".into()));
        interfaces[1].set_link(LinkState::Down);
        assert_eq!(selected("203.0.113.1", "203.0.113.1", 2, &interfaces), None);
    }
}
