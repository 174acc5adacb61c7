//! What `recvmsg` with MSG_ERRQUEUE gives: a report of the error queue as data, name and control messages.

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use rustix::io::Errno;
use tapsock_stack::buf::Rope;
use tapsock_stack::error_queue::{Cause, IcmpCause, Report};
use tapsock_stack::time::Instant;
use tapsock_stack::udp::Datagram;
use tapsock_stack::wire::icmp::Extensions;

use crate::address::mapped;
use crate::beside;
use crate::constants::{MSG_ERRQUEUE, MSG_TRUNC};
use crate::control::{
    Control, ExtendedError, SO_EE_CODE_ZEROCOPY_COPIED, SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6,
    SO_EE_ORIGIN_LOCAL, SO_EE_ORIGIN_TIMESTAMPING, SO_EE_ORIGIN_ZEROCOPY,
};
use crate::destination;
use crate::errno::ToErrno;
use crate::options::Domain;
use crate::socket::{Call, Received};

/// The report as a receiving call that asked for `max` bytes gives it: the packet's payload, where it was to go, and as
/// the last control message a `sock_extended_err` with the address of who complains. Source: ip(7), ipv6(7).
pub(crate) fn received(call: &Call<'_>, report: Report, max: usize) -> Received {
    let Report { cause, mut payload, destination, at } = report;
    let (error, offender) = match cause {
        Cause::Local { error, info } => {
            let errno = error.errno().raw_os_error() as u32;
            (ExtendedError { errno, origin: SO_EE_ORIGIN_LOCAL, info, ..ExtendedError::default() }, None)
        }
        Cause::Icmp(icmp) => {
            let told = call.options().rare().tells_extensions(icmp.offender.is_ipv4());
            let at = icmp.extensions.filter(|_| told).map(|found| (found, payload.len()));
            let error = ExtendedError { data: at.map_or(0, extensions_at), ..of_icmp(&icmp) };
            (error, Some(SocketAddr::new(icmp.offender, 0)))
        }
        Cause::ZeroCopy { first, last } => {
            let (origin, code) = (SO_EE_ORIGIN_ZEROCOPY, SO_EE_CODE_ZEROCOPY_COPIED);
            (ExtendedError { origin, code, info: first, data: last, ..ExtendedError::default() }, None)
        }
        Cause::Stamp { kind, id } => {
            let (errno, origin) = (Errno::NOMSG.raw_os_error() as u32, SO_EE_ORIGIN_TIMESTAMPING);
            (ExtendedError { errno, origin, info: kind as u32, data: id, ..ExtendedError::default() }, None)
        }
    };
    let port = quoted_port(&payload);
    let cut = if payload.len() > max { MSG_TRUNC } else { 0 };
    payload.truncate(max);
    let stamps = match cause {
        Cause::ZeroCopy { .. } => [None, None],
        _ => beside::stamps_of_report(call.options(), at),
    };
    let mut control = match cause {
        Cause::Icmp(icmp) => beside::of_datagram(call, &as_datagram(&icmp, at), port),
        _ => Vec::new(),
    };
    for message in &mut control {
        // Linux has no answer in mind here, and says from where none would come.
        if let Control::PacketInfo4 { local, .. } = message {
            *local = Ipv4Addr::UNSPECIFIED;
        }
    }
    control.push(match call.domain() {
        Domain::V4 => Control::ExtendedError4(error, offender.and_then(only_v4)),
        Domain::V6 => Control::ExtendedError6(error, offender.map(mapped)),
    });
    Received {
        // Unlike with datagrams, MSG_TRUNC does not make the call return what there was.
        full_len: payload.len(),
        data: payload,
        ends_call: true,
        from: destination.map(|to| destination::shown(call.domain(), to)),
        flags: MSG_ERRQUEUE | cut,
        segment_size: None,
        stamps,
        control,
    }
}

/// The path to `to` was too narrow for a datagram that was not to be cut: what a plain receiving call tells of that, once
/// (IPV6_RECVPATHMTU). Source: RFC 3542 §11.3.
pub(crate) fn of_narrow_path(mut to: SocketAddrV6, mtu: u32) -> Received {
    to.set_port(0);
    let control = vec![Control::PathMtu { destination: to, mtu }];
    Received {
        from: Some(destination::shown(Domain::V6, SocketAddr::V6(to))),
        control,
        ..Received::default()
    }
}

/// A `struct sock_ee_data_rfc4884`: where in a report of `len` bytes the extensions begin, and whether they make no sense.
fn extensions_at((extensions, len): (Extensions, usize)) -> u32 {
    let at = u16::try_from(len.saturating_sub(extensions.len.into())).unwrap_or(u16::MAX).to_ne_bytes();
    u32::from_ne_bytes([at[0], at[1], u8::from(!extensions.valid), 0])
}

fn of_icmp(icmp: &IcmpCause) -> ExtendedError {
    let IcmpCause { error, kind, code, info, offender, .. } = *icmp;
    let errno = error.errno().raw_os_error() as u32;
    let origin = if offender.is_ipv4() { SO_EE_ORIGIN_ICMP } else { SO_EE_ORIGIN_ICMP6 };
    ExtendedError { errno, origin, kind, code, info, data: 0 }
}

/// The port that is told of where an ICMP message went (IP_RECVORIGDSTADDR): Linux reads it where that of a packet would
/// stand in what it quotes. That is TCP's port there, and the program's own bytes of a datagram; none where it is shorter.
fn quoted_port(payload: &Rope) -> Option<u16> {
    let mut head = [0; 4];
    (payload.copy_to(&mut head) == head.len()).then(|| u16::from_be_bytes([head[2], head[3]]))
}

/// The ICMP message, for who asks how packets came.
fn as_datagram(icmp: &IcmpCause, arrived: Instant) -> Datagram {
    Datagram {
        payload: Rope::new(),
        from: SocketAddr::new(icmp.offender, 0),
        to: icmp.to,
        to_port: 0,
        interface: icmp.interface,
        hop_limit: icmp.hop_limit,
        traffic_class: icmp.traffic_class,
        flow_label: 0,
        segment_size: None,
        arrived,
        drops_before: 0,
        ip_options: None,
    }
}

fn only_v4(address: SocketAddr) -> Option<SocketAddrV4> {
    match address {
        SocketAddr::V4(v4) => Some(v4),
        SocketAddr::V6(_) => None,
    }
}
