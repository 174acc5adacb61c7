//! Protocol names: `udp` is 17. A pure reading of the text of `/etc/protocols`, and a table for where it is missing.

/// The most protocols that are kept of one text; further lines are dropped.
pub const PROTOCOLS_MAX: usize = 4096;

/// One line of the table.
///
/// ```
/// use tapsock::resolve::Protocols;
///
/// let protocols = Protocols::builtin();
/// let tcp = protocols.by_name("TCP").unwrap();
/// assert_eq!((tcp.name(), tcp.number()), ("tcp", 6));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Protocol {
    name: String,
    number: i32,
    aliases: Vec<String>,
}

impl Protocol {
    /// The official name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number, as in the header of an IP packet.
    pub fn number(&self) -> i32 {
        self.number
    }

    /// Other names of the protocol.
    pub fn aliases(&self) -> impl Iterator<Item = &str> {
        self.aliases.iter().map(String::as_str)
    }

    fn parse(line: &str) -> Option<Protocol> {
        let mut words = line.split('#').next()?.split_ascii_whitespace();
        let name = words.next()?.to_owned();
        let number = words.next()?.parse().ok()?;
        Some(Protocol { name, number, aliases: words.map(str::to_owned).collect() })
    }
}

/// A table of protocols, in the order of its text. Letters match in their own case.
///
/// ```
/// use tapsock::resolve::Protocols;
///
/// let protocols = Protocols::parse("ipv6-icmp 58 IPv6-ICMP\n");
/// assert_eq!(protocols.by_number(58).unwrap().name(), "ipv6-icmp");
/// assert_eq!(protocols.by_name("Ipv6-Icmp"), None);
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Protocols {
    protocols: Vec<Protocol>,
}

impl Protocols {
    /// Reads the text of protocols(5). Lines that are malformed are passed over.
    pub fn parse(text: &str) -> Protocols {
        Protocols { protocols: text.lines().filter_map(Protocol::parse).take(PROTOCOLS_MAX).collect() }
    }

    /// The table for where there is no file.
    pub fn builtin() -> Protocols {
        Protocols::parse(BUILTIN)
    }

    /// The protocol of that name or alias: getprotobyname(3).
    pub fn by_name(&self, name: &str) -> Option<&Protocol> {
        self.protocols
            .iter()
            .find(|protocol| protocol.name == name || protocol.aliases().any(|alias| alias == name))
    }

    /// The protocol of that number: getprotobynumber(3).
    pub fn by_number(&self, number: i32) -> Option<&Protocol> {
        self.protocols.iter().find(|protocol| protocol.number == number)
    }
}

/// Protocols that a program is likely to ask for (IANA's registry of protocol numbers).
const BUILTIN: &str = "\
ip 0 IP
icmp 1 ICMP
igmp 2 IGMP
tcp 6 TCP
egp 8 EGP
udp 17 UDP
dccp 33 DCCP
ipv6 41 IPv6
ipv6-route 43 IPv6-Route
ipv6-frag 44 IPv6-Frag
gre 47 GRE
esp 50 IPSEC-ESP
ah 51 IPSEC-AH
ipv6-icmp 58 IPv6-ICMP
ipv6-nonxt 59 IPv6-NoNxt
ipv6-opts 60 IPv6-Opts
ospf 89 OSPFIGP
pim 103 PIM
sctp 132 SCTP
udplite 136 UDPLite
";
