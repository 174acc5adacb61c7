//! The calls on a raw socket (SOCK_RAW of AF_INET and AF_INET6), as Linux answers them. Source: raw(7), RFC 3542.
//!
//! Its own port is the number of its protocol; that of a peer says nothing.

use core::net::{Ipv4Addr, SocketAddr};

use rustix::io::Errno;
use tapsock_stack::ports::LocalAddr;
use tapsock_stack::raw::{Headers, RawId};
use tapsock_stack::stack::{RawSendOptions, SendError, SocketId, Stack};
use tapsock_stack::udp::{Datagram as Packet, Mailbox};
use tapsock_stack::{buf::Rope, wire::Ipv4Header};

use crate::address::{SOCKADDR_IN_LEN, SOCKADDR_IN6_OLD_LEN, SockAddr, is_shorter_than, unmapped};
use crate::beside::{self, Late};
use crate::bind;
use crate::constants::*;
use crate::cork::{Corked, LENGTH_MAX};
use crate::datagram;
use crate::destination;
use crate::errno::ToErrno;
use crate::options::{Domain, Told};
use crate::poll::View;
use crate::reports;
use crate::socket::{Call, Common, Received, Stop};
use crate::timestamping;

mod options;

/// A raw socket. The stack holds its ends, its queue and its errors.
#[derive(Debug)]
pub(crate) struct RawSocket {
    id: RawId,
    /// What is held back until the packet is complete.
    corked: Option<Box<Corked<Destination>>>,
}

/// Where a packet goes, and how.
#[derive(Copy, Clone, Debug)]
struct Destination {
    /// `None` for the socket's peer.
    to: Option<SocketAddr>,
    options: RawSendOptions,
}

impl RawSocket {
    pub(crate) fn new(stack: &mut Stack, domain: Domain, protocol: u16) -> Result<RawSocket, Errno> {
        let id = stack.raw_open(domain.family(), protocol).ok_or(Errno::NOBUFS)?;
        Ok(RawSocket { id, corked: None })
    }

    pub(crate) fn id(&self) -> SocketId {
        SocketId::Raw(self.id)
    }

    pub(crate) fn view(&self, stack: &Stack) -> View {
        datagram::view(self.mail(stack), stack.raw_is_writable(self.id))
    }

