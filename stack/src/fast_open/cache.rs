//! What servers have told us: their cookies, the segments they take, and that the way to them swallows such SYNs.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use crate::time::Instant;
use crate::wire::{FastOpenCookie, FastOpenForm, FastOpenOption};

/// Servers that are remembered. Beyond this the one heard of longest ago is forgotten.
const MAX_SERVERS: usize = 1024;

/// Doublings of the pause after SYNs that vanished.
const MAX_DOUBLINGS: u32 = 6;

/// What a SYN-ACK teaches.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Learned {
    /// The MSS option of the SYN-ACK, in bytes.
    pub mss: u16,
    /// The cookie, where it brought one that we had asked for.
    pub cookie: Option<FastOpenOption>,
    /// We asked in that form, and got none.
    pub refused: Option<FastOpenForm>,
}

/// What is known of a server.
#[derive(Copy, Clone, Debug, Default)]
struct Server {
    mss: u16,
    cookie: Option<FastOpenOption>,
    /// The next request goes out in the experimental form: one in the standard form brought nothing.
    tries_experiment: bool,
    /// Both forms brought nothing: the standard one stays.
    tried_both: bool,
    heard: u64,
}

/// What to say in a SYN to a server.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Advice {
    /// The cookie, or the request for one.
    pub option: FastOpenOption,
    /// The largest segment that the server takes, as far as it has said.
    pub mss: Option<u16>,
}

impl Advice {
    /// Whether data may go with the SYN.
    pub fn has_cookie(&self) -> bool {
        !self.option.cookie.is_request()
    }
}

/// The cookies of a host, by its own address and the server's (RFC 7413 §4.1.3).
///
/// ```
/// use tapsock_stack::fast_open::{FastOpenCache, Learned};
///
/// let (us, server) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
/// let mut cache = FastOpenCache::default();
/// cache.learn(us, server, Learned { mss: 940, ..Learned::default() });
/// assert_eq!(cache.advice(us, server).mss, Some(940));
/// cache.flush();
/// assert_eq!(cache.advice(us, server).mss, None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct FastOpenCache {
    servers: BTreeMap<(IpAddr, IpAddr), Server>,
    /// Counts what was learned, to tell which is the oldest.
    clock: u64,
    pause: Pause,
}

/// The pause after SYNs that vanished together with what followed them.
#[derive(Copy, Clone, Debug, Default)]
struct Pause {
    since: Instant,
    times: u32,
}

impl FastOpenCache {
    /// What to say to `server`.
    //= RFC 7413 §4.1.3
    //= RFC 7413 §4.1.3 MUST-1
    pub fn advice(&self, local: IpAddr, server: IpAddr) -> Advice {
        let known = self.servers.get(&(local, server)).copied().unwrap_or_default();
        let form = if known.tries_experiment { FastOpenForm::Experimental } else { FastOpenForm::Standard };
        let request = FastOpenOption { cookie: FastOpenCookie::REQUEST, form };
        Advice { option: known.cookie.unwrap_or(request), mss: (known.mss != 0).then_some(known.mss) }
    }

    /// Takes what a SYN-ACK of `server` teaches.
    //= RFC 7413 §4.1.3.1
    pub fn learn(&mut self, local: IpAddr, server: IpAddr, learned: Learned) {
        let key = (local, server);
        if self.servers.len() >= MAX_SERVERS && !self.servers.contains_key(&key) {
            let oldest = self.servers.iter().min_by_key(|(_, known)| known.heard).map(|(key, _)| *key);
            oldest.map(|oldest| self.servers.remove(&oldest));
        }
        self.clock += 1;
        let known = self.servers.entry(key).or_default();
        known.heard = self.clock;
        if learned.mss != 0 {
            known.mss = learned.mss;
        }
        if learned.cookie.is_some() {
            known.cookie = learned.cookie;
        } else if known.cookie.is_none() {
            match learned.refused {
                Some(FastOpenForm::Standard) if !known.tried_both => known.tries_experiment = true,
                Some(FastOpenForm::Experimental) => {
                    (known.tries_experiment, known.tried_both) = (false, true);
                }
                _ => {}
            }
        }
    }

