//! Rows of `docs/sockets/differences.tsv` about threads, signals and programs: each made by the same program on both.

use std::ffi::c_int;
use std::fs;
use std::mem::zeroed;
use std::os::unix::thread::JoinHandleExt;
use std::process::{Command, Stdio};
use std::ptr;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tapsock::bsd::{
    AF_INET, AF_UNIX, F_GETFD, F_SETFD, FD_CLOEXEC, FD_SETSIZE, MSG_DONTWAIT, SHUT_RDWR, SHUT_WR,
    SO_RCVTIMEO, SO_SNDTIMEO, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET,
};

use super::stacks::{Kernel, Ours, Outcome, Stack};
use super::{PATIENCE, at};

/// How long what nothing ends waits on the kernel.
pub const WAIT: Duration = Duration::from_millis(80);

/// A call that another thread makes, and that had fallen asleep in it.
struct Waiting {
    thread: JoinHandle<()>,
    ended: Receiver<String>,
}

impl Waiting {
    fn begin<S: Stack>(stack: &S, call: impl FnOnce(&S) -> Outcome + Send + 'static) -> Waiting {
        let (before, calling) = (stack.sleeps(), stack.clone());
        let ((begun, thread_id), (done, ended)) = (channel(), channel());
        let thread = thread::spawn(move || {
            // SAFETY: no memory is passed.
            begun.send(unsafe { libc::gettid() }).unwrap();
            drop(done.send(said(call(&calling))));
        });
        let (id, began) = (thread_id.recv().unwrap(), Instant::now());
        while !stack.sleeps_since(before, id) && !thread.is_finished() && began.elapsed() < PATIENCE {
            thread::yield_now();
        }
        Waiting { thread, ended }
    }

    fn outcome(self) -> String {
        let outcome = self.ended.recv_timeout(PATIENCE).unwrap_or_else(|_| "never".to_owned());
        let _ = self.thread.join();
        outcome
    }

    /// The same after a few signals, which a handler takes.
    fn outcome_after_signals(self, and_then: impl FnOnce() -> bool) -> String {
        for _ in 0..3 {
            // SAFETY: the thread has not been joined.
            unsafe { libc::pthread_kill(self.thread.as_pthread_t(), libc::SIGUSR1) };
            // For it to sleep again, in all likelihood; the test holds without it too.
            thread::sleep(Duration::from_millis(1));
        }
        assert!(and_then());
        self.outcome()
    }
}

fn said<T: ToString>(outcome: Result<T, c_int>) -> String {
    match outcome {
        Ok(value) => value.to_string(),
        Err(libc::EBADF) => "EBADF".to_owned(),
        Err(libc::ECONNREFUSED) => "ECONNREFUSED".to_owned(),
        Err(libc::EINTR) => "EINTR".to_owned(),
        Err(libc::EINVAL) => "EINVAL".to_owned(),
        Err(libc::EPIPE) => "EPIPE".to_owned(),
        Err(errno) => std::io::Error::from_raw_os_error(errno).to_string(),
    }
}

/// What is done with a signal from now on: nothing, but calls end by it, unless `flags` say otherwise.
fn handle(flags: c_int) {
    extern "C" fn nothing(_signal: c_int) {}
    // SAFETY: an action of zeros has an empty mask; the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction = nothing as extern "C" fn(c_int) as usize;
        action.sa_flags = flags;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &action, ptr::null_mut()), 0);
    }
}

/// The set of one signal.
fn only(signal: c_int) -> libc::sigset_t {
    // SAFETY: the set is made empty before anything is added.
    unsafe {
        let mut set = zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        set
    }
}

/// Whether this thread is sent SIGPIPE by what it does.
fn raises_a_signal(what: impl FnOnce()) -> bool {
    let set = only(libc::SIGPIPE);
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel reads the set and the time; the signal is blocked, so that it stays pending until it is taken.
    unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, ptr::null_mut());
        what();
        let raised = libc::sigtimedwait(&set, ptr::null_mut(), &at_once) == libc::SIGPIPE;
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, ptr::null_mut());
        raised
    }
}

/// Two ends of a stream of AF_UNIX.
fn pair<S: Stack>(stack: &S) -> [i32; 2] {
    stack.pair(SOCK_STREAM).unwrap()
}

