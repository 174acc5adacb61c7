//! getsockopt: what was set, and what only the socket's state, the host or the connection can tell.

use core::num::NonZeroU64;

use rustix::io::Errno;
use tapsock_stack::discovery::AutoLabel;
use tapsock_stack::time::Instant;

use super::Sockets;
use crate::address::SOCKADDR_IN6_LEN;
use crate::constants::*;
use crate::datagram::Memory;
use crate::device;
use crate::groups;
use crate::options::{Domain, Kind, OptionValue};
use crate::socket::{Body, Call};
use crate::table::Fd;

impl Sockets {
    /// The value of an option: getsockopt(2). SO_ERROR is taken by it.
    ///
    /// Errors: EBADF, ENOPROTOOPT for an option that is not there, EOPNOTSUPP for a level that is another protocol's.
    pub fn option(&mut self, now: Instant, fd: Fd, level: i32, name: i32) -> Result<OptionValue, Errno> {
        self.option_about(now, fd, level, name, &[])
    }

    /// The value of an option that is asked about something, which the caller's memory names: the group of IP_MSFILTER and
    /// MCAST_MSFILTER. Others are as [`option`](Self::option) has them.
    ///
    /// Errors: besides those EINVAL where `asked` is too short or names no group, ENODEV, EADDRNOTAVAIL where the socket is not
    /// in the group.
    pub fn option_about(
        &mut self,
        now: Instant,
        fd: Fd,
        level: i32,
        name: i32,
        asked: &[u8],
    ) -> Result<OptionValue, Errno> {
        if (level, name) == (SOL_SOCKET, SO_COOKIE) {
            let cookie = self.cookie(fd)?.to_ne_bytes();
            return Ok(OptionValue::from(cookie.to_vec()).needing(cookie.len()));
        }
        let value = self.call(now, fd, |call, body| {
            if let Some(answer) = groups::option(call, body, (level, name), asked) {
                return answer;
            }
            let told = match level {
                SOL_SOCKET => of_state(call, body, name),
                _ => of_path(call, body, level, name).or_else(|| of_host(call, level, name)),
            };
            if let Some(answer) = told.or_else(|| of_body(call, body, level, name)) {
                return answer;
            }
            let subject = call.common.subject;
            call.options().get(subject, level, name)
        })?;
        // ip(7): an `int` that is a byte is one where there is no room for more.
        let is_number = level == SOL_IP && ![IP_MULTICAST_IF, IP_OPTIONS].contains(&name);
        Ok(if is_number { value.or_byte() } else { value })
    }

    /// The number that no other socket of the host ever has. As on Linux, it is given when it is asked for first.
    fn cookie(&mut self, fd: Fd) -> Result<u64, Errno> {
        let known = self.open(fd).ok_or(Errno::BADF)?.common.options.rare().cookie;
        if let Some(cookie) = known {
            return Ok(cookie.get());
        }
        // Even: local sockets, which are not in this table, have the odd ones.
        let cookie = 2 * (self.numbered + 1);
        let socket = self.table.get_mut(fd).ok_or(Errno::BADF)?;
        socket.common.options.rare_mut().cookie = NonZeroU64::new(cookie);
        self.numbered += 1;
        Ok(cookie)
    }
}

/// What an option of any socket says of its state; `None` where it says what was set.
fn of_state(call: &mut Call<'_>, body: &mut Body, name: i32) -> Option<Result<OptionValue, Errno>> {
    Some(Ok(match (name, body) {
        (SO_ERROR, body) => body.take_error(call).map_or(0, Errno::raw_os_error).into(),
        (SO_ACCEPTCONN, body) => matches!(body, Body::Tcp(tcp) if tcp.is_listening()).into(),
        (SO_BINDTODEVICE, _) => device::shown_name(call),
        (SO_MEMINFO, Body::Tcp(tcp)) => {
            let receive = tcp.receive_memory(call);
            let send = (tcp.unacknowledged(call.stack), tcp.send_buffer(call));
            Memory { receive, send, drops: 0 }.shown()
        }
        (SO_MEMINFO, body) => match body.mail(call.stack) {
            Some(mail) => Memory::from(mail).shown(),
            None => return Some(Err(Errno::BADF)),
        },
        (SO_RCVBUF, Body::Tcp(tcp)) => (tcp.receive_memory(call).1 as u32).into(),
        (SO_SNDBUF, Body::Tcp(tcp)) => (tcp.send_buffer(call) as u32).into(),
        _ => return None,
    }))
}

/// What the path to the peer takes (IP_MTU, IPV6_MTU, IPV6_PATHMTU); `None` for other options.
///
/// Errors: ENOTCONN without a peer, ENOPROTOOPT for IPv4's of a raw socket of IPv6.
fn of_path(call: &Call<'_>, body: &Body, level: i32, name: i32) -> Option<Result<OptionValue, Errno>> {
    let subject = call.common.subject;
    match (level, name) {
        (SOL_IP, IP_MTU) => {}
        (SOL_IPV6, IPV6_MTU | IPV6_PATHMTU) if subject.domain == Domain::V6 => {}
        _ => return None,
    }
    if level == SOL_IP && matches!(body, Body::Raw(_)) && !subject.has_v4_options() {
        return Some(Err(Errno::NOPROTOOPT));
    }
    let mtu = body.path_mtu(call).map(|mtu| u32::try_from(mtu).unwrap_or(u32::MAX));
    Some(mtu.ok_or(Errno::NOTCONN).map(|mtu| match (level, name) {
        // As Linux, which leaves the address out.
        (SOL_IPV6, IPV6_PATHMTU) => {
            let info = [vec![0; SOCKADDR_IN6_LEN], mtu.to_ne_bytes().to_vec()].concat();
            let room = info.len();
            OptionValue::from(info).needing(room)
        }
        _ => mtu.into(),
    }))
}

/// What the host has set, where the socket has nothing of its own.
fn of_host(call: &Call<'_>, level: i32, name: i32) -> Option<Result<OptionValue, Errno>> {
    let (subject, config) = (call.common.subject, call.stack.config());
    match (level, name) {
        (SOL_IPV6, IPV6_AUTOFLOWLABEL)
            if subject.domain == Domain::V6 && call.options().rare().labels == AutoLabel::Host =>
        {
            Some(Ok(AutoLabel::Host.applies(config.auto_flowlabels).into()))
        }
        (SOL_TCP, TCP_FASTOPEN_KEY)
            if subject.kind == Kind::Stream && call.options().tcp.rare().fast_open_keys.is_none() =>
        {
            Some(Ok(config.tcp_fastopen_key.map_or(Vec::new(), |keys| keys.to_bytes()).into()))
        }
        _ => None,
    }
}

/// What options say that only this kind of sockets has, of its connection or of what it filters.
fn of_body(
    call: &mut Call<'_>,
    body: &mut Body,
    level: i32,
    name: i32,
) -> Option<Result<OptionValue, Errno>> {
    match (body, level, name) {
        (Body::Tcp(tcp), SOL_TCP, TCP_SAVED_SYN) => Some(Ok(tcp.saved_syn(call).into())),
        (Body::Tcp(tcp), SOL_TCP, TCP_TIMESTAMP) => Some(Ok(tcp.timestamp(call).into())),
        (Body::Tcp(tcp), _, _) => tcp.live_option(call.stack, call.now, level, name).map(Ok),
        (Body::Raw(raw), _, _) => raw.option(call, level, name),
        (Body::Udp(_) | Body::Ping(_), _, _) => None,
    }
}