    /// Forgets all servers (`ip tcp_metrics flush`).
    pub fn flush(&mut self) {
        self.servers.clear();
    }

    /// A connection that began by a fast open got through no more: for a while there are none.
    //= RFC 7413 §4.1.3.1
    //= RFC 7413 §4.1.3.1 MUST-1
    pub fn pause(&mut self, now: Instant) {
        self.pause = Pause { since: now, times: self.pause.times.saturating_add(1) };
    }

    /// Whether fast opens pause, where the first pause lasts `timeout` and each further one twice as long.
    pub fn is_paused(&self, now: Instant, timeout: Duration) -> bool {
        let Pause { since, times } = self.pause;
        let doublings = times.saturating_sub(1).min(MAX_DOUBLINGS);
        times > 0 && !timeout.is_zero() && now < since + timeout * (1 << doublings)
    }

    /// Data has come over a connection that began by a fast open: where that was after a pause, the next pause is short
    /// again.
    pub fn end_doubt(&mut self, now: Instant, timeout: Duration) {
        if !self.is_paused(now, timeout) {
            self.pause = Pause::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    const US: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

    fn option(bytes: &[u8], form: FastOpenForm) -> FastOpenOption {
        FastOpenOption { cookie: FastOpenCookie::new(bytes).expect("a cookie"), form }
    }

    #[test]
    fn the_experimental_form_is_tried_once() {
        let mut cache = FastOpenCache::default();
        let form = |cache: &FastOpenCache| cache.advice(US, SERVER).option.form;
        let refused = |form| Learned { mss: 1460, cookie: None, refused: Some(form) };
        assert_eq!(form(&cache), FastOpenForm::Standard);
        cache.learn(US, SERVER, refused(FastOpenForm::Standard));
        assert_eq!(form(&cache), FastOpenForm::Experimental);
        cache.learn(US, SERVER, refused(FastOpenForm::Experimental));
        assert_eq!(form(&cache), FastOpenForm::Standard);
        cache.learn(US, SERVER, refused(FastOpenForm::Standard));
        assert_eq!(form(&cache), FastOpenForm::Standard, "never again");
        let cookie = option(&[1, 2, 3, 4], FastOpenForm::Experimental);
        cache.learn(US, SERVER, Learned { cookie: Some(cookie), ..Learned::default() });
        assert_eq!(cache.advice(US, SERVER), Advice { option: cookie, mss: Some(1460) });
        assert!(!cache.advice(SERVER, US).has_cookie());
    }

    #[test]
    fn the_oldest_server_is_forgotten_for_a_new_one() {
        let mut cache = FastOpenCache::default();
        let server = |n: usize| IpAddr::from([10, 1, (n >> 8) as u8, n as u8]);
        (0..=MAX_SERVERS)
            .for_each(|n| cache.learn(US, server(n), Learned { mss: 900, ..Learned::default() }));
        assert_eq!(cache.servers.len(), MAX_SERVERS);
        assert_eq!(cache.advice(US, server(0)).mss, None);
        assert_eq!(cache.advice(US, server(1)).mss, Some(900));
    }

    #[test]
    fn a_pause_doubles_until_one_gets_through() {
        let mut cache = FastOpenCache::default();
        let hour = Duration::from_secs(3600);
        let at = |secs| Instant::from_secs(secs);
        assert!(!cache.is_paused(at(0), hour));
        cache.pause(at(10));
        assert!(cache.is_paused(at(3609), hour) && !cache.is_paused(at(3610), hour));
        assert!(!cache.is_paused(at(20), Duration::ZERO), "0 switches the rule off");
        cache.pause(at(4000));
        assert!(cache.is_paused(at(11_199), hour) && !cache.is_paused(at(11_200), hour));
        cache.end_doubt(at(4001), hour);
        assert!(cache.is_paused(at(4002), hour), "the connection may be older than the pause");
        cache.end_doubt(at(12_000), hour);
        cache.pause(at(12_001));
        assert!(!cache.is_paused(at(15_601), hour), "as long as the first one");
    }
}
