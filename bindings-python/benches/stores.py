"""The stores, each in the fastest setting in which a put survives the death of the process, and with what a reader of
the numbers must know of it."""

import sqlite3
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module, metadata
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from entries import Entry

CACHE_BYTES = 1 << 30
BLOOM_BITS = 10
# LMDB wants to know in advance how large its file may grow. It is sparse.
LMDB_MAP_BYTES = 64 << 30


class Store(Protocol):
    """What is measured of a store. The loop over many calls stands in it, so that no call of ours comes between."""

    def put_each(self, entries: Sequence[Entry]) -> None: ...
    def get_each(self, keys: Sequence[bytes]) -> list[bytes | None]: ...
    def batch(self, entries: Sequence[Entry]) -> None: ...
    def scan(self, start: bytes, limit: int) -> list[Entry]: ...
    def settle(self) -> None: ...
    def close(self) -> None: ...


class WithCalls:
    """A store whose own calls put and get one key."""

    db: Any

    def put_each(self, entries: Sequence[Entry]) -> None:
        put = self.db.put
        for key, value in entries:
            put(key, value)

    def get_each(self, keys: Sequence[bytes]) -> list[bytes | None]:
        get = self.db.get
        return [get(key) for key in keys]

    def close(self) -> None:
        self.db.close()


class OpenDB(WithCalls):
    def __init__(self, directory: Path) -> None:
        self.db = import_module("opendb").open(directory / "db")

    def batch(self, entries: Sequence[Entry]) -> None:
        with self.db.batch() as batch:
            put = batch.put
            for key, value in entries:
                put("default", key, value)

    def scan(self, start: bytes, limit: int) -> list[Entry]:
        return list(self.db.iter(start=start, limit=limit))

    def settle(self) -> None:
        self.db.compact()


class Lmdb:
    def __init__(self, directory: Path, writemap: bool) -> None:
        self.environment: Any = import_module("lmdb").open(
            str(directory / "db"),
            map_size=LMDB_MAP_BYTES,
            sync=False,
            metasync=False,
            writemap=writemap,
            readahead=False,
        )

    def put_each(self, entries: Sequence[Entry]) -> None:
        begin = self.environment.begin
        for key, value in entries:
            with begin(write=True) as transaction:
                transaction.put(key, value)

    def get_each(self, keys: Sequence[bytes]) -> list[bytes | None]:
        begin, found = self.environment.begin, []
        for key in keys:
            with begin() as transaction:
                found.append(transaction.get(key))
        return found

    def batch(self, entries: Sequence[Entry]) -> None:
        with self.environment.begin(write=True) as transaction, transaction.cursor() as cursor:
            cursor.putmulti(entries)

    def scan(self, start: bytes, limit: int) -> list[Entry]:
        with self.environment.begin() as transaction, transaction.cursor() as cursor:
            return list(islice(cursor.iternext(), limit)) if cursor.set_range(start) else []

    def settle(self) -> None:
        pass

    def close(self) -> None:
        self.environment.close()


class RocksDict(WithCalls):
    def __init__(self, directory: Path) -> None:
        rocksdict = self.rocksdict = import_module("rocksdict")
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_compression_type(rocksdict.DBCompressionType.none())
        options.increase_parallelism(2)
        table = rocksdict.BlockBasedOptions()
        table.set_block_cache(rocksdict.Cache(CACHE_BYTES))
        table.set_bloom_filter(BLOOM_BITS, False)
        options.set_block_based_table_factory(table)
        self.db = rocksdict.Rdict(str(directory / "db"), options)

    def batch(self, entries: Sequence[Entry]) -> None:
        batch = self.rocksdict.WriteBatch(raw_mode=True)
        put = batch.put
        for key, value in entries:
            put(key, value)
        self.db.write(batch)

    def scan(self, start: bytes, limit: int) -> list[Entry]:
        return list(islice(self.db.items(from_key=start), limit))

    def settle(self) -> None:
        self.db.flush()
        self.db.compact_range(None, None)


class Plyvel(WithCalls):
    def __init__(self, directory: Path) -> None:
        self.db = import_module("plyvel").DB(
            str(directory / "db"),
            create_if_missing=True,
            compression=None,
            lru_cache_size=CACHE_BYTES,
            bloom_filter_bits=BLOOM_BITS,
            write_buffer_size=64 << 20,
        )

    def batch(self, entries: Sequence[Entry]) -> None:
        with self.db.write_batch() as batch:
            put = batch.put
            for key, value in entries:
                put(key, value)

    def scan(self, start: bytes, limit: int) -> list[Entry]:
        with self.db.iterator(start=start) as entries:
            return list(islice(entries, limit))

    def settle(self) -> None:
        self.db.compact_range()


