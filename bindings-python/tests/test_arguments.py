"""What may be handed in as bytes, and how anything else is refused."""

import array
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import opendb
import pytest


class Name(bytes):
    """A subclass of bytes."""


BYTES_LIKE: list[Callable[[bytes], Any]] = [
    bytes,
    Name,
    bytearray,
    memoryview,
    lambda data: memoryview(bytearray(data)),
    lambda data: memoryview(b"xx" + data)[2:],
    lambda data: array.array("B", data),
    lambda data: array.array("H", data),
    lambda data: numpy.frombuffer(data, dtype=numpy.uint8),
    lambda data: numpy.frombuffer(data, dtype=numpy.int32).reshape(1, -1),
    lambda data: numpy.frombuffer(data, dtype=numpy.float64),
]


@pytest.mark.parametrize("make", BYTES_LIKE)
def test_bytes_like(db: opendb.OpenDB, make: Callable[[bytes], Any]) -> None:
    key, value = b"12345678", b"abcdefgh"
    db.put(make(key), make(value))
    assert db.get(make(key)) == value
    assert type(db.get(key)) is bytes
    assert db.exists(make(key))
    assert make(key) in db
    assert db.scan_prefix(make(key)) == [(key, value)]
    assert list(db.keys(make(key), start=make(key), stop=b"9")) == [key]
    with db.transaction() as transaction:
        assert transaction.get("default", make(key)) == value
        transaction.put("default", make(key), make(key))
    assert db.get(key) == key
    with db.batch() as batch:
        batch.delete("default", make(key))
    assert len(db) == 0


def test_a_mapped_file(db: opendb.OpenDB, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    with (tmp_path / "file").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        db.put(b"file", data)
    assert db.get(b"file") == b"x" * 100_000


def test_what_was_handed_in_may_change_afterwards(db: opendb.OpenDB) -> None:
    value = bytearray(b"before")
    batch, transaction = db.batch(), db.begin_transaction()
    batch.put("default", b"batch", value)
    transaction.put("default", b"transaction", value)
    keys = db.keys(start=value)
    value[:] = b"AFTER!"
    batch.commit()
    transaction.commit()
    assert db.get(b"batch") == db.get(b"transaction") == b"before"
    assert list(keys) == []


def every_call_with_a_key(db: opendb.OpenDB, key: Any) -> list[Callable[[], object]]:
    transaction, batch, snapshot = db.begin_transaction(), db.batch(), db.snapshot()
    return [
        lambda: db.put(key, b"v"),
        lambda: db.put(b"k", key),
        lambda: db.get(key),
        lambda: db.delete(key),
        lambda: db.exists(key),
        lambda: key in db,
        lambda: db.scan_prefix(key),
        lambda: db.iter(key),
        lambda: db.iter(start=key),
        lambda: db.iter(stop=key),
        lambda: db.keys(start_after=key),
        lambda: db.keyspace("other").put(key, b"v"),
        lambda: db.keyspace("other").get(key),
        lambda: transaction.get("default", key),
        lambda: transaction.put("default", key, b"v"),
        lambda: transaction.put("default", b"k", key),
        lambda: transaction.delete("default", key),
        lambda: transaction.exists("default", key),
        lambda: transaction.scan_prefix("default", key),
        lambda: transaction.keys("default", key),
        lambda: batch.put("default", key, b"v"),
        lambda: batch.delete("default", key),
        lambda: snapshot.get(key),
        lambda: snapshot.exists(key),
        lambda: key in snapshot,
    ]


def test_str_is_refused_with_what_to_do(db: opendb.OpenDB) -> None:
    for call in every_call_with_a_key(db, "key"):
        with pytest.raises(TypeError, match=r"not 'str': encode it first, as in key\.encode\(\)"):
            call()
    assert len(db) == 0


@pytest.mark.parametrize("wrong", [1, 1.5, [1, 2], (b"k",), {b"k"}, object()])
def test_what_has_no_bytes_is_refused(db: opendb.OpenDB, wrong: object) -> None:
    for call in every_call_with_a_key(db, wrong):
        with pytest.raises(TypeError, match=f"bytes-like object is required, not '{type(wrong).__name__}'"):
            call()
    with pytest.raises(TypeError, match="NoneType"):
        db.get(None)  # type: ignore[arg-type]


def test_a_buffer_that_is_not_contiguous_is_refused(db: opendb.OpenDB) -> None:
    buffers: list[Any] = [memoryview(b"abcdef")[::2], numpy.zeros((4, 4), dtype=numpy.uint8)[:, 1]]
    for wrong in buffers:
        with pytest.raises(opendb.InvalidArgumentError, match="not contiguous"):
            db.put(wrong, b"v")
    assert len(db) == 0


def test_a_buffer_of_objects_is_refused(db: opendb.OpenDB) -> None:
    objects: Any = numpy.array([object()])
    with pytest.raises(TypeError, match="buffer of Python objects"):
        db.put(objects, b"v")


def test_a_released_buffer_is_refused(db: opendb.OpenDB) -> None:
    view = memoryview(b"k")
    view.release()
    with pytest.raises(ValueError, match="released"):
        db.put(view, b"v")


def test_limits(db: opendb.OpenDB) -> None:
    longest = b"k" * opendb.KEY_BYTES_MAX
    db.put(longest, b"v")
    assert db.get(longest) == b"v"
    with pytest.raises(opendb.InvalidArgumentError, match=str(opendb.KEY_BYTES_MAX)) as caught:
        db.put(longest + b"k", b"v")
    assert "kkk" not in str(caught.value), "messages never contain a key"
    db.keyspace("n" * opendb.KEYSPACE_NAME_BYTES_MAX)
    with pytest.raises(opendb.InvalidArgumentError, match=str(opendb.KEYSPACE_NAME_BYTES_MAX)):
        db.keyspace("n" * (opendb.KEYSPACE_NAME_BYTES_MAX + 1))
    with pytest.raises(opendb.InvalidArgumentError):
        db.keyspace("")
    assert opendb.VALUE_BYTES_MAX == 2**32 - 1
    assert opendb.KEYSPACES_MAX == 4095


def test_options(tmp_path: Path) -> None:
    db = opendb.open(
        tmp_path / "db",
        create=True,
        durability="sync",
        append="write",
        mapped_reads=False,
        cache_bytes=0,
        segment_bytes=opendb.SEGMENT_BYTES_MIN,
        read_damaged=False,
    )
    db.put(b"k", b"v")
    db.delete(b"k")
    db.keyspace("other")
    with db.batch() as batch:
        batch.put("other", b"k", b"v")
    db.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"durability": "eventual"}, 'durability is "eventual"'),
        ({"append": "log"}, 'append is "log"'),
        ({"cache_bytes": -1}, "-1"),
        ({"segment_bytes": -(2**70)}, str(-(2**70))),
        ({"segment_bytes": 2**64}, str(2**64)),
        ({"segment_bytes": opendb.SEGMENT_BYTES_MIN - 1}, str(opendb.SEGMENT_BYTES_MIN)),
        ({"segment_bytes": opendb.SEGMENT_BYTES_MAX + 1}, str(opendb.SEGMENT_BYTES_MAX)),
    ],
)
def test_options_outside_their_limits(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    for opener in (opendb.open, opendb.OpenDB):
        with pytest.raises(opendb.InvalidArgumentError, match=message):
            opener(tmp_path / "db", **options)
    assert not (tmp_path / "db").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"durability": 1},
        {"durability": None},
        {"append": b"write"},
        {"create": 1},
        {"cache_bytes": "64 MiB"},
        {"cache_bytes": 1.5},
        {"unknown": 1},
    ],
)
def test_options_of_a_wrong_type(tmp_path: Path, options: dict[str, Any]) -> None:
    for opener in (opendb.open, opendb.OpenDB):
        with pytest.raises(TypeError, match=next(iter(options)).replace("unknown", "unexpected keyword")) as caught:
            opener(tmp_path / "db", **options)
        assert not isinstance(caught.value, opendb.OpenDBError)
    assert not (tmp_path / "db").exists()


