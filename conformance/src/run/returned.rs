//! Whether a call returned what the script says.

use core::time::Duration;

use tapsock_sockets::control::{Message as ControlPart, Messages};

use super::call::{Call, Message, Outcome, Output};
use super::failure::Failure;
use super::lower::{epoll_data, integer, option_bytes};
use crate::ast::{ControlMessage, Expr, ExprKind, ExtendedError, MessageHeader, Syscall};
use crate::symbols;

/// What is needed to compare times in control messages.
#[derive(Copy, Clone, Debug)]
pub(super) struct Clock {
    /// What the target's time stamps show at the script's start.
    pub(super) wall: Duration,
    /// How far a time may be off.
    pub(super) tolerance: Duration,
}

/// Compares how a call ended with what the script says.
///
/// # Errors
///
/// The first difference.
pub(super) fn check(syscall: &Syscall, call: &Call, outcome: &Outcome, clock: Clock) -> Result<(), Failure> {
    check_value(syscall, call, outcome)?;
    match &outcome.output {
        Output::None | Output::Address(_) => Ok(()),
        Output::Option(bytes) => check_option(syscall, bytes),
        Output::Int(value) => check_int(syscall, 2, i64::from(*value)),
        Output::Offset(offset) => match syscall.arguments.get(2).map(|expr| &expr.kind) {
            // The offset goes in, and what comes out is not looked at.
            Some(ExprKind::Array(_)) => {
                let _ = offset;
                Ok(())
            }
            _ => Ok(()),
        },
        Output::Message(message) => check_message(syscall, message, clock),
        Output::Revents(revents) => check_revents(syscall, revents),
        Output::Events(events) => check_events(syscall, events),
        Output::Pipe(_) => Ok(()),
    }
}

fn check_value(syscall: &Syscall, call: &Call, outcome: &Outcome) -> Result<(), Failure> {
    let actual = || match outcome.errno {
        Some(errno) => {
            let number = errno.raw_os_error();
            let name = symbols::errno_name(number).map_or(number.to_string(), str::to_owned);
            format!("-1 {name}")
        }
        None => outcome.value.to_string(),
    };
    let expected_value = match syscall.result.kind {
        ExprKind::Ellipsis => None,
        _ => Some(integer(&syscall.result)?),
    };
    let makes_descriptor =
        matches!(call, Call::Socket { .. } | Call::Accept { .. } | Call::EpollCreate | Call::Open { .. });
    let errno_fits = match (&syscall.errno, outcome.errno) {
        (Some(name), Some(errno)) => symbols::errno(&name.text) == Some(errno.raw_os_error()),
        (Some(_), None) => false,
        (None, _) => true,
    };
    let value_fits = match expected_value {
        None => true,
        // The script's numbers are its own.
        Some(value) if makes_descriptor && value >= 0 => outcome.errno.is_none(),
        Some(value) => value == outcome.value,
    };
    if errno_fits && value_fits {
        return Ok(());
    }
    let value = expected_value.map_or("...".to_owned(), |value| value.to_string());
    let errno = syscall.errno.as_ref().map_or(String::new(), |name| format!(" {}", name.text));
    let reason = format!("{}: expected {value}{errno}, actual {}", syscall.name, actual());
    Err(Failure::new(syscall.at, reason))
}

fn differ(syscall: &Syscall, at: &Expr, what: &str, expected: &str, actual: &str) -> Failure {
    Failure::new(at.at, format!("{}: {what}: expected {expected}, actual {actual}", syscall.name))
}

