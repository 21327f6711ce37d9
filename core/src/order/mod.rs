//! Key order: the ordered set of keys behind every scan.
//!
//! The index is a hash and knows no order, so the keys are kept a second time, as a sorted *set*: no values, no
//! locations, no versions. A key comes in once, when it is new; updates do not come here, and a deleted key leaves at
//! a later merge. All of it can be rebuilt from the log.
//!
//! # How keys travel
//! ```text
//! insert -> active delta -> frozen chunk -> key run in memory -> run file -> larger run file -> ...
//!           unsorted,       unsorted,       sorted,              sorted, merged in the background
//!           one writer      immutable       and in files
//! ```
//! - The **active delta** is an arena of key bytes and a list of entries. An insert appends to both; nothing is sorted
//!   and nothing is allocated for a single key.
//! - A full delta is **frozen** into a chunk of at most 4096 keys. A chunk is sorted once, by whoever comes first: the
//!   background, a cursor that needs most of it, or the writer when too many are waiting.
//! - A **key run** is a list of blocks of 4 KiB: prefix-compressed keys with a whole key every 16 entries. A directory
//!   in memory, a fraction of a byte a key, tells which block a key is in.
//! - At eight runs in memory those of a like size are merged. All together have a few MiB: then they become one **run
//!   file**, read through a map or block by block. At eight files those of a like size are merged, too; while nothing
//!   comes in, somewhat earlier.
//! - A **cursor** merges the runs, and what it took of the chunks and of the delta, by a heap.
//!
//! # Invariants
//! 1. *Nothing is lost or hidden.* At every instant each inserted key is in the active delta or in the view (the
//!    list of chunks and runs), until a merge asked `is_live` about it and was told no.
//! 2. *A view never changes.* Chunks, blocks and runs are immutable and shared; a change of the view is a new list put
//!    in place under the state lock. A cursor therefore keeps seeing what it saw when it was opened, and what is
//!    merged away beneath it is freed when the last cursor over it is gone; a file loses its name before.
//! 3. *The state lock is short.* It covers an append, a swap of lists, or a copy of at most 64 recent keys; never a
//!    sort, a merge, a call of `is_live`, the release of a run, or a call of the system.
//! 4. *The keys of one run are strictly ascending*, within a block and from block to block. Equal keys exist only in
//!    different sources, and the merge gives each key once.
//! 5. *A merge is cut anywhere.* Its inputs stay in the view until it is done, so it can be abandoned between two steps,
//!    and large merges give way to small ones. A file that is not finished is named by nothing and goes away.
//! 6. *Only the last word of `is_live` drops a key*, and only out of the sources being merged. A key inserted again is
//!    a new entry in the delta, which no running merge reads.
//! 7. *A failing disk costs nothing but memory.* Where a file cannot be written, the runs stay where they are and it is
//!    tried again later. Where one cannot be read, those who scan it are told.
//!
//! # What the caller owes
//! - One writer at a time calls `insert`; cursors and `maintain` are free to run beside it.
//! - From the moment `insert` is called with a key until the key is deleted, `is_live` answers true for it: the key may
//!   reach a merge before the caller's next statement. And it stays true for as long as a snapshot needs the key.
//! - A delete is counted with `note_deleted` once `is_live` answers no: the count decides when a merge asks at all.
//! - A cursor may give keys that are dead by now; the caller filters.

mod block;
mod bounds;
mod bulk;
mod checkpoint;
mod cursor;
mod delta;
mod directory;
mod file;
mod footer;
mod maintenance;
mod merge;
mod parking;
mod run;
mod set;
mod walk;
mod writer;

#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod tests;

pub(crate) use bounds::head;
pub(crate) use bulk::KeyBatch;
pub(crate) use checkpoint::{OrderImage, RunRef};
pub(crate) use cursor::Cursor;
pub(crate) use file::RunFiles;
pub(crate) use parking::ParkedCursor;
pub(crate) use set::Order;
