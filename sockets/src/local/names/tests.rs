use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const KIND: SocketKind = SocketKind::Stream;

fn path(path: &str) -> UnixAddr {
    UnixAddr::path(path.as_bytes()).unwrap()
}

fn abstract_name(name: &str) -> UnixAddr {
    UnixAddr::abstract_name(name.as_bytes()).unwrap()
}

#[test]
fn a_path_stays_until_it_is_unlinked() {
    let mut names = Names::new();
    let first = names.bind(&path("a"), KIND, 1).unwrap();
    assert_eq!(names.bind(&path("./a"), KIND, 2), Err(BindError::InUse));
    names.release(&path("a"), first);
    assert_eq!(names.bind(&path("a"), KIND, 2), Err(BindError::InUse));
    assert_eq!(names.lookup(&path("/a"), KIND), Err(LookupError::Refused));
    assert_eq!(names.unlink(b"//a"), Ok(()));
    assert_eq!(names.unlink(b"a"), Err(LookupError::NotFound));
    assert_eq!(names.lookup(&path("a"), KIND), Err(LookupError::NotFound));
    assert!(names.bind(&path("a"), KIND, 2).is_ok());
}

#[test]
fn what_names_go_through_is_a_directory() {
    let mut names = Names::new();
    names.bind(&path("/run/a/b"), KIND, 1).unwrap();
    names.bind(&path("/run.d"), KIND, 2).unwrap();
    for directory in ["/run", "/run/", "/run/a"] {
        assert_eq!(names.bind(&path(directory), KIND, 3), Err(BindError::InUse), "{directory}");
        assert_eq!(names.lookup(&path(directory), KIND), Err(LookupError::Refused), "{directory}");
        assert_eq!(names.unlink(directory.as_bytes()), Err(LookupError::IsDirectory), "{directory}");
    }
    names.unlink(b"/run/a/b").unwrap();
    assert!(names.bind(&path("/run"), KIND, 3).is_ok());
}

#[test]
fn one_that_closes_late_leaves_its_successor_alone() {
    let mut names = Names::new();
    let first = names.bind(&path("a"), KIND, 1).unwrap();
    names.unlink(b"a").unwrap();
    names.bind(&path("a"), KIND, 2).unwrap();
    names.release(&path("a"), first);
    assert_eq!(names.lookup(&path("a"), KIND), Ok(&2));
}

#[test]
fn abstract_names_go_with_their_socket_and_belong_to_a_type() {
    let mut names = Names::new();
    let first = names.bind(&abstract_name("n"), KIND, 1).unwrap();
    assert_eq!(names.bind(&abstract_name("n"), KIND, 2), Err(BindError::InUse));
    names.bind(&abstract_name("n"), SocketKind::Datagram, 2).unwrap();
    assert_eq!(names.lookup(&abstract_name("n"), KIND), Ok(&1));
    assert_eq!(names.lookup(&abstract_name("n"), SocketKind::Datagram), Ok(&2));
    assert_eq!(names.lookup(&abstract_name("n"), SocketKind::Seqpacket), Err(LookupError::Refused));
    names.release(&abstract_name("n"), first);
    assert_eq!(names.lookup(&abstract_name("n"), KIND), Err(LookupError::Refused));
    assert_eq!(names.lookup(&abstract_name("n"), SocketKind::Datagram), Ok(&2));
    assert!(names.bind(&abstract_name("n"), KIND, 3).is_ok());
    assert_eq!(names.lookup(&path("n"), KIND), Err(LookupError::NotFound));
}

#[test]
fn a_path_leads_to_one_type_only() {
    let mut names = Names::new();
    names.bind(&path("a"), KIND, 1).unwrap();
    assert_eq!(names.lookup(&path("a"), SocketKind::Seqpacket), Err(LookupError::WrongKind));
    assert_eq!(names.bind(&path("a"), SocketKind::Seqpacket, 2), Err(BindError::InUse));
}

