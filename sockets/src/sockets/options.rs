//! getsockopt and setsockopt.

use core::num::NonZeroU64;

use rustix::io::Errno;
use tapsock_stack::discovery::AutoLabel;
use tapsock_stack::time::Instant;

use super::Sockets;
use super::events::ARRIVAL;
use crate::address::SOCKADDR_IN6_LEN;
use crate::constants::*;
use crate::datagram::Memory;
use crate::device;
use crate::groups;
use crate::options::{Change, Domain, Kind, Limits, OptionValue};
use crate::socket::{Body, Call, Common, Permission, Socket};
use crate::table::Fd;
use crate::timestamping;

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
            if (level, name) == (SOL_SOCKET, SO_ERROR) {
                let error = match body {
                    Body::Tcp(tcp) => tcp.take_error(call),
                    Body::Udp(udp) => udp.take_error(call),
                    Body::Ping(ping) => ping.take_error(call),
                    Body::Raw(raw) => raw.take_error(call),
                };
                return Ok(error.map_or(0, Errno::raw_os_error).into());
            }
            if (level, name) == (SOL_SOCKET, SO_ACCEPTCONN) {
                return Ok(matches!(body, Body::Tcp(tcp) if tcp.is_listening()).into());
            }
            let subject = call.common.subject;
            match (level, name, &mut *body) {
                (SOL_SOCKET, SO_BINDTODEVICE, _) => return Ok(device::shown_name(call)),
                (SOL_SOCKET, SO_MEMINFO, Body::Tcp(tcp)) => {
                    let receive = tcp.receive_memory(call);
                    let send = (tcp.unacknowledged(call.stack), tcp.send_buffer(call));
                    return Ok(Memory { receive, send, drops: 0 }.shown());
                }
                (SOL_SOCKET, SO_RCVBUF, Body::Tcp(tcp)) => {
                    return Ok((tcp.receive_memory(call).1 as u32).into());
                }
                (SOL_SOCKET, SO_SNDBUF, Body::Tcp(tcp)) => return Ok((tcp.send_buffer(call) as u32).into()),
                (SOL_TCP, TCP_SAVED_SYN, Body::Tcp(tcp)) => return Ok(tcp.saved_syn(call).into()),
                (SOL_TCP, TCP_TIMESTAMP, Body::Tcp(tcp)) => return Ok(tcp.timestamp(call).into()),
                (SOL_SOCKET, SO_MEMINFO, body) => {
                    return Ok(Memory::from(body.mail(call.stack).ok_or(Errno::BADF)?).shown());
                }
                _ => {}
            }
            if (level, name) == (SOL_IPV6, IPV6_AUTOFLOWLABEL)
                && call.options().rare().labels == AutoLabel::Host
                && subject.domain == Domain::V6
            {
                return Ok(AutoLabel::Host.applies(call.stack.config().auto_flowlabels).into());
            }
            if (level, name) == (SOL_IPV6, IPV6_PATHMTU) && subject.domain == Domain::V6 {
                let mtu = match body {
                    Body::Tcp(tcp) => tcp.path_mtu(call),
                    Body::Udp(udp) => udp.path_mtu(call),
                    Body::Ping(ping) => ping.path_mtu(call),
                    Body::Raw(raw) => raw.path_mtu(call),
                };
                // As Linux, which leaves the address out.
                let mtu = u32::try_from(mtu.ok_or(Errno::NOTCONN)?).unwrap_or(u32::MAX);
                let info = [vec![0; SOCKADDR_IN6_LEN], mtu.to_ne_bytes().to_vec()].concat();
                let room = info.len();
                return Ok(OptionValue::from(info).needing(room));
            }
            if (level, name) == (SOL_IP, IP_MTU)
                || (level, name) == (SOL_IPV6, IPV6_MTU) && subject.domain == Domain::V6
            {
                let mtu = match body {
                    Body::Tcp(tcp) => tcp.path_mtu(call),
                    Body::Udp(udp) => udp.path_mtu(call),
                    Body::Raw(_) if level == SOL_IP && !subject.has_v4_options() => {
                        return Err(Errno::NOPROTOOPT);
                    }
                    Body::Raw(raw) => raw.path_mtu(call),
                    Body::Ping(ping) => ping.path_mtu(call),
                };
                return Ok(u32::try_from(mtu.ok_or(Errno::NOTCONN)?).unwrap_or(u32::MAX).into());
            }
            if let Body::Tcp(tcp) = body
                && let Some(value) = tcp.live_option(call.stack, call.now, level, name)
            {
                return Ok(value);
            }
            if let Body::Raw(raw) = body
                && let Some(answer) = raw.option(call, level, name)
            {
                return answer;
            }
            // The host's, where the socket has none of its own.
            if (level, name, subject.kind) == (SOL_TCP, TCP_FASTOPEN_KEY, Kind::Stream)
                && call.options().tcp.rare().fast_open_keys.is_none()
            {
                let keys = call.stack.config().tcp_fastopen_key;
                return Ok(keys.map_or(Vec::new(), |keys| keys.to_bytes()).into());
            }
            call.options().get(subject, level, name)
        })?;
        // ip(7): an `int` that is a byte is one where there is no room for more.
        let is_number = level == SOL_IP && ![IP_MULTICAST_IF, IP_OPTIONS].contains(&name);
        Ok(if is_number { value.or_byte() } else { value })
    }

    /// Sets an option: setsockopt(2). `value` is in the machine's byte order.
    ///
    /// Errors: EBADF, EINVAL where the value is too short or out of range or comes too late, ENOPROTOOPT, EDOM, ENOENT.
    pub fn set_option(
        &mut self,
        now: Instant,
        fd: Fd,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<(), Errno> {
        let outcome = self.call(now, fd, |call, body| {
            let limits = {
                let config = call.stack.config();
                Limits {
                    send_max: config.wmem_max,
                    receive_max: config.rmem_max,
                    fin_timeout_secs: config.tcp_options().fin_timeout_secs,
                    fast_open: config.tcp_fastopen,
                    backlog_max: config.somaxconn,
                    congestion: config.tcp_allowed_congestion_control,
                    privileged: call.permission == Permission::Privileged,
                }
            };
            if let (SOL_SOCKET, SO_BINDTODEVICE | SO_BINDTOIFINDEX) = (level, name) {
                call.common.options.device = device::wanted(call, name, value)?;
                apply(call, body);
                return Ok(());
            }
            if (level, name) == (SOL_SOCKET, SO_TIMESTAMPING) {
                return timestamping::set(call, body, value);
            }
            if let Body::Raw(raw) = body
                && let Some(outcome) = raw.set_option(call, level, name, value)
            {
                return outcome;
            }
            if let Some(outcome) = groups::set_option(call, body, level, name, value) {
                return outcome;
            }
            if let Body::Tcp(tcp) = &*body {
                tcp.check_option(call.stack, level, name, value)?;
            }
            let (before, subject) = (call.options().v6_only, call.common.subject);
            let Common { options, .. } = call.common;
            let change = options.set(subject, limits, level, name, value)?;
            if (level, name) == (SOL_IPV6, IPV6_V6ONLY) {
                let bound = match body {
                    Body::Tcp(tcp) => tcp.has_port(call.stack),
                    Body::Udp(udp) => udp.is_bound(call.stack),
                    Body::Ping(ping) => ping.is_bound(call.stack),
                    // Its protocol is as good as a port.
                    Body::Raw(_) => true,
                };
                // The address was taken with the old value.
                if bound {
                    call.common.options.v6_only = before;
                    return Err(Errno::INVAL);
                }
            }
            // Who asks for reports no more gets none of those that wait.
            if matches!((level, name), (SOL_IP, IP_RECVERR) | (SOL_IPV6, IPV6_RECVERR))
                && call.options().get(subject, level, name)?.as_int() == Some(0)
            {
                match body {
                    Body::Tcp(tcp) => tcp.drop_reports(call),
                    Body::Udp(udp) => udp.drop_reports(call),
                    Body::Ping(ping) => ping.drop_reports(call),
                    Body::Raw(raw) => raw.drop_reports(call),
                }
            }
            if let (SOL_UDP, UDP_CORK, Body::Udp(udp)) = (level, name, &mut *body) {
                udp.uncork(call);
            }
            if change == Change::Transport {
                call.common.options.tcp.share_with(call.known);
                apply(call, body);
                if let (Body::Tcp(tcp), SOL_TCP) = (body, level) {
                    tcp.act_on(call, name, value);
                }
            }
            Ok(())
        });
        // As Linux: those who wait for so much are told anew, where it is there.
        if outcome.is_ok() && (level, name) == (SOL_SOCKET, SO_RCVLOWAT) && self.has_enough(fd) {
            self.tell(fd, ARRIVAL);
        }
        outcome
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

    fn has_enough(&self, fd: Fd) -> bool {
        match self.table.get(fd) {
            Some(Socket { common, body: Body::Tcp(tcp) }) => tcp.has_enough(&self.stack, &common.options),
            _ => false,
        }
    }
}

/// Tells the stack of changed options.
fn apply(call: &mut Call<'_>, body: &mut Body) {
    match body {
        Body::Tcp(tcp) => tcp.apply_options(call),
        Body::Udp(udp) => udp.apply_options(call),
        Body::Ping(ping) => ping.apply_options(call),
        Body::Raw(raw) => raw.apply_options(call),
    }
}
