//! Packets.

use super::{Parsed, Parser, expected, wrong};
use crate::ast::{
    Body, Direction, IpEcn, IpFields, Packet, Part, Ports, Position, SequenceRange, Tcp, TcpFlags,
    TcpOptions, Udp,
};
use crate::lexer::Kind;

const U16_MAX: u64 = u16::MAX as u64;
const U32_MAX: u64 = u32::MAX as u64;
/// IPv6's flow label has twenty bits.
const FLOW_LABEL_MAX: u64 = (1 << 20) - 1;
/// What a script says of the IP header of a packet that the stack gets, and of no other.
const ARRIVING: [&str; 7] = ["src", "dst", "ipopt", "ext", "part", "id", "badsum"];

impl Parser<'_> {
    pub(super) fn packet(&mut self) -> Parsed<Packet> {
        let token = self.next()?;
        let direction = match token.kind {
            Kind::Sign('<') => Direction::Inbound,
            Kind::Sign('>') => Direction::Outbound,
            _ => return expected(&token, "'<' or '>'"),
        };
        self.no_encapsulation()?;
        let ip = self.ip_fields(direction)?;
        let body = self.body(direction)?;
        Ok(Packet { at: token.at, direction, ip, body })
    }

    /// Headers around the packet have a grammar of their own, which nothing here can run.
    fn no_encapsulation(&mut self) -> Parsed<()> {
        let token = self.peek()?;
        let what = match &token.kind {
            Kind::Word(word) => match word.as_str() {
                "ipv4" => "an IPv4 header around the packet",
                "ipv6" => "an IPv6 header around the packet",
                "gre" => "a GRE header around the packet",
                "mpls" => "MPLS labels before the packet",
                "encap" => "PSP encapsulation",
                "udplite" => "UDP-Lite",
                "sctp" => "SCTP",
                _ => return Ok(()),
            },
            _ => return Ok(()),
        };
        wrong(token.at, format!("not supported: {what}"))
    }

    /// `[ect0]`, `(tos 0x10)`, `[ce, flowlabel 0x5]`, or nothing.
    fn ip_fields(&mut self, direction: Direction) -> Parsed<IpFields> {
        let mut fields = IpFields::default();
        let close = match self.peek()?.kind {
            Kind::Sign('[') => ']',
            Kind::Sign('(') => ')',
            _ => return Ok(fields),
        };
        self.next()?;
        loop {
            self.ip_field(&mut fields, direction)?;
            if !self.take(',')? {
                break;
            }
        }
        self.expect(close)?;
        Ok(fields)
    }

    fn ip_field(&mut self, fields: &mut IpFields, direction: Direction) -> Parsed<()> {
        const WHAT: &str = "noecn, ect0, ect1, ect01, ce, tos, flowlabel, ttl, src, dst, ipopt, ext, part, id, parts or badsum";
        let name = self.name(WHAT)?;
        if direction == Direction::Outbound && ARRIVING.contains(&name.text.as_str()) {
            return wrong(name.at, format!("{} is of packets that the stack gets", name.text));
        }
        if direction == Direction::Inbound && name.text == "parts" {
            return wrong(name.at, "parts is of packets that the stack sends: one that it gets has part");
        }
        let ecn = match name.text.as_str() {
            "noecn" => IpEcn::NoEcn,
            "ect0" => IpEcn::Ect0,
            "ect1" => IpEcn::Ect1,
            "ect01" if direction == Direction::Inbound => {
                return wrong(
                    name.at,
                    "ect01 is of packets that the stack sends: one that it gets has ect0 or ect1",
                );
            }
            "ect01" => IpEcn::Ect01,
            "ce" => IpEcn::Ce,
            "tos" => return set(name.at, &mut fields.tos, self.any_integer("a type of service", 255)?),
            "ttl" => return set(name.at, &mut fields.ttl, self.integer("a time to live", 255)?),
            "flowlabel" => {
                let label = self.any_integer("a flow label", FLOW_LABEL_MAX)?;
                return set(name.at, &mut fields.flow_label, label);
            }
            "src" => return set(name.at, &mut fields.source, self.quoted_address()?),
            "dst" => return set(name.at, &mut fields.destination, self.quoted_address()?),
            "ipopt" => {
                let word = self.any_integer("four bytes of options", U32_MAX)?;
                return set(name.at, &mut fields.option_word, word);
            }
            "ext" => {
                let header = self.any_integer("an extension header", u64::MAX)?;
                return set(name.at, &mut fields.extension, header);
            }
            "part" => {
                let part = self.piece()?;
                return set(name.at, &mut fields.part, part);
            }
            "id" => {
                let id = self.any_integer("an identification", U32_MAX)?;
                return set(name.at, &mut fields.identification, id);
            }
            "parts" => {
                return set(name.at, &mut fields.parts, self.integer("how many fragments", 255)?);
            }
            "badsum" => {
                fields.wrong_sum = true;
                return Ok(());
            }
            other => return wrong(name.at, format!("expected {WHAT}, found '{other}'")),
        };
        if fields.tos.is_some() {
            return wrong(name.at, "the type of service holds the ECN bits already");
        }
        set(name.at, &mut fields.ecn, ecn)
    }

    /// `0:1480`, behind `part`.
    fn piece(&mut self) -> Parsed<Part> {
        let at = self.peek()?.at;
        let start: u16 = self.integer("where a fragment begins", U16_MAX)?;
        self.expect(':')?;
        let end: u16 = self.integer("where a fragment ends", U16_MAX)?;
        if !start.is_multiple_of(8) || end < start {
            return wrong(
                at,
                format!(
                    "a fragment begins at a multiple of 8 and not behind its end, which {start}:{end} does not"
                ),
            );
        }
        Ok(Part { start, end })
    }

    fn body(&mut self, direction: Direction) -> Parsed<Body> {
        if self.take_word("udp")? {
            return Ok(Body::Udp(self.udp()?));
        }
        if self.take_word("icmp")? {
            return Ok(Body::Icmp(self.icmp()?));
        }
        Ok(Body::Tcp(self.tcp(direction)?))
    }

    /// `1234 > 8080 (1000)`, behind `udp`.
    fn udp(&mut self) -> Parsed<Udp> {
        let ports = self.ports()?;
        self.expect('(')?;
        let length = self.integer("the length of a datagram", U16_MAX)?;
        self.expect(')')?;
        Ok(Udp { ports, length })
    }

    fn ports(&mut self) -> Parsed<Option<Ports>> {
        match self.peek()?.kind {
            Kind::Number(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {}
            _ => return Ok(None),
        }
        let source = self.integer("a port", U16_MAX)?;
        self.expect('>')?;
        let destination = self.integer("a port", U16_MAX)?;
        Ok(Some(Ports { source, destination }))
    }

    /// `S. 0:0(0) ack 1 win 65535 urg 5 <mss 1460>`.
    fn tcp(&mut self, direction: Direction) -> Parsed<Tcp> {
        let ports = self.ports()?;
        let flags = self.flags()?;
        let sequence = self.sequence()?;
        let ack =
            if self.take_word("ack")? { Some(self.integer("an acknowledgement", U32_MAX)?) } else { None };
        let window = if self.take_word("win")? { Some(self.integer("a window", U16_MAX)?) } else { None };
        let behind = self.peek()?.at;
        if window.is_none() && direction == Direction::Inbound {
            return wrong(behind, "expected 'win': a segment to the stack needs its window");
        }
        let urgent =
            if self.take_word("urg")? { Some(self.integer("an urgent pointer", U16_MAX)?) } else { None };
        let options = match self.peek()?.kind {
            Kind::Sign('<') => self.tcp_options()?,
            _ => TcpOptions::Listed(Vec::new()),
        };
        Ok(Tcp { ports, flags, sequence, ack, window, urgent, options })
    }

    /// `-`, `.`, `S`, `FP.`, `P.5`: letters and then the dot of ACK; a digit is the ACE field of accurate ECN.
    fn flags(&mut self) -> Parsed<TcpFlags> {
        let token = self.next()?;
        let mut flags = Flags::default();
        match &token.kind {
            Kind::Sign('-') => return Ok(TcpFlags::NONE),
            Kind::Sign('.') => flags.add(token.at, ".")?,
            Kind::Fraction(text) if text.starts_with('.') => flags.add(token.at, text)?,
            Kind::Word(text) | Kind::Number(text) => {
                flags.add(token.at, text)?;
                let behind = self.peek()?;
                match &behind.kind {
                    Kind::Sign('.') => flags.add(behind.at, ".")?,
                    Kind::Fraction(text) if text.starts_with('.') => flags.add(behind.at, text)?,
                    _ => return Ok(flags.set),
                }
                self.next()?;
            }
            _ => return expected(&token, "TCP flags, 'udp' or 'icmp'"),
        }
        Ok(flags.set)
    }

    /// `1:1001(1000)`.
    pub(super) fn sequence(&mut self) -> Parsed<SequenceRange> {
        let at = self.peek()?.at;
        let start: u32 = self.integer("a sequence number", U32_MAX)?;
        self.expect(':')?;
        let end: u32 = self.integer("a sequence number", U32_MAX)?;
        self.expect('(')?;
        let length: u16 = self.integer("the length of a segment", U16_MAX)?;
        self.expect(')')?;
        let distance = end.wrapping_sub(start);
        if distance != u32::from(length) {
            return wrong(at, format!("{start}:{end} is {distance} bytes long, and not {length}"));
        }
        Ok(SequenceRange { start, end, length })
    }
}

