//! Commands in, effects out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

const AT: Position = Position { line: 1, column: 1 };

/// Runs commands in `/tests` on a system.
fn run_on(system: &mut Recorder, commands: &str) -> Result<Outcome, ShellError> {
    Shell::new(Path::new("/tests")).run("s.pkt", AT, commands, system)
}

fn effects(commands: &str) -> Vec<Effect> {
    let mut system = Recorder::new();
    match run_on(&mut system, commands) {
        Ok(_) => system.effects,
        Err(error) => panic!("{commands}: {error}"),
    }
}

fn outcome(commands: &str) -> (u8, String) {
    let outcome = run_on(&mut Recorder::new(), commands).unwrap();
    (outcome.status, outcome.output)
}

fn error(commands: &str) -> String {
    run_on(&mut Recorder::new(), commands).unwrap_err().to_string()
}

fn set(name: &str, value: &str) -> Effect {
    Effect::SetSysctl { name: name.to_owned(), value: value.to_owned() }
}

fn read(name: &str) -> Effect {
    Effect::ReadSysctl { name: name.to_owned() }
}

#[test]
fn sysctl_sets_one_or_many_with_any_quotes() {
    assert_eq!(
        effects("sysctl -q -w net.ipv4.tcp_sack=1 net.ipv4.tcp_dsack=0"),
        [set("net.ipv4.tcp_sack", "1"), set("net.ipv4.tcp_dsack", "0")]
    );
    assert_eq!(
        effects("sysctl -q net.ipv4.tcp_rmem=\"4096 540000 $((15*1024*1024))\""),
        [set("net.ipv4.tcp_rmem", "4096 540000 15728640")]
    );
    assert_eq!(effects("sysctl -qw 'net.ipv4.tcp_wmem=1 2 3'"), [set("net.ipv4.tcp_wmem", "1 2 3")]);
    assert_eq!(effects("/sbin/sysctl net/ipv4/tcp_ecn=2"), [set("net.ipv4.tcp_ecn", "2")]);
    assert_eq!(effects("sysctl -q \\\n a.b=0x3 \\\n a.c=4 # why\n"), [set("a.b", "0x3"), set("a.c", "4")]);
    assert_eq!(outcome("sysctl a.b=1"), (0, "a.b = 1\n".to_owned()));
    assert_eq!(error("sysctl --pattern x"), "s.pkt:1:2: the option '--pattern' of sysctl is not supported");
}

#[test]
fn sysctl_reads_and_tells_what_is_not_there() {
    let mut system = Recorder::new().with_outcome(read("a.b"), Outcome::printed("7\n"));
    assert_eq!(run_on(&mut system, "sysctl -n a.b").unwrap(), Outcome::printed("7\n"));
    assert_eq!(run_on(&mut system, "sysctl a.b").unwrap(), Outcome::printed("a.b = 7\n"));
    assert_eq!(run_on(&mut system, "cat /proc/sys/a/b").unwrap(), Outcome::printed("7\n"));
    let mut without = Recorder::new().with_outcome(set("a.b", "1"), Outcome::failed());
    assert_eq!(run_on(&mut without, "sysctl -q a.b=1").unwrap().status, 1);
    assert_eq!(run_on(&mut without, "sysctl -e -q a.b=1").unwrap().status, 0);
    run_on(&mut without, "sysctl -q a.b=1 &> /dev/null ||\\\n ip tcp_metrics flush all &> /dev/null")
        .unwrap();
    assert_eq!(without.effects.last(), Some(&Effect::FlushMetrics));
}

