//! Segments and datagrams that make no sense.

use super::*;

/// Applies each harm to what stands behind the IP header of a frame, over both families, as [`check`].
fn check_payload(frame: fn(&Target) -> Frame, table: &[(&str, Harm, Counter)]) {
    for (_, address) in PAIRS {
        for (what, harm, counter) in table {
            let mut target = Target::at(address);
            let mut bytes = bytes_of(&frame(&target));
            behind_ip(&mut bytes, *harm);
            unheard(&mut target, &format!("{what}, to {address}"), bytes, &[*counter]);
        }
        let mut target = Target::at(address);
        let whole = frame(&target);
        target.counted(whole);
        assert!(target.heard(), "the frame was right before it was harmed");
    }
}

fn data_segment(target: &Target) -> Frame {
    let header = TcpHeader { flags: TcpFlags::ACK | TcpFlags::PSH, ..target.segment.clone() };
    target.path.tcp(&header, b"data")
}

fn datagram(target: &Target) -> Frame {
    target.path.udp((6000, 5000), b"data")
}

#[test]
fn tcp_segments() {
    // Checksums are looked at after lengths, so a field that is wrong is summed wrong as well; these are told apart.
    check_payload(
        data_segment,
        &[
            ("no header", |b| b.clear(), Counter::TcpInErrs),
            ("half a header", |b| b.truncate(19), Counter::TcpInErrs),
            ("a header of 16 bytes", |b| b[12] = 0x40, Counter::TcpInErrs),
            ("a header that passes the end", |b| b[12] = 0xf0, Counter::TcpInErrs),
            ("a wrong checksum", |b| b[16] ^= 1, Counter::TcpInCsumErrors),
            ("other data", |b| *b.last_mut().unwrap() ^= 1, Counter::TcpInCsumErrors),
        ],
    );
    let mut target = Target::new();
    let header = TcpHeader { flags: TcpFlags::SYN, destination_port: 2000, ..TcpHeader::default() };
    let counted = target.counted(Path::v4(0, 1).to("10.0.0.255").tcp(&header, &[]));
    assert!(counted.contains(&(Counter::TcpInErrs, 1)), "a SYN to everybody: {counted:?}");
    assert!(target.wire.seen.is_empty());
}

/// As Linux: nobody listens to such a thing, and elsewhere it is a SYN.
#[test]
fn a_syn_with_a_fin() {
    let mut target = Target::new();
    let flags = TcpFlags::SYN | TcpFlags::FIN;
    let open = target.segment.clone();
    let mut answers = |header: TcpHeader| {
        target.wire.seen.clear();
        let counted = target.counted(Path::v4(0, 1).tcp(&TcpHeader { flags, ..header }, &[]));
        let answers = target.wire.seen.iter().filter(|(from, _)| *from == 1);
        let answers: Vec<_> = answers.map(|(_, frame)| tcp_of(frame).unwrap().0).collect();
        (answers, counted)
    };
    let (none, counted) = answers(TcpHeader { source_port: 6000, destination_port: 2000, ..open.clone() });
    assert!(none.is_empty() && counted.contains(&(Counter::TcpInErrs, 1)), "to a listener: {counted:?}");
    let (resets, _) = answers(TcpHeader { destination_port: 2001, ..open.clone() });
    assert_eq!(resets.len(), 1, "to a closed port");
    assert_eq!(resets[0].flags, TcpFlags::RST | TcpFlags::ACK);
    assert_eq!(resets[0].acknowledgment, open.sequence.wrapping_add(2), "both count");
    let (challenges, counted) = answers(open);
    assert_eq!(challenges.len(), 1, "to a connection");
    assert!(counted.contains(&(Counter::TcpExtTCPSYNChallenge, 1)), "{counted:?}");
}

#[test]
fn segments_without_an_acknowledgement() {
    // Of an open connection, of one that is half-open, and to a listener.
    let open = |target: &Target| TcpHeader { flags: TcpFlags::PSH, ..target.segment.clone() };
    let half_open = |target: &Target| {
        let sequence = target.segment.sequence.wrapping_add(1);
        TcpHeader { flags: TcpFlags::PSH, source_port: 4321, sequence, ..target.segment.clone() }
    };
    let stray =
        |target: &Target| TcpHeader { flags: TcpFlags::PSH, source_port: 1234, ..target.segment.clone() };
    let headers: [fn(&Target) -> TcpHeader; 3] = [open, half_open, stray];
    for header in headers {
        let mut target = Target::new();
        let syn = TcpHeader {
            flags: TcpFlags::SYN,
            source_port: 4321,
            acknowledgment: 0,
            ..target.segment.clone()
        };
        target.counted(Path::v4(0, 1).tcp(&syn, &[]));
        target.wire.seen.clear();
        let header = TcpHeader { acknowledgment: 0, ..header(&target) };
        let counted = target.counted(Path::v4(0, 1).tcp(&header, b"data"));
        assert!(counted.contains(&(Counter::TapsockTcpInNoAck, 1)), "{header:?}: {counted:?}");
        assert!(target.wire.seen.is_empty() && !target.heard());
    }
}