/// As Linux 6.18 shows in a directory with the socket `n1`, but for directories that do not exist.
#[test]
fn directories_are_no_sockets() {
    let mut names = Names::new();
    names.bind(&path("n1"), KIND, 1).unwrap();
    for (given, error) in [
        (".", BindError::InUse),
        ("/", BindError::InUse),
        ("..", BindError::InUse),
        ("./", BindError::InUse),
        ("zz/", BindError::NotFound),
        ("n1/", BindError::InUse),
        ("n1/y", BindError::NotDirectory),
    ] {
        assert_eq!(names.bind(&path(given), KIND, 2), Err(error), "{given}");
    }
    for (given, error) in [
        (".", LookupError::Refused),
        ("./", LookupError::Refused),
        ("zz/", LookupError::NotFound),
        ("n1/", LookupError::NotDirectory),
        ("n1/y", LookupError::NotDirectory),
        ("zz", LookupError::NotFound),
    ] {
        assert_eq!(names.lookup(&path(given), KIND), Err(error), "{given}");
    }
    assert_eq!(names.unlink(b"."), Err(LookupError::IsDirectory));
    assert_eq!(names.unlink(b"n1/"), Err(LookupError::NotDirectory));
    assert_eq!(names.lookup(&UnixAddr::UNNAMED, KIND), Err(LookupError::Unnamed));
    assert_eq!(names.bind(&UnixAddr::UNNAMED, KIND, 2), Err(BindError::Unnamed));
    assert_eq!(names.len(), 1);
}

#[test]
fn a_path_may_fill_the_field() {
    let long = UnixAddr::path(&[b'x'; 108]).unwrap();
    let mut names = Names::new();
    names.bind(&long, KIND, 1).unwrap();
    assert_eq!(names.lookup(&long, KIND), Ok(&1));
    assert!(UnixAddr::path(&[b'x'; 109]).is_err());
}

#[test]
fn names_are_chosen_from_a_start_on_and_around() {
    let mut names = Names::new();
    names.bind(&abstract_name("fffff"), KIND, 0).unwrap();
    let (address, id) = names.autobind(0xffff_ffff, KIND, 1).unwrap();
    assert_eq!(address, abstract_name("00000"));
    assert_eq!(names.autobind(0x0a_bcde, KIND, 2).map(|(address, _)| address), Ok(abstract_name("abcde")));
    names.release(&address, id);
    assert_eq!(names.lookup(&address, KIND), Err(LookupError::Refused));
}

#[test]
fn when_all_names_are_taken_none_is_chosen() {
    let mut names = Names::new();
    for number in 0..AUTOBIND_NAMES {
        names.bind(&abstract_name(&format!("{number:05x}")), KIND, ()).unwrap();
    }
    assert_eq!(names.autobind(5, KIND, ()), Err(BindError::Exhausted));
    assert!(names.autobind(5, SocketKind::Datagram, ()).is_ok());
}

#[derive(Clone, Debug)]
enum Op {
    Bind(usize, usize),
    Close(usize),
    Unlink(usize),
}

const PATHS: [&str; 3] = ["a", "b", "c"];

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0usize..4, 0usize..3).prop_map(|(socket, path)| Op::Bind(socket, path)),
        (0usize..4).prop_map(Op::Close),
        (0usize..3).prop_map(Op::Unlink),
    ]
}

proptest! {
    /// The model: which path bears which socket's name, dead ones as `None`.
    #[test]
    fn paths_lead_where_the_model_says(ops in proptest::collection::vec(op(), 0..60)) {
        let mut names = Names::new();
        let mut model: BTreeMap<usize, Option<u32>> = BTreeMap::new();
        let mut bound: [Option<(usize, InodeId, u32)>; 4] = [None; 4];
        let mut next = 0;
        for op in ops {
            match op {
                Op::Bind(socket, at) if bound[socket].is_none() => {
                    next += 1;
                    let given = names.bind(&path(PATHS[at]), KIND, next);
                    prop_assert_eq!(given.is_ok(), !model.contains_key(&at));
                    if let Ok(id) = given {
                        model.insert(at, Some(next));
                        bound[socket] = Some((at, id, next));
                    }
                }
                Op::Bind(..) => {}
                Op::Close(socket) => {
                    if let Some((at, id, handle)) = bound[socket].take() {
                        names.release(&path(PATHS[at]), id);
                        if model.get(&at) == Some(&Some(handle)) {
                            model.insert(at, None);
                        }
                    }
                }
                Op::Unlink(at) => {
                    prop_assert_eq!(names.unlink(PATHS[at].as_bytes()).is_ok(), model.remove(&at).is_some());
                }
            }
            for (at, name) in PATHS.iter().enumerate() {
                let expected = match model.get(&at) {
                    None => Err(LookupError::NotFound),
                    Some(None) => Err(LookupError::Refused),
                    Some(Some(handle)) => Ok(handle),
                };
                prop_assert_eq!(names.lookup(&path(name), KIND), expected);
            }
        }
    }
}
