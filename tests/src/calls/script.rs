//! A program of socket calls that writes down what each of them gives.

use std::fmt::{self, Debug, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tapsock::Errno;
use tapsock::bsd::{AF_INET, AF_INET6, PollMask, SO_ERROR, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET};

use super::lockstep::Runner;
use super::{Calls, Received};
use crate::bench::Family;

/// How long an event may take that must come.
const PATIENCE: Duration = Duration::from_secs(15);
/// Ports from here on are chosen by the stacks, at random.
const FIRST_RANDOM_PORT: u16 = 32_768;
/// What is looked for.
const ALL: PollMask = PollMask::from_bits(0x2007);
/// Bytes of data that are written down at most.
const SHOWN: usize = 24;

/// Which of the two hosts of a program.
///
/// ```
/// assert_ne!(tapsock_tests::calls::Host::Near, tapsock_tests::calls::Host::Far);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Host {
    /// The one that most programs have alone.
    Near,
    /// The one at the other end of its link.
    Far,
}

/// A socket of a program.
///
/// ```
/// use tapsock_tests::bench::Family;
/// use tapsock_tests::calls::{OurCalls, Script, Sock};
///
/// let host = tapsock::Host::builder().start().unwrap();
/// let socket: Sock = Script::new(Family::V6, Box::new(OurCalls::new(&host))).udp();
/// assert_eq!(format!("{socket:?}"), "Sock { host: Near, number: 0 }");
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Sock {
    host: Host,
    number: i32,
}

/// Runs a program and keeps its log, in which what differs from run to run has names: the hosts' addresses, and the
/// ports that a stack chooses.
///
/// ```
/// use tapsock_tests::bench::Family;
/// use tapsock_tests::calls::{Host, OurCalls, Script};
///
/// let host = tapsock::Host::builder().start().unwrap();
/// let mut script = Script::new(Family::V4, Box::new(OurCalls::new(&host)));
/// let socket = script.tcp();
/// script.bind(socket, script.loopback(0));
/// script.local(socket);
/// assert_eq!(script.log(), [
///     "near: socket(AF_INET, SOCK_STREAM, 0) = 0",
///     "near: bind(0, 127.0.0.1:0) = ok",
///     "near: getsockname(0) = 127.0.0.1:P0",
/// ]);
/// ```
pub struct Script {
    /// The protocol that it speaks.
    pub family: Family,
    near: Box<dyn Calls + Send>,
    far: Option<Box<dyn Calls + Send>>,
    /// The hosts' addresses, and what they are called.
    names: Vec<(IpAddr, &'static str)>,
    ports: Vec<u16>,
    log: Arc<Mutex<Vec<String>>>,
    /// The sockets that are open.
    open: Vec<Sock>,
    /// With whom what they are ready for is compared after each call.
    runner: Option<Runner>,
}

impl Script {
    /// With one host, that speaks to itself.
    pub fn new(family: Family, near: Box<dyn Calls + Send>) -> Script {
        Script {
            family,
            near,
            far: None,
            names: Vec::new(),
            ports: Vec::new(),
            log: Arc::default(),
            open: Vec::new(),
            runner: None,
        }
    }

    /// With another host besides, and the addresses of both.
    pub fn with_far(
        mut self,
        far: Box<dyn Calls + Send>,
        near_address: IpAddr,
        far_address: IpAddr,
    ) -> Script {
        self.far = Some(far);
        self.names = vec![(near_address, "NEAR"), (far_address, "FAR")];
        self
    }

    /// In step with another run of the same program.
    pub(super) fn in_step(mut self, runner: Runner) -> Script {
        self.runner = Some(runner);
        self
    }

    /// From here on what the sockets are ready for differs, as `docs/sockets/differences.tsv` says.
    pub fn ready_for_other_things(&mut self) {
        self.runner = None;
    }

    /// What has been written down; it can be read while the program hangs.
    pub fn shared_log(&self) -> Arc<Mutex<Vec<String>>> {
        self.log.clone()
    }

    /// What has been written down, but for the options that were set and read.
    pub fn log_without_options(&self) -> Vec<String> {
        let about_options = |line: &String| line.contains("etsockopt(") || line.contains("SO_LINGER(");
        self.log().into_iter().filter(|line| !about_options(line)).collect()
    }

    /// What has been written down.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A port of the host itself.
    pub fn loopback(&self, port: u16) -> SocketAddr {
        let ip = if self.family == Family::V4 { "127.0.0.1" } else { "::1" };
        SocketAddr::new(ip.parse().expect("an address"), port)
    }

    /// A port of no address in particular.
    pub fn any(&self, port: u16) -> SocketAddr {
        let ip = if self.family == Family::V4 { "0.0.0.0" } else { "::" };
        SocketAddr::new(ip.parse().expect("an address"), port)
    }

