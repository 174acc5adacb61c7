//! A link that tells when it is gone.
//!
//! A listener outlives the link, as Linux's does: whoever serves by it has to look at the link itself.

use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use tapsock_driver::{Link, RecvHalf, RecvSlot, SendHalf};
use tapsock_stack::buf::Frame;
use tapsock_stack::wire::offload::{LinkCaps, Transmit};

use crate::failure::{During, Failure};

/// Whether a link is still there.
#[derive(Clone, Debug, Default)]
pub struct LinkWatch {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Why it is gone.
    gone: Mutex<Option<String>>,
    changed: Condvar,
}

/// How work ended, or why it need not go on.
enum End<T> {
    Done(thread::Result<T>),
    Gone,
}

impl LinkWatch {
    /// `link`, watched.
    pub fn over(&self, link: Box<dyn Link>) -> Watched {
        Watched { link, watch: self.clone() }
    }

    /// Does `work` in a thread of its own, and does not wait for its end where the link is gone. `link` is its name.
    ///
    /// # Errors
    /// Those of `work`; that the link is gone.
    pub fn while_it_lasts<T: Send + 'static>(
        &self,
        link: &str,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (tell, told) = mpsc::channel();
        let (watch, gone) = (self.clone(), tell.clone());
        let spawn = |name: &str| thread::Builder::new().name(name.to_owned());
        spawn("work")
            .spawn(move || tell.send(End::Done(panic::catch_unwind(AssertUnwindSafe(work)))))
            .during("start a thread")?;
        spawn("watch")
            .spawn(move || {
                watch.wait();
                gone.send(End::Gone)
            })
            .during("start a thread")?;
        match told.recv() {
            Ok(End::Done(Ok(Ok(result)))) => Ok(result),
            // Where the link is gone, that is why the work failed.
            Ok(End::Done(Ok(Err(failure)))) => Err(self.failure(link).unwrap_or(failure)),
            Ok(End::Done(Err(panic))) => panic::resume_unwind(panic),
            Ok(End::Gone) | Err(_) => Err(self.failure(link).unwrap_or_else(|| Failure::new("it ended"))),
        }
    }

    /// What to say of a link that is gone.
    fn failure(&self, link: &str) -> Option<Failure> {
        let why = self.lock();
        let failure = Failure::new(format!("the link {link} is gone: {}", why.as_ref()?));
        Some(failure.hint("Nobody can reach the stack any more.").with_status(2))
    }

    fn report(&self, why: &io::Error) {
        self.lock().get_or_insert_with(|| why.to_string());
        self.state.changed.notify_all();
    }

    fn wait(&self) {
        let waited = self.state.changed.wait_while(self.lock(), |gone| gone.is_none());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.state.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A link that is watched.
pub struct Watched {
    link: Box<dyn Link>,
    watch: LinkWatch,
}

impl Link for Watched {
    fn caps(&self) -> LinkCaps {
        self.link.caps()
    }

    fn name(&self) -> &str {
        self.link.name()
    }

    fn split(self: Box<Self>) -> (Box<dyn RecvHalf>, Box<dyn SendHalf>) {
        let (receive, send) = self.link.split();
        let watch = self.watch;
        (Box::new(Half { half: receive, watch: watch.clone() }), Box::new(Half { half: send, watch }))
    }
}

struct Half<H> {
    half: H,
    watch: LinkWatch,
}

impl<H> Half<H> {
    fn watched<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
        {
            self.watch.report(error);
        }
        result
    }
}

impl<H> Drop for Half<H> {
    fn drop(&mut self) {
        // The stack lets go of a link whose descriptor reports an error, without reading.
        self.watch.report(&ErrorKind::BrokenPipe.into());
    }
}

impl RecvHalf for Half<Box<dyn RecvHalf>> {
    fn receive(&mut self, slot: &mut RecvSlot) -> io::Result<Frame> {
        let received = self.half.receive(slot);
        self.watched(received)
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.half.poll_fd()
    }
}

impl SendHalf for Half<Box<dyn SendHalf>> {
    fn transmit(&mut self, transmit: &Transmit) -> io::Result<()> {
        let sent = self.half.transmit(transmit);
        self.watched(sent)
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.half.poll_fd()
    }

    fn dropped(&self) -> u64 {
        self.half.dropped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapsock_driver::memory::{MemoryConfig, MemoryLink};

    #[test]
    fn work_ends_with_the_link() {
        let watch = LinkWatch::default();
        let (here, there) = MemoryLink::pair(MemoryConfig::default()).unwrap();
        let (mut receive, _send) = Box::new(watch.over(Box::new(here))).split();
        assert_eq!(watch.while_it_lasts("x", || Ok(7)).unwrap(), 7);
        assert_eq!(receive.receive(&mut RecvSlot::new()).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(watch.failure("x").is_none(), "nothing to read is no end");

        drop(there);
        let (_block, never) = mpsc::channel::<()>();
        let reading = thread::spawn(move || receive.receive(&mut RecvSlot::new()).map(drop));
        let failure = watch
            .while_it_lasts("x", move || never.recv().map_err(|_| Failure::new("not this")))
            .unwrap_err();
        assert!(reading.join().unwrap().is_err());
        assert!(failure.to_string().starts_with("the link x is gone: "), "{failure}");
        assert_eq!(failure.status(), 2);
    }

    #[test]
    fn a_link_that_is_let_go_is_gone() {
        let watch = LinkWatch::default();
        let (here, _there) = MemoryLink::pair(MemoryConfig::default()).unwrap();
        drop(Box::new(watch.over(Box::new(here))).split());
        let failed: Result<(), _> = watch.while_it_lasts("x", || Err(Failure::new("Network is down")));
        assert!(failed.unwrap_err().to_string().contains("the link x is gone"), "the cause, not its effect");
    }
}
