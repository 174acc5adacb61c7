//! What a connection is told before and while it runs.

use core::time::Duration;

use crate::discovery::{AutoLabel, PathMtuDiscovery};
use crate::error_queue::ErrorDelivery;
use crate::fast_open::FastOpenKeys;
use crate::ip::output::Priority;
use crate::wire::ipv4_options::AnswerOptions;

use super::SharedOptions;
use super::congestion::INITIAL_WINDOW;
use super::mtu_search::MtuOptions;
use super::send::pacing::UNPACED;

/// Which algorithm limits what is in flight.
//= RFC 9293 MAY-18
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum CongestionKind {
    /// RFC 5681.
    Reno,
    /// RFC 9438, the default of Linux.
    #[default]
    Cubic,
    /// draft-cardwell-iccrg-bbr-congestion-control-00.
    Bbr,
}

impl CongestionKind {
    /// All of them, in the order in which `net.ipv4.tcp_available_congestion_control` names them.
    pub const ALL: [CongestionKind; 3] = [CongestionKind::Reno, CongestionKind::Cubic, CongestionKind::Bbr];

    /// The name that `TCP_CONGESTION` and `net.ipv4.tcp_congestion_control` use.
    pub const fn name(self) -> &'static str {
        match self {
            CongestionKind::Reno => "reno",
            CongestionKind::Cubic => "cubic",
            CongestionKind::Bbr => "bbr",
        }
    }

    /// The algorithm of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        CongestionKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Which algorithms sockets may choose (`net.ipv4.tcp_allowed_congestion_control`).
///
/// ```
/// use tapsock_stack::tcp::CongestionKind;
/// use tapsock_stack::tcp::config::CongestionSet;
///
/// let set: CongestionSet = [CongestionKind::Reno, CongestionKind::Cubic].into_iter().collect();
/// assert!(set.has(CongestionKind::Cubic) && !set.has(CongestionKind::Bbr));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct CongestionSet(u8);

impl CongestionSet {
    /// All there are.
    pub const ALL: CongestionSet = CongestionSet(u8::MAX >> (u8::BITS as usize - CongestionKind::ALL.len()));

    /// Whether `kind` is among them.
    pub const fn has(self, kind: CongestionKind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }
}

impl FromIterator<CongestionKind> for CongestionSet {
    fn from_iter<T: IntoIterator<Item = CongestionKind>>(kinds: T) -> Self {
        CongestionSet(kinds.into_iter().fold(0, |bits, kind| bits | 1 << kind as u8))
    }
}

/// How CUBIC leaves the first slow start before something is lost.
///
/// ```
/// use tapsock_stack::config::Config;
/// use tapsock_stack::tcp::config::SlowStartExit;
///
/// let mut config = Config::default();
/// assert_eq!(config.tcp_options().rare().slow_start_exit, SlowStartExit::HyStart);
/// config.set("tapsock.tcp_hystart", "2").unwrap();
/// assert_eq!(config.tcp_options().rare().slow_start_exit, SlowStartExit::HyStartPlus);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum SlowStartExit {
    /// It does not.
    Loss,
    /// Where acknowledgements come in long trains, or the round trip grows, as in Linux.
    #[default]
    HyStart,
    /// Where the round trip goes on growing (RFC 9406).
    HyStartPlus,
}

/// Whether congestion is told of by marks (RFC 3168; `net.ipv4.tcp_ecn`).
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum EcnUse {
    /// It is not.
    No,
    /// Where the peer asks for it, the default of Linux.
    #[default]
    OnRequest,
    /// We ask for it, too.
    Always,
}

/// Keepalive, where it is on (`SO_KEEPALIVE`).
//= RFC 9293 MUST-24
//= RFC 9293 MUST-27
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct KeepAlive {
    /// Whether probes are sent at all.
    pub enabled: bool,
    /// Probes without an answer before the connection is given up (`TCP_KEEPCNT`).
    pub probes: u8,
    /// Idle time before the first probe, in seconds (`TCP_KEEPIDLE`).
    pub idle_secs: u16,
    /// Time between probes, in seconds (`TCP_KEEPINTVL`).
    pub interval_secs: u16,
}

