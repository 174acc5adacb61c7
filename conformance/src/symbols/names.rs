//! Values of expressions made of names, and the names in a script that have none.

use std::fmt;

use super::{constant, errno};
use crate::ast::{Action, EpollData, Expr, ExprKind, Name, Position, Script, Syscall};

/// A name that stands for nothing, or an expression that is no number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoNumber {
    /// Where it stands.
    pub at: Position,
    /// The name; `None` if it is none.
    pub name: Option<String>,
}

impl fmt::Display for NoNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "unknown name '{name}'"),
            None => write!(f, "this is no number"),
        }
    }
}

impl std::error::Error for NoNumber {}

/// The value of an expression of numbers and names, as `O_RDWR|O_NONBLOCK`.
///
/// # Errors
///
/// A name that stands for nothing, or an expression of another kind.
///
/// ```
/// use tapsock_conformance::ast::Action;
/// use tapsock_conformance::parse;
/// use tapsock_conformance::symbols::value;
///
/// let script = parse("s.pkt", "0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0").unwrap();
/// let Action::Syscall(call) = &script.events[0].action else { panic!() };
/// assert_eq!(value(&call.arguments[2]), Ok(0x802));
/// ```
pub fn value(expr: &Expr) -> Result<i64, NoNumber> {
    match &expr.kind {
        ExprKind::Integer(value) => Ok(*value),
        ExprKind::Hexadecimal(value) => Ok(*value as i64),
        ExprKind::Name(name) => {
            constant(name).ok_or_else(|| NoNumber { at: expr.at, name: Some(name.clone()) })
        }
        ExprKind::Or(operands) => operands.iter().try_fold(0, |all, operand| Ok(all | value(operand)?)),
        _ => Err(NoNumber { at: expr.at, name: None }),
    }
}

/// The names in a script's calls that stand for nothing.
pub(crate) fn unknown_names(script: &Script) -> Vec<NoNumber> {
    let mut unknown = Vec::new();
    for event in &script.events {
        if let Action::Syscall(call) = &event.action {
            in_call(call, &mut unknown);
        }
    }
    unknown
}

fn in_call(call: &Syscall, unknown: &mut Vec<NoNumber>) {
    for expr in call.arguments.iter().chain([&call.result]) {
        in_expression(expr, unknown);
    }
    if let Some(Name { at, text }) = &call.errno
        && errno(text).is_none()
    {
        unknown.push(NoNumber { at: *at, name: Some(text.clone()) });
    }
}

fn in_expression(expr: &Expr, unknown: &mut Vec<NoNumber>) {
    let mut inside = |parts: &[&Expr]| parts.iter().for_each(|part| in_expression(part, unknown));
    match &expr.kind {
        ExprKind::Name(_) => unknown.extend(value(expr).err()),
        ExprKind::Or(parts) | ExprKind::Array(parts) | ExprKind::Group(parts) => {
            parts.iter().for_each(|part| in_expression(part, unknown));
        }
        ExprKind::Assign { value, .. } => inside(&[value]),
        ExprKind::Message(header) => {
            inside(&[&header.name]);
            let lists = [Some(&header.iov), header.control.as_ref()];
            lists.into_iter().flatten().flatten().chain(&header.flags).for_each(|part| inside(&[part]));
        }
        ExprKind::Control(message) => inside(&[&message.level, &message.kind, &message.data]),
        ExprKind::ExtendedError(error) => {
            inside(&[&error.errno, &error.origin, &error.kind, &error.code, &error.info, &error.data])
        }
        ExprKind::Iovec { base, length } => inside(&[base, length]),
        ExprKind::PollFd(poll) => {
            inside(&[&poll.fd, &poll.events]);
            poll.revents.iter().for_each(|part| inside(&[part]));
        }
        ExprKind::EpollEvent(event) => {
            let (EpollData::Fd(data)
            | EpollData::Pointer(data)
            | EpollData::U32(data)
            | EpollData::U64(data)) = &event.data;
            inside(&[&event.events, data]);
        }
        ExprKind::Ellipsis
        | ExprKind::Integer(_)
        | ExprKind::Hexadecimal(_)
        | ExprKind::Text { .. }
        | ExprKind::Address(_)
        | ExprKind::NetworkOrder(_)
        | ExprKind::SocketAddress(_)
        | ExprKind::ScmTimestamping { .. }
        | ExprKind::Linger(_) => {}
    }
}
