"""Whether calls of the package leave anything behind: references, objects of Python, or memory of the extension module.

Every public function is called a million times, those that take long (opening, compaction) less often. Then no more blocks of
Python's allocator may be in use than before, no shared object may have gained references, and the process may not have grown.
`cargo xtask python` runs it; `--calls` sets how often.
"""

import argparse
import copy
import gc
import pickle
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import opendb

KEY = b"key"
VALUE = bytes(range(100))
# What a run may leave, for the noise of the interpreter and of the store's own threads.
BLOCKS_MAX = 200
REFERENCES_MAX = 20
GROWTH_BYTES_MAX = 16 << 20
# What the store does in the background takes memory for a while. A leak grows each time.
TRIES = 4

CLASSES = (
    opendb.OpenDB,
    opendb.Keyspace,
    opendb.Snapshot,
    opendb.Transaction,
    opendb.Batch,
    opendb.Iter,
    opendb.Keys,
    opendb.ValueReader,
    opendb.ValueWriter,
)


@dataclass(frozen=True)
class Call:
    """A function that is called again and again."""

    name: str
    call: Callable[[], object]
    # It is called once where others are called so many times.
    costs: int = 1


@dataclass(frozen=True)
class Left:
    """What was more after the calls than before."""

    blocks: int
    references: int
    growth_bytes: int

    def is_much(self) -> bool:
        return (
            self.blocks > BLOCKS_MAX or self.references > REFERENCES_MAX or self.growth_bytes > GROWTH_BYTES_MAX
        )


