//! One host, to which a script does things, and which writes down what it sends.

use std::fmt::Write;
use std::time::Duration;

use tapsock::{Errno, SockAddr};

use crate::describe::{Sort, describe};

/// A frame, when it was sent since the host began, and by which port.
pub struct Sent {
    pub at: Duration,
    pub port: usize,
    pub bytes: Vec<u8>,
}

/// What is done to a host, on either stack. Ports are its links, counted from 0: `tap0`, `tap1`.
pub trait End {
    /// Its links come up, with addresses and routes.
    fn begin(&mut self, setup: &Setup);
    /// Since it began.
    fn now(&self) -> Duration;
    /// Lets time pass, and gives what is sent meanwhile, in order.
    fn pass(&mut self, time: Duration) -> Vec<Sent>;
    fn inject(&mut self, port: usize, frame: &[u8]);
    fn set(&mut self, name: &str, value: &str);
    fn add_address(&mut self, port: usize, cidr: &str);
    fn remove_address(&mut self, port: usize, cidr: &str);
    /// Adds a route of that kind (`unicast`, `blackhole`, `unreachable`, `prohibit`).
    fn add_route(&mut self, route: &Way);
    fn index(&self, port: usize) -> u32;
    fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> i32;
    fn bind(&mut self, socket: i32, to: &SockAddr) -> Result<(), Errno>;
    fn connect(&mut self, socket: i32, to: &SockAddr) -> Result<(), Errno>;
    fn set_option(&mut self, socket: i32, level: i32, name: i32, value: &[u8]) -> Result<(), Errno>;
    fn send(&mut self, socket: i32, data: &[u8], to: Option<&SockAddr>) -> Result<usize, Errno>;
    fn close(&mut self, socket: i32);
    /// SO_ERROR, taken.
    fn error(&mut self, socket: i32) -> i32;
}

/// A route.
#[derive(Copy, Clone, Debug)]
pub struct Way {
    pub kind: &'static str,
    pub to: &'static str,
    pub via: Option<&'static str>,
    pub port: usize,
    pub mtu: Option<u16>,
}

impl Way {
    pub const fn via(to: &'static str, via: &'static str, port: usize) -> Way {
        Way { kind: "unicast", to, via: Some(via), port, mtu: None }
    }

    pub const fn refused(kind: &'static str, to: &'static str) -> Way {
        Way { kind, to, via: None, port: 0, mtu: None }
    }
}

/// What a host is before the script begins.
#[derive(Copy, Clone, Debug)]
pub struct Setup {
    /// Ethernet links.
    pub ports: usize,
    pub settings: &'static [(&'static str, &'static str)],
    /// By the port's number.
    pub addresses: &'static [(usize, &'static str)],
    pub ways: &'static [Way],
    /// How what it sends before the first section is called, where that is compared.
    pub beginning: Option<&'static str>,
    /// Whether it is looked at if IPv4's packets that are not to be cut have identifications, too.
    pub identified: bool,
    /// What is looked at; nothing else is written down.
    pub sorts: &'static [Sort],
}

/// How what a section sends is compared.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Order {
    /// Times do not matter.
    Sequence,
    /// Times since its beginning are the same, but for what a busy machine adds.
    Paced,
    /// Nor does the order: what is sent waits for times that are drawn.
    Any,
}

/// What a host sent, or said, from one mark to the next.
#[derive(Clone, Debug)]
pub struct Section {
    pub name: &'static str,
    pub order: Order,
    pub lines: Vec<(Duration, String)>,
}

impl Section {
    /// All lines, in an order that does not depend on the draw where none is promised.
    pub fn texts(&self) -> Vec<&str> {
        let mut texts: Vec<&str> = self.lines.iter().map(|(_, text)| text.as_str()).collect();
        if self.order == Order::Any {
            texts.sort_unstable();
        }
        texts
    }
}

/// A host with its diary.
pub struct Host {
    end: Box<dyn End>,
    setup: Setup,
    began: Duration,
    sections: Vec<Section>,
    /// Whether what is sent is written down.
    writes: bool,
}

impl Host {
    pub fn new(end: Box<dyn End>, setup: &Setup) -> Host {
        let began = end.now();
        Host { end, setup: *setup, began, sections: Vec::new(), writes: false }
    }

    /// All that was written down, after `script`.
    pub fn run(mut self, script: fn(&mut Host)) -> Vec<Section> {
        if let Some(name) = self.setup.beginning {
            self.section(name, Order::Any);
        }
        self.end.begin(&self.setup);
        self.began = self.end.now();
        // On a busy machine the kernel's addresses may not be there at once.
        self.wait(100);
        script(&mut self);
        self.catch_up();
        self.sections
    }

