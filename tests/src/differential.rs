//! Programs of local sockets that run on the kernel and on this stack at once, call by call, and what may differ.
//!
//! Both stacks get the same addresses: paths in a temporary directory of the program, and abstract names that no other
//! program uses. After each call its outcome and the readiness of every socket are compared.

mod calls;
mod common;
mod differences;
mod inet;
mod kernel;
mod name;
mod ours;
mod pair;
mod sequence;
pub(crate) mod sys;
mod text;

pub use calls::{ControlMessage, Incoming, Outgoing, Room, SocketCalls};
pub use common::{CommonOp, Switch, Waits};
pub use differences::{DIFFERENCES, Difference, KERNEL_RELEASE, Scope, Sockets};
pub use inet::{
    InetOp, InetPlan, Ip, Port, Shape, Sort, Stage, Target, UNLIKE_OPTIONS, UNLIKE_STATES, UnlikeOption,
    UnlikeStates, World, differences_of_option, differences_of_states, inet_plan, run_inet_plan,
};
pub use kernel::KernelSockets;
pub use name::{Name, Place, Shower};
pub use ours::OurSockets;
pub use pair::{Both, Program, Sock, run};
pub use sequence::{Op, Passed, Plan, plan, run_plan};
