//! Questions and answers on the wire (RFC 1035 §4), as far as addresses of names are concerned. The `domain` crate
//! reads and writes the bytes; which of them are believed is said here.

use core::net::IpAddr;
use core::time::Duration;

use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name, ParsedName, Question, ToName};
use domain::rdata::{A, Aaaa, AllRecordData, Soa};

/// A name as the wire has it.
pub(super) type WireName = Name<Vec<u8>>;

/// How many aliases lead from a name to another at most.
pub(super) const CHAIN_MAX: usize = 16;
/// The most addresses that are taken of one answer; further ones are passed over.
pub(super) const ADDRESSES_MAX: usize = 256;
/// How large an answer by UDP may be: what passes unfragmented nearly everywhere (dnsflagday.net, RFC 9715 §3.2).
pub const UDP_SIZE: u16 = 1232;

/// Which records are asked for.
///
/// ```
/// use tapsock::resolve::dns::AddressType;
///
/// assert_ne!(AddressType::A, AddressType::Aaaa);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum AddressType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses (RFC 3596).
    Aaaa,
}

impl AddressType {
    fn rtype(self) -> Rtype {
        match self {
            AddressType::A => Rtype::A,
            AddressType::Aaaa => Rtype::AAAA,
        }
    }
}

/// Whether a question says that the answer may be longer than 512 bytes.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Edns {
    Offered,
    Absent,
}

/// What a server says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Reply {
    /// The last word about a name.
    Final(Finding),
    /// The name is an alias of another one, of which the message says nothing.
    Alias { target: WireName, canonical: Option<String>, hops: usize, ttl: Duration },
    /// It does not fit into a datagram.
    Truncated,
    /// The server does not understand the question; without EDNS it may.
    NotUnderstood,
    /// It can't answer now (SERVFAIL, and what makes no sense).
    Unable,
    /// It does not want to (REFUSED, NOTIMP …).
    Unwilling,
}

/// What is known of a name, and for how long.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Finding {
    pub(super) answer: Answer,
    pub(super) ttl: Duration,
}

/// What there is under a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// Addresses, and the name that they really belong to.
    Addresses { canonical: Option<String>, addresses: Vec<IpAddr> },
    /// There is such a name, but it has no address of that type.
    NoData,
    /// There is no such name.
    NoName,
}

/// The wire's form of a host name; `None` where it has none: a label of more than 63 bytes, more than 255 in all, an empty
/// label, or what is no printable ASCII.
pub(super) fn wire_name(text: &str) -> Option<WireName> {
    // A backslash begins an escape, as in zone files; in the name of a host there is none.
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') || text.starts_with('.') {
        return None;
    }
    Name::vec_from_str(text).ok().filter(|name| !name.is_root())
}

/// The message that asks for the addresses of a name.
//= RFC 1035 §4.1
pub(super) fn question(id: u16, name: &WireName, kind: AddressType, edns: Edns) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    // A vector has room for a name and an option.
    let _ = builder.push((name, kind.rtype()));
    let mut builder = builder.additional();
    if edns == Edns::Offered {
        //= RFC 6891 §6.2.3
        let _ = builder.opt(|opt| {
            opt.set_udp_payload_size(UDP_SIZE);
            Ok(())
        });
    }
    builder.finish()
}

/// What a message says in answer to a question; `None` where it is no answer to that one.
pub(super) fn read(bytes: &[u8], id: u16, name: &WireName, kind: AddressType) -> Option<Reply> {
    let message = Message::from_octets(bytes).ok()?;
    let header = message.header();
    //= RFC 5452 §9.1
    if header.id() != id || !header.qr() || header.opcode() != Opcode::QUERY {
        return None;
    }
    let asked = Question::new(name, kind.rtype(), Class::IN);
    match message.sole_question() {
        Ok(question) if question == asked => {}
        // Who does not understand the question may leave it out.
        Err(_) if message.header_counts().qdcount() == 0 && header.rcode() == Rcode::FORMERR => {}
        _ => return None,
    }
    Some(match header.rcode() {
        _ if header.tc() => Reply::Truncated,
        Rcode::NOERROR | Rcode::NXDOMAIN => {
            records(message, header.rcode(), name, kind).unwrap_or(Reply::Unable)
        }
        Rcode::FORMERR => Reply::NotUnderstood,
        Rcode::SERVFAIL => Reply::Unable,
        _ => Reply::Unwilling,
    })
}

