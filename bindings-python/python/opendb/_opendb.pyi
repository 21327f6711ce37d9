"""The extension module of OpenDB. Import these names from the package ``opendb``."""

from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias, TypeVar, final

from typing_extensions import Buffer, disjoint_base

__all__ = [
    "Keyspace",
    "OpenDB",
    "_kinds",
    "_panic",
    "_raise_kind",
    "Iter",
    "Keys",
    "Snapshot",
    "Recovery",
    "Stats",
    "Backup",
    "Compaction",
    "Salvage",
    "Verification",
    "Violation",
    "ValueReader",
    "ValueWriter",
    "Batch",
    "Transaction",
    "__version__",
    "KEY_BYTES_MAX",
    "VALUE_BYTES_MAX",
    "KEYSPACE_NAME_BYTES_MAX",
    "KEYSPACES_MAX",
    "SEGMENT_BYTES_MIN",
    "SEGMENT_BYTES_MAX",
]

_T = TypeVar("_T")
_Durability: TypeAlias = Literal["buffered", "sync"]
_AppendMode: TypeAlias = Literal["auto", "mapped", "write"]
_Compression: TypeAlias = Literal["none", "lz4"]

__version__: Final[str]
KEY_BYTES_MAX: Final = 65535
VALUE_BYTES_MAX: Final = 4294967295
KEYSPACE_NAME_BYTES_MAX: Final = 255
KEYSPACES_MAX: Final = 4095
SEGMENT_BYTES_MIN: Final = 65536
SEGMENT_BYTES_MAX: Final = 268435456

