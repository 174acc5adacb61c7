//! The calls on a UDP socket, as Linux answers them.

use core::net::SocketAddr;

use rustix::io::Errno;
use tapsock_stack::buf::Rope;
use tapsock_stack::ports::LocalAddr;
use tapsock_stack::stack::{SendError, SocketId, Stack, UdpSendOptions};
use tapsock_stack::udp::{Datagram, Mailbox, Merged, PortChoice, RecvError, UdpId};

use crate::address::{SOCKADDR_IN6_OLD_LEN, SockAddr, is_shorter_than, unmapped};
use crate::beside::{self, Late};
use crate::bind;
use crate::constants::{
    MSG_CONFIRM, MSG_DONTROUTE, MSG_ERRQUEUE, MSG_MORE, MSG_OOB, MSG_PEEK, MSG_TRUNC, SHUT_RD, SHUT_WR,
};
use crate::cork::{Corked, LENGTH_MAX};
use crate::datagram;
use crate::destination;
use crate::errno::ToErrno;
use crate::options::{Domain, Told};
use crate::poll::View;
use crate::reports;
use crate::socket::{Call, Common, Received, Stop};
use crate::timestamping;

/// A UDP socket. The stack holds its ends, its queue and its errors.
#[derive(Debug)]
pub(crate) struct UdpSocket {
    id: UdpId,
    /// Whether `bind` has ever given an address that is no wildcard: what `connect` chose then stays with the socket
    /// (Linux's SOCK_BINDADDR_LOCK).
    keeps_address: bool,
    /// What is held back until the datagram is complete.
    corked: Option<Box<Corked<Destination>>>,
}

impl UdpSocket {
    pub(crate) fn new(stack: &mut Stack, domain: Domain) -> UdpSocket {
        UdpSocket { id: stack.udp_open(domain.family()), keeps_address: false, corked: None }
    }

    pub(crate) fn id(&self) -> SocketId {
        SocketId::Udp(self.id)
    }

    pub(crate) fn view(&self, stack: &Stack) -> View {
        datagram::view(self.mail(stack), stack.udp_is_writable(self.id))
    }

