//! Names of files that have a number: sixteen lower-case hexadecimal digits, and a suffix that tells the kind.

pub(crate) fn numbered_name(number: u64, suffix: &str) -> String {
    format!("{number:016x}{suffix}")
}

/// The number of a file of this kind; `None` for any other name.
pub(crate) fn number_of_name(name: &str, suffix: &str) -> Option<u64> {
    let number = u64::from_str_radix(name.strip_suffix(suffix)?, 16).ok()?;
    (numbered_name(number, suffix) == name).then_some(number)
}
