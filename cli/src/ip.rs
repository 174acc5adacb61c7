//! `tapsock ip`: addresses, links, routes and neighbours of a running host, as ip(8) prints them.

use std::net::IpAddr;
use std::process::ExitCode;

use clap::Args;
use tapsock::Errno;
use tapsock::control::{Link, Links, Neighbors, Request, RouteTaken, Routes};

use crate::failure::Failure;
use crate::running::Running;

mod json;
mod text;

/// The options of `tapsock ip`.
#[derive(Args, Debug)]
#[command(
    after_help = "Objects may be shortened, as `a`, `l`, `r` and `n`. Nothing can be changed: a host's addresses \
                        and routes are its program's to say."
)]
#[allow(clippy::struct_excessive_bools)] // they are ip's
pub struct Options {
    /// IPv4 only
    #[arg(short = '4', conflicts_with = "ipv6")]
    ipv4: bool,
    /// IPv6 only
    #[arg(short = '6')]
    ipv6: bool,
    /// JSON
    #[arg(short, long)]
    json: bool,
    /// What has passed each link
    #[arg(short, long, visible_alias = "stats")]
    statistics: bool,
    /// A line for each
    #[arg(short, long)]
    brief: bool,
    /// The second letter of -br
    #[arg(short = 'r', hide = true, requires = "brief")]
    rest_of_brief: bool,
    /// addr, link, route or neigh; then, if you like, `show` and `dev NAME`; or `route get ADDRESS from ADDRESS`
    #[arg(value_name = "OBJECT", required = true)]
    words: Vec<String>,
    #[command(flatten)]
    running: Running,
}

/// What is shown.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Object {
    Address,
    Link,
    Route,
    Neighbor,
}

/// The status of a command line that ip(8) does not understand, and of a device that there is none of.
const MISUSED: u8 = 255;
const NO_DEVICE: u8 = 1;
/// That of a question that is answered with an error.
const REFUSED: u8 = 2;