/// What a socket of AF_UNIX is bound to: a name that is chosen.
fn any_name() -> Vec<u8> {
    (AF_UNIX as u16).to_ne_bytes().to_vec()
}

fn close<S: Stack>(stack: &S) -> String {
    let [here, there] = pair(stack);
    let waiting = Waiting::begin(stack, move |stack| stack.recv(here, 9));
    stack.close(here).unwrap();
    let _ = stack.send(there, b"hello", 0);
    waiting.outcome()
}

fn close_of_what_is_selected<S: Stack>(stack: &S) -> String {
    let [here, there] = pair(stack);
    let waiting = Waiting::begin(stack, move |stack| stack.select(here, here + 1, None));
    stack.close(here).unwrap();
    let _ = stack.send(there, b"hello", 0);
    waiting.outcome()
}

fn timeval(time: Duration) -> Vec<u8> {
    [time.as_secs(), u64::from(time.subsec_micros())].map(u64::to_ne_bytes).concat()
}

/// How a call ends that has a time-out: by that, or sooner.
fn unless_too_late<S: Stack>(
    stack: &S,
    socket: i32,
    call: fn(&S, i32, &[u8]) -> Outcome,
    to: Vec<u8>,
) -> (Waiting, Instant) {
    stack.set_option(socket, (SOL_SOCKET, SO_SNDTIMEO), &timeval(stack.patience())).unwrap();
    let began = Instant::now();
    (Waiting::begin(stack, move |stack| call(stack, socket, &to)), began)
}

fn shutdown_of_what_others_wait_for<S: Stack>(stack: &S) -> String {
    let [listener, first, client] = [(); 3].map(|()| stack.socket(AF_UNIX, SOCK_STREAM).unwrap());
    stack.bind(listener, &any_name()).unwrap();
    stack.listen(listener, 0).unwrap();
    let name = stack.name(listener).unwrap();
    stack.connect(first, &name).unwrap();
    let connecting = unless_too_late(stack, client, Stack::connect, name);
    let [receiver, sender] = [(); 2].map(|()| stack.socket(AF_UNIX, SOCK_DGRAM).unwrap());
    stack.bind(receiver, &any_name()).unwrap();
    stack.connect(sender, &stack.name(receiver).unwrap()).unwrap();
    while stack.send(sender, b"x", MSG_DONTWAIT).is_ok() {}
    let sending =
        unless_too_late(stack, sender, |stack, socket, data| stack.send(socket, data, 0), vec![b'x']);
    for socket in [listener, receiver] {
        stack.shutdown(socket, SHUT_RDWR).unwrap();
    }
    let outcomes = [connecting, sending].map(|(waiting, began)| {
        let outcome = waiting.outcome();
        if began.elapsed() >= stack.patience() { "waits on".to_owned() } else { outcome }
    });
    outcomes.join(", ")
}

fn late_send<S: Stack>(stack: &S) -> String {
    let [here, _there] = pair(stack);
    stack.shutdown(here, SHUT_WR).unwrap();
    let mut outcome = String::new();
    let raised = [0, libc::MSG_NOSIGNAL]
        .map(|flags| raises_a_signal(|| outcome = said(stack.send(here, b"x", flags))));
    format!("{outcome}, signals {raised:?}")
}

fn interrupted<S: Stack>(stack: &S) -> String {
    let outcomes = [0, libc::SA_RESTART].map(|flags| {
        handle(flags);
        let [here, there] = pair(stack);
        let waiting = Waiting::begin(stack, move |stack| stack.recv(here, 9));
        waiting.outcome_after_signals(|| stack.send(there, b"hello", 0).is_ok())
    });
    outcomes.join(", and with SA_RESTART ")
}

/// The thread blocks the signal, and the calls' masks let it through.
fn masked<S: Stack>(stack: &S) -> String {
    handle(libc::SA_RESTART);
    let calls: [fn(&S, i32) -> Outcome; 3] =
        [Stack::ppoll_unmasked, Stack::pselect_unmasked, Stack::epoll_pwait_unmasked];
    let outcomes = calls.map(|call| {
        let [here, there] = pair(stack);
        let waiting = Waiting::begin(stack, move |stack| {
            let set = only(libc::SIGUSR1);
            // SAFETY: the kernel reads the set.
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, ptr::null_mut()) };
            call(stack, here)
        });
        waiting.outcome_after_signals(|| stack.send(there, b"hello", 0).is_ok())
    });
    outcomes.join(", ")
}

