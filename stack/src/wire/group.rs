//! Messages about groups: IGMP (RFC 1112, 2236, 9776) and MLD (RFC 2710, 9777). smoltcp's codec reaches as far as IGMPv2
//! and knows no MLDv2 report of several records.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use super::checksum::{Sum, pseudo_header};
use super::ipv4_options::AnswerOptions;
use super::{IpProtocol, Ipv4Header, Ipv6Header, Malformed};
use crate::buf::{HeaderBlock, Rope};
use crate::wire::offload::Transmit;

/// What a record of a report says.
///
/// ```
/// use tapsock_stack::wire::group::RecordKind;
///
/// assert_eq!(RecordKind::ToExclude as u8, 4);
/// ```
//= RFC 9776 §4.2.13
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum RecordKind {
    /// These sources are heard.
    IsInclude = 1,
    /// All but these are heard.
    IsExclude = 2,
    /// From now on these are heard, and no others.
    ToInclude = 3,
    /// From now on all but these are heard.
    ToExclude = 4,
    /// These are heard as well.
    Allow = 5,
    /// These are heard no more.
    Block = 6,
}

/// A record of a report.
///
/// ```
/// use tapsock_stack::wire::group::{Record, RecordKind};
///
/// let joined = Record { kind: RecordKind::ToExclude, group: "239.1.1.1".parse().unwrap(), sources: vec![] };
/// assert!(joined.group.is_multicast());
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// What it says.
    pub kind: RecordKind,
    /// Of which group.
    pub group: IpAddr,
    /// Of which sources.
    pub sources: Vec<IpAddr>,
}

/// A message that came in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GroupMessage {
    /// A router asks.
    Query {
        /// The version, by IGMP's number (MLDv1: 2, MLDv2: 3).
        version: u8,
        /// Which group; `None`: all.
        group: Option<IpAddr>,
        /// Which sources.
        sources: Vec<IpAddr>,
        /// How long the answer may take.
        max_response: Duration,
        /// The querier's robustness and interval, which only the newest version tells.
        habits: Option<(Option<u8>, Duration)>,
    },
    /// A host says that it hears the group, in a version older than the newest.
    Member {
        /// The group.
        group: IpAddr,
    },
    /// Anything else: it is for routers.
    Other,
}

impl GroupMessage {
    /// Reads an IGMP message, the payload of an IPv4 packet. The checksum is looked at.
    ///
    /// Fails with [`Malformed::Truncated`], `BadChecksum`, or `BadAddress` for a group that is none.
    //= RFC 9776 §4.1
    //= RFC 9776 §7.1
    //= RFC 9776 §4 MUST-2
    //= RFC 9776 §4.1.2 MUST-1
    //= RFC 9776 §4.1.10 MUST-1
    //= RFC 9776 §4.1.10 MUST-2
    //= RFC 9776 §4.2.2 MUST-1
    //= RFC 9776 §7.1 MUST-1
    //= RFC 9776 §7.2.1 MUST-3
    //= RFC 9776 §4.2.12 MUST-1
    pub fn parse_igmp(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some(&[kind, code, _, _, a, b, c, d]) = bytes.first_chunk::<8>() else {
            return Err(Malformed::Truncated);
        };
        let mut sum = Sum::new();
        sum.add_bytes(bytes);
        if !sum.is_valid() {
            return Err(Malformed::BadChecksum);
        }
        let group = Ipv4Addr::new(a, b, c, d);
        match kind {
            IGMP_QUERY => {
                let tenths = |tenths: u64| Duration::from_millis(tenths * 100);
                let (version, max_response) = match (bytes.len(), code) {
                    (8, 0) => (1, tenths(100)),
                    (8, code) => (2, tenths(code.into())),
                    (9..=11, _) => return Err(Malformed::Truncated),
                    (_, code) => (3, tenths(floating(code, 4))),
                };
                let sources = if version == 3 { sources_v4(&bytes[10..])? } else { Vec::new() };
                let habits = if version == 3 { Some(habits(bytes[8], bytes[9])) } else { None };
                query(version, IpAddr::V4(group), sources, max_response, habits)
            }
            IGMP_V1_REPORT | IGMP_V2_REPORT => member(IpAddr::V4(group)),
            _ => Ok(GroupMessage::Other),
        }
    }

