//! smoltcp's sockets under numbers, as programs see them.

use core::net::{IpAddr, SocketAddr};
use core::task::Poll;
use std::cell::Cell;
use std::collections::BTreeMap;

use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::{tcp, udp};
use smoltcp::wire::{IpEndpoint, IpListenEndpoint};
use tapsock_stack::buf::Rope;
use tapsock_stack::time::Instant;

use super::device::QueueDevice;
use super::{Recipe, Timestamps};
use crate::app::{DatagramSockets, Fault, Socket, StreamSockets};
use crate::rng::Rng;

/// The first port given to those who ask for any.
const FIRST_EPHEMERAL: u16 = 49_152;

/// Sockets that listen for one server at once: smoltcp has one socket a connection, and no queue of its own.
const MAX_BACKLOG: usize = 1024;

/// Datagrams that a UDP socket holds.
const DATAGRAMS: usize = 256;

thread_local! {
    /// smoltcp asks a plain function for timestamps, which can't know of a simulation: it reads the time here.
    static TIMESTAMP: Cell<u32> = const { Cell::new(0) };
}

/// The sockets of a [`SmoltcpHost`](crate::SmoltcpHost), with its interface.
///
/// ```
/// use tapsock_sim::SmoltcpSockets;
/// use tapsock_sim::app::{App, StreamSockets};
///
/// fn runs_on_smoltcp(program: impl App<SmoltcpSockets>) {
///     tapsock_sim::SmoltcpHost::new("host").app(program);
/// }
/// runs_on_smoltcp(tapsock_sim::app::EchoServer::new("10.0.0.2:7".parse().unwrap()));
/// ```
pub struct SmoltcpSockets {
    interface: Interface,
    set: SocketSet<'static>,
    entries: BTreeMap<Socket, Entry>,
    /// Closed by their programs, and not yet by TCP.
    orphans: Vec<SocketHandle>,
    next: i32,
    next_port: u16,
    recipe: Recipe,
}

enum Entry {
    Listener { local: IpListenEndpoint, waiting: Vec<SocketHandle> },
    Stream(SocketHandle),
    Datagram(SocketHandle),
}

impl SmoltcpSockets {
    pub(super) fn new(interface: Interface, recipe: &Recipe, mut rng: Rng) -> Self {
        SmoltcpSockets {
            interface,
            set: SocketSet::new(Vec::new()),
            entries: BTreeMap::new(),
            orphans: Vec::new(),
            next: 3,
            next_port: recipe.first_port.unwrap_or(FIRST_EPHEMERAL + rng.below(10_000) as u16),
            recipe: recipe.clone(),
        }
    }

    pub(super) fn poll(&mut self, now: Instant, device: &mut QueueDevice) {
        TIMESTAMP.set(now.as_millis() as u32);
        self.interface.poll(to_smoltcp(now), device, &mut self.set);
    }

    pub(super) fn next_poll(&mut self, now: Instant) -> Option<Instant> {
        let at = self.interface.poll_at(to_smoltcp(now), &self.set)?;
        Some(Instant::from_micros(u64::try_from(at.total_micros()).unwrap_or(0)))
    }

    /// Frees orphans that TCP is done with.
    pub(super) fn reap(&mut self) {
        let set = &mut self.set;
        self.orphans.retain(|&handle| {
            let done = set.get::<tcp::Socket>(handle).state() == tcp::State::Closed;
            if done {
                set.remove(handle);
            }
            !done
        });
    }

    fn add(&mut self, entry: Entry) -> Socket {
        let socket = Socket(self.next);
        self.next += 1;
        self.entries.insert(socket, entry);
        socket
    }

    fn ephemeral_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = port.checked_add(1).unwrap_or(FIRST_EPHEMERAL);
        port
    }

    fn new_stream(&mut self) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; self.recipe.buffer]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_congestion_control(self.recipe.congestion);
        if self.recipe.timestamps == Timestamps::On {
            socket.set_tsval_generator(Some(|| TIMESTAMP.get()));
        }
        self.set.add(socket)
    }

    fn new_listener(&mut self, local: IpListenEndpoint) -> Result<SocketHandle, Fault> {
        let handle = self.new_stream();
        self.set.get_mut::<tcp::Socket>(handle).listen(local).map_err(other)?;
        Ok(handle)
    }

    fn stream(&mut self, socket: Socket) -> Result<&mut tcp::Socket<'static>, Fault> {
        match self.entries.get(&socket) {
            Some(&Entry::Stream(handle)) => Ok(self.set.get_mut(handle)),
            _ => Err(Fault::Other(format!("{socket:?} is not a stream"))),
        }
    }

    fn datagram(&mut self, socket: Socket) -> Result<&mut udp::Socket<'static>, Fault> {
        match self.entries.get(&socket) {
            Some(&Entry::Datagram(handle)) => Ok(self.set.get_mut(handle)),
            _ => Err(Fault::Other(format!("{socket:?} is not a datagram socket"))),
        }
    }
}

impl StreamSockets for SmoltcpSockets {
    fn stream_listen(&mut self, _now: Instant, local: SocketAddr, backlog: usize) -> Result<Socket, Fault> {
        let local = listen_endpoint(local);
        let count = backlog.clamp(1, MAX_BACKLOG);
        let waiting = (0..count).map(|_| self.new_listener(local)).collect::<Result<_, _>>()?;
        Ok(self.add(Entry::Listener { local, waiting }))
    }

