//! A host that is nothing but one TCP connection: `Connection` in the simulator, without the stack around it.

use core::net::SocketAddr;
use core::task::Poll;
use std::collections::VecDeque;

use tapsock_sim::app::{App, Fault, Socket, StreamSockets};
use tapsock_sim::node::{Kind, Node, Port, Scrutiny, Setup, Status};
use tapsock_sim::packet::Packet;
use tapsock_sim::rng::Rng;
use tapsock_stack::buf::{Checksum, Frame, HeaderBlock, Rope};
use tapsock_stack::counters::Counters;
use tapsock_stack::error::SocketError;
use tapsock_stack::tcp::connection::{Opening, ReadError, SegmentSizes, Shutdown};
use tapsock_stack::tcp::listener::{Due, Step, SynQueue};
use tapsock_stack::tcp::{Connection, Options, Segment, SeqNumber};
use tapsock_stack::time::{Instant, earliest};
use tapsock_stack::wire::checksum::verify_transport;
use tapsock_stack::wire::offload::{Medium, PartialChecksum, Segmentation, SegmentationKind, Transmit};
use tapsock_stack::wire::{IpProtocol, Ipv4Header, Ipv6Header, TcpHeader};

/// The only socket that a bare host has, once connected; and the one that listens.
const SOCKET: Socket = Socket(1);
const LISTENER: Socket = Socket(2);

/// One connection over bare IP, and a program that uses it.
pub struct Bare {
    name: &'static str,
    app: Box<dyn App<BareSockets>>,
    sockets: BareSockets,
    wake: Option<Instant>,
    /// Largest payload of a frame that the link cuts; 0 where it cuts none.
    gso_payload: usize,
    out: VecDeque<Frame>,
}

/// What the program sees.
pub struct BareSockets {
    local: SocketAddr,
    remote: SocketAddr,
    options: Options,
    mtu: usize,
    rng: Rng,
    pub connection: Option<Connection>,
    half_open: SynQueue<()>,
    listening: bool,
    /// A connection that the program has not accepted yet.
    acceptable: bool,
    answers: VecDeque<Segment>,
    pub counters: Counters,
}

impl Bare {
    pub fn new(
        name: &'static str,
        local: SocketAddr,
        remote: SocketAddr,
        app: impl App<BareSockets>,
    ) -> Self {
        let sockets = BareSockets {
            local,
            remote,
            options: Options::default(),
            mtu: 1500,
            rng: Rng::new(0),
            connection: None,
            half_open: SynQueue::new(),
            listening: false,
            acceptable: false,
            answers: VecDeque::new(),
            counters: Counters::default(),
        };
        Bare { name, app: Box::new(app), sockets, wake: None, gso_payload: 0, out: VecDeque::new() }
    }

    pub fn options(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.sockets.options);
        self
    }

    /// The link cuts frames of up to 64 KiB.
    pub fn offloading(mut self) -> Self {
        self.gso_payload = 65_000;
        self
    }

    pub fn sockets(&self) -> &BareSockets {
        &self.sockets
    }

    fn turn(&mut self, now: Instant) {
        for _ in 0..64 {
            self.wake = self.app.poll(now, &mut self.sockets);
            let before = self.out.len();
            while let Some(segment) = self.sockets.poll_transmit(now, self.gso_payload) {
                let frame = self.sockets.frame(segment, self.gso_payload > 0);
                self.out.push_back(frame);
            }
            if self.out.len() == before {
                return;
            }
        }
    }
}

impl BareSockets {
    fn opening(&mut self) -> Opening {
        let headers = if self.local.is_ipv4() { 40 } else { 60 };
        let default = if self.local.is_ipv4() { 536 } else { 1220 };
        let payload = (self.mtu - headers) as u16;
        Opening {
            // Half of all connections wrap within their first megabyte.
            iss: SeqNumber::new((self.rng.below(1 << 21) as u32).wrapping_sub(1 << 20)),
            timestamp_offset: self.rng.next_u64() as u32,
            sizes: SegmentSizes { advertised: payload, path: payload, default },
        }
    }

