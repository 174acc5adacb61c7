//! Names of hosts and interfaces.

use core::ffi::{CStr, c_char, c_int, c_uint};
use core::ptr;
use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use libc::{addrinfo, if_nameindex, sockaddr, sockaddr_storage, socklen_t};
use rustix::io::Errno;
use tapsock::bsd;
use tapsock::resolve::{self, AddrInfo, EaiError, Hints, LocalNet, Names, Room};

use crate::address;
use crate::state::default;
use tapsock_ffi::memory::{answer, bytes_mut, text};

/// Bytes of an interface's name, with its zero byte: IFNAMSIZ.
const NAME_LEN: usize = 16;

/// As getaddrinfo(3), by /etc/hosts, the default host's name servers and /etc/services, in the order that suits the default host. Free the list by
/// tapsock_freeaddrinfo.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    result: *mut *mut addrinfo,
) -> c_int {
    outcome(|| {
        // SAFETY: the caller's promise.
        let (node, service, hints) = unsafe { (text(node), text(service), hints.as_ref()) };
        let [node, service] = [node, service].map(|name| name.map(str::from_utf8).transpose());
        let (node, service) = (node.map_err(|_| EaiError::NoName)?, service.map_err(|_| EaiError::Service)?);
        let hints = hints.map(|hints| Hints {
            flags: hints.ai_flags,
            family: hints.ai_family,
            socket_type: hints.ai_socktype,
            protocol: hints.ai_protocol,
        });
        let found = match default() {
            Ok(at) => bsd::getaddrinfo(&at.host, node, service, hints.as_ref()),
            Err(_) => {
                resolve::getaddrinfo(&Names::system(), &LocalNet::none(), node, service, hints.as_ref())
            }
        }?;
        // SAFETY: the caller's promise.
        match unsafe { result.as_mut() } {
            Some(result) => *result = list(found),
            None => return Err(EaiError::Fail),
        }
        Ok(())
    })
}

/// One entry of the list, and what it points to. The entry comes first, so that its address is that of the whole.
#[repr(C)]
struct Entry {
    info: addrinfo,
    address: sockaddr_storage,
}

fn list(found: Vec<AddrInfo>) -> *mut addrinfo {
    let mut next = ptr::null_mut();
    for one in found.into_iter().rev() {
        let bytes = tapsock::SockAddr::from(one.address).as_bytes();
        let name = one.canonical_name.and_then(|name| CString::new(name).ok());
        // SAFETY: all zeros are an address of no family.
        let address: sockaddr_storage = unsafe { core::mem::zeroed() };
        let info = addrinfo {
            ai_flags: 0,
            ai_family: if one.address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 },
            ai_socktype: one.socket_type,
            ai_protocol: one.protocol,
            ai_addrlen: bytes.len() as socklen_t,
            ai_addr: ptr::null_mut(),
            ai_canonname: name.map_or(ptr::null_mut(), CString::into_raw),
            ai_next: next,
        };
        let entry = Box::into_raw(Box::new(Entry { info, address }));
        // SAFETY: the entry was just made, and an address is no longer than its storage.
        unsafe {
            let address = &raw mut (*entry).address;
            ptr::copy_nonoverlapping(bytes.as_ptr(), address.cast(), bytes.len());
            (*entry).info.ai_addr = address.cast();
        }
        next = entry.cast();
    }
    next
}

/// Frees what tapsock_getaddrinfo has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_freeaddrinfo(list: *mut addrinfo) {
    let mut next = list.cast::<Entry>();
    while !next.is_null() {
        // SAFETY: the caller's promise: `list` made it by `Box::into_raw`, and the name by `CString::into_raw`.
        unsafe {
            let entry = Box::from_raw(next);
            if !entry.info.ai_canonname.is_null() {
                drop(CString::from_raw(entry.info.ai_canonname));
            }
            next = entry.info.ai_next.cast();
        }
    }
}

/// As gai_strerror(3).
#[unsafe(no_mangle)]
pub extern "C" fn tapsock_gai_strerror(code: c_int) -> *const c_char {
    let words: &CStr = match code {
        -1 => c"Bad value for ai_flags",
        -2 => c"Name or service not known",
        -3 => c"Temporary failure in name resolution",
        -4 => c"Non-recoverable failure in name resolution",
        -5 => c"No address associated with hostname",
        -6 => c"ai_family not supported",
        -7 => c"ai_socktype not supported",
        -8 => c"Servname not supported for ai_socktype",
        -9 => c"Address family for hostname not supported",
        -10 => c"Memory allocation failure",
        -11 => c"System error",
        -12 => c"Argument buffer overflow",
        _ => c"Unknown error",
    };
    words.as_ptr()
}

