//! Running scripts.

pub mod packet;

mod call;
mod compare;
mod expect;
mod failure;
mod flow;
mod kernel;
mod lower;
mod program;
mod returned;
mod rules;
mod runner;
mod session;
mod stack;
mod target;
mod tcp_info;
mod trace;

pub use call::{Call, Descriptor, Message, Outcome, Output, Receive, Send};
pub use compare::{Parting, parting};
pub use failure::Failure;
pub use kernel::{KernelTarget, hurry};
pub use rules::Rules;
pub use runner::{On, Options, Report, Verdict, apart, is_for, run, run_parsed};
pub use stack::{Network, Numbers, StackTarget, Ticket};
pub use target::{Sent, Target, Woken};
pub use trace::{TraceEntry, TraceKind};
