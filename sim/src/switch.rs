//! An Ethernet switch that learns.

use std::collections::{HashMap, VecDeque};

use tapsock_stack::buf::Frame;
use tapsock_stack::time::Instant;
use tapsock_stack::wire::ethernet::{EthernetAddress, EthernetHeader};

use crate::node::{Node, Port};

/// Addresses that a switch remembers. When full it learns no more, and floods what it doesn't know.
pub const MAX_ADDRESSES: usize = 8192;

/// A switch of any number of ports: it learns which address is behind which port, sends a frame there, and floods
/// what it doesn't know, broadcasts and groups. It takes no time.
///
/// ```
/// use tapsock_sim::node::Node;
/// use tapsock_sim::Switch;
///
/// assert_eq!(Switch::new(4).ports(), 4);
/// ```
pub struct Switch {
    ports: usize,
    table: HashMap<EthernetAddress, Port>,
    out: VecDeque<(Port, Frame)>,
    dropped: VecDeque<Frame>,
}

impl Switch {
    /// A switch of `ports` ports.
    pub fn new(ports: usize) -> Self {
        Switch { ports, table: HashMap::new(), out: VecDeque::new(), dropped: VecDeque::new() }
    }

    /// The port behind which `address` was last seen.
    pub fn port_of(&self, address: EthernetAddress) -> Option<Port> {
        self.table.get(&address).copied()
    }
}

impl Node for Switch {
    fn name(&self) -> String {
        "switch".into()
    }

    fn ports(&self) -> usize {
        self.ports
    }

    fn on_frame(&mut self, _now: Instant, port: Port, frame: Frame) {
        let Ok(header) = EthernetHeader::parse(&frame.bytes) else {
            return self.dropped.push_back(frame);
        };
        if header.source.is_unicast()
            && (self.table.len() < MAX_ADDRESSES || self.table.contains_key(&header.source))
        {
            self.table.insert(header.source, port);
        }
        match self.table.get(&header.destination).filter(|_| header.destination.is_unicast()) {
            Some(&to) if to == port => {}
            Some(&to) => self.out.push_back((to, frame)),
            None => {
                let others = (0..self.ports).map(Port).filter(|&to| to != port);
                self.out.extend(others.map(|to| (to, frame.clone())));
            }
        }
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<(Port, Frame)> {
        self.out.pop_front()
    }

    fn poll_dropped(&mut self) -> Option<Frame> {
        self.dropped.pop_front()
    }
}
