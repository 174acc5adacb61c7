//! Fast open (RFC 7413) through the stack: connections that begin with data, on either side.

use core::time::Duration;
use std::collections::VecDeque;

use crate::buf::Rope;
use crate::counters::Counter;
use crate::demux::FlowKey;
use crate::fast_open::key::Validity;
use crate::fast_open::{FastOpenKey, FastOpenKeys, mode};
use crate::iface::Way;
use crate::ip::input::Packet;
use crate::ports::{BindId, PortLimits};
use crate::tcp::connection::Opening;
use crate::tcp::fast_open::{Greeting, News};
use crate::tcp::listener::accepted_at_once;
use crate::tcp::segment::Segment;
use crate::tcp::{Connection, SharedOptions};
use crate::time::Instant;
use crate::wire::FastOpenOption;

use super::tcp_handshake::headers_of;
use super::tcp_open::ConnectError;
use super::tcp_table::{Listener, TcpId};
use super::{Changes, Stack};

/// How long a connection counts that its peer has reset, so that who forges addresses can't open one after another. As
/// Linux.
const RESET_COUNTS_FOR: Duration = Duration::from_secs(60);

/// The connections of a listener whose handshakes are not done while their programs may use them. Bounded by the
/// listener's `fast_open_queue`.
#[derive(Debug, Default)]
pub(super) struct EarlyCount {
    open: u32,
    /// When connections were reset that had been accepted, the first one first.
    resets: VecDeque<Instant>,
}

impl EarlyCount {
    /// Whether one more may be opened, of `most`.
    //= RFC 7413 §5.1
    //= RFC 7413 §4.2 MUST-3
    fn admits(&mut self, now: Instant, most: u32) -> bool {
        let count = self.open as usize + self.resets.len();
        if count < most as usize {
            return true;
        }
        // As Linux: one place at a time.
        if self.resets.front().is_none_or(|at| now < *at + RESET_COUNTS_FOR) {
            return false;
        }
        self.resets.pop_front();
        true
    }

    fn settle(&mut self, now: Instant, counts_on: bool) {
        self.open = self.open.saturating_sub(1);
        if counts_on {
            self.resets.push_back(now);
        }
    }
}

/// What a listener does about a SYN.
#[derive(Debug)]
pub(super) enum Entrance {
    /// The handshake as ever; its SYN-ACK bears that option.
    Ordinary(Option<FastOpenOption>),
    /// The connection is open at once; its SYN-ACK bears that option.
    Early(Option<FastOpenOption>),
}

impl Stack {
    /// Begins a connection in which nothing is sent until [`tcp_begin`](Stack::tcp_begin): its address, its port and its
    /// way are fixed, as by `connect` with `TCP_FASTOPEN_CONNECT`, or in `sendto` with `MSG_FASTOPEN`.
    ///
    /// Errors: [`ConnectError`].
    pub fn tcp_hold(
        &mut self,
        now: Instant,
        bind: Option<BindId>,
        remote: core::net::SocketAddr,
        options: impl Into<SharedOptions>,
        way: Way,
        ports: PortLimits,
    ) -> Result<TcpId, ConnectError> {
        self.tcp_open(now, bind, remote, options.into(), (way, ports), |_, opening, options| {
            Connection::hold(opening, options)
        })
    }

    /// Whether the SYN of a held connection may carry data.
    pub fn tcp_may_carry_data(&self, now: Instant, id: TcpId) -> bool {
        self.greeting(now, id).carries_data
    }

    /// Sends the SYN of a held connection, with as much of `data` as goes with it; says how much that is.
    //= RFC 7413 §4.2.1
    pub fn tcp_begin(&mut self, now: Instant, id: TcpId, data: Rope) -> usize {
        let greeting = self.greeting(now, id);
        let Some(slot) = self.tcp.slot_mut(id) else { return 0 };
        let count = slot.connection.begin(now, greeting, data);
        self.after_call(now, id);
        count
    }

    /// A program waits to write until the handshake is done: its acknowledgement goes with the data.
    pub fn tcp_await_open(&mut self, id: TcpId) {
        if let Some(slot) = self.tcp.slot_mut(id) {
            slot.connection.await_open();
        }
    }

    fn greeting(&self, now: Instant, id: TcpId) -> Greeting {
        let Some(slot) = self.tcp.slot(id) else { return Greeting::default() };
        let (local, server) = (slot.key.local().ip(), slot.key.remote().ip());
        let advice = self.fast_open.advice(local, server);
        let without = slot.connection.options().rare().fast_open_without_cookie
            || self.config.tcp_fastopen & mode::CLIENT_WITHOUT_COOKIE != 0;
        if self.fast_open.is_paused(now, self.config.tcp_fastopen_blackhole_timeout) {
            // As Linux: not even asked for.
            Greeting { option: None, carries_data: false, mss: advice.mss }
        } else if without {
            Greeting { option: None, carries_data: true, mss: advice.mss }
        } else {
            Greeting { option: Some(advice.option), carries_data: advice.has_cookie(), mss: advice.mss }
        }
    }

    /// Forgets the cookies that servers have given us (`ip tcp_metrics flush`).
    pub fn flush_fast_open(&mut self) {
        self.fast_open.flush();
    }

    /// The keys of cookies where a listener has none of its own: those of the setting, or such that nobody knows.
    fn host_keys(&self) -> FastOpenKeys {
        self.config.tcp_fastopen_key.unwrap_or_else(|| {
            let half = |number: u8| self.secret.hash(&[b"fast open", &[number]]).to_le_bytes();
            let mut bytes = [0; FastOpenKey::LEN];
            bytes[..8].copy_from_slice(&half(0));
            bytes[8..].copy_from_slice(&half(1));
            FastOpenKeys::new(FastOpenKey::new(bytes))
        })
    }

