//! What a stack sends is right, whatever it was sent.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use tapsock_stack::buf::{Checksum, Frame};
use tapsock_stack::wire::offload::{LinkCaps, Medium, Transmit, verify};

/// Frames that a stack may send at one time at the most: as many answers as wait, and what windows let go.
pub(crate) const MAX_AT_ONCE: usize = 20_000;

/// Holds what goes to a link to what the link can do, and gives the frame.
pub(crate) fn frame(mut transmit: Transmit, caps: LinkCaps) -> Frame {
    let packet = transmit.len() - caps.medium.header_len();
    match transmit.segmentation {
        None => assert!(packet <= caps.mtu, "{packet} bytes over an MTU of {}", caps.mtu),
        Some(how) => {
            assert!(packet <= caps.gso_max, "{packet} bytes for a link that cuts {}", caps.gso_max);
            let headers = transmit.headers.len() - caps.medium.header_len();
            let segment = headers + usize::from(how.size);
            assert!(segment <= caps.mtu, "segments of {segment} bytes over an MTU of {}", caps.mtu);
            assert!(transmit.payload.len() > how.size.into(), "nothing to cut");
        }
    }
    assert!(transmit.checksum.is_none() || caps.fills_checksums || transmit.segmentation.is_none());
    let mut completed = transmit.clone();
    completed.complete_checksum();
    check(&completed.to_frame(), caps.medium);
    if !caps.fills_checksums {
        transmit.complete_checksum();
    }
    transmit.to_frame()
}

/// Our own parser and another one understand the frame, and its checksums are right.
fn check(frame: &Frame, medium: Medium) {
    let bytes = &frame.bytes[..];
    let sliced = match medium {
        Medium::Ethernet => SlicedPacket::from_ethernet(bytes),
        Medium::Ip => SlicedPacket::from_ip(bytes),
    };
    let sliced = sliced.unwrap_or_else(|error| panic!("{error}: {bytes:02x?}"));
    match &sliced.net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum(), "{header:?}");
        }
        Some(NetSlice::Ipv6(_)) => {}
        Some(NetSlice::Arp(_)) => return,
        None => panic!("neither IP nor ARP: {bytes:02x?}"),
    }
    // A part of a packet does not tell by itself.
    if sliced.is_ip_payload_fragmented() {
        return;
    }
    assert!(
        matches!(
            sliced.transport,
            Some(
                TransportSlice::Tcp(_)
                    | TransportSlice::Udp(_)
                    | TransportSlice::Icmpv4(_)
                    | TransportSlice::Icmpv6(_)
            )
        ),
        "nothing that we speak: {bytes:02x?}"
    );
    let merged = frame.gso_size.is_some();
    assert!(merged || verify(frame, medium) == Checksum::Valid, "a wrong checksum: {bytes:02x?}");
}
