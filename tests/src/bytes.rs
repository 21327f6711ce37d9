//! Bytes as text: hexadecimal words for the drivers, literals for people.

use crate::random::Random;
use crate::{Failure, Outcome};

/// Longest bytes that are written out in a script or in its recorded output; longer ones are patterns or sums.
const WRITTEN_OUT_BYTES_MAX: usize = 64;

/// `x` and two digits a byte, so that no bytes at all is still a word.
#[must_use]
pub fn to_word(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut word = vec![b'x'; 1 + bytes.len() * 2];
    for (pair, byte) in word[1..].chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    // Only ASCII was put in.
    String::from_utf8(word).unwrap_or_default()
}

/// The bytes of a word made by [`to_word`].
///
/// # Errors
/// The word is not of that form.
pub fn from_word(word: &str) -> Outcome<Vec<u8>> {
    let malformed = || Failure(format!("not a word of bytes: {:.40}", word));
    let digits = word.strip_prefix('x').ok_or_else(malformed)?.as_bytes();
    if digits.len() % 2 != 0 {
        return Err(malformed());
    }
    let mut bytes = vec![0; digits.len() / 2];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        match (DIGIT_VALUES[usize::from(pair[0])], DIGIT_VALUES[usize::from(pair[1])]) {
            (high @ 0..=15, low @ 0..=15) => *byte = high << 4 | low,
            _ => return Err(malformed()),
        }
    }
    Ok(bytes)
}

/// The value of every hexadecimal digit, 255 for what is none: values of megabytes go through here.
const DIGIT_VALUES: [u8; 256] = {
    let mut values = [255; 256];
    let mut digit = 0;
    while digit < 16 {
        values[b"0123456789abcdef"[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

/// Bytes that look random and tell their own origin: the first one is the pattern's number, so that a long value can be
/// written as `@bytes(length,number)` again.
#[must_use]
pub fn pattern(length: usize, number: u8) -> Vec<u8> {
    let mut random = Random::new(u64::from(number));
    let mut bytes = Vec::with_capacity(length + 8);
    bytes.push(number);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.bits().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A literal of the script language that stands for exactly these bytes.
#[must_use]
pub fn to_literal(bytes: &[u8]) -> String {
    if bytes.len() > WRITTEN_OUT_BYTES_MAX && pattern(bytes.len(), bytes[0]) == bytes {
        return format!("@bytes({},{})", bytes.len(), bytes[0]);
    }
    if !bytes.is_empty() && bytes.iter().copied().all(is_bare) {
        return bytes.iter().copied().map(char::from).collect();
    }
    quoted(bytes)
}

/// What a recording shows of these bytes: quoted, or length and checksum where they are long.
#[must_use]
pub fn to_recording(bytes: &[u8]) -> String {
    if bytes.len() <= WRITTEN_OUT_BYTES_MAX {
        return quoted(bytes);
    }
    if pattern(bytes.len(), bytes[0]) == bytes {
        return format!("@bytes({},{})", bytes.len(), bytes[0]);
    }
    format!("({} bytes, sum {:016x})", bytes.len(), sum(bytes))
}

/// FNV-1a, 64 bits: tells long values apart in recordings.
#[must_use]
pub fn sum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Whether a byte may stand in a literal without quotes.
#[must_use]
pub fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_:./-".contains(&byte)
}

fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back() {
        let all: Vec<u8> = (0..=255).collect();
        for bytes in [&b""[..], b"\x00", b"abc", &all] {
            assert_eq!(from_word(&to_word(bytes)).unwrap(), bytes);
        }
        for malformed in ["", "00", "x0", "xg0", "x 0"] {
            assert!(from_word(malformed).is_err(), "{malformed:?} was taken");
        }
    }

    #[test]
    fn literals_are_short_and_exact() {
        assert_eq!(to_literal(b"user:1"), "user:1");
        assert_eq!(to_literal(b""), "\"\"");
        assert_eq!(to_literal(b"a \"\\\x00\xff"), "\"a \\\"\\\\\\x00\\xff\"");
        assert_eq!(to_literal(&pattern(70_000, 9)), "@bytes(70000,9)");
        assert!(to_recording(&[7; 65]).starts_with("(65 bytes, sum "));
    }
}
