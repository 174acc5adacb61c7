//! Messages by their bytes, and what is left of those that make no sense.

use super::*;
use proptest::prelude::*;

const HARDWARE: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);

/// A server's message with these options.
fn message(options: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = Request::new(RequestKind::Discover, 7, HARDWARE).to_bytes();
    bytes[0] = 2;
    bytes[16..20].copy_from_slice(&[10, 0, 0, 9]);
    bytes.truncate(HEADER_LEN);
    for (kind, data) in options {
        bytes.extend_from_slice(&[*kind, data.len() as u8]);
        bytes.extend_from_slice(data);
    }
    bytes.push(255);
    bytes
}

const ACK: (u8, &[u8]) = (53, &[5]);
const SERVER: (u8, &[u8]) = (54, &[10, 0, 0, 1]);
const HOUR: (u8, &[u8]) = (51, &[0, 0, 14, 16]);

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

#[test]
fn a_request_says_who_asks_for_what() {
    let request = Request {
        seconds: 3,
        wanted: Some(ip("10.0.0.9")),
        server: Some(ip("10.0.0.1")),
        host_name: Some("alpha".to_owned()),
        ..Request::new(RequestKind::Request, 0x0102_0304, HARDWARE)
    };
    let bytes = request.to_bytes();
    let packet = DhcpPacket::new_checked(&bytes[..]).unwrap();
    assert_eq!(
        (packet.transaction_id(), packet.secs(), packet.opcode()),
        (0x0102_0304, 3, DhcpOpCode::Request)
    );
    assert_eq!(packet.client_hardware_address().0, HARDWARE.0);
    let options: Vec<_> = packet.options().map(|option| (option.kind, option.data.to_vec())).collect();
    assert_eq!(options[0], (53, vec![3]));
    assert_eq!(options[1], (61, vec![1, 2, 0, 0, 0, 0, 1]));
    assert_eq!(options[2..4], [(50, vec![10, 0, 0, 9]), (54, vec![10, 0, 0, 1])]);
    assert_eq!(options[4].1[..3], [1, 121, 3], "routes of all lengths before routers");
    assert_eq!(options[6], (12, b"alpha".to_vec()));
}

/// What a client must not say when it gives an address back (RFC 2131, table 5).
#[test]
fn a_release_asks_for_nothing() {
    let bytes = Request::new(RequestKind::Release, 1, HARDWARE).to_bytes();
    let packet = DhcpPacket::new_checked(&bytes[..]).unwrap();
    let kinds: Vec<u8> = packet.options().map(|option| option.kind).collect();
    assert_eq!(kinds, [53, 61]);
}

#[test]
fn a_reply_gives_all_that_it_names() {
    let bytes = message(&[
        ACK,
        SERVER,
        HOUR,
        (1, &[255, 255, 254, 0]),
        (3, &[10, 0, 0, 254, 10, 0, 0, 253]),
        (6, &[10, 0, 0, 53, 0, 0, 0, 0]),
        (15, b"example.org\0"),
        (26, &[5, 120]),
        (58, &[0, 0, 7, 8]),
        (59, &[0, 0, 12, 78]),
        (121, &[0, 10, 0, 0, 254, 25, 192, 0, 2, 255, 10, 0, 0, 253]),
    ]);
    let reply = Reply::parse(&bytes).unwrap();
    assert_eq!((reply.kind, reply.transaction, reply.hardware), (ReplyKind::Ack, 7, HARDWARE));
    assert_eq!((reply.address, reply.server), (ip("10.0.0.9"), ip("10.0.0.1")));
    assert_eq!((reply.prefix_len, reply.mtu), (Some(23), Some(1400)));
    assert_eq!(reply.routers, [ip("10.0.0.254"), ip("10.0.0.253")]);
    assert_eq!(reply.name_servers, [ip("10.0.0.53")]);
    assert_eq!(reply.domain.as_deref(), Some("example.org"));
    let seconds = [reply.lease, reply.renewal, reply.rebinding].map(|time| time.unwrap().as_secs());
    assert_eq!(seconds, [3600, 1800, 3150]);
    let routes = [(ip("0.0.0.0"), 0, ip("10.0.0.254")), (ip("192.0.2.128"), 25, ip("10.0.0.253"))];
    assert_eq!(reply.routes, routes, "bits behind the prefix do not count");
}

