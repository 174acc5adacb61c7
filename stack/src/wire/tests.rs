//! Strategies that the tests of this module share, and what holds for every parser of it.

mod oracle;

use core::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::arp::ArpPacket;
use super::icmp::Quoted;
use super::icmpv4::Icmpv4Message;
use super::icmpv6::Icmpv6Message;
use super::ipv6_ext::upper_layer;
use super::offload::{Medium, verify};
use super::*;
use crate::buf::Frame;

pub(super) fn ipv4_header() -> impl Strategy<Value = Ipv4Header> {
    let addresses = (any::<Ipv4Addr>(), any::<Ipv4Addr>());
    let fragment = (any::<bool>(), any::<bool>(), 0u16..0x2000);
    (addresses, any::<u8>(), any::<u8>(), any::<u8>(), any::<u16>(), fragment).prop_map(
        |((source, destination), protocol, ttl, tos, identification, fragment)| Ipv4Header {
            source,
            destination,
            protocol: IpProtocol(protocol),
            ttl,
            tos,
            identification,
            dont_fragment: fragment.0,
            more_fragments: fragment.1,
            fragment_offset: fragment.2 * 8,
            header_len: 20,
            total_len: 0,
        },
    )
}

pub(super) fn ipv6_header() -> impl Strategy<Value = Ipv6Header> {
    let addresses = (any::<Ipv6Addr>(), any::<Ipv6Addr>());
    (addresses, any::<u8>(), any::<u8>(), any::<u8>(), 0u32..0x10_0000).prop_map(
        |((source, destination), next_header, hop_limit, traffic_class, flow_label)| Ipv6Header {
            source,
            destination,
            next_header: IpProtocol(next_header),
            hop_limit,
            traffic_class,
            flow_label,
            payload_len: 0,
        },
    )
}

/// Options that a SYN may carry; those that don't fit are not taken.
pub(super) fn tcp_options() -> impl Strategy<Value = TcpOptions> {
    let timestamps = any::<Option<(u32, u32)>>();
    let sack = proptest::collection::vec(any::<(u32, u32)>(), 0..=4);
    let cookie = (0usize..=8, any::<[u8; 16]>(), any::<bool>()).prop_map(|(half, bytes, experimental)| {
        let form = if experimental { FastOpenForm::Experimental } else { FastOpenForm::Standard };
        Some(FastOpenOption { cookie: FastOpenCookie::new(&bytes[..2 * half])?, form })
    });
    let fast_open = proptest::option::of(cookie).prop_map(Option::flatten);
    (proptest::option::of(1u16..), any::<Option<u8>>(), any::<bool>(), timestamps, sack, fast_open).prop_map(
        |(mss, window_scale, sack_permitted, timestamps, sack, fast_open)| {
            let timestamps = timestamps.map(|(value, echo)| Timestamps { value, echo });
            let mut options =
                TcpOptions { mss, window_scale, sack_permitted, timestamps, ..TcpOptions::default() };
            let room = (40 - options.emitted_len() - 4) / 8;
            options.sack = sack.into_iter().take(room).collect();
            let others = options.emitted_len();
            options.fast_open = fast_open;
            // What does not fit is left out.
            if options.emitted_len() == others {
                options.fast_open = None;
            }
            options
        },
    )
}

pub(super) fn tcp_header() -> impl Strategy<Value = TcpHeader> {
    let ports = any::<(u16, u16)>();
    (ports, any::<(u32, u32)>(), any::<u8>(), any::<(u16, u16)>(), tcp_options()).prop_map(
        |((source_port, destination_port), (sequence, acknowledgment), flags, (window, urgent), options)| {
            TcpHeader {
                source_port,
                destination_port,
                sequence,
                acknowledgment,
                flags: TcpFlags(flags) | TcpFlags::SYN,
                window,
                urgent_pointer: urgent,
                header_len: 20 + options.emitted_len() as u8,
                options,
            }
        },
    )
}

pub(super) fn payload() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..200)
}

/// Calls every parser. That it returns at all is the test.
fn parse_everything(bytes: &[u8]) {
    let _ = EthernetHeader::parse(bytes);
    let _ = ArpPacket::parse(bytes);
    let _ = Ipv4Header::parse(bytes);
    let _ = TcpHeader::parse(bytes);
    let _ = TcpOptions::parse(bytes);
    let _ = UdpHeader::parse(bytes);
    let _ = Icmpv4Message::parse(bytes);
    if let Ok(quoted) = Quoted::parse(bytes) {
        let _ = (quoted.ports(), quoted.sequence(), quoted.echo());
    }
    let ip = Ipv6Header { hop_limit: 255, ..Ipv6Header::parse(bytes).unwrap_or_default() };
    let _ = Icmpv6Message::parse(&ip, bytes);
    for kind in [133, 134, 135, 136, 137] {
        let mut message = bytes.to_vec();
        if let [first, code, ..] = &mut message[..] {
            (*first, *code) = (kind, 0);
        }
        let _ = Icmpv6Message::parse(&ip, &message);
        let _ = ndp::NdpMessage::parse(&ip, &message);
    }
    for first in [0, 43, 44, 60, 6] {
        let _ = upper_layer(bytes, IpProtocol(first));
    }
    for medium in [Medium::Ethernet, Medium::Ip] {
        let _ = verify(&Frame::from(bytes.to_vec()), medium);
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        parse_everything(&bytes);
    }

    /// Small numbers make plausible lengths, and so reach further in than random ones.
    #[test]
    fn plausible_bytes_never_panic(
        start in prop_oneof![Just(vec![0x45, 0]), Just(vec![0x60, 0, 0, 0, 0, 40, 0, 255]), Just(vec![])],
        bytes in proptest::collection::vec(prop_oneof![0u8..6, 0u8..64, any::<u8>()], 0..200),
    ) {
        parse_everything(&[start, bytes].concat());
    }

    #[test]
    fn headers_cut_anywhere_never_panic_and_never_parse(
        v4 in ipv4_header(), v6 in ipv6_header(), tcp in tcp_header(),
    ) {
        let blocks = [
            written(|block| v4.prepend_to(0, block)),
            written(|block| v6.prepend_to(0, block)),
            written(|block| tcp.prepend_to(block)),
        ];
        for len in 0..60 {
            for block in &blocks {
                parse_everything(&block[..len.min(block.len())]);
            }
            if len < 20 {
                prop_assert_eq!(Ipv4Header::parse(&blocks[0][..len]), Err(Malformed::Truncated));
            }
            if len < 40 {
                prop_assert!(matches!(Ipv6Header::parse(&blocks[1][..len]), Err(Malformed::Truncated)));
            }
            if len < blocks[2].len() {
                prop_assert_eq!(TcpHeader::parse(&blocks[2][..len]), Err(Malformed::Truncated));
            }
        }
    }
}

/// What `write` writes into an empty block.
pub(super) fn written(write: impl FnOnce(&mut crate::buf::HeaderBlock)) -> Vec<u8> {
    let mut block = crate::buf::HeaderBlock::new();
    write(&mut block);
    block.to_vec()
}
