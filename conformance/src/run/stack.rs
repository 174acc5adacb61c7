//! tapsock's stack as the target: one host with one interface of bare IP, in virtual time.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use tapsock_sockets::{Permission, Sockets};
use tapsock_stack::buf::Frame;
use tapsock_stack::config::Config;
use tapsock_stack::iface::{InterfaceId, IpCidr, Route};
use tapsock_stack::stack::Stack;
use tapsock_stack::time::{Instant, earliest};
use tapsock_stack::wire::EthernetAddress;
use tapsock_stack::wire::offload::{LinkCaps, Medium};

use self::descriptors::Descriptors;
use self::operation::{Operation, Progress};
use super::call::{Call, Descriptor, Outcome};
use super::target::{Sent, Target, Woken};

mod calls;
mod descriptors;
mod operation;
mod system;

/// What the stack's clock shows when a script begins: no clock that is read in earnest shows zero.
const START: Instant = Instant::from_secs(1_000);

/// The seed of all that is random, so that two runs are the same.
const SEED: u64 = 0x7061_636b_6574;

/// The most that a wait for ever lets pass.
const FOREVER: Duration = Duration::from_secs(7 * 24 * 3600);

/// Steps that one wait may take: beyond it, something goes round in circles.
const MAX_STEPS: usize = 1_000_000;

/// The interface of a run and its addresses.
///
/// ```
/// use tapsock_conformance::run::Network;
///
/// let network = Network {
///     local: "192.168.0.1/16".parse().unwrap(),
///     peers: "192.0.2.1/32".parse().unwrap(),
///     mtu: 1500,
///     segments: true,
/// };
/// assert_eq!(network.mtu, 1500);
/// ```
#[derive(Clone, Debug)]
pub struct Network {
    /// The host's address, with its prefix.
    pub local: IpCidr,
    /// Who is reached over the interface besides.
    pub peers: IpCidr,
    /// The largest IP packet, in bytes.
    pub mtu: usize,
    /// Whether the interface takes merged segments.
    pub segments: bool,
}

/// A host on tapsock's stack.
pub struct StackTarget {
    sockets: Sockets,
    interface: InterfaceId,
    caps: LinkCaps,
    /// Whether the link's queue holds nothing: all that is sent is lost.
    is_choked: bool,
    now: Instant,
    /// When the script began.
    began: Instant,
    descriptors: Descriptors,
    sent: VecDeque<Sent>,
    waiting: Option<Operation>,
    ended: Option<(Duration, Outcome)>,
    /// The counters when they were read last.
    counted: Vec<u64>,
    /// Settings that the stack has not, as they were set.
    without_meaning: BTreeMap<String, String>,
    notes: Vec<String>,
}

impl StackTarget {
    /// A host with that interface, and the settings of `config`.
    ///
    /// # Errors
    ///
    /// What the stack says of addresses and routes that can't be.
    pub fn new(network: &Network, config: Config) -> Result<Self, String> {
        let mut stack = Stack::new(config, SEED, START);
        let caps = match network.segments {
            true => LinkCaps::offloading(Medium::Ip, network.mtu),
            false => LinkCaps::plain(Medium::Ip, network.mtu),
        };
        let hardware = EthernetAddress([2, 0, 0, 0, 0, 1]);
        let interface = stack.add_interface("tun0", hardware, caps).map_err(|error| format!("{error:?}"))?;
        stack
            .add_address(interface, network.local)
            .map_err(|error| format!("{}: {error:?}", network.local))?;
        // Nobody answers for a router on a link of bare IP: there is none.
        let route = Route::direct(network.peers, interface);
        stack.add_route(route).map_err(|error| format!("{}: {error:?}", network.peers))?;
        Ok(StackTarget {
            sockets: Sockets::new(stack, Permission::Privileged),
            interface,
            caps,
            is_choked: false,
            now: START,
            began: START,
            descriptors: Descriptors::default(),
            sent: VecDeque::new(),
            waiting: None,
            ended: None,
            counted: Vec::new(),
            without_meaning: BTreeMap::new(),
            notes: Vec::new(),
        })
    }

    /// The sockets, and the stack below them.
    pub fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// The sockets, to be configured.
    pub fn sockets_mut(&mut self) -> &mut Sockets {
        &mut self.sockets
    }

