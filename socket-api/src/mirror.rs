//! Mirrors: real descriptors that poll as sockets of ours do, for whoever can wait for nothing else.
//!
//! A mirror is the visible end of a pair of AF_UNIX sockets of the kernel's, whose other end is kept hidden. It is never
//! set from an event: after each change, and when all locks are gone, the socket is asked how ready it is, and the pair is
//! brought into the state that the kernel shows so. A socket that nobody asks for a mirror has none, and pays nothing.

mod datagram;
mod stream;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketFlags, recv, send, shutdown, sockopt};
use tapsock_sockets::PollMask;
use tapsock_sockets::constants::{SO_TYPE, SOCK_STREAM, SOL_SOCKET};

use crate::description::{Kind, Object, WeakObject};
use crate::engine::epoll::Heard;
use crate::engine::reflection::{self, Reflection, Source};
use crate::engine::sync::{Arc, AtomicBool, Ordering};
use crate::engine::wait::{Alarm, Reach, Waiter, Watcher};

/// A mirror of one object, which owns it.
pub(crate) struct Mirror {
    visible: Arc<OwnedFd>,
    /// Whether a [`Lens`] shows the descriptor itself.
    lent: AtomicBool,
    reflection: Arc<Shown>,
    watcher: Arc<dyn Watcher>,
    object: WeakObject,
    /// Where it is an epoll instance's: the real descriptors in that are told of.
    _heard: Option<Heard>,
}

type Shown = Reflection<WeakObject, Face>;

impl Mirror {
    /// A mirror of `object`, which is told of all that happens to it from now on.
    ///
    /// Errors: EMFILE, ENFILE, ENOBUFS, ENOMEM.
    fn new(object: &Object) -> Result<Self, Errno> {
        let heard = match object {
            Object::Epoll(epoll) => Some(epoll.hear()?),
            Object::Socket(_) => None,
        };
        let face = Face::new(object)?;
        let visible = face.visible().clone();
        let reflection = Arc::new(Shown::new(object.downgrade(), face));
        let waiter = Arc::new(Waiter::for_alarm(reflection.clone()));
        let watcher = Arc::new(Bell { reflection: reflection.clone(), waiter });
        object.follow(watcher.clone());
        object.observe_now();
        // What came before that shows in the state.
        reflection.refresh();
        let lent = AtomicBool::new(false);
        Ok(Mirror { visible, lent, reflection, watcher, object: object.downgrade(), _heard: heard })
    }

    /// The object is closed: whoever still has a duplicate of the descriptor sees a hang-up.
    pub(crate) fn close(&self) {
        if let Some(object) = self.object.upgrade() {
            object.unfollow(&self.watcher);
        }
        self.reflection.with_face(Face::close);
    }
}

impl AsFd for Mirror {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.visible.as_fd()
    }
}

impl Object {
    /// Its mirror, which is made where there is none yet. Somebody has to hold the object open meanwhile.
    ///
    /// Errors: EMFILE, ENFILE, ENOBUFS, ENOMEM.
    pub(crate) fn mirror(&self) -> Result<&Mirror, Errno> {
        let place = self.shares().place_of_mirror();
        if let Some(mirror) = place.get() {
            return Ok(mirror);
        }
        if let Err(late) = place.set(Mirror::new(self)?) {
            // Another thread was faster.
            late.close();
        }
        place.get().ok_or(Errno::BADF)
    }
}

/// What one handle of an object sees the mirror through: a descriptor of its own. The kernel tells what an epoll watches
/// apart by file and number, so clones of a socket can stand beside each other there, as duplicates of one of the kernel's
/// can. The first that asks has the mirror's descriptor itself, and the others duplicates of it.
#[derive(Debug, Default)]
pub(crate) struct Lens(OnceLock<Option<OwnedFd>>);

impl Lens {
    /// The descriptor, made now where there is none. Errors: EMFILE, ENFILE, ENOBUFS, ENOMEM.
    pub(crate) fn fd<'a>(&'a self, object: &'a Object) -> Result<BorrowedFd<'a>, Errno> {
        let mirror = object.mirror()?;
        if self.0.get().is_none() {
            let is_first = !mirror.lent.swap(true, Ordering::AcqRel);
            let duplicate = if is_first { None } else { Some(fcntl_dupfd_cloexec(mirror, 0)?) };
            // Where another thread was faster, it is that one's for both.
            let _ = self.0.set(duplicate);
        }
        Ok(self.0.get().and_then(Option::as_ref).map_or(mirror.as_fd(), AsFd::as_fd))
    }
}

/// Tells a mirror what happens.
struct Bell {
    reflection: Arc<Shown>,
    waiter: Arc<Waiter>,
}

impl Watcher for Bell {
    fn notify(&self, what: PollMask, marked: &mut dyn FnMut(&Arc<Waiter>)) -> Reach {
        // Nothing in particular stands for everything.
        self.reflection.hear(if what.is_empty() { PollMask::ALL } else { what });
        marked(&self.waiter);
        Reach::Further
    }

