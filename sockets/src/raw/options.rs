//! The options that raw sockets alone have.

use rustix::io::Errno;
use tapsock_stack::raw::{Headers, TypeFilter};

use super::RawSocket;
use crate::constants::*;
use crate::options::{Domain, OptionValue, read_int, read_ip_int};
use crate::socket::Call;

impl RawSocket {
    /// An option of raw sockets; `None` where it is none. Errors: EOPNOTSUPP for a filter of types where the protocol
    /// is not ICMP, ENOPROTOOPT.
    pub(crate) fn option(
        &self,
        call: &Call<'_>,
        level: i32,
        name: i32,
    ) -> Option<Result<OptionValue, Errno>> {
        let socket = call.stack.raw(self.id)?;
        let protocol = i32::from(socket.protocol());
        let included = i32::from(socket.headers == Headers::Application);
        Some(match (call.domain(), level, name) {
            (Domain::V4, SOL_IP, IP_HDRINCL) => Ok(included.into()),
            (Domain::V4, SOL_RAW, ICMP_FILTER) if protocol == IPPROTO_ICMP => {
                Ok(socket.filter.words[0].to_ne_bytes().to_vec().into())
            }
            (Domain::V4, SOL_RAW, ICMP_FILTER) => Err(Errno::OPNOTSUPP),
            (Domain::V6, SOL_IPV6 | SOL_RAW, IPV6_HDRINCL) => Ok(included.into()),
            (Domain::V6, SOL_IPV6 | SOL_RAW, IPV6_CHECKSUM) => {
                let offset = socket.checksum_at.and_then(|offset| i32::try_from(offset).ok());
                Ok(offset.unwrap_or(-1).into())
            }
            (Domain::V6, SOL_ICMPV6, _) if protocol != IPPROTO_ICMPV6 => Err(Errno::OPNOTSUPP),
            (Domain::V6, SOL_ICMPV6, ICMP6_FILTER) => {
                let bytes = socket.filter.words.iter().flat_map(|word| word.to_ne_bytes());
                Ok(bytes.collect::<Vec<u8>>().into())
            }
            (_, SOL_RAW, _) | (Domain::V6, SOL_ICMPV6, _) => Err(Errno::NOPROTOOPT),
            _ => return None,
        })
    }

    /// Sets an option of raw sockets; `None` where it is none. Errors: EINVAL where the value is too short, or where a
    /// checksum can't stand or, of ICMPv6, can't be moved; EOPNOTSUPP, ENOPROTOOPT.
    //= RFC 3542 §3.1
    pub(crate) fn set_option(
        &self,
        call: &mut Call<'_>,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Option<Result<(), Errno>> {
        let domain = call.domain();
        let socket = call.stack.raw_mut(self.id)?;
        let protocol = i32::from(socket.protocol());
        let headers = |on: i32| if on == 0 { Headers::Stack } else { Headers::Application };
        Some(match (domain, level, name) {
            (Domain::V4, SOL_IP, IP_HDRINCL) => read_ip_int(value).map(|on| socket.headers = headers(on)),
            (Domain::V4, SOL_RAW, ICMP_FILTER) if protocol == IPPROTO_ICMP => {
                write_filter(&mut socket.filter, 1, value);
                Ok(())
            }
            (Domain::V4, SOL_RAW, ICMP_FILTER) => Err(Errno::OPNOTSUPP),
            (Domain::V6, SOL_IPV6 | SOL_RAW, IPV6_HDRINCL) => {
                read_int(value).map(|on| socket.headers = headers(on))
            }
            (Domain::V6, SOL_IPV6 | SOL_RAW, IPV6_CHECKSUM) => match read_int(value) {
                Err(error) => Err(error),
                Ok(_) if level == SOL_IPV6 && protocol == IPPROTO_ICMPV6 => Err(Errno::INVAL),
                Ok(offset) if offset > 0 && offset % 2 != 0 => Err(Errno::INVAL),
                Ok(offset) => {
                    socket.checksum_at = u32::try_from(offset).ok();
                    Ok(())
                }
            },
            (Domain::V6, SOL_ICMPV6, _) if protocol != IPPROTO_ICMPV6 => Err(Errno::OPNOTSUPP),
            (Domain::V6, SOL_ICMPV6, ICMP6_FILTER) => {
                write_filter(&mut socket.filter, 8, value);
                Ok(())
            }
            (Domain::V6, SOL_RAW, _) if value.len() < size_of::<i32>() => Err(Errno::INVAL),
            (_, SOL_RAW, _) | (Domain::V6, SOL_ICMPV6, _) => Err(Errno::NOPROTOOPT),
            _ => return None,
        })
    }
}

/// Writes the first bytes of the first `words` words; a shorter value leaves the others as they are.
fn write_filter(filter: &mut TypeFilter, words: usize, value: &[u8]) {
    let mut bytes: Vec<u8> = filter.words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let len = value.len().min(words * size_of::<u32>());
    bytes[..len].copy_from_slice(&value[..len]);
    for (word, bytes) in filter.words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_ne_bytes(*bytes);
    }
}