//= RFC 9293 MUST-25
//= RFC 9293 MUST-28
impl Default for KeepAlive {
    fn default() -> Self {
        KeepAlive { enabled: false, probes: 9, idle_secs: 7200, interval_secs: 75 }
    }
}

/// The settings of one connection: what socket options and the host's settings come to.
///
/// ```
/// use tapsock_stack::tcp::Options;
///
/// let options = Options { no_delay: true, ..Options::default() };
/// assert!(options.sack && options.timestamps && options.window_scaling);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Send small segments at once (`TCP_NODELAY`).
    pub no_delay: bool,
    /// Send only full segments, for up to 200 ms (`TCP_CORK`).
    pub cork: bool,
    /// Receive urgent data in line (`SO_OOBINLINE`).
    pub urgent_inline: bool,
    /// An urgent pointer names the last urgent byte, not the one after (`net.ipv4.tcp_stdurg`).
    pub standard_urgent: bool,
    /// Offer and take SACK (`net.ipv4.tcp_sack`).
    pub sack: bool,
    /// Offer and take timestamps (`net.ipv4.tcp_timestamps`).
    pub timestamps: bool,
    /// Offer and take window scaling (`net.ipv4.tcp_window_scaling`).
    pub window_scaling: bool,
    /// Whether congestion is told of by marks (`net.ipv4.tcp_ecn`).
    pub ecn: EcnUse,
    /// A SYN that is sent again does not ask for that (`net.ipv4.tcp_ecn_fallback`).
    pub ecn_fallback: bool,
    /// SYNs sent again before a connection attempt is given up (`net.ipv4.tcp_syn_retries`).
    pub syn_retries: u8,
    /// SYNs sent again besides, without longer and longer time-outs (`net.ipv4.tcp_syn_linear_timeouts`).
    pub syn_linear_timeouts: u8,
    /// SYN-ACKs sent again before a half-open connection is dropped (`net.ipv4.tcp_synack_retries`).
    pub synack_retries: u8,
    /// Retransmissions before an established connection is given up (`net.ipv4.tcp_retries2`).
    //= RFC 9293 SHLD-11
    pub retries: u8,
    /// The same for a connection that nobody holds (`net.ipv4.tcp_orphan_retries`; 0 means 8).
    pub orphan_retries: u8,
    /// Which algorithm limits what is in flight (`TCP_CONGESTION`).
    pub congestion: CongestionKind,
    /// An upper bound for the MSS, in bytes (`TCP_MAXSEG`).
    pub max_segment: Option<u16>,
    /// Keepalive.
    pub keep_alive: KeepAlive,
    /// How long an orphan stays in FIN-WAIT-2 (`net.ipv4.tcp_fin_timeout`, `TCP_LINGER2`); `None`: it is reset.
    pub fin_timeout_secs: Option<u16>,
    /// Receive buffer at the start, in bytes, of which half is offered as window.
    pub receive_buffer: u32,
    /// The size to which the receive buffer may grow by itself; `None` where `SO_RCVBUF` has fixed it.
    pub receive_buffer_max: Option<u32>,
    /// Send buffer at the start, in bytes.
    pub send_buffer: u32,
    /// The size to which the send buffer may grow by itself; `None` where `SO_SNDBUF` has fixed it.
    pub send_buffer_max: Option<u32>,
    /// The least payload of a full segment in bytes, against peers that ask for tiny ones
    /// (`net.ipv4.tcp_min_snd_mss`).
    pub min_send_mss: u16,
    /// The least time between two answers to segments that are not acceptable, in milliseconds
    /// (`net.ipv4.tcp_invalid_ratelimit`).
    //= RFC 5961 §7
    pub invalid_ratelimit_ms: u16,
    /// How many acknowledgements of one gap may be put together (`net.ipv4.tcp_comp_sack_nr`).
    pub compressed_acks: u8,
    /// The least retransmission time-out, in milliseconds (`net.ipv4.tcp_rto_min_us`).
    pub rto_min_ms: u16,
    /// The largest retransmission time-out, in milliseconds (`net.ipv4.tcp_rto_max_ms`).
    pub rto_max_ms: u32,
    /// Forget what is known of the path's capacity after an idle time (`net.ipv4.tcp_slow_start_after_idle`).
    pub slow_start_after_idle: bool,
    /// IPv4's TTL or IPv6's hop limit (`IP_TTL`, `IPV6_UNICAST_HOPS`); `None`: what the host, or the interface, has.
    //= RFC 9293 MUST-49
    pub hop_limit: Option<u8>,
    /// IPv4's TOS or IPv6's traffic class (`IP_TOS`, `IPV6_TCLASS`).
    //= RFC 9293 MUST-48
    //= RFC 9293 SHLD-22
    pub traffic_class: u8,
    /// What is done about the path's MTU (`IP_MTU_DISCOVER`, `IPV6_MTU_DISCOVER`).
    pub discovery: PathMtuDiscovery,
    /// Whether what ICMP says of the path is told at once, though the connection goes on (`IP_RECVERR`, `IPV6_RECVERR`).
    pub error_delivery: ErrorDelivery,
    /// Begin as a program that answers what it receives: acknowledgements wait for the answer (`TCP_QUICKACK` of 0).
    pub late_acks: bool,
    /// What few connections ask for. Boxed, so that others do not pay for it.
    pub rare: Option<Box<Rare>>,
    /// The least TTL or hop limit of segments that are taken (`IP_MINTTL`, `IPV6_MINHOPCOUNT`, RFC 5082).
    pub min_hop_limit: u8,
    /// Whether IPv6's packets bear a flow label (`IPV6_AUTOFLOWLABEL`).
    pub labels: AutoLabel,
    /// What goes first where the link does not keep up (`SO_PRIORITY`).
    pub priority: Priority,
    /// Note when what is received came (`SO_TIMESTAMP`, `SO_TIMESTAMPING`).
    pub stamp_arrivals: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            no_delay: false,
            cork: false,
            urgent_inline: false,
            standard_urgent: false,
            sack: true,
            timestamps: true,
            window_scaling: true,
            ecn: EcnUse::OnRequest,
            ecn_fallback: true,
            syn_retries: 6,
            syn_linear_timeouts: 4,
            synack_retries: 5,
            retries: 15,
            orphan_retries: 0,
            congestion: CongestionKind::default(),
            max_segment: None,
            keep_alive: KeepAlive::default(),
            fin_timeout_secs: Some(60),
            receive_buffer: 131_072,
            receive_buffer_max: Some(6_291_456),
            send_buffer: 87_040,
            send_buffer_max: Some(4_194_304),
            min_send_mss: 48,
            invalid_ratelimit_ms: 500,
            compressed_acks: 44,
            rto_min_ms: 200,
            rto_max_ms: 120_000,
            slow_start_after_idle: true,
            hop_limit: None,
            traffic_class: 0,
            discovery: PathMtuDiscovery::default(),
            error_delivery: ErrorDelivery::default(),
            late_acks: false,
            rare: None,
            min_hop_limit: 0,
            labels: AutoLabel::default(),
            priority: Priority::default(),
            stamp_arrivals: false,
        }
    }
}

