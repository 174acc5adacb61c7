//! Sockets that are held to one interface (SO_BINDTODEVICE, SO_BINDTOIFINDEX).

use rustix::io::Errno;
use tapsock_stack::iface::InterfaceId;

use crate::constants::SO_BINDTOIFINDEX;
use crate::destination;
use crate::options::{OptionValue, read_int};
use crate::socket::{Call, Permission};

/// The interface that `value` names; none takes the socket's back.
///
/// Errors: EPERM where the socket has one already and its owner has no privilege, ENODEV where there is no such
/// interface, EINVAL for a number below zero. Source: socket(7).
pub(crate) fn wanted(call: &Call<'_>, name: i32, value: &[u8]) -> Result<Option<InterfaceId>, Errno> {
    let interfaces = call.stack.interfaces();
    let bound = call.options().device.is_some() && call.permission == Permission::Ordinary;
    if name == SO_BINDTOIFINDEX {
        let index = u32::try_from(read_int(value)?).map_err(|_| Errno::INVAL)?;
        return match index {
            _ if bound => Err(Errno::PERM),
            0 => Ok(None),
            index => destination::interface(interfaces, index).map(Some).ok_or(Errno::NODEV),
        };
    }
    let field = &value[..value.len().min(NAME_LEN - 1)];
    let name = field.split(|byte| *byte == 0).next().unwrap_or(field);
    if name.is_empty() {
        return if bound { Err(Errno::PERM) } else { Ok(None) };
    }
    let found = core::str::from_utf8(name).ok().and_then(|name| interfaces.by_name(name));
    let found = found.ok_or(Errno::NODEV)?.id();
    if bound { Err(Errno::PERM) } else { Ok(Some(found)) }
}

/// The name of the socket's interface with a zero byte; nothing where there is none.
pub(crate) fn shown_name(call: &Call<'_>) -> OptionValue {
    let device = call.options().device.and_then(|device| call.stack.interfaces().interface(device));
    let name = device.map(|interface| [interface.name().as_bytes(), &[0]].concat());
    name.map_or(Vec::new().into(), |name| OptionValue::from(name).needing(NAME_LEN))
}

/// Linux's IFNAMSIZ, with the zero byte.
const NAME_LEN: usize = 16;
