use core::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use crate::buf::{Chunk, HeaderBlock};
use crate::wire::{TcpHeader, icmpv4, icmpv6};

fn tcp() -> HeaderBlock {
    let mut block = HeaderBlock::new();
    let header =
        TcpHeader { source_port: 1000, destination_port: 80, sequence: 0x0102_0304, ..TcpHeader::default() };
    header.prepend_to(&mut block);
    block
}

fn over_ipv4(fragment_offset: u16) -> Vec<u8> {
    let mut block = tcp();
    let ip = Ipv4Header {
        source: Ipv4Addr::new(10, 0, 0, 1),
        destination: Ipv4Addr::new(10, 0, 0, 2),
        protocol: IpProtocol::TCP,
        fragment_offset,
        ..Ipv4Header::default()
    };
    ip.prepend_to(1480, &mut block);
    block.to_vec()
}

fn over_ipv6(next_header: IpProtocol, extensions: &[u8]) -> Vec<u8> {
    let mut block = tcp();
    block.prepend(extensions.len()).copy_from_slice(extensions);
    let ip = Ipv6Header { destination: Ipv6Addr::LOCALHOST, next_header, ..Ipv6Header::default() };
    ip.prepend_to(1480, &mut block);
    block.to_vec()
}

//= RFC 1122 §3.2.2, type=test
#[test]
fn reads_an_ipv4_packet_cut_short() {
    let packet = over_ipv4(0);
    let quoted = Quoted::parse(&packet[..28]).unwrap();
    assert_eq!(quoted.source, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
    assert_eq!(quoted.destination, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)));
    assert_eq!(quoted.protocol, IpProtocol::TCP);
    assert_eq!((quoted.ports(), quoted.sequence()), ((1000, 80), 0x0102_0304));
    assert_eq!(quoted.echo(), Echo { ident: 0x0102, sequence: 0x0304 });
    for len in 0..28 {
        assert_eq!(Quoted::parse(&packet[..len]), Err(Malformed::Truncated), "{len}");
    }
}

#[test]
fn takes_a_header_that_routers_have_changed() {
    let mut packet = over_ipv4(0);
    packet[8] = 1;
    assert!(Ipv4Header::parse(&packet).is_err());
    assert!(Quoted::parse(&packet).is_ok());
}

#[test]
fn refuses_what_holds_no_transport_header() {
    assert_eq!(Quoted::parse(&over_ipv4(8)), Err(Malformed::Unsupported));
    let later_fragment = [6, 0, 0, 8, 0, 0, 0, 1];
    assert_eq!(Quoted::parse(&over_ipv6(IpProtocol::FRAGMENT, &later_fragment)), Err(Malformed::Unsupported));
    assert_eq!(Quoted::parse(&[0x50; 60]), Err(Malformed::BadVersion));
    assert_eq!(Quoted::parse(&[0x44; 60]), Err(Malformed::BadHeaderLength));
}

//= RFC 4443 §2.4, type=test
#[test]
fn reads_an_ipv6_packet_behind_extension_headers() {
    let first_fragment = [60, 0, 0, 1, 0, 0, 0, 1, 6, 0, 1, 4, 0, 0, 0, 0];
    let options = [6, 0, 1, 4, 0, 0, 0, 0];
    for (next_header, extensions) in [
        (IpProtocol::TCP, &[][..]),
        (IpProtocol::HOP_BY_HOP, &options),
        (IpProtocol::FRAGMENT, &first_fragment),
    ] {
        let packet = over_ipv6(next_header, extensions);
        let end = 40 + extensions.len() + 8;
        let quoted = Quoted::parse(&packet[..end]).unwrap();
        assert_eq!((quoted.protocol, quoted.ports()), (IpProtocol::TCP, (1000, 80)));
        for len in 0..end {
            assert!(Quoted::parse(&packet[..len]).is_err(), "{len}");
        }
    }
}

/// With its own headers the error is as long as its family allows, and no longer.
//= RFC 1812 §4.3.2.3, type=test
//= RFC 4443 §2.4, type=test
#[test]
fn errors_quote_as_much_as_fits() {
    let packet = Chunk::from(vec![7; 1500]);
    assert_eq!(icmpv4::quote(&packet, 0).len() + 8 + 20, 576);
    assert_eq!(icmpv4::quote(&packet, 16).len() + 8 + 36, 576);
    assert_eq!(icmpv6::quote(&packet).len() + 8 + 40, 1280);
    let short = Chunk::from(vec![7; 28]);
    assert_eq!(icmpv4::quote(&short, 40).to_vec(), [7; 28]);
    assert_eq!(icmpv6::quote(&short).to_vec(), [7; 28]);
}