#[test]
fn a_lease_may_be_for_ever() {
    let bytes = message(&[ACK, SERVER, (51, &[255; 4])]);
    assert_eq!(Reply::parse(&bytes).unwrap().lease, None);
}

//= RFC 2131 §4.3.1, type=test
#[test]
fn what_lacks_its_necessities_is_no_reply() {
    let parse = |options: &[(u8, &[u8])]| Reply::parse(&message(options)).map(|reply| reply.kind);
    assert_eq!(parse(&[ACK, SERVER, HOUR]), Ok(ReplyKind::Ack));
    assert_eq!(parse(&[ACK, SERVER]), Err(Malformed::BadOption), "no time");
    assert_eq!(parse(&[ACK, HOUR]), Err(Malformed::BadOption), "no server");
    assert_eq!(parse(&[SERVER, HOUR]), Err(Malformed::BadOption), "no type");
    assert_eq!(parse(&[(53, &[1]), SERVER, HOUR]), Err(Malformed::Unsupported), "a client's");
    assert_eq!(parse(&[(53, &[6]), SERVER]), Ok(ReplyKind::Nak));
    let mut bytes = message(&[ACK, SERVER, HOUR]);
    bytes[16..20].copy_from_slice(&[255; 4]);
    assert_eq!(Reply::parse(&bytes), Err(Malformed::BadAddress));
    bytes[0] = 1;
    assert_eq!(Reply::parse(&bytes), Err(Malformed::Unsupported));
    assert_eq!(Reply::parse(&bytes[..HEADER_LEN - 1]), Err(Malformed::Truncated));
}

//= RFC 2132 §5.1, type=test
#[test]
fn an_option_that_makes_no_sense_is_left_out() {
    let bytes = message(&[
        ACK,
        SERVER,
        HOUR,
        (1, &[255, 0, 255, 0]),
        (26, &[0, 67]),
        (121, &[24, 10, 0, 0, 10, 0, 0]),
        (58, &[1]),
    ]);
    let reply = Reply::parse(&bytes).unwrap();
    assert_eq!((reply.prefix_len, reply.mtu, reply.renewal, reply.routes.len()), (None, None, None, 0));
    assert_eq!(routes(&[33, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
}

proptest! {
    #[test]
    fn any_bytes_can_be_parsed(tail in proptest::collection::vec(any::<u8>(), 0..400), sound in any::<bool>()) {
        let mut bytes = message(&[ACK, SERVER, HOUR]);
        bytes.pop();
        bytes.truncate(if sound { bytes.len() } else { HEADER_LEN });
        bytes.extend(tail);
        let parsed = Reply::parse(&bytes);
        prop_assert!(!sound || parsed.is_ok(), "{:?}", parsed);
        let _ = Reply::parse(&bytes[4..]);
    }
}

/// A message that is too short for all options has some in the fields of names, where an option says so.
//= RFC 2131 §4.1 MUST-7, type=test
//= RFC 2131 §4.1 MUST-8, type=test
//= RFC 2131 §4.1 MUST-9, type=test
#[test]
fn options_in_the_fields_of_names_are_read_after_the_others() {
    let dns = |last: u8| [6, 4, 10, 0, 0, last];
    for (overload, expected) in
        [(None, None), (Some(1), Some("10.0.0.2")), (Some(2), Some("10.0.0.3")), (Some(3), Some("10.0.0.2"))]
    {
        let mut options = vec![ACK, SERVER, HOUR];
        let which = overload.map(|which: u8| [which]);
        options.extend(which.as_ref().map(|which| (52, &which[..])));
        let mut bytes = message(&options);
        bytes[FILE][..7].copy_from_slice(&[&dns(2)[..], &[255]].concat());
        bytes[SERVER_NAME][..7].copy_from_slice(&[&dns(3)[..], &[255]].concat());
        let servers = Reply::parse(&bytes).unwrap().name_servers;
        assert_eq!(servers.first().map(ToString::to_string).as_deref(), expected, "{overload:?}");
        // What stands among the options goes before, and an option that is cut off by its field's end is none.
        let mut bytes = message(&[&options[..], &[(6, &[10, 0, 0, 1])]].concat());
        bytes[FILE][..6].copy_from_slice(&dns(2));
        bytes[FILE][126..].copy_from_slice(&[3, 4]);
        let reply = Reply::parse(&bytes).unwrap();
        assert_eq!((reply.name_servers, reply.routers), (vec![ip("10.0.0.1")], vec![]));
    }
}