    /// Begins a section, which is compared with the other stack's of that name.
    pub fn section(&mut self, name: &'static str, order: Order) {
        self.catch_up();
        self.began = self.end.now();
        self.writes = true;
        self.sections.push(Section { name, order, lines: Vec::new() });
    }

    /// What follows until the next section is not compared.
    pub fn aside(&mut self) {
        self.catch_up();
        self.writes = false;
    }

    /// Lets so many milliseconds pass.
    pub fn wait(&mut self, millis: u64) {
        for sent in self.end.pass(Duration::from_millis(millis)) {
            self.note_frame(&sent);
        }
    }

    pub fn inject(&mut self, port: usize, frame: &[u8]) {
        // What was sent before stands before.
        self.catch_up();
        self.end.inject(port, frame);
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.end.set(name, value);
    }

    pub fn add_address(&mut self, port: usize, cidr: &str) {
        self.end.add_address(port, cidr);
    }

    pub fn remove_address(&mut self, port: usize, cidr: &str) {
        self.end.remove_address(port, cidr);
    }

    pub fn index(&self, port: usize) -> u32 {
        self.end.index(port)
    }

    pub fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> i32 {
        self.end.socket(domain, kind, protocol)
    }

    pub fn close(&mut self, socket: i32) {
        self.end.close(socket);
    }

    /// Sets an option; a refusal is written down.
    pub fn set_option(&mut self, socket: i32, level: i32, name: i32, value: &[u8]) {
        let outcome = self.end.set_option(socket, level, name, value);
        self.note_outcome("setsockopt", outcome);
    }

    pub fn bind(&mut self, socket: i32, to: &str) {
        let outcome = self.end.bind(socket, &address(to));
        self.note_outcome("bind", outcome);
    }

    pub fn connect(&mut self, socket: i32, to: &str) {
        let outcome = self.end.connect(socket, &address(to));
        self.note_outcome("connect", outcome);
    }

    /// Sends by a connected socket; a refusal is written down.
    pub fn send(&mut self, socket: i32, data: &[u8]) {
        let outcome = self.end.send(socket, data, None);
        self.note_outcome("send", outcome);
    }

    pub fn send_to(&mut self, socket: i32, data: &[u8], to: &str) {
        let outcome = self.end.send(socket, data, Some(&address(to)));
        self.note_outcome("send", outcome);
    }

    /// Writes down the pending error of a socket, and takes it.
    pub fn note_error(&mut self, socket: i32) {
        self.catch_up();
        let error = self.end.error(socket);
        self.note(&format!("SO_ERROR {}", name_of(error)));
    }

    fn note_outcome<T>(&mut self, call: &str, outcome: Result<T, Errno>) {
        if let Err(errno) = outcome {
            self.catch_up();
            self.note(&format!("{call} {}", name_of(errno.raw_os_error())));
        }
    }

    fn catch_up(&mut self) {
        for sent in self.end.pass(Duration::ZERO) {
            self.note_frame(&sent);
        }
    }

    fn note_frame(&mut self, sent: &Sent) {
        let (sort, mut text) = describe(&sent.bytes, self.setup.identified);
        if !self.setup.sorts.contains(&sort) {
            return;
        }
        if sent.port > 0 {
            let _ = write!(text, " by tap{}", sent.port);
        }
        self.write_down(sent.at, text);
    }

    fn note(&mut self, text: &str) {
        self.write_down(self.end.now(), text.to_owned());
    }

    fn write_down(&mut self, at: Duration, text: String) {
        let began = self.began;
        if let Some(section) = self.sections.last_mut().filter(|_| self.writes) {
            section.lines.push((at.saturating_sub(began), text));
        }
    }
}

fn address(text: &str) -> SockAddr {
    SockAddr::from(text.parse::<std::net::SocketAddr>().expect("an address and a port"))
}

fn name_of(errno: i32) -> String {
    match errno {
        0 => "0".to_owned(),
        libc::EHOSTUNREACH => "EHOSTUNREACH".to_owned(),
        libc::ENETUNREACH => "ENETUNREACH".to_owned(),
        libc::ECONNREFUSED => "ECONNREFUSED".to_owned(),
        libc::EMSGSIZE => "EMSGSIZE".to_owned(),
        libc::EADDRNOTAVAIL => "EADDRNOTAVAIL".to_owned(),
        libc::EACCES => "EACCES".to_owned(),
        libc::EINVAL => "EINVAL".to_owned(),
        other => format!("errno {other}"),
    }
}
