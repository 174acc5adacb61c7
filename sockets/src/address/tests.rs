use super::*;
use proptest::prelude::*;

fn sockaddr_in(port: u16, ip: [u8; 4]) -> Vec<u8> {
    let mut bytes = 2u16.to_ne_bytes().to_vec();
    bytes.extend(port.to_be_bytes());
    bytes.extend(ip);
    bytes.extend([0; 8]);
    bytes
}

#[test]
fn sockaddr_in_as_linux_lays_it_out() {
    let bytes = sockaddr_in(0x1234, [192, 0, 2, 7]);
    let address = SockAddr::from_bytes(&bytes).unwrap();
    assert_eq!(address, SockAddr::V4("192.0.2.7:4660".parse().unwrap()));
    assert_eq!(&address.as_bytes()[..], &bytes[..]);
    // What follows is not looked at, as a caller may hand in all of a sockaddr_storage.
    let longer = [&bytes[..], &[0xff; 112]].concat();
    assert_eq!(SockAddr::from_bytes(&longer), Ok(address));
}

#[test]
fn sockaddr_in6_with_and_without_scope() {
    let mut bytes = 10u16.to_ne_bytes().to_vec();
    bytes.extend([0, 53]);
    bytes.extend([0, 1, 2, 3]);
    bytes.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    bytes.extend(7u32.to_ne_bytes());
    let ip = "fe80::1".parse().unwrap();
    let address = SockAddr::from_bytes(&bytes).unwrap();
    assert_eq!(address, SockAddr::V6(SocketAddrV6::new(ip, 53, 0x0001_0203, 7)));
    assert_eq!(&address.as_bytes()[..], &bytes[..]);
    let old = SockAddr::from_bytes(&bytes[..24]).unwrap();
    assert_eq!(old, SockAddr::OldV6(SocketAddrV6::new(ip, 53, 0x0001_0203, 0)));
    assert_eq!(&old.as_bytes()[..], &bytes[..24]);
}

#[test]
fn too_short_or_too_long_is_refused() {
    let in4 = sockaddr_in(1, [127, 0, 0, 1]);
    let in6 = SockAddr::V6("[::1]:1".parse().unwrap()).as_bytes();
    let unix = [&1u16.to_ne_bytes()[..], &[b'x'; 109]].concat();
    for bytes in [&[0; 129][..], &unix] {
        assert_eq!(SockAddr::from_bytes(bytes), Err(Errno::INVAL), "{} bytes", bytes.len());
    }
    // The calls refuse what is too short, when it comes to that.
    for (bytes, family) in [(&[][..], 0), (&[2], 0), (&in4[..15], 2), (&in4[..2], 2), (&in6[..23], 10)] {
        // Whoever takes it for IPv4's, as Linux's raw sockets do, finds one where it is long enough.
        let as_v4 = (bytes.len() >= 16).then(|| "0.0.0.0:1".parse().unwrap());
        let short = SockAddr::Other { family, len: bytes.len() as u8, as_v4 };
        assert_eq!(SockAddr::from_bytes(bytes), Ok(short), "{} bytes", bytes.len());
    }
}

#[test]
fn unspecified_and_foreign_families() {
    let mut bytes = sockaddr_in(9, [0, 0, 0, 0]);
    bytes[..2].copy_from_slice(&0u16.to_ne_bytes());
    assert_eq!(SockAddr::from_bytes(&bytes), Ok(SockAddr::Unspec(Some("0.0.0.0:9".parse().unwrap()))));
    assert_eq!(SockAddr::from_bytes(&bytes[..2]), Ok(SockAddr::Unspec(None)));
    bytes[..2].copy_from_slice(&16u16.to_ne_bytes());
    let netlink = SockAddr::from_bytes(&bytes[..12]).unwrap();
    assert_eq!(netlink, SockAddr::Other { family: 16, len: 12, as_v4: None });
    assert_eq!(netlink.as_bytes().len(), 12);
}

#[test]
fn sockaddr_un_in_its_three_kinds() {
    let family = 1u16.to_ne_bytes();
    let read = |field: &[u8]| match SockAddr::from_bytes(&[&family[..], field].concat()) {
        Ok(SockAddr::Unix(address)) => address,
        other => panic!("{other:?}"),
    };
    assert_eq!(read(b"").name(), UnixName::Unnamed);
    assert_eq!(read(b"/tmp/x").name(), UnixName::Path(b"/tmp/x"));
    assert_eq!(read(b"/tmp/x\0junk").name(), UnixName::Path(b"/tmp/x"));
    assert_eq!(read(b"\0a\0b").name(), UnixName::Abstract(b"a\0b"));
    assert_eq!(read(b"\0").name(), UnixName::Abstract(b""));
    assert_eq!(read(&[b'x'; 108]).name(), UnixName::Path(&[b'x'; 108]));

    // unix(7): a path comes back with its zero byte, so that of 108 bytes makes 111.
    assert_eq!(&SockAddr::Unix(read(b"ab")).as_bytes()[..], [&family[..], b"ab\0"].concat());
    assert_eq!(&SockAddr::Unix(read(b"\0ab")).as_bytes()[..], [&family[..], b"\0ab"].concat());
    assert_eq!(SockAddr::Unix(read(&[b'x'; 108])).copy_out(&mut []), 111);
    assert_eq!(SockAddr::Unix(UnixAddr::UNNAMED).copy_out(&mut []), 2);
}

#[test]
fn names_are_checked() {
    for (made, expected) in [
        (UnixAddr::path(b""), Err(Errno::INVAL)),
        (UnixAddr::path(b"a\0b"), Err(Errno::INVAL)),
        (UnixAddr::path(&[b'a'; 109]), Err(Errno::INVAL)),
        (UnixAddr::abstract_name(&[0; 108]), Err(Errno::INVAL)),
        (UnixAddr::abstract_name(&[0; 107]).map(|_| UnixAddr::UNNAMED), Ok(UnixAddr::UNNAMED)),
    ] {
        assert_eq!(made, expected);
    }
}

#[test]
fn addresses_print_as_people_write_them() {
    for (address, text) in [
        (SockAddr::V4("1.2.3.4:5".parse().unwrap()), "1.2.3.4:5"),
        (SockAddr::V6("[::1]:5".parse().unwrap()), "[::1]:5"),
        (SockAddr::Unix(UnixAddr::abstract_name(b"x\0").unwrap()), "@x\\x00"),
        (SockAddr::Unspec(None), "(unspecified)"),
    ] {
        assert_eq!(address.to_string(), text);
    }
}

proptest! {
    #[test]
    fn any_bytes_read_back_as_they_were_written(bytes in proptest::collection::vec(any::<u8>(), 0..140), family in 0u16..12) {
        let mut bytes = bytes;
        if bytes.len() >= 2 {
            bytes[..2].copy_from_slice(&family.to_ne_bytes());
        }
        if let Ok(address) = SockAddr::from_bytes(&bytes) {
            let written = address.as_bytes();
            // A path of 108 bytes is given out with a zero byte more than sockaddr_un has room for.
            if written.len() <= SOCKADDR_UN_LEN {
                prop_assert_eq!(SockAddr::from_bytes(&written), Ok(address));
            }
        }
    }
}
