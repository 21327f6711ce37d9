"""The cache backend, against cachelib's own in memory, and inside of Flask-Caching."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import flask_caching
import opendb
import pytest
from cachelib.simple import SimpleCache
from opendb.ext.cachelib import OpenDBCache


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[OpenDBCache]:
    with opendb.open(tmp_path) as database:
        yield OpenDBCache(database)


def test_as_the_one_in_memory(cache: OpenDBCache) -> None:
    """Random calls, each with the answer of cachelib's own cache."""
    seed = random.randrange(2**32)
    chance, model = random.Random(seed), SimpleCache(threshold=10_000)
    for _ in range(3000):
        key, other = (f"key {chance.randrange(12)}" for _ in range(2))
        value = chance.choice([None, 0, 7, "text", b"\x00", [1, {"a": 2}], {"x": (1, 2)}])
        calls: list[Callable[[Any], object]] = [
            lambda c: c.set(key, value),
            lambda c: c.set(key, value, 0),
            lambda c: c.add(key, value),
            lambda c: c.get(key),
            lambda c: c.get_many(key, other, "absent"),
            lambda c: c.get_dict(key, "absent"),
            lambda c: c.set_many({key: value, "more": 1}),
            lambda c: c.delete(key),
            lambda c: sorted(c.delete_many(other, "absent")),
            lambda c: c.has(key),
            lambda c: [c.set("n", 5), c.inc("n"), c.inc("n", 10), c.dec("n", 3), c.get("n")],
            lambda c: [c.delete("fresh"), c.inc("fresh", 2), c.get("fresh")],
            lambda c: c.clear() if chance_of_clear else None,
        ]
        call, chance_of_clear = chance.choice(calls), chance.random() < 0.1
        assert call(cache) == call(model), f"seed {seed}"


def test_values_expire(cache: OpenDBCache) -> None:
    cache.set("short", "value", timeout=1)
    cache.set("long", "value", timeout=1000)
    cache.set("never", "value", timeout=0)
    cache.set("gone", "value", timeout=-1)
    assert (cache.get("short"), cache.get("gone"), cache.has("gone")) == ("value", None, False)
    deadline = time.monotonic() + 30
    while cache.has("short") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert cache.get_many("short", "long", "never") == [None, "value", "value"]
    assert cache.add("short", "again")
    assert not cache.add("short", "and again")
    assert cache.inc("gone") == 1


def test_what_is_over_the_bound_goes(tmp_path: Path) -> None:
    with opendb.open(tmp_path) as database:
        cache = OpenDBCache(database, threshold=100)
        cache.set("never", 1, timeout=0)
        for number in range(1000):
            cache.set(str(number), number, timeout=1000 + number)
        assert len(database.keyspace("cache")) <= 100
        assert cache.get("never") == 1
        assert cache.get("999") == 999
        assert cache.get("0") is None


def test_threads(cache: OpenDBCache) -> None:
    added = list[int]()

    def work(number: int) -> None:
        for _ in range(100):
            cache.inc("n")
        if cache.add("once", number):
            added.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (cache.get("n"), len(added)) == (800, 1)


def test_inside_of_flask(tmp_path: Path) -> None:
    app = flask.Flask(__name__)
    options = {"CACHE_TYPE": "opendb.ext.cachelib.OpenDBCache", "CACHE_OPTIONS": {"database": tmp_path}}
    cache = flask_caching.Cache(app, config=options)
    made = list[int]()

    @app.route("/<int:number>")
    @cache.cached(timeout=50)
    def page(number: int) -> str:
        made.append(number)
        return f"page {number}"

    with app.app_context():
        client = app.test_client()
        assert [client.get(f"/{number}").text for number in (1, 2, 1, 1)] == ["page 1", "page 2", "page 1", "page 1"]
        assert made == [1, 2]
        cache.clear()
        assert client.get("/1").text == "page 1"
        assert made == [1, 2, 1]
