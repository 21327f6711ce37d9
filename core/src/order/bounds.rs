//! Comparing keys: with the bounds of a scan, and by their first bytes.

use std::ops::{Bound, Range};

/// The first sixteen bytes of a key as a big-endian number, a shorter key filled up with zeros.
///
/// Two keys with different heads are ordered as their heads are: the zeros that fill a key up are never greater than
/// the bytes another key has in their place. Equal heads say nothing, the keys themselves must be compared.
#[inline]
pub(crate) fn head(key: &[u8]) -> u128 {
    if let Some(first) = key.first_chunk::<16>() {
        return u128::from_be_bytes(*first);
    }
    let mut filled = [0; 16];
    filled[..key.len()].copy_from_slice(key);
    u128::from_be_bytes(filled)
}

/// The head of the key at `range` of an arena. Sixteen bytes are read whatever its length, where there are as many, and
/// what does not belong to it is cleared: no branch on the length, and no copy.
#[inline]
pub(super) fn head_in(arena: &[u8], range: Range<usize>) -> u128 {
    match arena[range.start..].first_chunk::<16>() {
        Some(bytes) => {
            let beyond = u128::MAX.checked_shr(range.len().min(16) as u32 * 8).unwrap_or(0);
            u128::from_be_bytes(*bytes) & !beyond
        }
        None => head(&arena[range]),
    }
}

/// The keys a scan wants.
#[derive(Clone, Copy)]
pub(super) struct Bounds<'a> {
    pub(super) lower: Bound<&'a [u8]>,
    pub(super) upper: Bound<&'a [u8]>,
    /// Heads of the bounds; keys whose head lies strictly between them are inside without a look at the key.
    head_lower: Option<u128>,
    head_upper: Option<u128>,
}

impl<'a> Bounds<'a> {
    pub(super) fn new(lower: Bound<&'a [u8]>, upper: Bound<&'a [u8]>) -> Self {
        let head_of = |bound| match bound {
            Bound::Included(key) | Bound::Excluded(key) => Some(head(key)),
            Bound::Unbounded => None,
        };
        Self { lower, upper, head_lower: head_of(lower), head_upper: head_of(upper) }
    }

    /// Whether a key is inside, given its head; `key` is called only where the head does not decide.
    #[inline]
    pub(super) fn contain<'k>(&self, head: u128, key: impl Fn() -> &'k [u8]) -> bool {
        if self.head_lower.is_some_and(|lower| head < lower)
            || self.head_upper.is_some_and(|upper| head > upper)
        {
            return false;
        }
        (self.head_lower != Some(head) || !is_before(key(), self.lower))
            && (self.head_upper != Some(head) || !is_after(key(), self.upper))
    }
}

/// Whether `key` lies before a range that begins at `lower`.
#[inline]
pub(super) fn is_before(key: &[u8], lower: Bound<&[u8]>) -> bool {
    match lower {
        Bound::Included(bound) => key < bound,
        Bound::Excluded(bound) => key <= bound,
        Bound::Unbounded => false,
    }
}

/// Whether `key` lies after a range that ends at `upper`.
#[inline]
pub(super) fn is_after(key: &[u8], upper: Bound<&[u8]>) -> bool {
    match upper {
        Bound::Included(bound) => key > bound,
        Bound::Excluded(bound) => key >= bound,
        Bound::Unbounded => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_never_contradict_the_keys() {
        let keys: [&[u8]; 9] = [
            b"",
            b"\0",
            b"\0\0",
            b"a",
            b"a\0",
            b"abcdefghijklmnop",
            b"abcdefghijklmnop\0",
            b"abcdefghijklmnoq",
            &[0xFF; 20],
        ];
        for pair in keys.windows(2) {
            assert!(pair[0] < pair[1]);
            assert!(head(pair[0]) <= head(pair[1]));
        }
        let arena = keys.concat();
        let mut start = 0;
        for key in keys {
            assert_eq!(head_in(&arena, start..start + key.len()), head(key));
            start += key.len();
        }
        assert!(head(b"a") < head(b"b"));
        assert_eq!(head(b"\0"), head(b""));
    }

    #[test]
    fn bounds_contain_what_the_keys_say() {
        let keys: [&[u8]; 6] = [b"", b"a", b"a\0", b"abcdefghijklmnop", b"abcdefghijklmnopq", &[0xFF; 17]];
        let mut bounds = vec![Bound::Unbounded];
        bounds.extend(keys.iter().flat_map(|key| [Bound::Included(*key), Bound::Excluded(*key)]));
        for lower in &bounds {
            for upper in &bounds {
                let range = Bounds::new(*lower, *upper);
                for key in keys {
                    let expected = !is_before(key, *lower) && !is_after(key, *upper);
                    assert_eq!(range.contain(head(key), || key), expected);
                }
            }
        }
    }
}
