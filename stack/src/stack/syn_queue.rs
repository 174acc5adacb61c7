//! Whether a SYN finds room, and what is done where it finds none (RFC 4987).

use crate::config::Config;
use crate::counters::Counter;
use crate::demux::FlowKey;
use crate::iface::NextHop;
use crate::tcp::handshake::Accepted;
use crate::tcp::segment::{Control, Segment};
use crate::tcp::syn_cookie;
use crate::time::Instant;

use super::Stack;

/// Whether there is room for one more half-open connection.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum RoomForSyn {
    Yes,
    /// None; the SYN counts there, besides.
    No(Option<Counter>),
    /// None here, but the peer can keep it.
    ByCookie,
}

/// Whether a segment brings a cookie back.
#[derive(Debug)]
pub(super) enum Returned {
    No,
    Yes(Accepted),
    /// It does, but the accept queue is full.
    InVain,
}

impl Config {
    /// Whether a listener with `pending` half-open connections has room for one more. As Linux: the backlog bounds them,
    /// and where there are no cookies the last quarter of `tcp_max_syn_backlog` is for peers that are known.
    //= RFC 4987 §3.4
    pub(super) fn room_for_syn(&self, pending: usize, backlog: usize) -> RoomForSyn {
        let full = pending > backlog;
        if self.tcp_syncookies == 2 || full && self.tcp_syncookies == 1 {
            return RoomForSyn::ByCookie;
        }
        let most = self.tcp_max_syn_backlog as usize;
        match (full, self.tcp_syncookies) {
            (true, _) => RoomForSyn::No(Some(Counter::TcpExtTCPReqQFullDrop)),
            (false, 0) if most < pending + most / 4 => RoomForSyn::No(None),
            _ => RoomForSyn::Yes,
        }
    }
}

impl Stack {
    /// The SYN-ACK that has the peer keep the half-open connection.
    //= RFC 4987 §3.6
    pub(super) fn cookie_for(
        &mut self,
        now: Instant,
        index: u32,
        key: &FlowKey,
        syn: &Segment,
        hop: &NextHop,
    ) -> Option<Segment> {
        let opening = self.opening(now, key, hop, 0);
        let Stack { tcp, secret, .. } = self;
        let listener = tcp.listener_at(index)?;
        listener.cookies.note(now);
        let secret = |tick| key.secret_of_cookie(secret, tick);
        Some(syn_cookie::syn_ack(now, syn, opening, &listener.options.over(&hop.tcp), &secret))
    }

    /// Looks whether a segment for a listener brings back what a cookie told it.
    //= RFC 4987 §3.6
    pub(super) fn on_cookie(
        &mut self,
        now: Instant,
        index: u32,
        key: &FlowKey,
        segment: &Segment,
    ) -> Returned {
        let Some(listener) = self.tcp.listener_at(index) else { return Returned::No };
        let plain = !matches!(segment.control, Some(Control::Syn | Control::Rst));
        if !plain || self.config.tcp_syncookies == 0 || !listener.cookies.awaits_any(now) {
            return Returned::No;
        }
        let way = listener.way;
        let Some(hop) = self.hop_back(key, way) else { return Returned::No };
        let opening = self.opening(now, key, &hop, 0);
        let Stack { tcp, secret, counters, .. } = self;
        let Some(listener) = tcp.listener_at(index) else { return Returned::No };
        let secret = |tick| key.secret_of_cookie(secret, tick);
        let options = listener.options.over(&hop.tcp);
        let Some(accepted) = syn_cookie::accept(now, segment, opening, &options, &secret) else {
            counters.bump(Counter::TcpExtSyncookiesFailed);
            return Returned::No;
        };
        counters.bump(Counter::TcpExtSyncookiesRecv);
        if listener.accept.len() > listener.backlog {
            counters.bump(Counter::TcpExtListenOverflows);
            counters.bump(Counter::TcpExtListenDrops);
            return Returned::InVain;
        }
        Returned::Yes(accepted)
    }
}
