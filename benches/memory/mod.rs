//! Inputs at random offsets in a page: a lucky alignment would be measured as speed.

use std::time::{SystemTime, UNIX_EPOCH};

const PAGE: usize = 4096;

/// Bytes that begin anywhere in a page.
pub struct Memory {
    whole: Vec<u8>,
    from: usize,
}

impl Memory {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.whole[self.from..]
    }
}

/// `length` bytes that look random.
pub fn filled(length: usize) -> Memory {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let from = now.map_or(0, |now| now.subsec_nanos() as usize / 7 % PAGE);
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let whole = (0..from + length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .collect();
    Memory { whole, from }
}