/// Shows it.
///
/// # Errors
/// What is not understood; no host to be asked; no such device.
pub fn main(options: &Options) -> Result<ExitCode, Failure> {
    if let Some((destination, from)) = read_get(&options.words)? {
        return options.way(destination, from);
    }
    let (object, device) = read(&options.words)?;
    let links: Links = options.running.ask(&Request::Links)?;
    if let Some(name) = &device
        && !links.links.iter().any(|link| link.name == *name)
    {
        return Err(Failure::new(format!("Device \"{name}\" does not exist.")).with_status(NO_DEVICE));
    }
    let is_of = |of: &str| device.as_ref().is_none_or(|device| device == of);
    match object {
        Object::Address | Object::Link => {
            let mut links: Vec<Link> = links.links.into_iter().filter(|link| is_of(&link.name)).collect();
            let family = object == Object::Address && (options.ipv4 || options.ipv6);
            for link in &mut links {
                link.addresses.retain(|own| options.has(own.address));
            }
            // Where a family is asked for, what has no address of it is left out, and so are station addresses.
            links.retain(|link| !family || !link.addresses.is_empty());
            let shown = Shown {
                addresses: object == Object::Address,
                stations: !family,
                statistics: options.statistics,
            };
            match (options.json, options.brief) {
                (true, _) => println!("{}", json::links(&links, shown)),
                (_, true) => links.iter().for_each(|link| println!("{}", text::brief(link, shown))),
                _ => links.iter().for_each(|link| print!("{}", text::link(link, shown))),
            }
        }
        Object::Route => {
            let Routes { mut routes } = options.running.ask(&Request::Routes)?;
            // As ip route: of IPv4, unless it is told otherwise.
            routes.retain(|route| route.destination.is_ipv6() == options.ipv6 && is_of(&route.device));
            routes.sort_by_key(|route| {
                (route.prefix_len != 0, route.destination, route.prefix_len, route.metric)
            });
            match options.json {
                true => println!("{}", json::routes(&routes)),
                false => routes.iter().for_each(|route| println!("{}", text::route(route))),
            }
        }
        Object::Neighbor => {
            let Neighbors { mut neighbors } = options.running.ask(&Request::Neighbors)?;
            neighbors.retain(|neighbor| options.has(neighbor.address) && is_of(&neighbor.device));
            neighbors.sort_by_key(|neighbor| neighbor.address);
            match options.json {
                true => println!("{}", json::neighbors(&neighbors)),
                false => neighbors.iter().for_each(|neighbor| println!("{}", text::neighbor(neighbor))),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What of a link is shown.
#[derive(Copy, Clone, Debug)]
struct Shown {
    addresses: bool,
    stations: bool,
    statistics: bool,
}

impl Options {
    /// `ip route get`.
    fn way(&self, destination: IpAddr, from: Option<IpAddr>) -> Result<ExitCode, Failure> {
        let taken: RouteTaken = self.running.ask(&Request::RouteTo { destination, from })?;
        if let Some(errno) = taken.errno {
            let why = std::io::Error::from(Errno::from_raw_os_error(errno));
            return Err(Failure::new(format!("no way to {destination}: {why}")).with_status(REFUSED));
        }
        match self.json {
            true => println!("{}", json::taken(&taken, from)),
            false => println!("{}", text::taken(&taken, from)),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn has(&self, address: IpAddr) -> bool {
        if address.is_ipv4() { !self.ipv6 } else { !self.ipv4 }
    }
}

/// Whose way is asked for, and the source, where that is what the words ask.
fn read_get(words: &[String]) -> Result<Option<(IpAddr, Option<IpAddr>)>, Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [object, "get", rest @ ..] = &words[..] else { return Ok(None) };
    if object.is_empty() || !"route".starts_with(object) {
        return Ok(None);
    }
    let address = |word: &str| {
        word.parse().map_err(|_| {
            Failure::new(format!("any valid address is expected rather than \"{word}\"."))
                .with_status(MISUSED)
        })
    };
    match rest {
        [to] | ["to", to] => Ok(Some((address(to)?, None))),
        [to, "from", from] | ["to", to, "from", from] => Ok(Some((address(to)?, Some(address(from)?)))),
        _ => {
            Err(Failure::new("route get wants an address, and perhaps `from` and another")
                .with_status(MISUSED))
        }
    }
}

/// The object and the device that the words name.
fn read(words: &[String]) -> Result<(Object, Option<String>), Failure> {
    let misused =
        |what: String| Failure::new(what).hint("tapsock ip --help tells what there is.").with_status(MISUSED);
    let object = words.first().map_or("", String::as_str);
    let objects = [
        ("address", Object::Address),
        ("link", Object::Link),
        ("route", Object::Route),
        ("neighbour", Object::Neighbor),
    ];
    // The second spelling is as old as the first.
    let spelled = if object.starts_with("neighb") { "neighbour" } else { object };
    let found = objects.iter().find(|(name, _)| !spelled.is_empty() && name.starts_with(spelled));
    let Some((_, object)) = found else {
        return Err(misused(format!("Object \"{object}\" is unknown: it is addr, link, route or neigh.")));
    };
    let mut rest = words[1..].iter().map(String::as_str).peekable();
    match rest.peek() {
        Some(&("show" | "list" | "ls" | "sh" | "lst")) => drop(rest.next()),
        Some(
            &verb @ ("add" | "del" | "delete" | "change" | "replace" | "set" | "flush" | "append" | "get"),
        ) => {
            return Err(misused(format!("\"{verb}\": a running host is looked at only, and not changed")));
        }
        _ => {}
    }
    let device = match (rest.next(), rest.next()) {
        (Some("dev"), None) => return Err(misused("\"dev\" without a name".to_owned())),
        (Some("dev"), Some(name)) => Some(name),
        (Some(name), None) if *object != Object::Route => Some(name),
        (None, _) => None,
        (Some(word), _) => return Err(misused(format!("\"{word}\" is not understood"))),
    };
    match rest.next() {
        Some(word) => Err(misused(format!("\"{word}\" is not understood"))),
        None => Ok((*object, device.map(str::to_owned))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(line: &str) -> Result<(Object, Option<String>), String> {
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        read(&words).map_err(|failure| failure.reason().to_owned())
    }

    #[test]
    fn words_are_understood_as_ip_understands_them() {
        let of = |object, device: Option<&str>| Ok((object, device.map(str::to_owned)));
        assert_eq!(understood("a"), of(Object::Address, None));
        assert_eq!(understood("addr show dev tap0"), of(Object::Address, Some("tap0")));
        assert_eq!(understood("link ls tap0"), of(Object::Link, Some("tap0")));
        assert_eq!(understood("r"), of(Object::Route, None));
        assert_eq!(understood("neighbor"), of(Object::Neighbor, None));
        assert_eq!(understood("neigh dev lo"), of(Object::Neighbor, Some("lo")));
        for (line, why) in [
            ("rule", "\"rule\" is unknown"),
            ("", "\"\" is unknown"),
            ("addr add 10.0.0.1/8", "not changed"),
            ("addr show dev", "without a name"),
            ("addr show dev a b", "\"b\" is not understood"),
            ("route 10.0.0.0/8", "\"10.0.0.0/8\" is not understood"),
        ] {
            assert!(understood(line).unwrap_err().contains(why), "{line}");
        }
    }
}
