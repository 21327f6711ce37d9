"""Threads: exact counters, the interpreter given up where a call can block, signals in long calls."""

import _thread
import itertools
import operator
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import opendb
import pytest

THREADS = 8
MEBIBYTE = 1 << 20


def increment(transaction: opendb.Transaction) -> int:
    value = int.from_bytes(transaction.get("default", b"counter") or b"\0", "little") + 1
    transaction.put("default", b"counter", value.to_bytes(8, "little"))
    return value


def in_threads(work: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(work, number) for number in range(THREADS)]:
            done.result()


def test_counters_are_exact(db: opendb.OpenDB) -> None:
    seen: list[int] = []

    def work(number: int) -> None:
        for _ in range(100):
            seen.append(db.transact(increment))

    in_threads(work)
    assert sorted(seen) == list(range(1, THREADS * 100 + 1))
    assert db.get(b"counter") == (THREADS * 100).to_bytes(8, "little")


def test_counters_with_own_retries_are_exact(db: opendb.OpenDB) -> None:
    def work(number: int) -> None:
        for _ in range(25):
            while True:
                try:
                    with db.transaction() as transaction:
                        increment(transaction)
                    break
                except opendb.TransactionError:
                    continue

    in_threads(work)
    assert db.get(b"counter") == (THREADS * 25).to_bytes(8, "little")


def test_puts_gets_and_scans_at_once(db: opendb.OpenDB) -> None:
    def work(number: int) -> None:
        for round in range(50):
            key = b"%d:%04d" % (number, round)
            db.put(key, key)
            assert db.get(key) == key
            assert len(db.scan_prefix(b"%d:" % number)) == round + 1

    in_threads(work)
    assert len(db) == THREADS * 50


def test_one_iterator_in_many_threads_gives_each_entry_once(db: opendb.OpenDB) -> None:
    expected = [b"%08d" % number for number in range(5000)]
    with db.batch() as batch:
        for key in expected:
            batch.put("default", key, b"")
    keys, seen = db.iter_keys(), list[bytes]()

    def work(number: int) -> None:
        for key in keys:
            seen.append(key)

    in_threads(work)
    assert sorted(seen) == expected


def test_one_transaction_in_many_threads(db: opendb.OpenDB) -> None:
    transaction = db.begin_transaction()

    def work(number: int) -> None:
        for round in range(100):
            transaction.put("default", b"%d:%d" % (number, round), b"v")

    in_threads(work)
    transaction.commit()
    assert len(db) == THREADS * 100


def test_closing_under_running_threads(db: opendb.OpenDB) -> None:
    running = threading.Barrier(THREADS + 1)

    def work(number: int) -> None:
        running.wait()
        with pytest.raises(opendb.ClosedError):
            while True:
                db.put(b"%d" % number, b"v")
                db.transact(increment)
                db.scan_prefix(b"")

    with ThreadPoolExecutor(THREADS) as pool:
        done = [pool.submit(work, number) for number in range(THREADS)]
        running.wait()
        time.sleep(0.05)
        db.close()
        for each in done:
            each.result(timeout=60)


@contextmanager
def waiting_thread() -> Iterator[list[str]]:
    """A thread that waits for the interpreter, and gets it only where a call gives it up: the interpreter is never
    taken away, because the interval for that is set out of reach. The list is filled once the thread has run."""
    ran: list[str] = []
    go = threading.Event()

    def body() -> None:
        go.wait()
        ran.append("ran")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    thread = threading.Thread(target=body)
    try:
        thread.start()
        go.set()
        yield ran
    finally:
        sys.setswitchinterval(interval)
        thread.join()


