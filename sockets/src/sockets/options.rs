//! setsockopt: which options are more than a value that is kept, and who has to learn of the others.

use rustix::io::Errno;
use tapsock_stack::time::Instant;

use super::Sockets;
use super::events::ARRIVAL;
use crate::constants::*;
use crate::device;
use crate::groups;
use crate::options::{Change, Limits};
use crate::socket::{Body, Call, Permission, Socket};
use crate::table::Fd;
use crate::timestamping;

impl Sockets {
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
        let outcome = self.call(now, fd, |call, body| match set_more(call, body, level, name, value) {
            Some(outcome) => outcome,
            None => {
                let change = keep(call, body, level, name, value)?;
                act(call, body, level, name, value, change)
            }
        });
        // As Linux: those who wait for so much are told anew, where it is there.
        if outcome.is_ok() && (level, name) == (SOL_SOCKET, SO_RCVLOWAT) && self.has_enough(fd) {
            self.tell(fd, ARRIVAL);
        }
        outcome
    }

    fn has_enough(&self, fd: Fd) -> bool {
        match self.table.get(fd) {
            Some(Socket { common, body: Body::Tcp(tcp) }) => tcp.has_enough(&self.stack, &common.options),
            _ => false,
        }
    }
}

/// Sets one that does more than to keep a value; `None` for the others.
fn set_more(
    call: &mut Call<'_>,
    body: &mut Body,
    level: i32,
    name: i32,
    value: &[u8],
) -> Option<Result<(), Errno>> {
    match (level, name) {
        (SOL_SOCKET, SO_BINDTODEVICE | SO_BINDTOIFINDEX) => {
            Some(device::wanted(call, name, value).map(|device| {
                call.common.options.device = device;
                body.apply_options(call);
            }))
        }
        (SOL_SOCKET, SO_TIMESTAMPING) => Some(timestamping::set(call, body, value)),
        _ => {
            let of_raw = match body {
                Body::Raw(raw) => raw.set_option(call, level, name, value),
                Body::Tcp(_) | Body::Udp(_) | Body::Ping(_) => None,
            };
            of_raw.or_else(|| groups::set_option(call, body, level, name, value))
        }
    }
}

/// Keeps the value, where it does not come too late.
fn keep(call: &mut Call<'_>, body: &Body, level: i32, name: i32, value: &[u8]) -> Result<Change, Errno> {
    if let Body::Tcp(tcp) = body {
        tcp.check_option(call.stack, level, name, value)?;
    }
    let (before, subject, limits) = (call.options().v6_only, call.common.subject, limits(call));
    let change = call.common.options.set(subject, limits, level, name, value)?;
    // The address was taken with the old value.
    if (level, name) == (SOL_IPV6, IPV6_V6ONLY) && body.is_bound(call.stack) {
        call.common.options.v6_only = before;
        return Err(Errno::INVAL);
    }
    Ok(change)
}

/// What the host allows.
fn limits(call: &Call<'_>) -> Limits {
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
}

/// Does what a new value asks for at once, and tells whom it concerns.
fn act(
    call: &mut Call<'_>,
    body: &mut Body,
    level: i32,
    name: i32,
    value: &[u8],
    change: Change,
) -> Result<(), Errno> {
    match (level, name, &mut *body) {
        // Who asks for reports no more gets none of those that wait.
        (SOL_IP, IP_RECVERR, body) | (SOL_IPV6, IPV6_RECVERR, body) => {
            let subject = call.common.subject;
            if call.options().get(subject, level, name)?.as_int() == Some(0) {
                body.drop_reports(call);
            }
        }
        (SOL_UDP, UDP_CORK, Body::Udp(udp)) => udp.uncork(call),
        _ => {}
    }
    if change == Change::Transport {
        call.common.options.tcp.share_with(call.known);
        body.apply_options(call);
        if let (Body::Tcp(tcp), SOL_TCP) = (body, level) {
            tcp.act_on(call, name, value);
        }
    }
    Ok(())
}