    fn stream_accept(&mut self, _now: Instant, listener: Socket) -> Poll<Result<Socket, Fault>> {
        let Some(Entry::Listener { local, waiting }) = self.entries.get_mut(&listener) else {
            return Poll::Ready(Err(Fault::Other(format!("{listener:?} doesn't listen"))));
        };
        let (local, set) = (*local, &self.set);
        let made = waiting.iter().position(|&handle| {
            let state = set.get::<tcp::Socket>(handle).state();
            !matches!(state, tcp::State::Listen | tcp::State::SynReceived | tcp::State::Closed)
        });
        let Some(made) = made else { return Poll::Pending };
        let handle = waiting.remove(made);
        let next = self.new_listener(local);
        if let (Some(Entry::Listener { waiting, .. }), Ok(next)) = (self.entries.get_mut(&listener), next) {
            waiting.push(next);
        }
        Poll::Ready(Ok(self.add(Entry::Stream(handle))))
    }

    fn stream_connect(
        &mut self,
        _now: Instant,
        local: Option<SocketAddr>,
        remote: SocketAddr,
    ) -> Result<Socket, Fault> {
        let handle = self.new_stream();
        let local = match local {
            Some(local) => listen_endpoint(local),
            None => IpListenEndpoint::from(self.ephemeral_port()),
        };
        let socket = self.set.get_mut::<tcp::Socket>(handle);
        socket.connect(self.interface.context(), remote, local).map_err(other)?;
        Ok(self.add(Entry::Stream(handle)))
    }

    fn stream_connected(&mut self, _now: Instant, socket: Socket) -> Poll<Result<(), Fault>> {
        match self.stream(socket).map(|stream| stream.state()) {
            Err(fault) => Poll::Ready(Err(fault)),
            Ok(tcp::State::SynSent | tcp::State::SynReceived) => Poll::Pending,
            Ok(tcp::State::Closed) => Poll::Ready(Err(Fault::Refused)),
            Ok(_) => Poll::Ready(Ok(())),
        }
    }

    fn stream_send(&mut self, _now: Instant, socket: Socket, data: &mut Rope) -> Poll<Result<usize, Fault>> {
        let stream = self.stream(socket)?;
        let mut taken = 0;
        for chunk in data.chunks() {
            let count = stream.send_slice(chunk).map_err(|_| Fault::Reset)?;
            taken += count;
            if count < chunk.len() {
                break;
            }
        }
        data.advance(taken);
        match taken {
            0 => Poll::Pending,
            _ => Poll::Ready(Ok(taken)),
        }
    }

    fn stream_receive(&mut self, _now: Instant, socket: Socket, max: usize) -> Poll<Result<Rope, Fault>> {
        let stream = self.stream(socket)?;
        let mut bytes = vec![0; max.min(stream.recv_queue())];
        match stream.recv_slice(&mut bytes) {
            Ok(0) => Poll::Pending,
            Ok(_) => Poll::Ready(Ok(Rope::from(bytes))),
            Err(tcp::RecvError::Finished) => Poll::Ready(Ok(Rope::new())),
            Err(tcp::RecvError::InvalidState) => Poll::Ready(Err(Fault::Reset)),
        }
    }

    fn stream_finish(&mut self, _now: Instant, socket: Socket) -> Result<(), Fault> {
        self.stream(socket)?.close();
        Ok(())
    }

    fn stream_close(&mut self, _now: Instant, socket: Socket) -> Result<(), Fault> {
        self.stream(socket)?.close();
        if let Some(Entry::Stream(handle)) = self.entries.remove(&socket) {
            self.orphans.push(handle);
        }
        Ok(())
    }
}

impl DatagramSockets for SmoltcpSockets {
    fn datagram_open(&mut self, _now: Instant, local: SocketAddr) -> Result<Socket, Fault> {
        let buffer = || {
            let slots = vec![udp::PacketMetadata::EMPTY; DATAGRAMS];
            udp::PacketBuffer::new(slots, vec![0; self.recipe.buffer])
        };
        let mut socket = udp::Socket::new(buffer(), buffer());
        let mut local = listen_endpoint(local);
        if local.port == 0 {
            local.port = self.ephemeral_port();
        }
        socket.bind(local).map_err(other)?;
        let handle = self.set.add(socket);
        Ok(self.add(Entry::Datagram(handle)))
    }

    fn datagram_send(
        &mut self,
        _now: Instant,
        socket: Socket,
        data: Rope,
        to: SocketAddr,
    ) -> Poll<Result<(), Fault>> {
        match self.datagram(socket)?.send_slice(&data.to_vec(), IpEndpoint::from(to)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(udp::SendError::BufferFull) => Poll::Pending,
            Err(error) => Poll::Ready(Err(other(error))),
        }
    }

    fn datagram_receive(&mut self, _now: Instant, socket: Socket) -> Poll<Result<(Rope, SocketAddr), Fault>> {
        match self.datagram(socket)?.recv() {
            Ok((data, meta)) => {
                let from = SocketAddr::new(IpAddr::from(meta.endpoint.addr), meta.endpoint.port);
                Poll::Ready(Ok((Rope::from(data), from)))
            }
            Err(_) => Poll::Pending,
        }
    }
}

fn listen_endpoint(local: SocketAddr) -> IpListenEndpoint {
    let addr = (!local.ip().is_unspecified()).then(|| local.ip().into());
    IpListenEndpoint { addr, port: local.port() }
}

fn other(error: impl core::fmt::Debug) -> Fault {
    Fault::Other(format!("{error:?}"))
}

pub(super) fn to_smoltcp(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}