class Blocking:
    """The calls that can wait for the device, move much data or scan far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.db = opendb.open(path)
        self.synced = opendb.open(path.with_name("synced"), durability="sync")
        self.large = bytes(MEBIBYTE)
        self.db.put(b"\xff large", self.large)
        with self.db.batch() as batch:
            for number in range(100):
                batch.put("default", b"%d" % number, b"v")

    def close(self) -> None:
        self.db.close()
        self.synced.close()

    def call_open_and_close(self) -> None:
        opendb.open(self.path).close()

    def call_open_and_drop(self) -> None:
        opendb.open(self.path)

    def call_flush(self) -> None:
        self.db.flush()

    def call_stats(self) -> None:
        self.db.stats()

    def call_keyspace(self) -> None:
        self.db.keyspace("other")

    def call_commit(self) -> None:
        self.db.begin_transaction().commit()

    def call_commit_of_a_batch(self) -> None:
        self.db.batch().commit()

    def call_transact(self) -> None:
        self.db.transact(lambda transaction: None)

    def call_put_with_sync(self) -> None:
        self.db.put(b"k", b"v", durability="sync")

    def call_put_of_a_sync_database(self) -> None:
        self.synced.put(b"k", b"v")

    def call_put_of_a_sync_keyspace(self) -> None:
        self.synced.keyspace("default").put(b"k", b"v")

    def call_delete_with_sync(self) -> None:
        self.db.delete(b"k", durability="sync")

    def call_delete_of_a_sync_database(self) -> None:
        self.synced.delete(b"k")

    def call_put_of_a_large_value(self) -> None:
        self.db.put(b"\xff large", self.large)

    def call_get_of_a_large_value(self) -> None:
        self.db.get(b"\xff large")

    def call_long_scan(self) -> None:
        self.db.scan_prefix(b"")

    def call_long_iterator(self) -> None:
        list(self.db.iter_keys())


@pytest.mark.parametrize("name", [name for name in vars(Blocking) if name.startswith("call_")])
def test_the_interpreter_is_given_up(tmp_path: Path, name: str) -> None:
    blocking = Blocking(tmp_path / "db")
    call = getattr(blocking, name)
    deadline = time.monotonic() + 60
    with waiting_thread() as ran:
        # A call that does not have to wait may have the interpreter back before the other thread wakes up.
        while not ran and time.monotonic() < deadline:
            call()
        assert ran, f"{name} never gave up the interpreter"
    blocking.close()


@pytest.mark.skipif(not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="there is no lock to keep")
def test_the_interpreter_is_kept_for_short_calls(db: opendb.OpenDB) -> None:
    db.put(b"k", b"v")
    keyspace, snapshot, transaction = db.keyspace("other"), db.snapshot(), db.begin_transaction()
    with waiting_thread() as ran:
        for _ in range(200):
            db.put(b"k", b"v")
            db.get(b"k")
            db.exists(b"k")
            db.delete(b"absent")
            db.scan_prefix(b"k")
            list(db.iter_keys(b"k", limit=1))
            keyspace.put(b"k", b"v")
            snapshot.get(b"k")
            transaction.get("default", b"k")
            transaction.put("default", b"k", b"v")
        assert not ran, "a call of a microsecond gave up the interpreter"


def interrupted(*calls: Iterator[object]) -> list[object]:
    """What a chain of iterators in C gave before Ctrl-C, which arrives at its start, was noticed. The bytecode loop,
    which looks at signals too, does not run in between."""
    given: list[object] = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            given.extend(itertools.chain(map(_thread.interrupt_main, [signal.SIGINT]), *calls))
    finally:
        signal.signal(signal.SIGINT, before)
    assert given[0] is None
    return given[1:]


def test_a_long_scan_can_be_interrupted(db: opendb.OpenDB) -> None:
    with db.batch() as batch:
        for number in range(2000):
            batch.put("default", b"%04d" % number, b"v")
    assert len(interrupted(db.iter())) < 2000
    assert len(interrupted(db.iter_keys())) < 2000
    assert interrupted(map(db.scan_prefix, [b""])) == []
    keys = db.iter_keys()
    given = interrupted(keys)
    assert [*given, *keys] == list(db.iter_keys()), "nothing is lost: the iterator goes on where it was"


def test_transact_can_be_interrupted(db: opendb.OpenDB) -> None:
    work: Callable[[opendb.Transaction], object] = operator.methodcaller("put", "default", b"k", b"v")
    assert interrupted(map(db.transact, [work])) == []
    assert db.get(b"k") is None
    db.transact(work)
    assert db.get(b"k") == b"v"
