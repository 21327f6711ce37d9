"""A byte store for LangChain: for embeddings that are made once (``CacheBackedEmbeddings``), and documents.

    from opendb.ext.langchain import OpenDBByteStore

    store = OpenDBByteStore("./embeddings")
    store.mset([("key", b"value")])
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from langchain_core.stores import ByteStore

import opendb

__all__ = ["OpenDBByteStore"]


class OpenDBByteStore(ByteStore):
    """Bytes under keys that are text, in one keyspace.

    - database: the directory, or a database that is open.
    - keyspace: the keyspace, created where it does not exist.
    """

    def __init__(self, database: str | os.PathLike[str] | opendb.OpenDB, *, keyspace: str = "default") -> None:
        opened = database if isinstance(database, opendb.OpenDB) else opendb.open(database)
        self._entries = opened.keyspace(keyspace)

    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values of keys, as of one moment, with None for each absent key."""
        return self._entries.get_many([key.encode() for key in keys])

    def mset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        """Stores values, all together or not at all."""
        self._entries.put_many((key.encode(), value) for key, value in key_value_pairs)

    def mdelete(self, keys: Sequence[str]) -> None:
        """Removes keys. An absent key is no error."""
        for key in keys:
            self._entries.delete(key.encode())

    def yield_keys(self, *, prefix: str | None = None) -> Iterator[str]:
        """The keys that begin with the prefix, in their order, as of one moment."""
        for key in self._entries.iter_keys(None if prefix is None else prefix.encode()):
            yield key.decode()
