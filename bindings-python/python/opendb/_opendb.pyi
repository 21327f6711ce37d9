"""The extension module of OpenDB. Import these names from the package ``opendb``."""

from collections.abc import Callable, Iterable, MutableMapping
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Protocol, Self, TypeAlias, TypeVar, final, overload

from typing_extensions import Buffer, disjoint_base

from opendb._records import Backup, Compaction, Salvage, Stats, Verification
from opendb._transact import Transacting
from opendb._views import ItemsView, KeysView, ValuesView

__all__ = [
    "Keyspace",
    "OpenDB",
    "_command",
    "_kinds",
    "_panic",
    "_raise_kind",
    "Iter",
    "Keys",
    "Snapshot",
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

class _HasItems(Protocol):
    """A mapping, as far as put_many looks at it."""

    def items(self) -> Iterable[tuple[Buffer, Buffer]]: ...

_Entries: TypeAlias = _HasItems | Iterable[tuple[Buffer, Buffer]]

__version__: Final[str]
KEY_BYTES_MAX: Final = 65535
VALUE_BYTES_MAX: Final = 4294967295
KEYSPACE_NAME_BYTES_MAX: Final = 255
KEYSPACES_MAX: Final = 4095
SEGMENT_BYTES_MIN: Final = 65536
SEGMENT_BYTES_MAX: Final = 268435456

@disjoint_base
class OpenDB(MutableMapping[bytes, bytes]):
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

    def keys(
        self,
        prefix: Buffer | None = None,
        *,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        reverse: bool = False,
        start_after: Buffer | None = None,
        limit: int | None = None,
    ) -> KeysView:
        """A view of the keys, in their order, also a set. It shows what is there when it is looked at, as of one moment for each
        loop over it; the arguments are those of iter. Its length is known without a scan where there are no bounds.
        """

    def values(
        self,
        prefix: Buffer | None = None,
        *,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        reverse: bool = False,
        start_after: Buffer | None = None,
        limit: int | None = None,
    ) -> ValuesView:
        """A view of the values, in the order of their keys. See keys."""

    def items(
        self,
        prefix: Buffer | None = None,
        *,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        reverse: bool = False,
        start_after: Buffer | None = None,
        limit: int | None = None,
    ) -> ItemsView:
        """A view of the (key, value) tuples, in the order of the keys. See keys."""

    def put_many(self, entries: _Entries, durability: _Durability | None = None) -> None:
        """Stores many values, all together or not at all.

        entries: a mapping, or an iterable of (key, value) tuples. Of several values for one key the last one counts.

        durability: what the commit waits for, "buffered" or "sync"; without, what the database was opened with.

        >>> db.put_many({b"user:1": b"Ada", b"user:2": b"Bob"})
        """

    def update(self, entries: _Entries, /) -> None:  # type: ignore[override]
        """The same as put_many, under the name that it has in Python's mappings."""

    @overload
    def pop(self, key: Buffer, /) -> bytes:
        """Removes a key and returns the value that it had. The default, or KeyError without one, where the key is absent."""

    @overload
    def pop(self, key: Buffer, default: bytes, /) -> bytes: ...

    @overload
    def pop(self, key: Buffer, default: _T, /) -> bytes | _T: ...

    def popitem(self) -> tuple[bytes, bytes]:
        """Removes the first key and returns it with the value that it had. KeyError where there is none."""

    def setdefault(self, key: Buffer, default: Buffer) -> bytes:
        """The value of a key. Where the key is absent, the default, which is stored under it. Nobody else changes the key in between."""

    def clear(self) -> None:
        """Removes all keys, in steps of some of them."""

    def __getitem__(self, key: Buffer, /) -> bytes: ...

    def __setitem__(self, key: Buffer, value: Buffer, /) -> None: ...

    def __delitem__(self, key: Buffer, /) -> None: ...

    def __iter__(self) -> Keys: ...

    def __reversed__(self) -> Keys: ...

    def __len__(self) -> int: ...

    def __contains__(self, key: Buffer, /) -> bool: ...  # type: ignore[override]

    def put(self, key: Buffer, value: Buffer, durability: _Durability | None = None) -> None:
        """Stores a value under a key. The write is in the log before the call returns.

        durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.
        """

    @overload
    def get(self, key: Buffer, default: None = None) -> bytes | None:
        """The newest committed value of a key, or the default where the key is absent."""

    @overload
    def get(self, key: Buffer, default: bytes) -> bytes: ...

    @overload
    def get(self, key: Buffer, default: _T) -> bytes | _T: ...

    def get_view(self, key: Buffer) -> memoryview | None:
        """The newest committed value of a key where it lies, as a read-only memoryview, or None where the key is absent.

        Nothing is copied, which pays from some KiB on. The bytes stay there and as they are for as long as the memoryview, or
        anything that was made of it, is held, also after the key is overwritten or removed and the database closed; as long
        the space on the device is not given back.

        >>> numpy.frombuffer(db.get_view(b"embedding:1"), dtype="f4")
        """

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

    def compare_and_swap(
        self, key: Buffer, expected: Buffer | None, new: Buffer | None, durability: _Durability | None = None
    ) -> bool:
        """Stores the value `new` under a key where its value is `expected`, and tells whether it was. Nobody else changes the key
        in between.

        None stands for a key that is not there: it is created only where it is missing, or removed.

        durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.

        >>> db.compare_and_swap(b"lock", None, b"mine")
        """

    def take(self, key: Buffer, durability: _Durability | None = None) -> bytes | None:
        """Removes a key and returns the value that it had: of those who take the same key at once one gets it. None, and nothing is
        written, where the key is absent.

        durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.

        >>> db.take(b"job:1")
        """

    def increment(self, key: Buffer, by: int = 1, durability: _Durability | None = None) -> int:
        """Adds to the number under a key, 0 where the key is absent, and returns the sum. Nobody else changes the key in between.

        Numbers are 8 bytes, little endian, signed: what int.to_bytes(8, "little", signed=True) makes. InvalidArgumentError, with
        nothing written, where the value does not have 8 bytes or the sum is beyond what they hold.

        durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.

        >>> db.increment(b"visits")
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

    def iter_keys(
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

    def write_batch(self, durability: _Durability | None = None) -> Batch:
        """The same as batch, under the name that others give it."""

    def begin_transaction(self, durability: _Durability | None = None) -> Transaction:
        """Begins a serializable transaction: it reads its own writes and one snapshot.

        What was read must not have changed by the commit, which otherwise raises TransactionError and applies nothing.
        The transaction is a context manager: it commits on a clean exit and rolls back on an exception.

        durability: what its commit waits for, "buffered" or "sync"; without, what the database was opened with.
        """

    def transaction(self, durability: _Durability | None = None) -> Transaction:
        """The same as begin_transaction, for use as `with db.transaction() as transaction:`."""

    @overload
    def transact(
        self,
        work: Callable[[Transaction], _T],
        *,
        retries: int | None = None,
        durability: _Durability | None = None,
    ) -> _T:
        """Calls work(transaction), commits, and returns what work has returned.

        On a conflict work is called again in a new transaction, a bounded number of times, so it should have no effect
        besides the transaction. An exception rolls back and is raised. work may not commit or roll back itself.

        - retries: how often work is called again, at most (default: 99).
        - durability: what the commit waits for, "buffered" or "sync"; without, what the database was opened with.

        Without work it is a decorator: each call of the function is run so, with the transaction before its own arguments.

        >>> @db.transact(retries=3)
        ... def move(transaction, amount): ...
        """

    @overload
    def transact(
        self, work: None = None, *, retries: int | None = None, durability: _Durability | None = None
    ) -> Transacting: ...

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
class Keyspace(MutableMapping[bytes, bytes]):
    """A key space of its own within the database, made by OpenDB.keyspace. It has the database's key-value calls."""

    def keys(
        self,
        prefix: Buffer | None = None,
        *,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        reverse: bool = False,
        start_after: Buffer | None = None,
        limit: int | None = None,
    ) -> KeysView:
        """A view of the keys, in their order. See OpenDB.keys."""

    def values(
        self,
        prefix: Buffer | None = None,
        *,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        reverse: bool = False,
        start_after: Buffer | None = None,
        limit: int | None = None,
    ) -> ValuesView:
        """A view of the values, in the order of their keys. See OpenDB.keys."""

    def items(
        self,
        prefix: Buffer | None = None,
        *,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        reverse: bool = False,
        start_after: Buffer | None = None,
        limit: int | None = None,
    ) -> ItemsView:
        """A view of the (key, value) tuples, in the order of the keys. See OpenDB.keys."""

    def put_many(self, entries: _Entries, durability: _Durability | None = None) -> None:
        """Stores many values, all together or not at all. See OpenDB.put_many."""

    def update(self, entries: _Entries, /) -> None:  # type: ignore[override]
        """The same as put_many, under the name that it has in Python's mappings."""

    @overload
    def pop(self, key: Buffer, /) -> bytes:
        """Removes a key and returns the value that it had. The default, or KeyError without one, where the key is absent."""

    @overload
    def pop(self, key: Buffer, default: bytes, /) -> bytes: ...

    @overload
    def pop(self, key: Buffer, default: _T, /) -> bytes | _T: ...

    def popitem(self) -> tuple[bytes, bytes]:
        """Removes the first key and returns it with the value that it had. KeyError where there is none."""

    def setdefault(self, key: Buffer, default: Buffer) -> bytes:
        """The value of a key. Where the key is absent, the default, which is stored under it. Nobody else changes the key in between."""

    def clear(self) -> None:
        """Removes all keys, in steps of some of them."""

    def __getitem__(self, key: Buffer, /) -> bytes: ...

    def __setitem__(self, key: Buffer, value: Buffer, /) -> None: ...

    def __delitem__(self, key: Buffer, /) -> None: ...

    def __iter__(self) -> Keys: ...

    def __reversed__(self) -> Keys: ...

    def __len__(self) -> int: ...

    def __contains__(self, key: Buffer, /) -> bool: ...  # type: ignore[override]

    def put(self, key: Buffer, value: Buffer, durability: _Durability | None = None) -> None:
        """Stores a value under a key. The write is in the log before the call returns.

        durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.
        """

    @overload
    def get(self, key: Buffer, default: None = None) -> bytes | None:
        """The newest committed value of a key, or the default where the key is absent."""

    @overload
    def get(self, key: Buffer, default: bytes) -> bytes: ...

    @overload
    def get(self, key: Buffer, default: _T) -> bytes | _T: ...

    def get_view(self, key: Buffer) -> memoryview | None:
        """The newest committed value of a key where it lies, as a memoryview, or None where the key is absent. See OpenDB.get_view."""

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

    def compare_and_swap(
        self, key: Buffer, expected: Buffer | None, new: Buffer | None, durability: _Durability | None = None
    ) -> bool:
        """Stores the value `new` under a key where its value is `expected`, and tells whether it was. Nobody else changes the key
        in between.

        None stands for a key that is not there: it is created only where it is missing, or removed.

        durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.

        >>> db.compare_and_swap(b"lock", None, b"mine")
        """

    def take(self, key: Buffer, durability: _Durability | None = None) -> bytes | None:
        """Removes a key and returns the value that it had: of those who take the same key at once one gets it. None, and nothing is
        written, where the key is absent.

        durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.

        >>> db.take(b"job:1")
        """

    def increment(self, key: Buffer, by: int = 1, durability: _Durability | None = None) -> int:
        """Adds to the number under a key, 0 where the key is absent, and returns the sum. Nobody else changes the key in between.

        Numbers are 8 bytes, little endian, signed: what int.to_bytes(8, "little", signed=True) makes. InvalidArgumentError, with
        nothing written, where the value does not have 8 bytes or the sum is beyond what they hold.

        durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.

        >>> db.increment(b"visits")
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

    def iter_keys(
        self,
        prefix: Buffer | None = None,
        *,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        reverse: bool = False,
        start_after: Buffer | None = None,
        limit: int | None = None,
    ) -> Keys:
        """A lazy iterator over the keys alone: values are never read. See OpenDB.iter_keys."""

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

    def iter_keys(
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

    @overload
    def get(self, key: Buffer, default: None = None) -> bytes | None:
        """The value of a key at that moment, or the default where the key was absent."""

    @overload
    def get(self, key: Buffer, default: bytes) -> bytes: ...

    @overload
    def get(self, key: Buffer, default: _T) -> bytes | _T: ...

    def get_view(self, key: Buffer) -> memoryview | None:
        """The value of a key at that moment where it lies, as a memoryview, or None where the key was absent. See OpenDB.get_view."""

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

    def iter_keys(
        self,
        prefix: Buffer | None = None,
        *,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        reverse: bool = False,
        start_after: Buffer | None = None,
        limit: int | None = None,
    ) -> Keys:
        """A lazy iterator over the keys alone: values are never read. See OpenDB.iter_keys."""

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

def _command(words: list[str]) -> int:
    """Does what the words of a command line say, with standard input and output of the process, and returns the exit code."""

def _kinds() -> list[tuple[int, str, bool]]:
    """Every error kind of the core as (code, name, retryable), for the package's tests."""

def _raise_kind(code: int) -> None:
    """Raises an error of the kind that has this code, for the package's tests."""

def _panic(detached: bool) -> None:
    """Panics where the core would, with or without the interpreter, for the package's tests."""
