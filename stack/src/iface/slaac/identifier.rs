//! The lower half of addresses that a host makes itself.

use core::net::Ipv6Addr;

use siphasher::sip::SipHasher24;

use crate::random::Random;
use crate::wire::EthernetAddress;

/// Length of the prefixes that hosts make addresses of, in bits.
pub(super) const PREFIX_LEN: u8 = 64;

/// The interface identifier that follows from a station address.
//= RFC 4291 §2.5.6
//= RFC 2464 §4
pub(crate) fn of_station(station: EthernetAddress) -> u64 {
    let [a, b, c, d, e, f] = station.0;
    u64::from_be_bytes([a ^ 0x02, b, c, 0xff, 0xfe, d, e, f])
}

/// An identifier that stays the same in one network and tells nothing outside of it: a pseudorandom function of the
/// prefix, the interface and the number of attempts, keyed by a secret of the host.
//= RFC 7217 §5
//= RFC 7217 §5 MUST-3
//= RFC 7217 §5 MUST-4
//= RFC 7217 §5 MUST-5
//= RFC 7217 §5 MUST-9
//= RFC 7217 §5 MUST-10
pub(super) fn stable(secret: u128, prefix: Ipv6Addr, station: EthernetAddress, attempt: u8) -> u64 {
    let hasher = SipHasher24::new_with_keys((secret >> 64) as u64, secret as u64);
    // Counted up within one attempt where the outcome is reserved.
    for detour in 0..=u8::MAX {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&prefix.octets());
        bytes[16..22].copy_from_slice(&station.0);
        (bytes[22], bytes[23]) = (attempt, detour);
        let identifier = hasher.hash(&bytes);
        if !is_reserved(identifier) {
            return identifier;
        }
    }
    1
}

/// An identifier that nobody can tell from another.
//= RFC 8981 §3.3.1
pub(super) fn temporary(random: &mut Random) -> u64 {
    loop {
        let identifier = random.next_u64();
        if !is_reserved(identifier) {
            return identifier;
        }
    }
}

/// Whether IANA keeps an identifier for something else.
//= RFC 5453 §3
fn is_reserved(identifier: u64) -> bool {
    matches!(identifier, 0 | 0x0200_5eff_fe00_0000..=0x0200_5eff_feff_ffff | 0xfdff_ffff_ffff_ff80..=0xfdff_ffff_ffff_ffff)
}

/// The address of `identifier` in `prefix`.
pub(crate) fn join(prefix: Ipv6Addr, identifier: u64) -> Ipv6Addr {
    Ipv6Addr::from_bits(prefix.to_bits() & !u128::from(u64::MAX) | u128::from(identifier))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATION: EthernetAddress = EthernetAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56]);

    //= RFC 7217 §5, type=test
    //= RFC 7217 §5 MUST-3, type=test
    //= RFC 7217 §5 MUST-4, type=test
    //= RFC 7217 §5 MUST-5, type=test
    //= RFC 7217 §5 MUST-9, type=test
    //= RFC 7217 §5 MUST-10, type=test
    #[test]
    fn a_stable_identifier_depends_on_all_that_it_should() {
        let prefix: Ipv6Addr = "2001:db8::".parse().unwrap();
        let first = stable(7, prefix, STATION, 0);
        assert_eq!(stable(7, prefix, STATION, 0), first);
        let others = [
            stable(8, prefix, STATION, 0),
            stable(7 << 64, prefix, STATION, 0),
            stable(7, "2001:db8:0:1::".parse().unwrap(), STATION, 0),
            stable(7, prefix, EthernetAddress([0x52, 0x54, 0, 0x12, 0x34, 0x57]), 0),
            stable(7, prefix, STATION, 1),
        ];
        assert!(others.iter().all(|other| *other != first && *other != of_station(STATION)));
    }

    //= RFC 8981 §3.3.1, type=test
    #[test]
    fn temporary_identifiers_have_nothing_in_common() {
        let mut random = Random::new(7);
        let drawn: std::collections::BTreeSet<u64> = (0..1000).map(|_| temporary(&mut random)).collect();
        assert_eq!(drawn.len(), 1000);
        assert!(drawn.iter().all(|one| !is_reserved(*one) && *one != of_station(STATION)));
        // Each bit is drawn.
        assert_eq!(drawn.iter().fold((u64::MAX, 0), |(all, any), one| (all & one, any | one)), (0, u64::MAX));
    }

    //= RFC 5453 §3, type=test
    #[test]
    fn reserved_identifiers() {
        for reserved in [0, 0x0200_5eff_fe00_5212, 0xfdff_ffff_ffff_ff80, 0xfdff_ffff_ffff_ffff] {
            assert!(is_reserved(reserved));
        }
        assert!(!is_reserved(1) && !is_reserved(0xfdff_ffff_ffff_ff7f) && !is_reserved(of_station(STATION)));
    }
}
