//! Long lists that grow.

/// Makes room for so many more at least, as [`Vec::reserve`] does, with the copying outside of the allocator.
///
/// An allocator may hold a lock while it moves what it was asked to enlarge; that of the GNU C library does. Tens of megabytes take tens
/// of milliseconds, in which a thread that shares the lock, and who waits for that thread, cannot go on. The lists of the background
/// are as long; a commit is to wait for none of them.
#[inline]
pub(crate) fn make_room<T>(list: &mut Vec<T>, more: usize) {
    if list.capacity() - list.len() < more {
        grow(list, more);
    }
}

/// Puts one more at the end, with room as of [`make_room`].
#[inline]
pub(crate) fn push<T>(list: &mut Vec<T>, item: T) {
    make_room(list, 1);
    list.push(item);
}

#[cold]
fn grow<T>(list: &mut Vec<T>, more: usize) {
    let mut larger = Vec::with_capacity((list.len() + more).max(list.capacity() * 2));
    larger.append(list);
    *list = larger;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_and_all_that_was_there() {
        let mut list = Vec::new();
        for number in 0..1000 {
            make_room(&mut list, 1);
            let before = list.capacity();
            push(&mut list, number);
            assert_eq!(list.capacity(), before);
        }
        assert!(list.iter().copied().eq(0..1000));
        make_room(&mut list, 10_000);
        assert!(list.capacity() >= 11_000 && list.len() == 1000);
    }
}
