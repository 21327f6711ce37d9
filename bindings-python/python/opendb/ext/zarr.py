"""A store for zarr (version 3 of the package): arrays and groups in a keyspace of a database.

    import zarr
    from opendb.ext.zarr import OpenDBStore

    with OpenDBStore("./arrays") as store:
        array = zarr.create_array(store, shape=(1000, 1000), chunks=(100, 100), dtype="f4")

Keys are the paths that zarr gives, as UTF-8; a value is stored as it is. Since keys are sorted, a directory is listed without looking at
what is below its children.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Self

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype

import opendb

__all__ = ["OpenDBStore"]

_SEPARATOR = b"/"
_AFTER_SEPARATOR = b"0"
_LISTED_AT_ONCE = 1000


class OpenDBStore(Store):
    """A store in one keyspace.

    - database: the directory, which is opened with the first use and closed with the store; or a database that is open, which
      stays open.
    - keyspace: the keyspace, created where it does not exist.
    - read_only: every write is refused. A directory is opened beside whoever writes to it.

    It can be pickled: on the other side it opens the same directory.
    """

    supports_writes: bool = True
    supports_deletes: bool = True
    supports_listing: bool = True

    def __init__(
        self,
        database: str | os.PathLike[str] | opendb.OpenDB,
        *,
        keyspace: str = "default",
        read_only: bool = False,
    ) -> None:
        super().__init__(read_only=read_only)
        self._database = database
        self._keyspace = keyspace
        self._opened: opendb.OpenDB | None = None
        self._kept: opendb.Keyspace | opendb.OpenDB | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_opened": None, "_kept": None}

    @property
    def path(self) -> str:
        """The directory of the database."""
        return os.fspath(self._database.path if isinstance(self._database, opendb.OpenDB) else self._database)

    def _store(self) -> opendb.Keyspace | opendb.OpenDB:
        if self._kept is None:
            if isinstance(self._database, opendb.OpenDB):
                database = self._database
            else:
                database = self._opened = opendb.open(self._database, read_only=self.read_only)
            self._kept = database if self._keyspace == "default" else database.keyspace(self._keyspace)
        return self._kept

    def with_read_only(self, read_only: bool = False) -> Self:
        """The same store, with or without writes."""
        return type(self)(self._database, keyspace=self._keyspace, read_only=read_only)

    async def _open(self) -> None:
        await super()._open()
        await asyncio.to_thread(self._store)

    def close(self) -> None:
        """Closes the store, and the database where the store has opened it."""
        super().close()
        self._kept = None
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def __repr__(self) -> str:
        return f"OpenDBStore({self.path!r}, keyspace={self._keyspace!r}, read_only={self.read_only})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, type(self))
            and os.path.realpath(self.path) == os.path.realpath(other.path)
            and (self._keyspace, self.read_only) == (other._keyspace, other.read_only)
        )

    def __hash__(self) -> int:
        return hash((os.path.realpath(self.path), self._keyspace, self.read_only))

    # Without waiting, for zarr's own threads.

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The value of a key, or a piece of it; None where the key is absent."""
        value = self._store().get_view(key.encode())
        if value is None:
            return None
        prototype = default_buffer_prototype() if prototype is None else prototype
        return prototype.buffer.from_bytes(bytes(value[_slice(byte_range, len(value))]))

    def set_sync(self, key: str, value: Buffer) -> None:
        """Stores a value under a key."""
        self._check_writable()
        self._store().put(key.encode(), _bytes(value))

    def delete_sync(self, key: str) -> None:
        """Removes a key. An absent key is no error."""
        self._check_writable()
        self._store().delete(key.encode())

    # The same to be awaited: what waits for the device does so in a thread.

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The value of a key, or a piece of it; None where the key is absent."""
        await self._ensure_open()
        return await asyncio.to_thread(self.get_sync, key, prototype=prototype, byte_range=byte_range)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """The values of many keys, or pieces of them."""
        await self._ensure_open()
        wanted = list(key_ranges)

        def read() -> list[Buffer | None]:
            return [self.get_sync(key, prototype=prototype, byte_range=byte_range) for key, byte_range in wanted]

        return await asyncio.to_thread(read)

    async def exists(self, key: str) -> bool:
        """Whether a key is there."""
        await self._ensure_open()
        return await asyncio.to_thread(self._store().exists, key.encode())

    async def set(self, key: str, value: Buffer) -> None:
        """Stores a value under a key."""
        self._check_writable()
        await self._ensure_open()
        await asyncio.to_thread(self.set_sync, key, value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Stores a value where the key is absent."""
        self._check_writable()
        await self._ensure_open()
        await asyncio.to_thread(self._store().compare_and_swap, key.encode(), None, _bytes(value))

    async def _set_many(self, values: Iterable[tuple[str, Buffer]]) -> None:
        """All together or not at all."""
        self._check_writable()
        await self._ensure_open()
        entries = [(key.encode(), _bytes(value)) for key, value in values]
        await asyncio.to_thread(self._store().put_many, entries)

    async def delete(self, key: str) -> None:
        """Removes a key. An absent key is no error."""
        self._check_writable()
        await self._ensure_open()
        await asyncio.to_thread(self.delete_sync, key)

    async def clear(self) -> None:
        """Removes everything in the keyspace."""
        self._check_writable()
        await self._ensure_open()
        await asyncio.to_thread(self._store().clear)

    async def getsize(self, key: str) -> int:
        """How many bytes the value of a key has."""
        await self._ensure_open()
        value = await asyncio.to_thread(self._store().get_view, key.encode())
        if value is None:
            raise FileNotFoundError(key)
        return len(value)

    async def list(self) -> AsyncIterator[str]:
        """All keys, in their order."""
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """All keys that begin with a prefix, in their order."""
        await self._ensure_open()
        store, last = self._store(), None
        while page := await asyncio.to_thread(self._page, store, prefix.encode(), last):
            for key in page:
                yield key.decode()
            last = page[-1]

    @staticmethod
    def _page(store: opendb.Keyspace | opendb.OpenDB, prefix: bytes, after: bytes | None) -> Sequence[bytes]:
        return [*store.iter_keys(prefix, start_after=after, limit=_LISTED_AT_ONCE)]

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """The names of what is directly below a path: keys, and directories with something in them."""
        await self._ensure_open()
        for name in await asyncio.to_thread(lambda: [*self._children(prefix)]):
            yield name

    def _children(self, path: str) -> Iterator[str]:
        """Each child costs one step of a scan, whatever is below it."""
        store = self._store()
        below = path.rstrip("/").encode()
        prefix = below + _SEPARATOR if below else b""
        start = prefix
        while (key := next(store.iter_keys(prefix, start=start, limit=1), None)) is not None:
            name, separator, _ = key.removeprefix(prefix).partition(_SEPARATOR)
            yield name.decode()
            start = prefix + name + (_AFTER_SEPARATOR if separator else b"\x00")


def _bytes(value: Buffer) -> bytes:
    if not isinstance(value, Buffer):
        raise TypeError(f"OpenDBStore.set: value must be a Buffer of zarr, not '{type(value).__name__}'")
    return value.to_bytes()


def _slice(request: ByteRequest | None, length: int) -> slice:
    match request:
        case None:
            return slice(None)
        case RangeByteRequest():
            return slice(request.start, request.end)
        case OffsetByteRequest():
            return slice(request.offset, None)
        case SuffixByteRequest():
            return slice(max(length - request.suffix, 0), None)
    raise ValueError(f"Unexpected byte_range, got {request}.")