    /// Takes what the stack sends, tells epoll what happened, and tries the call that waits, until none of these brings
    /// anything new.
    fn settle(&mut self) {
        for _ in 0..MAX_STEPS {
            let mut changed = false;
            while let Some((interface, mut transmit)) = self.sockets.stack_mut().poll_transmit(self.now) {
                changed = true;
                if interface != self.interface || self.is_choked {
                    continue;
                }
                transmit.complete_checksum();
                let at = self.now();
                self.sent.push_back(Sent { at, bytes: transmit.to_frame().bytes.to_vec() });
            }
            while let Some((fd, mask)) = self.sockets.poll_event() {
                changed = true;
                self.descriptors.tell(fd, mask);
            }
            changed |= self.try_waiting();
            if !changed {
                return;
            }
        }
        panic!("the stack does not fall silent");
    }

    /// Tries the call that waits: whether it ended.
    fn try_waiting(&mut self) -> bool {
        let Some(mut operation) = self.waiting.take() else { return false };
        match operation.attempt(self) {
            Progress::Done(outcome) => {
                self.ended = Some((self.now(), outcome));
                true
            }
            Progress::Waits => {
                self.waiting = Some(operation);
                false
            }
        }
    }

    /// Lets time pass until `until`, whatever happens meanwhile.
    fn pass(&mut self, until: Duration) {
        let end = self.began + until;
        self.settle();
        while self.step(end) {}
        self.now = self.now.max(end);
    }

    /// When the next thing is due.
    fn next_due(&self) -> Option<Instant> {
        let call = self.waiting.as_ref().and_then(Operation::deadline);
        earliest(self.sockets.stack().poll_timeout(), call)
    }

    /// Does what is due next, if that is not after `until`: whether there was something.
    fn step(&mut self, until: Instant) -> bool {
        let Some(due) = self.next_due().filter(|due| *due <= until) else { return false };
        self.now = self.now.max(due);
        self.sockets.stack_mut().handle_timeout(self.now);
        self.settle();
        true
    }
}

impl Target for StackTarget {
    fn begin(&mut self) {
        self.settle();
        self.sent.clear();
        self.began = self.now;
    }

    fn now(&self) -> Duration {
        self.now.saturating_since(self.began)
    }

    fn wall_clock(&self) -> Duration {
        self.began.saturating_since(Instant::ZERO)
    }

    fn call(&mut self, call: Call) -> Outcome {
        let mut operation = Operation::new(call);
        let spawned = self.waiting.take();
        let until = self.now + FOREVER;
        for _ in 0..MAX_STEPS {
            if let Progress::Done(outcome) = operation.attempt(self) {
                self.waiting = spawned;
                self.settle();
                return outcome;
            }
            self.settle();
            let due = earliest(self.sockets.stack().poll_timeout(), operation.deadline());
            let Some(due) = due.filter(|due| *due <= until) else { break };
            self.now = self.now.max(due);
            self.sockets.stack_mut().handle_timeout(self.now);
            self.settle();
        }
        self.waiting = spawned;
        operation.give_up(self)
    }

    fn spawn(&mut self, call: Call) {
        self.waiting = Some(Operation::new(call));
        self.settle();
    }

    fn take_ended(&mut self) -> Option<(Duration, Outcome)> {
        self.ended.take()
    }

    fn inject(&mut self, packet: Vec<u8>) {
        self.sockets.stack_mut().receive(self.now, self.interface, Frame::from(packet));
        self.settle();
    }

    fn sent(&mut self) -> &mut VecDeque<Sent> {
        &mut self.sent
    }

    fn wait(&mut self, until: Option<Duration>) -> Woken {
        let end = self.began + until.unwrap_or(self.now() + FOREVER);
        self.settle();
        for _ in 0..MAX_STEPS {
            if !self.sent.is_empty() || self.ended.is_some() {
                return Woken::Event;
            }
            if !self.step(end) {
                if until.is_none() {
                    return Woken::Never;
                }
                self.now = self.now.max(end);
                return Woken::Time;
            }
        }
        Woken::Never
    }

    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn tcp_info(&mut self, fd: Descriptor) -> Option<Vec<u8>> {
        use tapsock_sockets::constants::{SOL_TCP, TCP_INFO};
        let socket = self.descriptors.socket(fd).ok()?;
        let value = self.sockets.option(self.now, socket, SOL_TCP, TCP_INFO).ok()?;
        Some(value.as_bytes().to_vec())
    }
}