fn check_option(syscall: &Syscall, actual: &[u8]) -> Result<(), Failure> {
    let Some(value) = syscall.arguments.get(3) else { return Ok(()) };
    let inner = match &value.kind {
        ExprKind::Array(items) if items.len() == 1 => &items[0],
        _ => value,
    };
    if matches!(inner.kind, ExprKind::Ellipsis) {
        return Ok(());
    }
    let mut expected = option_bytes(inner)?;
    if let ExprKind::Text { more, .. } = inner.kind {
        // A name in a buffer is followed by zeros, and by what else the script does not care for.
        let len = expected.len().min(actual.len());
        let rest_fits = more || actual[len..].iter().all(|byte| *byte == 0);
        if actual[..len] == expected[..] && rest_fits {
            return Ok(());
        }
    }
    expected.truncate(actual.len().max(1));
    if expected == actual {
        return Ok(());
    }
    Err(differ(syscall, value, "value", &shown(&expected), &shown(actual)))
}

/// The value of an option, as a reader wants it.
fn shown(bytes: &[u8]) -> String {
    match bytes {
        [a, b, c, d] => i32::from_ne_bytes([*a, *b, *c, *d]).to_string(),
        _ => format!("{bytes:02x?}"),
    }
}

fn check_int(syscall: &Syscall, index: usize, actual: i64) -> Result<(), Failure> {
    let Some(expr) = syscall.arguments.get(index) else { return Ok(()) };
    let ExprKind::Array(items) = &expr.kind else { return Ok(()) };
    let [item] = &items[..] else { return Ok(()) };
    if matches!(item.kind, ExprKind::Ellipsis) {
        return Ok(());
    }
    let expected = integer(item)?;
    if expected == actual {
        return Ok(());
    }
    Err(differ(syscall, expr, "value", &expected.to_string(), &actual.to_string()))
}

fn check_revents(syscall: &Syscall, actual: &[u16]) -> Result<(), Failure> {
    let Some(Expr { kind: ExprKind::Array(items), .. }) = syscall.arguments.first() else { return Ok(()) };
    for (expr, actual) in items.iter().zip(actual) {
        let ExprKind::PollFd(poll) = &expr.kind else { continue };
        let expected = match &poll.revents {
            Some(expr) if matches!(expr.kind, ExprKind::Ellipsis) => continue,
            Some(expr) => integer(expr)?,
            None => 0,
        };
        if expected != i64::from(*actual) {
            let (expected, actual) = (format!("{expected:#x}"), format!("{actual:#x}"));
            return Err(differ(syscall, expr, "revents", &expected, &actual));
        }
    }
    Ok(())
}

fn check_events(syscall: &Syscall, actual: &[(u32, u64)]) -> Result<(), Failure> {
    let Some(argument) = syscall.arguments.get(1) else { return Ok(()) };
    let items = match &argument.kind {
        ExprKind::Array(items) => &items[..],
        _ => std::slice::from_ref(argument),
    };
    for (expr, (events, data)) in items.iter().zip(actual) {
        let ExprKind::EpollEvent(event) = &expr.kind else { continue };
        let expected = integer(&event.events)? as u32;
        if expected != *events {
            let (expected, actual) = (format!("{expected:#x}"), format!("{events:#x}"));
            return Err(differ(syscall, expr, "events", &expected, &actual));
        }
        let expected = epoll_data(&event.data)?;
        if expected != *data {
            return Err(differ(syscall, expr, "data", &expected.to_string(), &data.to_string()));
        }
    }
    Ok(())
}

fn check_message(syscall: &Syscall, actual: &Message, clock: Clock) -> Result<(), Failure> {
    let Some(argument) = syscall.arguments.get(1) else { return Ok(()) };
    if let ExprKind::Text { bytes, more } = &argument.kind {
        let fits = if *more { actual.data.starts_with(bytes) } else { actual.data == *bytes };
        if !fits {
            let (expected, actual) = (bytes.escape_ascii(), actual.data.escape_ascii());
            return Err(differ(syscall, argument, "data", &expected.to_string(), &actual.to_string()));
        }
    }
    let ExprKind::Message(expected) = &argument.kind else { return Ok(()) };
    check_header(syscall, argument, expected, actual, clock)
}

