//! Tests of parts that the model checker compiles in too: they stand apart so that it does not run them.

mod outbox;
mod wait;
#[cfg(feature = "tokio")]
mod wakers;
