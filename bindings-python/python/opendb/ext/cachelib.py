"""A backend for cachelib, and for Flask-Caching through it: a cache on the device, shared by the threads of one process.

    from opendb.ext.cachelib import OpenDBCache

    cache = OpenDBCache("./cache", threshold=100_000)
    cache.set("user:1", {"name": "Ada"}, timeout=60)

In Flask-Caching: ``CACHE_TYPE = "opendb.ext.cachelib.OpenDBCache"`` with ``CACHE_OPTIONS = {"database": "./cache"}``.

A value is stored behind the time at which it expires: 8 bytes, little endian, microseconds since 1970, 0 for never. Values are pickled: do not
share the directory with whom you would not let run code.
"""

from __future__ import annotations

import datetime
import heapq
import os
import time
from typing import Any

from cachelib.base import BaseCache
from cachelib.serializers import BaseSerializer

import opendb

__all__ = ["OpenDBCache"]

_EXPIRY_BYTES = 8
_MICROSECONDS = 1_000_000
# So much of the bound is left by a clean-up, so that it is not due again with the next value.
_KEPT_SHARE = 0.75


class OpenDBCache(BaseCache):
    """A cache in one keyspace.

    - database: the directory, or a database that is open.
    - keyspace: the keyspace of the cache, created where it does not exist; it holds nothing else.
    - threshold: how many values are kept, about (default: no bound). Where there are more, those that have expired go, and of the others those that
      expire next, until a quarter of the bound is free.
    - default_timeout: seconds after which a value expires, where nothing else is said; 0 for never.
    """

    serializer = BaseSerializer()

    def __init__(
        self,
        database: str | os.PathLike[str] | opendb.OpenDB,
        *,
        keyspace: str = "cache",
        threshold: int = 0,
        default_timeout: int | datetime.timedelta = 300,
        ignore_delete_many_errors: bool = True,
    ) -> None:
        super().__init__(default_timeout, ignore_delete_many_errors)
        opened = database if isinstance(database, opendb.OpenDB) else opendb.open(database)
        self._entries = opened.keyspace(keyspace)
        self._threshold = threshold

    @classmethod
    def factory(cls, app: object, config: dict[str, Any], args: list[Any], kwargs: dict[str, Any]) -> OpenDBCache:
        """How Flask-Caching makes its backends."""
        return cls(*args, **kwargs)

    def _packed(self, value: object, timeout: int | datetime.timedelta | None) -> bytes:
        seconds = self._normalize_timeout(timeout)
        expiry = 0 if seconds == 0 else max(_now() + seconds * _MICROSECONDS, 1)
        return expiry.to_bytes(_EXPIRY_BYTES, "little") + (self.serializer.dumps(value) or b"")

    def _alive(self, key: str) -> bytes | None:
        """What is stored, unless it has expired."""
        packed = self._entries.get(key.encode())
        return None if packed is None or _has_expired(packed) else packed

    def get(self, key: str) -> Any:
        """The value of a key, None where there is none or it has expired."""
        packed = self._alive(key)
        return None if packed is None else self.serializer.loads(packed[_EXPIRY_BYTES:])

    def get_many(self, *keys: str) -> list[Any]:
        """The values of many keys, as of one moment."""
        found = self._entries.get_many([key.encode() for key in keys])
        alive = (None if packed is None or _has_expired(packed) else packed for packed in found)
        return [None if packed is None else self.serializer.loads(packed[_EXPIRY_BYTES:]) for packed in alive]

    def has(self, key: str) -> bool:
        """Whether there is a value that has not expired."""
        packed = self._entries.get_view(key.encode())
        return packed is not None and not _has_expired(packed)

    def set(self, key: str, value: Any, timeout: int | datetime.timedelta | None = None) -> bool:
        """Stores a value."""
        self._make_room()
        self._entries.put(key.encode(), self._packed(value, timeout))
        return True

    def set_many(self, mapping: dict[str, Any], timeout: int | datetime.timedelta | None = None) -> list[Any]:
        """Stores many values, all together or not at all."""
        self._make_room()
        self._entries.put_many((key.encode(), self._packed(value, timeout)) for key, value in mapping.items())
        return list(mapping)

    def add(self, key: str, value: Any, timeout: int | datetime.timedelta | None = None) -> bool:
        """Stores a value where there is none, and tells whether it did. Of several that add the same key one does."""
        self._make_room()
        packed = self._packed(value, timeout)
        while True:
            found = self._entries.get(key.encode())
            if found is not None and not _has_expired(found):
                return False
            if self._entries.compare_and_swap(key.encode(), found, packed):
                return True

    def delete(self, key: str) -> bool:
        """Removes a key, and tells whether it was there."""
        return self._entries.take(key.encode()) is not None

    def clear(self) -> bool:
        """Removes everything."""
        self._entries.clear()
        return True

    def inc(self, key: str, delta: int = 1) -> int:
        """Adds to a number, and gives the sum; no other inc or dec comes in between. The time at which it expires stays."""
        while True:
            found = self._entries.get(key.encode())
            if found is None or _has_expired(found):
                total, packed = delta, self._packed(delta, None)
            else:
                total = self.serializer.loads(found[_EXPIRY_BYTES:]) + delta
                packed = found[:_EXPIRY_BYTES] + (self.serializer.dumps(total) or b"")
            if self._entries.compare_and_swap(key.encode(), found, packed):
                return total

    def dec(self, key: str, delta: int = 1) -> int:
        """Takes away from a number, as ``inc``."""
        return self.inc(key, -delta)

    def _make_room(self) -> None:
        if self._threshold == 0 or len(self._entries) < self._threshold:
            return
        expiries = ((_expiry(packed) or 1 << 63, key) for key, packed in self._entries.iter())
        excess = len(self._entries) - int(self._threshold * _KEPT_SHARE)
        first = heapq.nsmallest(excess, expiries)
        for _, key in first:
            self._entries.delete(key)


def _now() -> int:
    return time.time_ns() // 1000


def _expiry(packed: bytes | memoryview) -> int:
    return int.from_bytes(packed[:_EXPIRY_BYTES], "little")


def _has_expired(packed: bytes | memoryview) -> bool:
    expiry = _expiry(packed)
    return expiry != 0 and expiry <= _now()