/// How losses are found and taken back.
///
/// ```
/// use tapsock_stack::tcp::config::LossOptions;
///
/// let loss = LossOptions::default();
/// assert!(loss.probes() && loss.frto && loss.dsack);
/// assert_eq!(loss.reordering, 3);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct LossOptions {
    /// RACK's bits (`net.ipv4.tcp_recovery`): [`STATIC_WINDOW`](LossOptions::STATIC_WINDOW),
    /// [`NO_DUPLICATE_THRESHOLD`](LossOptions::NO_DUPLICATE_THRESHOLD). As in Linux since 6.17 the first bit, which
    /// switched RACK on, means nothing.
    pub detection: u8,
    /// Probe for lost tails: where it is 3 or 4 (`net.ipv4.tcp_early_retrans`).
    pub early_retrans: u8,
    /// Find time-outs that were in error by what arrives after them (`net.ipv4.tcp_frto`, RFC 5682).
    pub frto: bool,
    /// Report what was received twice (`net.ipv4.tcp_dsack`, RFC 2883).
    pub dsack: bool,
    /// Segments behind a hole that mean a loss, on a path that was not seen to reorder (`net.ipv4.tcp_reordering`).
    pub reordering: u16,
    /// The same on any path, at the most (`net.ipv4.tcp_max_reordering`).
    pub max_reordering: u16,
    /// Do not double the time-out while hardly anything is in flight (`net.ipv4.tcp_thin_linear_timeouts`).
    pub thin_linear: bool,
    /// How long acknowledgements of one gap are put together, at the most (`net.ipv4.tcp_comp_sack_delay_ns`).
    pub compression: Duration,
}