    /// What it has in hand.
    pub(crate) fn mail<'a>(&self, stack: &'a Stack) -> Option<&'a Mailbox> {
        stack.raw(self.id).map(|socket| &socket.mail)
    }

    /// `bind`. May be called again and again until the socket is connected.
    pub(crate) fn bind(&mut self, call: &mut Call<'_>, address: &SockAddr) -> Result<(), Errno> {
        let connected = call.stack.raw(self.id).is_some_and(|socket| socket.remote().is_some());
        let local = match call.domain() {
            Domain::V4 => local_v4(call, address, connected)?,
            Domain::V6 => local_v6(call, address, connected)?,
        };
        let source = call.stack.interfaces().source_of(local);
        if let Some(socket) = call.stack.raw_mut(self.id) {
            socket.bind(local, source);
        }
        Ok(())
    }

    pub(crate) fn connect(&mut self, call: &mut Call<'_>, address: &SockAddr) -> Result<(), Errno> {
        let remote = match address {
            SockAddr::Unspec(_) => None,
            _ if is_shorter_than(address, size_of::<u16>()) => return Err(Errno::INVAL),
            _ => {
                let bound = call.stack.raw(self.id).map(|socket| socket.local());
                Some(destination::raw_peer(call, bound.filter(|local| !local.is_wildcard()), address)?)
            }
        };
        if let Some(remote) = remote {
            destination::check_broadcast(call, remote)?;
            destination::check_direct(call, remote, false)?;
        }
        let (way, sought) = (call.options().way(), destination::way_to(call, remote));
        let set_way = |call: &mut Call<'_>, way| {
            if let Some(socket) = call.stack.raw_mut(self.id) {
                socket.way = way;
            }
        };
        set_way(call, sought);
        let connected = call.stack.raw_connect(self.id, remote);
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
        // As Linux, whose IPv6 looks first where it goes.
        if data.len() > LENGTH_MAX && call.domain() == Domain::V4 {
            return Err(Errno::MSGSIZE.into());
        }
        if flags & MSG_OOB != 0 {
            return Err(Errno::OPNOTSUPP.into());
        }
        // As Linux, whose IPv4 takes an address without bytes for none.
        let to = to.filter(|address| call.domain() == Domain::V6 || !is_shorter_than(address, 1));
        let headers = call.stack.raw(self.id).map_or(Headers::Stack, |socket| socket.headers);
        // Whoever writes headers sends whole packets; what was held back before stays so.
        let corked = self.corked.as_ref().filter(|_| headers == Headers::Stack);
        let held = corked.map(|corked| corked.len());
        let numbered = call.options().rare().stamped_sends;
        // As Linux, which looks at each part as at a packet of its own.
        let here = self.destination(call, flags, to, control, data.len())?;
        let destination = match corked {
            Some(corked) => {
                call.common.options.rare_mut().stamped_sends = numbered;
                let way = call.stack.raw_check_way(self.id, here.to, here.options);
                way.map_err(|error| error.errno())?;
                corked.destination
            }
            None => here,
        };
        let destination = match call.domain() {
            // Of IPv4 the last part says between whom it goes.
            Domain::V4 if held.is_some() && flags & MSG_MORE == 0 => Destination {
                to: here.to.or(call.stack.raw(self.id).and_then(|socket| socket.remote())),
                options: RawSendOptions { source: here.options.source, ..destination.options },
            },
            _ => destination,
        };
        if flags & MSG_MORE != 0 && headers == Headers::Stack {
            let taken = data.len();
            let Destination { to, options } = destination;
            if let Err(error) = call.stack.raw_hold(call.now, self.id, (held, taken), to, options) {
                // As in Linux, all is lost.
                match self.corked.take() {
                    Some(corked) => call.stack.raw_give_up(self.id, corked.len()),
                    None => timestamping::not_sent(call, options.stamps),
                }
                return Err(error.errno().into());
            }
            let to = to.or(call.stack.raw(self.id).and_then(|socket| socket.remote()));
            let corked = self.corked.get_or_insert_with(|| {
                let names_limit = to.is_some_and(|to| beside::names_hop_limit(call, to, control));
                Box::new(Corked::new(Destination { to, options }, names_limit))
            });
            corked.append(data.split_to(taken));
            return Ok(taken);
        }
        let whole = corked.map_or_else(|| data.clone(), |corked| corked.with(data.clone()));
        let remote = destination.to.or(call.stack.raw(self.id).and_then(|socket| socket.remote()));
        if let Some(remote) = remote.filter(|_| flags & MSG_CONFIRM != 0) {
            call.stack.confirm_path(call.now, remote, call.options().device);
        }
        let Destination { to, mut options } = destination;
        if let Some((corked, remote)) = corked.zip(remote) {
            let Late { hop_limit, no_loop } =
                beside::at_the_end(call.options(), remote, options.hop_limit, corked.names_hop_limit);
            (options.hop_limit, options.no_loop) = (hop_limit, no_loop);
        }
        let sent = match held {
            Some(held) => call.stack.raw_send_held(call.now, self.id, (held, whole), to, options),
            None => call.stack.raw_send(call.now, self.id, whole, to, options),
        };
        if sent.is_err() && held.is_none() {
            timestamping::not_sent(call, destination.options.stamps);
        }
        if sent == Err(SendError::WouldBlock) {
            return Err(call.wait_out(flags));
        }
        if headers == Headers::Stack {
            self.corked = None;
        }
        sent.map_err(|error| error.errno())?;
        Ok(data.split_to(data.len()).len())
    }

    /// Where a packet of so many bytes goes, and how.
    fn destination(
        &self,
        call: &mut Call<'_>,
        flags: i32,
        given: Option<&SockAddr>,
        control: &[u8],
        len: usize,
    ) -> Result<Destination, Errno> {
        let socket = call.stack.raw(self.id).ok_or(Errno::BADF)?;
        // Linux looks into the message for the sake of its policies, and says so where it ends too soon.
        let protocol = i32::from(socket.protocol());
        let is_icmp = matches!(protocol, IPPROTO_ICMP | IPPROTO_ICMPV6);
        let is_too_short = is_icmp && socket.headers == Headers::Stack && len < TYPE_AND_CODE;
        let to = match given {
            Some(address) => {
                let to = destination::raw_message(call, socket.protocol(), address);
                to.map_err(|errno| match errno {
                    // That no way leads there is found out last.
                    Errno::NETUNREACH if is_too_short => beside::sooner_than(call, Errno::FAULT, control),
                    Errno::NETUNREACH => beside::sooner_than(call, errno, control),
                    errno => errno,
                })?
            }
            None => None,
        };
        let remote = to.or(socket.remote()).ok_or(Errno::DESTADDRREQ)?;
        // IPv6 looks at the interfaces that messages name before that, and IPv4 afterwards.
        if is_too_short && call.domain() == Domain::V4 {
            return Err(beside::sooner_than(call, Errno::FAULT, control));
        }
        let options = beside::send_options(call, remote, control, socket.source())?;
        let source = options.source.or(socket.source());
        let to = given.zip(to).map(|(address, to)| destination::from_source(address, to, source)).or(to);
        if is_too_short {
            return Err(Errno::FAULT);
        }
        destination::check_broadcast(call, remote)?;
        destination::check_direct(call, remote, flags & MSG_DONTROUTE != 0)?;
        if flags & MSG_CONFIRM != 0 {
            call.stack.confirm_path(call.now, remote, options.interface.or(call.options().device));
        }
        let options = RawSendOptions {
            hop_limit: options.hop_limit,
            traffic_class: options.traffic_class,
            source: options.source,
            interface: options.interface,
            mark: options.mark,
            priority: options.priority,
            // As Linux, which leaves the packets of other protocols alone.
            unfragmented: options.unfragmented
                && matches!(protocol, IPPROTO_ICMPV6 | IPPROTO_UDP | IPPROTO_RAW),
            largest: options.largest,
            flow_label: options.flow_label,
            labels: options.labels,
            no_loop: options.no_loop,
            ip_options: options.ip_options,
            stamps: timestamping::numbered(call, options.stamps),
        };
        Ok(Destination { to, options })
    }

    pub(crate) fn receive(&mut self, call: &mut Call<'_>, max: usize, flags: i32) -> Result<Received, Stop> {
        if flags & MSG_OOB != 0 {
            return Err(Errno::OPNOTSUPP.into());
        }
        if flags & MSG_ERRQUEUE != 0 {
            let report = call.stack.raw_take_report(self.id).ok_or(Errno::AGAIN)?;
            return Ok(reports::received(call, report, max));
        }
        if call.options().told.contains(Told::NARROW_PATH)
            && let Some(socket) = call.stack.raw_mut(self.id)
            && let Some((to, mtu)) = socket.mail.narrow_path.take()
        {
            return Ok(reports::of_narrow_path(to, mtu));
        }
        let packet = if flags & MSG_PEEK != 0 {
            call.stack.raw_peek(self.id).cloned()
        } else {
            call.stack.raw_recv(self.id)
        };
        datagram::taken(call, packet, destination_port, max, flags)
    }

    pub(crate) fn shutdown(&mut self, call: &mut Call<'_>, how: i32) -> Result<(), Errno> {
        let socket = call.stack.raw_mut(self.id).ok_or(Errno::BADF)?;
        if how != SHUT_WR {
            socket.mail.shutdown_read();
        }
        if how != SHUT_RD {
            socket.mail.shutdown_write();
        }
        datagram::shut(socket.remote())
    }

    pub(crate) fn close(self, call: &mut Call<'_>) {
        call.stack.raw_close(self.id);
    }

    pub(crate) fn local(&self, stack: &Stack, common: &Common) -> SockAddr {
        let domain = common.subject.domain;
        match stack.raw(self.id) {
            Some(socket) => {
                let port = if socket.listens() { socket.protocol() } else { 0 };
                bind::shown(socket.local(), port, domain)
            }
            None => destination::unspecified(domain, 0),
        }
    }

    pub(crate) fn peer(&self, stack: &Stack, common: &Common) -> Result<SockAddr, Errno> {
        // Linux takes one that was connected to port 0 for unconnected here, and only here.
        let remote = stack.raw(self.id).and_then(|socket| socket.remote());
        let remote = remote.filter(|remote| remote.port() != 0).ok_or(Errno::NOTCONN)?;
        Ok(destination::shown(common.subject.domain, remote))
    }

    /// The largest packet that the path to the peer takes, in bytes.
    pub(crate) fn path_mtu(&self, call: &Call<'_>) -> Option<usize> {
        call.stack.raw_path_mtu(call.now, self.id)
    }

    pub(crate) fn take_error(&mut self, call: &mut Call<'_>) -> Option<Errno> {
        call.stack.raw_take_error(self.id).map(|error| error.errno())
    }

    /// Tells the stack of changed options.
    pub(crate) fn apply_options(&self, call: &mut Call<'_>) {
        let options = &call.common.options;
        let (groups_v4, groups_v6) = options.own_groups_only(call.common.subject.domain);
        call.stack.raw_set_send_buffer(self.id, options.tcp.send_buffer as usize);
        if let Some(socket) = call.stack.raw_mut(self.id) {
            socket.mail.receive_buffer = options.tcp.receive_buffer as usize;
            socket.discovery = options.discovery;
            socket.way = options.way();
            socket.own_groups_only = if socket.is_v4() { groups_v4 } else { groups_v6 };
            socket.error_delivery = match call.common.subject.domain {
                Domain::V4 => options.errors.v4,
                Domain::V6 => options.errors.v6,
            };
        }
    }

    /// Forgets the reports of errors.
    pub(crate) fn drop_reports(&self, call: &mut Call<'_>) {
        if let Some(socket) = call.stack.raw_mut(self.id) {
            socket.mail.drop_reports();
        }
    }
}

