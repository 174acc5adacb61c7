//! smoltcp's stack at the near end: its own loop over a TAP without offloads, 1 MiB buffers, CUBIC.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::socket::tcp;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};
use tapsock_driver::tap::Tap;
use tapsock_driver::{Link, RecvHalf, SendHalf};

use crate::lab::{Contender, Side, cidrs};
use crate::role::{Order, Outcome, Place, Role, Shape};
use crate::sys;
use crate::trips::Trips;

const BUFFER: usize = 1 << 20;
const HARDWARE: EthernetAddress = EthernetAddress([2, 0, 0, 0, 9, 2]);
/// An Ethernet frame of an MTU of 1500.
const FRAME: usize = 1514;
/// The empty virtio header before each frame.
const PREFIX: usize = 12;
/// How long it waits at most for whatever is to happen next.
const PATIENCE: Duration = Duration::from_secs(10);

/// The roles that smoltcp plays here: those that connect.
pub(crate) fn plays(order: &Order) -> bool {
    let plain =
        order.shape == Shape { chunk: order.shape.chunk, message: order.shape.message, ..Shape::default() };
    let connects =
        matches!((order.role, order.place), (Role::Source | Role::Sink | Role::PingPong, Place::Connect(_)));
    plain && connects
}

/// Does as ordered over `tap`.
pub(crate) fn run(tap: Tap, order: &Order) -> io::Result<Outcome> {
    let Place::Connect(to) = order.place else { return Err(io::ErrorKind::InvalidInput.into()) };
    let (receive, send) = Box::new(tap).split();
    sys::switch_offloads_off(receive.poll_fd().ok_or(io::ErrorKind::Unsupported)?)?;
    let cpu = sys::cpu_time();
    let mut machine = Machine::new(TapDevice::new(receive, send), to)?;
    let mut outcome = match order.role {
        Role::Source => machine.source(order),
        Role::Sink => machine.sink(order),
        _ => machine.ping_pong(order),
    }?;
    outcome.cpu = (sys::cpu_time() - cpu).as_secs_f64();
    Ok(outcome)
}

/// The stack with one connection.
struct Machine {
    device: TapDevice,
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    started: Instant,
}

impl Machine {
    /// Connects.
    fn new(mut device: TapDevice, to: SocketAddr) -> io::Result<Self> {
        let mut config = Config::new(HardwareAddress::Ethernet(HARDWARE));
        config.random_seed = 7;
        let mut interface = Interface::new(config, &mut device, smoltcp::time::Instant::ZERO);
        interface.update_ip_addrs(|own| {
            let ours = cidrs(Contender::Smoltcp, Side::Near)
                .map(|cidr| IpCidr::new(cidr.address.into(), cidr.prefix_len));
            own.extend(ours);
        });
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_congestion_control(tcp::CongestionControl::Cubic);
        socket.set_nagle_enabled(false);
        socket.connect(interface.context(), to, 49_152 + to.port() % 10_000).map_err(other)?;
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(socket);
        let mut machine = Machine { device, interface, sockets, handle, started: Instant::now() };
        machine.until(|socket| Ok(socket.may_send().then_some(())))?;
        Ok(machine)
    }

