//! Names of services and protocols.

use core::cell::RefCell;
use core::ffi::{c_char, c_int};
use core::ptr;
use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use libc::{protoent, servent};
use tapsock::bsd;

use tapsock_ffi::memory::text;

/// As getservbyname(3), by /etc/services: NULL where there is none. The answer is there until the thread's next.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_getservbyname(name: *const c_char, protocol: *const c_char) -> *mut servent {
    // SAFETY: the caller's promise.
    let (name, protocol) = unsafe { (words(name), words(protocol)) };
    service(|| bsd::getservbyname(name.flatten()?, protocol.map(|protocol| protocol.unwrap_or(""))))
}

/// As getservbyport(3), by /etc/services; the port is in network order. NULL where there is none. The answer is there
/// until the thread's next.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_getservbyport(port: c_int, protocol: *const c_char) -> *mut servent {
    // SAFETY: the caller's promise.
    let protocol = unsafe { words(protocol) };
    let port = u16::from_be(port as u16);
    service(|| bsd::getservbyport(port, protocol.map(|protocol| protocol.unwrap_or(""))))
}

/// As getprotobyname(3), by /etc/protocols: NULL where there is none. The answer is there until the thread's next.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_getprotobyname(name: *const c_char) -> *mut protoent {
    // SAFETY: the caller's promise.
    let name = unsafe { words(name) };
    protocol(|| bsd::getprotobyname(name.flatten()?))
}

/// As getprotobynumber(3), by /etc/protocols: NULL where there is none. The answer is there until the thread's next.
#[unsafe(no_mangle)]
pub extern "C" fn tapsock_getprotobynumber(number: c_int) -> *mut protoent {
    protocol(|| bsd::getprotobynumber(number))
}

/// A name that is given: one that is no UTF-8 is nothing's.
///
/// # Safety
/// It must be NULL, or a string that ends with a zero byte.
unsafe fn words<'a>(name: *const c_char) -> Option<Option<&'a str>> {
    // SAFETY: the caller's promise.
    unsafe { text(name) }.map(|name| str::from_utf8(name).ok())
}

/// Strings that C is shown: a name, its aliases, and a protocol.
struct Shown {
    name: CString,
    other: CString,
    _aliases: Vec<CString>,
    list: Vec<*mut c_char>,
}

impl Shown {
    fn new<'a>(name: &str, aliases: impl Iterator<Item = &'a str>, other: &str) -> Self {
        let owned = |text: &str| CString::new(text).unwrap_or_default();
        let aliases: Vec<CString> = aliases.map(owned).collect();
        let mut list: Vec<*mut c_char> = aliases.iter().map(|alias| alias.as_ptr().cast_mut()).collect();
        list.push(ptr::null_mut());
        Shown { name: owned(name), other: owned(other), _aliases: aliases, list }
    }
}

thread_local! {
    static SERVICE: RefCell<Option<(Shown, servent)>> = const { RefCell::new(None) };
    static PROTOCOL: RefCell<Option<(Shown, protoent)>> = const { RefCell::new(None) };
}

fn service(find: impl FnOnce() -> Option<tapsock::resolve::Service>) -> *mut servent {
    let found = catch_unwind(AssertUnwindSafe(find)).ok().flatten();
    let Some(found) = found else { return ptr::null_mut() };
    let mut shown = Shown::new(found.name(), found.aliases(), found.protocol());
    let entry = servent {
        s_name: shown.name.as_ptr().cast_mut(),
        s_aliases: shown.list.as_mut_ptr(),
        s_port: found.port().to_be().into(),
        s_proto: shown.other.as_ptr().cast_mut(),
    };
    // NULL in a thread that is ending.
    let keep = |kept: &RefCell<Option<(Shown, servent)>>| &raw mut kept.borrow_mut().insert((shown, entry)).1;
    SERVICE.try_with(keep).unwrap_or(ptr::null_mut())
}

fn protocol(find: impl FnOnce() -> Option<tapsock::resolve::Protocol>) -> *mut protoent {
    let found = catch_unwind(AssertUnwindSafe(find)).ok().flatten();
    let Some(found) = found else { return ptr::null_mut() };
    let mut shown = Shown::new(found.name(), found.aliases(), "");
    let entry = protoent {
        p_name: shown.name.as_ptr().cast_mut(),
        p_aliases: shown.list.as_mut_ptr(),
        p_proto: found.number(),
    };
    // NULL in a thread that is ending.
    let keep =
        |kept: &RefCell<Option<(Shown, protoent)>>| &raw mut kept.borrow_mut().insert((shown, entry)).1;
    PROTOCOL.try_with(keep).unwrap_or(ptr::null_mut())
}
