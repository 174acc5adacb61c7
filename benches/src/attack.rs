//! Segments of those who mean no good, made from one that was sent in earnest.

/// Where things stand in an Ethernet frame with IPv4 without options.
const IP: usize = 14;
const TCP: usize = 34;
const SYN: u8 = 0x02;
const RST_ACK: u8 = 0x14;
const PSH_ACK: u8 = 0x18;

/// How a host is flooded.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Attack {
    /// SYNs of addresses beyond a router.
    Syn,
    /// SYNs of addresses on the link, which nobody has.
    SynOnLink,
    /// Segments of a byte, in order, for a program that does not read.
    Tiny,
    /// Segments of a byte, each beyond a gap.
    OutOfOrder,
    /// Resets and data with numbers far outside of the window.
    Bogus,
}

impl Attack {
    pub(crate) const ALL: [Attack; 5] =
        [Attack::Syn, Attack::SynOnLink, Attack::Tiny, Attack::OutOfOrder, Attack::Bogus];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Attack::Syn => "syn",
            Attack::SynOnLink => "syn_on_link",
            Attack::Tiny => "tiny",
            Attack::OutOfOrder => "out_of_order",
            Attack::Bogus => "bogus",
        }
    }

    /// The `serial`-th segment of it, counted from one. `template` is a frame that brought data in order.
    pub(crate) fn segment(self, template: &[u8], serial: u32) -> Vec<u8> {
        let header = usize::from(template[TCP + 12] >> 4) * 4;
        let len = template.len() - TCP - header;
        let next =
            u32::from_be_bytes([template[TCP + 4], template[TCP + 5], template[TCP + 6], template[TCP + 7]])
                .wrapping_add(len as u32);
        let mut frame = template[..TCP + header].to_vec();
        match self {
            Attack::Syn | Attack::SynOnLink => {
                let net = if self == Attack::Syn { 172 } else { 10 };
                frame[IP + 12..IP + 16].copy_from_slice(&[net, 16, (serial >> 8) as u8, serial as u8]);
                frame[TCP..TCP + 2].copy_from_slice(&(1024 + (serial >> 16) as u16).to_be_bytes());
                frame[TCP + 4..TCP + 8].copy_from_slice(&serial.wrapping_mul(2_654_435_761).to_be_bytes());
                frame[TCP + 8..TCP + 12].fill(0);
                frame[TCP + 13] = SYN;
            }
            Attack::Tiny => place(&mut frame, next.wrapping_add(serial - 1), PSH_ACK),
            Attack::OutOfOrder => place(&mut frame, next.wrapping_add(2 * (serial % 30_000) + 1), PSH_ACK),
            Attack::Bogus if serial.is_multiple_of(2) => place(&mut frame, next ^ 0x8000_0000, RST_ACK),
            Attack::Bogus => place(&mut frame, next.wrapping_sub(serial << 8), PSH_ACK),
        }
        if !matches!(self, Attack::Syn | Attack::SynOnLink) {
            frame.push(0x5a);
        }
        seal(&mut frame);
        frame
    }
}

fn place(frame: &mut [u8], seq: u32, flags: u8) {
    frame[TCP + 4..TCP + 8].copy_from_slice(&seq.to_be_bytes());
    frame[TCP + 13] = flags;
}

/// Sets the length and the checksum of the IPv4 header. TCP's is vouched for by the link.
fn seal(frame: &mut [u8]) {
    let len = (frame.len() - IP) as u16;
    frame[IP + 2..IP + 4].copy_from_slice(&len.to_be_bytes());
    frame[IP + 10..IP + 12].fill(0);
    let words = frame[IP..TCP].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum = words.sum::<u32>();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    frame[IP + 10..IP + 12].copy_from_slice(&(!folded as u16).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_add_up() {
        let mut template = vec![0; TCP + 20 + 64];
        template[IP] = 0x45;
        template[TCP + 12] = 5 << 4;
        template[TCP + 4..TCP + 8].copy_from_slice(&1000u32.to_be_bytes());
        for attack in Attack::ALL {
            for serial in [1, 2, 70_000] {
                let frame = attack.segment(&template, serial);
                let sum: u32 = frame[IP..TCP]
                    .chunks(2)
                    .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
                    .sum();
                assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "{attack:?}");
            }
        }
        let tiny = Attack::Tiny.segment(&template, 1);
        assert_eq!(tiny[TCP + 4..TCP + 8], 1064u32.to_be_bytes());
    }
}
