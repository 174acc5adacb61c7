//! The tree as a script writes it, for error messages and traces: what is printed parses to the same again.

use std::fmt::{Display, Formatter, Result, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::ast::{
    AccEcnField, Action, Body, Code, Command, Direction, EpollData, Event, Expr, ExprKind, Icmp, IpEcn,
    IpFields, MessageHeader, Packet, Part, Ports, Quoted, SackBlock, SequenceRange, Syscall, Tcp, TcpFlags,
    TcpOption, TcpOptions, Time, Udp,
};

impl Display for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.time)?;
        if let Action::Syscall(Syscall { end: Some(end), .. }) = &self.action {
            write!(f, "...{}", Seconds(*end))?;
        }
        write!(f, " {}", self.action)
    }
}

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Time::Absolute(time) => write!(f, "{}", Seconds(*time)),
            Time::Relative(time) => write!(f, "+{}", Seconds(*time)),
            Time::Any => write!(f, "*"),
            Time::AbsoluteRange { from, to } => write!(f, "{}~{}", Seconds(*from), Seconds(*to)),
            Time::RelativeRange { from, to } => write!(f, "+{}~+{}", Seconds(*from), Seconds(*to)),
        }
    }
}

/// A time as a script has it: whole seconds, or as many decimals as it takes.
struct Seconds(Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.0.as_secs())?;
        if self.0.subsec_nanos() == 0 {
            return Ok(());
        }
        let decimals = format!("{:09}", self.0.subsec_nanos());
        write!(f, ".{}", decimals.trim_end_matches('0'))
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Action::Packet(packet) => write!(f, "{packet}"),
            Action::Syscall(call) => write!(f, "{call}"),
            Action::Command(Command { text, .. }) => write!(f, "`{text}`"),
            Action::Code(Code { text, .. }) => write!(f, "%{{{text}}}%"),
        }
    }
}

impl Display for Packet {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} ", self.direction)?;
        if !self.ip.is_empty() {
            write!(f, "{} ", self.ip)?;
        }
        match &self.body {
            Body::Tcp(segment) => write!(f, "{segment}"),
            Body::Udp(datagram) => write!(f, "{datagram}"),
            Body::Icmp(message) => write!(f, "{message}"),
        }
    }
}

impl Display for Direction {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_char(match self {
            Direction::Inbound => '<',
            Direction::Outbound => '>',
        })
    }
}

impl Display for IpFields {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let ecn = self.ecn.map(|ecn| ecn.to_string());
        let tos = self.tos.map(|tos| format!("tos {tos:#x}"));
        let label = self.flow_label.map(|label| format!("flowlabel {label:#x}"));
        let ttl = self.ttl.map(|ttl| format!("ttl {ttl}"));
        let source = self.source.map(|address| format!("src \"{address}\""));
        let destination = self.destination.map(|address| format!("dst \"{address}\""));
        let word = self.option_word.map(|word| format!("ipopt {word:#x}"));
        let extension = self.extension.map(|header| format!("ext {header:#x}"));
        let part = self.part.map(|Part { start, end }| format!("part {start}:{end}"));
        let id = self.identification.map(|id| format!("id {id}"));
        let parts = self.parts.map(|parts| format!("parts {parts}"));
        let sum = self.wrong_sum.then(|| "badsum".to_owned());
        let fields = [ecn, tos, label, ttl, source, destination, word, extension, part, id, parts, sum];
        let fields: Vec<String> = fields.into_iter().flatten().collect();
        write!(f, "[{}]", fields.join(", "))
    }
}

impl Display for IpEcn {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            IpEcn::NoEcn => "noecn",
            IpEcn::Ect0 => "ect0",
            IpEcn::Ect1 => "ect1",
            IpEcn::Ect01 => "ect01",
            IpEcn::Ce => "ce",
        })
    }
}

impl Display for Ports {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} > {}", self.source, self.destination)
    }
}

