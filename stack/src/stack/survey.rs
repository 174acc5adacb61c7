//! All sockets and connections, for those who look at a host from outside (`ss`).

use core::net::SocketAddr;
use core::time::Duration;

use super::{Family, Stack, TcpId};
use crate::iface::InterfaceId;
use crate::ports::LocalAddr;
use crate::tcp::State;
use crate::tcp::config::CongestionKind;
use crate::tcp::timers::Timer;
use crate::time::Instant;

/// The most entries of one survey. Further ones are counted ([`Survey::left_out`]).
pub const SURVEY_MAX: usize = 65_536;

/// Which sockets.
///
/// ```
/// use tapsock_stack::stack::Surveyed;
///
/// assert_ne!(Surveyed::Tcp, Surveyed::Udp);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum Surveyed {
    /// Connections, listeners and what is left of connections.
    Tcp,
    /// UDP sockets.
    Udp,
    /// Ping sockets.
    Ping,
    /// Raw sockets of this protocol.
    Raw(u16),
}

/// How far a socket is.
///
/// ```
/// use tapsock_stack::stack::Stage;
///
/// assert_ne!(Stage::Listening, Stage::TimeWait);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Stage {
    /// A connection in that state.
    Tcp(State),
    /// A listener.
    Listening,
    /// A connection whose handshake a listener waits for.
    HalfOpen,
    /// What is left of a connection.
    TimeWait,
    /// A datagram socket with a peer.
    Connected,
    /// One without.
    Unconnected,
}

/// What a connection waits for.
///
/// ```
/// use tapsock_stack::stack::Watch;
///
/// assert_ne!(Watch::Retransmission, Watch::KeepAlive);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum Watch {
    /// That what was sent is acknowledged.
    Retransmission,
    /// That the peer's window opens.
    Persist,
    /// That the peer is still there.
    KeepAlive,
    /// That nobody needs the tuple any more, or that the peer closes.
    TimeWait,
}

/// A socket or connection at one moment.
#[derive(Copy, Clone, Debug)]
pub struct Entry {
    /// What it is.
    pub kind: Surveyed,
    /// The family of the socket.
    pub family: Family,
    /// Whether it is for that family only.
    pub only: bool,
    /// How far it is.
    pub stage: Stage,
    /// Its own address; the port is 0 where it has none.
    pub local: SocketAddr,
    /// Its peer.
    pub remote: Option<SocketAddr>,
    /// The device that it is bound to.
    pub device: Option<InterfaceId>,
    /// Bytes that nobody has read; of a listener, connections that nobody has accepted.
    pub receive_queue: usize,
    /// Bytes that were not acknowledged; of a listener, its backlog.
    pub send_queue: usize,
    /// What it waits for, how long still, and how often it has waited in vain.
    pub watch: Option<(Watch, Duration, u8)>,
    /// The connection, for [`Stack::tcp_info`].
    pub connection: Option<TcpId>,
    /// How connections of a listener begin: by which algorithm, and with how many segments.
    pub begins: Option<(CongestionKind, u32)>,
}

/// What there is at one moment.
///
/// ```
/// use tapsock_stack::stack::Survey;
///
/// assert_eq!(Survey::default().left_out, 0);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Sockets and connections, [`SURVEY_MAX`] at most.
    pub entries: Vec<Entry>,
    /// How many more there are.
    pub left_out: usize,
}

impl Extend<Entry> for Survey {
    fn extend<T: IntoIterator<Item = Entry>>(&mut self, entries: T) {
        for entry in entries {
            if self.entries.len() < SURVEY_MAX {
                self.entries.push(entry);
            } else {
                self.left_out += 1;
            }
        }
    }
}

