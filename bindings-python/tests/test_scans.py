"""Iterators: lazy, of one moment, and harmless in whatever order things are closed and dropped."""

import ctypes
import gc
import resource
from collections.abc import Callable
from pathlib import Path

import opendb
import pytest

# More than several of the growing batches in which entries are fetched.
MANY = 3000


def key(number: int) -> bytes:
    return b"key:%08d" % number


@pytest.fixture
def many(db: opendb.OpenDB) -> opendb.OpenDB:
    with db.batch() as batch:
        for number in reversed(range(MANY)):
            batch.put("default", key(number), b"%d" % number)
    return db


Scan = Callable[[opendb.OpenDB], opendb.Iter | opendb.Keys]
SCANS: list[Scan] = [lambda db: db.iter(), lambda db: db.iter_keys(), lambda db: db.snapshot().iter()]


def test_every_entry_once_and_in_order(many: opendb.OpenDB) -> None:
    expected = [(key(number), b"%d" % number) for number in range(MANY)]
    assert list(many.iter()) == expected == many.scan_prefix(b"key:")
    assert list(many.iter_keys()) == [entry[0] for entry in expected]
    assert list(many.iter(reverse=True)) == expected[::-1]
    assert list(many.begin_transaction().iter("default")) == expected


@pytest.mark.parametrize("limit", [1, 3, 4, 5, 12, 13, 500, MANY, MANY + 1])
def test_limits_around_the_batches(many: opendb.OpenDB, limit: int) -> None:
    assert list(many.iter_keys(limit=limit)) == [key(number) for number in range(min(limit, MANY))]


def test_large_entries_end_a_batch_early(db: opendb.OpenDB) -> None:
    for number in range(20):
        db.put(key(number), bytes([number]) * 300_000)
    assert [value[0] for _, value in db.iter()] == list(range(20))


def test_an_iterator_is_its_own_iterator_and_stays_at_its_end(many: opendb.OpenDB) -> None:
    for scan in SCANS:
        entries = scan(many)
        assert iter(entries) is entries
        assert len(list(entries)) == MANY
        for _ in range(3):
            assert next(entries, None) is None


def test_one_moment(many: opendb.OpenDB) -> None:
    entries = many.iter()
    first = next(entries)
    many.put(key(1), b"changed")
    many.delete(key(MANY - 1))
    many.put(b"key:added", b"v")
    assert [first, *entries] == [(key(number), b"%d" % number) for number in range(MANY)]


def test_resuming(many: opendb.OpenDB) -> None:
    seen: list[bytes] = []
    while page := list(many.iter_keys(start_after=seen[-1] if seen else None, limit=700)):
        seen += page
    assert seen == [key(number) for number in range(MANY)]


@pytest.mark.parametrize("consumed", [0, 1, 4, 20, MANY - 1])
@pytest.mark.parametrize("scan", SCANS)
def test_closing_the_database_ends_iterators(many: opendb.OpenDB, scan: Scan, consumed: int) -> None:
    entries = scan(many)
    for _ in range(consumed):
        next(entries)
    many.close()
    for _ in range(2):
        with pytest.raises(opendb.ClosedError):
            next(entries)


@pytest.mark.parametrize("scan", SCANS)
def test_closing_an_iterator(many: opendb.OpenDB, scan: Scan) -> None:
    entries = scan(many)
    next(entries)
    entries.close()
    entries.close()
    assert next(entries, None) is None
    assert many.get(key(0)) == b"0"


@pytest.mark.parametrize("end", ["exhaust", "close", "drop"])
@pytest.mark.parametrize("scan", SCANS)
def test_snapshots_are_released(many: opendb.OpenDB, scan: Scan, end: str) -> None:
    before = many.stats().snapshots
    entries = scan(many)
    next(entries)
    assert many.stats().snapshots > before
    if end == "exhaust":
        list(entries)
    elif end == "close":
        entries.close()
    else:
        del entries
    assert many.stats().snapshots == before


def test_snapshots_of_snapshots_and_transactions_are_released(many: opendb.OpenDB) -> None:
    before = many.stats().snapshots
    with many.snapshot() as snapshot:
        assert many.stats().snapshots > before
    assert many.stats().snapshots == before
    with many.transaction() as transaction:
        assert many.stats().snapshots > before
    assert many.stats().snapshots == before
    many.transact(lambda transaction: None)
    assert many.stats().snapshots == before
    assert (snapshot, transaction) is not None


