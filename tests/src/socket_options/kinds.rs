//! What fresh sockets of each kind answer to each option, on the kernel and here.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use tapsock::Errno;

use super::asked::{KINDS, earlier, usual, value_to_set};
use super::{Named, absent, constants};
use crate::differential::SocketCalls;

/// Room for every value.
const ROOM: usize = 512;

/// An option that kinds of sockets have on Linux and not here, or the other way round: a line of `docs/sockets/kinds.tsv`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Unlike {
    pub(super) option: String,
    pub(super) kinds: Vec<String>,
    pub(super) kernel: String,
    pub(super) ours: String,
    pub(super) why: String,
}

/// The lines of `docs/sockets/kinds.tsv`: option, kinds of sockets, what Linux answers, what is answered here, and why.
pub(super) fn unlike(root: &Path) -> io::Result<Vec<Unlike>> {
    let list = std::fs::read_to_string(root.join("docs/sockets/kinds.tsv"))?;
    let rows = list.lines().map(|line| {
        let cells: [&str; 5] = line.split('\t').collect::<Vec<_>>().try_into().ok()?;
        let [option, kinds, kernel, ours, why] = cells.map(str::to_owned);
        let kinds = kinds.split(' ').map(str::to_owned).collect();
        (!why.is_empty()).then_some(Unlike { option, kinds, kernel, ours, why })
    });
    rows.collect::<Option<_>>().ok_or(io::Error::other("a line of kinds.tsv has no five cells"))
}

/// What is wrong with `docs/sockets/kinds.tsv`: pairs of an option and a kind of sockets that differ and are not there, and
/// those that are there and do not differ, or not like that. What no socket here has may be refused with ENOPROTOOPT.
///
/// # Errors
/// What the documents can't be read with.
pub fn complaints_of_kinds(
    root: &Path,
    kernel: &mut dyn SocketCalls,
    ours: &mut dyn SocketCalls,
) -> io::Result<Vec<String>> {
    let named = constants(&std::fs::read_to_string(root.join("sockets/src/constants.rs"))?);
    let mut known = BTreeMap::new();
    for row in unlike(root)? {
        for kind in row.kinds {
            known.insert((row.option.clone(), kind), (row.kernel.clone(), row.ours.clone()));
        }
    }
    let (mut complaints, mut met, absent) = (BTreeSet::new(), BTreeSet::new(), absent(root)?);
    let options =
        named.iter().map(|option| (option, false)).chain(absent.iter().map(|option| (option, true)));
    for (option, is_absent) in options {
        for (kind, domain, socket_type, protocols) in KINDS {
            for protocol in protocols {
                let socket = (domain, socket_type, *protocol);
                let (there, here) = (answer(kernel, socket, option), answer(ours, socket, option));
                let refused = |(here, there): (&str, &str)| here == there || here == REFUSED;
                if is_absent && refused((&here.0, &there.0)) && refused((&here.1, &there.1)) {
                    continue;
                }
                let (there, here) = (in_words(&there), in_words(&here));
                let pair = (option.name.clone(), kind.to_owned());
                let found = known.get(&pair);
                let row = format!("{}\t{kind}\t{there}\t{here}", option.name);
                match found {
                    None if there == here => {}
                    None => drop(complaints.insert(format!("not in the table: {row}"))),
                    Some(said) if *said == (there, here) => drop(met.insert(pair)),
                    Some(said) => drop(complaints.insert(format!("it is {row}, and not {said:?}"))),
                }
            }
        }
    }
    let unmet = known.into_keys().filter(|pair| !met.contains(pair));
    complaints.extend(unmet.map(|(option, kind)| format!("{option} of {kind} does not differ like that")));
    Ok(complaints.into_iter().collect())
}

/// How an option is refused that is not there.
const REFUSED: &str = "ENOPROTOOPT";

/// What a fresh socket says to who reads an option, and to who sets it.
fn answer(
    calls: &mut dyn SocketCalls,
    (domain, kind, protocol): (i32, i32, i32),
    option: &Named,
) -> (String, String) {
    let Ok(socket) = calls.socket(domain, kind, protocol) else {
        return ("no socket".to_owned(), "no socket".to_owned());
    };
    let got = calls.option(socket, option.level, option.number, ROOM);
    for (name, number) in earlier(&option.name) {
        let _ = calls.set_option(socket, option.level, *number, &usual(name).unwrap_or_default());
    }
    let told = got.as_ref().ok().filter(|value| !value.is_empty());
    let value = value_to_set(&option.name, told.map(Vec::as_slice));
    assert_ne!(told, Some(&value), "{} is set to what it shows", option.name);
    let set = calls.set_option(socket, option.level, option.number, &value);
    let _ = calls.close(socket);
    (said(got, "shown"), said(set, "taken"))
}

fn said<T>(outcome: Result<T, Errno>, done: &str) -> String {
    match outcome {
        Ok(_) => done.to_owned(),
        Err(Errno::NOPROTOOPT) => REFUSED.to_owned(),
        Err(Errno::OPNOTSUPP) => "EOPNOTSUPP".to_owned(),
        Err(Errno::INVAL) => "EINVAL".to_owned(),
        Err(Errno::NOTCONN) => "ENOTCONN".to_owned(),
        Err(Errno::PROTO) => "EPROTO".to_owned(),
        Err(Errno::PERM) => "EPERM".to_owned(),
        Err(other) => other.to_string(),
    }
}

fn in_words((got, set): &(String, String)) -> String {
    if got == set { got.clone() } else { format!("{got}, {set}") }
}
