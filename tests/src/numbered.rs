//! A stream of numbered lines: long enough to hurt, and known to the byte.

use std::io::{self, Write};

/// Every line has this many bytes, its newline included: a number, a space, filling.
pub const LINE_BYTES: usize = 64;

/// Lines that are written at once: 64 KiB, the size of a pipe's buffer.
const LINES_A_WRITE: u64 = 1024;

/// The line with this number, newline included.
#[must_use]
pub fn line(number: u64) -> String {
    let filling = "abcdefghijklmnopqrstuvwxyz0123456789-ABCDEFGHIJKLMNOP";
    let turn = usize::try_from(number % 26).unwrap_or(0);
    format!("{number:09} {}{}\n", &filling[turn..], &filling[..turn])
}

/// Writes the first `count` lines at full speed.
pub fn write(count: u64, out: &mut impl Write) -> io::Result<()> {
    let mut block = Vec::with_capacity(LINE_BYTES * 1024);
    for number in 0..count {
        block.extend_from_slice(line(number).as_bytes());
        if (number + 1) % LINES_A_WRITE == 0 {
            out.write_all(&block)?;
            block.clear();
        }
    }
    out.write_all(&block)?;
    out.flush()
}

/// How many lines make so many million bytes.
#[must_use]
pub fn lines_of_megabytes(megabytes: u64) -> u64 {
    megabytes * 1_000_000 / LINE_BYTES as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_numbered_line_has_the_same_length_and_its_own_number() {
        let mut out = Vec::new();
        write(3000, &mut out).unwrap();
        assert_eq!(out.len(), 3000 * LINE_BYTES);
        for (number, line) in out.chunks(LINE_BYTES).enumerate() {
            assert!(line.starts_with(format!("{number:09} ").as_bytes()));
            assert_eq!(line.iter().position(|b| *b == b'\n'), Some(LINE_BYTES - 1));
        }
    }
}