# What was read ahead and not handed out stayed in memory for as long as somebody had the iterator, and so did the writes
# of transactions and batches.
def test_closing_the_database_frees_what_its_objects_hold(tmp_path: Path) -> None:
    db = opendb.open(tmp_path)
    value = bytes(200 << 10)
    for number in range(40):
        db.put(key(number), value)
    scans = [scan(db) for scan in SCANS for _ in range(100)]
    transactions, batches = [db.begin_transaction() for _ in range(50)], [db.batch() for _ in range(50)]
    for entries in scans:
        next(entries)
    for transaction, batch in zip(transactions, batches, strict=True):
        transaction.put("default", b"k", value)
        batch.put("default", b"k", value)
    before = resident_bytes()
    db.close()
    freed = before - resident_bytes()
    # Each of 200 iterators over entries had at least one of them read ahead; each of the others one write.
    assert freed > 40 << 20, f"only {freed} bytes were freed"
    for late in scans:
        with pytest.raises(opendb.ClosedError):
            next(late)
    for transaction, batch in zip(transactions, batches, strict=True):
        with pytest.raises(opendb.ClosedError):
            transaction.commit()
        with pytest.raises(opendb.ClosedError):
            len(batch)


def resident_bytes() -> int:
    """Bytes of memory that the process has, without what the C library keeps of what was freed."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_iterators_keep_the_database_open(tmp_path: Path) -> None:
    db = opendb.open(tmp_path)
    for number in range(100):
        db.put(key(number), b"v")
    entries, keys, snapshot = db.iter(), db.iter_keys(), db.snapshot()
    transaction, batch, keyspace = db.begin_transaction(), db.batch(), db.keyspace("other")
    del db
    gc.collect()
    assert len(list(entries)) == len(list(keys)) == 100
    assert snapshot.get(key(0)) == b"v"
    transaction.put("default", b"transaction", b"v")
    transaction.commit()
    batch.put("default", b"batch", b"v")
    batch.commit()
    keyspace.put(b"k", b"v")
    with opendb.open(tmp_path) as again:
        assert again.get(b"transaction") == again.get(b"batch") == b"v"
        assert again.keyspace("other").get(b"k") == b"v"


@pytest.mark.parametrize("closed", [False, True])
def test_collected_in_any_order(tmp_path: Path, closed: bool) -> None:
    for rotation in range(6):
        db = opendb.open(tmp_path)
        db.put(b"k", b"v")
        things: list[object] = [
            db.iter(),
            db.iter_keys(),
            db.begin_transaction(),
            db.batch(),
            db.snapshot(),
            db.keyspace("other"),
        ]
        # A cycle, so that the garbage collector and not the reference count drops them.
        cycle: list[object] = [*things[rotation:], db, *things[:rotation]]
        cycle.append(cycle)
        if closed:
            db.close()
        del db, things, cycle
        gc.collect()
    with opendb.open(tmp_path) as again:
        assert again.get(b"k") == b"v"
        assert again.stats().snapshots == 0


def test_an_iterator_in_a_cycle_of_a_subclass(tmp_path: Path) -> None:
    class Cached(opendb.OpenDB):
        entries: opendb.Iter
        me: object

    db = Cached(tmp_path)
    db.put(b"k", b"v")
    db.entries, db.me = db.iter(), db
    del db
    gc.collect()
    with opendb.open(tmp_path) as again:
        assert again.stats().snapshots == 0


def test_entries_of_every_length_around_what_is_packed_come_as_they_were_put(db: opendb.OpenDB) -> None:
    lengths = [0, 1, 4091, 4092, 4093, 8192, 1 << 20, 5, 300_000, 0, 4092]
    entries = [(b"key%02d" % number, bytes([number]) * length) for number, length in enumerate(lengths)]
    for key, value in entries:
        db.put(key, value)
    assert list(db.iter()) == entries
    assert db.scan_prefix(b"key") == entries
    assert list(db.iter_keys()) == [key for key, _ in entries]
