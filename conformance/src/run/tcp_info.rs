//! `struct tcp_info` by its fields' names, and what SO_MEMINFO tells.

/// A field: its name, and where it stands, in bytes.
type Field = (&'static str, usize, usize);

/// The fields, in order. Source: `<linux/tcp.h>` of Linux 6.18.
const FIELDS: &[Field] = &[
    ("tcpi_state", 0, 1),
    ("tcpi_ca_state", 1, 1),
    ("tcpi_retransmits", 2, 1),
    ("tcpi_probes", 3, 1),
    ("tcpi_backoff", 4, 1),
    ("tcpi_options", 5, 1),
    ("tcpi_rto", 8, 4),
    ("tcpi_ato", 12, 4),
    ("tcpi_snd_mss", 16, 4),
    ("tcpi_rcv_mss", 20, 4),
    ("tcpi_unacked", 24, 4),
    ("tcpi_sacked", 28, 4),
    ("tcpi_lost", 32, 4),
    ("tcpi_retrans", 36, 4),
    ("tcpi_fackets", 40, 4),
    ("tcpi_last_data_sent", 44, 4),
    ("tcpi_last_ack_sent", 48, 4),
    ("tcpi_last_data_recv", 52, 4),
    ("tcpi_last_ack_recv", 56, 4),
    ("tcpi_pmtu", 60, 4),
    ("tcpi_rcv_ssthresh", 64, 4),
    ("tcpi_rtt", 68, 4),
    ("tcpi_rttvar", 72, 4),
    ("tcpi_snd_ssthresh", 76, 4),
    ("tcpi_snd_cwnd", 80, 4),
    ("tcpi_advmss", 84, 4),
    ("tcpi_reordering", 88, 4),
    ("tcpi_rcv_rtt", 92, 4),
    ("tcpi_rcv_space", 96, 4),
    ("tcpi_total_retrans", 100, 4),
    ("tcpi_pacing_rate", 104, 8),
    ("tcpi_max_pacing_rate", 112, 8),
    ("tcpi_bytes_acked", 120, 8),
    ("tcpi_bytes_received", 128, 8),
    ("tcpi_segs_out", 136, 4),
    ("tcpi_segs_in", 140, 4),
    ("tcpi_notsent_bytes", 144, 4),
    ("tcpi_min_rtt", 148, 4),
    ("tcpi_data_segs_in", 152, 4),
    ("tcpi_data_segs_out", 156, 4),
    ("tcpi_delivery_rate", 160, 8),
    ("tcpi_busy_time", 168, 8),
    ("tcpi_rwnd_limited", 176, 8),
    ("tcpi_sndbuf_limited", 184, 8),
    ("tcpi_delivered", 192, 4),
    ("tcpi_delivered_ce", 196, 4),
    ("tcpi_bytes_sent", 200, 8),
    ("tcpi_bytes_retrans", 208, 8),
    ("tcpi_dsack_dups", 216, 4),
    ("tcpi_reord_seen", 220, 4),
    ("tcpi_rcv_ooopack", 224, 4),
    ("tcpi_snd_wnd", 228, 4),
    ("tcpi_rcv_wnd", 232, 4),
    ("tcpi_rehash", 236, 4),
    ("tcpi_total_rto", 240, 2),
    ("tcpi_total_rto_recoveries", 242, 2),
    ("tcpi_total_rto_time", 244, 4),
    ("tcpi_received_ce", 248, 4),
    ("tcpi_delivered_e1_bytes", 252, 4),
    ("tcpi_delivered_e0_bytes", 256, 4),
    ("tcpi_delivered_ce_bytes", 260, 4),
    ("tcpi_received_e1_bytes", 264, 4),
    ("tcpi_received_e0_bytes", 268, 4),
    ("tcpi_received_ce_bytes", 272, 4),
    ("tcpi_accecn_fail_mode", 276, 2),
    ("tcpi_accecn_opt_seen", 278, 2),
];

/// Fields of some bits: name, byte, shift, mask.
const BITS: &[(&str, usize, u32, u8)] = &[
    ("tcpi_snd_wscale", 6, 0, 15),
    ("tcpi_rcv_wscale", 6, 4, 15),
    ("tcpi_delivery_rate_app_limited", 7, 0, 1),
    ("tcpi_fastopen_client_fail", 7, 1, 3),
];

/// The fields that `bytes` reach to, with their values.
pub(super) fn fields(bytes: &[u8]) -> Vec<(String, i64)> {
    let whole = FIELDS.iter().filter_map(|(name, start, len)| {
        let mut value = [0; 8];
        value[..*len].copy_from_slice(bytes.get(*start..start + len)?);
        Some(((*name).to_owned(), u64::from_le_bytes(value) as i64))
    });
    let bits = BITS.iter().filter_map(|(name, byte, shift, mask)| {
        Some(((*name).to_owned(), i64::from(bytes.get(*byte)? >> shift & mask)))
    });
    whole.chain(bits).collect()
}

/// What SO_MEMINFO tells, in order. Source: `<linux/sock_diag.h>`.
const MEMORY: [&str; 9] = [
    "RMEM_ALLOC",
    "RCVBUF",
    "WMEM_ALLOC",
    "SNDBUF",
    "FWD_ALLOC",
    "WMEM_QUEUED",
    "OPTMEM",
    "BACKLOG",
    "DROPS",
];

/// The same of SO_MEMINFO.
pub(super) fn memory_fields(bytes: &[u8]) -> Vec<(String, i64)> {
    let values = bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    let named = MEMORY.iter().zip(values);
    named.map(|(name, value)| (format!("SK_MEMINFO_{name}"), value.into())).collect()
}

const _: () = assert!(cfg!(target_endian = "little"), "integers are read as little-endian machines lay them");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_lie_behind_each_other() {
        for pair in FIELDS.windows(2) {
            let [(_, start, len), (name, next, _)] = pair else { unreachable!() };
            // Two bytes of bits stand before the first word.
            assert!(start + len == *next || *name == "tcpi_rto", "{name}");
        }
    }

    #[test]
    fn values_are_those_of_the_bytes() {
        let bytes: Vec<u8> = (0..=255).collect();
        let fields = fields(&bytes);
        let value = |name: &str| fields.iter().find(|(known, _)| known == name).unwrap().1;
        assert_eq!(value("tcpi_options"), 5);
        assert_eq!(value("tcpi_snd_cwnd"), 0x5352_5150);
        assert_eq!(value("tcpi_pacing_rate"), 0x6f6e_6d6c_6b6a_6968);
        assert_eq!((value("tcpi_snd_wscale"), value("tcpi_rcv_wscale")), (6, 0));
        assert_eq!((value("tcpi_delivery_rate_app_limited"), value("tcpi_fastopen_client_fail")), (1, 3));
    }

    #[test]
    fn what_a_kernel_has_not_is_left_out() {
        let short = fields(&[0; 104]);
        assert!(short.iter().any(|(name, _)| name == "tcpi_total_retrans"));
        assert!(!short.iter().any(|(name, _)| name == "tcpi_pacing_rate"));
    }
}
