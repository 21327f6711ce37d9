//! A directory of any files: opened, read, verified, written to, closed and opened again.
//!
//! The bytes are files one behind the other: a byte for the length of the name, the name, a byte for the number of pieces, and the
//! pieces. A piece is two bytes for a length, so many bytes, and three bytes for how many zeros follow: files are mostly zeros.

use std::path::{Path, PathBuf};

use opendb::simulation::{disk_with_files, open_simulated};
use opendb::{OpenDB, Options, Scan};

const DIRECTORY: &str = "/db";
/// Bytes of all files together; what is more is left out.
const BYTES_MAX: usize = 8 << 20;
/// Zeros in the middle of a file that are worth a piece of their own.
const ZEROS_MIN: usize = 16;
const LITERAL_BYTES_MAX: usize = u16::MAX as usize;
const ZEROS_MAX: usize = (1 << 24) - 1;

/// Uses the directory in every way, twice. Whether it was opened as it is, with something in it, and nothing is wrong with it.
#[must_use]
pub fn take(bytes: &[u8]) -> bool {
    let Ok(disk) = disk_with_files(Path::new(DIRECTORY), &files(bytes)) else { return false };
    let options = Options::new().segment_bytes(64 << 10).cache_bytes(1 << 20);
    if let Ok(db) = open_simulated(&disk, DIRECTORY, &options.clone().read_damaged(true)) {
        let _all_of_it = is_whole(&db);
        let _whatever = db.close();
    }
    let Ok(db) = open_simulated(&disk, DIRECTORY, &options) else { return false };
    let was_whole = is_whole(&db);
    let _writes = (db.put(b"key", b"value"), db.delete(b"key"), db.compact());
    let _whatever = db.close();
    if let Ok(db) = open_simulated(&disk, DIRECTORY, &options) {
        let _all_of_it = is_whole(&db);
        let _whatever = db.close();
    }
    was_whole
}

/// Reads everything in every way. Whether there is something, and nothing is damaged.
fn is_whole(db: &OpenDB) -> bool {
    let mut values = 0;
    for name in db.keyspaces().unwrap_or_default() {
        let Ok(keyspace) = db.keyspace(&name) else { return false };
        for scan in [Scan::all(), Scan::all().reverse()] {
            let Ok(entries) = keyspace.iter(&scan) else { return false };
            for entry in entries {
                let Ok((key, value)) = entry else { return false };
                if keyspace.get(&key).ok().flatten() != Some(value) {
                    return false;
                }
                values += 1;
            }
        }
    }
    values > 0 && db.verify().is_ok_and(|found| found.violations.is_empty())
}

/// The files of the directory, of which none has the name of another.
fn files(mut bytes: &[u8]) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    let mut room = BYTES_MAX;
    while let Some((name, content)) = next_file(&mut bytes, &mut room) {
        let is_name = !matches!(name.as_str(), "" | "." | "..");
        if is_name && !files.iter().any(|(known, _)| *known == Path::new(&name)) {
            files.push((name.into(), content));
        }
    }
    files
}

fn next_file(bytes: &mut &[u8], room: &mut usize) -> Option<(String, Vec<u8>)> {
    let length = usize::from(*take_some(bytes, 1)?.first()?);
    let name = String::from_utf8_lossy(take_some(bytes, length)?).replace(['/', '\0'], "_");
    let pieces = *take_some(bytes, 1)?.first()?;
    let mut content = Vec::new();
    for _ in 0..pieces {
        let Some(length) = number(bytes, 2) else { break };
        let literal = take_some(bytes, length.min(bytes.len()))?;
        let zeros = number(bytes, 3).unwrap_or(0).min(room.saturating_sub(literal.len()));
        *room = room.saturating_sub(literal.len() + zeros);
        content.extend_from_slice(literal);
        content.resize(content.len() + zeros, 0);
    }
    Some((name, content))
}

fn take_some<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

/// A number of so many bytes, the lowest first.
fn number(bytes: &mut &[u8], length: usize) -> Option<usize> {
    let taken = take_some(bytes, length)?;
    Some(taken.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

/// The bytes that a directory with these files is made of; `None` where it cannot be told.
#[must_use]
pub fn bytes_of(files: &[(String, Vec<u8>)]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for (name, content) in files {
        let pieces = pieces_of(content);
        bytes.push(u8::try_from(name.len()).ok()?);
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(u8::try_from(pieces.len()).ok()?);
        for (literal, zeros) in pieces {
            bytes.extend_from_slice(&u16::try_from(literal.len()).ok()?.to_le_bytes());
            bytes.extend_from_slice(literal);
            bytes.extend_from_slice(u32::try_from(zeros).ok()?.to_le_bytes().get(..3)?);
        }
    }
    Some(bytes)
}

/// Bytes, and how many zeros follow, as often as it takes.
fn pieces_of(mut content: &[u8]) -> Vec<(&[u8], usize)> {
    let mut pieces = Vec::new();
    while !content.is_empty() {
        let zeros = content.windows(ZEROS_MIN).position(|window| window.iter().all(|byte| *byte == 0));
        let end = zeros.unwrap_or(content.len()).min(LITERAL_BYTES_MAX);
        let (literal, rest) = content.split_at(end);
        let zeros = rest.iter().take(ZEROS_MAX).take_while(|byte| **byte == 0).count();
        pieces.push((literal, zeros));
        content = rest.get(zeros..).unwrap_or_default();
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_back() {
        let mixed = [&[1; 70_000][..], &[0; 100], &[2, 0, 0, 3], &[0; 40]].concat();
        let all = [("a".to_owned(), mixed), ("b".to_owned(), vec![]), ("c".to_owned(), vec![0; 1 << 20])];
        let bytes = bytes_of(&all).unwrap();
        let back: Vec<_> =
            files(&bytes).into_iter().map(|(name, content)| (name.display().to_string(), content)).collect();
        assert_eq!(back, all);
        assert!(bytes.len() < 71_000);
    }

    #[test]
    fn zeros_take_no_more_room_than_there_is() {
        let zeros = [1, b'x', 255].into_iter().chain([0, 0, 255, 255, 255].into_iter().cycle().take(5 * 255));
        let bytes: Vec<u8> = zeros.collect();
        assert_eq!(files(&bytes).iter().map(|(_, content)| content.len()).sum::<usize>(), BYTES_MAX);
    }
}