fn check_header(
    syscall: &Syscall,
    at: &Expr,
    expected: &MessageHeader,
    actual: &Message,
    clock: Clock,
) -> Result<(), Failure> {
    if let Some(flags) = &expected.flags
        && !matches!(flags.kind, ExprKind::Ellipsis)
    {
        let expected = integer(flags)? as i32;
        if expected != actual.flags {
            let (expected, actual) = (format!("{expected:#x}"), format!("{:#x}", actual.flags));
            return Err(differ(syscall, flags, "msg_flags", &expected, &actual));
        }
    }
    let Some(control) = &expected.control else { return Ok(()) };
    let parts: Vec<ControlPart<'_>> = Messages::new(&actual.control).filter_map(Result::ok).collect();
    if parts.len() != control.len() {
        let (expected, actual) = (control.len().to_string(), parts.len().to_string());
        return Err(differ(syscall, at, "control messages", &expected, &actual));
    }
    for (expr, part) in control.iter().zip(parts) {
        let ExprKind::Control(expected) = &expr.kind else { continue };
        check_control(syscall, expr, expected, part, clock)?;
    }
    Ok(())
}

fn check_control(
    syscall: &Syscall,
    at: &Expr,
    expected: &ControlMessage,
    actual: ControlPart<'_>,
    clock: Clock,
) -> Result<(), Failure> {
    let (level, kind) = (integer(&expected.level)?, integer(&expected.kind)?);
    if (level, kind) != (i64::from(actual.level), i64::from(actual.kind)) {
        let (expected, actual) = (format!("{level}/{kind}"), format!("{}/{}", actual.level, actual.kind));
        return Err(differ(syscall, at, "cmsg_level/cmsg_type", &expected, &actual));
    }
    match &expected.data.kind {
        ExprKind::Ellipsis => Ok(()),
        ExprKind::ExtendedError(error) => check_error(syscall, at, error, actual.payload),
        ExprKind::ScmTimestamping { seconds, nanoseconds } => {
            let expected = Duration::from_secs(*seconds as u64) + Duration::from_nanos(*nanoseconds as u64);
            let long = |index: usize| i64::from_ne_bytes(field(actual.payload, index * 8));
            let stamp = Duration::from_secs(long(0) as u64) + Duration::from_nanos(long(1) as u64);
            let actual = stamp.saturating_sub(clock.wall);
            if expected.abs_diff(actual) <= clock.tolerance {
                return Ok(());
            }
            Err(differ(syscall, at, "time stamp", &format!("{expected:?}"), &format!("{actual:?}")))
        }
        _ => {
            let expected = option_bytes(&expected.data)?;
            // The script says a number, of whatever size it is.
            let len = expected.len().min(actual.payload.len());
            if expected[..len] == actual.payload[..len] {
                return Ok(());
            }
            Err(differ(syscall, at, "cmsg_data", &shown(&expected), &shown(actual.payload)))
        }
    }
}

/// `struct sock_extended_err`, of which the address that follows is not looked at.
fn check_error(syscall: &Syscall, at: &Expr, expected: &ExtendedError, actual: &[u8]) -> Result<(), Failure> {
    let byte = |index: usize| i64::from(actual.get(index).copied().unwrap_or(0));
    let word = |index: usize| i64::from(u32::from_ne_bytes(field(actual, index)));
    let fields = [
        ("ee_errno", &expected.errno, word(0)),
        ("ee_origin", &expected.origin, byte(4)),
        ("ee_type", &expected.kind, byte(5)),
        ("ee_code", &expected.code, byte(6)),
        ("ee_info", &expected.info, word(8)),
        ("ee_data", &expected.data, word(12)),
    ];
    for (name, expr, actual) in fields {
        if matches!(expr.kind, ExprKind::Ellipsis) {
            continue;
        }
        let expected = integer(expr)?;
        if expected != actual {
            return Err(differ(syscall, at, name, &expected.to_string(), &actual.to_string()));
        }
    }
    Ok(())
}

/// The bytes of a field, zeros where there are none.
fn field<const N: usize>(bytes: &[u8], start: usize) -> [u8; N] {
    bytes.get(start..start + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
}
