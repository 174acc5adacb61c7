//! tapsock's stack as the target: one host with one interface of bare IP, in virtual time.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use tapsock_sockets::constants::{SO_MEMINFO, SOL_SOCKET, SOL_TCP, TCP_INFO};
use tapsock_sockets::{Permission, Sockets};
use tapsock_stack::buf::Frame;
use tapsock_stack::config::Config;
use tapsock_stack::iface::{InterfaceId, IpCidr, Route};
use tapsock_stack::stack::Stack;
use tapsock_stack::time::{Instant, earliest};
use tapsock_stack::wire::EthernetAddress;
use tapsock_stack::wire::offload::{LinkCaps, Medium};

use self::descriptors::{Descriptors, Item};
use self::operation::{Operation, Progress};
use super::call::{Call, Descriptor, Outcome};
use super::target::{Sent, Target, Woken};

mod calls;
mod descriptors;
mod operation;
mod system;

pub use descriptors::Numbers;

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
///     local: Some("192.168.0.1/16".parse().unwrap()),
///     peers: "192.0.2.1/32".parse().unwrap(),
///     mtu: 1500,
///     segments: true,
/// };
/// assert_eq!(network.mtu, 1500);
/// ```
#[derive(Clone, Debug)]
pub struct Network {
    /// The host's address, with its prefix; `None` where a script says by routes which addresses are the host's.
    pub local: Option<IpCidr>,
    /// Who is reached over the interface besides.
    pub peers: IpCidr,
    /// The largest IP packet, in bytes.
    pub mtu: usize,
    /// Whether the interface takes merged segments.
    pub segments: bool,
}

