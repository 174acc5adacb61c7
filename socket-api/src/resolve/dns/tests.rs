//! Lookups against servers that are functions, in virtual time.

use core::net::IpAddr;
use core::time::Duration;

use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::message_builder::AnswerBuilder;
use domain::base::{Message, MessageBuilder, Name, Serial, ToName, Ttl};
use domain::rdata::{A, Aaaa, Cname, Soa};

use super::message::{self, CHAIN_MAX, Reply, WireName, wire_name};
use super::*;
use crate::resolve::EaiError;

mod answers;
mod servers;

const BOTH: [AddressType; 2] = [AddressType::A, AddressType::Aaaa];

/// What a server does with a question.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Deed {
    /// An address.
    Good,
    Nx,
    NoData,
    Rcode(Rcode),
    Silent,
    /// ECONNREFUSED.
    Unreachable,
    /// Does not fit into a datagram.
    Long,
    /// Understands no EDNS.
    Old,
    /// `Good`, behind so many aliases.
    Chain(usize),
    /// An alias, and no more.
    Alias(&'static str),
    /// An alias of itself.
    Circle,
}

/// One question as a server sees it.
struct Asked {
    server: String,
    transport: Transport,
    name: String,
    kind: Rtype,
    edns: bool,
}

/// Looks up a name with servers that do as `deed` says, until there is an outcome; what was asked, as `name/type`, and how
/// long it took.
fn run(
    resolver: &mut Resolver,
    now: &mut Instant,
    name: &str,
    kinds: &[AddressType],
    deed: impl Fn(&Asked) -> Deed,
) -> (Result<Found, EaiError>, Vec<String>) {
    let mut asked = Vec::new();
    let mut lookup = resolver.look_up(*now, name, kinds);
    for _ in 0..1000 {
        if let Some(outcome) = lookup.outcome() {
            return (outcome.clone(), asked);
        }
        let Some(transmit) = lookup.poll_transmit(resolver) else {
            *now = lookup.poll_timeout().expect("a lookup without an outcome waits for something");
            lookup.on_timeout(resolver, *now);
            continue;
        };
        for bytes in &transmit.messages {
            let question = read_question(&transmit, bytes);
            let way = if question.transport == Transport::Tcp { "+tcp" } else { "" };
            asked.push(format!("{}/{}{way}@{}", question.name, question.kind, question.server));
            match answer(&question, bytes, deed(&question)) {
                Some(bytes) => lookup.on_message(resolver, *now, transmit.server, &bytes),
                None if deed(&question) == Deed::Unreachable => {
                    lookup.on_failure(resolver, *now);
                    break;
                }
                None => {}
            }
        }
    }
    panic!("no outcome: {asked:?}");
}

fn read_question(transmit: &Transmit, bytes: &[u8]) -> Asked {
    let message = Message::from_octets(bytes).unwrap();
    assert!(message.header().rd());
    let question = message.sole_question().unwrap();
    assert_eq!(question.qclass(), Class::IN);
    Asked {
        server: transmit.server.ip().to_string(),
        transport: transmit.transport,
        name: question.qname().to_string(),
        kind: question.qtype(),
        edns: message.opt().is_some_and(|opt| opt.udp_payload_size() == UDP_SIZE),
    }
}

/// What the server says.
fn answer(asked: &Asked, bytes: &[u8], deed: Deed) -> Option<Vec<u8>> {
    let name: WireName = wire_name(&asked.name).unwrap();
    let say =
        |rcode| MessageBuilder::new_vec().start_answer(&Message::from_octets(bytes).unwrap(), rcode).unwrap();
    let good = |mut builder: AnswerBuilder<Vec<u8>>, owner: &WireName| {
        address(&mut builder, owner, asked.kind);
        builder.finish()
    };
    Some(match deed {
        Deed::Silent | Deed::Unreachable => return None,
        Deed::Long if asked.transport == Transport::Udp => {
            let mut builder = say(Rcode::NOERROR);
            builder.header_mut().set_tc(true);
            builder.finish()
        }
        Deed::Old if asked.edns => {
            let mut bare = MessageBuilder::new_vec();
            bare.header_mut().set_id(Message::from_octets(bytes).unwrap().header().id());
            bare.header_mut().set_qr(true);
            bare.header_mut().set_rcode(Rcode::FORMERR);
            bare.finish()
        }
        Deed::Good | Deed::Long | Deed::Old => good(say(Rcode::NOERROR), &name),
        Deed::Nx => negative(say(Rcode::NXDOMAIN)),
        Deed::NoData => negative(say(Rcode::NOERROR)),
        Deed::Rcode(rcode) => say(rcode).finish(),
        Deed::Chain(len) => {
            let mut builder = say(Rcode::NOERROR);
            let mut owner = name;
            for hop in 1..=len {
                let target = wire_name(&format!("c{hop}.example")).unwrap();
                alias(&mut builder, &owner, &target);
                owner = target;
            }
            good(builder, &owner)
        }
        Deed::Alias(target) => {
            let mut builder = say(Rcode::NOERROR);
            alias(&mut builder, &name, &wire_name(target).unwrap());
            builder.finish()
        }
        Deed::Circle => {
            let mut builder = say(Rcode::NOERROR);
            alias(&mut builder, &name, &name);
            builder.finish()
        }
    })
}

fn address(builder: &mut AnswerBuilder<Vec<u8>>, owner: &WireName, kind: Rtype) {
    let ttl = Ttl::from_secs(60);
    match kind {
        Rtype::AAAA => builder.push((owner, ttl, Aaaa::new("2001:db8::1".parse().unwrap()))),
        _ => builder.push((owner, ttl, A::from_octets(192, 0, 2, 1))),
    }
    .unwrap();
}

fn alias(builder: &mut AnswerBuilder<Vec<u8>>, owner: &WireName, target: &WireName) {
    builder.push((owner, Ttl::from_secs(30), Cname::new(target.clone()))).unwrap();
}

/// Nothing, for twenty seconds.
fn negative(builder: AnswerBuilder<Vec<u8>>) -> Vec<u8> {
    let mut builder = builder.authority();
    let zone: Name<Vec<u8>> = wire_name("example").unwrap();
    let [hour, minimum] = [Ttl::from_secs(3600), Ttl::from_secs(20)];
    let soa = Soa::new(zone.clone(), zone.clone(), Serial(1), hour, hour, hour, minimum);
    builder.push((zone.to_name::<Vec<u8>>(), hour, soa)).unwrap();
    builder.finish()
}

fn resolver(conf: &str) -> Resolver {
    Resolver::new(ResolvConf::parse(conf, &[]), 1)
}

/// The addresses, or the error.
fn addresses(outcome: &Result<Found, EaiError>) -> Result<Vec<String>, EaiError> {
    outcome
        .as_ref()
        .map(|found| found.addresses.iter().map(IpAddr::to_string).collect())
        .map_err(|error| *error)
}
