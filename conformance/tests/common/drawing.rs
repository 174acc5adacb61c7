//! Packet scripts that are drawn: a handshake with some options, and then segments and calls of all sorts.
//!
//! What they expect is what came to mind; they are to be run with `--option non_fatal=packet,syscall`, and what the stack
//! and the kernel make of them is to be compared.

use std::fmt::Write as _;

/// A die that falls the same way for the same seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[(self.next() % items.len() as u64) as usize]
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

/// Times between two events: on both sides of what delays acknowledgements and retransmissions.
const GAPS: &[&str] = &["+0", "+0", "+.001", "+.01", "+.02", "+.02", "+.09", "+.13", "+.3"];

/// Flags of segments once the handshake is done; most are usual ones.
const FLAGS: &[&str] = &[
    ".", "P.", ".", "P.", ".", "P.", ".", "P.", ".", "P.", ".", "P.", "F.", "FP.", "R.", "R", "S", "S.",
    "SF", "P", "F", "PU.", "U.",
];

/// The same before that.
const EARLY_FLAGS: &[&str] = &[".", ".", "P.", "F.", "R", "R.", "S", "S", "S.", "P", "F", "SF"];

/// Calls on the connection, where `{n}` stands for a number of bytes.
const CALLS: &[&str] = &[
    "write(4, ..., {n}) = {n}",
    "write(4, ..., {n}) = {n}",
    "write(4, ..., {n}) = {n}",
    "send(4, ..., {n}, MSG_MORE) = {n}",
    "send(4, ..., {n}, MSG_OOB) = {n}",
    "read(4, ..., {n}) = 0",
    "read(4, ..., {n}) = 0",
    "recv(4, ..., {n}, MSG_PEEK) = 0",
    "recv(4, ..., 1, MSG_OOB) = 0",
    "shutdown(4, SHUT_RD) = 0",
    "shutdown(4, SHUT_WR) = 0",
    "close(4) = 0",
    "setsockopt(4, SOL_TCP, TCP_NODELAY, [1], 4) = 0",
    "setsockopt(4, SOL_TCP, TCP_CORK, [1], 4) = 0",
    "setsockopt(4, SOL_TCP, TCP_CORK, [0], 4) = 0",
    "setsockopt(4, SOL_TCP, TCP_QUICKACK, [0], 4) = 0",
    "setsockopt(4, SOL_TCP, TCP_MAXSEG, [536], 4) = 0",
    "setsockopt(4, SOL_TCP, TCP_WINDOW_CLAMP, [{n}], 4) = 0",
    "setsockopt(4, SOL_TCP, TCP_USER_TIMEOUT, [500], 4) = 0",
    "setsockopt(4, SOL_SOCKET, SO_RCVBUF, [{n}], 4) = 0",
    "setsockopt(4, SOL_SOCKET, SO_SNDBUF, [{n}], 4) = 0",
    "setsockopt(4, SOL_SOCKET, SO_RCVLOWAT, [{n}], 4) = 0",
    "setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0",
    "setsockopt(4, SOL_SOCKET, SO_OOBINLINE, [1], 4) = 0",
    "getsockopt(4, SOL_SOCKET, SO_ERROR, [0], [4]) = 0",
    "ioctl(4, SIOCINQ, [0]) = 0",
    "ioctl(4, SIOCOUTQ, [0]) = 0",
    "ioctl(4, SIOCOUTQNSD, [0]) = 0",
    "ioctl(4, SIOCATMARK, [0]) = 0",
    "poll([{fd=4, events=POLLIN|POLLPRI|POLLOUT|POLLRDHUP, revents=0}], 1, 0) = 0",
];

/// A script under way.
struct Draft {
    text: String,
    dice: Dice,
    /// The number that the peer sends next.
    next: i64,
    /// What the program has written.
    written: i64,
    mss: i64,
    stamps: bool,
    stamp: i64,
    marks: bool,
}

/// The script that `seed` stands for.
pub fn draw(seed: u64) -> String {
    // Not the step of the die: the next seed would fall as this one does, a throw later.
    let mut dice = Dice(seed.wrapping_mul(0xd134_2543_de82_ef95));
    let mss = dice.of(&[1000, 1000, 500, 1448, 100]);
    let (stamps, marks) = (dice.chance(35), dice.chance(15));
    let mut draft =
        Draft { text: String::new(), dice, next: 1, written: 0, mss, stamps, stamp: 100_000, marks };
    draft.handshake();
    for _ in 0..draft.dice.of(&[4, 8, 12, 16]) {
        if draft.dice.chance(58) { draft.segment() } else { draft.call() }
    }
    draft.line("+.7", "getsockopt(4, SOL_SOCKET, SO_ERROR, [0], [4]) = 0");
    draft.line("+0", "close(4) = 0");
    draft.text
}

impl Draft {
    fn line(&mut self, gap: &str, what: &str) {
        let _ = writeln!(self.text, "{gap:>5} {what}");
    }