@disjoint_base
class OpenDB:
    """An embedded key-value store in one directory. Keys and values are bytes.

    OpenDB(path) opens the database in the directory `path`, creates both where they are missing, takes the
    directory's lock and recovers what an unclean end has left. Its own calls work on the keyspace "default". A
    database is used from any number of threads. As a context manager it closes itself.

    - create: whether a missing directory or database is created.
    - durability: what commits wait for unless they say otherwise. With "buffered" a write survives the death of the
      process at any instant and the device is synced in the background at least once a second, so a power cut loses
      at most the last second. With "sync" it is on the device before the call returns; concurrent committers share
      one sync.
    - append: how the log is appended to. "auto" is "mapped" where the filesystem keeps the room it promised,
      otherwise "write".
    - mapped_reads: whether segments are read through memory maps.
    - cache_bytes: bound of the cache (default: 64 MiB); 0 turns it off.
    - segment_bytes: size of new segments (default: 8 MiB, growing to 256 MiB as the database grows).
    - read_damaged: opens a damaged database for reading what is still readable. Every write is refused.
    - read_only: opens for reading only, without a lock and without any change of the directory: beside a process that
      writes, beside any number of others that read, or from what cannot be written to. What the other process commits
      is seen within milliseconds. Every write is refused.
    - lock_timeout: how many seconds to wait for another process that has the directory open for writing, before that is
      a LockedError. Ctrl-C ends the wait. Nobody waits with read_only.

    A database can be pickled, and copied: what comes of it has the same path and options, and opens with its first use
    in the process that uses it. There a database that another process has open for writing can be read with read_only.
    """

    def __new__(
        cls,
        path: str | PathLike[str],
        *,
        create: bool = True,
        durability: _Durability = "buffered",
        append: _AppendMode = "auto",
        mapped_reads: bool = True,
        cache_bytes: int | None = None,
        segment_bytes: int | None = None,
        read_damaged: bool = False,
        read_only: bool = False,
        lock_timeout: float = 0.0,
    ) -> Self: ...

    def __len__(self) -> int: ...

    def __contains__(self, key: Buffer, /) -> bool: ...

    def put(self, key: Buffer, value: Buffer, durability: _Durability | None = None) -> None:
        """Stores a value under a key. The write is in the log before the call returns.

        durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.
        """

    def get(self, key: Buffer) -> bytes | None:
        """The newest committed value of a key, or None where the key is absent."""

    def get_many(self, keys: Iterable[Buffer]) -> list[bytes | None]:
        """The newest committed values of many keys, as of one moment: a list in the order of the keys, with None for each
        absent key.

        keys: any iterable of keys. Faster than as many calls of get: what the keys lead to is fetched for some tens of them
        at once. All values are in memory together.

        >>> db.get_many([b"user:1", b"user:2"])
        """

    def value_reader(self, key: Buffer) -> ValueReader | None:
        """The newest committed value of a key, to be read piece by piece, or None where the key is absent."""

    def value_writer(self, key: Buffer, length: int, durability: _Durability | None = None) -> ValueWriter:
        """Begins a value of so many bytes, which is written piece by piece and stored under the key when it is finished.

        durability: what its commit waits for, "buffered" or "sync"; without, what the database was opened with.
        """

    def delete(self, key: Buffer, durability: _Durability | None = None) -> None:
        """Removes a key. An absent key is no error.

        durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.
        """

    def exists(self, key: Buffer) -> bool:
        """Whether a key is present. Cheaper than get: the value is not read. The same as `key in db`."""

    def scan_prefix(self, prefix: Buffer) -> list[tuple[bytes, bytes]]:
        """All (key, value) tuples whose key begins with the prefix, sorted by key, from one consistent moment."""

    def iter(
        self,
        prefix: Buffer | None = None,
        *,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        reverse: bool = False,
        start_after: Buffer | None = None,
        limit: int | None = None,
    ) -> Iter:
        """A lazy iterator over (key, value) tuples, sorted by key, from one consistent moment. The bounds combine.

        - prefix: only keys that begin with it.
        - start: only keys from this one on, itself included.
        - stop: only keys before this one.
        - reverse: from the last key to the first.
        - start_after: resumes a scan: only keys that come after this one in the scan's direction.
        - limit: at most so many.
        """

    def keys(
        self,
        prefix: Buffer | None = None,
        *,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        reverse: bool = False,
        start_after: Buffer | None = None,
        limit: int | None = None,
    ) -> Keys:
        """As iter, but over the keys alone: values are never read."""

    def keyspace(self, name: str, *, compression: _Compression | None = None) -> Keyspace:
        """The keyspace of this name. It is created, durably, where it does not exist.

        compression: how its values are stored from now on, "none" or "lz4"; without, as they are until now, and "none" in a
        new keyspace. The setting stays with the keyspace.
        """

    def keyspaces(self) -> list[str]:
        """The names of all keyspaces, sorted, "default" among them."""

    def batch(self, durability: _Durability | None = None) -> Batch:
        """Collects writes that are applied all together or not at all.

        As a context manager it commits on a clean exit and discards everything on an exception.

        durability: what its commit waits for, "buffered" or "sync"; without, what the database was opened with.
        """

    def begin_transaction(self, durability: _Durability | None = None) -> Transaction:
        """Begins a serializable transaction: it reads its own writes and one snapshot.

        What was read must not have changed by the commit, which otherwise raises TransactionError and applies nothing.
        The transaction is a context manager: it commits on a clean exit and rolls back on an exception.

        durability: what its commit waits for, "buffered" or "sync"; without, what the database was opened with.
        """

    def transaction(self, durability: _Durability | None = None) -> Transaction:
        """The same as begin_transaction, for use as `with db.transaction() as transaction:`."""

    def transact(self, work: Callable[[Transaction], _T]) -> _T:
        """Calls work(transaction), commits, and returns what work has returned.

        On a conflict work is called again in a new transaction, a bounded number of times, so it should have no effect
        besides the transaction. An exception rolls back and is raised. work may not commit or roll back itself.
        """

    def snapshot(self) -> Snapshot:
        """A consistent read-only view of the database at this moment, of the keyspace "default".

        It is a context manager that releases itself. Release it when it is not needed any more: what it can see is
        kept for it.
        """

    def flush(self) -> None:
        """Returns when everything written so far is on the device."""

    def refresh(self) -> None:
        """Returns when everything is seen that was committed before this call, by whatever process.

        It is for a database that was opened with read_only, which otherwise looks for new commits with each use, at most
        once in a millisecond. What it sees only grows, by whole commits. Any other one sees every commit at once.
        """

    def stats(self) -> Stats:
        """What the database holds and has done, at this moment."""

    def compact(self, progress: Callable[[int, int], object] | None = None) -> Compaction:
        """Gives back, at once, the room of everything that was overwritten or deleted.

        Without this call the same goes on in the background whenever there is enough of it. Reads and writes go on
        meanwhile, in other threads too.

        progress: called as progress(bytes_done, bytes_total), and, unless it was ended early, once more at the end; False ends the compaction early,
        and so does an exception, which is raised here. What was done before stays done. It may read and write, but not
        compact, verify, back up or close the database: those wait for this call.

        Raises NoSpaceError where there is no room for the copies, IoError from the device, and CorruptionError where a
        segment cannot be read.
        """

    def verify(self) -> Verification:
        """Looks at everything: reads and checks every record, follows every entry of the index and every key of the order,
        and compares what is counted.

        What is found to be wrong is in the result and raises nothing. It takes about as long as reading the whole database;
        reads and writes go on, and compaction waits.
        """

    def backup(self, directory: str | PathLike[str]) -> Backup:
        """Makes a backup: a database of its own in another directory, with everything that was written before the call.
        Reads and writes go on, and compaction waits.

        The directory is created, or must be empty. Files that are not written to any more are shared with the backup where
        both directories are on one filesystem that can do that, and are otherwise copied. A backup that is to outlive the
        device belongs on another one. What is interrupted leaves a directory that is no database; empty it before it is used
        again. verify of the backup tells whether its bytes are whole.

        Raises InvalidArgumentError for a directory that is not empty or is inside of the database's own, LockedError while
        somebody else has it, NoSpaceError and IoError from the system.
        """

    @staticmethod
    def salvage(damaged: str | PathLike[str], into: str | PathLike[str]) -> Salvage:
        """Makes a new database of everything that can be read of a damaged one, and tells what cannot.

        The damaged directory is not changed, but for its lock file; its manifest need not even be there. Where a commit is
        lost, its keys have the values that they had before, or none, and keys that it deleted come back. Keys are held in
        memory meanwhile. The new directory is created, or must be empty; after an error it holds a part of what was read.

        Raises IoError where there is no database, LockedError while somebody has it open, UnsupportedError for a newer format,
        CorruptionError where not one segment tells whose it is, InvalidArgumentError for a new directory that is not empty or
        is inside of the damaged one, and NoSpaceError and IoError from writing the new database.
        """

    def close(self) -> None:
        """Closes the database. Every later call of it and of everything made from it raises ClosedError.

        With the last open handle of the process the writes are synced and the directory is unlocked. A second close
        does nothing.
        """

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, object]]: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    @property
    def path(self) -> Path:
        """The directory."""