    /// A port of one of the hosts.
    ///
    /// # Panics
    /// Where there is no other.
    pub fn at(&self, host: Host, port: u16) -> SocketAddr {
        SocketAddr::new(self.names[host as usize].0, port)
    }

    fn host(&mut self, host: Host) -> &mut dyn Calls {
        match host {
            Host::Near => self.near.as_mut(),
            Host::Far => self.far.as_mut().expect("the program has a second host").as_mut(),
        }
    }

    /// A TCP socket of the near host.
    pub fn tcp(&mut self) -> Sock {
        self.socket(Host::Near, self.domain(), SOCK_STREAM, 0)
    }

    /// A UDP socket of the near host.
    pub fn udp(&mut self) -> Sock {
        self.socket(Host::Near, self.domain(), SOCK_DGRAM, 0)
    }

    /// AF_INET or AF_INET6.
    pub fn domain(&self) -> i32 {
        if self.family == Family::V4 { AF_INET } else { AF_INET6 }
    }

    /// socket(2); a number that no socket has, where it fails.
    pub fn socket(&mut self, host: Host, domain: i32, kind: i32, protocol: i32) -> Sock {
        let result = self.host(host).socket(domain, kind, protocol);
        self.open.extend(result.iter().map(|number| Sock { host, number: *number }));
        let domain = match domain {
            AF_INET => "AF_INET".to_owned(),
            AF_INET6 => "AF_INET6".to_owned(),
            other => other.to_string(),
        };
        let kind = match kind {
            SOCK_STREAM => "SOCK_STREAM".to_owned(),
            SOCK_DGRAM => "SOCK_DGRAM".to_owned(),
            other => format!("{other:#x}"),
        };
        self.note(host, format_args!("socket({domain}, {kind}, {protocol}) = {}", shown(&result)));
        Sock { host, number: result.unwrap_or(-1) }
    }

    /// bind(2)
    pub fn bind(&mut self, socket: Sock, address: SocketAddr) {
        let result = self.host(socket.host).bind(socket.number, address);
        let address = self.name(address);
        self.note(socket.host, format_args!("bind({}, {address}) = {}", socket.number, done(&result)));
    }

    /// listen(2)
    pub fn listen(&mut self, socket: Sock, backlog: i32) {
        let result = self.host(socket.host).listen(socket.number, backlog);
        self.note(socket.host, format_args!("listen({}, {backlog}) = {}", socket.number, done(&result)));
    }

    /// accept4(2)
    pub fn accept(&mut self, socket: Sock, flags: i32) -> Sock {
        let result = self.host(socket.host).accept(socket.number, flags);
        self.open.extend(result.iter().map(|(number, _)| Sock { host: socket.host, number: *number }));
        let text = match result {
            Ok((number, peer)) => format!("{number} from {}", self.name(peer)),
            Err(errno) => errno.to_string(),
        };
        self.note(socket.host, format_args!("accept({}) = {text}", socket.number));
        Sock { host: socket.host, number: result.map_or(-1, |(number, _)| number) }
    }

    /// connect(2); `None` stands for AF_UNSPEC
    pub fn connect(&mut self, socket: Sock, address: impl Into<Option<SocketAddr>>) {
        let address = address.into();
        let result = self.host(socket.host).connect(socket.number, address);
        let to = address.map_or("AF_UNSPEC".to_owned(), |address| self.name(address));
        self.note(socket.host, format_args!("connect({}, {to}) = {}", socket.number, done(&result)));
    }

    /// send(2) with MSG_NOSIGNAL
    pub fn send(&mut self, socket: Sock, data: &[u8], flags: i32) {
        let result = self.host(socket.host).send(socket.number, data, flags, None);
        let what = text(data);
        self.note(
            socket.host,
            format_args!("send({}, {what}, {flags:#x}) = {}", socket.number, shown(&result)),
        );
    }

    /// sendto(2)
    pub fn send_to(&mut self, socket: Sock, data: &[u8], to: SocketAddr) {
        let result = self.host(socket.host).send(socket.number, data, 0, Some(to));
        let (what, to) = (text(data), self.name(to));
        self.note(socket.host, format_args!("sendto({}, {what}, {to}) = {}", socket.number, shown(&result)));
    }

    /// recvfrom(2)
    pub fn recv(&mut self, socket: Sock, max: usize, flags: i32) {
        let result = self.host(socket.host).recv(socket.number, max, flags);
        let got = match result {
            Ok(Received { data, len, from }) => {
                let from = from.map_or(String::new(), |from| format!(" from {}", self.name(from)));
                format!("{len}: {}{from}", text(&data))
            }
            Err(errno) => errno.to_string(),
        };
        self.note(socket.host, format_args!("recv({}, {max}, {flags:#x}) = {got}", socket.number));
    }

