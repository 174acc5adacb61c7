//! What ss prints of TCP_INFO and of timers, in its order and its forms.

use std::fmt::{Display, Write};

use tapsock::control::{SocketTimer, TcpDetails};

/// What is not zero, as `ss -i` prints it.
pub fn details(info: &TcpDetails) -> String {
    let mut words = Words::default();
    let marks = [
        (info.ts, "ts"),
        (info.sack, "sack"),
        (info.ecn, "ecn"),
        (info.ecnseen, "ecnseen"),
        (info.fastopen, "fastopen"),
    ];
    marks.into_iter().filter(|(on, _)| *on).for_each(|(_, mark)| words.word(mark));
    words.word(&info.congestion);
    if let Some((sent, received)) = info.wscale {
        words.word(format_args!("wscale:{sent},{received}"));
    }
    if info.rto > 0 {
        words.word(format_args!("rto:{}", millis(info.rto)));
    }
    words.number("backoff", info.backoff);
    if let Some(rtt) = info.rtt {
        words.word(format_args!("rtt:{}/{}", millis(rtt), millis(info.rttvar)));
    }
    if info.ato > 0 {
        words.word(format_args!("ato:{}", millis(info.ato)));
    }
    for (name, value) in [
        ("mss", info.mss.into()),
        ("pmtu", info.pmtu.into()),
        ("rcvmss", info.rcvmss.into()),
        ("advmss", info.advmss.into()),
        ("cwnd", info.cwnd.into()),
        ("ssthresh", info.ssthresh.unwrap_or(0).into()),
        ("bytes_sent", info.bytes_sent),
        ("bytes_retrans", info.bytes_retrans),
        ("bytes_acked", info.bytes_acked),
        ("bytes_received", info.bytes_received),
        ("segs_out", info.segs_out.into()),
        ("segs_in", info.segs_in.into()),
        ("data_segs_out", info.data_segs_out.into()),
        ("data_segs_in", info.data_segs_in.into()),
    ] {
        words.number(name, value);
    }
    if let Some(rate) = info.rtt.filter(|rtt| *rtt > 0).map(|rtt| window_rate(info, rtt)) {
        words.word(format_args!("send {rate}bps"));
    }
    for (name, value) in [("lastsnd", info.lastsnd), ("lastrcv", info.lastrcv), ("lastack", info.lastack)] {
        words.number(name, value);
    }
    rates(info, &mut words);
    losses(info, &mut words);
    words.text
}

fn rates(info: &TcpDetails, words: &mut Words) {
    if let Some(rate) = info.pacing_rate {
        let most = info.max_pacing_rate.map_or(String::new(), |most| format!("/{}bps", bits(most)));
        words.word(format_args!("pacing_rate {}bps{most}", bits(rate)));
    }
    if info.delivery_rate > 0 {
        words.word(format_args!("delivery_rate {}bps", bits(info.delivery_rate)));
    }
    words.number("delivered", info.delivered);
    if info.app_limited {
        words.word("app_limited");
    }
    if info.busy > 0 {
        words.word(format_args!("busy:{}ms", info.busy / 1000));
        for (name, time) in [("rwnd_limited", info.rwnd_limited), ("sndbuf_limited", info.sndbuf_limited)] {
            if time > 0 {
                let share = 100.0 * time as f64 / info.busy as f64;
                words.word(format_args!("{name}:{}ms({share:.1}%)", time / 1000));
            }
        }
    }
}

fn losses(info: &TcpDetails, words: &mut Words) {
    words.number("unacked", info.unacked);
    if info.retrans > 0 || info.retrans_total > 0 {
        words.word(format_args!("retrans:{}/{}", info.retrans, info.retrans_total));
    }
    for (name, value) in [("lost", info.lost), ("sacked", info.sacked), ("dsack_dups", info.dsack_dups)] {
        words.number(name, value);
    }
    // 3 is where it begins.
    if info.reordering != 3 {
        words.number("reordering", info.reordering);
    }
    for (name, value) in [
        ("reord_seen", info.reord_seen),
        ("rcv_space", info.rcv_space),
        ("rcv_ssthresh", info.rcv_ssthresh),
        ("notsent", info.notsent),
    ] {
        words.number(name, value);
    }
    if let Some(least) = info.minrtt {
        words.word(format_args!("minrtt:{}", millis(least)));
    }
    for (name, value) in
        [("rcv_ooopack", info.rcv_ooopack), ("snd_wnd", info.snd_wnd), ("rcv_wnd", info.rcv_wnd)]
    {
        words.number(name, value);
    }
}