    fn look_again(&self, marked: &mut dyn FnMut(&Arc<Waiter>)) {
        marked(&self.waiter);
    }
}

impl Alarm for Shown {
    fn ring(&self) {
        self.refresh();
    }
}

impl Source for WeakObject {
    fn readiness(&self) -> PollMask {
        self.upgrade().map_or(PollMask::NVAL, |object| object.readiness_now())
    }
}

/// The pair of sockets of the kernel's.
pub(crate) enum Face {
    /// For what has a connection, takes some, or is an epoll instance.
    Stream(stream::Face),
    /// For sockets for datagrams, which may have an error and go on.
    Datagram(datagram::Face),
}

impl Face {
    fn new(object: &Object) -> Result<Self, Errno> {
        if is_for_datagrams(object) {
            return Ok(Face::Datagram(datagram::Face::new()?));
        }
        Ok(Face::Stream(stream::Face::new(object.readiness_now())?))
    }

    fn visible(&self) -> &Arc<OwnedFd> {
        match self {
            Face::Stream(face) => face.visible(),
            Face::Datagram(face) => face.visible(),
        }
    }

    fn close(&mut self) {
        reflection::Face::show(self, PollMask::NVAL, PollMask::NONE);
        if let Face::Stream(face) = self {
            face.close();
        }
    }
}

impl reflection::Face for Face {
    fn show(&mut self, ready: PollMask, edges: PollMask) {
        match self {
            Face::Stream(face) => face.show(showable(ready), edges),
            Face::Datagram(face) => face.show(showable(ready), edges),
        }
    }
}

fn is_for_datagrams(object: &Object) -> bool {
    let Object::Socket(description) = object else { return false };
    match &description.kind {
        Kind::Inet(shard, fd) => {
            shard.option(*fd, SOL_SOCKET, SO_TYPE).is_ok_and(|kind| kind.as_int() != Some(SOCK_STREAM))
        }
        Kind::Local(local) => local.is_datagram(),
    }
}

/// What a pair shows for a socket that is `ready`: where that is gone, all its calls fail without waiting.
fn showable(ready: PollMask) -> PollMask {
    let mut shown = ready;
    if shown.contains(PollMask::NVAL) {
        shown = PollMask::OUT | PollMask::RDHUP | PollMask::HUP;
    }
    if shown.intersects(PollMask::RDHUP | PollMask::PRI) {
        shown |= PollMask::IN;
    }
    shown & (PollMask::IN | PollMask::PRI | PollMask::OUT | PollMask::ERR | PollMask::HUP | PollMask::RDHUP)
}

/// What comes and goes with the sign.
const ARRIVAL: PollMask = PollMask::from_bits(0x1 | 0x40);
/// What comes and goes with the room.
const ROOM: PollMask = PollMask::from_bits(0x4 | 0x100 | 0x200);
/// How the sockets are made.
const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// One byte that stands for all there is to receive.
const SIGN: &[u8] = b"i";
/// One byte that lies on the hidden end at all times. It leaves room to send, its removal makes an edge, and a hidden
/// end that is closed over it makes an error.
const FUSE: &[u8] = b"f";
/// Some of these take the room to send away: the kernel charges each with more bytes than it has.
const FILL: &[u8] = &[0; 1024];
/// More of them than a send buffer of the least size takes.
const FILLS_MAX: usize = 32;

/// The kernel's least send buffer, for the visible end, so that little fills it.
fn shrink(visible: &OwnedFd) -> Result<(), Errno> {
    sockopt::set_socket_send_buffer_size(visible, 1)
}

/// Puts `bytes` in. What does not fit was there before.
fn put(end: &OwnedFd, bytes: &[u8], flags: SendFlags) -> bool {
    send(end, bytes, flags | SendFlags::DONTWAIT | SendFlags::NOSIGNAL).is_ok()
}

/// Takes the room to send away from the visible end.
fn fill(visible: &OwnedFd) {
    for _ in 0..FILLS_MAX {
        if !put(visible, FILL, SendFlags::empty()) {
            return;
        }
    }
}

/// Takes out all there is, of a stream or message by message. A pending error is taken, too: whether there was one.
fn drain(end: &OwnedFd) -> bool {
    let mut bytes = [0; 4096];
    let mut was_error = false;
    loop {
        match recv(end, &mut bytes[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => return was_error,
            Ok(_) => {}
            Err(Errno::CONNRESET) if !was_error => was_error = true,
            Err(_) => return was_error,
        }
    }
}

/// Takes out one sign.
fn take_one(end: &OwnedFd) {
    let mut byte = [0; 1];
    let _ = recv(end, &mut byte[..], RecvFlags::DONTWAIT);
}

/// Ends a direction of the visible end, or both. Where that was done before, it still wakes whoever looks for edges.
fn end(visible: &OwnedFd, how: Shutdown) {
    // It fails on an end that is not connected only, and that is hung up anyway.
    let _ = shutdown(visible, how);
}

/// Takes the pending error of the visible end.
fn take_error(visible: &OwnedFd) {
    let _ = sockopt::socket_error(visible);
}