    /// Reads an MLD message, the payload of a packet with the header `ip`. The checksum is not looked at.
    ///
    /// Fails with [`Malformed::Truncated`], `BadCode` where it comes from elsewhere, or `BadAddress`.
    //= RFC 9777 §5.1
    //= RFC 9777 §8.1
    //= RFC 9777 §5 MUST-2
    //= RFC 9777 §5.1.12 MUST-2
    //= RFC 9777 §5.1.14 MUST-1
    //= RFC 9777 §8.1 MUST-1
    pub fn parse_mld(ip: &Ipv6Header, bytes: &[u8]) -> Result<Self, Malformed> {
        let Some(fixed) = bytes.first_chunk::<24>() else { return Err(Malformed::Truncated) };
        if ip.hop_limit != 1 || !ip.source.is_unicast_link_local() {
            return Err(Malformed::BadCode);
        }
        let mut octets = [0; 16];
        octets.copy_from_slice(&fixed[8..24]);
        let group = IpAddr::V6(Ipv6Addr::from(octets));
        let code = u16::from_be_bytes([fixed[4], fixed[5]]);
        match fixed[0] {
            MLD_QUERY => {
                let (version, millis) = match bytes.len() {
                    24 => (2, u64::from(code)),
                    25..=27 => return Err(Malformed::Truncated),
                    _ => (3, wide_floating(code)),
                };
                let sources = if version == 3 { sources_v6(&bytes[26..])? } else { Vec::new() };
                let habits = if version == 3 { Some(habits(bytes[24], bytes[25])) } else { None };
                query(version, group, sources, Duration::from_millis(millis), habits)
            }
            MLD_REPORT => member(group),
            _ => Ok(GroupMessage::Other),
        }
    }
}

fn query(
    version: u8,
    group: IpAddr,
    sources: Vec<IpAddr>,
    max_response: Duration,
    habits: Option<(Option<u8>, Duration)>,
) -> Result<GroupMessage, Malformed> {
    let group = match group {
        group if group.is_unspecified() => None,
        group if group.is_multicast() => Some(group),
        _ => return Err(Malformed::BadAddress),
    };
    Ok(GroupMessage::Query { version, group, sources, max_response, habits })
}

/// Robustness and interval of a querier. Where it tells no robustness, the host's own holds; of the interval, the default.
//= RFC 9776 §4.1.6
//= RFC 9776 §4.1.7
//= RFC 9776 §8.1 MUST-1
//= RFC 9777 §9.1 MUST-1
fn habits(flags: u8, interval: u8) -> (Option<u8>, Duration) {
    let robustness = Some(flags & 7).filter(|robustness| *robustness > 0);
    let interval = if interval == 0 { 125 } else { floating(interval, 4) };
    (robustness, Duration::from_secs(interval))
}

fn member(group: IpAddr) -> Result<GroupMessage, Malformed> {
    if group.is_multicast() { Ok(GroupMessage::Member { group }) } else { Err(Malformed::BadAddress) }
}

/// A count and as many sources. What a message claims and does not bring makes it malformed.
fn sources_v4(bytes: &[u8]) -> Result<Vec<IpAddr>, Malformed> {
    let (count, rest) = counted(bytes)?;
    let sources = rest.get(..count * 4).ok_or(Malformed::Truncated)?;
    Ok(sources.as_chunks::<4>().0.iter().map(|octets| IpAddr::from(*octets)).collect())
}

fn sources_v6(bytes: &[u8]) -> Result<Vec<IpAddr>, Malformed> {
    let (count, rest) = counted(bytes)?;
    let sources = rest.get(..count * 16).ok_or(Malformed::Truncated)?;
    Ok(sources.as_chunks::<16>().0.iter().map(|octets| IpAddr::from(*octets)).collect())
}

