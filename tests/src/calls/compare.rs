//! The same programs on both stacks, and their logs compared.

use std::sync::{PoisonError, RwLock, mpsc};
use std::thread;

use tapsock::{Builder, Host};
use tapsock_driver::Namespace;

use super::lockstep::Runner;
use super::{Calls, KernelCalls, OurCalls, Script, Sock};
use crate::bench::{Family, Setup, address, skipped_for};
use crate::sides::{PATIENCE, Side};

/// A program of socket calls.
pub type Program = fn(&mut Script);

/// Runs programs of one host over loopback, each on a fresh stack.
///
/// # Panics
/// Where the stacks' answers differ.
pub fn alone(programs: &[(&str, Program)]) {
    alone_on(programs, Host::builder);
}

/// The same, with all that a privileged process may do, as in the kernel's namespace.
///
/// # Panics
/// Where the stacks' answers differ.
pub fn alone_privileged(programs: &[(&str, Program)]) {
    alone_on(programs, || Host::builder().privileged());
}

fn alone_on(programs: &[(&str, Program)], host: fn() -> Builder) {
    let namespace = match forking(Namespace::create) {
        Ok(namespace) => namespace,
        Err(error) => return skipped_for(error).unwrap_or_default(),
    };
    let mut failures = Vec::new();
    for (name, program) in programs {
        for family in Family::ALL {
            let stack = host().start().unwrap();
            let [first, second] = Runner::pair();
            let ours = Script::new(family, Box::new(OurCalls::new(&stack))).in_step(first);
            let kernels = Script::new(family, Box::new(KernelCalls::new(&namespace))).in_step(second);
            let name = format!("{name} over {family:?}");
            let logs = in_step(&name, [ours, kernels], *program);
            compare(&mut failures, &name, logs);
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// A value of an option: its level, its number, and the bytes.
pub type Setting = (i32, i32, Vec<u8>);

/// What is done to each socket of a program.
pub type Prepare<'a> = &'a dyn Fn(&mut Script, Sock);

/// Options of which a kind of sockets has no use: whose they are, a program of what they could change, and the options of a
/// family's sockets.
pub type Idle<'a> = (&'a str, fn(&mut Script, Prepare<'_>), [Vec<Setting>; 2]);

/// Runs programs of one host with all the options and without them: both stacks take them, and on neither do they change
/// anything.
///
/// # Panics
/// Where the stacks' answers differ, or the options change one.
pub fn without_effect(options: &[Idle<'_>]) {
    let namespace = match forking(Namespace::create) {
        Ok(namespace) => namespace,
        Err(error) => return skipped_for(error).unwrap_or_default(),
    };
    // The kernel gives ping sockets to the groups of this range.
    let group = rustix::process::getegid().as_raw();
    namespace.set_sysctl("net.ipv4.ping_group_range", &format!("{group} {group}")).unwrap();
    let mut failures = Vec::new();
    for (name, program, settings) in options {
        for (family, settings) in Family::ALL.into_iter().zip(settings) {
            let name = format!("{name} over {family:?}");
            let logs = [Vec::new(), settings.clone()].map(|settings| {
                let (stack, program) = (Host::builder().privileged().start().unwrap(), *program);
                let run = move |script: &mut Script| {
                    program(script, &|script, socket| {
                        for (level, option, value) in &settings {
                            script.set_value(socket, *level, *option, value);
                        }
                    });
                };
                let ours = Script::new(family, Box::new(OurCalls::new(&stack)));
                let kernels = Script::new(family, Box::new(KernelCalls::new(&namespace)));
                let [ours, kernels] =
                    [ours, kernels].map(|script| run_to_its_end(&name, script, run.clone()));
                let refused = kernels
                    .log()
                    .into_iter()
                    .find(|line| line.contains("setsockopt(") && !line.ends_with("= ok"));
                failures.extend(refused.map(|line| format!("{name}: {line}")));
                compare(&mut failures, &name, [ours.log(), kernels.log()]);
                kernels.log_without_options()
            });
            if logs[0] != logs[1] {
                failures.push(format!("{name} changes {:#?}\ninto {:#?}", logs[0], logs[1]));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Runs programs of two hosts over a link, in two networks at once: in one we are the near host, in the other the kernel is.
/// After each call what all sockets of both hosts are ready for comes to be the same.
///
/// # Panics
/// Where the stacks' answers differ.
pub fn over_a_link(programs: &[(&str, Program)]) {
    let mut failures = Vec::new();
    for (name, program) in programs {
        for family in Family::ALL {
            let opened = forking(|| [(); 2].map(|()| Setup::new().privileged().open()));
            let [Some(first), Some(second)] = opened else { return };
            let benches = [first, second];
            let mut runners = Runner::pair().into_iter();
            let scripts = [0, 1].map(|index| {
                let (near, bench) = (Side::ALL[index], &benches[index]);
                let calls = |side| -> Box<dyn Calls + Send> {
                    match side {
                        Side::Ours => Box::new(OurCalls::new(&bench.host)),
                        Side::Kernel => Box::new(KernelCalls::new(&bench.namespace)),
                    }
                };
                let script = Script::new(family, calls(near)).with_far(
                    calls(near.other()),
                    address(near, family),
                    address(near.other(), family),
                );
                script.in_step(runners.next().expect("there is one for each"))
            });
            let logs = in_step(&format!("{name} over {family:?}"), scripts, *program);
            compare(&mut failures, &format!("{name} over {family:?}"), logs);
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Making a namespace forks, and for a moment the new process holds copies of all descriptors: what a program closes
/// meanwhile stays open. Those who fork write, those who run programs read.
static FORKING: RwLock<()> = RwLock::new(());

fn forking<T>(fork: impl FnOnce() -> T) -> T {
    let _alone = FORKING.write().unwrap_or_else(PoisonError::into_inner);
    fork()
}

/// Runs a program to its end twice at once, and gives what each run has written down.
fn in_step(name: &str, [first, second]: [Script; 2], program: Program) -> [Vec<String>; 2] {
    // One lock for both: a second reader would wait behind who waits to write, and the first for the second.
    let _no_forks = FORKING.read().unwrap_or_else(PoisonError::into_inner);
    thread::scope(|scope| {
        let first = scope.spawn(|| run(name, first, program).log());
        let second = run(name, second, program).log();
        [first.join().expect("it has said why"), second]
    })
}

/// Runs a program to its end, while nobody forks.
fn run_to_its_end(name: &str, script: Script, program: impl FnOnce(&mut Script) + Send + 'static) -> Script {
    let _no_forks = FORKING.read().unwrap_or_else(PoisonError::into_inner);
    run(name, script, program)
}

/// Runs a program to its end, or fails with what it has written down until then.
fn run(name: &str, mut script: Script, program: impl FnOnce(&mut Script) + Send + 'static) -> Script {
    let (done, finished) = mpsc::channel();
    let log = script.shared_log();
    thread::spawn(move || {
        program(&mut script);
        // Nobody waits any more where it has taken too long.
        let _ = done.send(script);
    });
    finished.recv_timeout(PATIENCE).unwrap_or_else(|error| {
        let log = log.lock().unwrap_or_else(PoisonError::into_inner);
        panic!("{name} came to no end ({error}):\n{}", log.join("\n"))
    })
}

/// Lines before the first difference that are shown.
const SAME_SHOWN: usize = 60;

/// Both logs beside each other, from the first difference on marked.
fn compare(failures: &mut Vec<String>, name: &str, [ours, kernels]: [Vec<String>; 2]) {
    if ours == kernels {
        return;
    }
    let same = ours.iter().zip(&kernels).take_while(|(ours, kernels)| ours == kernels).count();
    let mut text = format!("{name}:\n");
    for line in &ours[same.saturating_sub(SAME_SHOWN)..same] {
        text += &format!("    {line}\n");
    }
    for line in same..ours.len().max(kernels.len()) {
        let end = String::from("(end)");
        let (ours, kernels) = (ours.get(line).unwrap_or(&end), kernels.get(line).unwrap_or(&end));
        let mark = if ours == kernels { ' ' } else { '!' };
        text += &format!("  {mark} ours   {ours}\n  {mark} kernel {kernels}\n");
    }
    failures.push(text);
}