    fn on_segment(&mut self, now: Instant, segment: Segment) {
        if let Some(connection) = &mut self.connection {
            return connection.on_segment(now, segment, &mut self.counters);
        }
        if !self.listening {
            return self.answers.extend(Connection::reset_for(&segment));
        }
        let is_syn =
            segment.control == Some(tapsock_stack::tcp::segment::Control::Syn) && segment.ack.is_none();
        if self.half_open.is_empty() {
            match is_syn {
                true => {
                    let opening = self.opening();
                    let (_, answer) = self.half_open.on_syn(now, ((), 0), &segment, opening, &self.options);
                    self.answers.push_back(answer);
                }
                false => self.answers.extend(Connection::reset_for(&segment)),
            }
            return;
        }
        match self.half_open.on_segment(now, 0, &segment, &self.options, &mut self.counters) {
            Step::Drop => {}
            Step::Reset => {
                self.half_open.remove(0);
            }
            Step::Refuse => self.answers.extend(Connection::reset_for(&segment)),
            Step::RefuseAndReset => {
                self.half_open.remove(0);
                self.answers.extend(Connection::reset_for(&segment));
            }
            Step::Answer(answer) => self.answers.push_back(answer),
            Step::Complete(accepted) => {
                self.half_open.remove(0);
                let mut connection = Connection::accept(now, accepted, self.options.clone());
                connection.on_segment(now, segment, &mut self.counters);
                self.connection = Some(connection);
                self.acceptable = true;
            }
        }
    }

    fn poll_transmit(&mut self, now: Instant, gso_payload: usize) -> Option<Segment> {
        if let Some(answer) = self.answers.pop_front() {
            return Some(answer);
        }
        self.connection.as_mut()?.poll_transmit(now, gso_payload, &mut self.counters)
    }

    fn frame(&self, segment: Segment, offload: bool) -> Frame {
        let mut headers = HeaderBlock::new();
        segment.to_wire(self.local.port(), self.remote.port()).prepend_to(&mut headers);
        let len = headers.len() + segment.payload.len();
        let addresses = (self.local.ip(), self.remote.ip());
        let checksum =
            PartialChecksum::begin(&mut headers, TcpHeader::CHECKSUM_OFFSET, addresses, IpProtocol::TCP, len);
        let kind = match (self.local, self.remote) {
            (SocketAddr::V4(local), SocketAddr::V4(remote)) => {
                let (source, destination) = (*local.ip(), *remote.ip());
                let header =
                    Ipv4Header { source, destination, protocol: IpProtocol::TCP, ..Ipv4Header::default() };
                header.prepend_to(len, &mut headers);
                SegmentationKind::Tcp4
            }
            (SocketAddr::V6(local), SocketAddr::V6(remote)) => {
                let (source, destination) = (*local.ip(), *remote.ip());
                let header =
                    Ipv6Header { source, destination, next_header: IpProtocol::TCP, ..Ipv6Header::default() };
                header.prepend_to(len, &mut headers);
                SegmentationKind::Tcp6
            }
            _ => unreachable!("both ends are of one family"),
        };
        let mut transmit = Transmit {
            headers,
            checksum: Some(checksum),
            segmentation: segment.gso_size.map(|size| Segmentation { kind, size }),
            payload: segment.payload,
        };
        if !offload {
            assert_eq!(transmit.segmentation, None, "the link cuts nothing");
            transmit.complete_checksum();
        }
        transmit.to_frame()
    }
}

impl Node for Bare {
    fn name(&self) -> String {
        self.name.into()
    }

    fn ports(&self) -> usize {
        1
    }

    fn kind(&self) -> Kind {
        Kind::Host(Scrutiny::Full)
    }

    fn start(&mut self, setup: Setup) {
        self.sockets.rng = setup.rng;
        self.wake = Some(setup.now);
    }

