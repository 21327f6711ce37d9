//! Numbers of any count of bits one behind the other, lowest bit first, and ascending numbers in few bits each.
//!
//! Ascending numbers are split (after Elias and Fano): the low bits of each stand as they are, and the high parts, which are a little
//! more than as many as there are numbers, in unary: for each number one set bit, behind as many clear ones as its high part is
//! above that of the number before. That takes two or three bits for each beside the low ones, however the numbers lie.
//!
//! *Invariant:* decoding reads only the bytes it is given, answers `None` for whatever does not fit, and takes memory for no more
//! numbers than there are bits.

/// Most bits of one number: with what is left over of a byte before it, they still fit two words.
pub(crate) const BITS_MAX: u32 = 64;

/// Bits that it takes to write every number up to this one.
pub(crate) fn width(largest: u64) -> u32 {
    u64::BITS - largest.leading_zeros()
}

/// Numbers are written behind one another.
#[derive(Debug, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    held: u128,
    held_bits: u32,
}

impl BitWriter {
    pub(crate) fn with_capacity(bytes: usize) -> BitWriter {
        BitWriter { bytes: Vec::with_capacity(bytes), held: 0, held_bits: 0 }
    }

    /// Writes the lowest bits of a number, which has no others.
    pub(crate) fn push(&mut self, number: u64, bits: u32) {
        self.held |= u128::from(number) << self.held_bits;
        self.held_bits += bits;
        if self.held_bits >= u64::BITS {
            self.bytes.extend_from_slice(&(self.held as u64).to_le_bytes());
            self.held >>= u64::BITS;
            self.held_bits -= u64::BITS;
        }
    }

    /// The bytes, the last of which is filled up with zeros.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let rest = self.held_bits.div_ceil(8) as usize;
        self.bytes.extend_from_slice(&(self.held as u64).to_le_bytes()[..rest]);
        self.bytes
    }
}

/// Reads what a [`BitWriter`] has written.
#[derive(Debug, Clone)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> BitReader<'a> {
        BitReader { bytes, at: 0 }
    }

    /// The next number. `None` behind the end.
    #[inline]
    pub(crate) fn take(&mut self, bits: u32) -> Option<u64> {
        let end = self.at + bits as usize;
        if bits > BITS_MAX || end > self.bytes.len() * 8 {
            return None;
        }
        let rest = self.bytes.get(self.at / 8..)?;
        let held = rest.first_chunk().map_or_else(|| last_bits(rest), |bytes| u128::from_le_bytes(*bytes));
        let number = held >> (self.at % 8) & ((1 << bits) - 1);
        self.at = end;
        Some(number as u64)
    }

    /// Whether nothing is left but the bits that fill up the last byte, which are 0.
    pub(crate) fn is_at_end(&self) -> bool {
        let left = self.bytes.len() * 8 - self.at;
        left < 8 && self.clone().take(left as u32) == Some(0)
    }
}

#[cold]
fn last_bits(bytes: &[u8]) -> u128 {
    let mut padded = [0; 16];
    padded.iter_mut().zip(bytes).for_each(|(padded, byte)| *padded = *byte);
    u128::from_le_bytes(padded)
}

/// How so many ascending numbers of so many bits are split.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Split {
    count: usize,
    bits: u32,
    pub(crate) low_bits: u32,
}

impl Split {
    /// High parts are about as many as there are numbers. At the most 63 bits are low, so that they can be shifted out.
    pub(crate) fn new(count: usize, bits: u32) -> Split {
        let low_bits = bits.saturating_sub((count as u64).max(1).ilog2()).min(u64::BITS - 1);
        Split { count, bits, low_bits }
    }

    /// Bytes of the high parts.
    pub(crate) fn high_bytes(self) -> usize {
        self.count.saturating_add(1 << (self.bits - self.low_bits)).div_ceil(8)
    }

    /// Low bits of a number.
    pub(crate) fn low(self, number: u64) -> u64 {
        number & ((1 << self.low_bits) - 1)
    }

    /// Writes the high parts of the numbers.
    pub(crate) fn write_high(self, numbers: impl Iterator<Item = u64>, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.resize(start + self.high_bytes(), 0);
        for (before, number) in numbers.enumerate() {
            let at = (number >> self.low_bits) as usize + before;
            if let Some(byte) = bytes.get_mut(start + at / 8) {
                *byte |= 1 << (at % 8);
            }
        }
    }