/// As getnameinfo(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_getnameinfo(
    address: *const sockaddr,
    len: socklen_t,
    node: *mut c_char,
    node_len: socklen_t,
    service: *mut c_char,
    service_len: socklen_t,
    flags: c_int,
) -> c_int {
    outcome(|| {
        // SAFETY: the caller's promise.
        let address = unsafe { address::read(address, len) }.map_err(|_| EaiError::Family)?;
        let room = |start: *mut c_char, len: socklen_t| (!start.is_null()).then_some(len as usize);
        let room = Room { host: room(node, node_len), service: room(service, service_len) };
        let told = match default() {
            Ok(at) => bsd::getnameinfo(&at.host, &address, room, flags),
            Err(_) => resolve::getnameinfo(&Names::system(), &LocalNet::none(), &address, room, flags),
        }?;
        // SAFETY: the caller's promise; each is shorter than the room for it.
        unsafe {
            write(node, node_len, told.host.as_deref())?;
            write(service, service_len, told.service.as_deref())
        }
    })
}

/// # Safety
/// So many bytes must be there, and nobody else's.
unsafe fn write(start: *mut c_char, len: socklen_t, name: Option<&str>) -> Result<(), EaiError> {
    let Some(name) = name else { return Ok(()) };
    // SAFETY: the caller's promise.
    let out = unsafe { bytes_mut(start.cast(), len as usize) }.map_err(|_| EaiError::Overflow)?;
    let out = out.get_mut(..=name.len()).ok_or(EaiError::Overflow)?;
    out[..name.len()].copy_from_slice(name.as_bytes());
    out[name.len()] = 0;
    Ok(())
}

/// 0, or an `EAI_…`. No panic leaves it: that is EAI_FAIL.
fn outcome(call: impl FnOnce() -> Result<(), EaiError>) -> c_int {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => error.code(),
        Err(_) => EaiError::Fail.code(),
    }
}

/// As if_nametoindex(3), of the default host's interfaces: 0 and ENODEV where there is none of that name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_if_nametoindex(name: *const c_char) -> c_uint {
    answer(|| {
        // SAFETY: the caller's promise.
        let name = unsafe { text(name) }.ok_or(Errno::FAULT)?;
        let name = str::from_utf8(name).map_err(|_| Errno::NODEV)?;
        bsd::if_nametoindex(&default()?.host, name)
    })
}

/// As if_indextoname(3), of the default host's interfaces: `name` has room for IF_NAMESIZE bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_if_indextoname(index: c_uint, name: *mut c_char) -> *mut c_char {
    answer(|| {
        let found = bsd::if_indextoname(&default()?.host, index)?;
        // SAFETY: the caller's promise.
        let out = unsafe { bytes_mut(name.cast(), NAME_LEN) }?;
        let len = found.len().min(NAME_LEN - 1);
        out[..len].copy_from_slice(&found.as_bytes()[..len]);
        out[len] = 0;
        Ok(name)
    })
}

/// As if_nameindex(3), of the default host's interfaces. Free the list by tapsock_if_freenameindex.
#[unsafe(no_mangle)]
pub extern "C" fn tapsock_if_nameindex() -> *mut if_nameindex {
    answer(|| {
        let found = bsd::if_nameindex(&default()?.host);
        let entry = |index, name: &str| if_nameindex {
            if_index: index,
            if_name: CString::new(name).map_or(ptr::null_mut(), CString::into_raw),
        };
        let mut list: Vec<if_nameindex> =
            found.iter().map(|interface| entry(interface.index, &interface.name)).collect();
        list.push(if_nameindex { if_index: 0, if_name: ptr::null_mut() });
        Ok(Box::into_raw(list.into_boxed_slice()).cast())
    })
}

/// Frees what tapsock_if_nameindex has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapsock_if_freenameindex(list: *mut if_nameindex) {
    if list.is_null() {
        return;
    }
    let mut len = 0;
    // SAFETY: the caller's promise: the list ends with a name that is NULL, and was made as a boxed slice of that length.
    unsafe {
        while !(*list.add(len)).if_name.is_null() {
            drop(CString::from_raw((*list.add(len)).if_name));
            len += 1;
        }
        drop(Box::from_raw(ptr::slice_from_raw_parts_mut(list, len + 1)));
    }
}