    /// Turns the loop until `step` gives something; sleeps where neither it nor the stack has anything to do.
    fn until<T>(
        &mut self,
        mut step: impl FnMut(&mut tcp::Socket<'static>) -> io::Result<Option<T>>,
    ) -> io::Result<T> {
        loop {
            let now = self.now();
            let changed = self.interface.poll(now, &mut self.device, &mut self.sockets);
            let socket = self.sockets.get_mut::<tcp::Socket<'static>>(self.handle);
            if let Some(done) = step(socket)? {
                self.interface.poll(self.now(), &mut self.device, &mut self.sockets);
                return Ok(done);
            }
            if changed == PollResult::None {
                let delay = self.interface.poll_delay(self.now(), &self.sockets);
                let delay = delay.map_or(PATIENCE, |delay| Duration::from_micros(delay.total_micros()));
                self.device.wait(delay)?;
            }
        }
    }

    fn source(&mut self, order: &Order) -> io::Result<Outcome> {
        let chunk = vec![0x5a; order.shape.chunk];
        let (started, mut bytes) = (Instant::now(), 0);
        while started.elapsed() < order.time {
            bytes += self.until(|socket| match socket.send_slice(&chunk).map_err(other)? {
                0 => Ok(None),
                sent => Ok(Some(sent as u64)),
            })?;
        }
        self.sockets.get_mut::<tcp::Socket<'static>>(self.handle).close();
        self.until(|socket| Ok((!socket.may_recv()).then_some(())))?;
        Ok(Outcome { bytes, seconds: started.elapsed().as_secs_f64(), ..Outcome::default() })
    }

    fn sink(&mut self, order: &Order) -> io::Result<Outcome> {
        let mut into = vec![0; order.shape.chunk];
        let (started, mut bytes) = (Instant::now(), 0);
        loop {
            let count = self.until(|socket| match socket.recv_slice(&mut into) {
                Ok(0) => Ok(None),
                Ok(count) => Ok(Some(count as u64)),
                Err(tcp::RecvError::Finished) => Ok(Some(0)),
                Err(error) => Err(other(error)),
            })?;
            if count == 0 {
                break;
            }
            bytes += count;
        }
        let seconds = started.elapsed().as_secs_f64();
        self.close()?;
        Ok(Outcome { bytes, seconds, ..Outcome::default() })
    }

    fn ping_pong(&mut self, order: &Order) -> io::Result<Outcome> {
        let mut message = vec![0x5a; order.shape.message];
        let mut trips = Trips::new();
        while trips.elapsed() < order.time {
            self.until(|socket| {
                Ok((socket.send_slice(&message).map_err(other)? == message.len()).then_some(()))
            })?;
            self.until(|socket| {
                let whole = socket.recv_queue() >= message.len();
                if whole {
                    socket.recv_slice(&mut message).map_err(other)?;
                }
                Ok(whole.then_some(()))
            })?;
            trips.lap();
        }
        self.close()?;
        Ok(trips.outcome())
    }

    /// Ends our direction; the far end closes in turn.
    fn close(&mut self) -> io::Result<()> {
        self.sockets.get_mut::<tcp::Socket<'static>>(self.handle).close();
        self.until(|socket| Ok((!socket.may_recv()).then_some(())))
    }

    fn now(&self) -> smoltcp::time::Instant {
        smoltcp::time::Instant::from_micros(self.started.elapsed().as_micros() as i64)
    }
}

fn buffer() -> tcp::SocketBuffer<'static> {
    tcp::SocketBuffer::new(vec![0; BUFFER])
}

fn other(error: impl core::fmt::Debug) -> io::Error {
    io::Error::other(format!("smoltcp: {error:?}"))
}

/// A TAP device that smoltcp reads and writes with one system call a frame and without a copy of its own.
struct TapDevice {
    receive: Box<dyn RecvHalf>,
    send: Box<dyn SendHalf>,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

impl TapDevice {
    fn new(receive: Box<dyn RecvHalf>, send: Box<dyn SendHalf>) -> Self {
        TapDevice { receive, send, incoming: vec![0; PREFIX + 65_536], outgoing: vec![0; PREFIX + FRAME] }
    }

    fn wait(&self, time: Duration) -> io::Result<()> {
        let fd = self.receive.poll_fd().ok_or(io::ErrorKind::Unsupported)?;
        let time = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
        poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&time))?;
        Ok(())
    }
}

impl Device for TapDevice {
    type RxToken<'a> = RxToken<'a>;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _now: smoltcp::time::Instant) -> Option<(RxToken<'_>, TxToken<'_>)> {
        let count = rustix::io::read(self.receive.poll_fd()?, &mut self.incoming).ok()?;
        let frame = self.incoming.get(PREFIX..count)?;
        Some((RxToken(frame), TxToken(self.send.poll_fd()?, &mut self.outgoing)))
    }

    fn transmit(&mut self, _now: smoltcp::time::Instant) -> Option<TxToken<'_>> {
        Some(TxToken(self.send.poll_fd()?, &mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}

struct RxToken<'a>(&'a [u8]);

impl phy::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(self.0)
    }
}

struct TxToken<'a>(BorrowedFd<'a>, &'a mut [u8]);

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let frame = &mut self.1[..PREFIX + len];
        let result = fill(&mut frame[PREFIX..]);
        // What the device does not take is lost, as on a wire.
        let _ = rustix::io::write(self.0, frame);
        result
    }
}
