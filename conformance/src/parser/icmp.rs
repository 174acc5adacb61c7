//! ICMP messages: `icmp unreachable frag_needed mtu 1200 [1:1461(1460)]`.

use super::{Parsed, Parser, expected, wrong};
use crate::ast::{Icmp, Name, Position, Quoted};
use crate::lexer::Kind;
use crate::symbols::{Family, IcmpNumber, icmp_number};

impl Parser<'_> {
    /// What stands behind `icmp`.
    pub(super) fn icmp(&mut self) -> Parsed<Icmp> {
        let kind = self.name("an ICMP type")?;
        let code = match &self.peek()?.kind {
            Kind::Word(word) if word != "mtu" && word != "id" => Some(self.name("an ICMP code")?),
            _ => None,
        };
        let mtu_at = self.peek()?.at;
        let mtu = if self.take_word("mtu")? { Some(self.integer("an MTU", u32::MAX.into())?) } else { None };
        let id =
            if self.take_word("id")? { Some(self.integer("an identifier", u16::MAX.into())?) } else { None };
        let quoted = if self.take('[')? { Some(self.quoted()?) } else { None };
        let message = Icmp { kind, code, mtu, id, quoted };
        check(&message, mtu_at)?;
        Ok(message)
    }

    /// `1:1461(1460)]`, `udp (1000)]` or `raw (56)]`.
    fn quoted(&mut self) -> Parsed<Quoted> {
        let token = self.peek()?;
        let quoted = match &token.kind {
            Kind::Word(word) if word == "udp" => Quoted::Udp(self.length_of_quoted()?),
            Kind::Word(word) if word == "raw" => Quoted::Raw(self.length_of_quoted()?),
            Kind::Number(_) => Quoted::Tcp(self.sequence()?),
            _ => return expected(&token, "sequence numbers, 'udp' or 'raw'"),
        };
        self.expect(']')?;
        Ok(quoted)
    }

    fn length_of_quoted(&mut self) -> Parsed<u16> {
        self.next()?;
        self.expect('(')?;
        let length = self.integer("a length", u16::MAX.into())?;
        self.expect(')')?;
        Ok(length)
    }
}

/// The names must be those of one family at least; which it is, only a run knows.
fn check(message: &Icmp, mtu_at: Position) -> Parsed<()> {
    let numbers: Vec<IcmpNumber> =
        [Family::V4, Family::V6].into_iter().filter_map(|family| icmp_number(family, message).ok()).collect();
    if numbers.is_empty() {
        let known = |family| icmp_number(family, &Icmp { code: None, ..message.clone() }).is_ok();
        return match &message.code {
            Some(Name { at, text }) if known(Family::V4) || known(Family::V6) => {
                wrong(*at, format!("'{text}' is no code of the ICMP type '{}'", message.kind.text))
            }
            _ => wrong(message.kind.at, format!("'{}' is no ICMP type", message.kind.text)),
        };
    }
    if message.mtu.is_some() && !numbers.iter().any(|number| number.has_mtu) {
        return wrong(mtu_at, "an MTU is of 'unreachable frag_needed' and of 'packet_too_big' only");
    }
    Ok(())
}
