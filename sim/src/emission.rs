//! What a stack gives to a link, held to what the link can do.

use tapsock_stack::buf::Frame;
use tapsock_stack::wire::offload::{LinkCaps, Transmit};

/// The frame that goes over the wire, or what is wrong with it.
pub(crate) fn emitted(mut transmit: Transmit, caps: &LinkCaps) -> Result<Frame, String> {
    let link_header = caps.medium.header_len();
    let packet = transmit.len() - link_header;
    match transmit.segmentation {
        None if packet > caps.mtu => {
            return Err(format!("a packet of {packet} bytes over an MTU of {}", caps.mtu));
        }
        Some(_) if packet > caps.gso_max => {
            return Err(format!("a merged packet of {packet} bytes, though the link cuts {}", caps.gso_max));
        }
        Some(segmentation) => {
            let headers = transmit.headers.len() - link_header;
            let segment = headers + usize::from(segmentation.size);
            if segment > caps.mtu {
                return Err(format!("segments of {segment} bytes over an MTU of {}", caps.mtu));
            }
        }
        None => {}
    }
    if !caps.fills_checksums {
        transmit.complete_checksum();
    }
    Ok(transmit.to_frame())
}