fn counted(bytes: &[u8]) -> Result<(usize, &[u8]), Malformed> {
    let (count, rest) = bytes.split_first_chunk::<2>().ok_or(Malformed::Truncated)?;
    Ok((u16::from_be_bytes(*count).into(), rest))
}

/// A number of eight bits that is a floating one from 128 on.
//= RFC 9776 §4.1.1
fn floating(code: u8, mantissa_bits: u32) -> u64 {
    if code < 0x80 {
        return code.into();
    }
    let mantissa = u64::from(code & 0xf) | 1 << mantissa_bits;
    mantissa << (u32::from(code >> 4 & 7) + 3)
}

/// The same of sixteen bits.
//= RFC 9777 §5.1.3
fn wide_floating(code: u16) -> u64 {
    if code < 0x8000 {
        return code.into();
    }
    (u64::from(code & 0xfff) | 0x1000) << (u32::from(code >> 12 & 7) + 3)
}

/// IGMPv3's report, from the IP header on.
//= RFC 9776 §4.2
//= RFC 9776 §4.2.12 MUST-3
pub fn igmp_report(source: Ipv4Addr, records: &[Record]) -> Transmit {
    let mut bytes = vec![IGMP_V3_REPORT, 0, 0, 0, 0, 0];
    bytes.extend((records.len() as u16).to_be_bytes());
    records.iter().for_each(|record| push_record(&mut bytes, record));
    igmp(source, IGMP_ROUTERS, bytes)
}

/// The report of an older version, to the group.
//= RFC 9776 §4 MUST-1
pub fn igmp_member(source: Ipv4Addr, group: Ipv4Addr, version: u8) -> Transmit {
    let kind = if version == 1 { IGMP_V1_REPORT } else { IGMP_V2_REPORT };
    igmp(source, group, [&[kind, 0, 0, 0][..], &group.octets()].concat())
}

/// IGMPv2's word that nobody hears the group any more.
pub fn igmp_leave(source: Ipv4Addr, group: Ipv4Addr) -> Transmit {
    igmp(source, Ipv4Addr::new(224, 0, 0, 2), [&[IGMP_LEAVE, 0, 0, 0][..], &group.octets()].concat())
}

