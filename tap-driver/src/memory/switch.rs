//! A learning Ethernet switch in memory, for three stacks and more.

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tapsock_stack::buf::Frame;
use tapsock_stack::wire::offload::{LinkCaps, Medium, Transmit};

use super::queue::{FrameQueue, WhenFull};
use super::{FrameMaker, MemoryConfig, MemoryRecv, Receiver, Sender};
use crate::drops::LinkDrops;
use crate::link::{Link, RecvHalf, SendHalf};

/// Most ports of a switch.
const MAX_PORTS: usize = 1024;
/// Most stations that a switch remembers; frames to others go to all ports.
const MAX_STATIONS: usize = 4096;
/// Two Ethernet addresses and the type.
const ETHERNET_LEN: usize = 14;

/// A switch that learns which station is behind which port, as IEEE 802.1D has it (without the spanning tree).
///
/// Frames to groups and to unknown stations go to all other ports. A frame that finds a port's queue full is lost
/// and counted, as at a real switch.
///
/// ```
/// use tapsock_driver::memory::{MemoryConfig, MemorySwitch};
///
/// let switch = MemorySwitch::new(MemoryConfig::default());
/// let ports = (0..3).map(|_| switch.port()).collect::<std::io::Result<Vec<_>>>()?;
/// assert_eq!(ports.len(), 3);
/// assert_eq!(switch.dropped(), 0);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct MemorySwitch {
    config: MemoryConfig,
    fabric: Arc<Mutex<Fabric>>,
}

/// One port of a [`MemorySwitch`]. Dropping it unplugs it.
///
/// ```
/// use tapsock_driver::link::Link;
/// use tapsock_driver::memory::{MemoryConfig, MemorySwitch};
///
/// let port = MemorySwitch::new(MemoryConfig::default()).port()?;
/// assert_eq!(port.caps().mtu, 1500);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct MemoryPort {
    caps: LinkCaps,
    name: String,
    queue: Receiver,
    plug: Plug,
}

#[derive(Debug, Default)]
struct Fabric {
    ports: HashMap<PortId, Sender>,
    stations: HashMap<[u8; 6], PortId>,
    next: u32,
    dropped: u64,
}

#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
struct PortId(u32);

/// What makes a port one of its switch's; unplugs it when dropped.
#[derive(Debug)]
struct Plug {
    fabric: Arc<Mutex<Fabric>>,
    id: PortId,
}

impl MemorySwitch {
    /// A switch without ports. Its medium is Ethernet, whatever `config` says.
    pub fn new(config: MemoryConfig) -> Self {
        let config = MemoryConfig { medium: Medium::Ethernet, ..config };
        MemorySwitch { config, fabric: Arc::default() }
    }

    /// One more port.
    ///
    /// # Errors
    ///
    /// EMFILE and ENFILE where no more descriptors may be opened; ENOSPC at 1,024 ports.
    pub fn port(&self) -> io::Result<MemoryPort> {
        let queue = Arc::new(FrameQueue::new(self.config.capacity)?);
        let mut fabric = lock(&self.fabric);
        if fabric.ports.len() >= MAX_PORTS {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        let id = PortId(fabric.next);
        fabric.next += 1;
        fabric.ports.insert(id, Sender(queue.clone()));
        Ok(MemoryPort {
            caps: self.config.caps(),
            name: format!("port{}", id.0),
            queue: Receiver(queue),
            plug: Plug { fabric: self.fabric.clone(), id },
        })
    }

    /// Frames lost since the queue of a port was full.
    pub fn dropped(&self) -> u64 {
        lock(&self.fabric).dropped
    }
}

impl Link for MemoryPort {
    fn caps(&self) -> LinkCaps {
        self.caps
    }

    fn name(&self) -> &str {
        &self.name
    }

    /// None of the port's own: the switch counts what its ports lose, in [`MemorySwitch::dropped`].
    fn drops(&self) -> LinkDrops {
        LinkDrops::default()
    }

    fn split(self: Box<Self>) -> (Box<dyn RecvHalf>, Box<dyn SendHalf>) {
        let MemoryPort { caps, queue, plug, .. } = *self;
        let receive = MemoryRecv { queue, medium: caps.medium };
        (Box::new(receive), Box::new(PortSend { plug, frames: FrameMaker::default() }))
    }
}

struct PortSend {
    plug: Plug,
    frames: FrameMaker,
}

impl SendHalf for PortSend {
    /// Never refuses: a switch loses what it can't hold.
    fn transmit(&mut self, transmit: &Transmit) -> io::Result<()> {
        let frame = self.frames.frame(transmit);
        lock(&self.plug.fabric).forward(self.plug.id, frame);
        Ok(())
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn dropped(&self) -> u64 {
        0
    }
}

impl Fabric {
    fn forward(&mut self, from: PortId, frame: Frame) {
        let Some((destination, source)) = addresses(&frame.bytes) else {
            self.dropped += 1;
            return;
        };
        self.learn(source, from);
        match self.stations.get(&destination) {
            Some(port) if *port == from => {}
            Some(port) => self.deliver(*port, frame),
            None => self.flood(from, &frame),
        }
    }

