//! What goes beside the data of a datagram: what its receiver is told, and what its sender asks for.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::num::NonZeroU32;
use core::time::Duration;

use rustix::io::Errno;
use tapsock_stack::iface::InterfaceId;
use tapsock_stack::ip::output::Priority;
use tapsock_stack::stack::{SendStamps, Stack, UdpSendOptions};
use tapsock_stack::time::Instant;
use tapsock_stack::udp::Datagram;
use tapsock_stack::wire::ipv4_options::Ipv4Options;

use crate::address::mapped;
use crate::control::{Control, ControlFor, SendControl};
use crate::destination;
use crate::groups;
use crate::options::{Domain, Kind, SocketOptions, Told, check_ip_options};
use crate::socket::{Call, Permission};

/// When a datagram came, as its receiver wants to be told.
///
/// ```
/// use core::time::Duration;
/// use tapsock_sockets::Stamp;
/// use tapsock_sockets::control::Control;
/// use tapsock_stack::time::Instant;
///
/// let stamp = Stamp::Nanos(Instant::from_secs(2));
/// let booted = Duration::from_secs(1_000);
/// assert_eq!(stamp.since_1970(booted), Control::TimestampNs(Duration::from_secs(1_002)));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Stamp {
    /// In microseconds (SO_TIMESTAMP).
    Micros(Instant),
    /// In nanoseconds (SO_TIMESTAMPNS).
    Nanos(Instant),
    /// By the stack, beside which a device could have told of it (SO_TIMESTAMPING).
    Software(Instant),
}

/// The stamps of one receive: by SO_TIMESTAMP or SO_TIMESTAMPNS, and by SO_TIMESTAMPING.
pub type Stamps = [Option<Stamp>; 2];

impl Stamp {
    /// The message for it, where the stack's clock began to run `epoch` after 1970.
    pub fn since_1970(self, epoch: Duration) -> Control {
        let time = |at: Instant| epoch + at.saturating_since(Instant::ZERO);
        match self {
            Stamp::Micros(at) => Control::Timestamp(time(at)),
            Stamp::Nanos(at) => Control::TimestampNs(time(at)),
            Stamp::Software(at) => Control::Timestamping { software: time(at), hardware: Duration::ZERO },
        }
    }
}

/// When it came, where `options` ask for that.
pub(crate) fn stamps(options: &SocketOptions, arrived: Instant) -> Stamps {
    let software = options.rare().timestamping.tells_arrivals().then_some(Stamp::Software(arrived));
    [simple_stamp(options, arrived), software]
}

/// The time of a report in the error queue, where `options` ask for that.
pub(crate) fn stamps_of_report(options: &SocketOptions, at: Instant) -> Stamps {
    let software = options.rare().timestamping.tells_stamps().then_some(Stamp::Software(at));
    [simple_stamp(options, at), software]
}

fn simple_stamp(options: &SocketOptions, at: Instant) -> Option<Stamp> {
    if options.told.contains(Told::STAMP) {
        return Some(Stamp::Micros(at));
    }
    options.told.contains(Told::STAMP_NANOS).then_some(Stamp::Nanos(at))
}

/// What the receiver of `datagram` is told, in Linux's order. `port` is the one that it was sent to, where it has one.
pub(crate) fn of_datagram(call: &Call<'_>, datagram: &Datagram, port: Option<u16>) -> Vec<Control> {
    let (options, mut control) = (call.options(), Vec::new());
    if options.told.is_empty() && !options.udp_gro {
        return control;
    }
    let mut tell = |what, message| {
        if options.told.contains(what) {
            control.push(message);
        }
    };
    if datagram.drops_before > 0 {
        tell(Told::OVERFLOW, Control::RxqOverflow(datagram.drops_before));
    }
    if let Some(size) = datagram.segment_size.filter(|_| options.udp_gro) {
        // UDP_GRO itself asks for that.
        tell(Told::default(), Control::GroSize(size));
    }
    let interface = datagram.interface.index();
    let to = port.map(|port| SocketAddr::new(datagram.to, port));
    if call.domain() == Domain::V6 {
        let destination = *mapped(SocketAddr::new(datagram.to, 0)).ip();
        tell(Told::PACKET_INFO6, Control::PacketInfo6 { destination, interface });
    }
    match datagram.to {
        IpAddr::V4(destination) => {
            let local = match own_address(call.stack, datagram) {
                // As Linux, which has no answer in mind here.
                _ if call.common.subject.kind == Kind::Ping => Ipv4Addr::UNSPECIFIED,
                IpAddr::V4(local) => local,
                IpAddr::V6(_) => destination,
            };
            tell(Told::PACKET_INFO, Control::PacketInfo4 { interface, local, destination });
            tell(Told::TTL, Control::Ttl(datagram.hop_limit));
            tell(Told::TOS, Control::Tos(datagram.traffic_class));
            if let Some(options) = datagram.ip_options.as_deref() {
                tell(Told::OPTIONS, Control::IpOptions(options.to_vec()));
                tell(Told::RETURN_OPTIONS, Control::ReturnOptions(returned(options)));
            }
            if let Some(to) = to {
                tell(Told::DESTINATION, Control::OriginalDestination(to));
            }
        }
        IpAddr::V6(_) => {
            tell(Told::HOP_LIMIT, Control::HopLimit(datagram.hop_limit));
            tell(Told::TRAFFIC_CLASS, Control::TrafficClass(datagram.traffic_class));
            let flow = u32::from(datagram.traffic_class) << FLOW_LABEL.count_ones() | datagram.flow_label;
            if flow != 0 {
                tell(Told::FLOW, Control::FlowInfo(flow));
            }
            if let Some(to) = to {
                tell(Told::DESTINATION6, Control::OriginalDestination(to));
            }
        }
    }
    control
}