/// One record of an answer that may matter.
struct Entry {
    owner: WireName,
    ttl: Duration,
    data: Data,
}

enum Data {
    Address(IpAddr),
    Alias(WireName),
}

/// What the records of an answer say. `None` where they can't be read, or lead round in circles.
fn records(message: Message<&[u8]>, rcode: Rcode, name: &WireName, kind: AddressType) -> Option<Reply> {
    let entries = entries(message, kind)?;
    let (mut owner, mut canonical, mut hops) = (name.clone(), host_name(name), 0);
    let mut ttl = Duration::MAX;
    // Each step looks at all records, of which there are at most as many as fit into 64 KiB.
    while let Some((target, its_ttl)) = entries.iter().find_map(|entry| match &entry.data {
        Data::Alias(target) if entry.owner == owner => Some((target, entry.ttl)),
        _ => None,
    }) {
        hops += 1;
        if hops > CHAIN_MAX {
            return None;
        }
        ttl = ttl.min(its_ttl);
        owner = target.clone();
        canonical = host_name(&owner).or(canonical);
    }
    let mut addresses = Vec::new();
    for entry in entries.iter().filter(|entry| entry.owner == owner) {
        if let Data::Address(address) = entry.data
            && addresses.len() < ADDRESSES_MAX
        {
            ttl = ttl.min(entry.ttl);
            addresses.push(address);
        }
    }
    if !addresses.is_empty() {
        return Some(Reply::Final(Finding { answer: Answer::Addresses { canonical, addresses }, ttl }));
    }
    let negative = negative_ttl(message);
    if rcode == Rcode::NOERROR && hops > 0 && negative.is_none() {
        return Some(Reply::Alias { target: owner, canonical, hops, ttl });
    }
    let answer = if rcode == Rcode::NXDOMAIN { Answer::NoName } else { Answer::NoData };
    //= RFC 2308 §5
    let ttl = ttl.min(negative.unwrap_or(Duration::ZERO));
    Some(Reply::Final(Finding { answer, ttl }))
}

/// The aliases and the addresses of the answer section.
fn entries(message: Message<&[u8]>, kind: AddressType) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    for record in message.answer().ok()? {
        let record = record.ok()?;
        if record.class() != Class::IN || ![Rtype::CNAME, kind.rtype()].contains(&record.rtype()) {
            continue;
        }
        let record = record.into_any_record::<AllRecordData<_, ParsedName<_>>>().ok()?;
        let data = match record.data() {
            AllRecordData::Cname(cname) => Data::Alias(cname.cname().to_name()),
            AllRecordData::A(a) => Data::Address(address_of_a(a)),
            AllRecordData::Aaaa(aaaa) => Data::Address(address_of_aaaa(aaaa)),
            _ => continue,
        };
        entries.push(Entry { owner: record.owner().to_name(), ttl: record.ttl().into_duration(), data });
    }
    Some(entries)
}

fn address_of_a(record: &A) -> IpAddr {
    record.addr().into()
}

fn address_of_aaaa(record: &Aaaa) -> IpAddr {
    record.addr().into()
}

/// How long it is true that there is nothing: what the SOA record of the authority section says.
//= RFC 2308 §5
fn negative_ttl(message: Message<&[u8]>) -> Option<Duration> {
    let section = message.authority().ok()?;
    let soa = section.limit_to_in::<Soa<ParsedName<_>>>().find_map(Result::ok)?;
    Some(soa.ttl().min(soa.data().minimum()).into_duration())
}

/// The text of a name, where it can be a host's: letters, digits, hyphens and underscores, as glibc takes them.
fn host_name(name: &WireName) -> Option<String> {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let fits = name.iter().all(|label| label.as_slice().iter().all(good));
    (fits && !name.is_root()).then(|| name.to_string())
}