    /// shutdown(2)
    pub fn shutdown(&mut self, socket: Sock, how: i32) {
        let result = self.host(socket.host).shutdown(socket.number, how);
        self.note(socket.host, format_args!("shutdown({}, {how}) = {}", socket.number, done(&result)));
    }

    /// close(2)
    pub fn close(&mut self, socket: Sock) {
        let result = self.host(socket.host).close(socket.number);
        self.open.retain(|open| *open != socket);
        self.note(socket.host, format_args!("close({}) = {}", socket.number, done(&result)));
    }

    /// getsockname(2)
    pub fn local(&mut self, socket: Sock) -> SocketAddr {
        let result = self.host(socket.host).local_address(socket.number);
        self.note_address(socket, "getsockname", result)
    }

    /// getpeername(2)
    pub fn peer(&mut self, socket: Sock) -> SocketAddr {
        let result = self.host(socket.host).peer_address(socket.number);
        self.note_address(socket, "getpeername", result)
    }

    /// getsockopt(2)
    pub fn option(&mut self, socket: Sock, level: i32, name: i32) {
        let result = self.host(socket.host).option(socket.number, level, name);
        self.note(
            socket.host,
            format_args!("getsockopt({}, {level}, {name}) = {}", socket.number, shown(&result)),
        );
    }

    /// SO_ERROR, by its name
    pub fn error(&mut self, socket: Sock) {
        let result = self.host(socket.host).option(socket.number, SOL_SOCKET, SO_ERROR);
        let error = match result {
            Ok(0) => "none".to_owned(),
            Ok(errno) => Errno::from_raw_os_error(errno).to_string(),
            Err(errno) => format!("failed: {errno}"),
        };
        self.note(socket.host, format_args!("SO_ERROR({}) = {error}", socket.number));
    }

    /// setsockopt(2), and what getsockopt(2) says then
    pub fn set_option(&mut self, socket: Sock, level: i32, name: i32, value: i32) {
        let result = self.host(socket.host).set_option(socket.number, level, name, value);
        self.note(
            socket.host,
            format_args!("setsockopt({}, {level}, {name}, {value}) = {}", socket.number, done(&result)),
        );
        self.option(socket, level, name);
    }

    /// setsockopt(2) of a value that is no number
    pub fn set_value(&mut self, socket: Sock, level: i32, name: i32, value: &[u8]) {
        let result = self.host(socket.host).set_value(socket.number, level, name, value);
        self.note(
            socket.host,
            format_args!("setsockopt({}, {level}, {name}, {value:?}) = {}", socket.number, done(&result)),
        );
    }

    /// recvmsg(2), with what is told beside the data
    pub fn recv_told(&mut self, socket: Sock, max: usize, flags: i32) {
        let result = self.host(socket.host).recv_told(socket.number, max, flags);
        let got = match result {
            Ok((data, told)) => format!("{} beside {told:?}", text(&data)),
            Err(errno) => errno.to_string(),
        };
        self.note(socket.host, format_args!("recvmsg({}, {max}, {flags:#x}) = {got}", socket.number));
    }

    /// Whether getsockname(2) shows a port
    pub fn has_port(&mut self, socket: Sock) {
        let result = self.host(socket.host).local_address(socket.number);
        let has = result.map(|address| address.port() != 0);
        self.note(socket.host, format_args!("has a port({}) = {}", socket.number, shown(&has)));
    }

    /// SO_RCVTIMEO
    pub fn set_receive_timeout(&mut self, socket: Sock, millis: u32) {
        let result = self.host(socket.host).set_receive_timeout(socket.number, millis);
        self.note(
            socket.host,
            format_args!("SO_RCVTIMEO({}, {millis} ms) = {}", socket.number, done(&result)),
        );
    }

    /// SO_LINGER
    pub fn set_linger(&mut self, socket: Sock, seconds: u16) {
        let result = self.host(socket.host).set_linger(socket.number, seconds);
        self.note(socket.host, format_args!("SO_LINGER({}, {seconds} s) = {}", socket.number, done(&result)));
    }

    /// FIONREAD
    pub fn unread(&mut self, socket: Sock) {
        let result = self.host(socket.host).unread(socket.number);
        self.note(socket.host, format_args!("FIONREAD({}) = {}", socket.number, shown(&result)));
    }

    /// SIOCOUTQ
    pub fn unsent(&mut self, socket: Sock) {
        let result = self.host(socket.host).unsent(socket.number);
        self.note(socket.host, format_args!("SIOCOUTQ({}) = {}", socket.number, shown(&result)));
    }

