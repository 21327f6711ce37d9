"""A database and a keyspace are mappings in the order of their keys."""

import collections.abc
import random
import shelve
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import opendb
import pytest

Store = opendb.OpenDB | opendb.Keyspace

FRUIT = {b"fig": b"1", b"apple": b"2", b"pear": b"", b"plum": b"4", b"peach": b"5"}


def test_what_python_takes_for_a_mapping(store: Store) -> None:
    assert isinstance(store, collections.abc.MutableMapping)
    assert isinstance(store.keys(), collections.abc.KeysView)
    assert isinstance(store.values(), collections.abc.ValuesView)
    assert isinstance(store.items(), collections.abc.ItemsView)
    assert dict(store) == {}
    store.update(FRUIT)
    assert dict(store) == FRUIT
    assert {**dict(store)} == FRUIT


def test_against_a_dictionary(store: Store) -> None:
    """Random calls, each with the answer of a dict that is kept in order."""
    seed = random.randrange(2**32)
    chance, model = random.Random(seed), dict[bytes, bytes]()
    missing = object()

    def outcome(call: Callable[[Any], object], of: object) -> object:
        try:
            return call(of)
        except KeyError as error:
            return KeyError, error.args

    def assign(mapping: Any, key: bytes, value: bytes) -> None:
        mapping[key] = value

    def remove(mapping: Any, key: bytes) -> None:
        del mapping[key]

    for _ in range(2000):
        key, value = b"%d" % chance.randrange(30), b"v%d" % chance.randrange(10)
        calls: list[Callable[[Any], object]] = [
            lambda m: assign(m, key, value),
            lambda m: m.setdefault(key, value),
            lambda m: m.update({key: value, value: key}),
            lambda m: m.update([(key, value), (key, value + b"!")]),
            lambda m: remove(m, key),
            lambda m: m.pop(key),
            lambda m: m.pop(key, None),
            lambda m: m.pop(key, missing) is missing,
            lambda m: m[key],
            lambda m: m.get(key),
            lambda m: m.get(key, value),
            lambda m: m.get(key, missing) is missing,
            lambda m: key in m,
            lambda m: len(m),
            lambda m: key in m.keys(),
            lambda m: (key, value) in m.items(),
            lambda m: value in m.values(),
            lambda m: m.keys() & {key, value, b"never"},
        ]
        call = calls[chance.randrange(len(calls))]
        assert outcome(call, store) == outcome(call, model), f"seed {seed}"
        if chance.random() < 0.01:
            first = min(model, default=None)
            expected = (first, model.pop(first)) if first is not None else None
            assert (store.popitem() if expected else None) == expected
        model = dict(sorted(model.items()))
        assert list(store) == list(model), f"seed {seed}"
        assert list(reversed(store)) == list(reversed(model))
        assert list(store.values()) == list(model.values())
        assert list(store.items()) == list(model.items())
    store.clear()
    assert len(store) == 0
    with pytest.raises(KeyError):
        store.popitem()


def test_clearing_takes_all_keys_of_one_keyspace(db: opendb.OpenDB) -> None:
    other = db.keyspace("other")
    other[b"k"] = b"v"
    db.put_many((b"%d" % number, b"v") for number in range(2500))
    db.clear()
    assert (len(db), len(other), list(db)) == (0, 1, [])


BOUNDS: list[dict[str, Any]] = [
    {},
    {"prefix": b"p"},
    {"prefix": b"p", "reverse": True},
    {"start": b"b", "stop": b"pear"},
    {"start": b"b", "stop": b"pear", "reverse": True},
    {"start_after": b"fig"},
    {"start_after": b"pear", "reverse": True},
    {"limit": 2},
    {"limit": 2, "reverse": True},
    {"prefix": b"none"},
]


