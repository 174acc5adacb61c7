//! Connections as the script counts and as they are: which number of the script is which on the wire.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use super::call::Descriptor;
use super::packet::{Packet, Tcp, Transport};
use crate::ast::{Ports, SackBlock, TcpFlags, TcpOption};

/// How far a socket of the script has come.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// It was made.
    Made,
    /// It waits for connections.
    Listening,
    /// It has a peer, or is about to have one.
    Connecting,
    /// Packets have passed.
    Open,
}

/// Who sends the first packet.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Side {
    Target,
    Peer,
}

/// What a flow's packets carry.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Protocol {
    Tcp,
    Udp,
    Icmp,
}

/// Where a SYN began.
#[derive(Copy, Clone, Debug)]
struct Isn {
    live: u32,
    script: u32,
}

/// A socket of the script, with what goes over it.
///
/// Segments with SYN name sequence numbers as they are, the target's from the one that the script chose for it; all
/// others count from the SYNs.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    /// The socket, once somebody holds it.
    pub(super) fd: Option<Descriptor>,
    pub(super) protocol: Protocol,
    pub(super) stage: Stage,
    pub(super) begun_by: Side,
    /// Whether `connect` to AF_UNSPEC has taken the socket from it: the next `connect` begins another.
    pub(super) is_left: bool,
    /// Where the target's packets come from, once that is known.
    pub(super) local: Option<SocketAddr>,
    /// Where they go.
    pub(super) remote: Option<SocketAddr>,
    /// Where the target's SYN began: on the wire, and in the script. `None` before it.
    isn: Option<Isn>,
    /// Where the peer's SYN began, the same in both; zero before it.
    peer_isn: u32,
    /// A later SYN of the peer, with which it may begin anew.
    peer_again: Option<u32>,
    stamps: Stamps,
}

impl Flow {
    pub(super) fn new(protocol: Protocol, stage: Stage, begun_by: Side) -> Self {
        Flow {
            fd: None,
            protocol,
            stage,
            begun_by,
            is_left: false,
            local: None,
            remote: None,
            isn: None,
            peer_isn: 0,
            peer_again: None,
            stamps: Stamps::default(),
        }
    }

    /// Whether the target sent `packet` over this flow.
    pub(super) fn sends(&self, packet: &Packet) -> bool {
        let (Some(local), Some(remote)) = (self.local, self.remote) else { return false };
        let addresses = (packet.source, packet.destination) == (local.ip(), remote.ip());
        let ports = packet.ports().is_none_or(|ports| ports == (local.port(), remote.port()));
        let protocol = match packet.transport {
            Transport::Tcp(_) => self.protocol == Protocol::Tcp,
            Transport::Udp(_) => self.protocol == Protocol::Udp,
            // Errors are about a flow of any kind.
            Transport::Icmp(_) => self.protocol != Protocol::Tcp,
            Transport::Other(..) => false,
        };
        addresses && ports && protocol
    }

    /// The target sends a SYN, which the script says begins at `script`.
    pub(super) fn on_syn(&mut self, script: u32, live: u32) {
        match (self.isn, self.peer_again) {
            (None, _) => self.isn = Some(Isn { live, script }),
            // The answer to a peer that begins anew, where the connection before it is over.
            (Some(isn), Some(again)) if isn.live != live => {
                self.isn = Some(Isn { live, script });
                self.peer_isn = again;
                self.peer_again = None;
            }
            _ => {}
        }
    }

    /// The peer sends the first segment of the flow, or answers the target's SYN, with a SYN that begins at `seq`.
    pub(super) fn on_peer_syn(&mut self, seq: u32) {
        self.peer_isn = seq;
    }

    /// The peer sends another SYN: if the target answers it with one of its own, both begin anew.
    pub(super) fn on_peer_again(&mut self, seq: u32) {
        self.peer_again = Some(seq);
    }

    /// The live number of what the target sent as `script`, or will send.
    pub(super) fn live_sequence(&self, script: u32) -> u32 {
        script.wrapping_add(self.isn.map_or(0, |isn| isn.live))
    }

    /// The live number of what a SYN of the peer acknowledges as `script`.
    pub(super) fn live_sequence_in_syn(&self, script: u32) -> u32 {
        self.live_sequence(script).wrapping_sub(self.isn.map_or(0, |isn| isn.script))
    }

    /// The live number of what the peer sends as `script`, but for its SYN.
    pub(super) fn live_peer_sequence(&self, script: u32) -> u32 {
        script.wrapping_add(self.peer_isn)
    }

    /// A segment of the target in the numbers of the script.
    pub(super) fn in_script(&self, tcp: &Tcp) -> Tcp {
        let isn = self.isn.unwrap_or(Isn { live: 0, script: 0 });
        let seq = tcp.seq.wrapping_sub(isn.live);
        if tcp.has(TcpFlags::SYN) {
            return Tcp { seq: seq.wrapping_add(isn.script), ..tcp.clone() };
        }
        let of_peer = |live: u32| live.wrapping_sub(self.peer_isn);
        let options = tcp.options.iter().map(|option| match option {
            TcpOption::Sack(blocks) => {
                let block =
                    |block: &SackBlock| SackBlock { left: of_peer(block.left), right: of_peer(block.right) };
                TcpOption::Sack(blocks.iter().map(block).collect())
            }
            option => option.clone(),
        });
        let ack = if tcp.has(TcpFlags::ACK) { of_peer(tcp.ack) } else { tcp.ack };
        Tcp { seq, ack, options: options.collect(), ..tcp.clone() }
    }

    /// Options that a script sends, in live numbers.
    pub(super) fn live_options(&self, options: &[TcpOption], flags: TcpFlags) -> Vec<TcpOption> {
        let live = |option: &TcpOption| match option {
            TcpOption::Sack(blocks) => {
                let edge = |edge: u32| self.live_sequence(edge);
                let block =
                    |block: &SackBlock| SackBlock { left: edge(block.left), right: edge(block.right) };
                TcpOption::Sack(blocks.iter().map(block).collect())
            }
            // Without an acknowledgement the echo has no meaning.
            TcpOption::Timestamp { value, echo } if flags.contains(TcpFlags::ACK) => {
                TcpOption::Timestamp { value: *value, echo: self.stamps.live(*echo) }
            }
            option => option.clone(),
        };
        options.iter().map(live).collect()
    }

    /// Remembers that the target's clock showed `live` where the script says `script`.
    pub(super) fn learn_stamp(&mut self, script: u32, live: u32) {
        self.stamps.learn(script, live);
    }

    /// The first pair of stamps: the script's and the live one.
    pub(super) fn first_stamp(&self) -> Option<(u32, u32)> {
        self.stamps.first
    }

    /// The ports as a script writes them for a packet to the target.
    pub(super) fn has_ports(&self, ports: Ports) -> bool {
        self.remote.is_some_and(|remote| remote.port() == ports.source)
            && self.local.is_some_and(|local| local.port() == ports.destination)
    }
}

/// Which stamp of the script is which of the target.
#[derive(Clone, Debug, Default)]
struct Stamps {
    first: Option<(u32, u32)>,
    by_script: BTreeMap<u32, u32>,
}

impl Stamps {
    fn learn(&mut self, script: u32, live: u32) {
        self.first.get_or_insert((script, live));
        self.by_script.insert(script, live);
    }

    /// What the target sent as `script`; one that it never sent is as far from the one before as the script says.
    fn live(&self, script: u32) -> u32 {
        match self.by_script.range(..=script).next_back() {
            Some((known, live)) => live.wrapping_add(script.wrapping_sub(*known)),
            None => script,
        }
    }
}