impl Stack {
    /// All sockets of the kinds that `wanted` says. Raw sockets are asked for with protocol 0.
    ///
    /// ```
    /// use tapsock_stack::config::Config;
    /// use tapsock_stack::stack::{Stack, Surveyed};
    /// use tapsock_stack::time::Instant;
    ///
    /// let stack = Stack::new(Config::default(), 1, Instant::ZERO);
    /// assert!(stack.survey(Instant::ZERO, &[Surveyed::Tcp, Surveyed::Raw(0)]).entries.is_empty());
    /// ```
    pub fn survey(&self, now: Instant, wanted: &[Surveyed]) -> Survey {
        let mut found = Survey::default();
        if wanted.contains(&Surveyed::Tcp) {
            found.extend(self.survey_listeners());
            found.extend(self.survey_connections(now));
            found.extend(self.tcp.half_open.keys().map(|key| Entry {
                stage: Stage::HalfOpen,
                ..plain(Surveyed::Tcp, key.local(), Some(key.remote()))
            }));
            found.extend(self.tcp.all_resting().map(|(resting, until)| Entry {
                stage: Stage::TimeWait,
                device: resting.way.device,
                watch: until.map(|until| (Watch::TimeWait, until.saturating_since(now), 0)),
                ..plain(Surveyed::Tcp, resting.key.local(), Some(resting.key.remote()))
            }));
        }
        if wanted.contains(&Surveyed::Udp) {
            found.extend(self.survey_udp());
        }
        if wanted.contains(&Surveyed::Ping) {
            found.extend(self.ping.survey());
        }
        if wanted.iter().any(|kind| matches!(kind, Surveyed::Raw(_))) {
            found.extend(self.survey_raw());
        }
        found
    }

    fn survey_listeners(&self) -> impl Iterator<Item = Entry> + '_ {
        self.tcp.all_listeners().filter_map(|listener| {
            let (address, port) = self.ports.binding(listener.bind)?;
            Some(Entry {
                stage: Stage::Listening,
                receive_queue: listener.accept.len(),
                send_queue: listener.backlog,
                begins: Some((listener.options.congestion, listener.options.rare().initial_window())),
                device: listener.way.device,
                ..at(Surveyed::Tcp, address, port)
            })
        })
    }

    fn survey_connections(&self, now: Instant) -> impl Iterator<Item = Entry> + '_ {
        self.tcp.slots().map(move |(index, slot)| {
            let connection = &slot.connection;
            Entry {
                stage: Stage::Tcp(connection.state()),
                device: slot.way.device,
                receive_queue: connection.readable(),
                send_queue: connection.unacknowledged(),
                watch: connection.watched().and_then(|(timer, until, vain)| {
                    let watch = match timer {
                        Timer::Retransmit | Timer::Probe | Timer::Reorder => Watch::Retransmission,
                        Timer::Persist => Watch::Persist,
                        Timer::KeepAlive => Watch::KeepAlive,
                        Timer::FinWait2 => Watch::TimeWait,
                        Timer::DelayedAck | Timer::Pacing => return None,
                    };
                    Some((watch, until.saturating_since(now), vain))
                }),
                connection: self.tcp.id_of(index),
                ..plain(Surveyed::Tcp, slot.key.local(), Some(slot.key.remote()))
            }
        })
    }

    fn survey_udp(&self) -> impl Iterator<Item = Entry> + '_ {
        self.udp.sockets().filter_map(|socket| {
            // Without a port nobody could reach it.
            let (address, port) = socket.local()?;
            Some(Entry {
                stage: if socket.remote().is_some() { Stage::Connected } else { Stage::Unconnected },
                remote: socket.remote(),
                device: socket.way.device,
                receive_queue: socket.mail.queued_bytes(),
                send_queue: socket.mail.sending_bytes(),
                ..at(Surveyed::Udp, address, port)
            })
        })
    }

    fn survey_raw(&self) -> impl Iterator<Item = Entry> + '_ {
        self.raw.sockets().map(|socket| Entry {
            stage: if socket.remote().is_some() { Stage::Connected } else { Stage::Unconnected },
            remote: socket.remote(),
            device: socket.way.device,
            receive_queue: socket.mail.queued_bytes(),
            send_queue: socket.mail.sending_bytes(),
            ..at(Surveyed::Raw(socket.protocol()), socket.local(), socket.protocol())
        })
    }
}

/// An entry with these ends, which tell its family.
pub(super) fn plain(kind: Surveyed, local: SocketAddr, remote: Option<SocketAddr>) -> Entry {
    Entry {
        kind,
        family: if local.is_ipv4() { Family::V4 } else { Family::V6 },
        only: local.is_ipv4(),
        stage: Stage::Unconnected,
        local,
        remote,
        device: None,
        receive_queue: 0,
        send_queue: 0,
        watch: None,
        connection: None,
        begins: None,
    }
}

fn at(kind: Surveyed, address: LocalAddr, port: u16) -> Entry {
    let only = match address {
        LocalAddr::AnyV6 { only_v6 } => only_v6,
        _ => true,
    };
    Entry { only, ..plain(kind, SocketAddr::new(address.ip(), port), None) }
}
