"""The views that ``keys``, ``values`` and ``items`` give: of what is there when they are looked at, in key order."""

from __future__ import annotations

import collections.abc
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, final

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Bounds(TypedDict, total=False):
    """What of a keyspace a view covers: the bounds of a scan."""

    prefix: bytes
    start: bytes
    stop: bytes
    reverse: bool
    start_after: bytes
    limit: int


class Store(Protocol):
    """What a view is of."""

    def __len__(self) -> int: ...

    def __contains__(self, key: Buffer, /) -> bool: ...

    def get(self, key: Buffer, /) -> bytes | None: ...

    def iter(self, **bounds: Any) -> Iterator[tuple[bytes, bytes]]: ...

    def iter_keys(self, **bounds: Any) -> Iterator[bytes]: ...


class _View:
    """What the views have in common."""

    def __init__(self, store: Store, bounds: Bounds) -> None:
        self._store = store
        self._bounds = bounds

    def __len__(self) -> int:
        if self._bounds.keys() <= {"reverse"}:
            return len(self._store)
        return sum(1 for _ in self._store.iter_keys(**self._bounds))

    def __repr__(self) -> str:
        bounds = "".join(f", {name}={value!r}" for name, value in self._bounds.items())
        return f"{type(self).__name__}({self._store!r}{bounds})"

    def _keys(self) -> Iterator[bytes]:
        return self._store.iter_keys(**self._bounds)

    def _items(self) -> Iterator[tuple[bytes, bytes]]:
        return self._store.iter(**self._bounds)

    def _backwards(self) -> Bounds | None:
        """The bounds of the same entries in the other order, where there are such."""
        if "limit" in self._bounds or "start_after" in self._bounds:
            return None
        return {**self._bounds, "reverse": not self._bounds.get("reverse", False)}

    def _covers(self, key: bytes) -> bool:
        """Whether a key that is there is one of the view's."""
        bounds = self._bounds
        if "limit" in bounds:
            return any(found == key for found in self._keys())
        if not key.startswith(bounds.get("prefix", b"")) or key < bounds.get("start", b""):
            return False
        if "stop" in bounds and key >= bounds["stop"]:
            return False
        if "start_after" not in bounds:
            return True
        return key < bounds["start_after"] if bounds.get("reverse") else key > bounds["start_after"]


@final
class KeysView(_View, collections.abc.KeysView[bytes]):
    """The keys, in their order. Also a set: ``a.keys() & b.keys()``."""

    def __contains__(self, key: object) -> bool:
        return key in self._store and self._covers(bytes(key))  # type: ignore[operator, call-overload]

    def __iter__(self) -> Iterator[bytes]:
        return self._keys()

    def __reversed__(self) -> Iterator[bytes]:
        backwards = self._backwards()
        return reversed(list(self)) if backwards is None else self._store.iter_keys(**backwards)


@final
class ItemsView(_View, collections.abc.ItemsView[bytes, bytes]):
    """The (key, value) tuples, in the order of the keys."""

    def __contains__(self, item: object) -> bool:
        if not isinstance(item, tuple) or len(item) != 2:
            return False
        key, value = item
        found = self._store.get(key)
        return found is not None and found == value and self._covers(bytes(key))

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return self._items()

    def __reversed__(self) -> Iterator[tuple[bytes, bytes]]:
        backwards = self._backwards()
        return reversed(list(self)) if backwards is None else self._store.iter(**backwards)


@final
class ValuesView(_View, collections.abc.ValuesView[bytes]):
    """The values, in the order of their keys."""

    def __contains__(self, value: object) -> bool:
        return any(found == value for found in self)

    def __iter__(self) -> Iterator[bytes]:
        return (value for _, value in self._items())

    def __reversed__(self) -> Iterator[bytes]:
        backwards = self._backwards()
        if backwards is None:
            return reversed(list(self))
        return (value for _, value in self._store.iter(**backwards))