@final
class Keyspace:
    """A key space of its own within the database, made by OpenDB.keyspace. It has the database's key-value calls."""

    def __len__(self) -> int: ...

    def __contains__(self, key: Buffer, /) -> bool: ...

    def put(self, key: Buffer, value: Buffer, durability: _Durability | None = None) -> None:
        """Stores a value under a key. The write is in the log before the call returns.

        durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.
        """

    def get(self, key: Buffer) -> bytes | None:
        """The newest committed value of a key, or None where the key is absent."""

    def get_many(self, keys: Iterable[Buffer]) -> list[bytes | None]:
        """The newest committed values of many keys, as of one moment: a list in the order of the keys, with None for each
        absent key.

        keys: any iterable of keys. Faster than as many calls of get: what the keys lead to is fetched for some tens of them
        at once. All values are in memory together.

        >>> db.get_many([b"user:1", b"user:2"])
        """

    def value_reader(self, key: Buffer) -> ValueReader | None:
        """The newest committed value of a key, to be read piece by piece, or None where the key is absent."""

    def value_writer(self, key: Buffer, length: int, durability: _Durability | None = None) -> ValueWriter:
        """Begins a value of so many bytes, which is written piece by piece and stored under the key when it is finished.

        durability: what its commit waits for, "buffered" or "sync"; without, what the database was opened with.
        """

    def delete(self, key: Buffer, durability: _Durability | None = None) -> None:
        """Removes a key. An absent key is no error.

        durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.
        """

    def exists(self, key: Buffer) -> bool:
        """Whether a key is present. Cheaper than get: the value is not read. The same as `key in keyspace`."""

    def scan_prefix(self, prefix: Buffer) -> list[tuple[bytes, bytes]]:
        """All (key, value) tuples whose key begins with the prefix, sorted by key, from one consistent moment."""

    def iter(
        self,
        prefix: Buffer | None = None,
        *,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        reverse: bool = False,
        start_after: Buffer | None = None,
        limit: int | None = None,
    ) -> Iter:
        """A lazy iterator over (key, value) tuples, sorted by key. See OpenDB.iter."""

    def keys(
        self,
        prefix: Buffer | None = None,
        *,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        reverse: bool = False,
        start_after: Buffer | None = None,
        limit: int | None = None,
    ) -> Keys:
        """A lazy iterator over the keys alone: values are never read. See OpenDB.iter."""

    @property
    def name(self) -> str:
        """The name under which the keyspace was asked for."""

    @property
    def compression(self) -> _Compression:
        """How values are stored that are written from now on: "none" or "lz4"."""

