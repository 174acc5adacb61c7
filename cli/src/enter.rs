//! `tapsock enter`: runs a program in a namespace whose only neighbour is the stack.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::net::{Ipv6Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ExitCode, ExitStatus};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use clap::Args;
use console::style;
use rustix::process::{Pid, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use tapsock::Host;
use tapsock::net::{TcpListener, UdpSocket};

use crate::accepting::Accepting;
use crate::attach::{Attach, Attached, Peer, Tell, Wish};
use crate::capturing::Capturing;
use crate::failure::{During, Failure};
use crate::http::{self, Body, Directory, Request, Response, Site};
use crate::splice;

/// Ports of the services (RFC 862 for the echo).
const HTTP: u16 = 80;
const ECHO: u16 = 7;
/// How long a program whose network is gone may take to end.
const PATIENCE: Duration = Duration::from_secs(2);
/// Echo connections at once; further ones are closed.
const MAX_ECHOES: usize = 256;

/// The options of `tapsock enter`.
#[derive(Args, Debug)]
pub struct Options {
    /// Serve the files of this directory by HTTP, instead of a greeting
    #[arg(long, value_name = "DIR")]
    serve: Option<PathBuf>,
    /// Do not say what is there
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    attach: Attach,
    /// The program and its arguments; a shell, unless given
    #[arg(last = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

/// Runs the program, and exits as it does.
///
/// # Errors
/// The link, a service, or the program that can't be had.
pub fn main(options: &Options) -> Result<ExitCode, Failure> {
    let attached = options.attach.open(Wish::Auto, Tell::unless(options.quiet))?;
    let Peer::Kernel(namespace, theirs) = &attached.peer else {
        return Err(no_kernel(&attached));
    };
    let shell = || std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let program = options.program.first().cloned().unwrap_or_else(shell);
    let mut command = namespace.command(&program);
    command.args(options.program.iter().skip(1));
    if let Some(address) = attached.ours.v4 {
        command.env("TAPSOCK_ADDRESS", address.to_string());
    }
    if let Some(address) = attached.ours.v6 {
        command.env("TAPSOCK_ADDRESS6", address.to_string());
    }
    if !options.quiet {
        eprintln!(
            "{} {} (link {}) answers pings, HTTP and echo; the kernel is {theirs}",
            style("tapsock:").green().bold().for_stderr(),
            attached.ours,
            attached.link
        );
    }
    let (tell, told) = mpsc::channel();
    start_services(&attached.host, options.serve.as_deref(), tell.clone())?;
    leave_the_terminal_to_the_program().during("handle signals")?;
    let signals = Signals::new([SIGTERM, SIGHUP]).during("handle signals")?;
    let mut child = command.spawn().during(format_args!("run {}", program.to_string_lossy()))?;
    pass_signals_on(signals, &child);
    let pid = as_pid(&child);
    // Nobody listens where the program has had its time.
    thread::spawn(move || tell.send(End::Program(child.wait())));
    let status = match told.recv() {
        Ok(End::Program(waited)) => waited.during(format_args!("wait for {}", program.to_string_lossy()))?,
        Ok(End::Services(error)) => {
            // Cut off, it is of no use, and its namespace goes with this process. (A shell ends by SIGHUP alone.)
            send(pid, Signal::HUP);
            send(pid, Signal::TERM);
            let _ = told.recv_timeout(PATIENCE);
            return Err(error).during("accept").map_err(|failure| failure.or_gone(&attached.link));
        }
        Err(_) => return Err(Failure::new("nobody waits for the program any more")),
    };
    attached.host.shutdown();
    attached.capture.as_ref().map_or(Ok(Default::default()), Capturing::finish)?;
    Ok(ExitCode::from(as_a_shell_says(status)))
}

/// What ends the command.
enum End {
    /// The program has.
    Program(io::Result<ExitStatus>),
    /// Nobody can reach the stack any more.
    Services(io::Error),
}

/// The exit status, or 128 and the signal's number.
fn as_a_shell_says(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    code.try_into().unwrap_or(u8::MAX)
}

/// Ctrl-C reaches the program too, and what it does is its own affair: this process waits for it. (A handler rather
/// than SIG_IGN, because the program would inherit that.)
fn leave_the_terminal_to_the_program() -> io::Result<()> {
    for signal in [SIGINT, SIGQUIT] {
        signal_hook::flag::register(signal, Arc::default())?;
    }
    Ok(())
}

/// Who ends this process means the program.
fn pass_signals_on(mut signals: Signals, child: &Child) {
    let program = as_pid(child);
    thread::spawn(move || {
        for signal in signals.forever() {
            send(program, if signal == SIGHUP { Signal::HUP } else { Signal::TERM });
        }
    });
}

fn as_pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

fn send(program: Option<Pid>, signal: Signal) {
    // Where the program has ended already, so do we.
    let _ = program.map(|program| rustix::process::kill_process(program, signal));
}

/// Starts them. Each tells where it ends, as with the link.
fn start_services(
    host: &Host,
    directory: Option<&std::path::Path>,
    tell: mpsc::Sender<End>,
) -> Result<(), Failure> {
    let any = |port| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let web = TcpListener::bind(host, any(HTTP)).during(format_args!("listen at port {HTTP}"))?;
    match directory {
        Some(path) => {
            let site = Directory::new(path).during(format_args!("serve {}", path.display()))?;
            start_web(web, site, tell.clone());
        }
        None => start_web(web, |request: &Request| greeting(request), tell.clone()),
    }
    let echo = TcpListener::bind(host, any(ECHO)).during(format_args!("listen at port {ECHO}"))?;
    let told = tell.clone();
    thread::spawn(move || told.send(End::Services(serve_echo(echo))));
    let datagrams = UdpSocket::bind(host, any(ECHO)).during(format_args!("bind UDP port {ECHO}"))?;
    thread::spawn(move || tell.send(End::Services(serve_datagram_echo(&datagrams))));
    Ok(())
}

/// Sends back what comes on each connection, until the listener ends, and returns why it did.
fn serve_echo(listener: TcpListener) -> io::Error {
    let slots = Arc::new(());
    let mut accepting = Accepting::new(listener);
    loop {
        let mut stream = match accepting.next() {
            Ok(stream) => stream,
            Err(error) => return error,
        };
        let slot = slots.clone();
        if Arc::strong_count(&slots) > MAX_ECHOES + 1 {
            continue;
        }
        // Where there is no thread for it, the connection is closed.
        let _ = thread::Builder::new().name("echo".to_owned()).spawn(move || {
            let _slot = slot;
            let mut back = stream.try_clone()?;
            splice::copy(&mut stream, &mut back)
        });
    }
}

/// Sends each datagram back, until the socket fails, and returns why it did.
fn serve_datagram_echo(socket: &UdpSocket) -> io::Error {
    let mut buffer = vec![0; 65_536];
    loop {
        match socket.recv_from(&mut buffer) {
            // One that can't be sent back is lost, as it would be in a network.
            Ok((len, from)) => drop(socket.send_to(&buffer[..len], from)),
            // A sender that did not wait for its answer is no fault of the others'.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::Interrupted) => {}
            Err(error) => return error,
        }
    }
}

fn start_web(listener: TcpListener, site: impl Site, tell: mpsc::Sender<End>) {
    let site = Arc::new(site);
    // Nobody listens where the program has ended first.
    thread::spawn(move || tell.send(End::Services(http::serve(listener, &site))));
}

fn greeting(request: &Request) -> Response {
    match request.path.as_str() {
        "/" => {
            let text =
                concat!("Hello from tapsock ", env!("CARGO_PKG_VERSION"), ", a TCP/IP stack in a program.\n");
            Response::ok("text/plain; charset=utf-8", Body::text(text.to_owned()))
        }
        _ => Response::not_found(),
    }
}

fn no_kernel(attached: &Attached) -> Failure {
    let reasons: Vec<_> = attached.refused.iter().map(|refusal| format!("not {refusal}")).collect();
    let failure = Failure::new(format!(
        "enter needs a link with the kernel at its other end, and got {}",
        attached.link
    ));
    if reasons.is_empty() {
        failure.hint("--link tap and --link veth have one.")
    } else {
        failure.hint(reasons.join("\n  "))
    }
}
