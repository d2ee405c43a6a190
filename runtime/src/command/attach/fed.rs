//! What a session on another machine printed, as far as it came and was not shown yet.

use niia_actors::recording::Read;

/// Bytes kept: more than the other end lets a viewer fall behind.
const FED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A stretch of the recording, without holes.
#[derive(Debug, Default)]
pub struct Fed {
    from: u64,
    bytes: Vec<u8>,
}

impl Fed {
    /// Takes what came. What does not follow on the stretch begins a new one; a stretch that is too long loses its
    /// beginning.
    pub fn take(&mut self, from: u64, bytes: Vec<u8>) {
        if from != self.end() {
            (self.from, self.bytes) = (from, bytes);
        } else {
            self.bytes.extend_from_slice(&bytes);
        }
        let over = self.bytes.len().saturating_sub(FED_BYTES_MAX);
        self.forget(over);
    }

    /// Reads as the recording would be read; what is read is not kept.
    pub fn read(&mut self, offset: u64, wanted: usize) -> (Read, Vec<u8>) {
        if offset < self.from {
            let to = self.from.min(offset + wanted as u64);
            return (Read::Gap { from: offset, to }, Vec::new());
        }
        let skipped = usize::try_from(offset - self.from).unwrap_or(usize::MAX).min(self.bytes.len());
        self.forget(skipped);
        let count = wanted.min(self.bytes.len());
        let bytes = self.bytes[..count].to_vec();
        self.forget(count);
        (Read::Bytes(count), bytes)
    }

    fn end(&self) -> u64 {
        self.from + self.bytes.len() as u64
    }

    fn forget(&mut self, count: usize) {
        self.bytes.drain(..count);
        self.from += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_read_once_and_in_order_and_what_did_not_come_is_a_gap() {
        let mut fed = Fed::default();
        fed.take(100, b"abc".to_vec());
        fed.take(103, b"def".to_vec());
        assert_eq!(fed.read(90, 20), (Read::Gap { from: 90, to: 100 }, Vec::new()));
        assert_eq!(fed.read(100, 4), (Read::Bytes(4), b"abcd".to_vec()));
        assert_eq!(fed.read(104, 9), (Read::Bytes(2), b"ef".to_vec()));
        assert_eq!(fed.read(106, 9), (Read::Bytes(0), Vec::new()));
        fed.take(500, b"x".to_vec());
        assert_eq!(fed.read(106, 500), (Read::Gap { from: 106, to: 500 }, Vec::new()));
        assert_eq!(fed.read(500, 1), (Read::Bytes(1), b"x".to_vec()));
    }

    #[test]
    fn a_viewer_that_never_reads_keeps_no_more_than_the_bound() {
        let mut fed = Fed::default();
        for n in 0..200u64 {
            fed.take(n * 65_536, vec![0; 65_536]);
            assert!(fed.bytes.len() <= FED_BYTES_MAX);
        }
        assert_eq!(fed.end(), 200 * 65_536);
    }
}
