use core::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

/// RFC 1071 §1, word by word.
fn naive(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn sum_of(bytes: &[u8]) -> Sum {
    let mut sum = Sum::new();
    sum.add_bytes(bytes);
    sum
}

#[test]
fn sums_as_the_naive_one_at_every_length() {
    for value in [0x00, 0x01, 0x80, 0xff] {
        let bytes = [value; 200];
        for len in 0..bytes.len() {
            assert_eq!(sum_of(&bytes[..len]).fold(), naive(&bytes[..len]), "{len} bytes of {value:#x}");
        }
    }
}

/// The most that a frame can bring: every carry there is.
#[test]
fn sums_64_kib_of_ones() {
    assert_eq!(sum_of(&[0xff; 65_536]).fold(), 0xffff);
    assert!(sum_of(&[0xff; 65_536]).is_valid());
}

proptest! {
    #[test]
    fn sums_as_the_naive_one_whatever_the_chunks(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        cuts in proptest::collection::vec(0usize..70, 0..40),
    ) {
        let mut sum = Sum::new();
        let mut rest = &bytes[..];
        for cut in cuts {
            let (head, tail) = rest.split_at(cut.min(rest.len()));
            sum.add_bytes(head);
            rest = tail;
        }
        sum.add_bytes(rest);
        prop_assert_eq!(sum.fold(), naive(&bytes));
        prop_assert_eq!(sum.finish(), !naive(&bytes));
        prop_assert_eq!(sum.is_valid(), naive(&bytes) == 0xffff);
    }

    #[test]
    fn fields_count_as_their_bytes(
        before in proptest::collection::vec(any::<u8>(), 0..9), half in any::<u16>(), word in any::<u32>(),
    ) {
        let mut sum = sum_of(&before);
        sum.add_u16(half);
        sum.add_u32(word);
        let mut bytes = before;
        bytes.extend(half.to_be_bytes());
        bytes.extend(word.to_be_bytes());
        prop_assert_eq!(sum.fold(), naive(&bytes));
    }
}

const V4: (IpAddr, IpAddr) =
    (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)));
const V6: (IpAddr, IpAddr) = (IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));

/// A datagram of no payload without a checksum.
const NO_CHECKSUM: [u8; 8] = [0, 7, 0, 9, 0, 8, 0, 0];

//= RFC 8200 §8.1 MUST-1, type=test
#[test]
fn pseudo_header_counts_its_fields() {
    let bytes = [192, 0, 2, 1, 192, 0, 2, 2, 0, 6, 0x12, 0x34];
    assert_eq!(pseudo_header(V4.0, V4.1, IpProtocol::TCP, 0x1234).fold(), naive(&bytes));
    // More than 65,535 bytes, as TCP hands a link to cut: the upper half counts too.
    let bytes = [192, 0, 2, 1, 192, 0, 2, 2, 0, 6, 0, 1, 0x12, 0x34];
    assert_eq!(pseudo_header(V4.0, V4.1, IpProtocol::TCP, 0x1_1234).fold(), naive(&bytes));
}

//= RFC 768, type=test
//= RFC 8200 §8.1, type=test
//= RFC 8200 §8.1 MUST-4, type=test
#[test]
fn udp_without_a_checksum_is_valid_over_ipv4_only() {
    assert_eq!(verify_transport(V4.0, V4.1, IpProtocol::UDP, &NO_CHECKSUM), Checksum::Valid);
    assert_eq!(verify_transport(V6.0, V6.1, IpProtocol::UDP, &NO_CHECKSUM), Checksum::Invalid);
}

#[test]
fn udp_is_summed_up_to_its_length() {
    let mut datagram = [0, 7, 0, 9, 0, 10, 0, 0, 0xab, 0xcd, 0x99, 0x99];
    let mut sum = pseudo_header(V4.0, V4.1, IpProtocol::UDP, 10);
    sum.add_bytes(&datagram[..10]);
    datagram[6..8].copy_from_slice(&sum.finish().to_be_bytes());
    assert_eq!(verify_transport(V4.0, V4.1, IpProtocol::UDP, &datagram), Checksum::Valid);
    datagram[9] ^= 1;
    assert_eq!(verify_transport(V4.0, V4.1, IpProtocol::UDP, &datagram), Checksum::Invalid);
}

#[test]
fn nothing_is_said_of_what_is_not_all_there() {
    for (protocol, len) in
        [(IpProtocol::TCP, 19), (IpProtocol::UDP, 7), (IpProtocol::ICMP, 3), (IpProtocol::ICMPV6, 3)]
    {
        for len in 0..=len {
            assert_eq!(verify_transport(V6.0, V6.1, protocol, &vec![1; len]), Checksum::Unverified);
        }
    }
    let longer_than_its_packet = [0, 7, 0, 9, 0, 9, 1, 1];
    let shorter_than_its_header = [0, 7, 0, 9, 0, 7, 1, 1];
    for datagram in [longer_than_its_packet, shorter_than_its_header] {
        assert_eq!(verify_transport(V4.0, V4.1, IpProtocol::UDP, &datagram), Checksum::Unverified);
    }
    assert_eq!(verify_transport(V4.0, V4.1, IpProtocol(89), &[0; 40]), Checksum::Unverified);
}