impl Display for Tcp {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if let Some(ports) = self.ports {
            write!(f, "{ports} ")?;
        }
        write!(f, "{} {}", self.flags, self.sequence)?;
        if let Some(ack) = self.ack {
            write!(f, " ack {ack}")?;
        }
        if let Some(window) = self.window {
            write!(f, " win {window}")?;
        }
        if let Some(urgent) = self.urgent {
            write!(f, " urg {urgent}")?;
        }
        write!(f, "{}", self.options)
    }
}

impl Display for TcpFlags {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if *self == TcpFlags::NONE {
            return f.write_char('-');
        }
        let set = TcpFlags::LETTERS.iter().filter(|(_, flag)| self.contains(*flag));
        set.into_iter().try_for_each(|(letter, _)| f.write_char(*letter))
    }
}

impl Display for SequenceRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}:{}({})", self.start, self.end, self.length)
    }
}

/// With a blank before it, if there is anything.
impl Display for TcpOptions {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            TcpOptions::Any => write!(f, " <...>"),
            TcpOptions::Listed(options) if options.is_empty() => Ok(()),
            TcpOptions::Listed(options) => write!(f, " <{}>", list(options, ",")),
        }
    }
}

impl Display for TcpOption {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            TcpOption::Nop => write!(f, "nop"),
            TcpOption::EndOfList => write!(f, "eol"),
            TcpOption::Mss(mss) => write!(f, "mss {mss}"),
            TcpOption::WindowScale(shift) => write!(f, "wscale {shift}"),
            TcpOption::SackPermitted => write!(f, "sackOK"),
            TcpOption::Sack(blocks) => write!(f, "sack {}", list(blocks, " ")),
            TcpOption::Timestamp { value, echo } => write!(f, "TS val {value} ecr {echo}"),
            TcpOption::FastOpen(cookie) if cookie.is_empty() => write!(f, "FO"),
            TcpOption::FastOpen(cookie) => write!(f, "FO {}", hexadecimal(cookie)),
            TcpOption::FastOpenExperimental(cookie) if cookie.is_empty() => write!(f, "FOEXP"),
            TcpOption::FastOpenExperimental(cookie) => write!(f, "FOEXP {}", hexadecimal(cookie)),
            TcpOption::Md5(digest) => write!(f, "md5 {}", hexadecimal(digest)),
            TcpOption::AccEcn(fields) => write!(f, "ECN {}", list(fields, " ")),
            TcpOption::Bytes(bytes) => write!(f, "hex {}", hexadecimal(bytes)),
        }
    }
}

impl Display for SackBlock {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}:{}", self.left, self.right)
    }
}

impl Display for AccEcnField {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            AccEcnField::Ect0(bytes) => write!(f, "e0b {bytes}"),
            AccEcnField::Ect1(bytes) => write!(f, "e1b {bytes}"),
            AccEcnField::Ce(bytes) => write!(f, "ceb {bytes}"),
        }
    }
}

impl Display for Udp {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.ports {
            Some(ports) => write!(f, "udp {ports} ({})", self.length),
            None => write!(f, "udp ({})", self.length),
        }
    }
}

impl Display for Icmp {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "icmp {}", self.kind.text)?;
        if let Some(code) = &self.code {
            write!(f, " {}", code.text)?;
        }
        if let Some(mtu) = self.mtu {
            write!(f, " mtu {mtu}")?;
        }
        if let Some(id) = self.id {
            write!(f, " id {id}")?;
        }
        match self.quoted {
            Some(Quoted::Tcp(sequence)) => write!(f, " [{sequence}]"),
            Some(Quoted::Udp(length)) => write!(f, " [udp ({length})]"),
            Some(Quoted::Raw(length)) => write!(f, " [raw ({length})]"),
            None => Ok(()),
        }
    }
}

/// Without its end time, which [`Event`] prints before it.
impl Display for Syscall {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}({}) = {}", self.name, list(&self.arguments, ", "), self.result)?;
        if let Some(errno) = &self.errno {
            write!(f, " {}", errno.text)?;
        }
        match &self.note {
            Some(note) => write!(f, " ({note})"),
            None => Ok(()),
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.kind)
    }
}