    fn learn(&mut self, station: [u8; 6], port: PortId) {
        if is_group(station) {
            return;
        }
        if self.stations.len() < MAX_STATIONS || self.stations.contains_key(&station) {
            self.stations.insert(station, port);
        }
    }

    fn deliver(&mut self, port: PortId, frame: Frame) {
        if let Some(queue) = self.ports.get(&port) {
            self.dropped += u64::from(queue.0.push(WhenFull::Drop, || frame).is_err());
        }
    }

    fn flood(&mut self, from: PortId, frame: &Frame) {
        for (_, queue) in self.ports.iter().filter(|(port, _)| **port != from) {
            self.dropped += u64::from(queue.0.push(WhenFull::Drop, || frame.clone()).is_err());
        }
    }
}

impl Drop for Plug {
    fn drop(&mut self) {
        let mut fabric = lock(&self.fabric);
        fabric.ports.remove(&self.id);
        fabric.stations.retain(|_, port| *port != self.id);
    }
}

/// Destination and source of an Ethernet frame.
fn addresses(frame: &[u8]) -> Option<([u8; 6], [u8; 6])> {
    let header = frame.get(..ETHERNET_LEN)?;
    Some((header[..6].try_into().ok()?, header[6..12].try_into().ok()?))
}

fn is_group(station: [u8; 6]) -> bool {
    station[0] & 1 == 1
}

fn lock(fabric: &Mutex<Fabric>) -> MutexGuard<'_, Fabric> {
    fabric.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tapsock_stack::buf::{HeaderBlock, Rope};

    use super::*;
    use crate::link::RecvSlot;

    type Halves = (Box<dyn RecvHalf>, Box<dyn SendHalf>);

    /// A frame to and from stations of these numbers.
    fn frame(to: u32, from: u32) -> Transmit {
        let station = |number: u32| [&[2, 0][..], &number.to_be_bytes()].concat();
        let bytes = [station(to), station(from), vec![0x88, 0xb5], vec![0; 46]].concat();
        let (headers, payload) = (HeaderBlock::new(), Rope::from(bytes));
        Transmit { headers, payload, checksum: None, segmentation: None }
    }

    #[test]
    fn a_switch_has_so_many_ports_and_no_more() {
        let switch = MemorySwitch::new(MemoryConfig::default());
        let first = switch.port().unwrap();
        // As many as are allowed, without as many descriptors.
        let queue = Arc::new(FrameQueue::new(1).unwrap());
        let others = 1..MAX_PORTS as u32;
        lock(&switch.fabric).ports.extend(others.map(|number| (PortId(number), Sender(queue.clone()))));
        assert_eq!(switch.port().unwrap_err().raw_os_error(), Some(libc::ENOSPC));
        lock(&switch.fabric).next = MAX_PORTS as u32;
        drop(first);
        assert!(switch.port().is_ok(), "one is free again");
    }

    #[test]
    fn a_switch_remembers_so_many_stations_and_floods_what_is_for_others() {
        const KNOWN: u32 = MAX_STATIONS as u32;
        let config = MemoryConfig { capacity: 1, ..MemoryConfig::default() };
        let switch = MemorySwitch::new(config);
        let mut ports: Vec<_> = (0..3).map(|_| Box::new(switch.port().unwrap()).split()).collect();
        let mut slot = RecvSlot::new();
        // All behind the first port; the last of them is one too many.
        for number in 1..=KNOWN + 1 {
            ports[0].1.transmit(&frame(0, number)).unwrap();
        }
        assert_eq!(lock(&switch.fabric).stations.len(), MAX_STATIONS);
        let mut hears = |ports: &mut Vec<Halves>, to| {
            ports.iter_mut().for_each(|port| while port.0.receive(&mut slot).is_ok() {});
            ports[1].1.transmit(&frame(to, KNOWN + 2)).unwrap();
            [0, 2].map(|port: usize| ports[port].0.receive(&mut slot).is_ok())
        };
        assert_eq!(hears(&mut ports, KNOWN), [true, false]);
        assert_eq!(hears(&mut ports, KNOWN + 1), [true, true], "not remembered, and not lost");
        // Who is known may move all the same, and what is forgotten makes room.
        ports[2].1.transmit(&frame(0, KNOWN)).unwrap();
        assert_eq!(hears(&mut ports, KNOWN), [false, true]);
        ports.remove(0);
        assert_eq!(lock(&switch.fabric).stations.len(), 1);
    }
}
