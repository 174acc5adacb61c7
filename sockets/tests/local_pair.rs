//! Connections of local sockets, call by call, beside a model that is a list of what was sent.

#[path = "local_support/naive.rs"]
mod naive;
#[path = "local_support/pair.rs"]
mod pair;

use naive::Naive;
use pair::{Connection, Op, Ours, Scope, compare, ops};
use proptest::prelude::*;

proptest! {
    #[test]
    fn streams_behave_as_the_model(ops in ops(Scope::Basic)) {
        compare(&ops, &mut Ours::stream(), &mut Naive::stream())?;
    }

    #[test]
    fn records_behave_as_the_model(ops in ops(Scope::Basic)) {
        compare(&ops, &mut Ours::seqpacket(), &mut Naive::seqpacket())?;
    }

    /// Whatever the sizes and urgent bytes: when the receiver has taken all, or an end is closed, nothing is charged.
    #[test]
    fn charges_come_back(ops in ops(Scope::Credit), urgent in ops(Scope::Urgent), records in any::<bool>()) {
        let mut ours = if records { Ours::seqpacket() } else { Ours::stream() };
        for op in ops.iter().chain(&urgent).filter(|op| !matches!(op, Op::Close { .. })) {
            let len = if let Op::Send { len, .. } = op { *len } else { 0 };
            ours.apply(op, &vec![0; len]);
        }
        for side in [true, false] {
            ours.apply(&Op::TakeError { side }, &[]);
            ours.apply(&Op::PassCredentials { side, on: false }, &[]);
            let all = Op::Recv { side, max: 1 << 20, peek: false, urgent: false };
            // More reads than there can be pieces.
            (0..1000).for_each(|_| drop(ours.apply(&all, &[])));
            let shown = ours.shown(!side);
            prop_assert_eq!(shown.map(|shown| shown.unsent), Some(0));
        }
    }
}
