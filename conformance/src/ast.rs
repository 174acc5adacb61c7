//! A script as a tree: what [`parse`](crate::parse) makes and a runner walks.
//!
//! Names stay names here (`O_RDWR`, `EAGAIN`), since their numbers belong to the system and not to the language.
//! Everything else is checked: a tree holds no segment whose length contradicts its sequence numbers, no options
//! that don't fill their words, no time that runs backwards within itself.

use std::fmt;
use std::time::Duration;

mod call;
mod packet;
mod setting;

pub use call::{
    ControlMessage, EpollData, EpollEvent, Expr, ExprKind, ExtendedError, Linger, MessageHeader, Name,
    PollFd, Syscall,
};
pub use packet::{
    AccEcnField, Body, Direction, Icmp, IpEcn, IpFields, Packet, Part, Ports, Quoted, SackBlock,
    SequenceRange, Tcp, TcpFlags, TcpOption, TcpOptions, Udp,
};
pub use setting::{IpVersion, NonFatal, Setting};

/// A place in a script: line and column, both from 1; a column is a character.
///
/// ```
/// use tapsock_conformance::ast::Position;
///
/// assert_eq!(Position { line: 3, column: 7 }.to_string(), "3:7");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A whole script, in the order of its parts: options, a command before the first event, events, a command after the
/// last.
///
/// ```
/// use tapsock_conformance::parse;
///
/// let script = parse("s.pkt", "--mtu=1500\n`sysctl -q net.ipv4.tcp_sack=1`\n0 close(3) = 0\n").unwrap();
/// assert_eq!((script.options.len(), script.events.len()), (1, 1));
/// assert_eq!(script.init.unwrap().text, "sysctl -q net.ipv4.tcp_sack=1");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// What errors call it: its path, mostly.
    pub name: String,
    /// Its text, so that errors can show a line.
    pub text: String,
    /// The `--option=value` lines.
    pub options: Vec<OptionLine>,
    /// What runs before the interface is there and before the first event.
    pub init: Option<Command>,
    /// What happens, in the order of the script.
    pub events: Vec<Event>,
    /// What runs when all events are over, whether they passed or not.
    pub cleanup: Option<Command>,
}

impl Script {
    /// The text of a line, counted from 1; empty past the end.
    pub fn line(&self, number: u32) -> &str {
        self.text.lines().nth((number as usize).saturating_sub(1)).unwrap_or("")
    }
}

/// An `--option=value` line.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionLine {
    /// Where it begins.
    pub at: Position,
    /// What it sets.
    pub setting: Setting,
}

/// Something that happens at some time.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Where it begins: its time.
    pub at: Position,
    /// When.
    pub time: Time,
    /// What.
    pub action: Action,
}

/// When an event happens. The language writes seconds.
///
/// ```
/// use std::time::Duration;
/// use tapsock_conformance::ast::Time;
/// use tapsock_conformance::parse;
///
/// let script = parse("s.pkt", "+.25~+.3 > . 1:1(0) ack 1").unwrap();
/// let ms = Duration::from_millis;
/// assert_eq!(script.events[0].time, Time::RelativeRange { from: ms(250), to: ms(300) });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// `1.5`: since the start of the script.
    Absolute(Duration),
    /// `+1.5`: since the event before.
    Relative(Duration),
    /// `*`: whenever it comes; for packets that the stack sends.
    Any,
    /// `1~2`: in between, since the start of the script; for packets that the stack sends.
    AbsoluteRange {
        /// The earliest.
        from: Duration,
        /// The latest.
        to: Duration,
    },
    /// `+1~+2`: in between, since the event before; for packets that the stack sends.
    RelativeRange {
        /// The earliest.
        from: Duration,
        /// The latest.
        to: Duration,
    },
}

/// What an event does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A packet goes to the stack, or is expected of it.
    Packet(Packet),
    /// The program calls the stack.
    Syscall(Syscall),
    /// A shell command.
    Command(Command),
    /// Python, mostly assertions about `TCP_INFO`.
    Code(Code),
}

/// A shell command, between back quotes; it may have many lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Where its back quote stands.
    pub at: Position,
    /// What stands between the back quotes.
    pub text: String,
}

/// A block of Python, between `%{` and `}%`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Where its `%{` stands.
    pub at: Position,
    /// What stands between the marks.
    pub text: String,
}
