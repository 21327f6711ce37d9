"""Every call of a database, a keyspace and a snapshot does what it says."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import opendb
import pytest

Store = opendb.OpenDB | opendb.Keyspace


def fill(store: Store, *keys: bytes) -> None:
    for key in keys:
        store.put(key, b"value of " + key)


def test_put_get_delete_exists(store: Store) -> None:
    assert store.get(b"user:123") is None
    assert not store.exists(b"user:123")
    store.put(b"user:123", b"Alice")
    assert store.get(b"user:123") == b"Alice"
    assert store.exists(b"user:123")
    store.put(b"user:123", b"Bob")
    assert store.get(b"user:123") == b"Bob"
    store.delete(b"user:123")
    assert store.get(b"user:123") is None
    store.delete(b"user:123")


def test_get_many(store: Store) -> None:
    keys = [b"key %d" % number for number in range(100)]
    fill(store, *keys)
    store.put(b"large", b"x" * 100_000)
    asked = [*reversed(keys), b"absent", keys[3], b"large", b""]
    expected = [store.get(key) for key in asked]
    assert expected[100:] == [None, b"value of key 3", b"x" * 100_000, None]
    assert store.get_many(asked) == expected
    assert store.get_many(iter(asked)) == expected
    assert store.get_many([bytearray(b"key 7"), memoryview(b"key 8")]) == [b"value of key 7", b"value of key 8"]
    assert store.get_many([]) == []


def test_get_many_of_a_snapshot_and_a_transaction(db: opendb.OpenDB) -> None:
    fill(db, b"a", b"b")
    with db.snapshot() as snapshot, db.transaction() as transaction:
        db.delete(b"a")
        transaction.put("default", b"b", b"own")
        assert snapshot.get_many([b"a", b"b", b"c"]) == [b"value of a", b"value of b", None]
        assert transaction.get_many("default", [b"a", b"b", b"c"]) == [b"value of a", b"own", None]
        transaction.rollback()
    assert db.get_many([b"a", b"b"]) == [None, b"value of b"]


@pytest.mark.parametrize("one", [b"key", bytearray(b"key"), memoryview(b"key"), "key"])
def test_get_many_of_one_key_is_told_what_to_do(store: Store, one: bytes) -> None:
    with pytest.raises(TypeError, match=r"^keys: an iterable of keys is required, .* put one key into a list"):
        store.get_many(one)  # type: ignore[arg-type]


def test_get_many_refuses_what_is_no_key(store: Store) -> None:
    with pytest.raises(TypeError, match="^key: a bytes-like object is required, not 'str': encode it first"):
        store.get_many([b"key", "key"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="not iterable"):
        store.get_many(5)  # type: ignore[arg-type]
    with pytest.raises(opendb.InvalidArgumentError, match="65536"):
        store.get_many([b"k", b"k" * 65536])

    def broken() -> Iterator[bytes]:
        yield b"k"
        raise KeyError("in the middle")

    with pytest.raises(KeyError, match="in the middle"):
        store.get_many(broken())


def test_the_results_are_none(store: Store) -> None:
    put, delete = store.put, store.delete
    calls: list[Callable[[], object]] = [lambda: put(b"k", b"v"), lambda: delete(b"k")]
    assert [call() for call in calls] == [None, None]


def test_empty_key_and_empty_value(store: Store) -> None:
    store.put(b"", b"")
    assert store.get(b"") == b""
    assert store.exists(b"")
    assert store.scan_prefix(b"") == [(b"", b"")]


def test_binary_keys_are_sorted_by_byte(store: Store) -> None:
    fill(store, b"\xff", b"\x00", b"a\x00", b"a", b"\x80")
    assert list(store.iter_keys()) == [b"\x00", b"a", b"a\x00", b"\x80", b"\xff"]


@pytest.mark.parametrize("durability", ["buffered", "sync", None])
def test_durability_of_a_write(store: Store, durability: Literal["buffered", "sync"] | None) -> None:
    store.put(b"k", b"v", durability=durability)
    assert store.get(b"k") == b"v"
    store.delete(b"k", durability=durability)
    assert store.get(b"k") is None


def test_keywords(store: Store) -> None:
    store.put(key=b"k", value=b"v", durability="buffered")
    assert store.get(key=b"k") == b"v"
    assert store.exists(key=b"k")
    assert store.scan_prefix(prefix=b"k") == [(b"k", b"v")]
    store.delete(key=b"k")


def test_len_and_contains(store: Store) -> None:
    assert len(store) == 0
    fill(store, b"a", b"b")
    store.put(b"a", b"again")
    assert len(store) == 2
    assert b"a" in store
    assert bytearray(b"a") in store  # type: ignore[comparison-overlap]
    assert b"c" not in store
    store.delete(b"a")
    assert len(store) == 1


def test_scan_prefix(store: Store) -> None:
    fill(store, b"user:2", b"user:1", b"session:1", b"user", b"user;")
    assert store.scan_prefix(b"user:") == [(b"user:1", b"value of user:1"), (b"user:2", b"value of user:2")]
    assert store.scan_prefix(b"nobody") == []
    assert len(store.scan_prefix(b"")) == 5


def test_bounds_of_a_scan(store: Store) -> None:
    fill(store, b"a", b"b1", b"b2", b"b3", b"c")

    def both(expected: list[bytes], **bounds: object) -> None:
        assert list(store.iter_keys(**bounds)) == expected  # type: ignore[arg-type]
        assert list(store.iter(**bounds)) == [  # type: ignore[arg-type]
            (key, b"value of " + key) for key in expected
        ]

    both([b"a", b"b1", b"b2", b"b3", b"c"])
    both([b"b1", b"b2", b"b3"], prefix=b"b")
    both([b"b2", b"b3", b"c"], start=b"b2")
    both([b"a", b"b1"], stop=b"b2")
    both([b"b2"], start=b"b2", stop=b"b3")
    both([b"c", b"b3", b"b2", b"b1", b"a"], reverse=True)
    both([b"b3", b"c"], start_after=b"b2")
    both([b"b1", b"a"], start_after=b"b2", reverse=True)
    both([b"a", b"b1"], limit=2)
    both([b"c", b"b3"], limit=2, reverse=True)
    both([], limit=0)
    both([b"b3", b"b2"], prefix=b"b", start=b"b2", reverse=True, limit=5)
    both([], start=b"c", stop=b"a")


def test_keyspaces(db: opendb.OpenDB) -> None:
    assert db.keyspaces() == ["default"]
    users = db.keyspace("users")
    users.put(b"k", b"of users")
    db.put(b"k", b"of default")
    assert users.name == "users"
    assert db.keyspace("users").get(b"k") == b"of users"
    assert db.keyspace("default").get(b"k") == db.get(b"k") == b"of default"
    db.keyspace("größe")
    assert db.keyspaces() == ["default", "größe", "users"]


def test_snapshot(db: opendb.OpenDB) -> None:
    db.put(b"a", b"before")
    db.keyspace("other").put(b"o", b"before")
    with db.snapshot() as snapshot:
        db.put(b"a", b"after")
        db.put(b"b", b"after")
        db.keyspace("other").delete(b"o")
        assert snapshot.get(b"a") == b"before"
        assert snapshot.get(b"b") is None
        assert snapshot.exists(b"a") and not snapshot.exists(b"b")
        assert b"a" in snapshot and b"b" not in snapshot
        assert snapshot.scan_prefix(b"") == [(b"a", b"before")]
        assert list(snapshot.iter(start=b"a", stop=b"z", reverse=True, limit=9)) == [(b"a", b"before")]
        assert list(snapshot.iter_keys(b"a")) == [b"a"]
        other = snapshot.keyspace("other")
        assert other.get(b"o") == b"before"
        with pytest.raises(opendb.KeyspaceNotFoundError, match="nowhere"):
            snapshot.keyspace("nowhere")
    assert other.get(b"o") == b"before"
    assert db.get(b"a") == b"after"


def test_a_released_snapshot_says_so(db: opendb.OpenDB) -> None:
    db.put(b"a", b"1")
    snapshot = db.snapshot()
    entries = snapshot.iter()
    snapshot.close()
    snapshot.close()
    for call in (
        lambda: snapshot.get(b"a"),
        lambda: snapshot.exists(b"a"),
        lambda: snapshot.scan_prefix(b"a"),
        lambda: snapshot.iter(),
        lambda: snapshot.iter_keys(),
        lambda: snapshot.keyspace("default"),
        lambda: b"a" in snapshot,
        lambda: snapshot.__enter__(),
    ):
        with pytest.raises(opendb.InvalidArgumentError, match="released"):
            call()
    assert list(entries) == [(b"a", b"1")], "the iterator has a snapshot of its own"


def test_reopen_and_path(tmp_path: Path) -> None:
    with opendb.open(tmp_path / "db") as first:
        first.put(b"k", b"v")
        first.flush()
        assert first.path == (tmp_path / "db").resolve()
    with opendb.OpenDB(os.fspath(tmp_path / "db"), create=False) as second:
        assert second.get(b"k") == b"v"


def test_two_handles_of_one_directory(tmp_path: Path) -> None:
    first, second = opendb.open(tmp_path), opendb.open(tmp_path)
    first.put(b"k", b"v")
    assert second.get(b"k") == b"v"
    first.close()
    assert second.get(b"k") == b"v"
    second.close()


def test_large_values_come_back_whole(store: Store) -> None:
    # Around the sizes from which values are written and copied while other threads run.
    for size in (64 << 10, 1 << 20):
        for length in (size - 1, size, size + 1):
            value = os.urandom(length)
            store.put(b"large", value)
            assert store.get(b"large") == value
            assert store.scan_prefix(b"large") == [(b"large", value)]


def test_stats(db: opendb.OpenDB) -> None:
    for number in range(10):
        db.put(number.to_bytes(2, "big"), b"v")
    db.keyspace("other").put(b"k", b"v")
    stats = db.stats()
    assert stats.keys == 11
    assert stats.keyspaces == 2
    assert stats.append in ("mapped", "write")
    assert stats.poisoned is False
    assert isinstance(stats.recovery, opendb.Recovery)
    assert stats.recovery.damaged == ()
    assert stats == stats and hash(stats) == hash(stats)
    assert repr(stats).startswith("Stats(keys=11, keyspaces=2, ")
    assert "recovery=Recovery(clean=" in repr(stats)
    db.put(b"another", b"v")
    assert db.stats() != stats
    with pytest.raises(AttributeError):
        stats.keys = 0  # type: ignore[misc]


def test_close(tmp_path: Path) -> None:
    db = opendb.open(tmp_path)
    db.put(b"k", b"v")
    keyspace, batch, snapshot = db.keyspace("other"), db.batch(), db.snapshot()
    transaction, entries, keys = db.begin_transaction(), db.iter(), db.iter_keys()
    db.close()
    db.close()
    for call in (
        lambda: db.put(b"k", b"v"),
        lambda: db.get(b"k"),
        lambda: db.delete(b"k"),
        lambda: db.exists(b"k"),
        lambda: db.scan_prefix(b""),
        lambda: db.iter(),
        lambda: db.iter_keys(),
        lambda: len(db),
        lambda: b"k" in db,
        lambda: db.keyspace("other"),
        lambda: db.keyspaces(),
        lambda: db.begin_transaction(),
        lambda: db.transaction(),
        lambda: db.transact(lambda transaction: None),
        lambda: db.snapshot(),
        lambda: db.flush(),
        lambda: db.stats(),
        lambda: keyspace.put(b"k", b"v"),
        lambda: keyspace.get(b"k"),
        lambda: len(keyspace),
        lambda: batch.put("default", b"k", b"v"),
        lambda: batch.commit(),
        lambda: snapshot.get(b"k"),
        lambda: snapshot.iter(),
        lambda: transaction.get("default", b"k"),
        lambda: transaction.put("default", b"k", b"v"),
        lambda: transaction.commit(),
        lambda: next(entries),
        lambda: next(keys),
    ):
        with pytest.raises(opendb.ClosedError, match="closed"):
            call()
    assert db.path == tmp_path.resolve(), "the path is known also afterwards"


def test_the_block_closes_also_on_an_exception(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        with opendb.open(tmp_path) as db:
            raise ZeroDivisionError
    with pytest.raises(opendb.ClosedError):
        db.get(b"k")