/// A call that was begun ([`StackTarget::begin`]).
///
/// ```
/// use tapsock_conformance::run::{Call, Outcome, StackTarget, Target, Ticket};
/// use tapsock_stack::config::Config;
///
/// let mut target = StackTarget::bare(1500, Config::default()).unwrap();
/// let made: Ticket = target.begin(Call::EpollCreate);
/// assert_eq!(target.take_end(made), Some((target.now(), Outcome::returned(3))));
/// // Nothing is going to happen to it: this one waits.
/// let waits = target.begin(Call::EpollWait { epoll: 3, max: 1, timeout: None });
/// assert!(target.take_end(waits).is_none());
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Ticket(u64);

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
    /// The calls that wait, in the order in which they began.
    waiting: Vec<(Ticket, Operation)>,
    /// Calls that have ended, and when.
    ended: Vec<(Ticket, Duration, Outcome)>,
    /// Calls begun so far.
    begun: u64,
    /// The call that a script has going on beside its events.
    spawned: Option<Ticket>,
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
        let caps = match network.segments {
            true => LinkCaps::offloading(Medium::Ip, network.mtu),
            false => LinkCaps::plain(Medium::Ip, network.mtu),
        };
        let mut target = StackTarget::with_caps(caps, config)?;
        let (interface, stack) = (target.interface, target.sockets.stack_mut());
        if let Some(local) = network.local {
            stack.add_address(interface, local).map_err(|error| format!("{local}: {error:?}"))?;
        }
        // Nobody answers for a router on a link of bare IP: there is none.
        let route = Route::direct(network.peers, interface);
        stack.add_route(route).map_err(|error| format!("{}: {error:?}", network.peers))?;
        Ok(target)
    }

    /// A host whose interface, `tun0`, takes merged segments, but has no address and no route yet: they come as effects of
    /// a shell.
    ///
    /// # Errors
    ///
    /// What the stack says of an MTU that can't be.
    pub fn bare(mtu: usize, config: Config) -> Result<Self, String> {
        StackTarget::with_caps(LinkCaps::offloading(Medium::Ip, mtu), config)
    }

    fn with_caps(caps: LinkCaps, config: Config) -> Result<Self, String> {
        let mut stack = Stack::new(config, SEED, START);
        stack.set_time_of_day(Instant::ZERO, Duration::ZERO);
        let hardware = EthernetAddress([2, 0, 0, 0, 0, 1]);
        let interface = stack.add_interface("tun0", hardware, caps).map_err(|error| format!("{error:?}"))?;
        Ok(StackTarget {
            sockets: Sockets::new(stack, Permission::Privileged),
            interface,
            caps,
            is_choked: false,
            now: START,
            began: START,
            descriptors: Descriptors::default(),
            sent: VecDeque::new(),
            waiting: Vec::new(),
            ended: Vec::new(),
            begun: 0,
            spawned: None,
            counted: Vec::new(),
            without_meaning: BTreeMap::new(),
            notes: Vec::new(),
        })
    }

    /// Has the numbers of descriptors given out by `numbers` from now on.
    pub fn set_numbers(&mut self, numbers: impl Numbers + Send + 'static) {
        self.descriptors.set_numbers(numbers);
    }

    /// Whether `number` is one of its descriptors.
    pub fn has(&self, number: Descriptor) -> bool {
        self.descriptors.get(number).is_ok()
    }

    /// Closes what `number` stands for, without waiting for anything.
    pub fn abandon(&mut self, number: Descriptor) {
        self.descriptors.abandon(number);
        self.settle();
    }

    /// Begins a call, which goes on beside what follows.
    pub fn begin(&mut self, call: Call) -> Ticket {
        let ticket = Ticket(self.begun);
        self.begun += 1;
        self.waiting.push((ticket, Operation::new(call)));
        self.settle();
        ticket
    }

    /// How a call that was begun ended, and when. `None` while it waits.
    pub fn take_end(&mut self, ticket: Ticket) -> Option<(Duration, Outcome)> {
        let index = self.ended.iter().position(|(ended, ..)| *ended == ticket)?;
        let (_, at, outcome) = self.ended.swap_remove(index);
        Some((at, outcome))
    }

    /// Whether a call has ended, and nobody has asked how.
    pub fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Ends a call that waits, with what it has so far.
    pub fn give_up(&mut self, ticket: Ticket) {
        let Some(index) = self.waiting.iter().position(|(waiting, _)| *waiting == ticket) else { return };
        let (_, mut operation) = self.waiting.remove(index);
        let outcome = operation.give_up(self);
        self.ended.push((ticket, self.now(), outcome));
        self.settle();
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
            let mut changed = self.take_sent();
            while let Some((fd, mask)) = self.sockets.poll_event() {
                changed = true;
                self.descriptors.tell(fd, mask);
            }
            while let Some(orphan) = self.descriptors.take_orphan() {
                changed = true;
                if let Item::Socket(fd) = orphan {
                    // It is there: nobody has closed it.
                    let _ = self.sockets.close(self.now, fd);
                }
            }
            changed |= self.try_waiting();
            // A call that goes on to wait may have done something: a SYN is sent, or a part of the data.
            changed |= self.take_sent();
            if !changed {
                return;
            }
        }
        panic!("the stack does not fall silent");
    }

    /// Takes what the stack sends: whether there was something.
    fn take_sent(&mut self) -> bool {
        let mut any = false;
        while let Some((interface, mut transmit)) = self.sockets.stack_mut().poll_transmit(self.now) {
            any = true;
            if interface != self.interface || self.is_choked {
                continue;
            }
            transmit.complete_checksum();
            let at = self.now();
            self.sent.push_back(Sent { at, bytes: transmit.to_frame().bytes.to_vec() });
        }
        any
    }

    /// Tries the calls that wait: whether one ended.
    fn try_waiting(&mut self) -> bool {
        let before = self.ended.len();
        for (ticket, mut operation) in std::mem::take(&mut self.waiting) {
            match operation.attempt(self) {
                Progress::Done(outcome) => self.ended.push((ticket, self.now(), outcome)),
                Progress::Waits => self.waiting.push((ticket, operation)),
            }
        }
        self.ended.len() > before
    }

    /// Lets time pass until `until`, whatever happens meanwhile.
    pub fn pass(&mut self, until: Duration) {
        let end = self.began + until;
        self.settle();
        while self.step(end) {}
        self.now = self.now.max(end);
    }

    fn option_bytes(&mut self, fd: Descriptor, level: i32, name: i32) -> Option<Vec<u8>> {
        let socket = self.descriptors.socket(fd).ok()?;
        let value = self.sockets.option(self.now, socket, level, name).ok()?;
        Some(value.as_bytes().to_vec())
    }

    /// When the next thing is due.
    fn next_due(&self) -> Option<Instant> {
        let calls = self.waiting.iter().map(|(_, operation)| operation.deadline()).fold(None, earliest);
        earliest(self.sockets.stack().poll_timeout(), calls)
    }

    /// Lets time pass until the next thing is due, if that is not after `until`, and does it: whether there was something.
    pub fn advance(&mut self, until: Duration) -> bool {
        self.step(self.began + until)
    }

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

    fn call(&mut self, call: Call, patience: Duration) -> Option<Outcome> {
        let ticket = self.begin(call);
        let until = self.now + patience;
        for _ in 0..MAX_STEPS {
            let waits = self.waiting.iter().any(|(waiting, _)| *waiting == ticket);
            if !waits || !self.step(until) {
                break;
            }
        }
        let ended = self.take_end(ticket);
        if ended.is_none() {
            self.now = self.now.max(until);
            self.give_up(ticket);
            self.take_end(ticket);
        }
        ended.map(|(_, outcome)| outcome)
    }

    fn spawn(&mut self, call: Call) {
        self.spawned = Some(self.begin(call));
    }

    fn take_ended(&mut self) -> Option<(Duration, Outcome)> {
        let ended = self.take_end(self.spawned?)?;
        self.spawned = None;
        Some(ended)
    }

    fn inject(&mut self, packet: Vec<u8>, peer_mss: Option<u16>) {
        let frame = Frame { gso_size: peer_mss, ..Frame::from(packet) };
        self.sockets.stack_mut().receive(self.now, self.interface, frame);
        self.settle();
    }

    fn sent(&mut self) -> &mut VecDeque<Sent> {
        &mut self.sent
    }

    fn wait(&mut self, until: Option<Duration>) -> Woken {
        let end = self.began + until.unwrap_or(self.now() + FOREVER);
        self.settle();
        for _ in 0..MAX_STEPS {
            if !self.sent.is_empty() || self.has_ended() {
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
        self.option_bytes(fd, SOL_TCP, TCP_INFO)
    }

    fn memory_info(&mut self, fd: Descriptor) -> Option<Vec<u8>> {
        self.option_bytes(fd, SOL_SOCKET, SO_MEMINFO)
    }
}