/// The options for an answer: without a source route, by which nothing comes unless that is allowed.
fn returned(options: &[u8]) -> Vec<u8> {
    let parsed = Ipv4Options::parse(options).unwrap_or_default();
    parsed.echo(options).as_bytes().to_vec()
}

/// The address of ours that an answer would come from: where the datagram went to everybody, the link's.
fn own_address(stack: &Stack, datagram: &Datagram) -> IpAddr {
    if stack.interfaces().is_local(datagram.to) {
        return datagram.to;
    }
    let hop = stack.interfaces().route(datagram.from.ip(), None, Some(datagram.interface));
    hop.map_or(datagram.to, |hop| hop.source)
}

/// What options and messages make of a datagram to `remote`. `bound` is the source that the socket has, unless a message
/// names one.
///
/// Errors: EINVAL where a message is malformed, EPERM for a mark or a high priority without privilege; ENODEV for an
/// interface that is not there; ENETUNREACH, or EINVAL over IPv6,
/// for a source that is not ours.
pub(crate) fn send_options(
    call: &Call<'_>,
    remote: SocketAddr,
    control: &[u8],
    bound: Option<IpAddr>,
) -> Result<UdpSendOptions, Errno> {
    let (sender, family) = reader(call, remote);
    let control = SendControl::parse(control, sender)?;
    check_allowed(call, &control)?;
    let ip_options = control.ip_options.filter(|_| call.common.subject.has_v4_options());
    if let Some(options) = &ip_options {
        check_ip_options(options, call.permission == Permission::Privileged)?;
    }
    let options = call.options();
    let interface = place(call, &control)?;
    let (rare, to_group) = (options.rare(), remote.ip().is_multicast());
    let Late { hop_limit: limit, no_loop } = late(options, remote);
    // As Linux: what the socket is bound and held to outweighs IP_MULTICAST_IF.
    let is_held = destination::scope_of(remote) != 0 || options.device.is_some();
    let by_group = groups::interface_to(call, remote.ip()).filter(|_| !is_held);
    let is_open = control.source.or(bound).is_none_or(|source| source.is_unspecified());
    let names_source = to_group && family == Domain::V4 && is_open;
    let group_source = rare.group_source.filter(|_| names_source).map(IpAddr::V4);
    Ok(UdpSendOptions {
        segment_size: control.segment_size.or(Some(options.udp_segment)).filter(|size| *size > 0),
        hop_limit: control.hop_limit.or(limit),
        traffic_class: control.traffic_class.unwrap_or(options.traffic_class(family)),
        source: group_source.or(control.source),
        interface: interface.or(destination::sticky_interface(call, remote)).or(by_group),
        largest: options.rare().largest_v6,
        no_loop,
        mark: NonZeroU32::new(control.mark.unwrap_or(options.rare().mark)),
        priority: priority(options, &control, family),
        flow_label: control.flow_info.map(|info| info & FLOW_LABEL).filter(|label| *label != 0),
        labels: options.rare().labels,
        unfragmented: family == Domain::V6 && control.dont_fragment.unwrap_or(options.rare().unfragmented),
        ip_options: ip_options.unwrap_or(rare.ip_options),
        stamps: options.rare().timestamping.of_send(control.timestamping),
    })
}

/// What options say of a packet when it goes, and not when it begins to be held back.
pub(crate) struct Late {
    /// `None` for the host's.
    pub(crate) hop_limit: Option<u8>,
    /// Where it is for a group, this host does not hear it.
    pub(crate) no_loop: bool,
}

fn late(options: &SocketOptions, remote: SocketAddr) -> Late {
    let (rare, v4) = (options.rare(), remote.is_ipv4());
    let group_limit = if v4 { rare.group_ttl } else { rare.group_hops };
    let of_host = || options.hop_limit(if v4 { Domain::V4 } else { Domain::V6 });
    Late {
        hop_limit: if remote.ip().is_multicast() { Some(group_limit.unwrap_or(1)) } else { of_host() },
        no_loop: if v4 { rare.no_loop.0 } else { rare.no_loop.1 },
    }
}

