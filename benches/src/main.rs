//! Measures tapsock beside the kernel over veth and beside smoltcp, each case's rounds interleaved.

mod attack;
mod bare;
mod cases;
mod catalogue;
mod charts;
mod crowd;
mod datagrams;
mod dial;
mod duel;
mod instructions;
mod kernel;
mod lab;
mod local;
mod memory;
mod near;
mod plain;
mod report;
mod role;
mod siege;
mod smol;
mod sys;
mod talk;
mod together;
mod trips;
mod veth;

use std::env;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use cases::{Effort, Runner};
use duel::Counters;
use lab::{Contender, Tuning};
use report::Report;

/// Measures tapsock beside the kernel over veth and beside smoltcp.
#[derive(Debug, Parser)]
#[command(name = "tapsock-benches")]
struct Args {
    /// Parts of the names of the cases to be run; all, where there are none.
    filters: Vec<String>,
    /// How often each case is run; the median counts. By default 3, and 5 with `--full`.
    #[arg(long)]
    rounds: Option<usize>,
    /// How long one measurement takes, in milliseconds. By default 300, and 1000 with `--full`.
    #[arg(long)]
    time: Option<u64>,
    /// All combinations, and longer: without it the whole takes ten minutes at the most.
    #[arg(long)]
    full: bool,
    /// Run one contender alone: for a profiler.
    #[arg(long, value_enum)]
    only: Option<Contender>,
    /// Print what the engine and the stack have counted, after each run of tapsock.
    #[arg(long)]
    counters: bool,
    /// A setting of tapsock's host, by its sysctl name: `net.ipv4.tcp_rmem=4096 131072 1048576`.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// How long tapsock's calls look at the link before they sleep, at most, in microseconds.
    #[arg(long, value_name = "MICROSECONDS")]
    spin: Option<u64>,
    /// Print one JSON object a line rather than a table.
    #[arg(long)]
    json: bool,
    /// Draw SVG charts of the figures into this folder.
    #[arg(long, value_name = "FOLDER")]
    charts: Option<PathBuf>,
    /// Print the names of the cases, and run none.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let mut given = env::args().skip(1);
    let outcome = match (given.next().as_deref(), given.next(), given.next()) {
        (Some(kernel::COMMAND), Some(order), None) => kernel::main(&order),
        (Some(veth::COMMAND), None, None) => veth::hold(),
        (Some(instructions::COMMAND), Some(wire), Some(bytes)) => instructions::run(&wire, &bytes),
        _ => measure(&Args::parse()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tapsock-benches: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> io::Result<()> {
    let (rounds, time) = if args.full { (5, 1000) } else { (3, 300) };
    let rounds = args.rounds.unwrap_or(rounds).max(1);
    let mut runner = Runner::new(Effort {
        rounds,
        time: Duration::from_millis(args.time.unwrap_or(time).max(10)),
        only: args.only,
        counters: if args.counters { Counters::Printed } else { Counters::Ignored },
        tuning: Tuning { settings: args.settings.clone(), spin: args.spin.map(Duration::from_micros) },
    });
    let mut rows = Vec::new();
    for case in catalogue::all() {
        let asked = args.filters.iter().any(|part| case.name.contains(part));
        if !args.filters.is_empty() && !asked || case.extra && !args.full {
            continue;
        }
        if args.list {
            println!("{}", case.name);
            continue;
        }
        eprintln!("{} …", case.name);
        let measured = runner.run(&case)?;
        if args.json {
            measured.iter().for_each(|row| println!("{}", row.to_json()));
        }
        rows.extend(measured);
    }
    if let Some(folder) = &args.charts {
        charts::draw(&rows, folder)?;
    }
    if !args.json && !rows.is_empty() {
        println!("{}", Report(&rows));
        if let Some(congestion) = runner.congestion() {
            println!("\nThe kernel's sockets used {congestion}; MTU 1500; medians of {rounds} rounds.",);
        }
    }
    Ok(())
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("no `=` in it")?;
    Ok((name.to_owned(), value.to_owned()))
}
