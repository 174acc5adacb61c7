use super::*;
use proptest::prelude::*;
use rustix::io::Errno;

mod sending;

/// The bytes of `text`, in hexadecimal; blanks are for the reader.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn filled(room: usize, messages: &[Control]) -> ControlMessages {
    let mut buffer = ControlMessages::with_room(room);
    for message in messages {
        buffer.push(message);
    }
    buffer
}

fn v6(text: &str) -> SocketAddrV6 {
    text.parse().unwrap()
}

/// Every kind that Linux 6.18 was seen to give, byte for byte. Padding, which it leaves as it was, is zero here.
#[test]
fn messages_have_the_bytes_of_linux() {
    let local = Ipv4Addr::LOCALHOST;
    let refused = ExtendedError { errno: 111, origin: 2, kind: 3, code: 3, ..Default::default() };
    let refused6 = ExtendedError { errno: 111, origin: 3, kind: 1, code: 4, ..Default::default() };
    let second = Duration::from_secs(0x6b03_48ce);
    for (message, bytes) in [
        (
            Control::PacketInfo4 { interface: 1, local, destination: local },
            "1c00000000000000 0000000008000000 010000007f000001 7f00000100000000",
        ),
        (Control::Ttl(64), "1400000000000000 0000000002000000 4000000000000000"),
        (Control::Tos(0), "1100000000000000 0000000001000000 0000000000000000"),
        (
            Control::OriginalDestination("127.0.0.1:45001".parse().unwrap()),
            "2000000000000000 0000000014000000 0200afc97f000001 0000000000000000",
        ),
        (
            Control::Timestamp(second + Duration::from_micros(0x16882)),
            "2000000000000000 010000001d000000 ce48036b00000000 8268010000000000",
        ),
        (
            Control::TimestampNs(second + Duration::from_nanos(0x0580_60f9)),
            "2000000000000000 0100000023000000 ce48036b00000000 f960800500000000",
        ),
        (
            Control::Timestamping {
                software: second + Duration::from_nanos(0x0580_7b2f),
                hardware: Duration::ZERO,
            },
            "4000000000000000 0100000025000000 ce48036b00000000 2f7b800500000000 \
             0000000000000000 0000000000000000 0000000000000000 0000000000000000",
        ),
        (Control::GroSize(3), "1400000000000000 1100000068000000 0300000000000000"),
        (
            Control::PacketInfo6 { destination: Ipv6Addr::LOCALHOST, interface: 1 },
            "2400000000000000 2900000032000000 0000000000000000 0000000000000001 0100000000000000",
        ),
        (Control::HopLimit(64), "1400000000000000 2900000034000000 4000000000000000"),
        (Control::FlowInfo(0x02c6_d5ea), "1400000000000000 290000000b000000 02c6d5ea00000000"),
        (Control::TrafficClass(0), "1400000000000000 2900000043000000 0000000000000000"),
        (
            Control::OriginalDestination("[::1]:45004".parse().unwrap()),
            "2c00000000000000 290000004a000000 0a00afcc00000000 0000000000000000 0000000000000001 \
             0000000000000000",
        ),
        (
            Control::ExtendedError4(refused, Some("127.0.0.1:0".parse().unwrap())),
            "3000000000000000 000000000b000000 6f00000002030300 0000000000000000 020000007f000001 \
             0000000000000000",
        ),
        (
            Control::ExtendedError6(refused6, Some(v6("[::1]:0"))),
            "3c00000000000000 2900000019000000 6f00000003010400 0000000000000000 0a00000000000000 \
             0000000000000000 0000000000000001 0000000000000000",
        ),
        (
            Control::Credentials(Credentials { pid: 0x2523, uid: 0, gid: 0 }),
            "1c00000000000000 0100000002000000 2325000000000000 0000000000000000",
        ),
        (
            Control::Rights(vec![12, 13, 14]),
            "1c00000000000000 0100000001000000 0c0000000d000000 0e00000000000000",
        ),
    ] {
        let bytes = hex(bytes);
        assert_eq!(filled(512, std::slice::from_ref(&message)).as_bytes(), bytes, "{message:?}");
        let read = Messages::new(&bytes).next().unwrap().unwrap();
        assert_eq!(Control::decode(read.level, read.kind, read.payload), Some(message));
    }
}

