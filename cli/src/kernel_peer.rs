//! The kernel's end of a demonstration: this same program, run inside the namespace, with the kernel's sockets.
//!
//! It is told what to do in its argument and answers in lines, both as JSON: where its service is, or what came of
//! its errand. A service ends when its standard input does, and so with the process that started it.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tapsock_driver::Namespace;

use crate::failure::{During, Failure};
use crate::network::Kernel;
use crate::work::{self, Errand, Figures, Service, Watch};

/// The hidden command.
pub const COMMAND: &str = "kernel-peer";
/// Bytes of an answer at most.
const MAX_ANSWER: u64 = 64 * 1024;

/// What the child is told.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub enum Order {
    /// Offer this at an unused port of that address.
    Serve(Service, IpAddr),
    /// Do this.
    Run(Errand),
}

/// What the child says.
#[derive(Clone, Debug, Deserialize, Serialize)]
enum Reply {
    Serving(SocketAddr),
    Done(Figures),
    Failed(String),
}

/// The child's whole life.
///
/// # Errors
/// Where it is told nothing sensible, or nobody listens to it.
pub fn main(order: &str) -> Result<(), Failure> {
    let order: Order =
        serde_json::from_str(order).map_err(|error| Failure::new(format!("{COMMAND} {order}: {error}")))?;
    let nobody_watches: Watch = Arc::new(|_| {});
    let is_service = matches!(order, Order::Serve(..));
    let reply = match order {
        Order::Serve(service, at) => work::serve(&Kernel, service, at, &nobody_watches).map(Reply::Serving),
        Order::Run(errand) => work::run(&Kernel, &errand, &nobody_watches).map(Reply::Done),
    };
    let reply = reply.unwrap_or_else(|failure| Reply::Failed(failure.reason().to_owned()));
    let line = serde_json::to_string(&reply).map_err(|error| Failure::new(error.to_string()))?;
    println!("{line}");
    if is_service {
        io::copy(&mut io::stdin(), &mut io::sink()).during("wait for the end")?;
    }
    Ok(())
}

/// A service of the kernel's. Dropping it ends it.
#[derive(Debug)]
pub struct Serving {
    /// Where it is.
    pub at: SocketAddr,
    _child: Running,
}

/// Offers `service` at an unused port of `at`, in `namespace`.
///
/// # Errors
/// Why the child could not be started, or what it says.
pub fn serve(namespace: &Namespace, service: Service, at: IpAddr) -> Result<Serving, Failure> {
    let mut child = Running::start(namespace, &Order::Serve(service, at))?;
    match child.reply()? {
        Reply::Serving(at) => Ok(Serving { at, _child: child }),
        other => Err(other.unexpected()),
    }
}

/// Does `errand` in `namespace`.
///
/// # Errors
/// Why the child could not be started, or what it says.
pub fn run(namespace: &Namespace, errand: &Errand) -> Result<Figures, Failure> {
    let mut child = Running::start(namespace, &Order::Run(errand.clone()))?;
    match child.reply()? {
        Reply::Done(figures) => Ok(figures),
        other => Err(other.unexpected()),
    }
}

impl Reply {
    fn unexpected(self) -> Failure {
        match self {
            Reply::Failed(why) => Failure::new(format!("the kernel's end: {why}")),
            other => Failure::new(format!("the kernel's end says {other:?}")),
        }
    }
}

/// A child that is ended when it is dropped.
#[derive(Debug)]
struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Running {
    fn start(namespace: &Namespace, order: &Order) -> Result<Running, Failure> {
        let program = std::env::current_exe().during("find this program's own file")?;
        let order = serde_json::to_string(order).map_err(|error| Failure::new(error.to_string()))?;
        let mut command: Command = namespace.command(program);
        command.args([COMMAND, &order]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().during("run this program in the namespace")?;
        let stdin = child.stdin.take();
        Ok(Running { child, stdin })
    }

    fn reply(&mut self) -> Result<Reply, Failure> {
        let mut line = String::new();
        if let Some(stdout) = &mut self.child.stdout {
            BufReader::new(stdout.take(MAX_ANSWER)).read_line(&mut line).during("hear the kernel's end")?;
        }
        serde_json::from_str(&line)
            .map_err(|_| Failure::new(format!("the kernel's end has ended and said {line:?}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // One that is in the middle of an errand does not look at its input.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
