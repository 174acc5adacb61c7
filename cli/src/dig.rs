//! `tapsock dig`: asks a name server over the stack, and shows what it says as dig(1) does.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::Args;
use domain::base::iana::Rtype;
use domain::base::{Message, MessageBuilder, Name};
use tapsock::resolve::dns::{ResolvConf, UDP_SIZE};

use crate::attach::{Attach, Tell};
use crate::failure::{During, Failure};
use crate::reach::{Origin, Reach};
use crate::resolve::{Family, Names, look_up};
use text::{footer, short, whole};

mod json;
mod text;

/// The options of `tapsock dig`.
#[derive(Args, Debug)]
#[command(
    after_help = "Without @SERVER the first name server of the stack is asked, or else the first of this machine's \
                        /etc/resolv.conf.\n\n\
                        -j: one object with server, port, transport (UDP or TCP), query_time (milliseconds), size (bytes of the \
                        answer), and responseMessage, which is as RFC 8427 has it."
)]
pub struct Options {
    /// @SERVER; the name; the type of records (A); +short: the data only; +tcp: by TCP
    #[arg(value_name = "[@SERVER] NAME [TYPE] [+short] [+tcp]", required_unless_present = "address")]
    words: Vec<String>,
    /// Ask for the name of an address
    #[arg(short = 'x', value_name = "ADDRESS", id = "reverse")]
    address: Option<IpAddr>,
    /// The server's port
    #[arg(short, long, default_value_t = 53)]
    port: u16,
    /// How long an answer is waited for, in seconds
    #[arg(short = 'w', long, value_name = "SECONDS", default_value_t = 5)]
    timeout: u64,
    /// JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    attach: Attach,
}

/// How often a datagram is sent.
const TRIES: u32 = 3;
/// The status where nobody answers, and of a command line that is not understood; dig's.
const NO_REPLY: u8 = 9;
const MISUSED: u8 = 1;

/// What is asked, of whom.
#[derive(Debug, Eq, PartialEq)]
struct Ask {
    server: Option<String>,
    name: Name<Vec<u8>>,
    kind: Rtype,
    short: bool,
    tcp: bool,
}

/// What was heard.
struct Heard {
    bytes: Vec<u8>,
    took: Duration,
    by: &'static str,
}

/// Asks, and shows the answer.
///
/// # Errors
/// What is not understood; a link or a server that can't be had; no answer.
pub fn main(options: &Options) -> Result<ExitCode, Failure> {
    let ask = options.read().map_err(|why| Failure::new(format!("dig: {why}")).with_status(MISUSED))?;
    let reach = Reach::open(&options.attach, Tell::Nothing)?;
    let server = options.server(&ask, &reach)?;
    let id = RandomState::new().hash_one(0) as u16;
    let heard = exchange(&reach, server, &ask, id, Duration::from_secs(options.timeout.max(1)))?;
    let message = Message::from_octets(heard.bytes.as_slice())
        .map_err(|_| Failure::new(format!("dig: what {server} says is no answer")).with_status(NO_REPLY))?;
    match (options.json, ask.short) {
        (true, _) => println!("{}", json::reply(message, server, &heard)),
        (_, true) => print!("{}", short(message)),
        _ => print!("{}{}", whole(message), footer(server, &heard)),
    }
    Ok(ExitCode::SUCCESS)
}

impl Options {
    fn read(&self) -> Result<Ask, String> {
        let mut ask = Ask { server: None, name: Name::root_vec(), kind: Rtype::A, short: false, tcp: false };
        let mut names = Vec::new();
        for word in &self.words {
            match word.split_at_checked(1) {
                Some(("@", server)) => ask.server = Some(server.to_owned()),
                Some(("+", "short")) => ask.short = true,
                Some(("+", "tcp" | "vc")) => ask.tcp = true,
                Some(("+", "notcp" | "novc")) => ask.tcp = false,
                Some(("+", option)) => return Err(format!("+{option} is neither +short nor +tcp")),
                _ => names.push(word.as_str()),
            }
        }
        let named =
            |text: &str| Name::vec_from_str(text).map_err(|error| format!("{text:?} is no name: {error}"));
        match (self.address, names.as_slice()) {
            (Some(address), []) => {
                ask.name =
                    Name::reverse_from_addr(address).map_err(|_| "the address has no name".to_owned())?;
                ask.kind = Rtype::PTR;
            }
            (None, [name]) => ask.name = named(name)?,
            (None, [name, kind]) => {
                ask.name = named(name)?;
                let upper = kind.to_ascii_uppercase();
                ask.kind = Rtype::from_str(&upper).map_err(|_| format!("{kind:?} is no type of records"))?;
            }
            (None, []) => return Err("no name to ask for".to_owned()),
            (_, [.., last]) => return Err(format!("{last:?} is too much")),
        }
        Ok(ask)
    }

