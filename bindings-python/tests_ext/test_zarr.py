"""zarr's own suite of its stores."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import opendb
import pytest
import zarr
from opendb.ext.zarr import OpenDBStore
from zarr.core.buffer import Buffer, cpu
from zarr.testing.store import StoreTests


class TestStore(StoreTests[OpenDBStore, cpu.Buffer]):
    """What zarr asks of every store."""

    store_cls = OpenDBStore
    buffer_cls = cpu.Buffer

    @pytest.fixture
    def store_kwargs(self, tmp_path: Path) -> Iterator[dict[str, Any]]:
        with opendb.open(tmp_path) as database:
            yield {"database": database, "keyspace": "arrays"}

    async def get(self, store: OpenDBStore, key: str) -> Buffer:
        database = store._database
        assert isinstance(database, opendb.OpenDB)
        return self.buffer_cls.from_bytes(database.keyspace("arrays")[key.encode()])

    async def set(self, store: OpenDBStore, key: str, value: Buffer) -> None:
        database = store._database
        assert isinstance(database, opendb.OpenDB)
        database.keyspace("arrays")[key.encode()] = value.to_bytes()

    def test_store_repr(self, store: OpenDBStore) -> None:
        assert repr(store) == f"OpenDBStore({store.path!r}, keyspace='arrays', read_only=False)"

    def test_store_supports_writes(self, store: OpenDBStore) -> None:
        assert store.supports_writes

    def test_store_supports_listing(self, store: OpenDBStore) -> None:
        assert store.supports_listing


def test_arrays(tmp_path: Path) -> None:
    numbers = numpy.arange(10_000, dtype="f4").reshape(100, 100)
    with OpenDBStore(tmp_path) as store:
        group = zarr.create_group(store)
        array = group.create_array("numbers", shape=numbers.shape, chunks=(10, 10), dtype="f4")
        array[:] = numbers
        group.create_group("below").attrs["about"] = "a group"
        assert sorted(group.keys()) == ["below", "numbers"]
        # A directory of which the name begins like another's.
        group.create_group("below-2")
        assert sorted(group.keys()) == ["below", "below-2", "numbers"]
    with OpenDBStore(tmp_path, read_only=True) as store:
        group = zarr.open_group(store, mode="r")
        read = group["numbers"]
        assert isinstance(read, zarr.Array)
        assert numpy.array_equal(read[:], numbers)
        assert dict(group["below"].attrs) == {"about": "a group"}
        with pickle.loads(pickle.dumps(store)) as other:
            assert other == store
            assert hash(other) == hash(store)