    /// The high parts, each where it belongs in a number. `None` where these bytes are not those of so many numbers.
    pub(crate) fn read_high(self, bytes: &[u8]) -> Option<Vec<u64>> {
        let ones: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
        if bytes.len() != self.high_bytes() || ones as usize != self.count {
            return None;
        }
        let mut high = Vec::with_capacity(self.count);
        for (group, bytes) in bytes.chunks(8).enumerate() {
            let mut word = bytes
                .first_chunk()
                .map_or_else(|| last_bits(bytes) as u64, |bytes| u64::from_le_bytes(*bytes));
            while word != 0 {
                let part = group * 64 + word.trailing_zeros() as usize - high.len();
                word &= word - 1;
                high.push((part as u64) << self.low_bits);
            }
        }
        let parts = 1 << (self.bits - self.low_bits);
        high.last().is_none_or(|last| last >> self.low_bits < parts).then_some(high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_width_read_back() {
        let numbers: Vec<(u64, u32)> = (0..=64)
            .flat_map(|bits| [(0, bits), (u64::MAX.checked_shr(64 - bits).unwrap_or(0), bits)])
            .collect();
        let mut writer = BitWriter::default();
        numbers.iter().for_each(|(number, bits)| writer.push(*number, *bits));
        let bytes = writer.finish();
        let mut reader = BitReader::new(&bytes);
        for (number, bits) in &numbers {
            assert_eq!(width(*number).max(*bits), *bits);
            assert_eq!(reader.take(*bits), Some(*number), "{bits} bits");
        }
        assert!(reader.is_at_end());
        assert_eq!(reader.take(8), None);
        assert_eq!(BitReader::new(&[0; 99]).take(65), None);
        assert!(!BitReader::new(&[1]).is_at_end() && !BitReader::new(&[0; 2]).is_at_end());
    }

    /// Ascending numbers that lie evenly, together, and as far apart as they can.
    fn samples() -> Vec<(Vec<u64>, u32)> {
        let mut samples =
            vec![(vec![], 5), (vec![], 0), (vec![0; 9], 0), (vec![0], 23), (vec![(1 << 23) - 1], 23)];
        for count in [1, 2, 3, 7, 8, 64, 65, 1000] {
            samples.push(((0..count).map(|n| n * 8_388_607 / count).collect(), 23));
            samples.push(((0..count).collect(), 23));
            samples.push((vec![(1 << 40) - 1; count as usize], 40));
            samples.push(((0..count).map(|n| n / 2 * 3).collect(), 12));
        }
        samples
    }

    #[test]
    fn ascending_numbers_read_back_in_little_room() {
        for (numbers, bits) in samples() {
            let split = Split::new(numbers.len(), bits);
            let mut bytes = Vec::new();
            split.write_high(numbers.iter().copied(), &mut bytes);
            assert!(bytes.len() <= (3 * numbers.len() + 2).div_ceil(8), "{} numbers", numbers.len());
            let high = split.read_high(&bytes).unwrap();
            let whole: Vec<u64> =
                high.iter().zip(&numbers).map(|(high, number)| high | split.low(*number)).collect();
            assert_eq!(whole, numbers);
        }
    }

    #[test]
    fn high_parts_that_are_cut_or_of_another_count_are_none() {
        for (numbers, bits) in samples() {
            let split = Split::new(numbers.len(), bits);
            let mut bytes = Vec::new();
            split.write_high(numbers.iter().copied(), &mut bytes);
            for length in 0..bytes.len() {
                assert_eq!(split.read_high(&bytes[..length]), None);
            }
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(split.read_high(&damaged), None, "bit {bit}");
            }
            bytes.push(0);
            assert_eq!(split.read_high(&bytes), None);
        }
    }

    #[test]
    fn any_bytes_give_numbers_that_ascend_and_fit_or_nothing() {
        let mut state = 1_u64;
        for round in 0..2000_usize {
            let count = round % 30;
            let split = Split::new(count, 9);
            let mut bytes = vec![0; split.high_bytes()];
            for _ in 0..count {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                let at = (state >> 33) as usize % (bytes.len() * 8);
                bytes[at / 8] |= 1 << (at % 8);
            }
            if let Some(high) = split.read_high(&bytes) {
                assert!(high.len() == count && high.is_sorted() && high.iter().all(|high| *high < 1 << 9));
            }
        }
    }
}
