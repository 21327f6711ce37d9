"""What calls tell: plain records, which can be compared, pickled and handed to ``dataclasses.asdict``."""

from dataclasses import dataclass
from typing import Literal, final


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What opening a database found, in an attribute of Stats."""

    clean: bool
    """Whether the database had been closed cleanly."""

    frames: int
    """Frames that were replayed."""

    frames_rewritten: int
    """Frames written anew, because they were not known to be on the device."""

    bytes_dropped: int
    """Bytes of a torn tail that were dropped."""

    torn_segment: int
    """Serial of the segment with the torn tail."""

    torn_offset: int
    """Byte offset of the torn tail in that segment."""

    damaged: tuple[str, ...]
    """What is damaged and missing, in words. Empty unless the database was opened with read_damaged."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What a database holds and has done, at one moment."""

    keys: int
    """Keys in all keyspaces."""

    keyspaces: int
    """Keyspaces, "default" among them."""

    segments: int
    """Segments on disk."""

    log_bytes: int
    """Bytes of the log in use."""

    live_bytes: int
    """Bytes of the log that hold what can still be read."""

    dead_bytes: int
    """Bytes of the log that hold what was overwritten or deleted."""

    allocated_bytes: int
    """Bytes that the files take on the device."""

    bytes_appended: int
    """Bytes of commits appended to the log since the database was opened."""

    bytes_copied: int
    """Bytes of records that compaction has written anew since the database was opened."""

    bytes_checkpointed: int
    """Bytes of checkpoints, and of lists of moves between them, written since the database was opened."""

    bytes_hinted: int
    """Bytes of hints written since the database was opened."""

    bytes_ordered: int
    """Bytes of key runs written since the database was opened."""

    compactions: int
    """Compactions since the database was opened, each of some segments."""

    checkpoints: int
    """Checkpoints since the database was opened."""

    large_bytes: int
    """Bytes in segments of large values."""

    large_live_bytes: int
    """Bytes in segments of large values that hold what can still be read."""

    last_sequence: int
    """Sequence of the newest commit."""

    durable_sequence: int
    """Sequence of the newest commit that is known to be on the device."""

    syncs: int
    """Syncs of the log since the database was opened."""

    snapshots: int
    """Snapshots alive, those of transactions and iterators among them."""

    oldest_snapshot_seconds: int
    """Age of the oldest live snapshot, in seconds; 0 where there is none."""

    pinned_bytes: int
    """Bytes of segments that are kept only for snapshots and readers."""

    versions: int
    """Old versions kept for snapshots."""

    versions_bytes: int
    """Bytes of memory of the table of old versions, about."""

    index_bytes: int
    """Bytes of memory of the index."""

    order_bytes: int
    """Bytes of memory of the key order."""

    order_runs: int
    """Key runs on the device."""

    order_file_bytes: int
    """Bytes of key runs on the device."""

    cache_bytes: int
    """Bytes of memory of the cache."""

    cache_hits: int
    """Reads that the cache answered."""

    cache_misses: int
    """Reads that the cache did not answer."""

    cache_admissions: int
    """Values that the cache took in."""

    append: Literal["mapped", "write"]
    """How the log is appended to: "mapped" or "write"."""

    poisoned: bool
    """Whether an earlier write or sync failed, so that writes are refused until the database is opened again."""

    recovery: Recovery
    """What opening the database found."""

    write_amplification: float
    """Bytes written to files for each byte of commits since the database was opened; 0.0 before the first commit."""

    space_amplification: float
    """Bytes of segment and run files for each byte that can still be read; 0.0 for an empty database."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """What OpenDB.compact has done."""

    segments_removed: int
    """Segment files that were given up."""

    bytes_copied: int
    """Bytes of records that were written anew."""

    bytes_freed: int
    """Bytes of the segments that were given up, less those that took their place."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Something that is not as it must be, with its place, in an attribute of Verification."""

    segment: int
    """Serial of the segment; 0 where it is of none."""

    offset: int
    """Byte offset in that segment; 0 where it is of no place."""

    reason: str
    """What is wrong."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What OpenDB.verify has found."""

    segments: int
    """Segments whose records were all read and checked."""

    records: int
    """Records that were read and checked, whether they can still be read by their keys or not."""

    keys: int
    """Keys that were found in the index, in the order and in the log."""

    counts_compared: bool
    """Whether counts were compared as well, for which nobody may write meanwhile."""

    violations: tuple[Violation, ...]
    """Everything that is not as it must be, at most 10,000 of it. Empty where all is well."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What OpenDB.backup has done."""

    sequence: int
    """Sequence of the last commit that is in the backup."""

    segments_linked: int
    """Segments whose files the backup shares with the database."""

    segments_copied: int
    """Segments that were copied."""

    bytes_copied: int
    """Bytes that were copied."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Salvage:
    """What OpenDB.salvage has brought over."""

    keys: int
    """Keys that are in the new database."""

    keyspaces: int
    """Keyspaces of the new database, "default" among them."""

    lost: tuple[str, ...]
    """What could not be read, one sentence for each place: at most 10,000 of them, and then one that tells how many
    more there are. Empty where nothing was lost.
    """


# Where they are found, and what they are pickled by.
for _record in (Recovery, Stats, Compaction, Violation, Verification, Backup, Salvage):
    _record.__module__ = "opendb"
