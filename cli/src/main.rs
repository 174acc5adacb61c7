//! The `tapsock` program.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod accepting;
mod attach;
mod capturing;
mod demo;
mod dig;
mod dump;
mod enter;
mod failure;
mod get;
mod http;
mod icmp;
mod ip;
mod kernel_peer;
mod logger;
mod marks;
mod nc;
mod network;
mod nstat;
mod ping;
mod reach;
mod report;
mod resolve;
mod running;
mod script;
mod serve;
mod splice;
mod ss;
mod traceroute;
mod work;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Parser, Subcommand};
use console::style;
use signal_hook::consts::SIGPIPE;

use failure::Failure;

/// A TCP/IP stack in a program: show it, and use it.
#[derive(Parser, Debug)]
#[command(name = "tapsock", version, propagate_version = true, arg_required_else_help = true)]
struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Subcommand, Debug)]
enum Act {
    /// Show, with figures, what the stack does with the kernel at the other end of its link
    Demo(demo::Options),
    /// Serve the files of a directory by HTTP
    Serve(serve::Options),
    /// Fetch a document by HTTP
    Get(Box<get::Options>),
    /// Send echo requests, as ping(8)
    Ping(ping::Options),
    /// Connect or listen, as nc(1)
    Nc(nc::Options),
    /// List the routers on the way to a host, as traceroute(8)
    Traceroute(traceroute::Options),
    /// Ask a name server, as dig(1)
    Dig(dig::Options),
    /// Show the sockets of a running host, as ss(8)
    Ss(ss::Options),
    /// Show addresses, links, routes and neighbours of a running host, as ip(8)
    Ip(ip::Options),
    /// Show the counters of a running host, as nstat(8)
    Nstat(nstat::Options),
    /// Show what passes a running host's link, or stands in a capture, as tcpdump(8)
    Dump(dump::Options),
    /// Run packet scripts (packetdrill's language) on the stack in virtual time, or on the kernel
    Script(Box<script::Options>),
    /// Run a program in a namespace where the stack is the only neighbour
    Enter(enter::Options),
    /// The kernel's end of a demonstration
    #[command(name = kernel_peer::COMMAND, hide = true)]
    KernelPeer {
        /// What to do
        order: String,
    },
}

fn main() -> ExitCode {
    end_with_the_reader();
    logger::start();
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) => return misused(&error),
    };
    let outcome = match command.act {
        Act::Demo(options) => demo::main(&options),
        Act::Serve(options) => serve::main(&options).map(|()| ExitCode::SUCCESS),
        Act::Get(options) => get::main(&options),
        Act::Ping(options) => ping::main(&options),
        Act::Nc(options) => nc::main(&options),
        Act::Traceroute(options) => traceroute::main(&options),
        Act::Dig(options) => dig::main(&options),
        Act::Dump(options) => dump::main(&options),
        Act::Ss(options) => ss::main(&options),
        Act::Ip(options) => ip::main(&options),
        Act::Nstat(options) => nstat::main(&options),
        Act::Script(options) => script::main(&options),
        Act::Enter(options) => enter::main(&options),
        Act::KernelPeer { order } => kernel_peer::main(&order).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|failure| {
        complain(&failure);
        ExitCode::from(failure.status())
    })
}

/// Prints the help, or what is wrong with the command line. The status of that is 2, and 1 of nc, as of the programs
/// that people know.
fn misused(error: &clap::Error) -> ExitCode {
    // Who does not read it does not want it.
    let _ = error.print();
    let is_nc = std::env::args_os().nth(1).is_some_and(|name| name == "nc");
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ if is_nc => ExitCode::from(nc::STATUS),
        _ => ExitCode::from(2),
    }
}

/// Ends the process when nobody reads its standard output any more, as other programs do (`tapsock demo | head`).
/// Rust's runtime ignores the signal, and printing panics then.
fn end_with_the_reader() {
    let always = Arc::new(AtomicBool::new(true));
    // Without it, all is as before.
    let _ = signal_hook::flag::register_conditional_shutdown(SIGPIPE, 128 + SIGPIPE, always);
}

/// The failure, on standard error.
fn complain(failure: &Failure) {
    eprintln!("{} {failure}", style("tapsock:").red().bold().for_stderr());
}