impl Display for ExprKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            ExprKind::Ellipsis => write!(f, "..."),
            ExprKind::Integer(value) => write!(f, "{value}"),
            ExprKind::Hexadecimal(value) => write!(f, "{value:#x}"),
            ExprKind::Name(name) => write!(f, "{name}"),
            ExprKind::Text { bytes, more } => {
                write!(f, "\"{}\"{}", Escaped(bytes), if *more { "..." } else { "" })
            }
            ExprKind::Or(parts) => write!(f, "{}", list(parts, "|")),
            ExprKind::Assign { name, value } => write!(f, "{}={value}", name.text),
            ExprKind::Array(parts) => write!(f, "[{}]", list(parts, ", ")),
            ExprKind::Address(address) => write!(f, "{}", InetAddr(*address)),
            ExprKind::NetworkOrder(value) => write!(f, "htons({value})"),
            ExprKind::SocketAddress(address) => socket_address(f, address),
            ExprKind::Message(header) => message(f, header),
            ExprKind::Control(control) => {
                write!(f, "{{cmsg_level={}, cmsg_type={}, ", control.level, control.kind)?;
                write!(f, "cmsg_data={}}}", control.data)
            }
            ExprKind::ScmTimestamping { seconds, nanoseconds } => {
                write!(f, "{{scm_sec={seconds}, scm_nsec={nanoseconds}}}")
            }
            ExprKind::ExtendedError(error) => {
                write!(f, "{{ee_errno={}, ee_origin={}, ", error.errno, error.origin)?;
                write!(f, "ee_type={}, ee_code={}, ", error.kind, error.code)?;
                write!(f, "ee_info={}, ee_data={}}}", error.info, error.data)
            }
            ExprKind::Iovec { base, length } => write!(f, "{{{base}, {length}}}"),
            ExprKind::PollFd(poll) => {
                write!(f, "{{fd={}, events={}", poll.fd, poll.events)?;
                poll.revents.iter().try_for_each(|revents| write!(f, ", revents={revents}"))?;
                write!(f, "}}")
            }
            ExprKind::EpollEvent(event) => {
                let (name, value) = match &event.data {
                    EpollData::Fd(value) => ("fd", value),
                    EpollData::Pointer(value) => ("ptr", value),
                    EpollData::U32(value) => ("u32", value),
                    EpollData::U64(value) => ("u64", value),
                };
                write!(f, "{{events={}, {name}={value}}}", event.events)
            }
            ExprKind::Linger(linger) => write!(f, "{{onoff={}, linger={}}}", linger.on, linger.seconds),
            ExprKind::Group(parts) => write!(f, "{{{}}}", list(parts, ", ")),
        }
    }
}

fn message(f: &mut Formatter<'_>, header: &MessageHeader) -> Result {
    write!(f, "{{msg_name(...)={}, ", header.name)?;
    write!(f, "msg_iov({})=[{}]", header.iov.len(), list(&header.iov, ", "))?;
    if let Some(flags) = &header.flags {
        write!(f, ", msg_flags={flags}")?;
    }
    if let Some(control) = &header.control {
        write!(f, ", msg_control=[{}]", list(control, ", "))?;
    }
    write!(f, "}}")
}

fn socket_address(f: &mut Formatter<'_>, address: &SocketAddr) -> Result {
    let family = if address.is_ipv4() { "AF_INET" } else { "AF_INET6" };
    let (port, ip) = (address.port(), InetAddr(address.ip()));
    write!(f, "{{sa_family={family}, sin_port=htons({port}), sin_addr={ip}}}")
}

struct InetAddr(IpAddr);

impl Display for InetAddr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "inet_addr(\"{address}\")"),
            IpAddr::V6(address) => write!(f, "inet6_addr(\"{address}\")"),
        }
    }
}

/// Bytes within quotes; three digits for what isn't printable, so that no digit behind them is taken for theirs.
struct Escaped<'a>(&'a [u8]);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.0.iter().try_for_each(|byte| match byte {
            b'"' | b'\\' => write!(f, "\\{}", *byte as char),
            b'\n' => write!(f, "\\n"),
            b' '..=b'~' => f.write_char(*byte as char),
            other => write!(f, "\\{other:03o}"),
        })
    }
}

fn list<T: Display>(items: &[T], between: &str) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(between)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
