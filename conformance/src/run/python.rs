//! Code blocks, run by python3 with what TCP_INFO says as variables.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// The fields of `struct tcp_info`: name, offset, bytes. Source: `<linux/tcp.h>`.
const FIELDS: &[(&str, usize, usize)] = &[
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
];

/// Code blocks of one script so far: they run together, since one may use what another has set.
#[derive(Debug, Default)]
pub(super) struct Python {
    text: String,
}

impl Python {
    /// Adds a block that stands in `line`, with TCP_INFO as it is now.
    pub(super) fn add(&mut self, line: u32, info: &[u8], code: &str) {
        // Writing to a string can't fail.
        for (name, offset, len) in FIELDS {
            let bytes = info.get(*offset..offset + len).unwrap_or_default();
            let value = bytes.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
            let _ = writeln!(self.text, "{name} = {value}");
        }
        let _ = writeln!(self.text, "_line = {line}\n{}", dedented(code));
    }

    /// Whether there is anything to run.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Runs all blocks.
    ///
    /// # Errors
    ///
    /// The line of the block that failed, and what Python says.
    pub(super) fn run(&self) -> Result<(), (u32, String)> {
        let mut program = String::from("import sys, traceback\n_line = 0\ntry:\n");
        for (name, value) in NAMES {
            let _ = writeln!(program, " {name} = {value}");
        }
        program.push_str(" pass\n");
        self.text.lines().for_each(|line| {
            let _ = writeln!(program, " {line}");
        });
        program.push_str(
            "except BaseException as e:\n print(_line, type(e).__name__, e, file=sys.stderr)\n sys.exit(1)\n",
        );
        let start = Command::new("python3")
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut python = start.map_err(|error| (0, format!("python3: {error}")))?;
        if let Some(mut stdin) = python.stdin.take() {
            // It fails where Python has ended, which it says below.
            let _ = stdin.write_all(program.as_bytes());
        }
        let output = python.wait_with_output().map_err(|error| (0, format!("python3: {error}")))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match said.split_once(' ').and_then(|(line, said)| Some((line.parse().ok()?, said))) {
            Some((line, said)) => Err((line, said.to_owned())),
            None => Err((0, said)),
        }
    }
}

/// Names that code may use.
const NAMES: [(&str, i64); 22] = [
    ("TCP_CA_Open", 0),
    ("TCP_CA_Disorder", 1),
    ("TCP_CA_CWR", 2),
    ("TCP_CA_Recovery", 3),
    ("TCP_CA_Loss", 4),
    ("TCPI_OPT_TIMESTAMPS", 1),
    ("TCPI_OPT_SACK", 2),
    ("TCPI_OPT_WSCALE", 4),
    ("TCPI_OPT_ECN", 8),
    ("TCPI_OPT_ECN_SEEN", 16),
    ("TCPI_OPT_SYN_DATA", 32),
    ("TCP_ESTABLISHED", 1),
    ("TCP_SYN_SENT", 2),
    ("TCP_SYN_RECV", 3),
    ("TCP_FIN_WAIT1", 4),
    ("TCP_FIN_WAIT2", 5),
    ("TCP_TIME_WAIT", 6),
    ("TCP_CLOSE", 7),
    ("TCP_CLOSE_WAIT", 8),
    ("TCP_LAST_ACK", 9),
    ("TCP_LISTEN", 10),
    ("TCP_CLOSING", 11),
];

/// Code without the blanks that all its lines begin with, the first aside.
fn dedented(code: &str) -> String {
    let code = code.trim_end();
    let (first, rest) = code.split_once('\n').unwrap_or((code, ""));
    let blank = rest
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    let rest = rest.lines().map(|line| line.get(blank..).unwrap_or("")).collect::<Vec<_>>().join("\n");
    format!("{}\n{rest}", first.trim_start())
}
