//! Service names: `http` is 80 over TCP. A pure reading of the text of `/etc/services`, and a table for where it is
//! missing; nothing here opens a file.

/// The most services that are kept of one text; further lines are dropped.
pub const SERVICES_MAX: usize = 65_536;

/// One line of the table: a name, its aliases, a port and a protocol.
///
/// ```
/// use tapsock_sockets::Services;
///
/// let services = Services::builtin();
/// let http = services.by_name("www", Some("tcp")).unwrap();
/// assert_eq!((http.name(), http.port(), http.protocol()), ("http", 80, "tcp"));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Service {
    name: String,
    port: u16,
    protocol: String,
    aliases: Vec<String>,
}

impl Service {
    /// The official name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port, in the machine's byte order (`struct servent` has the network's).
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The protocol's name, such as `tcp`.
    pub fn protocol(&self) -> &str {
        &self.protocol
    }

    /// Other names of the service.
    pub fn aliases(&self) -> impl Iterator<Item = &str> {
        self.aliases.iter().map(String::as_str)
    }

    /// Reads one line: `name port/protocol alias … # comment`. `None` where it is empty or malformed.
    fn parse(line: &str) -> Option<Service> {
        let text = line.split('#').next().unwrap_or(line);
        let mut words = text.split_ascii_whitespace();
        let name = words.next()?;
        let (port, protocol) = words.next()?.split_once('/')?;
        if protocol.is_empty() {
            return None;
        }
        Some(Service {
            name: name.to_owned(),
            port: port.parse().ok()?,
            protocol: protocol.to_owned(),
            aliases: words.map(str::to_owned).collect(),
        })
    }

    fn is_named(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }

    fn speaks(&self, protocol: Option<&str>) -> bool {
        protocol.is_none_or(|wanted| self.protocol == wanted)
    }
}

/// A table of services, in the order of its text: the first that fits is the answer, as in getservbyname(3).
///
/// ```
/// use tapsock_sockets::Services;
///
/// let services = Services::parse("gopher 70/tcp  # old\n");
/// assert_eq!(services.by_name("gopher", None).unwrap().port(), 70);
/// assert_eq!(services.by_port(70, Some("udp")), None);
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Services {
    services: Vec<Service>,
}

impl Services {
    /// Reads the text of `/etc/services`, services(5). Lines that are malformed are passed over, as glibc does.
    pub fn parse(text: &str) -> Services {
        Services { services: text.lines().filter_map(Service::parse).take(SERVICES_MAX).collect() }
    }

    /// The table for where there is no file.
    pub fn builtin() -> Services {
        Services::parse(BUILTIN)
    }

    /// The service of that name or alias, over `protocol` where one is given: getservbyname(3).
    pub fn by_name(&self, name: &str, protocol: Option<&str>) -> Option<&Service> {
        self.services.iter().find(|service| service.is_named(name) && service.speaks(protocol))
    }

    /// The service at that port, over `protocol` where one is given: getservbyport(3).
    pub fn by_port(&self, port: u16, protocol: Option<&str>) -> Option<&Service> {
        self.services.iter().find(|service| service.port == port && service.speaks(protocol))
    }

    /// All services in order.
    pub fn iter(&self) -> impl Iterator<Item = &Service> {
        self.services.iter()
    }
}

/// The services that a program is likely to ask for by name (IANA's registry of service names).
const BUILTIN: &str = "\
echo 7/tcp
echo 7/udp
discard 9/tcp sink null
discard 9/udp sink null
systat 11/tcp users
daytime 13/tcp
daytime 13/udp
qotd 17/tcp quote
chargen 19/tcp ttytst source
chargen 19/udp ttytst source
ftp-data 20/tcp
ftp 21/tcp
ssh 22/tcp
telnet 23/tcp
smtp 25/tcp mail
time 37/tcp timserver
time 37/udp timserver
whois 43/tcp nicname
domain 53/tcp
domain 53/udp
bootps 67/udp
bootpc 68/udp
tftp 69/udp
gopher 70/tcp
finger 79/tcp
http 80/tcp www
kerberos 88/tcp
kerberos 88/udp
pop3 110/tcp pop-3
sunrpc 111/tcp portmapper
sunrpc 111/udp portmapper
auth 113/tcp authentication tap ident
nntp 119/tcp readnews untp
ntp 123/udp
imap2 143/tcp imap
snmp 161/tcp
snmp 161/udp
bgp 179/tcp
irc 194/tcp
ldap 389/tcp
https 443/tcp
https 443/udp
submissions 465/tcp
exec 512/tcp
biff 512/udp comsat
login 513/tcp
who 513/udp whod
shell 514/tcp cmd
syslog 514/udp
printer 515/tcp spooler
talk 517/udp
ntalk 518/udp
dhcpv6-client 546/udp
dhcpv6-server 547/udp
submission 587/tcp
ldaps 636/tcp
domain-s 853/tcp
rsync 873/tcp
imaps 993/tcp
pop3s 995/tcp
socks 1080/tcp
openvpn 1194/udp
radius 1812/udp
nfs 2049/tcp
nfs 2049/udp
mysql 3306/tcp
sip 5060/tcp
sip 5060/udp
mdns 5353/udp
postgresql 5432/tcp postgres
amqp 5672/tcp
x11 6000/tcp
redis 6379/tcp
http-alt 8080/tcp webcache
git 9418/tcp
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_aliases_and_protocols() {
        let services = Services::parse(
            "# comment\n\nwho 513/udp whod\nlogin\t513/tcp\nhttp 80/tcp www # the web\n nospace\nbad x/tcp\nbad 70000/tcp\nbad 5/\n",
        );
        assert_eq!(services.iter().count(), 3);
        for (name, protocol, found) in [
            ("login", Some("tcp"), Some(513)),
            ("login", Some("udp"), None),
            ("whod", None, Some(513)),
            ("www", Some("tcp"), Some(80)),
            ("WWW", Some("tcp"), None),
            ("the", None, None),
            ("bad", None, None),
        ] {
            assert_eq!(services.by_name(name, protocol).map(Service::port), found, "{name} {protocol:?}");
        }
        assert_eq!(services.by_port(513, Some("tcp")).map(Service::name), Some("login"));
        assert_eq!(services.by_port(513, None).map(Service::name), Some("who"));
        assert_eq!(services.by_port(514, None), None);
    }

    #[test]
    fn the_builtin_table_is_sound() {
        let services = Services::builtin();
        assert_eq!(services.iter().count(), BUILTIN.lines().count());
        for (name, protocol, port) in [("finger", "tcp", 79), ("login", "tcp", 513), ("domain", "udp", 53)] {
            assert_eq!(services.by_name(name, Some(protocol)).map(Service::port), Some(port));
        }
    }

    #[test]
    fn the_table_is_bounded() {
        let text = "x 1/tcp\n".repeat(SERVICES_MAX + 5);
        assert_eq!(Services::parse(&text).iter().count(), SERVICES_MAX);
    }
}