/// `timer:(keepalive,119min,0)`.
pub fn timer(timer: &SocketTimer) -> String {
    let SocketTimer { name, millis, vain } = timer;
    let left = match millis {
        0..1000 => format!("{millis}ms"),
        // Under ten seconds with what is left of them, as ss does.
        1000..10_000 => format!("{}.{}sec", millis / 1000, millis % 1000 / 100),
        10_000..60_000 => format!("{}sec", millis / 1000),
        60_000..600_000 => format!("{}min{}sec", millis / 60_000, millis % 60_000 / 1000),
        _ => format!("{}min", millis / 60_000),
    };
    format!("timer:({name},{left},{vain})")
}

/// What a window full in each round trip makes, in bits a second.
fn window_rate(info: &TcpDetails, rtt: u64) -> u64 {
    let bits = f64::from(info.mss) * 8.0 * f64::from(info.cwnd);
    (bits * 1e6 / rtt as f64).round() as u64
}

fn bits(bytes_a_second: u64) -> u64 {
    bytes_a_second.saturating_mul(8)
}

/// Microseconds in milliseconds, without zeros at the end.
fn millis(micros: u64) -> String {
    let text = format!("{:.3}", micros as f64 / 1000.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[derive(Default)]
struct Words {
    text: String,
}

impl Words {
    fn word(&mut self, word: impl Display) {
        let gap = if self.text.is_empty() { "" } else { " " };
        // A string takes all there is.
        let _ = write!(self.text, "{gap}{word}");
    }

    fn number(&mut self, name: &str, value: impl Into<u64>) {
        let value = value.into();
        if value > 0 {
            self.word(format_args!("{name}:{value}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As ss 6.1 has it on Linux 6.18.
    #[test]
    fn of_a_listener_is_told_what_its_connections_begin_with() {
        let info = TcpDetails { congestion: "bbr".to_owned(), cwnd: 10, ..TcpDetails::default() };
        assert_eq!(details(&info), "bbr cwnd:10");
    }

    #[test]
    fn what_is_told_stands_in_the_forms_of_ss() {
        let info = TcpDetails {
            ts: true,
            sack: true,
            congestion: "cubic".to_owned(),
            wscale: Some((7, 10)),
            rto: 204_000,
            rtt: Some(29),
            rttvar: 16,
            ato: 40_000,
            mss: 1448,
            cwnd: 10,
            reordering: 3,
            busy: 200_000,
            rwnd_limited: 50_000,
            retrans_total: 2,
            minrtt: Some(9),
            pacing_rate: Some(1_000_000),
            ..TcpDetails::default()
        };
        let expected = "ts sack cubic wscale:7,10 rto:204 rtt:0.029/0.016 ato:40 mss:1448 cwnd:10 \
                        send 3994482759bps pacing_rate 8000000bps busy:200ms rwnd_limited:50ms(25.0%) \
                        retrans:0/2 minrtt:0.009";
        assert_eq!(details(&info), expected);
    }

    #[test]
    fn times_are_told_as_ss_tells_them() {
        let told = |millis| {
            let told = timer(&SocketTimer { name: "on".to_owned(), millis, vain: 1 });
            told.strip_prefix("timer:(on,").unwrap().strip_suffix(",1)").unwrap().to_owned()
        };
        assert_eq!([told(240), told(1240), told(59_999)], ["240ms", "1.2sec", "59sec"]);
        assert_eq!([told(119_000), told(7_199_000)], ["1min59sec", "119min"]);
    }
}