#[test]
fn echo_writes_sysctls_parameters_and_files() {
    assert_eq!(effects("echo 1 > /proc/sys/net/ipv4/tcp_sack"), [set("net.ipv4.tcp_sack", "1")]);
    assert_eq!(effects("echo \"4 5  6\" >/proc/sys/net/ipv4/tcp_rmem"), [set("net.ipv4.tcp_rmem", "4 5  6")]);
    let (module, name, value) = ("tcp_cubic".to_owned(), "hystart_detect".to_owned(), "3".to_owned());
    assert_eq!(
        effects("echo 3 > /sys/module/tcp_cubic/parameters/hystart_detect"),
        [Effect::SetParameter { module, name, value }]
    );
    let (path, content) = (PathBuf::from("/tests/x"), b"a b\n".to_vec());
    assert_eq!(effects("echo a   b >> x"), [Effect::WriteFile { path, content, append: true }]);
    assert_eq!(effects("echo 1 > /dev/null 2>&1"), []);
    assert_eq!(outcome("echo -n a; echo b 2>/dev/null; echo c >&2"), (0, "ab\n".to_owned()));
}

#[test]
fn set_sysctls_keeps_what_its_restore_file_restores() {
    let mut system = Recorder::new()
        .with_outcome(read("net.ipv4.tcp_wmem"), Outcome::printed("4096\t16384\t4194304\n"))
        .with_outcome(read("net.ipv4.tcp_ecn"), Outcome::printed("2\n"));
    let mut shell = Shell::new(Path::new("/tests"));
    let mut run = |commands: &str| shell.run("s.pkt", AT, commands, &mut system).unwrap();
    assert_eq!(run("/tmp/sysctl_restore_${PPID}.sh").status, 127);
    run(
        "../../common/set_sysctls.py /proc/sys/net/ipv4/tcp_wmem=\"1 2 3\" \\\n /proc/sys/net/ipv4/tcp_ecn=0\\\n",
    );
    assert_eq!(run("/tmp/sysctl_restore_${PPID}.sh").status, 0);
    assert_eq!(
        system.effects,
        [
            read("net.ipv4.tcp_wmem"),
            set("net.ipv4.tcp_wmem", "1 2 3"),
            read("net.ipv4.tcp_ecn"),
            set("net.ipv4.tcp_ecn", "0"),
            set("net.ipv4.tcp_wmem", "4096\t16384\t4194304"),
            set("net.ipv4.tcp_ecn", "2"),
        ]
    );
    assert_eq!(error("set_sysctls.py a=1"), "s.pkt:1:2: expected /proc/sys/…=value, found 'a=1'");
}

#[test]
fn scripts_are_read_from_the_directory_of_the_packet_script() {
    let mut system = Recorder::new()
        .with_script("/tests/../common/defaults.sh", "#!/bin/bash\n# sets\nsysctl -q a.b=$1\n./inner.sh\n")
        .with_script("/tests/./inner.sh", "sysctl -q a.c=2\nexit 3\nsysctl -q a.d=1\n");
    let outcome = run_on(&mut system, "../common/defaults.sh 7\necho $?").unwrap();
    assert_eq!(system.effects, [set("a.b", "7"), set("a.c", "2")]);
    assert_eq!(outcome, Outcome::printed("3\n"));
    assert_eq!(error("./none.sh"), "s.pkt:1:2: can't read './none.sh': entity not found");
}

#[test]
fn scripts_have_their_own_places_in_errors() {
    let mut system = Recorder::new().with_script("/tests/a.sh", "true\n  nonsense -x\n");
    let error = run_on(&mut system, "\n source a.sh").unwrap_err();
    assert_eq!(error.to_string(), "/tests/a.sh:2:3: the program 'nonsense' is not supported");
    let mut python = Recorder::new().with_script("/tests/a.py", "#!/usr/bin/env python3\n");
    let error = run_on(&mut python, "/tests/a.py").unwrap_err();
    assert_eq!(error.message, "'/tests/a.py' is a script of /usr/bin/env python3, and no shell script");
    let mut endless = Recorder::new().with_script("/tests/a.sh", ". a.sh");
    assert!(run_on(&mut endless, ". a.sh").unwrap_err().message.contains("more than 16 deep"));
}