//= RFC 9776 §4
fn igmp(source: Ipv4Addr, destination: Ipv4Addr, mut bytes: Vec<u8>) -> Transmit {
    let mut sum = Sum::new();
    sum.add_bytes(&bytes);
    bytes[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    let mut headers = HeaderBlock::new();
    let (protocol, ttl, tos) = (IpProtocol::IGMP, 1, INTERNETWORK_CONTROL);
    let header =
        Ipv4Header { source, destination, protocol, ttl, tos, dont_fragment: true, ..Ipv4Header::default() };
    header.prepend_to(bytes.len(), &mut headers);
    if let Some(options) = AnswerOptions::new(&[148, 4, 0, 0]) {
        options.insert_into(&mut headers);
    }
    Transmit { headers, payload: Rope::from(bytes), checksum: None, segmentation: None }
}

/// MLDv2's report, from the IP header on.
//= RFC 9777 §5.2
//= RFC 9777 §5.2.12 MUST-3
pub fn mld_report(source: Ipv6Addr, records: &[Record]) -> Transmit {
    let mut bytes = vec![MLD_V2_REPORT, 0, 0, 0, 0, 0];
    bytes.extend((records.len() as u16).to_be_bytes());
    records.iter().for_each(|record| push_record(&mut bytes, record));
    mld(source, MLD_ROUTERS, bytes)
}

/// MLDv1's report, to the group.
pub fn mld_member(source: Ipv6Addr, group: Ipv6Addr) -> Transmit {
    mld(source, group, [&[MLD_REPORT, 0, 0, 0, 0, 0, 0, 0][..], &group.octets()].concat())
}

/// MLDv1's word that nobody hears the group any more.
pub fn mld_done(source: Ipv6Addr, group: Ipv6Addr) -> Transmit {
    let all_routers = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
    mld(source, all_routers, [&[MLD_DONE, 0, 0, 0, 0, 0, 0, 0][..], &group.octets()].concat())
}

//= RFC 9777 §5
//= RFC 9777 §5 MUST-1
fn mld(source: Ipv6Addr, destination: Ipv6Addr, mut bytes: Vec<u8>) -> Transmit {
    let ends = (IpAddr::V6(source), IpAddr::V6(destination));
    let mut sum = pseudo_header(ends.0, ends.1, IpProtocol::ICMPV6, bytes.len() as u32);
    sum.add_bytes(&bytes);
    bytes[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    let mut headers = HeaderBlock::new();
    // A router alert and padding.
    headers.prepend(8).copy_from_slice(&[IpProtocol::ICMPV6.0, 0, 5, 2, 0, 0, 1, 0]);
    let next_header = IpProtocol::HOP_BY_HOP;
    Ipv6Header { source, destination, next_header, hop_limit: 1, ..Ipv6Header::default() }
        .prepend_to(8 + bytes.len(), &mut headers);
    Transmit { headers, payload: Rope::from(bytes), checksum: None, segmentation: None }
}

//= RFC 9776 §4.2.11 MUST-1
//= RFC 9776 §4.2.11 MUST-2
//= RFC 9777 §5.2.11 MUST-1
//= RFC 9777 §5.2.11 MUST-2
fn push_record(bytes: &mut Vec<u8>, record: &Record) {
    bytes.extend([record.kind as u8, 0]);
    bytes.extend((record.sources.len() as u16).to_be_bytes());
    for address in core::iter::once(&record.group).chain(&record.sources) {
        match address {
            IpAddr::V4(address) => bytes.extend(address.octets()),
            IpAddr::V6(address) => bytes.extend(address.octets()),
        }
    }
}

/// Types of MLD's messages: a query, the reports of both versions, and a farewell.
pub const MLD_QUERY: u8 = 130;
pub(crate) const MLD_REPORT: u8 = 131;
pub(crate) const MLD_DONE: u8 = 132;
const MLD_V2_REPORT: u8 = 143;
const IGMP_QUERY: u8 = 0x11;
const IGMP_V1_REPORT: u8 = 0x12;
const IGMP_V2_REPORT: u8 = 0x16;
const IGMP_LEAVE: u8 = 0x17;
const IGMP_V3_REPORT: u8 = 0x22;
/// All routers that speak IGMPv3.
const IGMP_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
/// All routers that speak MLDv2.
const MLD_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
const INTERNETWORK_CONTROL: u8 = 0xc0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
        let mut sum = Sum::new();
        sum.add_bytes(&bytes);
        bytes[2..4].copy_from_slice(&sum.finish().to_be_bytes());
        bytes
    }

    fn asked(message: GroupMessage) -> (u8, Option<String>, usize, u128) {
        let GroupMessage::Query { version, group, sources, max_response, .. } = message else {
            panic!("{message:?}")
        };
        (version, group.map(|group| group.to_string()), sources.len(), max_response.as_millis())
    }

    //= RFC 9776 §7.1, type=test
    //= RFC 9776 §4.1.1, type=test
    //= RFC 9776 §7.1 MUST-1, type=test
    //= RFC 9776 §7.2.1 MUST-3, type=test
    #[test]
    fn queries_of_each_version() {
        let igmp = |bytes: &[u8]| GroupMessage::parse_igmp(&summed(bytes.to_vec()));
        assert_eq!(asked(igmp(&[0x11, 0, 0, 0, 0, 0, 0, 0]).unwrap()), (1, None, 0, 10_000));
        assert_eq!(
            asked(igmp(&[0x11, 20, 0, 0, 239, 1, 1, 1]).unwrap()),
            (2, Some("239.1.1.1".into()), 0, 2000)
        );
        let newest = [0x11, 0x80, 0, 0, 239, 1, 1, 1, 2, 125, 0, 1, 10, 0, 0, 1];
        assert_eq!(asked(igmp(&newest).unwrap()), (3, Some("239.1.1.1".into()), 1, 12_800));
        assert_eq!(igmp(&newest[..14]), Err(Malformed::Truncated));
        assert_eq!(igmp(&newest[..10]), Err(Malformed::Truncated));
        assert_eq!(igmp(&[0x11, 20, 0, 0, 10, 0, 0, 1]), Err(Malformed::BadAddress));
        assert_eq!(GroupMessage::parse_igmp(&newest), Err(Malformed::BadChecksum));
        let group = IpAddr::from([239, 1, 1, 1]);
        assert_eq!(igmp(&[0x16, 0, 0, 0, 239, 1, 1, 1]), Ok(GroupMessage::Member { group }));
        assert_eq!(igmp(&[0x22, 0, 0, 0, 0, 0, 0, 0]), Ok(GroupMessage::Other));
    }

    //= RFC 9777 §5.1.3, type=test
    //= RFC 9777 §8.1, type=test
    //= RFC 9777 §5.1.14 MUST-1, type=test
    //= RFC 9777 §8.1 MUST-1, type=test
    #[test]
    fn queries_of_mld() {
        let ip = Ipv6Header { source: "fe80::1".parse().unwrap(), hop_limit: 1, ..Ipv6Header::default() };
        let group = "ff05::1:3".parse::<Ipv6Addr>().unwrap().octets();
        let old = [&[130, 0, 0, 0, 0x27, 0x10, 0, 0][..], &group].concat();
        assert_eq!(
            asked(GroupMessage::parse_mld(&ip, &old).unwrap()),
            (2, Some("ff05::1:3".into()), 0, 10_000)
        );
        let new = [&[130, 0, 0, 0, 0x80, 0, 0, 0][..], &[0; 16], &[2, 125, 0, 0]].concat();
        assert_eq!(asked(GroupMessage::parse_mld(&ip, &new).unwrap()), (3, None, 0, 32_768));
        for wrong in
            [Ipv6Header { hop_limit: 64, ..ip }, Ipv6Header { source: "2001:db8::1".parse().unwrap(), ..ip }]
        {
            assert_eq!(GroupMessage::parse_mld(&wrong, &new), Err(Malformed::BadCode));
        }
    }

    //= RFC 9776 §4, type=test
    //= RFC 9777 §5, type=test
    #[test]
    fn reports_have_a_router_alert_and_go_no_further_than_the_link() {
        let records = [Record {
            kind: RecordKind::Allow,
            group: "239.1.1.1".parse().unwrap(),
            sources: vec!["10.0.0.9".parse().unwrap()],
        }];
        let bytes = igmp_report(Ipv4Addr::new(10, 0, 0, 1), &records).to_frame().bytes.to_vec();
        let header = Ipv4Header::parse(&bytes).unwrap();
        assert_eq!((header.ttl, header.tos, header.destination), (1, 0xc0, IGMP_ROUTERS));
        assert_eq!(bytes[20..24], [148, 4, 0, 0]);
        assert_eq!(
            bytes[24..],
            summed([&[0x22, 0, 0, 0, 0, 0, 0, 1][..], &[5, 0, 0, 1, 239, 1, 1, 1, 10, 0, 0, 9]].concat())
        );
        let source = "fe80::9".parse().unwrap();
        let bytes = mld_member(source, "ff05::1:3".parse().unwrap()).to_frame().bytes.to_vec();
        let header = Ipv6Header::parse(&bytes).unwrap();
        assert_eq!((header.hop_limit, header.next_header), (1, IpProtocol::HOP_BY_HOP));
        assert_eq!((bytes[42], bytes[48], bytes.len()), (5, 131, 72));
    }

    proptest! {
        #[test]
        fn anything_can_be_read(mut bytes in prop::collection::vec(any::<u8>(), 0..80), kind in 0..3usize) {
            if let Some(first) = bytes.first_mut() { *first = [0x11, 130, 131][kind]; }
            let ip = Ipv6Header { source: "fe80::1".parse().unwrap(), hop_limit: 1, ..Ipv6Header::default() };
            let _ = GroupMessage::parse_mld(&ip, &bytes);
            if bytes.len() >= 4 {
                bytes[2..4].fill(0);
                let _ = GroupMessage::parse_igmp(&summed(bytes));
            }
        }
    }
}
