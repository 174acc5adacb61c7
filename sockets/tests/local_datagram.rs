//! Local datagram sockets: sequences of calls, and what must hold after each of them.

#[path = "local_support/datagram.rs"]
mod datagram;

use std::collections::VecDeque;

use datagram::{Datagrams, Op, Ours, SOCKETS, Shown, ops};
use proptest::prelude::*;

/// What was sent to each socket and not received, by number: of the datagrams of one sender none is lost, doubled or out
/// of order.
#[derive(Default)]
struct Queues {
    sent: Vec<VecDeque<Vec<u8>>>,
}

proptest! {
    #[test]
    fn what_is_received_was_sent_in_this_order(ops in ops()) {
        let mut ours = Ours::new();
        let mut queues = Queues { sent: vec![VecDeque::new(); SOCKETS] };
        let mut peers = [None; SOCKETS];
        for (number, op) in (0u8..).zip(&ops) {
            let len = if let Op::Send { len, .. } = op { *len } else { 0 };
            let data = vec![number; len];
            let shown: Vec<Option<Shown>> = (0..SOCKETS).map(|at| ours.shown(at)).collect();
            let outcome = ours.apply(op, &data);
            match *op {
                Op::Send { at, to, .. } if outcome.result.is_ok() && shown[at].is_some() => {
                    queues.sent[to.or(peers[at]).unwrap()].push_back(data);
                }
                Op::Recv { at, max, peek: false } if outcome.result.is_ok() && shown[at].is_some() => {
                    let whole = queues.sent[at].pop_front().unwrap();
                    prop_assert_eq!(&outcome.bytes, &whole[..whole.len().min(max)]);
                    prop_assert_eq!(outcome.truncated, whole.len() > max);
                }
                Op::Connect { at, to } if outcome.result.is_ok() && shown[at].is_some() => {
                    if peers[at].is_some_and(|peer| peer != to) {
                        queues.sent[at].clear();
                    }
                    peers[at] = Some(to);
                }
                Op::Dissolve { at } if peers[at].take().is_some() => queues.sent[at].clear(),
                Op::Close { at } => {
                    peers[at] = None;
                    queues.sent[at].clear();
                }
                _ => {}
            }
            // A peer that is found closed is left.
            for (at, peer) in peers.iter_mut().enumerate() {
                let connected = ours.shown(at).is_some_and(|shown| shown.connected);
                if peer.is_some() && !connected {
                    *peer = None;
                    queues.sent[at].clear();
                }
            }
        }
        // Emptied, nothing is charged any more.
        for at in 0..SOCKETS {
            ours.apply(&Op::TakeError { at }, &[]);
            while ours.apply(&Op::Recv { at, max: 0, peek: false }, &[]).result.is_ok()
                && ours.shown(at).is_some() {}
        }
        for at in 0..SOCKETS {
            prop_assert!(ours.shown(at).is_none_or(|shown| shown.unsent == 0));
        }
    }
}