/// As Linux counts it; before, only the segment was.
#[test]
fn a_reset_of_a_half_open_connection_is_counted() {
    let mut target = Target::new();
    let syn =
        TcpHeader { flags: TcpFlags::SYN, source_port: 4321, acknowledgment: 0, ..target.segment.clone() };
    target.counted(Path::v4(0, 1).tcp(&syn, &[]));
    let sequence = syn.sequence.wrapping_add(1);
    let wrong = TcpHeader { flags: TcpFlags::ACK, acknowledgment: 77, sequence, ..syn };
    let counted = target.counted(Path::v4(0, 1).tcp(&wrong, &[]));
    assert!(counted.contains(&(Counter::TcpOutRsts, 1)), "{counted:?}");
}

/// TCP's port 0 is a port like others, at which nobody can listen; so on Linux 6.18, unlike on BSD.
#[test]
fn port_0_is_answered() {
    let (syn, rst) = (TcpFlags::SYN, TcpFlags::RST | TcpFlags::ACK);
    for (from, to, answer) in
        [(4000, 0, rst), (0, 0, rst), (0, 7, rst), (0, 2000, TcpFlags::SYN | TcpFlags::ACK)]
    {
        let mut target = Target::new();
        let header = TcpHeader {
            flags: syn,
            source_port: from,
            destination_port: to,
            acknowledgment: 0,
            ..target.segment.clone()
        };
        let counted = target.counted(Path::v4(0, 1).tcp(&header, &[]));
        assert!(!counted.contains(&(Counter::TcpInErrs, 1)), "{from} to {to}: {counted:?}");
        let answers: Vec<_> = target.wire.seen.iter().filter_map(|(_, frame)| tcp_of(frame)).collect();
        let [(answered, _)] = &answers[..] else { panic!("{from} to {to}: {} answers", answers.len()) };
        assert_eq!(answered.flags, answer, "{from} to {to}");
        assert_eq!((answered.source_port, answered.destination_port), (to, from));
    }
}

/// What is changed in a header that was right.
type Change = fn(&mut TcpHeader);

#[test]
fn segments_that_no_connection_takes() {
    let table: [(&str, Change, Counter); 6] = [
        ("beyond the window", |h| h.sequence = h.sequence.wrapping_add(1 << 30), Counter::TcpExtBeyondWindow),
        (
            "long acknowledged",
            |h| h.sequence = h.sequence.wrapping_sub(1 << 20),
            Counter::TcpExtTCPOutOfWindow,
        ),
        (
            "an acknowledgement of what was not sent",
            |h| h.acknowledgment = h.acknowledgment.wrapping_add(9),
            Counter::TcpExtTCPAckOutOfRange,
        ),
        (
            "a timestamp of the past",
            |h| h.options.timestamps.as_mut().unwrap().value -= 9,
            Counter::TcpExtPAWSEstab,
        ),
        ("a SYN", |h| h.flags = TcpFlags::SYN, Counter::TcpExtTCPSYNChallenge),
        (
            "a reset that guesses",
            |h| (h.flags = TcpFlags::RST, h.sequence = h.sequence.wrapping_add(9)).1,
            Counter::TcpExtTCPChallengeACK,
        ),
    ];
    for (what, change, counter) in table {
        let mut target = Target::new();
        let mut header = TcpHeader { flags: TcpFlags::ACK, ..target.segment.clone() };
        change(&mut header);
        let payload: &[u8] = if header.flags == TcpFlags::ACK { b"data" } else { b"" };
        let counted = target.counted(Path::v4(0, 1).tcp(&header, payload));
        assert!(counted.contains(&(counter, 1)), "{what}: {counted:?}");
        let readable = target.wire[1].tcp(target.open).unwrap().readable();
        assert!(readable == 0 && !target.wire[1].tcp(target.open).unwrap().is_read_closed(), "{what}");
    }
}

#[test]
fn udp_datagrams() {
    check_payload(
        datagram,
        &[
            ("no header", |b| b.clear(), Counter::UdpInErrors),
            ("half a header", |b| b.truncate(7), Counter::UdpInErrors),
            ("a length below the header's", |b| b[5] = 7, Counter::UdpInErrors),
            ("a length that passes the end", |b| b[5] = 13, Counter::UdpInErrors),
            ("a wrong checksum", |b| b[6] ^= 1, Counter::UdpInCsumErrors),
            ("other data", |b| *b.last_mut().unwrap() ^= 1, Counter::UdpInCsumErrors),
        ],
    );
    let mut target = Target::at("fd00::2");
    let mut bytes = bytes_of(&datagram(&target));
    behind_ip(&mut bytes, |b| b[6..8].fill(0));
    unheard(&mut target, "no checksum over IPv6", bytes, &[Counter::UdpInCsumErrors, Counter::UdpInErrors]);
    let mut target = Target::new();
    let counted = target.counted(Path::v4(0, 1).udp((6000, 5001), b"data"));
    assert!(counted.contains(&(Counter::UdpNoPorts, 1)), "{counted:?}");
}