def main() -> int:
    parser = argparse.ArgumentParser(description="Whether calls of the package leave anything behind.")
    parser.add_argument("--calls", type=int, default=1_000_000, help="how often each function is called")
    parser.add_argument("--only", default="", help="functions whose name has this in it")
    arguments = parser.parse_args()
    leaking = []
    with tempfile.TemporaryDirectory() as directory, opendb.open(Path(directory) / "db", cache_bytes=0) as db:
        calls = list(all_calls(db, Path(directory)))
        missing = sorted(public_functions() - {call.name for call in calls})
        if missing:
            print(f"never called: {', '.join(missing)}")
            return 1
        for call in calls:
            if arguments.only not in call.name:
                continue
            count = max(arguments.calls // call.costs, 2)
            left = measure(call.call, count)
            for _ in range(TRIES - 1):
                if left.is_much():
                    left = measure(call.call, count)
            print(
                f"{call.name:<40} {count:>8} calls {left.blocks:>6} blocks {left.references:>4} references "
                f"{left.growth_bytes >> 10:>6} KiB",
                flush=True,
            )
            if left.is_much():
                leaking.append(call.name)
    print(f"leaking: {', '.join(leaking)}" if leaking else "nothing leaks")
    return 1 if leaking else 0


def public_functions() -> set[str]:
    return {f"{each.__name__}.{name}" for each in CLASSES for name in vars(each) if not name.startswith("_")}


def measure(call: Callable[[], object], count: int) -> Left:
    """Calls some times, for what is made once, and then so often as is asked."""
    repeat(call, max(count // 10, 1))
    before = Left(sys.getallocatedblocks(), references(), resident_bytes())
    repeat(call, count)
    return Left(
        sys.getallocatedblocks() - before.blocks,
        references() - before.references,
        resident_bytes() - before.growth_bytes,
    )


def repeat(call: Callable[[], object], count: int) -> None:
    for _ in range(count):
        call()
    gc.collect()


def references() -> int:
    """References to what calls are given and give back, and to the classes of what they make."""
    shared: tuple[object, ...] = (None, True, False, b"", 0, 1, KEY, VALUE, *CLASSES, opendb.ClosedError, KeyError, TypeError)
    return sum(sys.getrefcount(each) for each in shared)


def resident_bytes() -> int:
    """Memory that is the process's own: maps of files come and go with the store's segments."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) << 10
    return 0


def caught(call: Callable[[], object], error: type[Exception]) -> Callable[[], object]:
    def catching() -> None:
        try:
            call()
        except error:
            return
        raise AssertionError(f"{error.__name__} was due")

    return catching


def all_calls(db: opendb.OpenDB, directory: Path) -> Iterator[Call]:
    other = db.keyspace("other", compression="lz4")
    for store in (db, other):
        store.put_many((b"%s:%d" % (KEY, number), VALUE) for number in range(10))
        store.put(KEY, VALUE)
        yield from of_store(type(store).__name__, store)
    yield from of_database(db, directory)
    yield Call("Keyspace.name", lambda: other.name)
    yield Call("Keyspace.compression", lambda: other.compression)
    yield from of_snapshot(db)
    yield from of_transaction(db)
    yield from of_iterators(db)
    yield from of_streams(db)


def of_store(name: str, store: opendb.OpenDB | opendb.Keyspace) -> Iterator[Call]:
    def calls() -> Iterator[tuple[str, Callable[[], object]]]:
        yield "keys", lambda: (list(store.keys(KEY)), KEY in store.keys(), len(store.keys()))
        yield "values", lambda: list(store.values(KEY, limit=3))
        yield "items", lambda: (list(store.items(KEY, limit=3)), (KEY, VALUE) in store.items())
        yield "put_many", lambda: store.put_many({KEY: VALUE})
        yield "update", lambda: store.update([(KEY, VALUE)])
        yield "pop", lambda: (store.pop(b"popped", None), store.put(b"popped", VALUE), store.pop(b"popped"))
        yield "popitem", lambda: (store.put(b"a", VALUE), store.popitem())
        yield "setdefault", lambda: (store.setdefault(KEY, VALUE), store.setdefault(b"set", VALUE), store.delete(b"set"))
        yield "put", lambda: store.put(KEY, VALUE)
        yield "get", lambda: (store.get(KEY), store.get(b"absent"), store.get(b"absent", VALUE))
        yield "get_view", lambda: (store.get_view(KEY), store.get_view(b"absent"))
        yield "get_many", lambda: store.get_many([KEY, b"absent", KEY])
        yield "value_reader", lambda: (store.value_reader(KEY), store.value_reader(b"absent"))
        yield "value_writer", lambda: store.value_writer(KEY, len(VALUE)).close()
        yield "delete", lambda: (store.delete(b"absent"), store.put(b"deleted", b""), store.delete(b"deleted"))
        yield (
            "compare_and_swap",
            lambda: (store.compare_and_swap(KEY, VALUE, VALUE), store.compare_and_swap(KEY, None, VALUE)),
        )
        yield "take", lambda: (store.take(b"absent"), store.put(b"taken", VALUE), store.take(b"taken"))
        yield "increment", lambda: store.increment(b"counter")
        yield "exists", lambda: (store.exists(KEY), store.exists(b"absent"))
        yield "scan_prefix", lambda: store.scan_prefix(KEY)
        yield "iter", lambda: list(store.iter(KEY, reverse=True))
        yield "iter_keys", lambda: list(store.iter_keys(KEY, limit=3))
        yield "[]", lambda: (store[KEY], store.__setitem__(b"item", VALUE), store.__delitem__(b"item"), KEY in store)
        yield "[] absent", caught(lambda: store[b"absent"], KeyError)
        yield "a wrong type", caught(lambda: store.get("text"), TypeError)  # type: ignore[call-overload]
        yield "len", lambda: (len(store), list(store)[:1], list(reversed(store))[:1], repr(store))

    for function, call in calls():
        yield Call(f"{name}.{function}", call)
    # Many entries for each call.
    yield Call(f"{name}.clear", lambda: store.clear(), costs=10)
    store.put_many({KEY: VALUE, KEY + b":1": VALUE})


def of_database(db: opendb.OpenDB, directory: Path) -> Iterator[Call]:
    def add(transaction: opendb.Transaction) -> bytes | None:
        transaction.put("default", KEY, VALUE)
        return transaction.get("other", KEY)

    decorated = db.transact()(add)
    yield Call("OpenDB.keyspace", lambda: db.keyspace("other"))
    yield Call("OpenDB.keyspaces", lambda: db.keyspaces())
    yield Call("OpenDB.batch", lambda: db.batch())
    yield Call("OpenDB.write_batch", lambda: db.write_batch())
    yield Call("OpenDB.begin_transaction", lambda: db.begin_transaction())
    yield Call("OpenDB.transaction", lambda: db.transaction())
    yield Call("OpenDB.transact", lambda: (db.transact(add), decorated()))
    yield Call("OpenDB.snapshot", lambda: db.snapshot())
    yield Call("OpenDB.flush", lambda: db.flush(), costs=1000)
    yield Call("OpenDB.refresh", lambda: db.refresh())
    yield Call("OpenDB.stats", lambda: db.stats(), costs=100)
    yield Call("OpenDB.compact", lambda: db.compact(lambda done, total: None), costs=10_000)
    yield Call("OpenDB.verify", lambda: db.verify(), costs=10_000)
    yield Call("OpenDB.path", lambda: db.path)
    yield Call("OpenDB pickled and copied", lambda: (pickle.dumps(db), copy.copy(db)), costs=10)

    def backed_up() -> None:
        db.backup(directory / "backup")
        shutil.rmtree(directory / "backup")

    def salvaged() -> None:
        opendb.OpenDB.salvage(directory / "closed", directory / "salvaged")
        shutil.rmtree(directory / "salvaged")

    def opened() -> None:
        with opendb.open(directory / "closed") as opened:
            opened.put(KEY, VALUE)

    def refused() -> None:
        closed = opendb.open(directory / "closed")
        closed.close()
        caught(lambda: closed.get(KEY), opendb.ClosedError)()

    opened()
    yield Call("OpenDB.backup", backed_up, costs=10_000)
    yield Call("OpenDB.salvage", salvaged, costs=10_000)
    yield Call("OpenDB.close", opened, costs=5000)
    yield Call("OpenDB of which nothing is left", refused, costs=5000)
    read_only = opendb.open(directory / "closed", read_only=True)
    yield Call("OpenDB read only", lambda: read_only.get(KEY))


def of_snapshot(db: opendb.OpenDB) -> Iterator[Call]:
    snapshot = db.snapshot()

    def closed() -> None:
        with db.snapshot() as closing:
            closing.get(KEY)

    yield Call("Snapshot.get", lambda: (snapshot.get(KEY), KEY in snapshot))
    yield Call("Snapshot.get_view", lambda: snapshot.get_view(KEY))
    yield Call("Snapshot.get_many", lambda: snapshot.get_many([KEY, b"absent"]))
    yield Call("Snapshot.value_reader", lambda: snapshot.value_reader(KEY))
    yield Call("Snapshot.exists", lambda: snapshot.exists(KEY))
    yield Call("Snapshot.scan_prefix", lambda: snapshot.scan_prefix(KEY))
    yield Call("Snapshot.iter", lambda: list(snapshot.iter(KEY)))
    yield Call("Snapshot.iter_keys", lambda: list(snapshot.iter_keys(KEY)))
    yield Call("Snapshot.keyspace", lambda: snapshot.keyspace("other"))
    yield Call("Snapshot.close", closed)


def of_transaction(db: opendb.OpenDB) -> Iterator[Call]:
    reading = db.begin_transaction()
    yield Call("Transaction.get", lambda: reading.get("default", KEY))
    yield Call("Transaction.get_many", lambda: reading.get_many("default", [KEY]))
    yield Call("Transaction.exists", lambda: reading.exists("default", KEY))
    yield Call("Transaction.scan_prefix", lambda: reading.scan_prefix("default", b"absent"))
    yield Call("Transaction.iter", lambda: list(reading.iter("default", limit=1)))
    yield Call("Transaction.iter_keys", lambda: list(reading.iter_keys("default", limit=1)))

    def committed() -> None:
        with db.transaction() as transaction:
            transaction.put("default", KEY, VALUE)
            transaction.delete("other", KEY)

    def conflicting() -> None:
        transaction = db.begin_transaction()
        transaction.get("default", KEY)
        db.put(KEY, VALUE)
        transaction.put("default", KEY, VALUE)
        transaction.commit()

    yield Call("Transaction.put", committed)
    yield Call("Transaction.delete", committed)
    yield Call("Transaction.commit", caught(conflicting, opendb.TransactionError))
    yield Call("Transaction.rollback", lambda: db.begin_transaction().rollback())

    def batched() -> None:
        with db.batch() as batch:
            batch.put("default", KEY, VALUE)
            batch.delete("other", KEY)

    yield Call("Batch.put", batched)
    yield Call("Batch.delete", batched)
    yield Call("Batch.commit", lambda: db.batch().commit())


def of_iterators(db: opendb.OpenDB) -> Iterator[Call]:
    def ended(iterator: opendb.Iter | opendb.Keys) -> None:
        next(iterator)
        iterator.close()

    yield Call("Iter.close", lambda: ended(db.iter(KEY)))
    yield Call("Keys.close", lambda: ended(db.iter_keys(KEY)))


def of_streams(db: opendb.OpenDB) -> Iterator[Call]:
    def reader() -> opendb.ValueReader:
        found = db.value_reader(KEY)
        assert found is not None
        return found

    def written() -> None:
        with db.value_writer(b"stream", len(VALUE)) as writer:
            writer.write(VALUE)

    def finished() -> None:
        writer = db.value_writer(b"stream", len(VALUE))
        writer.write(VALUE)
        writer.finish()

    kept, writer = reader(), db.value_writer(b"unfinished", 1)
    buffer = bytearray(10)
    yield Call("ValueReader.read", lambda: reader().read(10))
    yield Call("ValueReader.readall", lambda: reader().readall())
    yield Call("ValueReader.readinto", lambda: reader().readinto(buffer))
    yield Call("ValueReader.seek", lambda: kept.seek(0))
    yield Call("ValueReader.tell", lambda: kept.tell())
    yield Call("ValueReader.length", lambda: kept.length)
    yield Call("ValueReader.readable", lambda: kept.readable())
    yield Call("ValueReader.seekable", lambda: kept.seekable())
    yield Call("ValueReader.writable", lambda: kept.writable())
    yield Call("ValueReader.flush", lambda: kept.flush())
    yield Call("ValueReader.closed", lambda: kept.closed)
    yield Call("ValueReader.close", lambda: reader().close())
    yield Call("ValueWriter.write", written)
    yield Call("ValueWriter.finish", finished)
    yield Call("ValueWriter.tell", lambda: writer.tell())
    yield Call("ValueWriter.length", lambda: writer.length)
    yield Call("ValueWriter.flush", lambda: writer.flush())
    yield Call("ValueWriter.readable", lambda: writer.readable())
    yield Call("ValueWriter.seekable", lambda: writer.seekable())
    yield Call("ValueWriter.writable", lambda: writer.writable())
    yield Call("ValueWriter.closed", lambda: writer.closed)
    yield Call("ValueWriter.close", lambda: db.value_writer(b"closed", 1).close())


if __name__ == "__main__":
    sys.exit(main())
