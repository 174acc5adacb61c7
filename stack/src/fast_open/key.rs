//! The cookies that a listener gives out: a hash of both addresses under a secret key, as Linux makes them.

use core::fmt;
use core::hash::Hasher;
use core::net::IpAddr;

use siphasher::sip::SipHasher24;

use crate::wire::FastOpenCookie;

/// A secret key.
///
/// ```
/// use tapsock_stack::fast_open::FastOpenKey;
///
/// let key = FastOpenKey::from_text("a0bf63f7-ed803d81-cd641d30-cebc4a90").unwrap();
/// let cookie = key.cookie("10.248.0.2".parse().unwrap(), "192.168.0.2".parse().unwrap());
/// assert_eq!(cookie.bytes(), [0x00, 0xab, 0xaa, 0xab, 0xe8, 0xe9, 0x54, 0xc2]);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct FastOpenKey([u8; Self::LEN]);

impl FastOpenKey {
    /// Length in bytes.
    pub const LEN: usize = 16;

    /// The key of those bytes, as `TCP_FASTOPEN_KEY` takes them.
    pub const fn new(bytes: [u8; Self::LEN]) -> Self {
        FastOpenKey(bytes)
    }

    /// Its bytes.
    pub const fn bytes(&self) -> [u8; Self::LEN] {
        self.0
    }

    /// Reads the key as `net.ipv4.tcp_fastopen_key` writes it: four words in hexadecimal, apart by dashes, which lie in
    /// memory with their least byte first.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut words = text.split('-').map(|word| {
            let digits = (1..=8).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            u32::from_str_radix(word, 16).ok().filter(|_| digits)
        });
        let mut bytes = [0; Self::LEN];
        for word in bytes.chunks_exact_mut(4) {
            word.copy_from_slice(&words.next()??.to_le_bytes());
        }
        words.next().is_none().then_some(FastOpenKey(bytes))
    }

    /// The cookie for connections from `client` to `server`.
    //= RFC 7413 §4.1.2
    pub fn cookie(&self, client: IpAddr, server: IpAddr) -> FastOpenCookie {
        let (low, high) = self.0.split_at(8);
        let word = |half: &[u8]| u64::from_le_bytes(half.try_into().unwrap_or_default());
        let mut hasher = SipHasher24::new_with_keys(word(low), word(high));
        for ip in [client, server] {
            match ip {
                IpAddr::V4(v4) => hasher.write(&v4.octets()),
                IpAddr::V6(v6) => hasher.write(&v6.octets()),
            }
        }
        FastOpenCookie::new(&hasher.finish().to_le_bytes()).unwrap_or(FastOpenCookie::REQUEST)
    }
}

impl fmt::Display for FastOpenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, word) in self.0.as_chunks::<4>().0.iter().enumerate() {
            let dash = if at == 0 { "" } else { "-" };
            write!(f, "{dash}{:08x}", u32::from_le_bytes(*word))?;
        }
        Ok(())
    }
}

/// Whether a cookie is good.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Validity {
    /// It is not ours, or for somebody else.
    No,
    /// It is.
    Yes,
    /// It is, but was made with the key that is on its way out: this one replaces it.
    Replace(FastOpenCookie),
}

/// The keys in use: one that makes cookies, and perhaps another whose cookies are still good.
///
/// ```
/// use tapsock_stack::fast_open::{FastOpenKey, FastOpenKeys};
///
/// let keys = FastOpenKeys::from_text("1-2-3-4,5-6-7-8").unwrap();
/// assert_eq!(keys.to_string(), "00000001-00000002-00000003-00000004,00000005-00000006-00000007-00000008");
/// assert_eq!(FastOpenKeys::from_bytes(&[7; 16]), Some(FastOpenKeys::new(FastOpenKey::new([7; 16]))));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct FastOpenKeys {
    primary: FastOpenKey,
    backup: Option<FastOpenKey>,
}

impl FastOpenKeys {
    /// One key.
    pub const fn new(primary: FastOpenKey) -> Self {
        FastOpenKeys { primary, backup: None }
    }

