//! Programs of the machine that scripts need: each ends, or is ended.

use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// How long a program may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes that are kept of its complaints.
const SAID_MAX: u64 = 64 * 1024;

/// How a program has ended, and its complaints.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) said: String,
}

/// Runs a program with `input`, and drops what it prints.
///
/// # Errors
/// Those of its start, and [`ErrorKind::TimedOut`] where it takes longer than `patience`; it is killed then, with all that
/// it has started and that has not left its process group.
pub(super) fn run(mut command: Command, input: &str, patience: Duration) -> io::Result<Ended> {
    let end = Instant::now() + patience;
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    // Either pipe may be full, or held by somebody whom the program has started: others wait for them.
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_owned();
        // It fails where the program has ended, which says why.
        thread::spawn(move || stdin.write_all(input.as_bytes()));
    }
    let complaints = complaints(&mut child);
    let said = complaints.recv_timeout(patience);
    if said != Err(RecvTimeoutError::Timeout) {
        await_end(&child, end)?;
        if let Some(status) = child.try_wait()? {
            let said = String::from_utf8_lossy(&said.unwrap_or_default()).trim().to_owned();
            return Ok(Ended { status, said });
        }
    }
    // Not waited for yet, so that its id is still its own, even where it has ended.
    let killed = kill_process_group(Pid::from_child(&child), Signal::KILL);
    child.wait()?;
    killed?;
    let why = format!("it took longer than {} s", patience.as_secs_f64());
    Err(io::Error::new(ErrorKind::TimedOut, why))
}

/// Waits until the program has ended, or until `end`.
fn await_end(child: &Child, end: Instant) -> io::Result<()> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    loop {
        let left = Timespec::try_from(end.saturating_duration_since(Instant::now())).ok();
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], left.as_ref()) {
            Err(Errno::INTR) => {}
            done => return Ok(done.map(drop)?),
        }
    }
}

/// What the program complains of, once it has nothing more to say.
fn complaints(child: &mut Child) -> Receiver<Vec<u8>> {
    let (tell, told) = channel();
    if let Some(mut stderr) = child.stderr.take() {
        thread::spawn(move || {
            let mut said = Vec::new();
            let _ = stderr.by_ref().take(SAID_MAX).read_to_end(&mut said);
            // What is more is not kept, but has to go somewhere.
            let _ = io::copy(&mut stderr, &mut io::sink());
            // Nobody hears it only where it was too late.
            let _ = tell.send(said);
        });
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(text: &str, patience: Duration) -> io::Result<Ended> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(text);
        run(command, "input\n", patience)
    }

    #[test]
    fn a_program_is_heard_to_its_end() {
        let ended = shell("read word; echo \"$word\" >&2; exit 3", PATIENCE).unwrap();
        assert_eq!((ended.status.code(), ended.said.as_str()), (Some(3), "input"));
        let much = shell("head -c 300000 /dev/zero >&2", PATIENCE).unwrap();
        assert_eq!((much.status.code(), much.said.len()), (Some(0), 65_536));
    }

    /// The program's shell forks: what it has started holds the pipe, until it is gone as well.
    #[test]
    fn what_it_has_started_ends_with_it() {
        let mark = format!("{}.25", 100_000 + std::process::id());
        let runs = || {
            let all = std::fs::read_dir("/proc").unwrap().flatten();
            let mut lines = all.filter_map(|one| std::fs::read(one.path().join("cmdline")).ok());
            lines.any(|line| line.starts_with(format!("sleep\0{mark}\0").as_bytes()))
        };
        let error = shell(&format!("sleep {mark}; true"), Duration::from_secs(2)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let end = Instant::now() + Duration::from_secs(50);
        while runs() {
            assert!(Instant::now() < end, "it still runs");
            thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn one_that_does_not_end_is_ended() {
        for text in ["exec sleep 100", "sleep 100", "exec 2>&-; exec sleep 100"] {
            let begun = Instant::now();
            let error = shell(text, Duration::from_millis(200)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut, "{text}");
            assert!(begun.elapsed() < Duration::from_secs(50), "{text}");
        }
    }
}
