//! `tapsock ss`: the sockets of a running host, as ss(8) prints them.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use clap::Args;
use tapsock::control::{LocalEntry, Request, SocketEntry, SocketList, Which};
use tapsock::resolve::Names;

use crate::failure::Failure;
use crate::running::Running;
use details::{details, timer};

mod details;

/// The options of `tapsock ss`.
#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools)] // they are ss's
pub struct Options {
    /// TCP sockets
    #[arg(short, long)]
    tcp: bool,
    /// UDP sockets
    #[arg(short, long)]
    udp: bool,
    /// Raw and ping sockets
    #[arg(short = 'w', long)]
    raw: bool,
    /// Local sockets
    #[arg(short = 'x', long)]
    unix: bool,
    /// All: those that listen, too, and what is left of connections
    #[arg(short, long)]
    all: bool,
    /// Those that listen only
    #[arg(short, long)]
    listening: bool,
    /// Numbers instead of the names of services
    #[arg(short, long)]
    numeric: bool,
    /// What TCP_INFO tells
    #[arg(short, long)]
    info: bool,
    /// What connections wait for
    #[arg(short, long)]
    options: bool,
    /// Not here: all sockets are of the process that the host runs in
    #[arg(short, long, hide = true)]
    processes: bool,
    /// IPv4 sockets only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// IPv6 sockets only
    #[arg(short = '6', long)]
    ipv6: bool,
    /// No line that says what the columns are
    #[arg(short = 'H', long)]
    no_header: bool,
    /// JSON
    #[arg(short, long)]
    json: bool,
    /// `state` or `exclude`, and the state of TCP: established, syn-sent, listening … or all, connected, synchronized, bucket,
    /// big
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
    #[command(flatten)]
    running: Running,
}

/// Prints them.
///
/// # Errors
/// No host to be asked.
pub fn main(options: &Options) -> Result<ExitCode, Failure> {
    if options.processes {
        let failure = Failure::new("ss: -p: all sockets are of one process, the one that the host runs in");
        return Err(failure.hint("Without -p they are shown.").with_status(2));
    }
    let any = !(options.tcp || options.udp || options.raw || options.unix);
    // A family is of the network's sockets.
    let family = options.ipv4 || options.ipv6;
    let which = Which {
        tcp: options.tcp || any,
        udp: options.udp || any,
        raw: options.raw || any,
        local: options.unix || any && !family,
        info: options.info,
    };
    let mut list: SocketList = options.running.ask(&Request::Sockets(which))?;
    let states = read_filter(&options.filter)?;
    let wants = |state: &str| match &states {
        Some(states) => states.contains(&state),
        None => options.wants(state),
    };
    list.sockets.retain(|socket| wants(&socket.state) && (!family || socket.v6 == options.ipv6));
    list.local.retain(|socket| wants(&socket.state));
    if options.json {
        println!("{}", serde_json::json!({ "sockets": list.sockets, "local": list.local }));
        return Ok(ExitCode::SUCCESS);
    }
    let kinds = [which.tcp, which.udp, which.raw].into_iter().filter(|wanted| *wanted).count();
    let names = (!options.numeric).then(Names::system);
    let mut table = Table { with_kind: kinds != 1 || which.local, rows: Vec::new() };
    if !options.no_header {
        let process = Row { extra: "Process".to_owned(), ..Row::heading() };
        table.rows.push(process);
    }
    table.rows.extend(list.local.iter().map(Row::of_local));
    // As ss has them: what has no connections first.
    for kind in ["raw", "icmp", "icmp6", "udp", "tcp"] {
        let of_kind = list.sockets.iter().filter(|socket| socket.kind == kind);
        table.rows.extend(of_kind.map(|socket| Row::of(socket, options, names.as_ref())));
    }
    table.print();
    if list.left_out > 0 {
        eprintln!("tapsock: there are {} sockets more than are told of", list.left_out);
    }
    Ok(ExitCode::SUCCESS)
}

/// All states, by the names that ss takes and those that it prints.
const STATES: [(&str, &str); 11] = [
    ("established", "ESTAB"),
    ("syn-sent", "SYN-SENT"),
    ("syn-recv", "SYN-RECV"),
    ("fin-wait-1", "FIN-WAIT-1"),
    ("fin-wait-2", "FIN-WAIT-2"),
    ("time-wait", "TIME-WAIT"),
    ("closed", "UNCONN"),
    ("close-wait", "CLOSE-WAIT"),
    ("last-ack", "LAST-ACK"),
    ("listening", "LISTEN"),
    ("closing", "CLOSING"),
];

/// The states that a filter lets through, as they are printed; `None` where there is none. What is named by several
/// `state`s is any of them; what `exclude` names is not.
fn read_filter(words: &[String]) -> Result<Option<Vec<&'static str>>, Failure> {
    let misused =
        |what: String| Failure::new(what).hint("tapsock ss --help tells what there is.").with_status(MISUSED);
    let mut states = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let name = words.next().ok_or_else(|| misused(format!("ss: \"{word}\" without a state")))?;
        let named = named_states(name).ok_or_else(|| misused(format!("ss: wrong state name: {name}")))?;
        let all = || STATES.map(|(_, printed)| printed).to_vec();
        match word.as_str() {
            "state" => states.get_or_insert_with(Vec::new).extend(named),
            "exclude" | "excl" => states.get_or_insert_with(all).retain(|state| !named.contains(state)),
            _ => return Err(misused(format!("ss: \"{word}\" is not understood"))),
        }
    }
    Ok(states)
}