#[test]
fn routes_have_attributes() {
    let route = |commands: &str| match effects(commands).remove(0) {
        Effect::Route(route) => route,
        other => panic!("{other:?}"),
    };
    let number = |name: &str, value| RouteAttribute::Number { name: name.to_owned(), value, locked: false };
    let change =
        route("ip route change 192.0.2.1 via 192.168.0.2 dev tun0 advmss 600 mtu lock 640 initcwnd 11");
    assert_eq!(
        change,
        RouteChange {
            action: RouteAction::Change,
            destination: Some(("192.0.2.1".parse().unwrap(), 32)),
            v6: false,
            via: Some("192.168.0.2".parse().unwrap()),
            device: Some("tun0".to_owned()),
            source: None,
            local: false,
            attributes: vec![
                number("advmss", 600),
                RouteAttribute::Mtu { value: 640, locked: true },
                number("initcwnd", 11)
            ],
        }
    );
    assert!(route("ip route add local 192.168.0.0/16 dev lo").local);
    let six = route("ip -6 route add 2001:DB8::/32 via fd00::1");
    assert_eq!((six.v6, six.destination), (true, Some(("2001:db8::".parse().unwrap(), 32))));
    let default = route("ip route replace default dev tun0 rto_min 20ms src 10.0.0.1 congctl reno");
    assert_eq!(default.destination, None);
    let (name, value) = ("rto_min".to_owned(), Duration::from_millis(20));
    assert_eq!(default.attributes[0], RouteAttribute::Time { name, value, locked: false });
    let (name, value) = ("congctl".to_owned(), "reno".to_owned());
    assert_eq!(default.attributes[1], RouteAttribute::Word { name, value });
    assert_eq!(error("ip route add 1.2.3"), "s.pkt:1:2: '1.2.3' is no address or prefix");
    assert_eq!(error("ip route add 1.2.3.4/33"), "s.pkt:1:2: '1.2.3.4/33' is no address or prefix");
    assert_eq!(error("ip route add default color 5"), "s.pkt:1:2: 'color' in 'ip route' is not supported");
    assert_eq!(error("ip rule add x"), "s.pkt:1:2: 'ip rule add x' is not supported");
}

#[test]
fn interfaces_have_addresses_offloads_and_queues() {
    let device = || "tun0".to_owned();
    assert_eq!(effects("ip tcp_metrics flush all > /dev/null 2>&1"), [Effect::FlushMetrics]);
    assert_eq!(
        effects("ip addr add 10.0.0.1/8 dev tun0; ip link set dev tun0 up mtu 1400"),
        [
            Effect::Address { add: true, address: "10.0.0.1".parse().unwrap(), prefix: 8, device: device() },
            Effect::Link { device: device(), up: Some(true), mtu: Some(1400) }
        ]
    );
    let discipline = |action: &str, kind: Option<&str>, arguments: &[&str]| Effect::Discipline {
        action: action.to_owned(),
        device: device(),
        kind: kind.map(str::to_owned),
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
    };
    assert_eq!(
        effects("tc qdisc delete dev tun0 root 2>/dev/null ; tc qdisc add dev tun0 root pfifo limit 0"),
        [discipline("del", None, &[]), discipline("add", Some("pfifo"), &["limit", "0"])]
    );
    let features = vec![("gso".to_owned(), false), ("tso".to_owned(), true)];
    assert_eq!(effects("ethtool -K tun0 gso off tso on"), [Effect::Offload { device: device(), features }]);
    assert_eq!(effects("ethtool -i tun0"), [Effect::Note("ethtool -i tun0".to_owned())]);
    assert_eq!(
        error("ethtool -K tun0 gso"),
        "s.pkt:1:2: expected features and 'on' or 'off' after 'ethtool -K'"
    );
}

