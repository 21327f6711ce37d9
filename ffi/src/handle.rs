//! Handles: what C holds is a name, never an address.
//!
//! Every opaque pointer of the header is a number that only looks like a pointer. It is looked up in the table of its
//! type on every call and never dereferenced, so a handle that was freed, was made up or belongs to another type is
//! found out for certain, and nothing a caller passes here can be undefined behaviour.
//!
//! A call keeps the thing alive while it runs: freeing a handle on one thread while another thread is inside a call
//! on it only takes the name away.
//!
//! The number, from the highest bit: one bit that no address of a process has set, 4 bits of type, 31 bits of
//! generation, 24 bits of slot, 4 bits of zero. The generation of a slot goes up whenever it is given out, and a slot
//! whose generations are used up is never given out again, so no two handles ever share a number.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::{Error, Result};
use parking_lot::RwLock;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("a handle needs the 64 bits of a pointer");

const FOREIGN_BIT: usize = 1 << 63;
const TYPE_SHIFT: u32 = 59;
const GENERATION_SHIFT: u32 = 28;
const GENERATION_MAX: usize = (1 << 31) - 1;
const SLOT_SHIFT: u32 = 4;
const SLOT_BITS: u32 = 24;
const SHARD_BITS: u32 = 4;
const SHARDS: usize = 1 << SHARD_BITS;
/// Most live handles of one shard of one type.
const SHARD_SLOTS_MAX: usize = 1 << (SLOT_BITS - SHARD_BITS);

/// A type that C holds by handle.
pub(crate) trait Handle: Send + Sync + Sized + 'static {
    /// The parameter's name in every function of the header, for messages.
    const NAME: &'static str;
    /// The number of the type within a handle, 1 to 15, different for every type.
    const TYPE: usize;
    /// The table of the type.
    fn table() -> &'static Table<Self>;
}

/// The live handles of one type. Sharded, so that threads which make and free handles rarely meet.
pub(crate) struct Table<T> {
    shards: [Shard<T>; SHARDS],
    turn: AtomicUsize,
}

/// Aligned to two cache lines, so that the locks of two shards never share one.
#[repr(align(128))]
struct Shard<T>(RwLock<Slots<T>>);

struct Slots<T> {
    slots: Vec<Slot<T>>,
    /// Slots that are empty and still have generations left.
    free: Vec<usize>,
}

struct Slot<T> {
    generation: usize,
    value: Option<Arc<T>>,
}

impl<T> Table<T> {
    /// An empty table.
    pub(crate) const fn new() -> Table<T> {
        Table {
            shards: [const { Shard(RwLock::new(Slots { slots: Vec::new(), free: Vec::new() })) }; SHARDS],
            turn: AtomicUsize::new(0),
        }
    }

    /// How many handles are live.
    pub(crate) fn live(&self) -> usize {
        let live = |shard: &Shard<T>| shard.0.read().slots.iter().filter(|slot| slot.value.is_some()).count();
        self.shards.iter().map(live).sum()
    }

    /// The slot and generation of a new handle; nothing when the shard is full.
    fn insert(&self, shard_at: usize, value: Arc<T>) -> Option<(usize, usize)> {
        let mut slots = self.shards.get(shard_at)?.0.write();
        let at = match slots.free.pop() {
            Some(at) => at,
            None if slots.slots.len() == SHARD_SLOTS_MAX => return None,
            None => {
                slots.slots.push(Slot { generation: 0, value: None });
                slots.slots.len() - 1
            }
        };
        let slot = slots.slots.get_mut(at)?;
        slot.generation += 1;
        slot.value = Some(value);
        Some((at << SHARD_BITS | shard_at, slot.generation))
    }

    fn get(&self, slot: usize, generation: usize) -> Option<Arc<T>> {
        let slots = self.shards.get(slot % SHARDS)?.0.read();
        let slot = slots.slots.get(slot >> SHARD_BITS)?;
        if slot.generation == generation { slot.value.clone() } else { None }
    }

    fn remove(&self, slot: usize, generation: usize) -> Option<Arc<T>> {
        let mut slots = self.shards.get(slot % SHARDS)?.0.write();
        let at = slot >> SHARD_BITS;
        let slot = slots.slots.get_mut(at)?;
        if slot.generation != generation {
            return None;
        }
        let value = slot.value.take()?;
        if generation < GENERATION_MAX {
            slots.free.push(at);
        }
        Some(value)
    }
}

/// Gives out a new handle.
pub(crate) fn give<T: Handle>(value: impl Into<Arc<T>>) -> Result<*mut T> {
    let table = T::table();
    let shard = table.turn.fetch_add(1, Ordering::Relaxed) % SHARDS;
    let (slot, generation) = table.insert(shard, value.into()).ok_or_else(|| {
        Error::InvalidArgument(format!("{}: too many live handles of this type: free some", T::NAME))
    })?;
    let number = FOREIGN_BIT | T::TYPE << TYPE_SHIFT | generation << GENERATION_SHIFT | slot << SLOT_SHIFT;
    Ok(ptr::without_provenance_mut(number))
}

