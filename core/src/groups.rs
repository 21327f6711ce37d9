//! Numbers in groups of seven bits, lowest first, with the highest bit of a byte set in all but the last: at most four.

pub(crate) fn write_groups(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// The number at `offset`, and the offset behind it. `None` where it is cut or longer.
#[inline]
pub(crate) fn read_groups(bytes: &[u8], mut offset: usize) -> Option<(usize, usize)> {
    let mut number = 0;
    for shift in [0, 7, 14, 21] {
        let byte = *bytes.get(offset)?;
        offset += 1;
        number |= usize::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some((number, offset));
        }
    }
    None
}
