"""What may be handed in as bytes, and how anything else is refused."""

import array
import mmap
import re
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
    assert list(db.iter_keys(make(key), start=make(key), stop=b"9")) == [key]
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
    keys = db.iter_keys(start=value)
    value[:] = b"AFTER!"
    batch.commit()
    transaction.commit()
    assert db.get(b"batch") == db.get(b"transaction") == b"before"
    assert list(keys) == []


NAME = "(key|value|prefix|start|stop|start_after)"


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
        lambda: db.iter_keys(start_after=key),
        lambda: db.keyspace("other").put(key, b"v"),
        lambda: db.keyspace("other").get(key),
        lambda: transaction.get("default", key),
        lambda: transaction.put("default", key, b"v"),
        lambda: transaction.put("default", b"k", key),
        lambda: transaction.delete("default", key),
        lambda: transaction.exists("default", key),
        lambda: transaction.scan_prefix("default", key),
        lambda: transaction.iter_keys("default", key),
        lambda: batch.put("default", key, b"v"),
        lambda: batch.delete("default", key),
        lambda: snapshot.get(key),
        lambda: snapshot.exists(key),
        lambda: key in snapshot,
    ]


# Which argument it was stood only in a note, and for `key in db` nowhere.
def test_str_is_refused_with_what_to_do(db: opendb.OpenDB) -> None:
    for call in every_call_with_a_key(db, "text"):
        with pytest.raises(TypeError, match=rf"^{NAME}: .* not 'str': encode it first, as in \1\.encode\(\)"):
            call()
    assert len(db) == 0


def test_the_argument_that_is_refused_is_named(db: opendb.OpenDB) -> None:
    text: Any = "text"
    calls: list[tuple[str, Callable[[], object]]] = [
        ("key", lambda: db.put(text, b"v")),
        ("value", lambda: db.put(b"k", text)),
        ("key", lambda: text in db),
        ("key", lambda: text in db.keyspace("other")),
        ("key", lambda: text in db.snapshot()),
        ("prefix", lambda: db.scan_prefix(text)),
        ("prefix", lambda: db.iter(text)),
        ("start", lambda: db.iter_keys(start=text)),
        ("stop", lambda: db.iter_keys(stop=text)),
        ("start_after", lambda: db.iter_keys(start_after=text)),
        ("value", lambda: db.batch().put("default", b"k", text)),
    ]
    for name, call in calls:
        with pytest.raises(TypeError, match=f"^{name}: "):
            call()


@pytest.mark.parametrize("wrong", [1, 1.5, [1, 2], (b"k",), {b"k"}, object()])
def test_what_has_no_bytes_is_refused(db: opendb.OpenDB, wrong: object) -> None:
    message = f"^{NAME}: a bytes-like object is required, not '{type(wrong).__name__}'"
    for call in every_call_with_a_key(db, wrong):
        with pytest.raises(TypeError, match=message):
            call()
    with pytest.raises(TypeError, match="NoneType"):
        db.get(None)  # type: ignore[call-overload]


def test_a_buffer_that_is_not_contiguous_is_refused(db: opendb.OpenDB) -> None:
    buffers: list[Any] = [memoryview(b"abcdef")[::2], numpy.zeros((4, 4), dtype=numpy.uint8)[:, 1]]
    for wrong in buffers:
        with pytest.raises(opendb.InvalidArgumentError, match=r"key: .*not contiguous.* bytes\(key\)"):
            db.put(wrong, b"v")
    assert len(db) == 0


def test_a_buffer_of_objects_is_refused(db: opendb.OpenDB) -> None:
    objects: Any = numpy.array([object()])
    with pytest.raises(TypeError, match="^key: .*buffer of Python objects"):
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


# What a number may be, as the messages say it. They once said neither that nor which parameter it was.
COUNT = f"give a number from 0 to {2**64 - 1}, or None for the default"
SEGMENT = f"give a number from {opendb.SEGMENT_BYTES_MIN} to {opendb.SEGMENT_BYTES_MAX}, or None for the default"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"durability": "eventual"}, 'durability is "eventual"'),
        ({"append": "log"}, 'append is "log"'),
        ({"cache_bytes": -1}, f"cache_bytes is -1: {COUNT}"),
        ({"cache_bytes": 2**64}, f"cache_bytes is {2**64}: {COUNT}"),
        ({"cache_bytes": 10**9999}, f"cache_bytes is beyond every limit: {COUNT}"),
        ({"segment_bytes": -(2**70)}, f"segment_bytes is {-(2**70)}: {SEGMENT}"),
        ({"segment_bytes": 2**64}, f"segment_bytes is {2**64}: {SEGMENT}"),
        ({"segment_bytes": 2**200}, f"segment_bytes is beyond every limit: {SEGMENT}"),
        ({"segment_bytes": opendb.SEGMENT_BYTES_MIN - 1}, f"segment_bytes is .*: {SEGMENT}"),
        ({"segment_bytes": opendb.SEGMENT_BYTES_MAX + 1}, f"segment_bytes is .*: {SEGMENT}"),
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
        if "durability" in options or "append" in options:
            assert re.search("^(durability|append): \"(buffered|auto)\".* is required, not '", str(caught.value))
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
    for scan in (db, db.keyspace("other"), db.snapshot()):
        for limit in (-1, 2**70, -(2**70)):
            allowed = f"limit is {limit}: give a number from 0 to {2**64 - 1}, or None for no limit"
            with pytest.raises(opendb.InvalidArgumentError, match=allowed):
                scan.iter(limit=limit)
            with pytest.raises(opendb.InvalidArgumentError, match=allowed):
                scan.iter_keys(limit=limit)
    with pytest.raises(opendb.InvalidArgumentError, match="limit is -1"):
        db.begin_transaction().iter_keys("default", limit=-1)
    with pytest.raises(opendb.InvalidArgumentError, match="limit is beyond every limit: give a number"):
        db.begin_transaction().iter("default", limit=2**200)
    assert list(db.iter_keys(limit=2**64 - 1)) == []
    with pytest.raises(TypeError, match="^limit: a number or None is required, not 'str'"):
        db.iter(limit="10")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="reverse"):
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


def test_paths_that_name_nothing() -> None:
    for path in ("", "a\0b", Path("a\0b")):
        for create in (True, False):
            with pytest.raises(opendb.InvalidArgumentError, match="path") as caught:
                opendb.open(path, create=create)
            assert isinstance(caught.value, ValueError)
            assert "\0" not in str(caught.value)