@pytest.mark.parametrize("bounds", BOUNDS)
def test_views_of_a_part(store: Store, bounds: dict[str, Any]) -> None:
    store.update(FRUIT)
    expected = list(store.iter(**bounds))
    keys, values, items = store.keys(**bounds), store.values(**bounds), store.items(**bounds)
    for _ in range(2):
        assert list(keys) == [key for key, _ in expected]
        assert list(values) == [value for _, value in expected]
        assert list(items) == expected
    assert list(reversed(keys)) == [key for key, _ in reversed(expected)]
    assert list(reversed(values)) == [value for _, value in reversed(expected)]
    assert list(reversed(items)) == expected[::-1]
    assert len(keys) == len(values) == len(items) == len(expected)
    for key, value in FRUIT.items():
        assert (key in keys) == ((key, value) in items) == ((key, value) in expected)
        assert (key, value + b"?") not in items
    assert b"absent" not in keys
    assert (b"absent", b"") not in items
    assert "not an item" not in items  # type: ignore[comparison-overlap]
    assert keys | {b"z"} == {key for key, _ in expected} | {b"z"}
    assert keys == {key for key, _ in expected}  # type: ignore[comparison-overlap]
    assert keys.isdisjoint({b"z"})


def test_a_view_shows_what_is_there_when_it_is_looked_at(store: Store) -> None:
    keys = store.keys(b"p")
    assert len(keys) == 0
    store.update(FRUIT)
    looking = iter(keys)
    assert next(looking) == b"peach"
    del store[b"pear"]
    assert list(looking) == [b"pear", b"plum"], "one loop is over one moment"
    assert list(keys) == [b"peach", b"plum"]
    assert repr(keys) == f"KeysView({store!r}, prefix=b'p')"


def test_a_key_that_is_absent(store: Store) -> None:
    for call in (lambda: store[b"no"], lambda: store.pop(b"no"), lambda: store.__delitem__(b"no")):
        with pytest.raises(KeyError) as caught:
            call()
        assert caught.value.args == (b"no",)
    with pytest.raises(TypeError, match="at most 2"):
        store.pop(b"no", b"1", b"2")  # type: ignore[call-overload]
    assert store.get(b"no", b"instead") == b"instead"


def test_what_is_wrong_is_told_where_it_is(store: Store) -> None:
    for call in (
        lambda: store["text"],  # type: ignore[index]
        lambda: store.__setitem__("text", b""),  # type: ignore[index]
        lambda: store.__setitem__(b"", "text"),  # type: ignore[assignment]
        lambda: store.setdefault(b"", "text"),  # type: ignore[arg-type]
        lambda: store.pop("text"),  # type: ignore[call-overload]
    ):
        with pytest.raises(TypeError, match=r"bytes-like object is required, not 'str': encode it first"):
            call()
    with pytest.raises(opendb.InvalidArgumentError, match="limit"):
        store.keys(limit=-1)
    assert len(store) == 0


@pytest.mark.parametrize("entries", [[b"ab"], [(b"a",)], [(b"a", b"b", b"c")], [7], 7, [(b"a", "text")]])
def test_many_entries_of_which_one_is_wrong(store: Store, entries: Any) -> None:
    wrong = [(b"first", b"1"), *entries] if isinstance(entries, list) else entries
    with pytest.raises(TypeError):
        store.put_many(wrong)
    assert len(store) == 0, "nothing of it is there"


def test_many_entries_are_one_commit(db: opendb.OpenDB) -> None:
    before = db.stats().last_sequence
    db.put_many(FRUIT, durability="sync")
    db.keyspace("other").put_many(iter(FRUIT.items()))
    assert db.stats().last_sequence - before <= 3, "two, and the new keyspace"
    assert dict(db) == dict(db.keyspace("other")) == FRUIT
    with db.write_batch() as batch:
        batch.put("default", b"a", b"b")
    assert db[b"a"] == b"b"