    /// poll(2) for everything, at once
    pub fn ready(&mut self, socket: Sock) {
        self.until(socket, PollMask::NONE);
    }

    /// poll(2) for everything, when all of `wanted` is there
    ///
    /// # Panics
    /// Where that never comes.
    pub fn until(&mut self, socket: Sock, wanted: PollMask) {
        let all = ALL;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let result = self.host(socket.host).poll(socket.number, all.bits(), 0);
            let met = result.is_ok_and(|events| PollMask::from_bits(events).contains(wanted));
            if met || result.is_err() {
                let events = result.map(PollMask::from_bits);
                self.note(socket.host, format_args!("poll({}) = {}", socket.number, shown(&events)));
                return;
            }
            assert!(Instant::now() < deadline, "poll({}) = {result:?} and never {wanted:?}", socket.number);
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// A listener at an unused port of `at`, and where that is.
    pub fn listener(&mut self, host: Host, at: SocketAddr) -> (Sock, SocketAddr) {
        let listener = self.socket(host, self.domain(), SOCK_STREAM, 0);
        self.bind(listener, at);
        self.listen(listener, 5);
        let at = self.local(listener);
        (listener, at)
    }

    /// Two ends of a connection over loopback.
    pub fn connection(&mut self) -> (Sock, Sock) {
        let (listener, at) = self.listener(Host::Near, self.loopback(0));
        let client = self.tcp();
        self.connect(client, at);
        let server = self.accept(listener, 0);
        self.close(listener);
        (client, server)
    }

    /// Two ends of a connection over the link, the near host's first.
    pub fn connection_to_far(&mut self) -> (Sock, Sock) {
        let (listener, at) = self.listener(Host::Far, self.at(Host::Far, 0));
        let client = self.tcp();
        self.connect(client, at);
        self.until(listener, PollMask::IN);
        let server = self.accept(listener, 0);
        self.close(listener);
        (client, server)
    }

    /// A line of the log that says what comes next. What was before lets go of its ports, so they are named anew.
    pub fn remark(&mut self, what: &str) {
        self.ports.clear();
        self.note(Host::Near, format_args!("-- {what}"));
    }

    fn note_address(&mut self, socket: Sock, call: &str, result: Result<SocketAddr, Errno>) -> SocketAddr {
        let text = match result {
            Ok(address) => self.name(address),
            Err(errno) => errno.to_string(),
        };
        self.note(socket.host, format_args!("{call}({}) = {text}", socket.number));
        result.unwrap_or(self.loopback(0))
    }

    fn note(&mut self, host: Host, what: fmt::Arguments<'_>) {
        let host = if host == Host::Near { "near" } else { "far" };
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{host}: {what}"));
        let Some(mut runner) = self.runner.take() else { return };
        let (open, all) = (self.open.clone(), ALL.bits());
        let apart = runner.after_call(|| {
            let ready = |sock: &Sock| self.host(sock.host).poll(sock.number, all, 0).unwrap_or(0);
            open.iter().map(ready).zip(&open).map(|(events, sock)| (format!("{sock:?}"), events)).collect()
        });
        self.runner = Some(runner);
        if let Some(apart) = apart {
            self.log.lock().unwrap_or_else(PoisonError::into_inner).push(format!("ready: {apart:?}"));
        }
    }

    /// The address by the names of what differs from run to run.
    fn name(&mut self, address: SocketAddr) -> String {
        let ip = self.names.iter().find(|(ip, _)| *ip == address.ip());
        let ip = match (ip, address) {
            (Some((_, name)), _) => (*name).to_owned(),
            (None, SocketAddr::V4(address)) => address.ip().to_string(),
            (None, SocketAddr::V6(address)) => format!("[{}]", address.ip()),
        };
        let port = address.port();
        if port < FIRST_RANDOM_PORT {
            return format!("{ip}:{port}");
        }
        let index = self.ports.iter().position(|known| *known == port).unwrap_or_else(|| {
            self.ports.push(port);
            self.ports.len() - 1
        });
        format!("{ip}:P{index}")
    }
}

impl Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("family", &self.family).finish_non_exhaustive()
    }
}

fn done(result: &Result<(), Errno>) -> String {
    match result {
        Ok(()) => "ok".to_owned(),
        Err(errno) => errno.to_string(),
    }
}

fn shown<T: Debug>(result: &Result<T, Errno>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(errno) => errno.to_string(),
    }
}

fn text(data: &[u8]) -> String {
    let mut text = format!("{:?}", String::from_utf8_lossy(&data[..data.len().min(SHOWN)]));
    if data.len() > SHOWN {
        let _ = write!(text, " and so on");
    }
    text
}