def test_paths(tmp_path: Path) -> None:
    class Place:
        def __fspath__(self) -> str:
            return str(tmp_path / "ünïcode")

    with opendb.open(Place()) as db:
        assert db.path == (tmp_path / "ünïcode").resolve()
    with pytest.raises(TypeError):
        opendb.open(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        opendb.open()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional"):
        opendb.open(tmp_path, False)  # type: ignore[call-arg]


def test_bounds_of_a_wrong_type(db: opendb.OpenDB) -> None:
    with pytest.raises(opendb.InvalidArgumentError, match="-1"):
        db.iter(limit=-1)
    with pytest.raises(opendb.InvalidArgumentError, match="-1"):
        db.begin_transaction().keys("default", limit=-1)
    with pytest.raises(TypeError):
        db.iter(limit="10")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        db.iter(reverse=b"yes")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="positional"):
        db.iter(b"prefix", b"start")  # type: ignore[call-arg]
    with pytest.raises(opendb.InvalidArgumentError, match="durability"):
        db.put(b"k", b"v", durability="maybe")  # type: ignore[arg-type]


def test_names_of_keyspaces_of_a_wrong_type(db: opendb.OpenDB) -> None:
    for call in (
        lambda: db.keyspace(b"other"),  # type: ignore[arg-type]
        lambda: db.begin_transaction().get(b"default", b"k"),  # type: ignore[arg-type]
        lambda: db.batch().put(None, b"k", b"v"),  # type: ignore[arg-type]
        lambda: db.snapshot().keyspace(1),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(UnicodeEncodeError):
        db.keyspace("\ud800")