#[test]
fn counters_and_files_go_through_pipes() {
    let counters = Effect::ReadCounters { absolute: false, zeros: false, remember: true };
    let mut system = Recorder::new()
        .with_outcome(counters, Outcome::printed("#kernel\nTcpRetransSegs 3 0.0\nTcpExtBeyondWindow 1 0.0\n"))
        .with_outcome(
            Effect::ReadFile { path: "/proc/net/tcp".into() },
            Outcome::printed(" 0: 00:1F90 0A 0\n 1: 00:1F91 0A 0\n"),
        );
    let mut run = |commands: &str| run_on(&mut system, commands).unwrap();
    assert_eq!(run("nstat > /dev/null"), Outcome::done());
    assert_eq!(run("nstat | grep TcpExtBeyondWindow | grep -q \" 1 \""), Outcome::done());
    assert_eq!(run("nstat | grep TcpExtBeyondWindow | grep -q \" 2 \"").status, 1);
    assert_eq!(run("nstat -n"), Outcome::done());
    assert_eq!(run("nstat Tcp*Segs"), Outcome::printed("TcpRetransSegs 3 0.0\n"));
    assert_eq!(
        run("grep \" 0A \" /proc/net/tcp /proc/net/tcp6 | grep \":1F90\""),
        Outcome::printed("/proc/net/tcp: 0: 00:1F90 0A 0\n")
    );
    assert_eq!(run("grep -c 0A < /proc/net/tcp").output, "2\n");
    assert_eq!(run("cat /proc/net/tcp | grep -v 1F90"), Outcome::printed(" 1: 00:1F91 0A 0\n"));
}

#[test]
fn lists_follow_the_status() {
    assert_eq!(outcome("true && echo a || echo b"), (0, "a\n".to_owned()));
    assert_eq!(outcome("false && echo a || echo b"), (0, "b\n".to_owned()));
    assert_eq!(outcome("! true"), (1, String::new()));
    assert_eq!(outcome("{ echo a; false; }\necho $?"), (0, "a\n1\n".to_owned()));
    assert_eq!(outcome("exit 4; echo a"), (4, String::new()));
    assert_eq!(
        outcome("if [ 1 -eq 2 ]; then echo a; elif test x = x; then echo b; else echo c; fi").1,
        "b\n"
    );
    assert_eq!(outcome("if false; then echo a; else echo c; fi").1, "c\n");
    assert_eq!(outcome("for i in 1 2; do\n echo $i$(echo x)\ndone").1, "1x\n2x\n");
    assert_eq!(outcome("").0, 0);
}

#[test]
fn variables_are_expanded_and_cut_as_in_a_shell() {
    let sets = |value| vec![set("a", value)];
    assert_eq!(effects("V=3; sysctl -q a=$V"), sets("3"));
    assert_eq!(effects("V='1 2'; sysctl -q a=\"$V\""), sets("1 2"));
    assert_eq!(outcome("V='1  2'; echo $V \"$V\"").1, "1 2 1  2\n");
    assert_eq!(outcome("export V=5; echo ${V}${W:-6}$((V+1))").1, "566\n");
    assert_eq!(outcome("echo a\\ b 'c\"d' \"e'\\\"f\" $ g#h").1, "a b c\"d e'\"f $ g#h\n");
    assert_eq!(outcome("echo '' \"\" | grep -c '^ $'").1, "1\n");
}

#[test]
fn files_come_and_go() {
    let path = || PathBuf::from("/tmp/testfile");
    assert_eq!(
        effects(
            "/bin/rm -f /tmp/testfile\n/bin/dd bs=1 count=5 if=/dev/zero of=/tmp/testfile status=none\nsleep 0.5"
        ),
        [
            Effect::RemoveFile { path: path() },
            Effect::WriteFile { path: path(), content: vec![0; 5], append: false },
            Effect::Sleep(Duration::from_millis(500))
        ]
    );
}

