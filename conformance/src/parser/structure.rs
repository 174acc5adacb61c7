//! Structures among the arguments: which one a `{` begins is told by its first field.

use std::net::{IpAddr, SocketAddr};

use super::{Parsed, Parser, expected, wrong};
use crate::ast::{
    ControlMessage, EpollData, EpollEvent, Expr, ExprKind, ExtendedError, Linger, MessageHeader, Name,
    PollFd, Position,
};
use crate::lexer::Kind;

impl Parser<'_> {
    /// What stands behind a `{`, up to its `}`.
    pub(super) fn structure(&mut self, at: Position, depth: usize) -> Parsed<ExprKind> {
        let first = self.peek()?;
        let field = match &first.kind {
            Kind::Word(word) => word.as_str(),
            _ => "",
        };
        let kind = match field {
            "sa_family" => self.socket_address()?,
            "msg_name" => self.message(depth)?,
            "cmsg_level" => self.control(depth)?,
            "scm_sec" => self.scm_timestamping()?,
            "ee_errno" => self.extended_error(depth)?,
            "onoff" => self.linger()?,
            "fd" => self.poll_fd(depth)?,
            "events" => self.epoll_event(depth)?,
            "flags" | "label" => {
                return wrong(first.at, "not supported: headers of GRE and MPLS");
            }
            _ => return self.group(at, depth),
        };
        self.expect('}')?;
        Ok(kind)
    }

    /// `{..., 1000}`, `{"abc", 3}`, or fields that no other structure has.
    fn group(&mut self, at: Position, depth: usize) -> Parsed<ExprKind> {
        let mut fields = self.list('}', depth)?;
        match fields.as_mut_slice() {
            [] => wrong(at, "this structure has no fields"),
            [base, length] if is_buffer(&base.kind) => {
                Ok(ExprKind::Iovec { base: Box::new(base.clone()), length: Box::new(length.clone()) })
            }
            _ => Ok(ExprKind::Group(fields)),
        }
    }

    /// `name=value`.
    fn field(&mut self, name: &str, depth: usize) -> Parsed<Expr> {
        self.expect_word(name)?;
        self.expect('=')?;
        self.expression(depth)
    }

    /// `, name=value`.
    fn next_field(&mut self, name: &str, depth: usize) -> Parsed<Expr> {
        self.expect(',')?;
        self.field(name, depth)
    }

    fn socket_address(&mut self) -> Parsed<ExprKind> {
        self.expect_word("sa_family")?;
        self.expect('=')?;
        let family = self.name("AF_INET or AF_INET6")?;
        self.expect(',')?;
        self.one_of(&["sin_port", "sin6_port"])?;
        self.expect('=')?;
        self.expect_word("htons")?;
        let port = self.htons()?;
        self.expect(',')?;
        self.one_of(&["sin_addr", "sin6_addr"])?;
        self.expect('=')?;
        let function = self.one_of(&["inet_addr", "inet6_addr"])?;
        let at = self.peek()?.at;
        let address = self.address(&function)?;
        match (family.text.as_str(), address) {
            ("AF_INET", IpAddr::V4(_)) | ("AF_INET6", IpAddr::V6(_)) => {
                Ok(ExprKind::SocketAddress(SocketAddr::new(address, port)))
            }
            ("AF_INET" | "AF_INET6", _) => wrong(at, format!("this is no address of {}", family.text)),
            (other, _) => wrong(family.at, format!("expected AF_INET or AF_INET6, found '{other}'")),
        }
    }

    fn one_of(&mut self, names: &[&str]) -> Parsed<Name> {
        let token = self.next()?;
        match token.kind {
            Kind::Word(text) if names.contains(&text.as_str()) => Ok(Name { at: token.at, text }),
            _ => expected(&token, &format!("'{}'", names.join("' or '"))),
        }
    }

    /// `msg_name(...)=..., msg_iov(1)=[{..., 1000}], msg_flags=0, msg_control=[]`.
    fn message(&mut self, depth: usize) -> Parsed<ExprKind> {
        self.expect_word("msg_name")?;
        self.counted(depth)?;
        let name = self.expression(depth)?;
        self.expect(',')?;
        self.expect_word("msg_iov")?;
        let count = self.counted(depth)?;
        let iov = self.array(depth)?;
        if let ExprKind::Integer(number) = count.kind
            && usize::try_from(number) != Ok(iov.len())
        {
            return wrong(count.at, format!("msg_iov says {number} pieces and has {}", iov.len()));
        }
        let (mut flags, mut control) = (None, None);
        while self.take(',')? {
            match self.one_of(&["msg_flags", "msg_control"])? {
                Name { text, at } if text == "msg_flags" => {
                    self.expect('=')?;
                    if flags.replace(self.expression(depth)?).is_some() {
                        return wrong(at, "msg_flags stands there already");
                    }
                }
                Name { at, .. } => {
                    self.expect('=')?;
                    if control.replace(self.array(depth)?).is_some() {
                        return wrong(at, "msg_control stands there already");
                    }
                }
            }
        }
        Ok(ExprKind::Message(Box::new(MessageHeader { name, iov, flags, control })))
    }

    /// `(1)=`: the length that stands behind a field's name.
    fn counted(&mut self, depth: usize) -> Parsed<Expr> {
        self.expect('(')?;
        let count = self.expression(depth)?;
        self.expect(')')?;
        self.expect('=')?;
        Ok(count)
    }

    fn array(&mut self, depth: usize) -> Parsed<Vec<Expr>> {
        self.expect('[')?;
        self.list(']', depth)
    }

    fn control(&mut self, depth: usize) -> Parsed<ExprKind> {
        let level = self.field("cmsg_level", depth)?;
        let kind = self.next_field("cmsg_type", depth)?;
        let data = self.next_field("cmsg_data", depth)?;
        Ok(ExprKind::Control(Box::new(ControlMessage { level, kind, data })))
    }

    fn scm_timestamping(&mut self) -> Parsed<ExprKind> {
        self.expect_word("scm_sec")?;
        self.expect('=')?;
        let seconds = self.integer("seconds", i64::MAX as u64)?;
        self.expect(',')?;
        self.expect_word("scm_nsec")?;
        self.expect('=')?;
        let nanoseconds = self.integer("nanoseconds", 999_999_999)?;
        Ok(ExprKind::ScmTimestamping { seconds, nanoseconds })
    }

    fn extended_error(&mut self, depth: usize) -> Parsed<ExprKind> {
        let errno = self.field("ee_errno", depth)?;
        let mut fields = vec![("ee_errno", errno)];
        while self.take(',')? {
            let name = self.one_of(&["ee_origin", "ee_type", "ee_code", "ee_info", "ee_data"])?;
            self.expect('=')?;
            let value = self.expression(depth)?;
            let known = ["ee_origin", "ee_type", "ee_code", "ee_info", "ee_data"];
            let field = known.into_iter().find(|known| *known == name.text).unwrap_or("");
            if fields.iter().any(|(there, _)| *there == field) {
                return wrong(name.at, format!("{field} stands there already"));
            }
            fields.push((field, value));
        }
        let behind = self.peek()?.at;
        let mut take = |name: &str| match fields.iter().position(|(field, _)| *field == name) {
            Some(index) => Ok(fields.swap_remove(index).1),
            None => wrong(behind, format!("expected '{name}'")),
        };
        Ok(ExprKind::ExtendedError(Box::new(ExtendedError {
            errno: take("ee_errno")?,
            origin: take("ee_origin")?,
            kind: take("ee_type")?,
            code: take("ee_code")?,
            info: take("ee_info")?,
            data: take("ee_data")?,
        })))
    }

    fn linger(&mut self) -> Parsed<ExprKind> {
        self.expect_word("onoff")?;
        self.expect('=')?;
        let on = self.int("0 or 1")?;
        self.expect(',')?;
        self.expect_word("linger")?;
        self.expect('=')?;
        let seconds = self.int("seconds")?;
        Ok(ExprKind::Linger(Linger { on, seconds }))
    }

    /// C's `int`.
    fn int(&mut self, what: &str) -> Parsed<i32> {
        let negative = self.take('-')?;
        let value: i32 = self.integer(what, i32::MAX as u64)?;
        Ok(if negative { -value } else { value })
    }

    fn poll_fd(&mut self, depth: usize) -> Parsed<ExprKind> {
        let fd = self.field("fd", depth)?;
        let events = self.next_field("events", depth)?;
        let revents = if self.take(',')? { Some(self.field("revents", depth)?) } else { None };
        Ok(ExprKind::PollFd(Box::new(PollFd { fd, events, revents })))
    }

    fn epoll_event(&mut self, depth: usize) -> Parsed<ExprKind> {
        let events = self.field("events", depth)?;
        self.expect(',')?;
        let name = self.one_of(&["fd", "ptr", "u32", "u64"])?;
        self.expect('=')?;
        let value = self.expression(depth)?;
        let data = match name.text.as_str() {
            "fd" => EpollData::Fd(value),
            "ptr" => EpollData::Pointer(value),
            "u32" => EpollData::U32(value),
            _ => EpollData::U64(value),
        };
        Ok(ExprKind::EpollEvent(Box::new(EpollEvent { events, data })))
    }
}

fn is_buffer(kind: &ExprKind) -> bool {
    matches!(kind, ExprKind::Ellipsis | ExprKind::Text { .. })
}
