//! What comes from files and from other processes: texts of names, captures, questions at the control socket, and frames
//! in a stream.

use std::io::Write;
use std::os::unix::net::UnixStream;

use tapsock::control::Request;
use tapsock::resolve::dns::{ResolvConf, SEARCH_MAX, SERVERS_MAX};
use tapsock::resolve::{Family, HostsFile, Protocols, Services};
use tapsock_driver::pcapng::Direction;
use tapsock_driver::pcapng::read::{Frame, Source};
use tapsock_driver::print::{End, Filter, Layer, Packet, Style, text_max};
use tapsock_driver::stream::StreamLink;
use tapsock_driver::{Link, RecvSlot};
use tapsock_stack::wire::offload::Medium;

/// Each of the texts of names.
pub(super) fn texts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let conf = ResolvConf::parse(&text, &[]);
    assert!(conf.servers.len() <= SERVERS_MAX && conf.search.len() <= SEARCH_MAX);
    assert!(
        conf.ndots <= 15 && (1..=5).contains(&conf.attempts) && (1..=30).contains(&conf.timeout.as_secs())
    );
    let (hosts, services, protocols) =
        (HostsFile::parse(&text), Services::parse(&text), Protocols::parse(&text));
    // Whatever is found by a word of the text is found by what was found.
    for word in text.split_ascii_whitespace() {
        if let Some((name, addresses)) = hosts.by_name(word, Family::Any) {
            assert!(!name.is_empty() && !addresses.is_empty() && addresses.len() <= text.lines().count());
            assert!(hosts.by_name(name, Family::Any).is_some());
            assert!(addresses.iter().any(|address| hosts.by_address(*address).is_some()));
        }
        if let Some(service) = services.by_name(word, None) {
            assert!(services.by_port(service.port(), None).is_some());
        }
        if let Some(protocol) = protocols.by_name(word) {
            assert!(protocols.by_number(protocol.number()).is_some());
        }
    }
}

/// What is understood is said again, and understood the same.
pub(super) fn question(bytes: &[u8]) {
    let Ok(request) = serde_json::from_slice::<Request>(bytes) else { return };
    let said = serde_json::to_vec(&request).expect("what was read can be written");
    let again: Request = serde_json::from_slice(&said).expect("what was written can be read");
    assert_eq!(again, request);
}

/// No frame is longer than all that was read.
pub(super) fn capture(bytes: &[u8]) {
    let Ok(mut source) = Source::new(Box::new(std::io::Cursor::new(bytes.to_vec()))) else { return };
    let mut left = bytes.len();
    while let Ok(Some(frame)) = source.next_frame() {
        left = left.checked_sub(frame.bytes.len()).expect("a frame of bytes that were not there");
    }
}

/// A stream of frames in pieces: the first byte says how long those are. What comes is what a reader of the whole finds.
pub(super) fn stream(bytes: &[u8]) {
    let Some((step, bytes)) = bytes.split_first() else { return };
    let (here, mut there) = UnixStream::pair().expect("a pair");
    let link = StreamLink::from_fd(here.into(), 65_520).expect("it is a stream");
    let (mut receive, _keep) = Box::new(link).split();
    let (mut slot, mut frames, mut broken) = (RecvSlot::new(), Vec::new(), false);
    for piece in bytes.chunks(usize::from(*step) + 1) {
        there.write_all(piece).expect("it is read at once");
        // A frame at the most ends with each byte, and after so many empty ones a call gives up for once.
        for _ in 0..=piece.len() {
            match receive.receive(&mut slot) {
                Ok(frame) => frames.push(frame.bytes.to_vec()),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => broken = true,
            }
        }
        if broken {
            break;
        }
    }
    let (mut rest, mut expected) = (bytes, Vec::new());
    while let Some((prefix, after)) = rest.split_first_chunk() {
        let len = u32::from_be_bytes(*prefix) as usize;
        // The longest that such a link carries.
        if len > 66 * 1024 {
            assert!(broken, "a frame of {len} bytes");
            break;
        }
        let Some((frame, after)) = after.split_at_checked(len) else { break };
        expected.extend((len > 0).then(|| frame.to_vec()));
        rest = after;
    }
    assert!(frames == expected, "{} frames where there are {}", frames.len(), expected.len());
}

