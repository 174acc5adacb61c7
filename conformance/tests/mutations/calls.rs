//! System calls, with one thing that they give back altered.

use tapsock_conformance::ast::{
    ControlMessage, EpollData, EpollEvent, Expr, ExprKind, ExtendedError, Linger, MessageHeader, Name,
    PollFd, Syscall,
};

/// A call with each thing altered that it gives back: its result, its errno, and what it writes.
pub fn altered_calls(call: &Syscall) -> Vec<(String, Syscall)> {
    let errno = |text: &str| Some(Name { at: call.at, text: text.to_owned() });
    let mut calls = Vec::new();
    // The number of a descriptor is the script's own: there it must not be a failure.
    if !makes_descriptor(call) || call.errno.is_some() {
        let mut other = call.clone();
        other.result.kind = match call.result.kind {
            ExprKind::Integer(value) => ExprKind::Integer(if value < 0 { 1 } else { value + 1 }),
            _ => ExprKind::Integer(77),
        };
        calls.push(("another result".to_owned(), other));
    } else {
        let result = Expr { kind: ExprKind::Integer(-1), ..call.result.clone() };
        calls.push(("another result".to_owned(), Syscall { result, errno: errno("EIO"), ..call.clone() }));
    }
    if let Some(name) = &call.errno {
        let other = if name.text == "EIO" { "EPERM" } else { "EIO" };
        calls.push(("another errno".to_owned(), Syscall { errno: errno(other), ..call.clone() }));
    }
    if let Some(index) = written(call) {
        for (what, kind) in altered(&call.arguments[index].kind) {
            let mut other = call.clone();
            other.arguments[index].kind = kind;
            calls.push((what, other));
        }
    }
    calls
}

fn makes_descriptor(call: &Syscall) -> bool {
    matches!(call.name.as_str(), "socket" | "accept" | "epoll_create" | "open")
}

/// Which argument a call writes to, if the runner compares it.
fn written(call: &Syscall) -> Option<usize> {
    let index = match call.name.as_str() {
        "getsockopt" => 3,
        "ioctl" => 2,
        "poll" => 0,
        // With none reported, there is nothing to compare.
        "epoll_wait" if call.result.kind != ExprKind::Integer(0) => 1,
        "recvmsg" | "read" | "recv" | "recvfrom" if call.errno.is_none() => 1,
        _ => return None,
    };
    (index < call.arguments.len()).then_some(index)
}

/// What is written, with each part altered.
fn altered(kind: &ExprKind) -> Vec<(String, ExprKind)> {
    match kind {
        ExprKind::Array(items) => {
            parts(items).into_iter().map(|(what, items)| (what, ExprKind::Array(items))).collect()
        }
        ExprKind::Group(items) => {
            parts(items).into_iter().map(|(what, items)| (what, ExprKind::Group(items))).collect()
        }
        ExprKind::Integer(value) => vec![("another number".to_owned(), ExprKind::Integer(value + 1))],
        ExprKind::Hexadecimal(value) => vec![("another number".to_owned(), ExprKind::Hexadecimal(value + 1))],
        ExprKind::Name(_) => vec![("another option's value".to_owned(), ExprKind::Integer(77))],
        ExprKind::Text { bytes, more } if !bytes.is_empty() => {
            let mut bytes = bytes.clone();
            bytes[0] ^= 1;
            vec![("other data".to_owned(), ExprKind::Text { bytes, more: *more })]
        }
        ExprKind::Linger(linger) => {
            let other = Linger { seconds: linger.seconds + 1, ..*linger };
            vec![("another linger".to_owned(), ExprKind::Linger(other))]
        }
        ExprKind::Assign { name, value } => altered(&value.kind)
            .into_iter()
            .map(|(what, kind)| {
                let value = Box::new(Expr { at: value.at, kind });
                (format!("{what} for {}", name.text), ExprKind::Assign { name: name.clone(), value })
            })
            .collect(),
        ExprKind::PollFd(poll) => {
            let at = poll.fd.at;
            let revents = poll.revents.as_ref().map_or(Expr { at, kind: ExprKind::Integer(1) }, other);
            let poll = PollFd { revents: Some(revents), ..(**poll).clone() };
            vec![("other revents".to_owned(), ExprKind::PollFd(Box::new(poll)))]
        }
        ExprKind::EpollEvent(event) => altered_epoll(event),
        ExprKind::Message(header) => altered_message(header)
            .into_iter()
            .map(|(what, header)| (what, ExprKind::Message(Box::new(header))))
            .collect(),
        _ => Vec::new(),
    }
}

