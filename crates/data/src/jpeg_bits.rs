//! Huffman tables and the bits of a JPEG's scan: ITU-T T.81, Annexes C and F.

use super::jpeg_segment::Fault;

/// Codes of at most this many bits are found in one step.
const LOOKUP_BITS: u32 = 9;

/// A Huffman table: symbols by code.
pub(super) struct Huffman {
    /// Symbol and length of the code that the next bits start with; length 0 for longer ones.
    lookup: Vec<(u8, u8)>,
    /// For each length from 1 to 16: one more than the largest code, and what to add for the symbol's place.
    ends: [(i32, i32); 17],
    symbols: Vec<u8>,
}

impl Huffman {
    pub(super) fn new(counts: &[u8], symbols: &[u8]) -> Result<Huffman, Fault> {
        let mut lookup = vec![(0, 0); 1 << LOOKUP_BITS];
        let mut ends = [(0, 0); 17];
        let (mut code, mut place) = (0i32, 0usize);
        for length in 1..=16u32 {
            let count = usize::from(counts[length as usize - 1]);
            if code + count as i32 > 1 << length {
                return Err(Fault::Damaged("a table has more codes than there are"));
            }
            ends[length as usize] = (code + count as i32, place as i32 - code);
            for &symbol in &symbols[place..place + count] {
                if length <= LOOKUP_BITS {
                    let spread = LOOKUP_BITS - length;
                    let from = (code as usize) << spread;
                    lookup[from..from + (1 << spread)].fill((symbol, length as u8));
                }
                code += 1;
            }
            place += count;
            code <<= 1;
        }
        Ok(Huffman { lookup, ends, symbols: symbols.to_vec() })
    }
}

/// The bits of a scan, up to the next marker.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// Bytes that were taken into the buffer.
    pub(super) at: usize,
    buffer: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Bits<'a> {
        Bits { bytes, at: 0, buffer: 0, count: 0 }
    }

    /// At least 16 bits in the buffer, or all there are.
    fn fill(&mut self) {
        while self.count <= 48 {
            let Some(&byte) = self.bytes.get(self.at) else { return };
            if byte == 0xff {
                // A zero behind it makes it a byte like any other; anything else is a marker.
                if self.bytes.get(self.at + 1) != Some(&0) {
                    return;
                }
                self.at += 1;
            }
            self.at += 1;
            self.buffer = self.buffer << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    /// The next `n` bits (at most 16), zeros behind the end; they stay.
    pub(super) fn peek(&mut self, n: u32) -> u64 {
        if self.count < n {
            self.fill();
        }
        let mask = (1 << n) - 1;
        if self.count >= n { self.buffer >> (self.count - n) & mask } else { self.buffer << (n - self.count) & mask }
    }

    pub(super) fn drop(&mut self, n: u32) -> Result<(), Fault> {
        if self.count < n {
            self.fill();
        }
        self.count = self.count.checked_sub(n).ok_or(Fault::Truncated)?;
        Ok(())
    }

    pub(super) fn take(&mut self, n: u32) -> Result<u64, Fault> {
        let bits = self.peek(n);
        self.drop(n)?;
        Ok(bits)
    }

    pub(super) fn symbol(&mut self, table: &Huffman) -> Result<u8, Fault> {
        let (symbol, length) = table.lookup[self.peek(LOOKUP_BITS) as usize];
        if length > 0 {
            self.drop(length.into())?;
            return Ok(symbol);
        }
        let bits = self.peek(16) as i32;
        for length in LOOKUP_BITS + 1..=16 {
            let code = bits >> (16 - length);
            let (end, shift) = table.ends[length as usize];
            if code < end {
                self.drop(length)?;
                let symbol = usize::try_from(code + shift).ok().and_then(|place| table.symbols.get(place));
                return symbol.copied().ok_or(Fault::Damaged("its data has a code that no table has"));
            }
        }
        // Where the data ends, what is missing is not a wrong code.
        let ended = self.count < 16;
        Err(if ended { Fault::Truncated } else { Fault::Damaged("its data has a code that no table has") })
    }

    /// Passes a restart marker.
    pub(super) fn restart(&mut self) -> Result<(), Fault> {
        (self.buffer, self.count) = (0, 0);
        // The buffer holds whole bytes up to the marker, so that all of them are behind us; padding may follow.
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            if byte != 0xff {
                continue;
            }
            match self.bytes.get(self.at) {
                Some(0xd0..=0xd7) => {
                    self.at += 1;
                    return Ok(());
                }
                Some(0xff | 0) => {}
                _ => return Err(Fault::Truncated),
            }
        }
        Err(Fault::Truncated)
    }
}
