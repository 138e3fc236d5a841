//! Bytes read as choices.

/// A list of choices that comes to an end.
#[derive(Debug, Clone, Copy)]
pub struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    /// The choices that `bytes` make.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next byte; `None` when there is nothing left to choose with.
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// A number below `count`, which is not 0; at the end the first.
    pub fn below(&mut self, count: usize) -> usize {
        let (low, high) = (self.byte().unwrap_or(0), if count > 256 { self.byte().unwrap_or(0) } else { 0 });
        usize::from(u16::from_le_bytes([low, high])) % count
    }

    /// Up to `count` bytes.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}