/// A list with each of its items altered.
fn parts(items: &[Expr]) -> Vec<(String, Vec<Expr>)> {
    let altered = items.iter().enumerate().flat_map(|(index, item)| {
        altered(&item.kind).into_iter().map(move |(what, kind)| {
            let mut items = items.to_vec();
            items[index].kind = kind;
            (what, items)
        })
    });
    altered.collect()
}

/// Another value than any that scripts have.
fn other(expr: &Expr) -> Expr {
    Expr { at: expr.at, kind: ExprKind::Hexadecimal(0x1177) }
}

fn altered_epoll(event: &EpollEvent) -> Vec<(String, ExprKind)> {
    let events = EpollEvent { events: other(&event.events), ..event.clone() };
    let data = match &event.data {
        EpollData::Fd(expr) => EpollData::Fd(other(expr)),
        EpollData::Pointer(expr) => EpollData::Pointer(other(expr)),
        EpollData::U32(expr) => EpollData::U32(other(expr)),
        EpollData::U64(expr) => EpollData::U64(other(expr)),
    };
    let data = EpollEvent { data, ..event.clone() };
    [("other events", events), ("other data", data)]
        .map(|(what, event)| (what.to_owned(), ExprKind::EpollEvent(Box::new(event))))
        .to_vec()
}

fn altered_message(header: &MessageHeader) -> Vec<(String, MessageHeader)> {
    let mut headers = Vec::new();
    if let Some(flags) = &header.flags {
        headers.push((
            "other msg_flags".to_owned(),
            MessageHeader { flags: Some(other(flags)), ..header.clone() },
        ));
    }
    let Some(control) = &header.control else { return headers };
    let fewer = MessageHeader { control: Some(control[1..].to_vec()), ..header.clone() };
    headers.push(("a control message less".to_owned(), fewer));
    for (index, expr) in control.iter().enumerate() {
        let ExprKind::Control(message) = &expr.kind else { continue };
        for (what, message) in altered_control(message) {
            let mut control = control.clone();
            control[index].kind = ExprKind::Control(Box::new(message));
            headers.push((what, MessageHeader { control: Some(control), ..header.clone() }));
        }
    }
    headers
}

fn altered_control(message: &ControlMessage) -> Vec<(String, ControlMessage)> {
    let mut messages = vec![
        ("another cmsg_level".to_owned(), ControlMessage { level: other(&message.level), ..message.clone() }),
        ("another cmsg_type".to_owned(), ControlMessage { kind: other(&message.kind), ..message.clone() }),
    ];
    for (what, kind) in altered_data(&message.data) {
        let data = Expr { at: message.data.at, kind };
        messages.push((what, ControlMessage { data, ..message.clone() }));
    }
    messages
}

fn altered_data(data: &Expr) -> Vec<(String, ExprKind)> {
    match &data.kind {
        ExprKind::ExtendedError(error) => {
            let error = (**error).clone();
            [
                ("errno", ExtendedError { errno: other(&error.errno), ..error.clone() }),
                ("origin", ExtendedError { origin: other(&error.origin), ..error.clone() }),
                ("type", ExtendedError { kind: other(&error.kind), ..error.clone() }),
                ("code", ExtendedError { code: other(&error.code), ..error.clone() }),
                ("info", ExtendedError { info: other(&error.info), ..error.clone() }),
                ("data", ExtendedError { data: other(&error.data), ..error }),
            ]
            .map(|(field, error)| (format!("another ee_{field}"), ExprKind::ExtendedError(Box::new(error))))
            .to_vec()
        }
        ExprKind::ScmTimestamping { seconds, nanoseconds } => {
            let later = ExprKind::ScmTimestamping { seconds: seconds + 1, nanoseconds: *nanoseconds };
            vec![("a later time stamp".to_owned(), later)]
        }
        kind => altered(kind),
    }
}