/// Flags as they are read.
#[derive(Default)]
struct Flags {
    set: TcpFlags,
    /// Whether a digit has said what the three flags of the ACE field are.
    ace: bool,
}

impl Flags {
    /// The flags of accurate ECN's ACE field, the most significant first (RFC 9768 §3.2.2).
    const ACE: [TcpFlags; 3] = [TcpFlags::AE, TcpFlags::CWR, TcpFlags::ECE];

    fn add(&mut self, at: Position, letters: &str) -> Parsed<()> {
        for (letter, index) in letters.chars().zip(0..) {
            let at = Position { column: at.column + index, ..at };
            let flag = match letter.to_digit(8) {
                Some(value) => self.ace(at, value)?,
                None => known(at, letter)?,
            };
            if self.ace && letter.is_ascii_alphabetic() && Flags::ACE.contains(&flag) {
                return wrong(at, format!("'{letter}' and a digit say the same field"));
            }
            self.set |= flag;
        }
        Ok(())
    }

    fn ace(&mut self, at: Position, value: u32) -> Parsed<TcpFlags> {
        if self.ace || Flags::ACE.iter().any(|flag| self.set.contains(*flag)) {
            return wrong(at, format!("'{value}' says a field that is said already"));
        }
        self.ace = true;
        let bits = Flags::ACE.iter().zip([4, 2, 1]).filter(|(_, bit)| value & bit != 0);
        Ok(bits.fold(TcpFlags::NONE, |flags, (flag, _)| flags | *flag))
    }
}

fn known(at: Position, letter: char) -> Parsed<TcpFlags> {
    match TcpFlags::LETTERS.iter().find(|(known, _)| *known == letter) {
        Some((_, flag)) => Ok(*flag),
        None => wrong(at, format!("'{letter}' is no TCP flag: they are F, S, R, P, U, E, W, A and '.'")),
    }
}

fn set<T>(at: Position, field: &mut Option<T>, value: T) -> Parsed<()> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => wrong(at, "this stands there already"),
    }
}