def test_threads_that_take_and_default_the_same_keys(store: Store) -> None:
    store.update((b"%03d" % number, b"v") for number in range(300))
    taken, defaults = list[bytes](), list[bytes]()

    def take(name: bytes) -> None:
        while True:
            try:
                taken.append(store.popitem()[0])
            except KeyError:
                break
        defaults.append(store.setdefault(b"one", name))

    threads = [threading.Thread(target=take, args=(b"%d" % number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    each_once = [key for key in taken if key != b"one"]
    assert sorted(each_once) == [b"%03d" % number for number in range(300)]
    assert len(defaults) == 4


def test_a_shelf(tmp_path: Path) -> None:
    with shelve.Shelf[Any](opendb.open(tmp_path)) as shelf:
        shelf["numbers"] = [1, 2, 3]
        shelf["name"] = {"first": "Ada"}
        assert sorted(shelf) == ["name", "numbers"]
    with shelve.Shelf[Any](opendb.open(tmp_path), writeback=True) as shelf:
        shelf["numbers"].append(4)
    with shelve.Shelf[Any](opendb.open(tmp_path, read_only=True)) as shelf:
        assert dict(shelf) == {"name": {"first": "Ada"}, "numbers": [1, 2, 3, 4]}


def test_swaps_and_sums(store: Store) -> None:
    assert store.compare_and_swap(b"lock", None, b"mine")
    assert not store.compare_and_swap(b"lock", None, b"yours")
    assert store.compare_and_swap(b"lock", bytearray(b"mine"), None, durability="sync")
    assert b"lock" not in store
    assert [store.increment(b"n"), store.increment(b"n", 41), store.increment(b"n", by=-2**40)] == [1, 42, 42 - 2**40]
    assert int.from_bytes(store[b"n"], "little", signed=True) == 42 - 2**40
    for by in (2**63, -(2**63) - 1, 2**200):
        with pytest.raises(opendb.InvalidArgumentError, match="by is"):
            store.increment(b"n", by)
    with pytest.raises(TypeError):
        store.increment(b"n", "1")  # type: ignore[arg-type]
    store[b"n"] = b"text"
    with pytest.raises(opendb.InvalidArgumentError, match="has 4 bytes"):
        store.increment(b"n")
    assert (store.take(b"n"), store.take(b"n")) == (b"text", None)


def test_views_of_a_value_stay_whatever_becomes_of_it(tmp_path: Path) -> None:
    db = opendb.open(tmp_path, segment_bytes=1 << 16)
    db[b"k"] = value = random.Random(7).randbytes(5000)
    db[b"empty"] = b""
    view, empty = db.get_view(b"k"), db.get_view(b"empty")
    assert view is not None
    assert empty is not None
    assert (view.readonly, view.format, view.ndim, view.nbytes, bytes(empty)) == (True, "B", 1, 5000, b"")
    with pytest.raises(TypeError, match="read-only"):
        view[0] = 1
    part = view[1000:2000]
    db[b"k"] = b"over"
    for number in range(100):
        db[b"filler"] = b"%d" % number * 2000
    assert db.compact().segments_removed > 0
    snapshot, other = db.snapshot(), db.keyspace("other")
    other[b"k"] = b"there"
    kept = [other.get_view(b"k"), snapshot.get_view(b"k")]
    assert [bytes(each) for each in kept if each is not None] == [b"there", b"over"]
    assert db.get_view(b"absent") is None
    db.close()
    assert bytes(view) == value
    assert bytes(part) == value[1000:2000]
    assert [bytes(each) for each in kept if each is not None] == [b"there", b"over"]
    view.release()
    assert bytes(part) == value[1000:2000]


def test_transact_as_a_decorator(db: opendb.OpenDB) -> None:
    runs = list[int]()

    @db.transact(retries=2, durability="sync")
    def rename(transaction: opendb.Transaction, key: bytes, *, to: bytes) -> bytes:
        """Gives a value another key."""
        runs.append(len(runs))
        value = transaction.get("default", key)
        assert value is not None
        if len(runs) < 3:
            db[key] = value + b"!"
        transaction.delete("default", key)
        transaction.put("default", to, value)
        return value

    db[b"a"] = b"1"
    assert rename(b"a", to=b"b") == b"1!!"
    assert (dict(db), len(runs)) == ({b"b": b"1!!"}, 3)
    assert (rename.__name__, rename.__doc__) == ("rename", "Gives a value another key.")
    tries = 0

    def never(transaction: opendb.Transaction) -> None:
        nonlocal tries
        tries += 1
        transaction.get("default", b"b")
        db[b"b"] = b"other"
        transaction.put("default", b"b", b"never")

    with pytest.raises(opendb.TransactionError):
        db.transact(never, retries=0)
    assert tries == 1
    with pytest.raises(opendb.InvalidArgumentError, match="retries is -1"):
        db.transact(never, retries=-1)
