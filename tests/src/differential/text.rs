//! What calls gave, as text that can be compared and read.

use std::fmt::{self, Write};

use tapsock::Errno;
use tapsock::bsd::control::{SCM_TIMESTAMP, SCM_TIMESTAMPING, SCM_TIMESTAMPNS};
use tapsock::bsd::{
    Credentials, MSG_CMSG_CLOEXEC, MSG_CTRUNC, MSG_EOR, MSG_OOB, MSG_TRUNC, PollMask, SCM_CREDENTIALS,
    SOL_SOCKET,
};

use super::{ControlMessage, Incoming, Place, Shower, Sock};

/// Bytes of data that are written down at most.
const SHOWN: usize = 24;

/// What a call gave, for the log and for the program.
pub(super) struct Outcome {
    pub(super) text: String,
    pub(super) new: Vec<Sock>,
}

impl From<String> for Outcome {
    fn from(text: String) -> Self {
        Outcome { text, new: Vec::new() }
    }
}

/// The events of each socket, by their names.
pub(super) fn readiness(open: &[Sock], events: &[u16]) -> String {
    const NAMES: [(PollMask, &str); 6] = [
        (PollMask::IN, "IN"),
        (PollMask::PRI, "PRI"),
        (PollMask::OUT, "OUT"),
        (PollMask::ERR, "ERR"),
        (PollMask::HUP, "HUP"),
        (PollMask::RDHUP, "RDHUP"),
    ];
    // They come and go with IN and OUT.
    let (reads, writes) = (PollMask::RDNORM.bits(), (PollMask::WRNORM | PollMask::WRBAND).bits());
    let shown = open.iter().zip(events).map(|(socket, events)| {
        let mut text = socket.to_string();
        let mut rest = *events;
        for (mask, name) in NAMES {
            if rest & mask.bits() != 0 {
                let _ = write!(text, " {name}");
                rest &= !mask.bits();
            }
        }
        for (with, companions) in [(PollMask::IN, reads), (PollMask::OUT, writes)] {
            if *events & with.bits() != 0 && rest & companions == companions {
                rest &= !companions;
            }
        }
        if rest != 0 {
            let _ = write!(text, " {rest:#x}");
        }
        text
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// How it is told that what a message passed is to be closed on exec.
pub(super) const CLOSED_ON_EXEC: &str = " to be closed on exec";

/// What came with a message to a local socket.
pub(super) fn received(taken: Incoming, shower: &mut Shower, place: &Place) -> Outcome {
    let Incoming { data, len, from, flags, control, rights } = taken;
    let mut shown = format!("{len}: {}", text(&data));
    for (flag, name) in [
        (MSG_TRUNC, " cut"),
        (MSG_CTRUNC, " lossy"),
        (MSG_OOB, " urgent"),
        (MSG_EOR, " ended"),
        (MSG_CMSG_CLOEXEC, CLOSED_ON_EXEC),
    ] {
        if flags & flag != 0 {
            shown += name;
        }
    }
    if !from.is_empty() {
        let _ = write!(shown, " from {}", shower.show(place, &from));
    }
    shown += &beside(&control, |message| match (message.level, message.kind) {
        (SOL_SOCKET, SCM_CREDENTIALS) => credentials(&message.data).map(|who| format!("by {who}")),
        _ => None,
    });
    if !rights.is_empty() {
        let _ = write!(shown, " with {rights:?}");
    }
    Outcome { text: shown, new: rights }
}

/// Control messages, but for what differs from run to run: times, and what `special` has other words for.
pub(super) fn beside(
    messages: &[ControlMessage],
    mut special: impl FnMut(&ControlMessage) -> Option<String>,
) -> String {
    let mut shown = String::new();
    for message in messages {
        let ControlMessage { level, kind, data } = message;
        let is_time =
            *level == SOL_SOCKET && [SCM_TIMESTAMP, SCM_TIMESTAMPNS, SCM_TIMESTAMPING].contains(kind);
        let _ = match special(message) {
            Some(words) => write!(shown, " {words}"),
            None if is_time => write!(shown, " at a time of {} bytes", data.len()),
            None => write!(shown, " beside {level}.{kind}: {data:?}"),
        };
    }
    shown
}

/// The bytes of `struct ucred`.
pub(super) fn credentials(bytes: &[u8]) -> Option<String> {
    let [pid, uid, gid] = [0, 4, 8].map(|at| bytes.get(at..at + 4).and_then(|field| field.try_into().ok()));
    let (pid, uid, gid) = (i32::from_ne_bytes(pid?), u32::from_ne_bytes(uid?), u32::from_ne_bytes(gid?));
    Some(who(Credentials { pid, uid, gid }))
}

/// The bytes of an option's value: a number where they are an `int`.
pub(super) fn value(value: &[u8]) -> String {
    match value.try_into() {
        Ok(bytes) => i32::from_ne_bytes(bytes).to_string(),
        Err(_) => format!("{value:?}"),
    }
}

pub(super) fn address(name: Result<Vec<u8>, Errno>, shower: &mut Shower, place: &Place) -> Outcome {
    match name {
        Ok(name) => shower.show(place, &name).into(),
        Err(errno) => errno.to_string().into(),
    }
}

pub(super) fn who(credentials: Credentials) -> String {
    let Credentials { pid, uid, gid } = credentials;
    let pid = if pid == std::process::id() as i32 { "us".to_owned() } else { pid.to_string() };
    format!("{pid}, {}, {}", uid as i32, gid as i32)
}

pub(super) fn first(new: &[Sock]) -> Sock {
    new.first().copied().unwrap_or(-1)
}

pub(super) fn number(result: Result<i32, Errno>) -> Outcome {
    match result {
        Ok(new) => Outcome { text: new.to_string(), new: vec![new] },
        Err(errno) => errno.to_string().into(),
    }
}

pub(super) fn done(result: Result<(), Errno>) -> Outcome {
    result.map_or_else(|errno| errno.to_string(), |()| "ok".to_owned()).into()
}

pub(super) fn shown<T: fmt::Display>(result: Result<T, Errno>) -> Outcome {
    result.map_or_else(|errno| errno.to_string(), |value| value.to_string()).into()
}

/// The first bytes, and where there are more, how many and what they sum up to.
pub(super) fn text(data: &[u8]) -> String {
    let mut text = format!("{:?}", String::from_utf8_lossy(&data[..data.len().min(SHOWN)]));
    if data.len() > SHOWN {
        let sum = data.iter().fold(0u32, |sum, byte| sum.rotate_left(5) ^ u32::from(*byte));
        let _ = write!(text, "… of {}, {sum:08x}", data.len());
    }
    text
}