@final
class Transaction:
    """A serializable transaction, made by OpenDB.begin_transaction: it reads its own writes and one snapshot.

    As a context manager it commits on a clean exit and rolls back on an exception. A transaction that is dropped is
    rolled back. Once it is committed or rolled back, its calls raise InvalidArgumentError.
    """

    def get(self, keyspace: str, key: Buffer) -> bytes | None:
        """The value of a key as this transaction sees it, or None where the key is absent."""

    def get_many(self, keyspace: str, keys: Iterable[Buffer]) -> list[bytes | None]:
        """The values of many keys as this transaction sees them, in a list in the order of the keys, with None for each absent
        key. All of them count as read. See OpenDB.get_many.
        """

    def put(self, keyspace: str, key: Buffer, value: Buffer) -> None:
        """Stores a value under a key, when the transaction commits."""

    def delete(self, keyspace: str, key: Buffer) -> None:
        """Removes a key, when the transaction commits. An absent key is no error."""

    def exists(self, keyspace: str, key: Buffer) -> bool:
        """Whether a key is present as this transaction sees it. Cheaper than get: the value is not read."""

    def scan_prefix(self, keyspace: str, prefix: Buffer) -> list[tuple[bytes, bytes]]:
        """All (key, value) tuples whose key begins with the prefix, sorted by key, as this transaction sees them."""

    def iter(
        self,
        keyspace: str,
        prefix: Buffer | None = None,
        *,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        reverse: bool = False,
        start_after: Buffer | None = None,
        limit: int | None = None,
    ) -> Iter:
        """A lazy iterator over (key, value) tuples, sorted by key, with the writes made before this call.

        The bounds are those of OpenDB.iter.
        """

    def keys(
        self,
        keyspace: str,
        prefix: Buffer | None = None,
        *,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        reverse: bool = False,
        start_after: Buffer | None = None,
        limit: int | None = None,
    ) -> Keys:
        """As iter, but over the keys alone: values are never read."""

    def commit(self, durability: _Durability | None = None) -> None:
        """Applies all writes at once. On a conflict it raises TransactionError and nothing of them is applied.

        durability: what this commit waits for, "buffered" or "sync"; without, what the transaction was begun with.
        """

    def rollback(self) -> None:
        """Discards all writes."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Commits, or rolls back on an exception. What the block has finished itself stays as it is, and so does in the
        child of a fork what the parent has begun.
        """

@final
class Batch:
    """Writes that are applied all together or not at all, made by OpenDB.batch.

    As a context manager it commits on a clean exit and discards everything on an exception. A batch that is dropped
    does nothing. Of several writes to one key the last one counts. Once it is committed or discarded, its calls raise
    InvalidArgumentError.
    """

    def __len__(self) -> int: ...

    def put(self, keyspace: str, key: Buffer, value: Buffer) -> None:
        """Stores a value under a key, when the batch commits."""

    def delete(self, keyspace: str, key: Buffer) -> None:
        """Removes a key, when the batch commits. An absent key is no error."""

    def commit(self, durability: _Durability | None = None) -> None:
        """Applies all writes at once.

        durability: what this commit waits for, "buffered" or "sync"; without, what the batch was made with.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Commits, or discards on an exception. What the block has committed itself stays as it is, and so does in the child
        of a fork what the parent has begun.
        """