    /// What a listener does about a SYN, as to fast open.
    //= RFC 7413 §4.2.2
    //= RFC 7413 §4.2 MUST-1
    //= RFC 7413 §4.2 MUST-2
    pub(super) fn entrance(&mut self, now: Instant, index: u32, key: &FlowKey, syn: &Segment) -> Entrance {
        let option = syn.options.fast_open;
        let asks = option.is_some_and(|option| option.cookie.is_request());
        if asks {
            self.counters.bump(Counter::TcpExtTCPFastOpenCookieReqd);
        }
        let bits = self.config.tcp_fastopen;
        if bits & mode::SERVER == 0 || syn.payload.is_empty() && option.is_none() {
            return Entrance::Ordinary(None);
        }
        let host_keys = self.host_keys();
        let Some(listener) = self.tcp.listener_at(index) else { return Entrance::Ordinary(None) };
        let most = listener.options.rare().fast_open_queue;
        if !listener.early.admits(now, most) {
            self.counters.bump(Counter::TcpExtTCPFastOpenListenOverflow);
            return Entrance::Ordinary(None);
        }
        let rare = listener.options.rare();
        let keys = rare.fast_open_keys.unwrap_or(host_keys);
        if rare.fast_open_without_cookie || bits & mode::SERVER_WITHOUT_COOKIE != 0 {
            return Entrance::Early(None);
        }
        let Some(FastOpenOption { cookie, form }) = option else { return Entrance::Ordinary(None) };
        let (client, server) = (key.remote().ip(), key.local().ip());
        if asks {
            let cookie = keys.cookie(client, server);
            return Entrance::Ordinary(Some(FastOpenOption { cookie, form }));
        }
        match keys.check(&cookie, client, server) {
            Validity::Yes => Entrance::Early(None),
            Validity::Replace(cookie) => {
                self.counters.bump(Counter::TcpExtTCPFastOpenPassiveAltKey);
                Entrance::Early(Some(FastOpenOption { cookie, form }))
            }
            Validity::No => {
                self.counters.bump(Counter::TcpExtTCPFastOpenPassiveFail);
                let cookie = keys.cookie(client, server);
                Entrance::Ordinary(Some(FastOpenOption { cookie, form }))
            }
        }
    }

    /// Opens a connection to its program before the handshake is done.
    //= RFC 7413 §4.2.2
    pub(super) fn open_early(
        &mut self,
        now: Instant,
        index: u32,
        (key, syn, packet): (FlowKey, &Segment, &Packet),
        opening: Opening,
        option: Option<FastOpenOption>,
    ) {
        let Some(listener) = self.tcp.listener_at(index) else { return };
        let (options, way, bind) = (listener.options.clone(), listener.way, listener.bind);
        let accepted = accepted_at_once(now, syn, opening, &options);
        let Some(hop) = self.hop_back(&key, way) else { return };
        let reuse = self.ports.reuse(bind).unwrap_or_default();
        self.counters.bump(Counter::TcpPassiveOpens);
        self.counters.bump(Counter::TcpExtTCPFastOpenPassive);
        let saved = (options.rare().save_syn > 0).then(|| headers_of(packet));
        let options = options.of_accepted();
        let connection = Connection::accept_early(now, accepted, options, syn.payload.clone(), option);
        let id = self.enter(connection, key, hop, reuse, way);
        self.keep_syn(id, saved);
        let listener_id = self.tcp.listener_id(index);
        self.tcp.early_of.extend(listener_id.map(|listener| (id.index, listener)));
        if let Some(listener) = self.tcp.listener_at(index) {
            listener.early.open += 1;
            listener.accept.push_back(id);
        }
        self.tell_listener(index, Changes::ARRIVAL);
        self.settle(now, id.index);
    }

    /// Takes what a connection has learned of fast opens.
    pub(super) fn take_fast_open_news(&mut self, now: Instant, index: u32) {
        let Some(slot) = self.tcp.at(index) else { return };
        let Some(news) = slot.connection.poll_fast_open() else { return };
        let (local, remote) = (slot.key.local().ip(), slot.key.remote().ip());
        match news {
            News::Learned(learned) => self.fast_open.learn(local, remote, learned),
            // As Linux: one to ourselves proves nothing.
            News::GotThrough if remote.is_loopback() => {}
            News::GotThrough => self.fast_open.end_doubt(now, self.config.tcp_fastopen_blackhole_timeout),
            News::BlackHole if self.config.tcp_fastopen_blackhole_timeout.is_zero() => {}
            News::BlackHole => {
                self.counters.bump(Counter::TcpExtTCPFastOpenBlackhole);
                self.fast_open.pause(now);
            }
            News::Settled { reset } => {
                let early_of = self.tcp.early_of.remove(&index);
                let Some(id) = self.tcp.id_of(index) else { return };
                if let Some(listener) = early_of.and_then(|listener| self.tcp.listener_mut(listener)) {
                    let counts_on = reset && was_accepted(listener, id);
                    listener.early.settle(now, counts_on);
                }
            }
        }
    }

    /// Whether a connection that a peer has opened early still waits to be accepted.
    pub(super) fn is_early_unaccepted(&self, index: u32) -> bool {
        let Some(id) = self.tcp.id_of(index) else { return false };
        let listener = self.tcp.early_of.get(&index);
        listener.and_then(|id| self.tcp.listener(*id)).is_some_and(|listener| !was_accepted(listener, id))
    }
}

fn was_accepted(listener: &Listener, id: TcpId) -> bool {
    !listener.accept.contains(&id)
}
