//! Keys and values as they are typed and shown.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Failure;

/// The bytes of a key or value from the command line: as they were typed, or of their hexadecimal digits.
pub(crate) fn given(text: &OsStr, hex: bool) -> Result<Vec<u8>, Failure> {
    let bytes = text.as_bytes();
    if !hex {
        return Ok(bytes.to_vec());
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = bytes.chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    pairs.collect::<Option<_>>().ok_or_else(|| {
        let text = text.to_string_lossy();
        Failure::Input(format!("{text:?} is not hexadecimal: give two digits a byte, or leave out --hex"))
    })
}

/// Bytes in a line of output: text as it is, with a backslash before what would not be seen as itself.
pub(crate) fn shown(bytes: &[u8], hex: bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    if hex {
        bytes.iter().for_each(|byte| push_hex(&mut text, byte));
        return text;
    }
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\\' => text.push_str("\\\\"),
                _ if is_visible(character) => text.push(character),
                _ => character.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| push_escape(&mut text, byte)),
            }
        }
        chunk.invalid().iter().for_each(|byte| push_escape(&mut text, *byte));
    }
    text
}

fn is_visible(character: char) -> bool {
    matches!(character, '\'' | '"') || character.escape_debug().len() == 1
}

fn push_escape(text: &mut String, byte: u8) {
    text.push_str("\\x");
    push_hex(text, &byte);
}

fn push_hex(text: &mut String, byte: &u8) {
    // Writing to a string does not fail.
    let _written = write!(text, "{byte:02x}");
}

/// Bytes as they stand in JSON.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes that such a text stands for, if it is one.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
