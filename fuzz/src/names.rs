//! Lookups of names against servers that say anything.

use arbitrary::{Arbitrary, Unstructured};
use tapsock::resolve::dns::{AddressType, CACHE_MAX, Lookup, ResolvConf, Resolver, SERVERS_MAX, Transmit};
use tapsock_stack::time::Instant;

use crate::memory;

/// Lookups of one run at most.
const MAX_LOOKUPS: usize = 8;
/// Steps of one lookup at most: with a search list of six, three servers, five attempts, and a hundred questions each
/// for aliases it is over long before.
const MAX_STEPS: usize = 100_000;

/// Runs the lookups that `data` says.
pub fn run(data: &[u8]) {
    memory::of(|| steps(data));
}

fn steps(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(plan) = input.arbitrary::<Plan>() else { return };
    let mut conf = ResolvConf::parse(plan.conf, &[]);
    assert!(conf.servers.len() <= SERVERS_MAX);
    if conf.servers.is_empty() {
        conf = ResolvConf { attempts: conf.attempts, search: conf.search, ..ResolvConf::parse(SERVERS, &[]) };
    }
    let mut resolver = Resolver::new(conf, plan.seed);
    let mut now = Instant::from_secs(1);
    for _ in 0..MAX_LOOKUPS {
        let Ok(name) = input.arbitrary::<&str>() else { break };
        look_up(&mut resolver, &mut now, name, &mut input);
        assert!(resolver.remembered() <= CACHE_MAX);
        if input.is_empty() {
            break;
        }
    }
}

const SERVERS: &str = "nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch a.example b.example\n";

#[derive(Arbitrary, Debug)]
struct Plan<'a> {
    seed: u64,
    conf: &'a str,
}

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// The question that was asked comes back, with other flags, counts and what follows it.
    Answer {
        second: bool,
        flags: [u8; 2],
        counts: [u8; 3],
        sections: &'a [u8],
    },
    /// Anything comes.
    Message {
        bytes: &'a [u8],
    },
    Refused,
    Wait,
}

fn look_up(resolver: &mut Resolver, now: &mut Instant, name: &str, input: &mut Unstructured<'_>) {
    let mut lookup = resolver.look_up(*now, name, &[AddressType::A, AddressType::Aaaa]);
    let mut asked: Option<Transmit> = None;
    for _ in 0..MAX_STEPS {
        if let Some(outcome) = lookup.outcome() {
            if let Ok(found) = outcome {
                assert!(!found.addresses.is_empty() && found.addresses.len() <= 512);
                assert!(found.canonical.len() <= 255);
            }
            assert!(lookup.poll_timeout().is_none() && lookup.poll_transmit(resolver).is_none());
            return;
        }
        if let Some(transmit) = lookup.poll_transmit(resolver) {
            assert!((1..=2).contains(&transmit.messages.len()));
            assert!(transmit.messages.iter().all(|message| message.len() <= 512));
            asked = Some(transmit);
        }
        let asked = asked.as_ref().expect("whoever waits has asked");
        let step = if input.is_empty() { Ok(Step::Wait) } else { input.arbitrary() };
        take(resolver, &mut lookup, now, asked, step.unwrap_or(Step::Wait));
    }
    panic!("the lookup of {name:?} does not end");
}

fn take(resolver: &mut Resolver, lookup: &mut Lookup, now: &mut Instant, asked: &Transmit, step: Step<'_>) {
    match step {
        Step::Answer { second, flags, counts, sections } => {
            let question = &asked.messages[usize::from(second).min(asked.messages.len() - 1)];
            // The option that follows the question is left out.
            let end = 12 + question[12..].iter().position(|byte| *byte == 0).map_or(0, |at| at + 5);
            let mut bytes = question[..end.min(question.len())].to_vec();
            bytes[2] = flags[0] | 0x80;
            bytes[3] = flags[1];
            for (count, at) in counts.into_iter().zip([7, 9, 11]) {
                bytes[at] = count;
            }
            bytes.extend_from_slice(sections);
            lookup.on_message(resolver, *now, asked.server, &bytes);
        }
        Step::Message { bytes } => lookup.on_message(resolver, *now, asked.server, bytes),
        Step::Refused => lookup.on_failure(resolver, *now),
        Step::Wait => {
            *now = lookup.poll_timeout().expect("whoever has no outcome waits for something");
            lookup.on_timeout(resolver, *now);
        }
    }
}

/// Bytes without a meaning, with addresses and aliases among them.
pub fn seeds() -> Vec<Vec<u8>> {
    let word = |n: u32| n.wrapping_mul(2_654_435_761).rotate_left(n % 31).to_le_bytes();
    let noise = |seed: u32| (0..60).flat_map(move |n| word(seed * 1000 + n));
    let address = [0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1];
    let alias = [0xc0, 0x0c, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, b'b', 0xc0, 0x0e];
    (0..16).map(|seed| noise(seed).chain(address).chain(alias).chain(noise(seed + 100)).collect()).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_run() {
        super::seeds().iter().for_each(|seed| super::run(seed));
    }
}