@final
class Snapshot:
    """A consistent read-only view of one moment, made by OpenDB.snapshot.

    As a context manager it releases itself. Once it is released, its calls raise InvalidArgumentError.
    """

    def __contains__(self, key: Buffer, /) -> bool: ...

    def get(self, key: Buffer) -> bytes | None:
        """The value of a key at that moment, or None where the key was absent."""

    def get_many(self, keys: Iterable[Buffer]) -> list[bytes | None]:
        """The values of many keys at that moment, in a list in the order of the keys, with None for each absent key. See
        OpenDB.get_many.
        """

    def value_reader(self, key: Buffer) -> ValueReader | None:
        """The value of a key at that moment, to be read piece by piece, or None where the key was absent."""

    def exists(self, key: Buffer) -> bool:
        """Whether a key was present at that moment. Cheaper than get. The same as `key in snapshot`."""

    def scan_prefix(self, prefix: Buffer) -> list[tuple[bytes, bytes]]:
        """All (key, value) tuples whose key begins with the prefix, sorted by key."""

    def iter(
        self,
        prefix: Buffer | None = None,
        *,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        reverse: bool = False,
        start_after: Buffer | None = None,
        limit: int | None = None,
    ) -> Iter:
        """A lazy iterator over (key, value) tuples, sorted by key. See OpenDB.iter."""

    def keys(
        self,
        prefix: Buffer | None = None,
        *,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        reverse: bool = False,
        start_after: Buffer | None = None,
        limit: int | None = None,
    ) -> Keys:
        """A lazy iterator over the keys alone: values are never read. See OpenDB.iter."""

    def keyspace(self, name: str) -> Snapshot:
        """The same moment of another keyspace. KeyspaceNotFoundError where there is none of this name."""

    def close(self) -> None:
        """Releases the snapshot. A second close does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

@final
class Iter:
    """A lazy iterator over `(key, value)` tuples in key order, made by `iter`.

    It reads the moment at which it was made, whatever is written meanwhile. The snapshot behind it is released when it
    comes to its end, is closed, or is dropped.
    """

    def __iter__(self) -> Self: ...

    def __next__(self) -> tuple[bytes, bytes]: ...

    def close(self) -> None:
        """Releases the snapshot now. The iterator is at its end then. A second call does nothing."""

@final
class Keys:
    """A lazy iterator over keys in key order, made by `keys`. It never reads a value.

    It reads the moment at which it was made, whatever is written meanwhile. The snapshot behind it is released when it
    comes to its end, is closed, or is dropped.
    """

    def __iter__(self) -> Self: ...

    def __next__(self) -> bytes: ...

    def close(self) -> None:
        """Releases the snapshot now. The iterator is at its end then. A second call does nothing."""

@final
class ValueReader:
    """A value that is read piece by piece, made by value_reader, with the calls of a raw stream of Python.

    It stays the same value when its key is overwritten. As a context manager it closes itself. A value over 1 MiB that is
    damaged is noticed by who reads from its beginning to its end: the read that would give the last byte raises
    CorruptionError. Once it is closed, its calls raise InvalidArgumentError.
    """

    def read(self, size: int | None = None) -> bytes:
        """The next bytes of the value: so many, or all that are left where size is None or negative. None are left at the
        end.
        """

    def readall(self) -> bytes:
        """All bytes that are left."""

    def readinto(self, buffer: Buffer) -> int:
        """Reads into a writable buffer of bytes and returns how many: fewer than it has room for at the end, and at most 1 MiB."""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Goes to a place of the value, counted from its beginning (whence 0), from here (1) or from its end (2), and returns
        it.
        """

    def tell(self) -> int:
        """The place at which the next byte is read."""

    @property
    def length(self) -> int:
        """Length of the value in bytes."""

    def readable(self) -> bool:
        """True."""

    def seekable(self) -> bool:
        """True."""

    def writable(self) -> bool:
        """False."""

    def flush(self) -> None:
        """Does nothing: there is nothing to write."""

    def close(self) -> None:
        """Closes the reader. A second close does nothing."""

    @property
    def closed(self) -> bool:
        """Whether it is closed, or its database is."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

@final
class ValueWriter:
    """A value that is written piece by piece, made by value_writer, with the calls of a raw stream of Python.

    Nobody sees anything of it before it is finished. As a context manager it finishes on a clean exit and gives the value up
    on an exception; a writer that is dropped gives it up. Once it is finished or closed, its calls raise
    InvalidArgumentError.
    """

    def write(self, data: Buffer) -> int:
        """Writes the next piece, all of it, and returns its length. Each piece goes to the log as it is: gather many little ones
        with io.BufferedWriter.
        """

    def finish(self, durability: _Durability | None = None) -> None:
        """Stores the value, all of which was written, under its key.

        durability: what this write waits for, "buffered" or "sync"; without, what the writer was made with.
        """

    def tell(self) -> int:
        """Bytes that were written so far."""

    @property
    def length(self) -> int:
        """Length that the value will have, in bytes."""

    def flush(self) -> None:
        """Does nothing: finish does."""

    def readable(self) -> bool:
        """False."""

    def seekable(self) -> bool:
        """False."""

    def writable(self) -> bool:
        """True."""

    def close(self) -> None:
        """Gives the value up, if it is not finished. A second close does nothing."""

    @property
    def closed(self) -> bool:
        """Whether it is finished or closed, or its database is closed."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finishes, or gives up on an exception. What the block has finished itself stays as it is, and so does in the child
        of a fork what the parent has begun.
        """

@final
class Stats:
    """What a database holds and has done, at one moment. Two are equal where all of their attributes are."""

    def __hash__(self) -> int: ...

    def __eq__(self, other: object, /) -> bool: ...

    def __ne__(self, other: object, /) -> bool: ...

    @property
    def keys(self) -> int:
        """Keys in all keyspaces."""

    @property
    def keyspaces(self) -> int:
        """Keyspaces, "default" among them."""

    @property
    def segments(self) -> int:
        """Segments on disk."""

    @property
    def log_bytes(self) -> int:
        """Bytes of the log in use."""

    @property
    def live_bytes(self) -> int:
        """Bytes of the log that hold what can still be read."""

    @property
    def dead_bytes(self) -> int:
        """Bytes of the log that hold what was overwritten or deleted."""

    @property
    def allocated_bytes(self) -> int:
        """Bytes that the files take on the device."""

    @property
    def bytes_appended(self) -> int:
        """Bytes of commits appended to the log since the database was opened."""

    @property
    def bytes_copied(self) -> int:
        """Bytes of records that compaction has written anew since the database was opened."""

    @property
    def bytes_checkpointed(self) -> int:
        """Bytes of checkpoints, and of lists of moves between them, written since the database was opened."""

    @property
    def bytes_hinted(self) -> int:
        """Bytes of hints written since the database was opened."""

    @property
    def bytes_ordered(self) -> int:
        """Bytes of key runs written since the database was opened."""

    @property
    def compactions(self) -> int:
        """Compactions since the database was opened, each of some segments."""

    @property
    def checkpoints(self) -> int:
        """Checkpoints since the database was opened."""

    @property
    def large_bytes(self) -> int:
        """Bytes in segments of large values."""

    @property
    def large_live_bytes(self) -> int:
        """Bytes in segments of large values that hold what can still be read."""

    @property
    def last_sequence(self) -> int:
        """Sequence of the newest commit."""

    @property
    def durable_sequence(self) -> int:
        """Sequence of the newest commit that is known to be on the device."""

    @property
    def syncs(self) -> int:
        """Syncs of the log since the database was opened."""

    @property
    def snapshots(self) -> int:
        """Snapshots alive, those of transactions and iterators among them."""

    @property
    def oldest_snapshot_seconds(self) -> int:
        """Age of the oldest live snapshot, in seconds; 0 where there is none."""

    @property
    def pinned_bytes(self) -> int:
        """Bytes of segments that are kept only for snapshots and readers."""

    @property
    def versions(self) -> int:
        """Old versions kept for snapshots."""

    @property
    def versions_bytes(self) -> int:
        """Bytes of memory of the table of old versions, about."""

    @property
    def index_bytes(self) -> int:
        """Bytes of memory of the index."""

    @property
    def order_bytes(self) -> int:
        """Bytes of memory of the key order."""

    @property
    def order_runs(self) -> int:
        """Key runs on the device."""

    @property
    def order_file_bytes(self) -> int:
        """Bytes of key runs on the device."""

    @property
    def cache_bytes(self) -> int:
        """Bytes of memory of the cache."""

    @property
    def cache_hits(self) -> int:
        """Reads that the cache answered."""

    @property
    def cache_misses(self) -> int:
        """Reads that the cache did not answer."""

    @property
    def cache_admissions(self) -> int:
        """Values that the cache took in."""

    @property
    def append(self) -> Literal["mapped", "write"]:
        """How the log is appended to: "mapped" or "write"."""

    @property
    def poisoned(self) -> bool:
        """Whether an earlier write or sync failed, so that writes are refused until the database is opened again."""

    @property
    def recovery(self) -> Recovery:
        """What opening the database found."""

    @property
    def write_amplification(self) -> float:
        """Bytes written to files for each byte of commits since the database was opened; 0.0 before the first commit."""

    @property
    def space_amplification(self) -> float:
        """Bytes of segment and run files for each byte that can still be read; 0.0 for an empty database."""

@final
class Recovery:
    """What opening a database found, in an attribute of Stats."""

    def __hash__(self) -> int: ...

    def __eq__(self, other: object, /) -> bool: ...

    def __ne__(self, other: object, /) -> bool: ...

    @property
    def clean(self) -> bool:
        """Whether the database had been closed cleanly."""

    @property
    def frames(self) -> int:
        """Frames that were replayed."""

    @property
    def frames_rewritten(self) -> int:
        """Frames written anew, because they were not known to be on the device."""

    @property
    def bytes_dropped(self) -> int:
        """Bytes of a torn tail that were dropped."""

    @property
    def torn_segment(self) -> int:
        """Serial of the segment with the torn tail."""

    @property
    def torn_offset(self) -> int:
        """Byte offset of the torn tail in that segment."""

    @property
    def damaged(self) -> list[str]:
        """What is damaged and missing, in words. Empty unless the database was opened with read_damaged."""

@final
class Compaction:
    """What OpenDB.compact has done. Two are equal where all of their attributes are."""

    def __hash__(self) -> int: ...

    def __eq__(self, other: object, /) -> bool: ...

    def __ne__(self, other: object, /) -> bool: ...

    @property
    def segments_removed(self) -> int:
        """Segment files that were given up."""

    @property
    def bytes_copied(self) -> int:
        """Bytes of records that were written anew."""

    @property
    def bytes_freed(self) -> int:
        """Bytes of the segments that were given up, less those that took their place."""

@final
class Verification:
    """What OpenDB.verify has found. Two are equal where all of their attributes are."""

    def __hash__(self) -> int: ...

    def __eq__(self, other: object, /) -> bool: ...

    def __ne__(self, other: object, /) -> bool: ...

    @property
    def segments(self) -> int:
        """Segments whose records were all read and checked."""

    @property
    def records(self) -> int:
        """Records that were read and checked, whether they can still be read by their keys or not."""

    @property
    def keys(self) -> int:
        """Keys that were found in the index, in the order and in the log."""

    @property
    def counts_compared(self) -> bool:
        """Whether counts were compared as well, for which nobody may write meanwhile."""

    @property
    def violations(self) -> list[Violation]:
        """Everything that is not as it must be, at most 10,000 of it. Empty where all is well."""

@final
class Violation:
    """Something that is not as it must be, with its place, in an attribute of Verification."""

    def __hash__(self) -> int: ...

    def __eq__(self, other: object, /) -> bool: ...

    def __ne__(self, other: object, /) -> bool: ...

    @property
    def segment(self) -> int:
        """Serial of the segment; 0 where it is of none."""

    @property
    def offset(self) -> int:
        """Byte offset in that segment; 0 where it is of no place."""

    @property
    def reason(self) -> str:
        """What is wrong."""

@final
class Backup:
    """What OpenDB.backup has done. Two are equal where all of their attributes are."""

    def __hash__(self) -> int: ...

    def __eq__(self, other: object, /) -> bool: ...

    def __ne__(self, other: object, /) -> bool: ...

    @property
    def sequence(self) -> int:
        """Sequence of the last commit that is in the backup."""

    @property
    def segments_linked(self) -> int:
        """Segments whose files the backup shares with the database."""

    @property
    def segments_copied(self) -> int:
        """Segments that were copied."""

    @property
    def bytes_copied(self) -> int:
        """Bytes that were copied."""

@final
class Salvage:
    """What OpenDB.salvage has brought over. Two are equal where all of their attributes are."""

    def __hash__(self) -> int: ...

    def __eq__(self, other: object, /) -> bool: ...

    def __ne__(self, other: object, /) -> bool: ...

    @property
    def keys(self) -> int:
        """Keys that are in the new database."""

    @property
    def keyspaces(self) -> int:
        """Keyspaces of the new database, "default" among them."""

    @property
    def lost(self) -> list[str]:
        """What could not be read, one sentence for each place: at most 10,000 of them, and then one that tells how many more
        there are. Empty where nothing was lost.
        """

def _kinds() -> list[tuple[int, str, bool]]:
    """Every error kind of the core as (code, name, retryable), for the package's tests."""

def _raise_kind(code: int) -> None:
    """Raises an error of the kind that has this code, for the package's tests."""

def _panic(detached: bool) -> None:
    """Panics where the core would, with or without the interpreter, for the package's tests."""
