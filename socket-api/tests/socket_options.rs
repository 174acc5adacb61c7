//! The typed options of `Socket` reach the options that they are named for.

use std::net::{Ipv4Addr, Ipv6Addr};

use tapsock::net::{TcpListener, TcpStream};
use tapsock::socket::{Domain, Socket, Type};
use tapsock::{Host, bsd};

/// Sets by name, and reads by name and by number.
macro_rules! reach {
    ($socket:expr; $($set:ident, $get:ident: $value:expr => $level:ident $option:ident;)*) => {
        $(
            $socket.$set($value).expect(stringify!($set));
            assert_eq!($socket.$get().expect(stringify!($get)), $value, stringify!($get));
            let raw = $socket.option(bsd::$level, bsd::$option).expect(stringify!($option));
            assert_eq!(raw.as_int().map(i64::from), Some(i64::from($value)), stringify!($option));
        )*
    };
}

#[test]
fn typed_options_are_those_of_their_names() {
    let host = Host::builder().privileged().start().unwrap();
    let tcp = Socket::new(&host, Domain::IPV4, Type::STREAM, None).unwrap();
    let udp = Socket::new(&host, Domain::IPV4, Type::DGRAM, None).unwrap();
    let udp6 = Socket::new(&host, Domain::IPV6, Type::DGRAM, None).unwrap();
    reach! { tcp;
        set_tcp_quickack, tcp_quickack: false => SOL_TCP TCP_QUICKACK;
        set_tcp_linger2, tcp_linger2: 7 => SOL_TCP TCP_LINGER2;
        set_ip_transparent_v4, ip_transparent_v4: true => SOL_IP IP_TRANSPARENT;
        set_zero_copy, zero_copy: true => SOL_SOCKET SO_ZEROCOPY;
    }
    reach! { tcp;
        set_min_ttl_v4, min_ttl_v4: 9u32 => SOL_IP IP_MINTTL;
        set_tcp_defer_accept, tcp_defer_accept: 3u32 => SOL_TCP TCP_DEFER_ACCEPT;
        set_tcp_notsent_lowat, tcp_notsent_lowat: 5_000u32 => SOL_TCP TCP_NOTSENT_LOWAT;
        set_tcp_window_clamp, tcp_window_clamp: 50_000u32 => SOL_TCP TCP_WINDOW_CLAMP;
        set_mark, mark: 11u32 => SOL_SOCKET SO_MARK;
        set_priority, priority: 5u32 => SOL_SOCKET SO_PRIORITY;
        set_busy_poll, busy_poll: 40u32 => SOL_SOCKET SO_BUSY_POLL;
    }
    tcp.set_max_pacing_rate(1 << 33).unwrap();
    assert_eq!(tcp.max_pacing_rate().unwrap(), 1 << 33);
    reach! { udp;
        set_multicast_ttl_v4, multicast_ttl_v4: 8u32 => SOL_IP IP_MULTICAST_TTL;
        set_multicast_loop_v4, multicast_loop_v4: false => SOL_IP IP_MULTICAST_LOOP;
        set_multicast_all_v4, multicast_all_v4: false => SOL_IP IP_MULTICAST_ALL;
    }
    let (group, loopback) = (Ipv4Addr::new(239, 1, 1, 1), Ipv4Addr::LOCALHOST);
    udp.set_multicast_if_v4(&loopback).unwrap();
    assert_eq!(udp.multicast_if_v4().unwrap(), loopback);
    // Each leaves what the other has joined, and nothing twice.
    udp.join_multicast_v4(&group, &loopback).unwrap();
    udp.leave_multicast_v4(&group, &loopback).unwrap();
    assert!(udp.leave_multicast_v4(&group, &loopback).is_err());
    let source = Ipv4Addr::new(127, 0, 0, 2);
    udp.join_ssm_v4(&source, &group, &loopback).unwrap();
    assert!(udp.leave_ssm_v4(&loopback, &group, &loopback).is_err(), "another source");
    udp.leave_ssm_v4(&source, &group, &loopback).unwrap();
    let group: Ipv6Addr = "ff01::9".parse().unwrap();
    udp6.join_multicast_v6(&group, 1).unwrap();
    udp6.leave_multicast_v6(&group, 1).unwrap();
    assert!(udp6.leave_multicast_v6(&group, 1).is_err());
    reach! { udp6;
        set_multicast_hops_v6, multicast_hops_v6: 8u32 => SOL_IPV6 IPV6_MULTICAST_HOPS;
        set_multicast_if_v6, multicast_if_v6: 1u32 => SOL_IPV6 IPV6_MULTICAST_IF;
    }
    reach! { udp6;
        set_dont_fragment_v6, dont_fragment_v6: true => SOL_IPV6 IPV6_DONTFRAG;
        set_recv_path_mtu_v6, recv_path_mtu_v6: true => SOL_IPV6 IPV6_RECVPATHMTU;
        set_multicast_loop_v6, multicast_loop_v6: false => SOL_IPV6 IPV6_MULTICAST_LOOP;
        set_multicast_all_v6, multicast_all_v6: false => SOL_IPV6 IPV6_MULTICAST_ALL;
    }

    let listener = TcpListener::bind(&host, "127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(&host, listener.local_addr().unwrap()).unwrap();
    for quickack in [false, true] {
        stream.set_quickack(quickack).unwrap();
        assert_eq!(stream.quickack().unwrap(), quickack);
    }
}
