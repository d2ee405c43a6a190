//! The kitty keyboard protocol's stacks of flags, one for each of the two screens.

use crate::session::token::Csi;

/// A program that pushes more has forgotten to pop; the oldest are dropped, as the protocol says.
const PUSHED_MAX: usize = 16;
/// The flags there are.
const FLAGS: u8 = 0b1_1111;

/// The flags of both screens. The last entry of a stack counts; an empty one means 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Keyboard {
    main: Vec<u8>,
    alt: Vec<u8>,
    on_alt: bool,
}

impl Keyboard {
    pub(super) fn flags(&self) -> u8 {
        self.stack().last().copied().unwrap_or(0)
    }

    pub(super) fn stack(&self) -> &[u8] {
        if self.on_alt { &self.alt } else { &self.main }
    }

    pub(super) fn main(&self) -> &[u8] {
        &self.main
    }

    pub(super) fn switch(&mut self, on_alt: bool) {
        self.on_alt = on_alt;
    }

    /// Takes a sequence that ends in `u` and has a marker.
    pub(super) fn take(&mut self, csi: &Csi<'_>) {
        let stack = if self.on_alt { &mut self.alt } else { &mut self.main };
        let mut numbers = csi.numbers();
        let first = numbers.next().flatten();
        let flags = u8::try_from(first.unwrap_or(0)).unwrap_or(0) & FLAGS;
        match csi.marker {
            b'>' => {
                if stack.len() == PUSHED_MAX {
                    stack.remove(0);
                }
                stack.push(flags);
            }
            b'<' => stack.truncate(stack.len().saturating_sub(usize::from(first.unwrap_or(1).max(1)))),
            b'=' => {
                let before = stack.pop().unwrap_or(0);
                stack.push(match numbers.next().flatten() {
                    Some(2) => before | flags,
                    Some(3) => before & !flags,
                    _ => flags,
                });
            }
            _ => {}
        }
    }
}