    fn on_frame(&mut self, now: Instant, _port: Port, frame: Frame) {
        let packet = Packet::parse(&frame.bytes, Medium::Ip);
        let (Some(ip), Some(tcp)) = (packet.ip(), packet.tcp()) else {
            return;
        };
        let transport = &frame.bytes[ip.transport_range.clone()];
        let valid = frame.checksum == Checksum::Valid
            || verify_transport(ip.source, ip.destination, ip.protocol, transport) == Checksum::Valid;
        let ports = (tcp.header.destination_port, tcp.header.source_port);
        if !valid || (ip.destination, ports.0) != (self.sockets.local.ip(), self.sockets.local.port()) {
            return;
        }
        if self.sockets.listening && self.sockets.connection.is_none() {
            self.sockets.remote = SocketAddr::new(ip.source, ports.1);
        }
        let payload = Rope::from(frame.bytes.slice(tcp.payload.clone()));
        self.sockets.on_segment(now, Segment::from_wire(&tcp.header, payload, frame.gso_size));
        self.turn(now);
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<(Port, Frame)> {
        self.out.pop_front().map(|frame| (Port(0), frame))
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Some(connection) = &mut self.sockets.connection
            && connection.poll_timeout().is_some_and(|at| at <= now)
        {
            connection.on_timeout(now, &mut self.sockets.counters);
        }
        let BareSockets { half_open, options, answers, .. } = &mut self.sockets;
        while let Some((place, due)) = half_open.pop_due(now, |_| Some(&*options)) {
            match due {
                Due::Resend(answer) => answers.push_back(answer),
                Due::GivenUp => {
                    half_open.remove(place);
                }
                Due::Nothing => {}
            }
        }
        self.turn(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let connection = self.sockets.connection.as_ref().and_then(Connection::poll_timeout);
        earliest(earliest(connection, self.sockets.half_open.poll_timeout()), self.wake)
    }

    fn status(&self) -> Status {
        self.app.status()
    }
}

impl StreamSockets for BareSockets {
    fn stream_listen(&mut self, _now: Instant, _local: SocketAddr, _backlog: usize) -> Result<Socket, Fault> {
        self.listening = true;
        Ok(LISTENER)
    }

    fn stream_accept(&mut self, _now: Instant, _listener: Socket) -> Poll<Result<Socket, Fault>> {
        match core::mem::take(&mut self.acceptable) {
            true => Poll::Ready(Ok(SOCKET)),
            false => Poll::Pending,
        }
    }

    fn stream_connect(
        &mut self,
        now: Instant,
        _local: Option<SocketAddr>,
        remote: SocketAddr,
    ) -> Result<Socket, Fault> {
        self.remote = remote;
        let opening = self.opening();
        self.connection = Some(Connection::connect(now, opening, self.options.clone()));
        Ok(SOCKET)
    }

    fn stream_connected(&mut self, _now: Instant, _socket: Socket) -> Poll<Result<(), Fault>> {
        let connection = self.connection.as_mut().expect("connect has made it");
        match connection.take_error() {
            Some(error) => Poll::Ready(Err(fault(error))),
            None if connection.state().is_synchronized() => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }

    fn stream_send(&mut self, _now: Instant, _socket: Socket, data: &mut Rope) -> Poll<Result<usize, Fault>> {
        let connection = self.connection.as_mut().expect("the program has a socket");
        let space = connection.free_space();
        if space == 0 {
            return Poll::Pending;
        }
        Poll::Ready(
            connection.write(data.split_to(space)).map_err(|error| Fault::Other(format!("{error:?}"))),
        )
    }

    fn stream_receive(&mut self, now: Instant, _socket: Socket, max: usize) -> Poll<Result<Rope, Fault>> {
        match self.connection.as_mut().expect("the program has a socket").read(now, max) {
            Ok(data) => Poll::Ready(Ok(data)),
            Err(ReadError::WouldBlock) => Poll::Pending,
            Err(ReadError::Socket(error)) => Poll::Ready(Err(fault(error))),
            Err(ReadError::NotConnected) => Poll::Ready(Err(Fault::Other("not connected".into()))),
        }
    }

    fn stream_finish(&mut self, _now: Instant, _socket: Socket) -> Result<(), Fault> {
        let connection = self.connection.as_mut().expect("the program has a socket");
        connection.shutdown(Shutdown::Write).map_err(|error| Fault::Other(format!("{error:?}")))
    }

    fn stream_close(&mut self, now: Instant, _socket: Socket) -> Result<(), Fault> {
        self.connection.as_mut().expect("the program has a socket").close(now, &mut self.counters);
        Ok(())
    }
}

fn fault(error: SocketError) -> Fault {
    match error {
        SocketError::ConnectionRefused => Fault::Refused,
        SocketError::ConnectionReset => Fault::Reset,
        SocketError::TimedOut => Fault::TimedOut,
        other => Fault::Other(format!("{other:?}")),
    }
}
