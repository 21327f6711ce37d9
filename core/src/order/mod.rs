//! Key order: the ordered set of keys behind every scan.
//!
//! The index is a hash and knows no order, so the keys are kept a second time, as a sorted *set*: no values, no
//! locations, no versions. A key comes in once, when it is new; updates do not come here, and a deleted key leaves at
//! a later merge. Everything is in memory and can be rebuilt from the log.
//!
//! # How keys travel
//! ```text
//! insert -> active delta -> frozen chunk -> key run -> larger key run -> ...
//!           unsorted,       unsorted,       sorted,     sorted, merged in tiers
//!           one writer      immutable       immutable   by the background
//! ```
//! - The **active delta** is an arena of key bytes and a list of entries. An insert appends to both; nothing is sorted
//!   and nothing is allocated for a single key.
//! - A full delta is **frozen** into a chunk of at most 4096 keys. A chunk is sorted once, by whoever comes first: the
//!   background, a cursor that needs most of it, or the writer when too many are waiting.
//! - A **key run** is a list of pieces of about 512 KiB. A piece is flat: prefix-compressed keys with a whole key every
//!   16 entries. Runs of a like size are a tier; four of a tier become one run of the next.
//! - A **cursor** merges the runs, and what it took of the chunks and of the delta, by a heap.
//!
//! # Invariants
//! 1. *Nothing is lost or hidden.* At every instant each inserted key is in the active delta or in the view (the
//!    list of chunks and runs), until a merge asked `is_live` about it and was told no.
//! 2. *A view never changes.* Chunks, pieces and runs are immutable and shared; a change of the view is a new list put
//!    in place under the state lock. A cursor therefore keeps seeing what it saw when it was opened, and what is
//!    merged away beneath it is freed when the last cursor over it is gone.
//! 3. *The state lock is short.* It covers an append, a swap of lists, or a copy of at most 512 recent keys; never a
//!    sort, a merge, a call of `is_live` or the release of a run.
//! 4. *The keys of one run are strictly ascending*, within a piece and from piece to piece. Equal keys exist only in
//!    different sources, and the merge gives each key once.
//! 5. *A merge is cut anywhere.* After each piece the inputs are trimmed by a fence, the last key that was merged:
//!    keys up to the fence live in the output, keys behind it in the inputs. So a merge holds no more than a few
//!    pieces twice, can be abandoned between two pieces, and large merges give way to small ones.
//! 6. *Only the last word of `is_live` drops a key*, and only out of the sources being merged. A key inserted again is
//!    a new entry in the delta, which no running merge reads.
//!
//! # What the caller owes
//! - One writer at a time calls `insert`; cursors and `maintain` are free to run beside it.
//! - From the moment `insert` is called with a key until the key is deleted, `is_live` answers true for it: the key may
//!   reach a merge before the caller's next statement. And it stays true for as long as a snapshot needs the key.
//! - A delete is counted with `note_deleted` once `is_live` answers no: the count decides when a merge asks at all.
//! - A cursor may give keys that are dead by now; the caller filters.

mod bounds;
mod cursor;
mod delta;
#[allow(clippy::all, clippy::unwrap_used, missing_docs)]
mod interim;
mod maintenance;
mod merge;
mod run;
mod set;
mod walk;

#[cfg(test)]
mod tests;

pub(crate) use cursor::Cursor;
pub(crate) use interim::{OrderImage, RunFiles, RunRef};
pub(crate) use set::Order;
