//! Options that the connection knows, or is told.

use rustix::io::Errno;
use tapsock_stack::fast_open::mode;
use tapsock_stack::stack::Stack;
use tapsock_stack::tcp::State;
use tapsock_stack::tcp::rare::QuickAck;
use tapsock_stack::time::Instant;

use super::{Phase, TcpSocket, is_over};
use crate::constants::{
    SOL_TCP, TCP_CC_INFO, TCP_CORK, TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE, TCP_INFO,
    TCP_MAXSEG, TCP_NODELAY, TCP_QUICKACK, TCP_WINDOW_CLAMP,
};
use crate::options::{Domain, OptionValue, read_int};
use crate::socket::Call;
use crate::tcp_info;

impl TcpSocket {
    /// The options that the connection knows better.
    pub(crate) fn live_option(
        &self,
        stack: &Stack,
        now: Instant,
        level: i32,
        name: i32,
    ) -> Option<OptionValue> {
        match (level, name) {
            (SOL_TCP, TCP_MAXSEG) => Some(stack.tcp(self.connection_id()?)?.mss().into()),
            (SOL_TCP, TCP_INFO) => Some(self.info(stack, now).into()),
            (SOL_TCP, TCP_CC_INFO) => {
                let words = stack.tcp(self.connection_id()?)?.congestion_info()?;
                Some(words.map(u32::to_ne_bytes).concat().into())
            }
            (SOL_TCP, TCP_QUICKACK) => {
                Some(stack.tcp(self.connection_id()?)?.is_acknowledging_quickly().into())
            }
            (SOL_TCP, TCP_WINDOW_CLAMP) => Some(stack.tcp(self.connection_id()?)?.window_clamp().into()),
            _ => None,
        }
    }

    /// The headers of the SYN that has opened the connection, once.
    pub(crate) fn saved_syn(&self, call: &mut Call<'_>) -> Vec<u8> {
        let saved = self.connection_id().and_then(|id| call.stack.tcp_take_saved_syn(id));
        saved.map_or(Vec::new(), Vec::from)
    }

    /// The clock of our timestamps; that of a socket without a connection has no offset.
    pub(crate) fn timestamp(&self, call: &Call<'_>) -> Vec<u8> {
        let own = self.connection_id().and_then(|id| call.stack.tcp_timestamp(call.now, id));
        own.unwrap_or(call.now.as_millis() as u32).to_ne_bytes().to_vec()
    }

    /// The bytes of a `struct tcp_info`.
    fn info(&self, stack: &Stack, now: Instant) -> Vec<u8> {
        match self.phase {
            Phase::Idle => tcp_info::without_connection(now),
            Phase::Listening(id) => tcp_info::of_listener(stack.listener_ready(id), stack.backlog(id)),
            Phase::Connecting(id) | Phase::Connected(id) | Phase::Failed(id) => {
                let is_v4 = stack.tcp_remote(id).is_none_or(|remote| remote.is_ipv4());
                let ip_header = if is_v4 { 20 } else { 40 };
                stack.tcp_info(id).map_or_else(
                    || tcp_info::without_connection(now),
                    |info| {
                        let times = stack.tcp(id).map(|connection| connection.send_times(now));
                        tcp_info::of_connection(&info, &times.unwrap_or_default(), ip_header, now)
                    },
                )
            }
        }
    }

    /// The largest packet that the path to the peer takes, in bytes.
    pub(crate) fn path_mtu(&self, call: &Call<'_>) -> Option<usize> {
        let id = self.connection_id()?;
        let open = call.stack.tcp(id).is_some_and(|connection| connection.state() != State::Closed);
        call.stack.tcp_path_mtu(call.now, id).filter(|_| open)
    }

    /// Whether the option may be set to that now: a window that is in use has some bound.
    pub(crate) fn check_option(
        &self,
        stack: &Stack,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<(), Errno> {
        if level == SOL_TCP {
            let (listens, idle) = (self.is_listening(), is_over(self.state(stack)) && !self.is_listening());
            // As Linux: what makes a SYN comes before it.
            match name {
                TCP_FASTOPEN | TCP_FASTOPEN_NO_COOKIE if !listens && !idle => return Err(Errno::INVAL),
                TCP_FASTOPEN_CONNECT if !idle && stack.config().tcp_fastopen & mode::CLIENT != 0 => {
                    return Err(Errno::INVAL);
                }
                _ => {}
            }
        }
        let unbounds = (level, name) == (SOL_TCP, TCP_WINDOW_CLAMP) && read_int(value) == Ok(0);
        let is_closed = is_over(self.state(stack)) && !self.is_listening();
        if unbounds && !is_closed { Err(Errno::INVAL) } else { Ok(()) }
    }

    /// What an option of TCP does once, when it is set.
    pub(crate) fn act_on(&self, call: &mut Call<'_>, name: i32, value: &[u8]) {
        if name == TCP_QUICKACK {
            self.acknowledge_quickly(call, read_int(value).unwrap_or(0));
        } else {
            self.flush_after(call, name);
        }
    }

    fn acknowledge_quickly(&self, call: &mut Call<'_>, number: i32) {
        let quick = match number {
            0 => QuickAck::Off,
            number if number & 1 == 0 => QuickAck::Once,
            _ => QuickAck::On,
        };
        if let Some(id) = self.connection_id() {
            call.stack.tcp_acknowledge_quickly(call.now, id, quick);
        }
    }

    /// tcp(7): TCP_NODELAY sends what waits, even where TCP_CORK holds it back. So does lifting the cork, with it.
    fn flush_after(&self, call: &mut Call<'_>, name: i32) {
        let options = &call.options().tcp;
        let flushes = options.no_delay && (name == TCP_NODELAY || name == TCP_CORK && !options.cork);
        if let Some(id) = self.connection_id().filter(|_| flushes) {
            call.stack.tcp_flush(call.now, id);
        }
    }

    /// Tells listener or connection of changed options.
    pub(crate) fn apply_options(&self, call: &mut Call<'_>) {
        if let Some(id) = self.bound_port() {
            call.stack.set_reuse(id, call.common.options.reuse());
            call.stack.set_bound_device(id, call.common.options.device);
        }
        match self.phase {
            Phase::Idle => {}
            Phase::Listening(id) => {
                let family = self.binding().map_or(call.domain(), |binding| binding.family());
                let wanted = call.options().for_connection(family);
                call.stack.replace_listener_options(id, wanted);
                call.stack.set_listener_way(id, call.options().way());
            }
            Phase::Connecting(id) | Phase::Connected(id) | Phase::Failed(id) => {
                let is_v4 = call.stack.tcp_remote(id).is_some_and(|remote| remote.is_ipv4());
                let wanted = call.options().for_connection(if is_v4 { Domain::V4 } else { Domain::V6 });
                call.stack.set_tcp_way(call.now, id, call.options().way());
                call.stack.set_tcp_reuse(id, call.common.options.reuse());
                call.stack.replace_tcp_options(call.now, id, wanted);
            }
        }
    }
}