/// The same of one to `remote` that was held back since its hop limit was `begun`, by a message where `named` says so. As
/// Linux, whose IPv6 has settled the hop limit by then.
pub(crate) fn at_the_end(
    options: &SocketOptions,
    remote: SocketAddr,
    begun: Option<u8>,
    named: bool,
) -> Late {
    let late = late(options, remote);
    if named || remote.is_ipv6() { Late { hop_limit: begun, ..late } } else { late }
}

/// Whether a message says what the hop limit of a datagram to `remote` is.
pub(crate) fn names_hop_limit(call: &Call<'_>, remote: SocketAddr, control: &[u8]) -> bool {
    SendControl::parse(control, reader(call, remote).0).is_ok_and(|control| control.hop_limit.is_some())
}

/// The interface that messages name, if the source that they name may be used.
///
/// Errors: ENETUNREACH, over IPv6 EINVAL, for a source that is not ours; ENODEV.
fn place(call: &Call<'_>, control: &SendControl) -> Result<Option<InterfaceId>, Errno> {
    if let Some(source) = control.source.filter(|source| !source.is_unspecified())
        && !call.options().rare().transparent
        && !call.stack.interfaces().is_local(source)
    {
        return Err(if source.is_ipv4() { Errno::NETUNREACH } else { Errno::INVAL });
    }
    control.interface.map(|index| interface(call, index)).transpose()
}

fn is_raw(call: &Call<'_>) -> bool {
    matches!(call.common.subject.kind, Kind::Raw(_) | Kind::Ping)
}

/// Who reads the messages of a datagram to `remote`, and of which family it is.
fn reader(call: &Call<'_>, remote: SocketAddr) -> (ControlFor, Domain) {
    match (call.domain(), remote) {
        (Domain::V4, _) if is_raw(call) => (ControlFor::Raw4, Domain::V4),
        (Domain::V6, _) if is_raw(call) => (ControlFor::Raw6, Domain::V6),
        (Domain::V4, _) => (ControlFor::Udp4, Domain::V4),
        (Domain::V6, SocketAddr::V4(_)) => (ControlFor::Udp6Mapped, Domain::V4),
        (Domain::V6, SocketAddr::V6(_)) => (ControlFor::Udp6, Domain::V6),
    }
}

/// What is wrong with the control messages of a datagram of the socket's own family, which is said before `errno`.
pub(crate) fn sooner_than(call: &Call<'_>, errno: Errno, control: &[u8]) -> Errno {
    let sender = match (call.domain(), is_raw(call)) {
        (Domain::V4, true) => ControlFor::Raw4,
        (Domain::V6, true) => ControlFor::Raw6,
        (Domain::V4, false) => ControlFor::Udp4,
        (Domain::V6, false) => ControlFor::Udp6,
    };
    let wrong = SendControl::parse(control, sender).and_then(|control| match call.domain() {
        // IPv4 looks at what these name when it looks for a way.
        Domain::V4 => Ok(()),
        Domain::V6 => place(call, &control).map(drop),
    });
    wrong.err().unwrap_or(errno)
}

/// What a message says, or the type of service that one says, or the option.
fn priority(options: &SocketOptions, control: &SendControl, family: Domain) -> Priority {
    let by_service =
        control.traffic_class.filter(|_| family == Domain::V4).map(|tos| Priority::of_service(tos) as i32);
    Priority::new(control.priority.or(by_service).unwrap_or(options.rare().priority) as u32)
}

/// The bits of `sin6_flowinfo` that are the label.
const FLOW_LABEL: u32 = 0xf_ffff;

/// The stamps that messages, or options, want of a send on a stream. Errors: EINVAL for other messages.
pub(crate) fn stream_stamps(call: &Call<'_>, control: &[u8]) -> Result<SendStamps, Errno> {
    let control = SendControl::parse(control, ControlFor::Tcp)?;
    check_allowed(call, &control)?;
    Ok(call.options().rare().timestamping.of_send(control.timestamping))
}

/// Errors: EPERM for a mark, or a priority above 6, without privilege.
fn check_allowed(call: &Call<'_>, control: &SendControl) -> Result<(), Errno> {
    let high = control.priority.is_some_and(|priority| !(0..=6).contains(&priority));
    let allowed = call.permission == Permission::Privileged || control.mark.is_none() && !high;
    if allowed { Ok(()) } else { Err(Errno::PERM) }
}

fn interface(call: &Call<'_>, index: u32) -> Result<InterfaceId, Errno> {
    destination::interface(call.stack.interfaces(), index).ok_or(Errno::NODEV)
}
