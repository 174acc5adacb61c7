//! What a run holds in memory: at its worst, when it has come to rest, and after it is gone.

/// Bytes that a run has held.
pub(crate) struct Held {
    /// At the same time, at most.
    pub(crate) worst: u64,
    /// At the end, in what it returned.
    pub(crate) at_rest: u64,
}

/// Does `run`, and lets what it returns go.
///
/// Panics where something is left then: memory that grows from run to run.
pub(crate) fn of<T>(run: impl FnOnce() -> T) -> Held {
    let mut kept = None;
    let used = allocation_counter::measure(|| kept = Some(run()));
    let freed = allocation_counter::measure(|| drop(kept));
    let left = used.bytes_current + freed.bytes_current;
    assert!(left == 0, "{left} bytes are left of a run");
    Held { worst: used.bytes_max, at_rest: used.bytes_current.unsigned_abs() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_at_its_worst_and_at_rest() {
        let held = of(|| {
            drop(vec![0u8; 10_000]);
            vec![0u8; 1_000]
        });
        assert_eq!((held.worst, held.at_rest), (10_000, 1_000));
    }

    #[test]
    #[should_panic(expected = "100 bytes are left of a run")]
    fn what_is_left_behind_is_found() {
        of(|| {
            Box::leak(std::hint::black_box(Box::new([0u8; 100])));
        });
    }
}
