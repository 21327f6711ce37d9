"""The same database for ``asyncio``: calls that can wait for the device or for others are awaited, in threads of a pool.

    import asyncio
    import opendb.aio

    async def main():
        async with opendb.aio.open("./db") as db:
            await db.put(b"user:123", b"Alice")
            async for key, value in db.iter(b"user:"):
                print(key, value)

    asyncio.run(main())

**Cancellation.** A call that is cancelled before a thread has begun with it is never made. One that a thread is at is waited for,
and then the cancellation goes on: when it arrives, nothing of the call is left behind. What the call has written is written,
and what it has made (a transaction, a snapshot, an iterator, an open database) is closed. A compaction ends early.

A call costs tens of microseconds on its way to a thread and back. ``db.sync`` is the database for calls that are to be made at
once: a ``get`` of what is in memory takes about one.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar, final

import opendb

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from opendb._opendb import _Compression, _Durability, _Entries

__all__ = ["Batch", "Iter", "Keyspace", "OpenDB", "Snapshot", "Transaction", "open"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

_FIRST_PAGE = 16
_PAGE_MAX = 512
_LOCK_WAIT = 0.05
_RETRIES = 99
_REST_MAX = 0.008


class _Pool:
    """The threads of one database."""

    def __init__(self, threads: int | None) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="opendb")

    async def run(self, call: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Makes a call in a thread. See the module about its cancellation."""
        future = self._submit(functools.partial(call, *args, **kwargs))
        return await self._outcome(future, lambda: None)

    async def finish(self, call: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """As ``run``, of a call that is made whatever is cancelled: one that ends something."""
        awaited = asyncio.wrap_future(self._submit(functools.partial(call, *args, **kwargs)))
        return await _to_its_end(awaited)

    async def make(self, call: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """As ``run``, of a call that makes something to close."""
        future = self._submit(functools.partial(call, *args, **kwargs))

        def unmake() -> None:
            if not future.cancelled() and future.exception() is None:
                made: Any = future.result()
                made.close()

        return await self._outcome(future, unmake)

    def _submit(self, call: Callable[[], _T]) -> Future[_T]:
        try:
            return self._executor.submit(call)
        except RuntimeError:
            # The pool has ended with the database.
            raise opendb.ClosedError("the database is closed: open it again") from None

    async def _outcome(self, future: Future[_T], cancelled: Callable[[], None]) -> _T:
        awaited = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(awaited)
        except asyncio.CancelledError:
            if not future.cancel():
                await _over(awaited)
                cancelled()
            raise

    async def end(self, then: Callable[[], None] = lambda: None) -> None:
        """Waits for the calls that are under way, and makes a last one; later ones are refused."""

        def end() -> None:
            self._executor.shutdown()
            then()

        await _to_its_end(asyncio.get_running_loop().run_in_executor(None, end))


async def _to_its_end(awaited: asyncio.Future[_T]) -> _T:
    """The outcome of what a thread is at. A cancellation goes on when that is over."""
    try:
        return await asyncio.shield(awaited)
    except asyncio.CancelledError:
        await _over(awaited)
        raise


async def _over(awaited: asyncio.Future[Any]) -> None:
    """Waits for the end of what a thread is at, whoever else wants it cancelled."""
    while not awaited.done():
        try:
            await asyncio.wait([awaited])
        except asyncio.CancelledError:
            continue
    if not awaited.cancelled():
        # Told to nobody, since nobody waits any more.
        awaited.exception()


@final
class Iter(Generic[_T], AsyncIterator[_T]):
    """A lazy iterator for ``async for``, made by ``iter`` and ``iter_keys``. What it gives is of the moment of the first step."""

    def __init__(self, pool: _Pool, begin: Callable[[], Iterator[_T]]) -> None:
        self._pool = pool
        self._begin = begin
        self._source: Iterator[_T] | None = None
        self._page: Iterator[_T] = iter(())
        self._size = _FIRST_PAGE
        self._ended = False
        self._step = asyncio.Lock()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _T:
        async with self._step:
            for item in self._page:
                return item
            if not self._ended:
                await self._pool.run(self._fetch)
            for item in self._page:
                return item
            raise StopAsyncIteration

    def _fetch(self) -> None:
        """Keeps the next page, so that it is there for the next step where this one is cancelled."""
        if self._source is None:
            self._source = self._begin()
        page = list(itertools.islice(self._source, self._size))
        self._ended = len(page) < self._size
        self._size = min(self._size * 2, _PAGE_MAX)
        self._page = iter(page)

    async def aclose(self) -> None:
        """Ends the iterator, and releases what it holds."""
        self._ended, self._page = True, iter(())
        if self._source is not None:
            closable: Any = self._source
            await self._pool.finish(closable.close)


class _Reads:
    """The reading calls that a database, a keyspace and a snapshot share."""

    def __init__(self, pool: _Pool, store: opendb.OpenDB | opendb.Keyspace | opendb.Snapshot) -> None:
        self._pool = pool
        self._reads = store

    async def get(self, key: Buffer) -> bytes | None:
        """The value of a key, or None where it is absent."""
        return await self._pool.run(self._reads.get, key)

    async def get_many(self, keys: Iterable[Buffer]) -> list[bytes | None]:
        """The values of many keys, as of one moment, with None for each absent key."""
        return await self._pool.run(self._reads.get_many, keys)

    async def get_view(self, key: Buffer) -> memoryview | None:
        """The value of a key where it lies, or None. See OpenDB.get_view."""
        return await self._pool.run(self._reads.get_view, key)

    async def exists(self, key: Buffer) -> bool:
        """Whether a key is present."""
        return await self._pool.run(self._reads.exists, key)

    async def scan_prefix(self, prefix: Buffer) -> list[tuple[bytes, bytes]]:
        """All (key, value) tuples whose key begins with the prefix, sorted by key."""
        return await self._pool.run(self._reads.scan_prefix, prefix)

    def iter(
        self,
        prefix: Buffer | None = None,
        *,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        reverse: bool = False,
        start_after: Buffer | None = None,
        limit: int | None = None,
    ) -> Iter[tuple[bytes, bytes]]:
        """An iterator for ``async for`` over (key, value) tuples. See OpenDB.iter."""
        begin = functools.partial(
            self._reads.iter,
            prefix,
            start=start,
            stop=stop,
            reverse=reverse,
            start_after=start_after,
            limit=limit,
        )
        return Iter(self._pool, begin)

    def iter_keys(
        self,
        prefix: Buffer | None = None,
        *,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        reverse: bool = False,
        start_after: Buffer | None = None,
        limit: int | None = None,
    ) -> Iter[bytes]:
        """An iterator for ``async for`` over the keys alone. See OpenDB.iter_keys."""
        begin = functools.partial(
            self._reads.iter_keys,
            prefix,
            start=start,
            stop=stop,
            reverse=reverse,
            start_after=start_after,
            limit=limit,
        )
        return Iter(self._pool, begin)


class _Store(_Reads):
    """The calls that a database and a keyspace share."""

    def __init__(self, pool: _Pool, store: opendb.OpenDB | opendb.Keyspace) -> None:
        super().__init__(pool, store)
        self._store = store

    def __len__(self) -> int:
        return len(self._store)

    async def put(self, key: Buffer, value: Buffer, durability: _Durability | None = None) -> None:
        """Stores a value under a key."""
        await self._pool.run(self._store.put, key, value, durability)

    async def put_many(self, entries: _Entries, durability: _Durability | None = None) -> None:
        """Stores many values, all together or not at all."""
        await self._pool.run(self._store.put_many, entries, durability)

    async def delete(self, key: Buffer, durability: _Durability | None = None) -> None:
        """Removes a key. An absent key is no error."""
        await self._pool.run(self._store.delete, key, durability)

    async def take(self, key: Buffer, durability: _Durability | None = None) -> bytes | None:
        """Removes a key and returns the value that it had. See OpenDB.take."""
        return await self._pool.run(self._store.take, key, durability)

    async def compare_and_swap(
        self, key: Buffer, expected: Buffer | None, new: Buffer | None, durability: _Durability | None = None
    ) -> bool:
        """Stores a value where the key has the expected one. See OpenDB.compare_and_swap."""
        return await self._pool.run(self._store.compare_and_swap, key, expected, new, durability)

    async def increment(self, key: Buffer, by: int = 1, durability: _Durability | None = None) -> int:
        """Adds to the number under a key, and returns the sum. See OpenDB.increment."""
        return await self._pool.run(self._store.increment, key, by, durability)

    async def setdefault(self, key: Buffer, default: Buffer) -> bytes:
        """The value of a key. Where it is absent, the default, which is stored under it."""
        return await self._pool.run(self._store.setdefault, key, default)

    async def clear(self) -> None:
        """Removes all keys, in steps of some of them."""
        await self._pool.run(self._store.clear)


@final
class Keyspace(_Store):
    """A key space of its own within the database, made by OpenDB.keyspace."""

    def __init__(self, pool: _Pool, keyspace: opendb.Keyspace) -> None:
        super().__init__(pool, keyspace)
        self._keyspace = keyspace

    @property
    def name(self) -> str:
        """The name under which the keyspace was asked for."""
        return self._keyspace.name


@final
class Snapshot(_Reads):
    """A consistent read-only view of one moment, made by OpenDB.snapshot. An asynchronous context manager."""

    def __init__(self, pool: _Pool, snapshot: opendb.Snapshot) -> None:
        super().__init__(pool, snapshot)
        self._snapshot = snapshot

    async def keyspace(self, name: str) -> Snapshot:
        """The same moment of another keyspace."""
        return Snapshot(self._pool, await self._pool.make(self._snapshot.keyspace, name))

    async def close(self) -> None:
        """Releases the snapshot. A second close does nothing."""
        await self._pool.finish(self._snapshot.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


@final
class Transaction:
    """A serializable transaction, made by OpenDB.begin_transaction, OpenDB.transaction and OpenDB.transact.

    As an asynchronous context manager it commits on a clean exit and rolls back on an exception, a cancellation included.
    """

    def __init__(self, pool: _Pool, transaction: opendb.Transaction) -> None:
        self._pool = pool
        self._transaction = transaction

    async def get(self, keyspace: str, key: Buffer) -> bytes | None:
        """The transaction's own write, or else the value at its snapshot; None where the key is absent."""
        return await self._pool.run(self._transaction.get, keyspace, key)

    async def get_many(self, keyspace: str, keys: Iterable[Buffer]) -> list[bytes | None]:
        """The values of many keys, as ``get`` gives each."""
        return await self._pool.run(self._transaction.get_many, keyspace, keys)

    async def exists(self, keyspace: str, key: Buffer) -> bool:
        """Whether a key is present."""
        return await self._pool.run(self._transaction.exists, keyspace, key)

    async def put(self, keyspace: str, key: Buffer, value: Buffer) -> None:
        """Stores a value when the transaction commits."""
        await self._pool.run(self._transaction.put, keyspace, key, value)

    async def delete(self, keyspace: str, key: Buffer) -> None:
        """Removes a key when the transaction commits."""
        await self._pool.run(self._transaction.delete, keyspace, key)

    async def scan_prefix(self, keyspace: str, prefix: Buffer) -> list[tuple[bytes, bytes]]:
        """All (key, value) tuples whose key begins with the prefix, own writes included."""
        return await self._pool.run(self._transaction.scan_prefix, keyspace, prefix)

    def iter(self, keyspace: str, prefix: Buffer | None = None, **bounds: Any) -> Iter[tuple[bytes, bytes]]:
        """An iterator for ``async for`` over (key, value) tuples; the bounds are those of OpenDB.iter."""
        return Iter(self._pool, functools.partial(self._transaction.iter, keyspace, prefix, **bounds))

    def iter_keys(self, keyspace: str, prefix: Buffer | None = None, **bounds: Any) -> Iter[bytes]:
        """An iterator for ``async for`` over the keys alone; the bounds are those of OpenDB.iter."""
        return Iter(self._pool, functools.partial(self._transaction.iter_keys, keyspace, prefix, **bounds))

    async def commit(self, durability: _Durability | None = None) -> None:
        """Applies all writes at once. TransactionError where something that was read has changed."""
        await self._pool.run(self._transaction.commit, durability)

    async def rollback(self) -> None:
        """Forgets all writes."""
        await self._pool.finish(self._transaction.rollback)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._pool.finish(self._transaction.__exit__, exc_type, exc, traceback)


@final
class Batch:
    """Writes that are applied all together or not at all, made by OpenDB.batch.

    As an asynchronous context manager it commits on a clean exit and discards everything on an exception.
    """

    def __init__(self, pool: _Pool, batch: opendb.Batch) -> None:
        self._pool = pool
        self._batch = batch

    def __len__(self) -> int:
        return len(self._batch)

    def put(self, keyspace: str, key: Buffer, value: Buffer) -> None:
        """Adds a write. Nothing waits: it is in memory until the commit."""
        self._batch.put(keyspace, key, value)

    def delete(self, keyspace: str, key: Buffer) -> None:
        """Adds the removal of a key."""
        self._batch.delete(keyspace, key)

    async def commit(self, durability: _Durability | None = None) -> None:
        """Applies everything at once."""
        await self._pool.run(self._batch.commit, durability)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._pool.finish(self._batch.__exit__, exc_type, exc, traceback)


@final
class OpenDB(_Store):
    """An open database, from ``open``. Its own calls work on the keyspace "default". An asynchronous context manager."""

    def __init__(self, pool: _Pool, database: opendb.OpenDB) -> None:
        super().__init__(pool, database)
        self._database = database

    @property
    def sync(self) -> opendb.OpenDB:
        """The same database with the calls that are made at once."""
        return self._database

    async def keyspace(self, name: str, *, compression: _Compression | None = None) -> Keyspace:
        """The keyspace of this name, created where it does not exist."""
        keyspace = await self._pool.run(self._database.keyspace, name, compression=compression)
        return Keyspace(self._pool, keyspace)

    async def keyspaces(self) -> list[str]:
        """The names of all keyspaces, sorted, "default" among them."""
        return await self._pool.run(self._database.keyspaces)

    def batch(self, durability: _Durability | None = None) -> Batch:
        """Collects writes that are applied all together or not at all."""
        return Batch(self._pool, self._database.batch(durability))

    async def snapshot(self) -> Snapshot:
        """A consistent read-only view of the database at this moment."""
        return Snapshot(self._pool, await self._pool.make(self._database.snapshot))

    async def begin_transaction(self, durability: _Durability | None = None) -> Transaction:
        """Begins a serializable transaction."""
        begun = await self._pool.run(self._database.begin_transaction, durability)
        return Transaction(self._pool, begun)

    def transaction(self, durability: _Durability | None = None) -> _Begin:
        """For use as ``async with db.transaction() as transaction:``."""
        return _Begin(self, durability)

    async def transact(
        self,
        work: Callable[[Transaction], Awaitable[_T]],
        *,
        retries: int = _RETRIES,
        durability: _Durability | None = None,
    ) -> _T:
        """Awaits work(transaction), commits, and returns what work has returned.

        On a conflict work is called again in a new transaction, after a rest, at most `retries` times, so it should have no
        effect besides the transaction. An exception rolls back and is raised. work may not commit or roll back itself.
        """
        for attempt in itertools.count():
            try:
                async with self.transaction(durability) as transaction:
                    result = await work(transaction)
                return result
            except opendb.TransactionError:
                if attempt >= retries:
                    raise
            await asyncio.sleep(min(8e-6 * 2**attempt, _REST_MAX) if attempt > 3 else 0)
        raise AssertionError("unreachable")

    async def flush(self) -> None:
        """Returns when everything written so far is on the device."""
        await self._pool.run(self._database.flush)

    async def refresh(self) -> None:
        """Returns when everything is seen that was committed before this call, by whatever process."""
        await self._pool.run(self._database.refresh)

    async def stats(self) -> opendb.Stats:
        """What the database holds and has done, at this moment."""
        return await self._pool.run(self._database.stats)

    async def compact(self, progress: Callable[[int, int], object] | None = None) -> opendb.Compaction:
        """Gives back, at once, the room of everything that was overwritten or deleted.

        progress is called in a thread. A cancellation ends the compaction early, as False from progress does.
        """
        cancelled = threading.Event()

        def report(done: int, total: int) -> object:
            return False if cancelled.is_set() else progress is None or progress(done, total)

        call = asyncio.ensure_future(self._pool.run(self._database.compact, report))
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            cancelled.set()
            call.cancel()
            await _over(call)
            raise

    async def verify(self) -> opendb.Verification:
        """Looks at everything. See OpenDB.verify."""
        return await self._pool.run(self._database.verify)

    async def backup(self, directory: str | os.PathLike[str]) -> opendb.Backup:
        """Makes a backup. See OpenDB.backup."""
        return await self._pool.run(self._database.backup, directory)

    async def close(self) -> None:
        """Closes the database, when the calls that are under way are over. A second close does nothing."""
        await self._pool.end(self._database.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


@final
class _Begin:
    """A transaction that begins where its block does."""

    def __init__(self, database: OpenDB, durability: _Durability | None) -> None:
        self._database = database
        self._durability: _Durability | None = durability
        self._transaction: Transaction | None = None

    async def __aenter__(self) -> Transaction:
        self._transaction = await self._database.begin_transaction(self._durability)
        return self._transaction

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._transaction is not None:
            await self._transaction.__aexit__(exc_type, exc, traceback)


@final
class _Open:
    """What ``open`` returns: to be awaited, or entered."""

    def __init__(self, path: str | os.PathLike[str], threads: int | None, settings: dict[str, Any]) -> None:
        self._path = path
        self._threads = threads
        self._settings = settings
        self._database: OpenDB | None = None

    async def _open(self) -> OpenDB:
        pool = _Pool(self._threads)
        settings = {**self._settings}
        deadline = time.monotonic() + settings.pop("lock_timeout", 0.0)
        while True:
            rest = max(deadline - time.monotonic(), 0.0)
            # In pieces, so that a cancellation does not wait for all of it.
            call = functools.partial(opendb.open, self._path, lock_timeout=min(rest, _LOCK_WAIT), **settings)
            try:
                return OpenDB(pool, await pool.make(call))
            except opendb.LockedError:
                if rest <= _LOCK_WAIT:
                    await pool.end()
                    raise
            except BaseException:
                await pool.end()
                raise

    def __await__(self) -> Generator[Any, Any, OpenDB]:
        return self._open().__await__()

    async def __aenter__(self) -> OpenDB:
        self._database = await self._open()
        return self._database

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._database is not None:
            await self._database.close()


def open(path: str | os.PathLike[str], *, threads: int | None = None, **settings: Any) -> _Open:
    """Opens the database in a directory: ``await open(path)``, or ``async with open(path) as db:``, which closes it again.

    - threads: how many calls can be under way at once (default: as many as ThreadPoolExecutor has); others wait for their turn.

    The other settings are those of ``opendb.open``.
    """
    return _Open(path, threads, settings)