    fn server(&self, ask: &Ask, reach: &Reach) -> Result<SocketAddr, Failure> {
        let said = ask.server.as_ref().map(|server| {
            let resolver = reach.attached.resolver();
            let found = look_up(server, self.port, Family::default(), Names::Resolved, resolver);
            found.during(format_args!("look up {server}")).map(|found| found.iter().next())
        });
        if let Some(server) = said.transpose()?.flatten() {
            return Ok(server);
        }
        let own = reach.attached.resolver().and_then(|host| host.name_servers().into_iter().next());
        let machines = || {
            let text = std::fs::read_to_string("/etc/resolv.conf").ok()?;
            ResolvConf::parse(&text, &[]).servers.into_iter().next()
        };
        let found = own
            .or_else(machines)
            .map(|server| if self.port == 53 { server } else { (server.ip(), self.port).into() });
        let none = || Failure::new("no name server is known").hint("Name one: @ADDRESS, or --dns ADDRESS.");
        found.ok_or_else(none).map_err(|failure| failure.with_status(NO_REPLY))
    }
}

fn question(ask: &Ask, id: u16) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    // A vector has room for a name and an option.
    let _ = builder.push((&ask.name, ask.kind));
    let mut builder = builder.additional();
    let _ = builder.opt(|opt| {
        opt.set_udp_payload_size(UDP_SIZE);
        Ok(())
    });
    builder.finish()
}

fn exchange(reach: &Reach, server: SocketAddr, ask: &Ask, id: u16, wait: Duration) -> Result<Heard, Failure> {
    let question = question(ask, id);
    let what = format!("ask {server}");
    let failed = |failure: Failure| failure.with_status(NO_REPLY);
    if !ask.tcp {
        match by_udp(reach, server, &question, wait).during(&what).map_err(failed)? {
            Some(heard) if is_cut(&heard.bytes) => {}
            Some(heard) => return Ok(heard),
            None => {
                let failure =
                    Failure::new(format!("{what}: no answer in {TRIES} tries of {} s", wait.as_secs()));
                return Err(failure
                    .hint("Is there a name server, and does a way lead to it?")
                    .with_status(NO_REPLY));
            }
        }
    }
    by_tcp(reach, server, &question, wait).during(&what).map_err(failed)
}

fn is_cut(bytes: &[u8]) -> bool {
    Message::from_octets(bytes).is_ok_and(|message| message.header().tc())
}

fn by_udp(reach: &Reach, server: SocketAddr, question: &[u8], wait: Duration) -> io::Result<Option<Heard>> {
    for _ in 0..TRIES {
        let socket = reach.datagrams(server, Origin::default())?;
        let begin = Instant::now();
        socket.send(question)?;
        let mut bytes = vec![0; 65_535];
        while let Some(left) = wait.checked_sub(begin.elapsed()).filter(|left| !left.is_zero()) {
            socket.set_read_timeout(Some(left))?;
            match socket.recv(&mut bytes) {
                // Strangers guess neither number nor port.
                Ok(len) if answers(&bytes[..len], question) => {
                    bytes.truncate(len);
                    return Ok(Some(Heard { bytes, took: begin.elapsed(), by: "UDP" }));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(None)
}

fn by_tcp(reach: &Reach, server: SocketAddr, question: &[u8], wait: Duration) -> io::Result<Heard> {
    let begin = Instant::now();
    let mut stream = reach.connect(server, Origin::default(), wait)?.stream;
    stream.set_read_timeout(Some(wait))?;
    let len = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&[&len.to_be_bytes(), question].concat())?;
    let mut len = [0; 2];
    stream.read_exact(&mut len)?;
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut bytes)?;
    match answers(&bytes, question) {
        true => Ok(Heard { bytes, took: begin.elapsed(), by: "TCP" }),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "it answers something else")),
    }
}

fn answers(bytes: &[u8], question: &[u8]) -> bool {
    let parts = Message::from_octets(bytes).ok().zip(Message::from_octets(question).ok());
    parts.is_some_and(|(answer, question)| {
        answer.header().id() == question.header().id() && answer.header().qr()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(line: &str, address: Option<&str>) -> Result<Ask, String> {
        let words = line.split_whitespace().map(str::to_owned).collect();
        let address = address.map(|text| text.parse().unwrap());
        Options { words, address, port: 53, timeout: 5, json: false, attach: Attach::default() }.read()
    }

    #[test]
    fn words_are_understood_in_any_order() {
        let ask = understood("+short a.example mx @10.0.0.1 +tcp", None).unwrap();
        assert_eq!(
            (ask.server.as_deref(), ask.kind, ask.short, ask.tcp),
            (Some("10.0.0.1"), Rtype::MX, true, true)
        );
        assert_eq!(ask.name.to_string(), "a.example");
        assert_eq!(understood("a.example.", None).unwrap().kind, Rtype::A);
        let reverse = understood("", Some("10.0.0.1")).unwrap();
        assert_eq!((reverse.name.to_string().as_str(), reverse.kind), ("1.0.0.10.in-addr.arpa", Rtype::PTR));
        assert_eq!(understood("a TYPE65280", None).unwrap().kind, Rtype::from_int(65280));
        for (line, why) in [
            ("+trace a", "neither +short nor +tcp"),
            ("a nosuch", "no type of records"),
            ("a b..c", "no type of records"),
            ("a..b", "is no name"),
            ("@s", "no name to ask for"),
            ("a A b", "too much"),
        ] {
            assert!(understood(line, None).unwrap_err().contains(why), "{line}");
        }
    }
}
