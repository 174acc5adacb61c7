//! Whatever the text, there is a script or there are errors within it.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{ERRORS_MAX, parse};

/// A script with every form in it.
const WHOLE: &str = r#"--mtu=1500
--define=COOKIE=3021b9d8
`sysctl -q net.ipv4.tcp_sack=1`
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3 // comment
+0 bind(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.1")}, 16) = 0
+.1 < [ect0] SEWA 0:0(0) win 65535 <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7>
* > (tos 0x10) S.5 0:0(0) ack 1 <...>
+.1~+.2 > [ce, flowlabel 0x5] 1 > 2 P. 1:1001(1000) ack 1 urg 5 <nop,nop,sack 1:2 3:4>
+0 > S 0:0(0) <FO COOKIE,nop,nop,md5 000102030405060708090a0b0c0d0e0f,nop,nop>
+0 > . 1:1(0) <FOEXP 12,eol,eol,eol,ECN e1b 1 ceb 2 e0b 3,nop>
+0 < icmp unreachable frag_needed mtu 1200 [1:1461(1460)] /* comment */
+0 > icmp echo_reply id 7 [raw (56)]
+0 < udp 1 > 2 (100)
+0...0.2 read(4, ..., 1000) = -1 EAGAIN (Resource temporarily unavailable)
+0 write(4, "a\x41\0"..., 3) = 3
+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0x802 (flags O_RDWR)
+0 poll([{fd=3, events=POLLIN, revents=0}], 1, -1) = 0
+0 epoll_ctl(5, EPOLL_CTL_ADD, 4, {events=EPOLLIN, ptr=4}) = 0
+0 setsockopt(3, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0
+0 recvmsg(3, {msg_name(...)=..., msg_iov(1)=[{..., 5}], msg_flags=0, msg_control=[
   {cmsg_level=SOL_IP, cmsg_type=IP_RECVERR, cmsg_data={ee_errno=0, ee_origin=5, ee_type=0, ee_code=1,
    ee_info=0, ee_data=0}}, {cmsg_level=1, cmsg_type=37, cmsg_data={scm_sec=1,scm_nsec=2}}]}, 0) = 5
+0 %{ assert tcpi_snd_cwnd == 10 }%
`true`
"#;

fn check(text: &str) {
    let Err(errors) = parse("s.pkt", text) else { return };
    assert!(!errors.is_empty() && errors.len() <= ERRORS_MAX);
    let lines = text.lines().count() as u32 + 1;
    assert!(errors.iter().all(|error| (1..=lines).contains(&error.at.line) && error.at.column >= 1));
}

#[test]
fn the_whole_script_is_one() {
    assert_eq!(parse("s.pkt", WHOLE).unwrap().events.len(), 18);
}

fn pieces(text: &str) -> Vec<&str> {
    text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()).collect()
}

proptest! {
    #[test]
    fn of_bytes(bytes in vec(any::<u8>(), 0..200)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn of_pieces_in_any_order(words in vec(select(pieces(WHOLE)), 0..60)) {
        check(&words.concat());
    }

    #[test]
    fn of_a_script_with_a_part_cut_out(from in 0..WHOLE.len(), to in 0..WHOLE.len()) {
        let (from, to) = (from.min(to), from.max(to));
        check(&format!("{}{}", &WHOLE[..from], &WHOLE[to..]));
    }

    #[test]
    fn of_a_script_with_pieces_exchanged(places in vec((any::<usize>(), any::<usize>()), 1..5)) {
        let mut parts = pieces(WHOLE);
        for (one, other) in places {
            let count = parts.len();
            parts.swap(one % count, other % count);
        }
        check(&parts.concat());
    }

    #[test]
    fn of_a_script_with_a_byte_changed(place in 0..WHOLE.len(), byte in 0u8..128) {
        let mut bytes = WHOLE.as_bytes().to_vec();
        bytes[place] = byte;
        check(&String::from_utf8_lossy(&bytes));
    }
}