#[test]
fn what_is_not_known_is_an_error_with_its_place() {
    assert_eq!(error("true\n  ss -n | grep x"), "s.pkt:2:3: the program 'ss' is not supported");
    assert_eq!(error("sleep 1 &"), "s.pkt:1:10: commands in the background are not supported");
    assert_eq!(error("while true; do true; done"), "s.pkt:1:2: 'while' is not supported");
    assert_eq!(error("f() { true; }"), "s.pkt:1:3: functions are not supported");
    assert_eq!(error("(true)"), "s.pkt:1:2: subshells are not supported");
    assert_eq!(error("cat <<X"), "s.pkt:1:6: here-documents are not supported");
    assert_eq!(error("echo \"a"), "s.pkt:1:7: this \" has no other");
    assert_eq!(error("echo ${V%x}"), "s.pkt:1:7: the expansion '${V%x}' is not supported");
    assert_eq!(error("if true; then true"), "s.pkt:1:20: expected 'fi'");
    assert_eq!(error("fi"), "s.pkt:1:2: unexpected 'fi'");
    assert_eq!(error("true; )"), "s.pkt:1:8: unexpected ')'");
    assert_eq!(error("echo $((1/0))"), "s.pkt:1:7: division by zero in arithmetic");
    assert!(error(&format!("{}true", "{ ".repeat(10_000))).contains("more than 32 deep"));
    let loops = "for i in 1 2 3 4 5 6 7 8; do ".repeat(6) + "true; " + &"done;".repeat(6);
    assert!(error(&loops).contains("more than 10000 commands"));
}

#[test]
fn nothing_grows_or_lasts_without_a_bound() {
    let doubled = "V=ab; for i in 1 2 3 4 5 6; do for j in 1 2 3 4 5 6; do V=$V$V; done; done";
    assert_eq!(error(doubled), "s.pkt:1:62: words make more than 1048576 bytes");
    let long = format!("V={}; ", "v".repeat(600_000));
    for (words, place) in [
        ("true $V$V", 600_013),
        ("true \"$V\" $V", 600_016),
        ("for i in $V$V; do true; done", 600_017),
        ("true < $V$V", 600_015),
    ] {
        assert_eq!(
            error(&(long.clone() + words)),
            format!("s.pkt:1:{place}: words make more than 1048576 bytes")
        );
    }
    let printed = format!("V={}; for i in 1 2 3 4 5 6 7 8 9 a b c; do echo $V; done", "v".repeat(100_000));
    assert!(error(&printed).contains("commands print more than 1048576 bytes"));
    assert_eq!(error("sleep 601"), "s.pkt:1:2: a pause of more than 600 seconds");
    let kind = |path| read_file(Path::new(path)).unwrap_err().kind();
    assert_eq!(kind("/dev/zero"), io::ErrorKind::FileTooLarge);
    assert_eq!(kind("/no/such/file"), io::ErrorKind::NotFound);
}

proptest::proptest! {
    #[test]
    fn no_text_panics(commands in "[a-z$(){}\"'\\\\;&|<> \n#=\\[\\]!/0-9.-]{0,60}") {
        let _ = run_on(&mut Recorder::new(), &commands);
    }

    #[test]
    fn no_cut_of_a_command_panics(from in 0usize..200, to in 0usize..200, with in "[$(){}\"'\\\\;&|<>]{0,3}") {
        const TEXT: &str = "if [ -f x ]; then sysctl -q a.b=\"1 $((2*3))\" 2>/dev/null || ip route add 1.2.3.4 via \
            5.6.7.8 mtu lock 5; fi; for i in a b; do echo ${i:-c} > /proc/sys/x; done | grep -q '^a.*[0-9]$'";
        let (from, to) = (from.min(TEXT.len()), to.min(TEXT.len()));
        let text = format!("{}{with}{}", &TEXT[..from], &TEXT[to..]);
        let _ = run_on(&mut Recorder::new(), &text);
    }
}