/// `msg_control` after `recvmsg` on Linux 6.18, for rooms that end at every seam of the messages.
#[test]
fn messages_are_cut_off_as_linux_does() {
    let local = Ipv4Addr::LOCALHOST;
    let messages = [
        Control::PacketInfo4 { interface: 1, local, destination: local },
        Control::Ttl(64),
        Control::Tos(0),
        Control::OriginalDestination("127.0.0.1:45001".parse().unwrap()),
    ];
    let first = "1c00000000000000 0000000008000000 010000007f000001 7f00000100000000";
    let ttl = "1400000000000000 0000000002000000 4000000000000000";
    let tos = "1100000000000000 0000000001000000 0000000000000000";
    for (room, bytes) in [
        (0, String::new()),
        (15, String::new()),
        (16, "1000000000000000 0000000008000000".to_owned()),
        (17, "1100000000000000 0000000008000000 01".to_owned()),
        (27, "1b00000000000000 0000000008000000 010000007f000001 7f0000".to_owned()),
        (28, "1c00000000000000 0000000008000000 010000007f000001 7f000001".to_owned()),
        (29, "1c00000000000000 0000000008000000 010000007f000001 7f00000100".to_owned()),
        (32, first.to_owned()),
        (47, first.to_owned()),
        (48, format!("{first} 1000000000000000 0000000002000000")),
        (51, format!("{first} 1300000000000000 0000000002000000 400000")),
        (55, format!("{first} 1400000000000000 0000000002000000 40000000000000")),
        (73, format!("{first} {ttl} 1100000000000000 0000000001000000 00")),
        (96, format!("{first} {ttl} {tos} 1000000000000000 0000000014000000")),
    ] {
        let buffer = filled(room, &messages);
        assert_eq!(buffer.as_bytes(), hex(&bytes), "{room}");
        assert!(buffer.is_truncated(), "{room}");
    }
    assert!(!filled(112, &messages).is_truncated());
    assert!(filled(111, &messages[..3]).as_bytes().len() == 80 && !filled(80, &messages[..3]).is_truncated());
}

/// Three descriptors: the room, the bytes used, how many came and whether `MSG_CTRUNC` was set, on Linux 6.18.
#[test]
fn descriptors_come_whole() {
    for (room, used, count, truncated) in [
        (0, 0, 0, true),
        (16, 0, 0, true),
        (19, 0, 0, true),
        (20, 20, 1, true),
        (23, 23, 1, true),
        (24, 24, 2, true),
        (27, 24, 2, true),
        (28, 28, 3, false),
        (31, 31, 3, false),
        (33, 32, 3, false),
    ] {
        let mut buffer = ControlMessages::with_room(room);
        assert_eq!(buffer.room_for_rights().min(3), count, "{room}");
        buffer.push(&Control::Rights(vec![12, 13, 14]));
        assert_eq!((buffer.as_bytes().len(), buffer.is_truncated()), (used, truncated), "{room}");
        let rights =
            Messages::new(buffer.as_bytes()).next().map(|message| message.unwrap().payload.len() / 4);
        assert_eq!(rights.unwrap_or(0), count, "{room}");
    }
    let mut none = ControlMessages::with_room(0);
    none.push(&Control::Rights(vec![]));
    assert!(!none.is_truncated(), "nothing was lost");
    none.mark_truncated();
    assert!(none.is_truncated());
}