impl LossOptions {
    /// Linux's.
    pub const DEFAULT: LossOptions = LossOptions {
        detection: 1,
        early_retrans: 3,
        frto: true,
        dsack: true,
        reordering: 3,
        max_reordering: 300,
        thin_linear: false,
        compression: Duration::from_millis(1),
    };
    /// The reordering window does not follow what the peer reports as received twice.
    pub const STATIC_WINDOW: u8 = 2;
    /// Segments behind a hole are given their time whatever their number.
    pub const NO_DUPLICATE_THRESHOLD: u8 = 4;

    /// Whether lost tails are probed for.
    pub const fn probes(&self) -> bool {
        matches!(self.early_retrans, 3 | 4)
    }
}

impl Default for LossOptions {
    fn default() -> Self {
        LossOptions::DEFAULT
    }
}

impl Options {
    /// What is the listener's own, and not its connections'.
    pub(super) fn forget_listening(&mut self) {
        if let Some(rare) = &mut self.rare {
            (rare.defer_accept, rare.fast_open_queue, rare.fast_open_keys) = (0, 0, None);
            rare.ip_options = AnswerOptions::NONE;
        }
        if self.rare() == &Rare::NONE {
            self.rare = None;
        }
    }

    /// `changed`, with what a route has said of the connection that has these.
    pub(crate) fn keep_route(&self, changed: SharedOptions) -> SharedOptions {
        let Rare { first_window, first_offer, .. } = *self.rare();
        changed.over(&TcpMetrics { initcwnd: first_window, initrwnd: first_offer, advmss: None })
    }

    /// What few connections ask for.
    pub fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(&Rare::NONE)
    }

    /// The same, to be changed.
    pub fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(|| Box::new(Rare::NONE))
    }
}

/// What a route says of the connections that use it, in segments and bytes; `None` where it says nothing.
///
/// ```
/// use tapsock_stack::tcp::TcpMetrics;
///
/// assert_eq!(TcpMetrics::default().initcwnd, None);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct TcpMetrics {
    /// The largest segment that is announced, in bytes.
    pub advmss: Option<u16>,
    /// Segments that are sent at first.
    pub initcwnd: Option<u16>,
    /// Segments that room is offered for at first.
    pub initrwnd: Option<u16>,
}