    /// One key or two, 16 or 32 bytes: `TCP_FASTOPEN_KEY`.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (keys, rest) = bytes.as_chunks::<{ FastOpenKey::LEN }>();
        match (keys, rest) {
            ([primary], []) => Some(FastOpenKeys::new(FastOpenKey(*primary))),
            ([primary, backup], []) => {
                Some(FastOpenKeys { primary: FastOpenKey(*primary), backup: Some(FastOpenKey(*backup)) })
            }
            _ => None,
        }
    }

    /// The same bytes.
    pub fn to_bytes(self) -> Vec<u8> {
        [Some(self.primary), self.backup].into_iter().flatten().flat_map(|key| key.bytes()).collect()
    }

    /// One key or two apart by a comma: `net.ipv4.tcp_fastopen_key`.
    pub fn from_text(text: &str) -> Option<Self> {
        match text.split_once(',') {
            None => Some(FastOpenKeys::new(FastOpenKey::from_text(text)?)),
            Some((primary, backup)) => Some(FastOpenKeys {
                primary: FastOpenKey::from_text(primary)?,
                backup: Some(FastOpenKey::from_text(backup.trim_start())?),
            }),
        }
    }

    /// The cookie to give out to `client`.
    pub fn cookie(&self, client: IpAddr, server: IpAddr) -> FastOpenCookie {
        self.primary.cookie(client, server)
    }

    /// Whether `cookie` is one that `client` was given.
    //= RFC 7413 §4.1.2
    pub fn check(&self, cookie: &FastOpenCookie, client: IpAddr, server: IpAddr) -> Validity {
        let fresh = self.cookie(client, server);
        if fresh == *cookie {
            return Validity::Yes;
        }
        match self.backup.map(|key| key.cookie(client, server)) {
            Some(old) if old == *cookie => Validity::Replace(fresh),
            _ => Validity::No,
        }
    }
}

impl fmt::Display for FastOpenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.primary)?;
        self.backup.map_or(Ok(()), |backup| write!(f, ",{backup}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// Read from SYN-ACKs of Linux 6.18.
    //= RFC 7413 §4.1.2, type=test
    #[test]
    fn cookies_are_those_of_linux() {
        for (key, client, server, cookie) in [
            ("a0bf63f7-ed803d81-cd641d30-cebc4a90", "10.248.0.3", "192.168.0.3", "76d2c1c530f51f79"),
            ("0-0-0-0", "10.248.0.2", "192.168.0.2", "93b7aa4f550f8a1a"),
            ("a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4", "192.0.2.1", "192.168.0.1", "3021b9d889017eeb"),
            (
                "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4",
                "fd3d:fa7b:d17d::1",
                "fd3d:a0b:17d6::1",
                "c1d1e9742a47a9bc",
            ),
        ] {
            let made = FastOpenKey::from_text(key).expect("a key").cookie(ip(client), ip(server));
            let text: String = made.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(text, cookie, "{client} {server}");
        }
    }

    #[test]
    fn a_cookie_of_the_second_key_is_good_and_replaced() {
        let keys = FastOpenKeys::from_text("1-2-3-4,5-6-7-8").expect("keys");
        let old = FastOpenKey::from_text("5-6-7-8").expect("a key");
        let (client, server) = (ip("10.0.0.1"), ip("10.0.0.2"));
        let fresh = keys.cookie(client, server);
        assert_eq!(keys.check(&fresh, client, server), Validity::Yes);
        assert_eq!(keys.check(&old.cookie(client, server), client, server), Validity::Replace(fresh));
        assert_eq!(keys.check(&fresh, server, client), Validity::No, "it is for one client and one server");
        assert_eq!(keys.to_bytes().len(), 32);
        assert_eq!(FastOpenKeys::from_bytes(&keys.to_bytes()), Some(keys));
        for odd in ["", "1-2-3", "1-2-3-4-5", "1-2-3-x", "123456789-0-0-0", "1-2-3-4,"] {
            assert_eq!(FastOpenKeys::from_text(odd), None, "{odd:?}");
        }
    }
}