#[test]
fn what_is_unknown_or_cut_off_is_no_message() {
    for message in samples() {
        let payload = message.payload();
        assert_eq!(Control::decode(message.level(), 999, &payload), None);
        assert_eq!(Control::decode(999, message.kind(), &payload), None);
        if !matches!(message, Control::Rights(_)) {
            let short = &payload[..payload.len() - 1];
            assert_eq!(Control::decode(message.level(), message.kind(), short), None, "{message:?}");
        }
    }
    assert_eq!(Control::decode(0, IP_TTL, &256i32.to_ne_bytes()), None);
    assert_eq!(Control::decode(1, SCM_TIMESTAMPNS, &[0xff; 16]), None);
}

#[test]
fn headers_that_lie_end_the_walk() {
    let good = filled(64, &[Control::Ttl(5)]).as_bytes().to_vec();
    for (claimed, payload) in
        [(0, None), (15, None), (16, Some(0)), (19, Some(3)), (24, Some(8)), (25, None), (u64::MAX, None)]
    {
        let mut bytes = good.clone();
        bytes[..8].copy_from_slice(&claimed.to_ne_bytes());
        let mut walk = Messages::new(&bytes);
        let expected = payload.ok_or(Errno::INVAL);
        assert_eq!(walk.next().unwrap().map(|message| message.payload.len()), expected, "{claimed}");
        assert!(walk.next().is_none());
    }
    for len in 0..CMSG_HEADER_LEN {
        assert!(Messages::new(&good[..len]).next().is_none(), "{len}");
    }
}

fn samples() -> Vec<Control> {
    let time = Duration::new(7, 5000);
    let error = ExtendedError { errno: 90, origin: 1, kind: 2, code: 3, info: 1280, data: 9 };
    vec![
        Control::Rights(vec![1, -1]),
        Control::Credentials(Credentials { pid: 1, uid: 2, gid: 3 }),
        Control::PacketInfo4 {
            interface: 2,
            local: Ipv4Addr::LOCALHOST,
            destination: Ipv4Addr::new(224, 0, 0, 1),
        },
        Control::PacketInfo6 { destination: Ipv6Addr::LOCALHOST, interface: 3 },
        Control::Ttl(255),
        Control::HopLimit(0),
        Control::Tos(8),
        Control::TrafficClass(9),
        Control::FlowInfo(0x0120_0001),
        Control::Timestamp(time),
        Control::TimestampNs(time),
        Control::Timestamping { software: time, hardware: time * 2 },
        Control::RxqOverflow(77),
        Control::Unread(5),
        Control::SegmentSize(1400),
        Control::GroSize(1400),
        Control::ExtendedError4(error, None),
        Control::ExtendedError4(error, Some("10.0.0.1:7".parse().unwrap())),
        Control::ExtendedError6(error, None),
        Control::ExtendedError6(error, Some(v6("[fe80::1%3]:7"))),
        Control::OriginalDestination("10.0.0.1:7".parse().unwrap()),
        Control::OriginalDestination("[fe80::1%3]:7".parse().unwrap()),
        Control::PathMtu { destination: v6("[2001:db8::1]:0"), mtu: 1280 },
    ]
}

