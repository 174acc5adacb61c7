//! What calls gave, as text that can be compared and read.

use std::fmt::{self, Write};

use tapsock::Errno;
use tapsock::bsd::{Credentials, MSG_CTRUNC, MSG_EOR, MSG_OOB, MSG_TRUNC, PollMask};

use super::{Place, Raw, Shower, Sock, Taken};

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

pub(super) fn received(taken: Taken, shower: &mut Shower, place: &Place) -> Outcome {
    let Taken { data, len, from, flags, rights, credentials } = taken;
    let mut shown = format!("{len}: {}", text(&data));
    for (flag, name) in
        [(MSG_TRUNC, " cut"), (MSG_CTRUNC, " lossy"), (MSG_OOB, " urgent"), (MSG_EOR, " ended")]
    {
        if flags & flag != 0 {
            shown += name;
        }
    }
    if !from.is_empty() {
        let _ = write!(shown, " from {}", shower.show(place, &from));
    }
    if let Some(credentials) = credentials {
        let _ = write!(shown, " by {}", who(credentials));
    }
    if !rights.is_empty() {
        let _ = write!(shown, " with {rights:?}");
    }
    Outcome { text: shown, new: rights }
}

pub(super) fn address(name: Result<Raw, Errno>, shower: &mut Shower, place: &Place) -> Outcome {
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
