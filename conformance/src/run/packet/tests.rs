use super::*;
use crate::ast::SackBlock;

fn segment(tcp: Tcp) -> Packet {
    Packet {
        source: "192.0.2.1".parse().unwrap(),
        destination: "192.168.0.1".parse().unwrap(),
        traffic_class: 2,
        flow_label: 0,
        parts: 1,
        hop_limit: 255,
        transport: Transport::Tcp(tcp),
    }
}

fn full() -> Tcp {
    Tcp {
        source_port: 40_000,
        destination_port: 8080,
        seq: 0xffff_fff0,
        ack: 7,
        flags: TcpFlags::ACK | TcpFlags::URG | TcpFlags::ECE,
        window: 257,
        urgent: 3,
        options: vec![
            TcpOption::Nop,
            TcpOption::Nop,
            TcpOption::Timestamp { value: 1, echo: 2 },
            TcpOption::Sack(vec![SackBlock { left: 1, right: 2 }, SackBlock { left: 3, right: 4 }]),
            TcpOption::FastOpenExperimental(vec![1]),
        ],
        payload: b"payload".to_vec(),
    }
}

#[test]
fn what_is_written_is_read() {
    for (source, destination) in [("192.0.2.1", "192.168.0.1"), ("2001:db8::1", "fd00::1")] {
        for transport in [
            Transport::Tcp(Tcp { options: vec![TcpOption::Mss(1460)], ..full() }),
            Transport::Udp(Udp { source_port: 1, destination_port: 2, payload: vec![1, 2, 3] }),
            Transport::Icmp(Icmp { kind: 3, code: 4, rest: 1200, body: vec![0x45; 28] }),
            Transport::Other(47, vec![1]),
        ] {
            let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
            let packet = Packet { source, destination, transport, ..segment(full()) };
            assert_eq!(decode(&encode(&packet)), Ok(packet));
        }
    }
}

#[test]
fn options_are_padded_to_words() {
    let packet = segment(full());
    let Ok(Packet { transport: Transport::Tcp(read), .. }) = decode(&encode(&packet)) else { panic!() };
    assert_eq!(read.options[..5], full().options[..]);
    assert_eq!(read.options[5..], vec![TcpOption::EndOfList]);
}

#[test]
fn each_altered_byte_is_noticed() {
    let packet = segment(Tcp { options: vec![TcpOption::Mss(1460)], ..full() });
    let bytes = encode(&packet);
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 0x10;
        assert_ne!(decode(&altered), Ok(packet.clone()), "byte {at}");
    }
}

#[test]
fn anything_cut_off_is_malformed() {
    let bytes = encode(&segment(full()));
    for len in 0..bytes.len() {
        assert!(decode(&bytes[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn packets_print_as_scripts_write_them() {
    let printed = "[ect0] UE. 4294967280:4294967287(7) ack 7 win 257 urg 3 \
                   <nop,nop,TS val 1 ecr 2,sack 1:2 3:4,FOEXP 01>";
    assert_eq!(segment(full()).to_string(), printed);
    let plain = Tcp { flags: TcpFlags::NONE, options: Vec::new(), payload: Vec::new(), seq: 0, ..full() };
    assert_eq!(plain.to_string(), "- 0:0(0) win 257");
}

#[test]
fn a_checksum_that_was_left_out_is_filled_in() {
    for (source, destination) in [("192.0.2.1", "192.168.0.1"), ("2001:db8::1", "fd00::1")] {
        for transport in [
            Transport::Tcp(full()),
            Transport::Udp(Udp { source_port: 1, destination_port: 2, payload: vec![1, 2, 3] }),
        ] {
            let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
            let bytes = encode(&Packet { source, destination, transport, ..segment(full()) });
            let start = if bytes[0] >> 4 == 4 { 20 } else { 40 };
            let field = start + if bytes.len() - start > 20 { 16 } else { 6 };
            let mut left = bytes.clone();
            left[field] ^= 0x55;
            complete_checksums(&mut left);
            assert_eq!(left, bytes);
        }
    }
    let mut short = vec![0x45; 19];
    complete_checksums(&mut short);
    assert_eq!(short, [0x45; 19]);
}
