//! A frame as the slices that one `writev` takes.

use std::io::{self, IoSlice};

use tapsock_stack::wire::offload::Transmit;

/// Slices handed to the kernel at most: a prefix, the headers, chunks, and the rest in one.
const MAX_SLICES: usize = 64;
/// Chunks of payload that have a slice of their own.
const MAX_CHUNKS: usize = MAX_SLICES - 3;

/// Hands frames to the kernel without copying their payload, however many chunks it has.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    /// The payload behind the first [`MAX_CHUNKS`] chunks.
    scratch: Vec<u8>,
}

impl Gather {
    /// Calls `write` with `prefix`, headers and payload of `transmit`.
    pub(crate) fn write(
        &mut self,
        prefix: &[u8],
        transmit: &Transmit,
        write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.scratch.clear();
        for chunk in transmit.payload.chunks().skip(MAX_CHUNKS) {
            self.scratch.extend_from_slice(chunk);
        }
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        let mut push = |bytes| {
            slices[count] = IoSlice::new(bytes);
            count += 1;
        };
        if !prefix.is_empty() {
            push(prefix);
        }
        push(&transmit.headers);
        transmit.payload.chunks().take(MAX_CHUNKS).for_each(|chunk| push(chunk));
        if !self.scratch.is_empty() {
            push(&self.scratch);
        }
        write(&slices[..count])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapsock_stack::buf::{Chunk, HeaderBlock, Rope};

    #[test]
    fn all_bytes_are_there_in_order_however_many_chunks_there_are() {
        let mut gather = Gather::default();
        for chunks in [0, 1, 3, MAX_CHUNKS, MAX_CHUNKS + 1, 200] {
            let mut payload = Rope::new();
            (0..chunks).for_each(|index| payload.push_back(Chunk::from(vec![index as u8; 3])));
            let mut headers = HeaderBlock::new();
            headers.prepend(2).copy_from_slice(b"hd");
            let transmit = Transmit { headers, payload, checksum: None, segmentation: None };
            let mut seen = Vec::new();
            let write = |slices: &[IoSlice<'_>]| {
                slices.iter().for_each(|slice| seen.extend_from_slice(slice));
                Ok(seen.len())
            };
            assert_eq!(gather.write(b"vnet", &transmit, write).unwrap(), 6 + 3 * chunks);
            assert_eq!(seen[..6], *b"vnethd");
            assert_eq!(seen[6..], transmit.payload.to_vec());
        }
    }
}