/// The thing that a handle names.
pub(crate) fn borrow<T: Handle>(handle: *const T) -> Result<Arc<T>> {
    let (slot, generation) = place(handle)?;
    T::table().get(slot, generation).ok_or_else(|| dead::<T>())
}

/// Takes the handle away from the caller: whatever happens next, the name is gone.
pub(crate) fn take<T: Handle>(handle: *const T) -> Result<Arc<T>> {
    let (slot, generation) = place(handle)?;
    T::table().remove(slot, generation).ok_or_else(|| dead::<T>())
}

/// Frees a handle. NULL and what is no live handle of the type are left alone.
pub(crate) fn free<T: Handle>(handle: *const T) {
    // A panic while the thing is dropped has nowhere to be reported, and must not reach the caller.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(take(handle))));
}

/// The slot and generation in a handle's number.
fn place<T: Handle>(handle: *const T) -> Result<(usize, usize)> {
    let number = handle.addr();
    if number == 0 {
        return Err(Error::InvalidArgument(format!("{} is NULL", T::NAME)));
    }
    if number & FOREIGN_BIT == 0 || number & ((1 << SLOT_SHIFT) - 1) != 0 {
        return Err(Error::InvalidArgument(format!("{}: the pointer is not a handle of OpenDB", T::NAME)));
    }
    if number >> TYPE_SHIFT & 0xf != T::TYPE {
        return Err(Error::InvalidArgument(format!("{}: the handle is of another type", T::NAME)));
    }
    let slot = number >> SLOT_SHIFT & ((1 << SLOT_BITS) - 1);
    Ok((slot, number >> GENERATION_SHIFT & GENERATION_MAX))
}

fn dead<T: Handle>() -> Error {
    Error::InvalidArgument(format!("{}: the handle is not live: it was freed, closed or consumed", T::NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing(u32);

    static THINGS: Table<Thing> = Table::new();

    impl Handle for Thing {
        const NAME: &'static str = "thing";
        const TYPE: usize = 14;
        fn table() -> &'static Table<Thing> {
            &THINGS
        }
    }

    struct Other;

    static OTHERS: Table<Other> = Table::new();

    impl Handle for Other {
        const NAME: &'static str = "other";
        const TYPE: usize = 15;
        fn table() -> &'static Table<Other> {
            &OTHERS
        }
    }

    fn refusal<T: Handle>(handle: *const T) -> String {
        match borrow(handle) {
            Err(Error::InvalidArgument(message)) => message,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("the handle was taken"),
        }
    }

    #[test]
    fn a_handle_names_its_thing_until_it_is_freed_and_never_again() {
        let first = give(Thing(1)).unwrap();
        assert_eq!(borrow(first).unwrap().0, 1);
        let held = borrow(first).unwrap();
        free(first);
        assert_eq!(held.0, 1, "a call that runs keeps the thing");
        assert!(refusal(first).contains("not live"));
        assert!(take(first).is_err());
        // As many as it takes to come back to the same slot.
        let later: Vec<_> = (0..SHARDS as u32 * 2).map(|at| give(Thing(at)).unwrap()).collect();
        assert!(later.iter().all(|handle| *handle != first));
        assert!(refusal(first).contains("not live"));
        later.into_iter().for_each(|handle| free(handle));
    }

    #[test]
    fn what_is_no_handle_of_the_type_is_refused() {
        let thing = give(Thing(7)).unwrap();
        let on_stack = Thing(8);
        assert!(refusal(ptr::null::<Thing>()).contains("NULL"));
        assert!(refusal(&raw const on_stack).contains("not a handle"));
        assert!(refusal(ptr::without_provenance::<Thing>(thing.addr() | 1)).contains("not a handle"));
        assert!(refusal(ptr::without_provenance::<Thing>(usize::MAX & !0xf)).contains("another type"));
        assert!(refusal(thing.cast::<Other>()).contains("another type"));
        free(thing.cast::<Other>());
        free(ptr::null::<Thing>());
        assert_eq!(borrow(thing).unwrap().0, 7);
        free(thing);
        assert_eq!(on_stack.0, 8);
    }

    #[test]
    fn a_slot_without_generations_left_is_not_given_out_again() {
        let table = Table::new();
        table.shards[3].0.write().slots.push(Slot { generation: GENERATION_MAX - 1, value: None });
        table.shards[3].0.write().free.push(0);
        let (slot, generation) = table.insert(3, Arc::new(Thing(1))).unwrap();
        assert_eq!((slot, generation), (3, GENERATION_MAX));
        assert!(table.remove(slot, generation).is_some());
        let (next, _) = table.insert(3, Arc::new(Thing(2))).unwrap();
        assert_ne!(next, slot);
        assert_eq!(table.live(), 1);
    }
}
