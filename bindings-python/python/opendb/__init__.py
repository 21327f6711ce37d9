"""OpenDB: an embedded key-value store with sorted scans and serializable transactions.

    import opendb

    with opendb.open("./db") as db:
        db[b"user:123"] = b"Alice"
        for key, value in db.items(b"user:"):
            print(key, value)

Keys and values are bytes. A database, and each keyspace of it, is a mapping in the order of its keys. Everything is safe to use
from many threads. See ``OpenDB`` for the calls and ``opendb.errors`` for the exceptions.
"""

import os as _os
from collections.abc import MutableMapping as _MutableMapping
from typing import Literal as _Literal

# Imported here and not with the first call that needs them, which another thread may fork in the middle of: its child would
# wait for ever for an import that nobody ends.
import opendb._transact as _transact  # noqa: F401
import opendb._views as _views  # noqa: F401
from opendb._opendb import (
    KEY_BYTES_MAX,
    KEYSPACE_NAME_BYTES_MAX,
    KEYSPACES_MAX,
    SEGMENT_BYTES_MAX,
    SEGMENT_BYTES_MIN,
    VALUE_BYTES_MAX,
    Batch,
    Iter,
    Keys,
    Keyspace,
    OpenDB,
    Snapshot,
    Transaction,
    ValueReader,
    ValueWriter,
    __version__,
)
from opendb._records import Backup, Compaction, Recovery, Salvage, Stats, Verification, Violation
from opendb.errors import (
    CacheError,
    ClosedError,
    CorruptionError,
    ForkedError,
    InternalError,
    InvalidArgumentError,
    IoError,
    KeyspaceNotFoundError,
    LockedError,
    NoSpaceError,
    OpenDBError,
    PoisonedError,
    ReadOnlyError,
    StorageError,
    TransactionError,
    UnsupportedError,
)

__all__ = [
    "KEYSPACES_MAX",
    "KEYSPACE_NAME_BYTES_MAX",
    "KEY_BYTES_MAX",
    "SEGMENT_BYTES_MAX",
    "SEGMENT_BYTES_MIN",
    "VALUE_BYTES_MAX",
    "Backup",
    "Batch",
    "CacheError",
    "ClosedError",
    "Compaction",
    "CorruptionError",
    "ForkedError",
    "InternalError",
    "InvalidArgumentError",
    "IoError",
    "Iter",
    "Keys",
    "Keyspace",
    "KeyspaceNotFoundError",
    "LockedError",
    "NoSpaceError",
    "OpenDB",
    "OpenDBError",
    "PoisonedError",
    "ReadOnlyError",
    "Recovery",
    "Salvage",
    "Snapshot",
    "Stats",
    "StorageError",
    "Transaction",
    "TransactionError",
    "UnsupportedError",
    "ValueReader",
    "ValueWriter",
    "Verification",
    "Violation",
    "__version__",
    "open",
]

_MutableMapping.register(OpenDB)
_MutableMapping.register(Keyspace)


def open(
    path: str | _os.PathLike[str],
    *,
    create: bool = True,
    durability: _Literal["buffered", "sync"] = "buffered",
    append: _Literal["auto", "mapped", "write"] = "auto",
    mapped_reads: bool = True,
    cache_bytes: int | None = None,
    segment_bytes: int | None = None,
    read_damaged: bool = False,
    read_only: bool = False,
    lock_timeout: float = 0.0,
) -> OpenDB:
    """Opens the database in a directory. The same as ``OpenDB(path, ...)``, which says what the options mean."""
    return OpenDB(
        path,
        create=create,
        durability=durability,
        append=append,
        mapped_reads=mapped_reads,
        cache_bytes=cache_bytes,
        segment_bytes=segment_bytes,
        read_damaged=read_damaged,
        read_only=read_only,
        lock_timeout=lock_timeout,
    )
