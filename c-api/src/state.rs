//! The default host: set up once, found by every call.

use core::cell::RefCell;
use core::ffi::{CStr, c_char, c_int};
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Once, PoisonError, RwLock};

use rustix::io::Errno;
use tapsock::{Host, Numbers, bsd};
use tapsock_driver::Namespace;

use crate::config::Config;
use tapsock_ffi::memory::{answer, text, value};
use tapsock_ffi::placeholder::{self, Placeholders};

/// The host, with what belongs to it here.
pub(crate) struct Running {
    pub(crate) host: Host,
    pub(crate) placeholders: Arc<Placeholders>,
    namespace: Option<Namespace>,
}

/// The process gives out the numbers.
struct ProcessNumbers(Arc<Placeholders>);

impl Numbers for ProcessNumbers {
    fn take(&self, least: i32) -> Result<i32, Errno> {
        self.0.take(least)
    }

    fn claim(&self, number: i32) -> Result<(), Errno> {
        self.0.claim(number)
    }

    fn give_back(&self, number: i32) {
        self.0.give_back(number);
    }
}

/// What this process has. It is made once and never freed, so that calls find it without a lock; a child of `fork` forgets
/// it, since its threads and locks are the parent's.
struct State {
    running: RwLock<Option<Arc<Running>>>,
}

static STATE: AtomicPtr<State> = AtomicPtr::new(ptr::null_mut());

extern "C" fn before_fork() {
    placeholder::hold_still();
}

extern "C" fn in_the_parent() {
    placeholder::go_on();
}

extern "C" fn forget_in_the_child() {
    STATE.store(ptr::null_mut(), Ordering::Release);
    placeholder::hide();
}

fn state() -> Option<&'static State> {
    // SAFETY: what stands there was leaked by `make`.
    unsafe { STATE.load(Ordering::Acquire).as_ref() }
}

fn make() -> &'static State {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: they take one lock before, and let go of it after; the child's puts descriptors into the places of others
        // and stores a pointer.
        unsafe {
            libc::pthread_atfork(Some(before_fork), Some(in_the_parent), Some(forget_in_the_child));
        }
    });
    if let Some(state) = state() {
        return state;
    }
    let made = Box::into_raw(Box::new(State { running: RwLock::new(None) }));
    match STATE.compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: it is leaked from here on.
        Ok(_) => unsafe { &*made },
        Err(other) => {
            // SAFETY: nobody else has seen ours, and the other one is never freed.
            unsafe {
                drop(Box::from_raw(made));
                &*other
            }
        }
    }
}

/// The default host. Errors: ENETDOWN where there is none.
pub(crate) fn default() -> Result<Arc<Running>, Errno> {
    let default = state().and_then(|state| {
        let default = state.running.read().unwrap_or_else(PoisonError::into_inner);
        default.clone()
    });
    default.ok_or(Errno::NETDOWN)
}

/// The default host where `number` is one of its sockets; `None` where it is the kernel's, or nobody's. A socket whose
/// number was closed by libc is closed here.
pub(crate) fn owner(number: c_int) -> Option<Arc<Running>> {
    let default = default().ok()?;
    let incarnation = bsd::incarnation(&default.host, number).ok()?;
    if !default.placeholders.holds(number) {
        // What stands there now is left alone. Another thread may have closed it, and a third have its number by now.
        let _ = bsd::close_incarnation(&default.host, number, incarnation);
        return None;
    }
    Some(default)
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

fn explain(error: &str) {
    let text = CString::new(error.replace('\0', " ")).unwrap_or_default();
    LAST_ERROR.with(|last| *last.borrow_mut() = text);
}

/// Sets the default host up. NULL is as "": it talks to itself, over `lo`. See docs/c.md for what `config` may say.
///
/// Returns 0, or -1 with errno: EINVAL for a text that makes no sense, EALREADY where there is a host, and what opening
/// the link says; `tapsock_last_error` tells more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_init(config: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    let config = unsafe { text(config) }.unwrap_or_default();
    answer(|| {
        init(config).map(|()| 0).map_err(|(error, errno)| {
            explain(&error);
            errno
        })
    })
}

fn init(config: &[u8]) -> Result<(), (String, Errno)> {
    let invalid = |error: String| (error, Errno::INVAL);
    let config = str::from_utf8(config).map_err(|error| invalid(error.to_string()))?;
    let config = Config::parse(config).map_err(invalid)?;
    let mut default = make().running.write().unwrap_or_else(PoisonError::into_inner);
    if default.is_some() {
        return Err(("there is a host already".to_owned(), Errno::ALREADY));
    }
    let (builder, namespace) = config
        .builder()
        .map_err(|(error, errno)| (error, errno.map_or(Errno::NODEV, Errno::from_raw_os_error)))?;
    let placeholders = Arc::new(Placeholders::new().map_err(|errno| (format!("memfd: {errno}"), errno))?);
    let numbers = ProcessNumbers(placeholders.clone());
    let host = builder.descriptor_limit(i32::MAX as usize).numbers(numbers).start().map_err(|error| {
        let errno = Errno::from_io_error(&error).unwrap_or(Errno::INVAL);
        (error.to_string(), errno)
    })?;
    *default = Some(Arc::new(Running { host, placeholders, namespace }));
    Ok(())
}

/// Ends the default host: closes its sockets, and waits up to 2 s until the peers have what was sent to them. Calls that
/// wait in other threads end with EBADF.
///
/// Returns the connections that had to be reset, or -1 with errno: ENETDOWN where there is no host.
#[unsafe(no_mangle)]
pub extern "C" fn tapsock_fini() -> c_int {
    answer(|| {
        let state = state().ok_or(Errno::NETDOWN)?;
        let default = state.running.write().unwrap_or_else(PoisonError::into_inner).take();
        let report = default.ok_or(Errno::NETDOWN)?.host.shutdown();
        Ok(c_int::try_from(report.connections).unwrap_or(c_int::MAX))
    })
}

/// What the last failure of `tapsock_init` in this thread was, in words; "" where there was none. It is there until the
/// next.
#[unsafe(no_mangle)]
pub extern "C" fn tapsock_last_error() -> *const c_char {
    // A thread that is ending has forgotten it.
    LAST_ERROR.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

/// Runs a program in the network at the other end of the default host's link, with this process's environment and standard
/// descriptors: `argv[0]`, found by PATH, and its arguments, up to a NULL.
///
/// Returns its process, to be waited for by waitpid, or -1 with errno: ENETDOWN without a host, EOPNOTSUPP where the link
/// was not made by "link=auto", "link=tap" or "link=veth", EFAULT, ENOENT, EACCES, EAGAIN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_spawn(argv: *const *const c_char) -> libc::pid_t {
    answer(|| {
        // SAFETY: the caller's promise.
        let program = unsafe { value(argv) }?;
        if program.is_null() {
            return Err(Errno::INVAL);
        }
        // SAFETY: it is not NULL.
        let program = OsStr::from_bytes(unsafe { CStr::from_ptr(*program) }.to_bytes());
        let default = default()?;
        let namespace = default.namespace.as_ref().ok_or(Errno::OPNOTSUPP)?;
        let mut command = namespace.command(program);
        for index in 1.. {
            // SAFETY: the list goes on until its NULL, which has not come yet.
            let Some(argument) = (unsafe { text(*argv.add(index)) }) else { break };
            command.arg(OsStr::from_bytes(argument));
        }
        let child = command.spawn().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))?;
        Ok(child.id() as libc::pid_t)
    })
}
