//! Names of local sockets that both stacks can bear, and how they are written down.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, fs, process};

use tapsock::bsd::{AF_INET, AF_UNIX, AF_UNSPEC};

/// An address that a program gives to a call.
///
/// ```
/// use tapsock_tests::differential::Name;
///
/// assert_eq!(Name::Path("a").to_string(), "a");
/// assert_eq!(Name::Abstract("a").to_string(), "@a");
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Name {
    /// A path below the program's directory.
    Path(&'static str),
    /// The same, from the working directory on.
    Relative(&'static str),
    /// A path below the program's directory that is filled up with its last letter to so many bytes in all.
    Long(&'static str, usize),
    /// An abstract name; the program's own prefix comes before it.
    Abstract(&'static str),
    /// The family alone, in two bytes.
    Unnamed,
    /// AF_UNSPEC.
    Unspec,
    /// An address of AF_INET.
    Inet,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Name::Path(path) => f.write_str(path),
            Name::Relative(path) => write!(f, "…/{path}"),
            Name::Long(path, len) => write!(f, "{path}… of {len}"),
            Name::Abstract(name) => write!(f, "@{name}"),
            Name::Unnamed => f.write_str("unnamed"),
            Name::Unspec => f.write_str("AF_UNSPEC"),
            Name::Inet => f.write_str("127.0.0.1:9"),
        }
    }
}

/// Where the names of one program are: a temporary directory, and a prefix of abstract names.
///
/// ```
/// use tapsock_tests::differential::Place;
///
/// let (here, there) = (Place::new(), Place::new());
/// assert_ne!(here.path("a"), there.path("a"));
/// ```
#[derive(Debug)]
pub struct Place {
    directory: PathBuf,
    prefix: String,
}

impl Place {
    /// One that no other program has.
    ///
    /// # Panics
    /// Where no temporary directory can be made.
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Place {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let prefix = format!("tapsock-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory = env::temp_dir().join(&prefix);
        fs::create_dir(&directory).expect("a temporary directory");
        Place { directory, prefix }
    }

    /// A path in the directory.
    pub fn path(&self, path: &str) -> String {
        format!("{}/{path}", self.directory.display())
    }

    /// The same as it is written from the working directory on: up to the root, and down from there.
    ///
    /// # Panics
    /// Where there is no working directory.
    pub fn relative(&self, path: &str) -> String {
        let parts = env::current_dir().expect("a working directory").components().count() - 1;
        "../".repeat(parts) + self.path(path).trim_start_matches('/')
    }

    /// A path in the directory, of `len` bytes.
    pub fn long(&self, path: &str, len: usize) -> String {
        let mut path = self.path(path);
        while path.len() < len {
            path.push('x');
        }
        path
    }

    /// A name in Linux's layout, with its family.
    pub fn bytes(&self, name: &Name) -> Vec<u8> {
        let (family, behind) = match name {
            Name::Path(path) => (AF_UNIX, [self.path(path).as_bytes(), &[0]].concat()),
            Name::Relative(path) => (AF_UNIX, [self.relative(path).as_bytes(), &[0]].concat()),
            // The zero byte behind a path has no room any more where it fills the field.
            Name::Long(path, len) => (AF_UNIX, self.long(path, *len).into_bytes()),
            Name::Abstract(name) => (AF_UNIX, [&[0], self.abstract_name(name).as_bytes()].concat()),
            Name::Unnamed => (AF_UNIX, Vec::new()),
            Name::Unspec => (AF_UNSPEC, vec![0; 14]),
            // Its port and its address, and nothing behind them.
            Name::Inet => (AF_INET, [&[0, 9, 127, 0, 0, 1], &[0; 8][..]].concat()),
        };
        [&(family as u16).to_ne_bytes()[..], &behind].concat()
    }

    /// An abstract name, without the zero byte that stands before it.
    pub fn abstract_name(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left over stays in a directory for temporary files.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Writes the addresses of one stack down, in which what differs from run to run has names.
///
/// ```
/// use tapsock_tests::differential::{Place, Shower};
///
/// let place = Place::new();
/// let mut shower = Shower::default();
/// let path = [place.path("a").as_bytes(), &[0]].concat();
/// assert_eq!(shower.show(&place, &path), "\"a\\0\"");
/// assert_eq!(shower.show(&place, place.relative("a").as_bytes()), "relative \"a\"");
/// assert_eq!(shower.show(&place, b"\x0012345"), "autobound 0");
/// assert_eq!(shower.show(&place, b"\x00abcde"), "autobound 1");
/// assert_eq!(shower.show(&place, b""), "unnamed");
/// ```
#[derive(Debug, Default)]
pub struct Shower {
    autobound: Vec<Vec<u8>>,
}

impl Shower {
    /// `address` in Linux's layout, or as it stands there behind the family.
    pub fn show(&mut self, place: &Place, address: &[u8]) -> String {
        let family = (AF_UNIX as u16).to_ne_bytes();
        let address = address.strip_prefix(&family).unwrap_or(address);
        let directory = place.path("");
        match address {
            [] => "unnamed".to_owned(),
            [0, name @ ..] => {
                if let Some(rest) = name.strip_prefix(place.abstract_name("").as_bytes()) {
                    return format!("@{:?}", String::from_utf8_lossy(rest));
                }
                if name.len() == 5 && name.iter().all(u8::is_ascii_hexdigit) {
                    let known = self.autobound.iter().position(|known| known == name);
                    let index = known.unwrap_or_else(|| {
                        self.autobound.push(name.to_vec());
                        self.autobound.len() - 1
                    });
                    return format!("autobound {index}");
                }
                format!("@{:?}", String::from_utf8_lossy(name))
            }
            path => {
                if let Some(rest) = path.strip_prefix(directory.as_bytes()) {
                    return format!("{:?}", String::from_utf8_lossy(rest));
                }
                match path.strip_prefix(place.relative("").as_bytes()) {
                    Some(rest) => format!("relative {:?}", String::from_utf8_lossy(rest)),
                    None => format!("elsewhere {:?}", String::from_utf8_lossy(path)),
                }
            }
        }
    }
}