class Sqlite:
    PUT = "INSERT INTO entries VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
    GET = "SELECT value FROM entries WHERE key = ?"
    SCAN = "SELECT key, value FROM entries WHERE key >= ? ORDER BY key LIMIT ?"
    SETTINGS = (
        "PRAGMA locking_mode = EXCLUSIVE",
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = OFF",
        f"PRAGMA cache_size = -{CACHE_BYTES >> 10}",
        "CREATE TABLE entries (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    )

    def __init__(self, directory: Path) -> None:
        self.connection = sqlite3.connect(directory / "db", isolation_level=None)
        for statement in self.SETTINGS:
            self.connection.execute(statement)

    def put_each(self, entries: Sequence[Entry]) -> None:
        execute = self.connection.execute
        for entry in entries:
            execute(self.PUT, entry)

    def get_each(self, keys: Sequence[bytes]) -> list[bytes | None]:
        execute, found = self.connection.execute, []
        for key in keys:
            row = execute(self.GET, (key,)).fetchone()
            found.append(row and row[0])
        return found

    def batch(self, entries: Sequence[Entry]) -> None:
        self.connection.execute("BEGIN")
        self.connection.executemany(self.PUT, entries)
        self.connection.execute("COMMIT")

    def scan(self, start: bytes, limit: int) -> list[Entry]:
        return self.connection.execute(self.SCAN, (start, limit)).fetchall()

    def settle(self) -> None:
        self.connection.execute("VACUUM")

    def close(self) -> None:
        self.connection.close()


class Dict:
    def __init__(self, _directory: Path) -> None:
        self.entries: dict[bytes, bytes] = {}

    def put_each(self, entries: Sequence[Entry]) -> None:
        own = self.entries
        for key, value in entries:
            own[key] = value

    def get_each(self, keys: Sequence[bytes]) -> list[bytes | None]:
        get = self.entries.get
        return [get(key) for key in keys]

    def batch(self, entries: Sequence[Entry]) -> None:
        self.entries.update(entries)

    def scan(self, start: bytes, limit: int) -> list[Entry]:
        raise NotImplementedError

    def settle(self) -> None:
        pass

    def close(self) -> None:
        self.entries.clear()


@dataclass(frozen=True)
class Kind:
    """One store. ``module`` is what is imported, and where it is none of the standard library, ``package`` what brings
    it; ``lacking`` are the groups that it has nothing for, with the reason."""

    id: str
    name: str
    open: Callable[[Path], Store]
    survives: str
    settling: str
    module: str = "builtins"
    version: Callable[[], str] = field(default=lambda: f"Python {sys.version.split()[0]}")
    persistent: bool = True
    lacking: dict[str, str] = field(default_factory=dict)

    def lacks(self, row: str) -> str | None:
        return next((reason for group, reason in self.lacking.items() if row.startswith(group)), None)

    def missing(self) -> str | None:
        """Why it cannot be measured here."""
        try:
            import_module(self.module)
        except ImportError as error:
            return f"`import {self.module}` fails: {error}"
        return None

    def profile(self) -> dict[str, Any]:
        """What the first line of a run says of it."""
        return {
            "id": self.id,
            "name": self.name,
            "version": self.version(),
            "persistent": self.persistent,
            "survives": self.survives,
            "settling": self.settling,
        }


def lmdb_version() -> str:
    return f"lmdb {metadata.version('lmdb')} with LMDB {'.'.join(map(str, import_module('lmdb').version()))}"


def plyvel_version() -> str:
    return f"plyvel {metadata.version('plyvel')} with LevelDB {import_module('plyvel').__leveldb_version__}"


LMDB_SETTINGS = (
    "sync=False, metasync=False, readahead=False, one transaction a put (`with env.begin(write=True)`) and a get or "
    "scan (`with env.begin()`); batches with putmulti"
)

KINDS = [
    Kind(
        "opendb",
        "OpenDB",
        OpenDB,
        "default options: each write is a commit through a mapping; the device is synced in the background at least "
        "once a second",
        "compact()",
        "opendb",
        lambda: f"opendb {import_module('opendb').__version__}",
    ),
    Kind(
        "lmdb",
        "py-lmdb",
        lambda directory: Lmdb(directory, writemap=False),
        LMDB_SETTINGS,
        "nothing: it has no call for it",
        "lmdb",
        lmdb_version,
    ),
    Kind(
        "lmdb-writemap",
        "py-lmdb, writable map",
        lambda directory: Lmdb(directory, writemap=True),
        f"{LMDB_SETTINGS}; writemap=True",
        "nothing: it has no call for it",
        "lmdb",
        lmdb_version,
    ),
    Kind(
        "rocksdict",
        "rocksdict",
        RocksDict,
        "raw mode; write-ahead log to the page cache with each write (sync is off), no compression, Bloom filters of 10 "
        "bits a key, cache of 1 GiB, two background threads",
        "flush() and compact_range() over everything",
        "rocksdict",
        lambda: f"rocksdict {metadata.version('rocksdict')}",
    ),
    Kind(
        "plyvel",
        "plyvel",
        Plyvel,
        "log to the page cache with each write (sync=False), no compression, Bloom filters of 10 bits a key, cache of "
        "1 GiB, write buffer of 64 MiB",
        "compact_range() over everything",
        "plyvel",
        plyvel_version,
    ),
    Kind(
        "sqlite3",
        "sqlite3",
        Sqlite,
        "WAL with synchronous=OFF, locking_mode=EXCLUSIVE, one table WITHOUT ROWID, cache of 1 GiB; autocommit a put, "
        "executemany in one transaction a batch",
        "VACUUM",
        "sqlite3",
        lambda: f"SQLite {sqlite3.sqlite_version} of Python {sys.version.split()[0]}",
    ),
    Kind(
        "dict",
        "dict",
        Dict,
        "nothing survives: the dictionary of the language, as the floor",
        "nothing",
        persistent=False,
        lacking={"scan": "no order"},
    ),
]