    /// What it has in hand.
    pub(crate) fn mail<'a>(&self, stack: &'a Stack) -> Option<&'a Mailbox> {
        stack.udp(self.id).map(|socket| &socket.mail)
    }

    pub(crate) fn bind(&mut self, call: &mut Call<'_>, address: &SockAddr) -> Result<(), Errno> {
        let bound = bind::bind(call, address, self.is_bound(call.stack));
        if bound == Err(Errno::ADDRINUSE)
            && let Some(socket) = call.stack.udp_mut(self.id)
        {
            // As Linux: one that finds its port taken leaves the wildcard address.
            (socket.bound, socket.source) = (None, None);
        }
        let binding = bound?;
        self.keeps_address |= bind::settles(call.domain(), binding.local);
        if let Some(id) = binding.id {
            call.stack.udp_bind(self.id, id);
        } else if let Some(socket) = call.stack.udp_mut(self.id) {
            socket.bound = Some(binding.local);
        }
        if let Some(socket) = call.stack.udp_mut(self.id) {
            socket.source = None;
            if !binding.keeps_port() {
                socket.port_choice = PortChoice::Stack;
            }
        }
        Ok(())
    }

    pub(crate) fn connect(&mut self, call: &mut Call<'_>, address: &SockAddr) -> Result<(), Errno> {
        if is_shorter_than(address, size_of::<u16>()) {
            return Err(Errno::INVAL);
        }
        let remote = match address {
            SockAddr::Unspec(_) => None,
            _ => {
                self.autobind(call)?;
                Some(destination::datagram(call, self.bound(call.stack), address)?)
            }
        };
        if let Some(remote) = remote {
            destination::check_broadcast(call, remote)?;
            destination::check_direct(call, remote, false)?;
        }
        if remote.is_none()
            && self.keeps_address
            && let Some(socket) = call.stack.udp_mut(self.id)
            && let Some((local, _)) = socket.local()
        {
            socket.bound = Some(local);
        }
        let (way, sought) = (call.options().way(), destination::way_to(call, remote));
        let set_way = |call: &mut Call<'_>, way| {
            if let Some(socket) = call.stack.udp_mut(self.id) {
                socket.way = way;
            }
        };
        set_way(call, sought);
        let connected = call.stack.udp_connect(self.id, remote);
        set_way(call, way);
        connected.map_err(|error| error.errno())
    }

    pub(crate) fn send(
        &mut self,
        call: &mut Call<'_>,
        data: &mut Rope,
        flags: i32,
        to: Option<&SockAddr>,
        control: &[u8],
    ) -> Result<usize, Stop> {
        self.autobind(call)?;
        // As Linux, whose IPv6 looks first where it goes.
        let is_too_long = data.len() > LENGTH_MAX;
        if is_too_long && call.domain() == Domain::V4 {
            return Err(Errno::MSGSIZE.into());
        }
        let urgent = flags & MSG_OOB != 0;
        if urgent && call.domain() == Domain::V4 {
            return Err(Errno::OPNOTSUPP.into());
        }
        let held = self.corked.as_ref().map(|corked| corked.len());
        let destination = match &self.corked {
            Some(corked) if is_too_long && corked.destination.to.is_some_and(|to| to.is_ipv4()) => {
                return Err(Errno::MSGSIZE.into());
            }
            // Where it goes and how was said with the first part.
            Some(corked) => {
                if let Some(to) = to.filter(|_| call.domain() == Domain::V6) {
                    self.check_further(call, to, corked.destination)?;
                }
                corked.destination
            }
            None => {
                let mut destination = self.destination(call, (flags, data.len()), to, control)?;
                destination.options.stamps = timestamping::numbered(call, destination.options.stamps);
                destination
            }
        };
        if flags & MSG_MORE != 0 || call.options().udp_cork {
            let taken = data.len();
            let Destination { to, options } = destination;
            if let Err(error) = call.stack.udp_hold(call.now, self.id, (held, taken), to, options) {
                return Err(self.give_up(call, error, destination, flags));
            }
            // Whom it is for stays, whatever becomes of the connection.
            let to = to.or(call.stack.udp_remote(self.id));
            let corked = self.corked.get_or_insert_with(|| {
                let names_limit = to.is_some_and(|to| beside::names_hop_limit(call, to, control));
                Box::new(Corked::new(Destination { to, ..destination }, names_limit))
            });
            corked.append(data.split_to(taken));
            if held.is_none() || taken > 0 {
                self.report_zero_copy(call, flags);
            }
            return Ok(taken);
        }
        let whole = self.corked.as_ref().map_or_else(|| data.clone(), |corked| corked.with(data.clone()));
        if flags & MSG_CONFIRM != 0
            && let Some(remote) = destination.to.or(call.stack.udp_remote(self.id))
        {
            call.stack.confirm_path(call.now, remote, call.options().device);
        }
        let Destination { to, options } = self.at_the_end(call, destination);
        let sent = match held {
            Some(held) => call.stack.udp_send_held(call.now, self.id, (held, whole), to, options),
            None => call.stack.udp_send(call.now, self.id, whole, to, options),
        };
        if let Err(error) = sent {
            if held.is_some() && error != SendError::WouldBlock {
                self.forget_corked(call);
                return Err(error.errno().into());
            }
            return Err(self.give_up(call, error, destination, flags));
        }
        self.forget_corked(call);
        if held.is_none() || !data.is_empty() {
            self.report_zero_copy(call, flags);
        }
        Ok(data.split_to(data.len()).len())
    }

    /// As Linux's IPv6, which looks at an address before it sees that it is too late for one.
    fn check_further(&self, call: &Call<'_>, to: &SockAddr, first: Destination) -> Result<(), Errno> {
        if is_shorter_than(to, size_of::<u16>()) {
            return Err(Errno::INVAL);
        }
        let is_v4 = match to {
            _ if destination::is_v6(to) && is_shorter_than(to, SOCKADDR_IN6_OLD_LEN) => {
                return Err(Errno::INVAL);
            }
            SockAddr::V6(address) => unmapped(*address).is_some(),
            SockAddr::Unspec(_) => false,
            _ if destination::is_v4(to) => true,
            _ => return Err(Errno::INVAL),
        };
        let is_of_v6 = |remote: SocketAddr| remote.is_ipv6();
        let begun_by_v6 = first.to.or(call.stack.udp_remote(self.id)).is_some_and(is_of_v6);
        let bound_v6 = matches!(self.bound(call.stack), Some(LocalAddr::V6(..)));
        match is_v4 {
            true if call.options().v6_only || bound_v6 => Err(Errno::NETUNREACH),
            true if begun_by_v6 => Err(Errno::INVAL),
            _ => Ok(()),
        }
    }

    /// What a call says that could not send, or hold back, what it was given. As in Linux, what was held back is lost, unless
    /// there is room for it later.
    fn give_up(
        &mut self,
        call: &mut Call<'_>,
        error: SendError,
        destination: Destination,
        flags: i32,
    ) -> Stop {
        if self.corked.is_none() {
            timestamping::not_sent(call, destination.options.stamps);
        }
        if error == SendError::WouldBlock {
            return call.wait_out(flags);
        }
        if let Some(corked) = &self.corked {
            call.stack.udp_give_up(self.id, corked.len());
            self.forget_corked(call);
        }
        error.errno().into()
    }

    /// What was held back has gone, or is lost: its sends with MSG_ZEROCOPY are done.
    fn forget_corked(&mut self, call: &mut Call<'_>) {
        if let Some((first, last)) = self.corked.take().and_then(|corked| corked.zero_copies) {
            // As many as there are parts with bytes in a datagram at the most, and one.
            let count = last.wrapping_sub(first);
            (0..=count).for_each(|step| {
                call.stack.udp_report_zero_copy(call.now, self.id, first.wrapping_add(step));
            });
        }
    }

    /// Tells that a send is done, where it is to be told (MSG_ZEROCOPY): its bytes were copied. What is held back is done when
    /// it has gone. As on Linux, a datagram without bytes is such a send, and a further part without bytes is none.
    pub(crate) fn report_zero_copy(&mut self, call: &mut Call<'_>, flags: i32) {
        let Some(number) = call.zero_copy(flags) else { return };
        match &mut self.corked {
            Some(corked) => corked.note_zero_copy(number),
            None => call.stack.udp_report_zero_copy(call.now, self.id, number),
        }
    }

    /// As Linux, before anything else is looked at: one that sends or connects in vain has a port all the same.
    fn autobind(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        call.stack.udp_autobind(self.id).map_err(|_| Errno::AGAIN)
    }

    /// Where a datagram of so many bytes goes, and how.
    fn destination(
        &self,
        call: &Call<'_>,
        (flags, len): (i32, usize),
        given: Option<&SockAddr>,
        control: &[u8],
    ) -> Result<Destination, Errno> {
        let to = match given {
            Some(address) => {
                let to = destination::message(call, self.bound(call.stack), address);
                to.map_err(|errno| match errno {
                    // That a source of IPv4 leads to no host of IPv6 is found out last.
                    Errno::AFNOSUPPORT | Errno::NETUNREACH
                        if call.domain() == Domain::V6 && destination::is_only_v6(address) =>
                    {
                        beside::sooner_than(call, errno, control)
                    }
                    errno => errno,
                })?
            }
            None => None,
        };
        let remote = to.or(call.stack.udp_remote(self.id)).ok_or(Errno::DESTADDRREQ)?;
        if len > LENGTH_MAX && remote.is_ipv4() {
            return Err(Errno::MSGSIZE);
        }
        // As Linux's IPv6, where it hands over to IPv4. Others send to port 0 where they are connected to it.
        if call.domain() == Domain::V6 && remote.is_ipv4() && remote.port() == 0 {
            return Err(Errno::INVAL);
        }
        // Linux's IPv6 does not look at the flag, until it hands over to IPv4.
        if flags & MSG_OOB != 0 && remote.is_ipv4() {
            return Err(Errno::OPNOTSUPP);
        }
        if let Some(to) = to {
            destination::check_broadcast(call, to)?;
        }
        destination::check_direct(call, remote, flags & MSG_DONTROUTE != 0)?;
        let bound = self.bound(call.stack).map(|local| local.ip()).filter(|ip| !ip.is_unspecified());
        let options = beside::send_options(call, remote, control, bound)?;
        let to = match (given, to, options.source) {
            (Some(address), Some(to), source @ Some(_)) => {
                Some(destination::from_source(address, to, source))
            }
            _ => to,
        };
        Ok(Destination { to, options })
    }

    /// How a datagram goes that was held back, now that it is complete.
    fn at_the_end(&self, call: &Call<'_>, begun: Destination) -> Destination {
        let Some((corked, to)) = self.corked.as_ref().zip(begun.to) else { return begun };
        let limit = begun.options.hop_limit;
        let Late { hop_limit, no_loop } =
            beside::at_the_end(call.options(), to, limit, corked.names_hop_limit);
        Destination { options: UdpSendOptions { hop_limit, no_loop, ..begun.options }, ..begun }
    }

    /// Sends what was held back, where nothing is to be held back any longer. What goes wrong nobody is told.
    pub(crate) fn uncork(&mut self, call: &mut Call<'_>) {
        if !call.options().udp_cork
            && let Some(corked) = &self.corked
        {
            let Destination { to, options } = self.at_the_end(call, corked.destination);
            let (held, whole) = (corked.len(), corked.with(Rope::new()));
            let sent = call.stack.udp_send_held(call.now, self.id, (held, whole), to, options);
            if sent == Err(SendError::WouldBlock) {
                call.stack.udp_count_unsent(self.id);
                call.stack.udp_give_up(self.id, held);
            }
            self.forget_corked(call);
        }
    }

    pub(crate) fn receive(&mut self, call: &mut Call<'_>, max: usize, flags: i32) -> Result<Received, Stop> {
        if flags & MSG_ERRQUEUE != 0 {
            let report = call.stack.udp_take_report(self.id).ok_or(Errno::AGAIN)?;
            return Ok(reports::received(call, report, max));
        }
        if call.options().told.contains(Told::NARROW_PATH)
            && let Some(socket) = call.stack.udp_mut(self.id)
            && let Some((to, mtu)) = socket.mail.narrow_path.take()
        {
            return Ok(reports::of_narrow_path(to, mtu));
        }
        let offset = call.options().peek_offset() >= 0;
        let datagram = match (flags & MSG_PEEK != 0, offset) {
            (true, true) => return self.peek_at(call, max, flags),
            (true, false) => call.stack.udp_peek(self.id).cloned(),
            (false, _) => call.stack.udp_recv(self.id),
        };
        let received = self.taken(call, datagram, max, flags)?;
        if offset {
            let moved = if flags & MSG_TRUNC != 0 { received.full_len } else { received.data.len() };
            call.common.options.move_peek_offset(-(moved as i64));
        }
        Ok(received)
    }

    fn taken(
        &self,
        call: &Call<'_>,
        datagram: Result<Datagram, RecvError>,
        max: usize,
        flags: i32,
    ) -> Result<Received, Stop> {
        datagram::taken(call, datagram, |datagram| Some(datagram.to_port), max, flags)
    }

    /// MSG_PEEK from SO_PEEK_OFF on, which moves by what the call returns.
    fn peek_at(&self, call: &mut Call<'_>, max: usize, flags: i32) -> Result<Received, Stop> {
        let mut start = call.options().peek_start();
        let datagram = call.stack.udp_peek_at(self.id, start).map(|(datagram, within)| {
            start = within;
            datagram.clone()
        });
        if datagram.is_err() {
            // An end of receiving has no place to begin at.
            return self.taken(call, datagram, max, flags);
        }
        let mut received = self.taken(call, datagram, usize::MAX, flags)?;
        let left = received.full_len - start;
        received.data.split_to(start);
        received.data.truncate(max);
        // As Linux: one that ends at its end, and began behind its beginning, is called cut, too.
        if max <= left && max < received.full_len {
            received.flags |= MSG_TRUNC;
        }
        let moved = if flags & MSG_TRUNC != 0 { received.full_len } else { received.data.len() };
        call.common.options.move_peek_offset(moved as i64);
        Ok(received)
    }

    pub(crate) fn shutdown(&mut self, call: &mut Call<'_>, how: i32) -> Result<(), Errno> {
        let socket = call.stack.udp_mut(self.id).ok_or(Errno::BADF)?;
        if how != SHUT_WR {
            socket.mail.shutdown_read();
        }
        if how != SHUT_RD {
            socket.mail.shutdown_write();
        }
        datagram::shut(socket.remote())
    }

    pub(crate) fn close(self, call: &mut Call<'_>) {
        call.stack.udp_close(self.id);
    }

    pub(crate) fn local(&self, stack: &Stack, common: &Common) -> SockAddr {
        let domain = common.subject.domain;
        let socket = stack.udp(self.id);
        match socket.and_then(|socket| socket.local().or(socket.bound.map(|local| (local, 0)))) {
            Some((local, port)) => bind::shown(local, port, domain),
            None => destination::unspecified(domain, 0),
        }
    }

    pub(crate) fn peer(&self, stack: &Stack, common: &Common) -> Result<SockAddr, Errno> {
        // Linux takes one that was connected to port 0 for unconnected here, and only here.
        let remote = stack.udp_remote(self.id).filter(|remote| remote.port() != 0).ok_or(Errno::NOTCONN)?;
        Ok(destination::shown(common.subject.domain, remote))
    }

    /// The largest packet that the path to the peer takes, in bytes.
    pub(crate) fn path_mtu(&self, call: &Call<'_>) -> Option<usize> {
        call.stack.udp_path_mtu(call.now, self.id)
    }

    pub(crate) fn take_error(&mut self, call: &mut Call<'_>) -> Option<Errno> {
        call.stack.udp_take_error(self.id).map(|error| error.errno())
    }

    pub(crate) fn is_bound(&self, stack: &Stack) -> bool {
        stack.udp(self.id).is_some_and(|socket| socket.bind.is_some())
    }

    /// Tells the stack of changed options.
    pub(crate) fn apply_options(&self, call: &mut Call<'_>) {
        let (wildcard, domain) = (bind::any(call), call.domain());
        let options = &call.common.options;
        call.stack.udp_set_send_buffer(self.id, options.tcp.send_buffer as usize);
        let Some(socket) = call.stack.udp_mut(self.id) else {
            return;
        };
        socket.mail.receive_buffer = options.tcp.receive_buffer as usize;
        socket.merged = if options.udp_gro { Merged::Whole } else { Merged::Split };
        socket.discovery = options.discovery;
        socket.error_delivery = options.errors;
        socket.own_groups_only = options.own_groups_only(domain);
        socket.way = options.way();
        socket.ports = options.rare().ports;
        socket.wildcard = wildcard;
        socket.reuse_port = options.reuse_port;
        if let Some(binding) = socket.bind {
            call.stack.set_reuse(binding, options.reuse());
            call.stack.set_bound_device(binding, options.device);
        }
    }

    /// Forgets the reports of errors.
    pub(crate) fn drop_reports(&self, call: &mut Call<'_>) {
        if let Some(socket) = call.stack.udp_mut(self.id) {
            socket.mail.drop_reports();
        }
    }

    /// The address that the socket was bound to, or that `connect` chose.
    fn bound(&self, stack: &Stack) -> Option<LocalAddr> {
        let socket = stack.udp(self.id)?;
        if let Some((chosen, _)) = socket.remote().and(socket.local()) {
            return Some(chosen);
        }
        socket.bind.and_then(|binding| stack.binding(binding)).map(|(local, _)| local).or(socket.bound)
    }
}

/// Where a datagram goes, and how.
#[derive(Copy, Clone, Debug)]
struct Destination {
    /// `None` for the socket's peer.
    to: Option<SocketAddr>,
    options: UdpSendOptions,
}