fn time() -> impl Strategy<Value = Duration> {
    (0..=i64::MAX as u64, 0..1_000_000_000u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

fn error() -> impl Strategy<Value = ExtendedError> {
    any::<(u32, u8, u8, u8, u32, u32)>().prop_map(|(errno, origin, kind, code, info, data)| ExtendedError {
        errno,
        origin,
        kind,
        code,
        info,
        data,
    })
}

fn address4() -> impl Strategy<Value = SocketAddrV4> {
    any::<(u32, u16)>().prop_map(|(ip, port)| SocketAddrV4::new(Ipv4Addr::from_bits(ip), port))
}

fn address6() -> impl Strategy<Value = SocketAddrV6> {
    any::<(u128, u16, u32, u32)>()
        .prop_map(|(ip, port, flow, scope)| SocketAddrV6::new(Ipv6Addr::from_bits(ip), port, flow, scope))
}

fn message() -> impl Strategy<Value = Control> {
    prop_oneof![
        proptest::collection::vec(any::<i32>(), 1..20).prop_map(Control::Rights),
        any::<(i32, u32, u32)>().prop_map(|(pid, uid, gid)| Control::Credentials(Credentials {
            pid,
            uid,
            gid
        })),
        (any::<u32>(), address4(), address4()).prop_map(|(interface, local, destination)| {
            Control::PacketInfo4 { interface, local: *local.ip(), destination: *destination.ip() }
        }),
        (any::<u32>(), address6()).prop_map(|(interface, destination)| Control::PacketInfo6 {
            destination: *destination.ip(),
            interface
        }),
        (any::<u8>(), 0..4).prop_map(|(value, which)| match which {
            0 => Control::Ttl(value),
            1 => Control::HopLimit(value),
            2 => Control::Tos(value),
            _ => Control::TrafficClass(value),
        }),
        (0..=i64::MAX as u64, 0..1_000_000u32)
            .prop_map(|(seconds, micros)| Control::Timestamp(Duration::new(seconds, micros * 1000))),
        time().prop_map(Control::TimestampNs),
        (time(), time()).prop_map(|(software, hardware)| Control::Timestamping { software, hardware }),
        any::<u32>().prop_map(Control::RxqOverflow),
        any::<i32>().prop_map(Control::Unread),
        any::<u16>().prop_map(Control::SegmentSize),
        any::<u16>().prop_map(Control::GroSize),
        (error(), proptest::option::of(address4()))
            .prop_map(|(error, who)| Control::ExtendedError4(error, who)),
        (error(), proptest::option::of(address6()))
            .prop_map(|(error, who)| Control::ExtendedError6(error, who)),
        address4().prop_map(|address| Control::OriginalDestination(address.into())),
        address6().prop_map(|address| Control::OriginalDestination(address.into())),
        (address6(), any::<u32>()).prop_map(|(destination, mtu)| Control::PathMtu { destination, mtu }),
    ]
}

proptest! {
    #[test]
    fn messages_come_back_as_they_were(messages in proptest::collection::vec(message(), 0..8)) {
        let buffer = filled(usize::MAX, &messages);
        prop_assert!(!buffer.is_truncated());
        let read: Vec<Control> = Messages::new(buffer.as_bytes())
            .map(|message| message.unwrap())
            .map(|message| Control::decode(message.level, message.kind, message.payload).unwrap())
            .collect();
        prop_assert_eq!(read, messages);
    }

    /// A buffer with less room holds the beginning of what a large one would, but for lengths and descriptors.
    #[test]
    fn no_buffer_overflows(messages in proptest::collection::vec(message(), 0..8), room in 0usize..300) {
        let (buffer, whole) = (filled(room, &messages), filled(usize::MAX, &messages));
        prop_assert!(buffer.as_bytes().len() <= room);
        prop_assert_eq!(buffer.is_truncated(), {
            let last = messages.last().map_or(0, |last| cmsg_space(last.payload().len()) - cmsg_len(last.payload().len()));
            whole.as_bytes().len() - last > room
        });
        for message in Messages::new(buffer.as_bytes()) {
            prop_assert!(message.is_ok(), "what is given out can be read");
        }
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..100), len in 0u64..100) {
        let mut bytes = bytes;
        if let Some(first) = bytes.get_mut(..8) {
            first.copy_from_slice(&len.to_ne_bytes());
        }
        for message in Messages::new(&bytes).flatten() {
            let _ = Control::decode(message.level, message.kind, message.payload);
        }
        for sender in [ControlFor::Udp4, ControlFor::Udp6, ControlFor::Udp6Mapped, ControlFor::Raw4] {
            let _ = SendControl::parse(&bytes, sender);
        }
        let _ = LocalControl::parse(&bytes);
    }
}
