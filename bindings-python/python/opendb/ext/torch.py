"""A map-style dataset for PyTorch's ``DataLoader``: samples by their number, read by several worker processes at once.

    from torch.utils.data import DataLoader
    from opendb.ext.torch import OpenDBDataset

    samples = OpenDBDataset("./samples", decode=to_tensor)
    loader = DataLoader(samples, batch_size=64, shuffle=True, num_workers=8)

Nothing of torch is imported: a dataset is whatever has a length and gives items.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

import opendb

__all__ = ["OpenDBDataset"]

_T = TypeVar("_T")


class OpenDBDataset(Generic[_T]):
    """The values of a keyspace, numbered in the order of their keys.

    - path: the directory. Each process opens it for reading, beside whoever writes.
    - keyspace: the keyspace.
    - keys: the keys of the samples, in their order. Without, all that are there when the dataset is made; they are in memory, and go
      to the workers.
    - decode: makes a sample of a value (default: the bytes themselves). Where workers are spawned it must be picklable.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        keyspace: str = "default",
        keys: Sequence[bytes] | None = None,
        decode: Callable[[bytes], _T] | None = None,
    ) -> None:
        self._path = os.fspath(path)
        self._keyspace = keyspace
        self._decode = decode
        self._process = -1
        self._store: opendb.OpenDB | opendb.Keyspace | None = None
        self.keys: Sequence[bytes] = [*self._here().iter_keys()] if keys is None else keys

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_process": -1, "_store": None}

    def _here(self) -> opendb.OpenDB | opendb.Keyspace:
        """The keyspace as this process has it: what a parent has opened is the parent's."""
        if self._store is None or self._process != os.getpid():
            database = opendb.open(self._path, read_only=True)
            self._store = database if self._keyspace == "default" else database.keyspace(self._keyspace)
            self._process = os.getpid()
        return self._store

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> _T:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[_T]:
        """Many samples with one call, which is what a loader asks for a batch."""
        keys = [self.keys[index] for index in indices]
        values = self._here().get_many(keys)
        if None in values:
            # The order of the loader's numbers, so that the sample can be found.
            raise KeyError(keys[values.index(None)])
        found = cast("list[bytes]", values)
        return [self._decode(value) for value in found] if self._decode else cast("list[_T]", found)