/// The states of that name, or of those that it stands for: see ss(8).
fn named_states(name: &str) -> Option<Vec<&'static str>> {
    let but = |without: &[&str]| {
        STATES.iter().filter(|(state, _)| !without.contains(state)).map(|(_, printed)| *printed).collect()
    };
    Some(match name {
        "all" => but(&[]),
        "connected" => but(&["listening", "closed"]),
        "synchronized" => but(&["listening", "closed", "syn-sent"]),
        "bucket" => vec!["SYN-RECV", "TIME-WAIT"],
        "big" => but(&["syn-recv", "time-wait", "listening", "closed"]),
        _ => vec![STATES.iter().find(|(state, _)| *state == name)?.1],
    })
}

/// The status of a command line that ss(8) does not understand.
const MISUSED: u8 = 255;

impl Options {
    /// Without -a and -l: what has a peer.
    fn wants(&self, state: &str) -> bool {
        let listens = matches!(state, "LISTEN" | "UNCONN");
        match (self.all, self.listening) {
            (true, _) => true,
            (_, true) => listens,
            _ => !listens && !matches!(state, "TIME-WAIT" | "SYN-RECV"),
        }
    }
}

/// A line of the table.
struct Row {
    kind: String,
    state: String,
    queues: [String; 2],
    /// Address and port.
    local: [String; 2],
    peer: [String; 2],
    extra: String,
    details: Option<String>,
}

struct Table {
    with_kind: bool,
    rows: Vec<Row>,
}

impl Row {
    fn heading() -> Row {
        let words = |words: [&str; 2]| words.map(str::to_owned);
        Row {
            kind: "Netid".to_owned(),
            state: "State".to_owned(),
            queues: words(["Recv-Q", "Send-Q"]),
            local: words(["Local Address", "Port"]),
            peer: words(["Peer Address", "Port"]),
            extra: String::new(),
            details: None,
        }
    }

    fn of(socket: &SocketEntry, options: &Options, names: Option<&Names>) -> Row {
        // The port of a ping socket is none; ss shows the protocol of a raw one.
        let protocol = match socket.kind.as_str() {
            "tcp" | "udp" => Some(socket.kind.as_str()),
            _ => None,
        };
        let port = |port: u16| {
            let service = names.zip(protocol).and_then(|(names, protocol)| {
                names.services.by_port(port, Some(protocol)).map(|service| service.name().to_owned())
            });
            service.unwrap_or_else(|| port.to_string())
        };
        let number = |number: u16| if number == 0 { "*".to_owned() } else { port(number) };
        let waits = options.options.then(|| socket.timer.as_ref().map(timer)).flatten();
        Row {
            kind: socket.kind.clone(),
            state: socket.state.clone(),
            queues: [socket.receive_queue.to_string(), socket.send_queue.to_string()],
            local: [address(socket, Some(socket.local)), number(socket.local.port())],
            peer: [
                address(socket, socket.peer),
                socket.peer.map_or("*".to_owned(), |peer| number(peer.port())),
            ],
            extra: waits.unwrap_or_default(),
            details: socket.info.as_ref().map(details),
        }
    }

    fn of_local(socket: &LocalEntry) -> Row {
        Row {
            kind: socket.kind.clone(),
            state: socket.state.clone(),
            queues: [socket.receive_queue.to_string(), socket.send_queue.to_string()],
            local: [socket.name.clone(), socket.number.to_string()],
            peer: [socket.peer.clone(), "0".to_owned()],
            extra: String::new(),
            details: None,
        }
    }
}

/// An address, with the device that the socket is bound to; without one, any of the socket's family, or of both.
fn address(socket: &SocketEntry, address: Option<SocketAddr>) -> String {
    let device = socket.device.as_ref().filter(|_| address == Some(socket.local));
    let device = device.map_or(String::new(), |device| format!("%{device}"));
    match address.map(|address| address.ip()) {
        Some(IpAddr::V4(v4)) => format!("{v4}{device}"),
        Some(IpAddr::V6(v6)) if !v6.is_unspecified() => format!("[{v6}]{device}"),
        None if !socket.v6 => "0.0.0.0".to_owned(),
        // One that takes IPv4, too.
        Some(_) | None if !socket.only => format!("*{device}"),
        Some(_) | None => format!("[::]{device}"),
    }
}

impl Table {
    /// Columns are as wide as what is in them; addresses end where their ports begin.
    fn print(&self) {
        let width = |of: &dyn Fn(&Row) -> usize| self.rows.iter().map(of).max().unwrap_or(0);
        let kind = width(&|row| row.kind.len());
        let state = width(&|row| row.state.len());
        let queues = [0, 1].map(|at| width(&|row| row.queues[at].len()));
        let local = [0, 1].map(|at| width(&|row| row.local[at].len()));
        let peer = [0, 1].map(|at| width(&|row| row.peer[at].len()));
        for row in &self.rows {
            let head = if self.with_kind { format!("{:<kind$} ", row.kind) } else { String::new() };
            let [received, sending] = [0, 1].map(|at| format!("{:<1$}", row.queues[at], queues[at]));
            let ends = [(&row.local, local), (&row.peer, peer)];
            // A local name and its number stand apart.
            let mark = if row.kind.starts_with("u_") { ' ' } else { ':' };
            let [local, peer] =
                ends.map(|(end, width)| format!("{:>2$}{mark}{:<3$}", end[0], end[1], width[0], width[1]));
            let line =
                format!("{head}{:<state$} {received} {sending} {local} {peer} {}", row.state, row.extra);
            println!("{}", line.trim_end());
            if let Some(details) = &row.details {
                println!("\t {details}");
            }
        }
    }
}
