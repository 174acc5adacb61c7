//! Addresses, scopes and ports written as numbers.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::interfaces::{Interface, if_nametoindex};

/// An IPv4 address in any of the forms of inet_aton(3): one to four parts, the last one filling what is left, each
/// decimal, octal with a leading 0 or hexadecimal with 0x. Nothing may follow it.
///
/// ```
/// use tapsock::resolve::inet_aton;
///
/// assert_eq!(inet_aton("127.1"), Some("127.0.0.1".parse().unwrap()));
/// assert_eq!(inet_aton("0x7f000001"), inet_aton("0177.0.0.1"));
/// assert_eq!(inet_aton("1.2.3.256"), None);
/// ```
pub fn inet_aton(text: &str) -> Option<Ipv4Addr> {
    let mut address = 0u32;
    let mut parts = text.split('.').enumerate().peekable();
    while let Some((index, part)) = parts.next() {
        let value = part_of_address(part)?;
        let last = parts.peek().is_none();
        let bits_left = 32u32.checked_sub(8 * index as u32).filter(|bits| *bits > 0)?;
        let bits = if last { bits_left } else { 8 };
        if value >> bits != 0 || (!last && index == 3) {
            return None;
        }
        address |= (value << (bits_left - bits)) as u32;
    }
    Some(Ipv4Addr::from_bits(address))
}

/// One part, at most 2³² - 1.
fn part_of_address(part: &str) -> Option<u64> {
    let (digits, radix) = match part.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&part[2..], 16),
        [b'0', _, ..] => (&part[1..], 8),
        _ => (part, 10),
    };
    // A sign, which from_str_radix would take, is none of the forms.
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok().map(u64::from)
}

/// The scope of an IPv6 address, as written after the `%`: an interface's name where the address is link-local, or a
/// number.
pub(super) fn scope(interfaces: &[Interface], address: Ipv6Addr, text: &str) -> Option<u32> {
    if means_an_interface(address)
        && let Ok(index) = if_nametoindex(interfaces, text)
    {
        return Some(index);
    }
    if !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Whether a scope of this address is an interface: link-local, unicast or multicast.
pub(super) fn means_an_interface(address: Ipv6Addr) -> bool {
    address.is_unicast_link_local() || (address.is_multicast() && address.octets()[1] & 0xf == 2)
}

/// The number of a service that is written as one, with strtoul(3)'s forms and an `int`'s width: negative numbers and
/// those of 2³¹ and above wrap around. `None` where it is a name.
pub(super) fn service_number(text: &str) -> Option<i32> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number = match digits.parse::<u64>() {
        Ok(number) if negative => number.wrapping_neg(),
        Ok(number) => number,
        Err(_) => u64::MAX,
    };
    Some(number as i32)
}

/// The IPv4 address that an IPv4-mapped address holds.
pub(super) fn unmapped(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(address) => address.to_ipv4_mapped(),
    }
}
