use super::*;
use crate::kernel_end::KernelEnd;
use crate::link::RecvSlot;
use crate::namespace::Namespace;
use crate::sys;
use tapsock_stack::buf::Checksum;

/// A device without a kernel's address on it but one, and its namespace; `None` where this machine has none for us.
fn open() -> Option<(Namespace, Tap)> {
    let kernel_end = KernelEnd::new("tap%d").address("10.7.0.1/24".parse().unwrap());
    let opened = Namespace::create().and_then(|namespace| Ok((namespace.open_tap(&kernel_end)?, namespace)));
    match opened {
        Ok((tap, namespace)) => Some((namespace, tap)),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

#[test]
fn the_kernel_leaves_the_cutting_of_its_datagrams_to_us() {
    let Some((namespace, tap)) = open() else { return };
    assert_eq!(tap.name(), "tap0", "the number is the kernel's choice");
    if !tap.caps().udp_gso {
        println!("skipped: this kernel has no UDP offload on TAP devices");
        return;
    }
    let socket = namespace.udp_bind("10.7.0.1:7000".parse().unwrap()).unwrap();
    sys::set_option(socket.as_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, 1000).unwrap();
    // A broadcast needs no neighbour.
    socket.set_broadcast(true).unwrap();
    socket.send_to(&[7; 5500], "10.7.0.255:9").unwrap();
    let (mut receive, _send) = Box::new(tap).split();
    let mut slot = RecvSlot::new();
    let frame = std::iter::from_fn(|| receive.receive(&mut slot).ok()).find(|frame| frame.gso_size.is_some());
    let frame = frame.expect("a merged frame");
    assert_eq!((frame.gso_size, frame.checksum), (Some(1000), Checksum::Valid));
    assert_eq!(frame.bytes.len(), 14 + 20 + 8 + 5500);
    assert!(frame.bytes[42..].iter().all(|byte| *byte == 7));
}

#[test]
fn a_descriptor_that_somebody_else_has_opened() {
    let Some((_namespace, tap)) = open() else { return };
    let caps = tap.caps();
    let fd = OwnedFd::from(tap.file.try_clone().unwrap());
    drop(tap);
    let again = Tap::from_fd(fd, 1500).unwrap();
    assert_eq!((again.name(), again.caps()), ("tap0", caps));
    let (mut receive, _send) = Box::new(again).split();
    let mut slot = RecvSlot::new();
    let error = std::iter::repeat_with(|| receive.receive(&mut slot)).find_map(Result::err).unwrap();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "and it does not block");
}

#[test]
fn a_descriptor_that_is_no_tap_is_refused() {
    let (left, _right) = sys::seqpacket_pair().unwrap();
    assert!(Tap::from_fd(left, 1500).is_err());
    let Some((namespace, _tap)) = open() else { return };
    let unattached = namespace.open(open::DEVICE, libc::O_RDWR).unwrap();
    assert_eq!(Tap::from_fd(unattached, 1500).unwrap_err().raw_os_error(), Some(libc::EBADFD));
}

#[test]
fn a_name_that_is_taken_is_busy() {
    let Some((namespace, _tap)) = open() else { return };
    let error = namespace.open_tap(&KernelEnd::new("tap0")).unwrap_err();
    assert_eq!((error.errno(), error.step()), (libc::EBUSY, "TUNSETIFF tap0"));
}