fn many_selected<S: Stack>(stack: &S) -> String {
    let [here, there] = pair(stack);
    stack.send(there, b"hello", 0).unwrap();
    let last = stack.beyond_a_set(here);
    said(stack.select(last, last.max(FD_SETSIZE as i32) + 1, Some(Duration::ZERO)))
}

/// How many sockets a program has that is executed, and what becomes of that where one's number is not to be closed.
fn executed<S: Stack>(stack: &S) -> String {
    let [here, _there] = pair(stack);
    let (mut told, mut counts) = (Vec::new(), Vec::new());
    for flags in [FD_CLOEXEC, 0] {
        stack.fcntl(here, F_SETFD, flags).unwrap();
        told.push(stack.fcntl(here, F_GETFD, 0).unwrap());
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let numbers = fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
        let names = numbers.filter_map(|number| fs::read_link(number.ok()?.path()).ok());
        counts.push(names.filter(|name| name.to_string_lossy().starts_with("socket:")).count());
        drop(child.stdin.take());
        child.wait().unwrap();
    }
    format!("{told:?}, and {} more", counts[1] - counts[0])
}

/// Datagrams, of which the second does not come, but an error.
fn second_of_two<S: Stack>(stack: &S) -> String {
    let [here, there] = [(); 2].map(|()| {
        let socket = stack.socket(AF_INET, SOCK_DGRAM).unwrap();
        stack.bind(socket, &at("127.0.0.1:0")).unwrap();
        socket
    });
    let [own, peer] = [here, there].map(|socket| stack.name(socket).unwrap());
    stack.connect(here, &peer).unwrap();
    stack.connect(there, &own).unwrap();
    stack.send(there, b"hello", 0).unwrap();
    let waiting = Waiting::begin(stack, move |stack| stack.recv_many(here, 2));
    stack.close(there).unwrap();
    stack.send(here, b"x", 0).unwrap();
    stack.set_option(here, (SOL_SOCKET, SO_RCVTIMEO), &timeval(PATIENCE)).unwrap();
    format!("{}, then {}", waiting.outcome(), said(stack.recv(here, 9)))
}

/// A row, or what is no difference; its program on both, and what that comes to.
type Shown = (Option<&'static str>, fn(&Kernel) -> String, &'static str, fn(&Ours) -> String, &'static str);

const SHOWN: [Shown; 9] = [
    (Some("close"), close, "5", close, "EBADF"),
    (
        Some("close of an id that is in a `select`"),
        close_of_what_is_selected,
        "1",
        close_of_what_is_selected,
        "EBADF",
    ),
    (
        Some("shutdown of a local listener or receiver of datagrams for which others wait"),
        shutdown_of_what_others_wait_for,
        "waits on, waits on",
        shutdown_of_what_others_wait_for,
        "ECONNREFUSED, EPIPE",
    ),
    (
        Some("send on a stream that is shut"),
        late_send,
        "EPIPE, signals [true, false]",
        late_send,
        "EPIPE, signals [false, false]",
    ),
    (
        Some("a call that a signal interrupts"),
        interrupted,
        "EINTR, and with SA_RESTART 5",
        interrupted,
        "5, and with SA_RESTART 5",
    ),
    (Some("ppoll, pselect, epoll_pwait"), masked, "EINTR, EINTR, EINTR", masked, "1, 1, 1"),
    (Some("select with more than FD_SETSIZE ids"), many_selected, "1", many_selected, "EINVAL"),
    (
        Some("fcntl F_SETFD, SOCK_CLOEXEC and their kin"),
        executed,
        "[1, 0], and 1 more",
        executed,
        "[1, 0], and 0 more",
    ),
    (None, second_of_two, "1, then ECONNREFUSED", second_of_two, "1, then ECONNREFUSED"),
];

#[test]
fn each_that_waits_shows_on_both_stacks() {
    let Some(kernel) = Kernel::new() else { return };
    let rows = super::rows();
    for (row, on_linux, linux, on_ours, here) in SHOWN {
        assert!(row.is_none_or(|row| rows.iter().any(|known| known == row)), "{row:?} is no row");
        assert_eq!(on_linux(&kernel), linux, "{row:?}, on Linux");
        assert_eq!(on_ours(&Ours::new()), here, "{row:?}, here");
    }
}