/// Settings that few connections have.
///
/// ```
/// use tapsock_stack::tcp::Options;
///
/// let mut options = Options::default();
/// assert_eq!(options.rare().not_sent_limit(), None);
/// options.rare_mut().not_sent_low_water = 16_384;
/// assert_eq!(options.rare().not_sent_limit(), Some(16_384));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rare {
    /// How long data may stay unacknowledged (`TCP_USER_TIMEOUT`).
    pub user_timeout: Option<Duration>,
    /// The largest window that is offered, in bytes (`TCP_WINDOW_CLAMP`).
    pub window_clamp: Option<u32>,
    /// The buffer that the scale of windows has to fit, in bytes, where that may be larger than the one that grows by itself and
    /// `SO_RCVBUF` has fixed none (`net.core.rmem_max`); 0: it may not.
    pub window_room: u32,
    /// How many bytes may wait to be sent for the first time before writers wait (`TCP_NOTSENT_LOWAT`); 0: the host's.
    pub not_sent_low_water: u32,
    /// The host's (`net.ipv4.tcp_notsent_lowat`); `u32::MAX`: any number.
    pub host_not_sent_low_water: u32,
    /// Bytes a second at the most (`SO_MAX_PACING_RATE`); `u64::MAX`: no bound.
    pub max_pacing_rate: u64,
    /// Connections that may be open to a listener's programs before their handshakes are done (`TCP_FASTOPEN`); 0: it
    /// takes no data in SYNs.
    pub fast_open_queue: u32,
    /// `connect` waits for data to go with the SYN, where there is a cookie (`TCP_FASTOPEN_CONNECT`).
    pub fast_open_connect: bool,
    /// Whether the headers of the SYN that opens a connection are kept (`TCP_SAVE_SYN`); 0: they are not.
    pub save_syn: u8,
    /// Fast opens go without cookies (`TCP_FASTOPEN_NO_COOKIE`).
    pub fast_open_without_cookie: bool,
    /// The keys of a listener's cookies (`TCP_FASTOPEN_KEY`); `None`: the host's.
    pub fast_open_keys: Option<FastOpenKeys>,
    /// For how many SYN-ACKs a listener waits for data after the handshake (`TCP_DEFER_ACCEPT`); 0: it does not.
    pub defer_accept: u8,
    /// How losses are found and taken back.
    pub loss: LossOptions,
    /// How CUBIC leaves slow start (`tapsock.tcp_hystart`).
    pub slow_start_exit: SlowStartExit,
    /// A burst waits until it is one part of so many of the window (`net.ipv4.tcp_tso_win_divisor`); 0: until it is of four
    /// segments.
    pub burst_share: u8,
    /// Segments of a burst at the least (`net.ipv4.tcp_min_tso_segs`).
    pub burst_least: u8,
    /// What is less than a burst waits for more while much is on its way (`net.ipv4.tcp_autocorking`).
    pub autocork: bool,
    /// The pace in slow start, and after, in percent of a window a round trip (`net.ipv4.tcp_pacing_ss_ratio`,
    /// `net.ipv4.tcp_pacing_ca_ratio`).
    pub pacing_percent: [u16; 2],
    /// How it is found out what the path takes.
    pub mtu: MtuOptions,
    /// Segments that are sent at first (a route's `initcwnd`); `None`: ten.
    pub first_window: Option<u16>,
    /// Segments that room is offered for at first (a route's `initrwnd`); `None`: as the buffer has it.
    pub first_offer: Option<u16>,
    /// Options of IPv4's header (`IP_OPTIONS`).
    pub ip_options: AnswerOptions,
}

impl Rare {
    /// Nothing of it.
    pub const NONE: Rare = Rare {
        user_timeout: None,
        window_clamp: None,
        window_room: 0,
        not_sent_low_water: 0,
        host_not_sent_low_water: u32::MAX,
        max_pacing_rate: UNPACED,
        fast_open_queue: 0,
        fast_open_connect: false,
        save_syn: 0,
        fast_open_without_cookie: false,
        fast_open_keys: None,
        defer_accept: 0,
        loss: LossOptions::DEFAULT,
        slow_start_exit: SlowStartExit::HyStart,
        burst_share: 3,
        burst_least: 2,
        autocork: true,
        pacing_percent: [200, 120],
        mtu: MtuOptions::DEFAULT,
        first_window: None,
        first_offer: None,
        ip_options: AnswerOptions::NONE,
    };

    /// Segments that are sent at first, and after an idle time.
    pub fn initial_window(&self) -> u32 {
        self.first_window.filter(|window| *window > 0).map_or(INITIAL_WINDOW, u32::from)
    }

    /// How many bytes may wait to be sent for the first time.
    pub fn not_sent_limit(&self) -> Option<u32> {
        let own =
            if self.not_sent_low_water == 0 { self.host_not_sent_low_water } else { self.not_sent_low_water };
        (own < u32::MAX).then_some(own)
    }
}