/// The address that an IPv4 socket is to have. Linux does not look at the family, and so takes any for what stands in the
/// place of IPv4's address.
fn local_v4(call: &Call<'_>, address: &SockAddr, connected: bool) -> Result<LocalAddr, Errno> {
    if connected || is_shorter_than(address, SOCKADDR_IN_LEN) {
        return Err(Errno::INVAL);
    }
    let ip = match address {
        SockAddr::V4(address)
        | SockAddr::Unspec(Some(address))
        | SockAddr::Other { as_v4: Some(address), .. } => *address.ip(),
        SockAddr::V6(address) => Ipv4Addr::from(address.flowinfo()),
        _ => return Err(Errno::AFNOSUPPORT),
    };
    bind::check_v4(call, ip)?;
    Ok(bind::local_of(ip))
}

fn local_v6(call: &Call<'_>, address: &SockAddr, connected: bool) -> Result<LocalAddr, Errno> {
    if is_shorter_than(address, SOCKADDR_IN6_OLD_LEN) {
        return Err(Errno::INVAL);
    }
    let SockAddr::V6(address) = address else {
        return Err(Errno::INVAL);
    };
    if unmapped(*address).is_some() {
        return Err(Errno::ADDRNOTAVAIL);
    }
    if connected {
        return Err(Errno::INVAL);
    }
    bind::plain_v6(call, *address)
}

/// Where a port of the destination would stand behind the IP header.
fn destination_port(packet: &Packet) -> Option<u16> {
    let mut first = [0; 1];
    packet.payload.copy_to(&mut first);
    let header = if packet.to.is_ipv4() { usize::from(first[0] & 0x0f) * 4 } else { 0 };
    debug_assert!(packet.to.is_ipv6() || header >= Ipv4Header::MIN_LEN);
    datagram::port_at(packet, header)
}

/// Bytes of ICMP's type and code.
const TYPE_AND_CODE: usize = 2;