/// A frame as `tapsock dump` prints it, in every form; the first byte says over which medium it came. What is printed has
/// an end, and only signs that a terminal takes for what they are.
pub(super) fn printed(bytes: &[u8]) {
    let Some((medium, bytes)) = bytes.split_first() else { return };
    let medium = if medium % 2 == 0 { Medium::Ethernet } else { Medium::Ip };
    let (interface, direction) = ("eth0".to_owned(), Direction::Received);
    let frame = Frame { nanos: u64::MAX, interface, medium, direction, bytes: bytes.to_vec() };
    let packet = Packet::parse(&frame);
    let printable = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t'));
    for (verbose, hex) in [(false, false), (true, false), (true, true)] {
        let style = Style { services: None, verbose, hex };
        let (line, object) = (style.line(&frame, &packet), style.json(&frame, &packet));
        assert!(
            line.len() <= text_max(bytes.len()) && object.len() <= text_max(bytes.len()),
            "{line}{object}"
        );
        assert!(printable(&line) && line.ends_with('\n') && printable(&object), "{line:?} {object:?}");
        let object: serde_json::Value = serde_json::from_str(&object).expect("it is JSON");
        assert!(object["text"].as_str().is_some_and(|text| line.contains(text)), "{line} {object}");
    }
    // Whatever it is, a filter takes it or takes it not.
    for layer in [Layer::Ip, Layer::Ip6, Layer::Arp, Layer::Tcp, Layer::Udp, Layer::Icmp, Layer::Icmp6] {
        let not = Filter::Not(Box::new(Filter::Is(layer)));
        assert!(not.takes(&packet) != packet.is(layer), "{layer:?}");
    }
    if let Some((source, destination)) = packet.addresses() {
        assert!(Filter::Host(End::Source, source).takes(&packet));
        assert!(Filter::Host(End::Either, destination).takes(&packet));
    }
}

/// The words of a filter.
pub(super) fn filter(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(why) = Filter::parse(&text) {
        assert!(!why.is_empty());
    }
}

/// The index of the parser in [`super::PARSERS`] behind the first of these, and its input.
pub(super) fn seeds() -> Vec<(u8, Vec<u8>)> {
    let text = "nameserver 192.0.2.1\nsearch a.example b\noptions ndots:3 timeout:9 rotate use-vc\ndomain c\n\
                192.0.2.9 alpha.example alpha # no\n::1 localhost\nhttp 80/tcp www\ntcp 6 TCP\n";
    let mut seeds = vec![(0, text.as_bytes().to_vec())];
    for question in [
        r#"{"ask":"links"}"#,
        r#"{"ask":"sockets","tcp":true,"local":true}"#,
        r#"{"ask":"route_to","destination":"192.0.2.1","from":null}"#,
        r#"{"ask":"capture"}"#,
    ] {
        seeds.push((1, question.as_bytes().to_vec()));
    }
    let block = |kind: u32, body: &[u8]| {
        let len = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &len, body, &len].concat()
    };
    let section =
        block(0x0a0d_0d0a, &[&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
    // With a name, and a resolution of nanoseconds.
    let options = [2, 0, 4, 0, b'e', b't', b'h', b'0', 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0];
    let interface = block(1, &[&[1, 0, 0, 0, 0, 0, 4, 0][..], &options].concat());
    let packet = block(
        6,
        &[&[0; 12][..], &[60, 0, 0, 0, 60, 0, 0, 0], &[7; 60], &[2, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0]]
            .concat(),
    );
    let simple = block(3, &[&[8, 0, 0, 0][..], &[7; 8]].concat());
    seeds.push((2, [&section[..], &interface, &packet, &simple, &section, &interface, &packet].concat()));
    let head =
        [&0xa1b2_c3d4_u32.to_le_bytes()[..], &[2, 0, 4, 0], &[0; 8], &[0, 0, 4, 0, 1, 0, 0, 0]].concat();
    seeds.push((2, [&head[..], &[0; 8], &[4, 0, 0, 0, 4, 0, 0, 0], &[7; 4]].concat()));
    let frame = |len: u32| [&len.to_be_bytes()[..], &vec![7; len as usize]].concat();
    let frames = [frame(60), frame(0), frame(1), frame(300)].concat();
    for step in [0, 3, 63, 255] {
        seeds.push((3, [&[step], &frames[..]].concat()));
    }
    seeds.push((3, [&[9][..], &frame(14), &[0xff; 8]].concat()));
    // Frames of all kinds, and what is in those by itself.
    for frame in crate::frames::samples().into_iter().filter(|frame| frame.len() <= 200) {
        seeds.push((4, [&[0][..], &frame].concat()));
        seeds.push((4, [&[1][..], frame.get(14..).unwrap_or_default()].concat()));
    }
    seeds.push((5, b"src host 10.0.0.1 and not (tcp port 80 or ip6) || dst fd00::1".to_vec()));
    seeds
}