    fn handshake(&mut self) {
        let marks = u8::from(self.marks) + 2 * u8::from(!self.marks);
        let _ = writeln!(
            self.text,
            "`sysctl -q net.ipv4.tcp_timestamps=1 net.ipv4.tcp_congestion_control=reno net.ipv4.tcp_ecn={marks} \
             net.ipv4.tcp_rmem=\"4096 131072 6291456\" net.ipv4.tcp_wmem=\"4096 16384 4194304\"`"
        );
        self.line("0", "socket(..., SOCK_STREAM, IPPROTO_TCP) = 3");
        self.line("+0", "fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
        self.line("+0", "bind(3, ..., ...) = 0");
        self.line("+0", "listen(3, 1) = 0");
        let mut options = vec![format!("mss {}", self.mss)];
        options.extend(self.dice.chance(70).then(|| "nop,nop,sackOK".to_owned()));
        options.extend(self.stamps.then(|| "nop,nop,TS val 100000 ecr 0".to_owned()));
        options.extend(self.dice.chance(75).then(|| "nop,wscale 7".to_owned()));
        let (offer, window) =
            (if self.marks { "SEW" } else { "S" }, self.dice.of(&[65_535, 29_200, 1000, 0]));
        self.line("+.1", &format!("< {offer} 0:0(0) win {window} <{}>", options.join(",")));
        let answer = if self.stamps { "win 65160 <mss 1460,nop,nop,TS val 100 ecr 100000>" } else { "<...>" };
        self.line("+0", &format!("> S. 0:0(0) ack 1 {answer}"));
        while self.dice.chance(20) {
            self.early();
        }
        let (gap, stamp) = (self.dice.of(&["+.02", "+.1", "+.001"]), self.stamp_option());
        self.line(gap, &format!("< . 1:1(0) ack 1 win 512{stamp}"));
        self.line("+0", "accept(3, ..., ...) = 4");
        self.line("+0", "fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
    }

    /// A segment to a connection that is not open yet.
    fn early(&mut self) {
        let (gap, flags, ack) =
            (self.dice.of(GAPS), self.dice.of(EARLY_FLAGS), self.dice.of(&[1, 1, 0, 2, 1000]));
        let (seq, len) = (self.dice.of(&[0, 1, 1, 2, 1000, 70_000]), self.dice.of(&[0, 0, 10, 1000]));
        let len = if flags.contains('S') { 0 } else { len };
        let acks = if flags.contains('.') { format!(" ack {ack}") } else { String::new() };
        self.line(gap, &format!("< {flags} {seq}:{}({len}){acks} win 512", seq + len));
    }

    fn segment(&mut self) {
        let (gap, flags) = (self.dice.of(GAPS), self.dice.of(FLAGS));
        let len = self.dice.of(&[0, 0, 0, 1, 10, 100, 500, 1000, 1000, 1460]);
        let in_order = self.dice.chance(65);
        let shift = if in_order { 0 } else { self.dice.of(&[1, 100, 1000, 2000, -1, -100, -1500, 64_240]) };
        let (seq, sent) = ((self.next + shift).max(0), self.written.min(10 * self.mss));
        let whole = sent / self.mss.max(1) / 2 * self.mss;
        let ack = self.dice.of(&[1 + sent, 1 + sent, 1 + whole, 1 + sent / 3, 1, self.written + 1001]);
        let window = self.dice.of(&[512, 512, 512, 257, 65_535, 100, 8, 1, 0]);
        let acks = if flags.contains('.') { format!(" ack {ack}") } else { String::new() };
        let urgent =
            if flags.contains('U') { format!(" urg {}", self.dice.of(&[0, 1, len])) } else { String::new() };
        let mark = if self.marks { self.dice.of(&["", "[ect0] ", "[ce] "]) } else { "" };
        let (end, stamp) = (seq + len, self.stamp_option());
        self.line(gap, &format!("< {mark}{flags} {seq}:{end}({len}){acks} win {window}{urgent}{stamp}"));
        if in_order && flags.contains('.') && !flags.contains(['S', 'R']) {
            self.next = end + i64::from(flags.contains('F'));
        }
    }

    fn call(&mut self) {
        let (gap, call) = (self.dice.of(GAPS), self.dice.of(CALLS));
        let count = self.dice.of(&[1, 10, 100, 1000, 1460, 2000, 5000, 20_000]);
        if call.starts_with("write") || call.starts_with("send") {
            self.written += count;
        }
        self.line(gap, &call.replace("{n}", &count.to_string()));
    }

    /// The peer's time stamp, which now and then is an old one.
    fn stamp_option(&mut self) -> String {
        if !self.stamps {
            return String::new();
        }
        self.stamp += self.dice.of(&[0, 1, 10, 100, -300]);
        format!(" <nop,nop,TS val {} ecr 100>", self.stamp)
    }
}
