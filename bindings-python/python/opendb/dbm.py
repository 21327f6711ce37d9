"""The interface of Python's ``dbm`` modules over a database of OpenDB.

    import opendb.dbm

    with opendb.dbm.open("cache", "c") as db:
        db["key"] = "value"     # text is stored as UTF-8
        db[b"key"]              # b"value"

Where ``dbm`` has files, this has a directory. Unlike them it has an order: keys come sorted. ``error`` is what can be raised, and a
tuple, as it is there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self, TypeAlias, TypeVar, final, overload

import opendb

__all__ = ["error", "library", "open"]

if TYPE_CHECKING:
    _Flag: TypeAlias = Literal["r", "w", "c", "n"]

_Data: TypeAlias = str | bytes
_T = TypeVar("_T")

error: Final[tuple[type[Exception], ...]] = (opendb.OpenDBError, OSError)
"""What the calls of this module raise, besides KeyError."""

library: Final = "OpenDB"
"""What is behind the interface."""


def _bytes(data: _Data) -> bytes:
    return data.encode() if isinstance(data, str) else data


@final
class _Database(MutableMapping[bytes, bytes]):
    """An open database: what ``open`` returns. Keys and values may be given as text, and come out as bytes."""

    def __init__(self, store: opendb.OpenDB, read_only: bool) -> None:
        self._store = store
        self._read_only = read_only

    def __getitem__(self, key: _Data) -> bytes:
        return self._store[_bytes(key)]

    def __setitem__(self, key: _Data, value: _Data) -> None:
        self._store[_bytes(key)] = _bytes(value)

    def __delitem__(self, key: _Data) -> None:
        del self._store[_bytes(key)]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str | bytes) and _bytes(key) in self._store

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._store)

    def __len__(self) -> int:
        return len(self._store)

    def keys(self) -> list[bytes]:  # type: ignore[override]
        """All keys, in a list, as the modules of dbm give them."""
        return list(self._store)

    @overload
    def get(self, key: _Data, default: None = None) -> bytes | None: ...

    @overload
    def get(self, key: _Data, default: bytes) -> bytes: ...

    @overload
    def get(self, key: _Data, default: _T) -> bytes | _T: ...

    def get(self, key: _Data, default: object = None) -> object:
        """The value of a key, or the default."""
        return self._store.get(_bytes(key), default)

    def setdefault(self, key: _Data, default: _Data = b"") -> bytes:
        """The value of a key. Where the key is absent, the default, which is stored under it."""
        return self._store.setdefault(_bytes(key), _bytes(default))

    def clear(self) -> None:
        """Removes all keys."""
        self._store.clear()

    def firstkey(self) -> bytes | None:
        """The first key, with which a loop over all of them begins; None where there is none."""
        return next(self._store.iter_keys(limit=1), None)

    def nextkey(self, key: _Data) -> bytes | None:
        """The key that comes after this one; None after the last."""
        return next(self._store.iter_keys(start_after=_bytes(key), limit=1), None)

    def reorganize(self) -> None:
        """Gives back the room of what was overwritten and deleted. The same goes on without this call whenever there is enough."""
        self._store.compact()

    def sync(self) -> None:
        """Returns when everything written so far is on the device: at once in what was opened for reading."""
        if not self._read_only:
            self._store.flush()

    def close(self) -> None:
        """Closes the database. A second close does nothing."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open(file: str | os.PathLike[str], flag: _Flag = "r", mode: int = 0o777) -> _Database:
    """Opens the database in a directory.

    - flag: "r" opens one that is there for reading, beside whoever writes; "w" one that is there for reading and writing;
      "c" creates one where there is none; "n" makes an empty one of whatever is there.
    - mode: the permissions of a directory that is created, less what the process's umask takes away.

    ValueError for another flag. Otherwise as ``opendb.open``.
    """
    if flag not in ("r", "w", "c", "n"):
        raise ValueError(f"flag is {flag!r}: give 'r', 'w', 'c' or 'n'")
    if flag in ("c", "n"):
        os.makedirs(file, mode, exist_ok=True)
    read_only = flag == "r"
    database = _Database(opendb.open(file, create=flag in ("c", "n"), read_only=read_only), read_only)
    if flag == "n":
        database.clear()
    return database
