"""opendb.aio: the same calls awaited, and what cancellations leave."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import opendb
import opendb.aio
import pytest


def test_the_calls(tmp_path: Path) -> None:
    async def main() -> None:
        async with opendb.aio.open(tmp_path) as db:
            await db.put(b"user:1", b"Ada", "sync")
            await db.put_many({b"user:2": b"Bob", b"z": b""})
            assert await db.get(b"user:1") == b"Ada"
            assert await db.get_many([b"z", b"absent"]) == [b"", None]
            assert await db.exists(b"z")
            assert await db.scan_prefix(b"user:") == [(b"user:1", b"Ada"), (b"user:2", b"Bob")]
            assert [key async for key in db.iter_keys()] == [b"user:1", b"user:2", b"z"]
            assert [entry async for entry in db.iter(b"user:", reverse=True, limit=1)] == [(b"user:2", b"Bob")]
            assert len(db) == 3
            assert await db.compare_and_swap(b"z", b"", b"zebra")
            assert (await db.take(b"z"), await db.take(b"z")) == (b"zebra", None)
            assert (await db.increment(b"n"), await db.increment(b"n", 41)) == (1, 42)
            assert await db.setdefault(b"new", b"1") == b"1"
            view = await db.get_view(b"new")
            assert view is not None
            assert bytes(view) == b"1"
            other = await db.keyspace("other", compression="lz4")
            await other.put(b"k", b"v")
            async with await db.snapshot() as snapshot:
                await db.delete(b"user:1")
                await other.clear()
                assert await snapshot.get(b"user:1") == b"Ada"
                of_other = await snapshot.keyspace("other")
                assert [entry async for entry in of_other.iter()] == [(b"k", b"v")]
            async with db.batch() as batch:
                batch.put("other", b"a", b"1")
                batch.delete("default", b"new")
            assert (len(other), other.name, await db.keyspaces()) == (1, "other", ["default", "other"])
            await db.flush()
            await db.refresh()
            assert (await db.stats()).keys == 3
            assert (await db.verify()).violations == ()
            await db.compact()
            assert (await db.backup(tmp_path.with_name("backup"))).sequence > 0
            assert db.sync.get(b"user:2") == b"Bob"
        with pytest.raises(opendb.ClosedError):
            await db.get(b"user:2")
        await db.close()

    asyncio.run(main())


def test_transactions(tmp_path: Path) -> None:
    async def main() -> None:
        db = await opendb.aio.open(tmp_path)

        async def add(transaction: opendb.aio.Transaction) -> int:
            found = await transaction.get("default", b"n")
            number = int(found or b"0") + 1
            await transaction.put("default", b"n", b"%d" % number)
            return number

        sums = await asyncio.gather(*(db.transact(add) for _ in range(50)))
        assert sorted(sums) == list(range(1, 51))
        with pytest.raises(ZeroDivisionError):
            async with db.transaction() as transaction:
                await transaction.put("default", b"n", b"0")
                1 / 0  # noqa: B018
        with pytest.raises(opendb.TransactionError):
            async with db.transaction("sync") as transaction:
                await add(transaction)
                await db.put(b"n", b"7")
        tries = 0

        async def never(transaction: opendb.aio.Transaction) -> None:
            nonlocal tries
            tries += 1
            await add(transaction)
            await db.put(b"n", b"%d" % (100 + tries))

        with pytest.raises(opendb.TransactionError):
            await db.transact(never, retries=2)
        assert (tries, await db.get(b"n")) == (3, b"103")
        begun = await db.begin_transaction()
        assert await begun.exists("default", b"n")
        assert await begun.get_many("default", [b"n"]) == [b"103"]
        await begun.delete("default", b"n")
        assert await begun.scan_prefix("default", b"") == []
        assert [key async for key in begun.iter_keys("default")] == []
        await begun.rollback()
        assert [entry async for entry in (await db.begin_transaction()).iter("default", b"n")] == [(b"n", b"103")]
        await db.close()

    asyncio.run(main())


def test_iterators_of_many_entries(tmp_path: Path) -> None:
    keys = [b"%05d" % number for number in range(3000)]

    async def main() -> None:
        async with opendb.aio.open(tmp_path) as db:
            await db.put_many((key, key) for key in keys)
            assert [key async for key, _ in db.iter()] == keys
            assert (await db.stats()).snapshots == 0
            some = db.iter_keys()
            assert [await anext(some) for _ in range(20)] == keys[:20]
            await some.aclose()
            assert (await db.stats()).snapshots == 0
            assert [key async for key in some] == []
            shared, seen = db.iter_keys(), list[bytes]()

            async def read() -> None:
                async for key in shared:
                    seen.append(key)

            await asyncio.gather(*(read() for _ in range(5)))
            assert sorted(seen) == keys

    asyncio.run(main())


def slowed(db: opendb.aio.OpenDB, call: Callable[[], object]) -> tuple[threading.Event, Callable[[], Awaitable[object]]]:
    """A call that a thread is at until the event is set."""
    go_on = threading.Event()

    def wait() -> object:
        go_on.wait(60)
        return call()

    return go_on, lambda: db._pool.run(wait)


def test_a_cancelled_call_is_over_when_the_cancellation_arrives(tmp_path: Path) -> None:
    async def main() -> None:
        async with opendb.aio.open(tmp_path, threads=1) as db:
            go_on, call = slowed(db, lambda: db.sync.put(b"begun", b"1"))
            begun = asyncio.ensure_future(call())
            queued = asyncio.ensure_future(db.put(b"queued", b"1"))
            await asyncio.sleep(0.05)
            queued.cancel()
            begun.cancel()
            with pytest.raises(asyncio.CancelledError):
                await queued
            await asyncio.sleep(0.05)
            assert not begun.done(), "a thread is at it"
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await begun
            assert db.sync.get_many([b"begun", b"queued"]) == [b"1", None]

    asyncio.run(main())


def test_nothing_that_was_made_is_left_by_a_cancellation(tmp_path: Path) -> None:
    async def main() -> None:
        async with opendb.aio.open(tmp_path) as db:
            await db.put_many((b"%d" % number, b"v") for number in range(1000))
            makers: list[Callable[[], Awaitable[object]]] = [
                db.snapshot,
                db.begin_transaction,
                lambda: anext(db.iter()),
            ]
            for make in makers:
                for rest in (0.0, 0.00002, 0.0001, 0.0005):
                    for _ in range(20):
                        task = asyncio.ensure_future(make())
                        await asyncio.sleep(rest)
                        task.cancel()
                        await asyncio.gather(task, return_exceptions=True)
                        del task
            async with asyncio.timeout(30):
                while (await db.stats()).snapshots > 0:
                    await asyncio.sleep(0.01)

            async def forever() -> None:
                async with db.transaction() as transaction:
                    await transaction.put("default", b"never", b"v")
                    await asyncio.sleep(3600)

            with pytest.raises(TimeoutError):
                await asyncio.wait_for(forever(), 0.05)
            assert not await db.exists(b"never")
            assert (await db.stats()).snapshots == 0

    asyncio.run(main())


def test_a_cancelled_step_loses_no_entry(tmp_path: Path) -> None:
    keys = [b"%05d" % number for number in range(2000)]

    async def main() -> None:
        async with opendb.aio.open(tmp_path) as db:
            await db.put_many((key, b"") for key in keys)
            entries, seen = db.iter_keys(), list[bytes]()
            while True:
                step = asyncio.ensure_future(anext(entries, None))
                if len(seen) % 3 == 0:
                    await asyncio.sleep(0)
                    step.cancel()
                try:
                    key = await step
                except asyncio.CancelledError:
                    key = await anext(entries, None)
                if key is None:
                    break
                seen.append(key)
            assert seen == keys

    asyncio.run(main())


def test_a_compaction_ends_early(tmp_path: Path) -> None:
    async def main() -> None:
        async with opendb.aio.open(tmp_path, segment_bytes=1 << 16) as db:
            for number in range(400):
                await db.put(b"%d" % (number % 50), bytes(5000))
            reports = threading.Event()

            def progress(done: int, total: int) -> None:
                reports.set()
                time.sleep(0.05)

            task = asyncio.ensure_future(db.compact(progress))
            while not (reports.is_set() or task.done()):
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await db.verify()).violations == ()

    asyncio.run(main())


HOLD = """
import sys, opendb
db = opendb.open(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def test_waiting_for_the_lock_can_be_cancelled(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"

    async def main() -> None:
        with pytest.raises(opendb.LockedError):
            await opendb.aio.open(tmp_path, lock_timeout=0.1)
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(opendb.aio.open(tmp_path, lock_timeout=600)._open(), 0.1)
        assert time.monotonic() - begun < 60
        waiting = asyncio.ensure_future(opendb.aio.open(tmp_path, lock_timeout=60)._open())
        await asyncio.sleep(0.1)
        holder.communicate("")
        await (await waiting).close()

    asyncio.run(main())


def test_wrong_arguments(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(TypeError):
            await opendb.aio.open(tmp_path, no_such_setting=True)
        with pytest.raises(opendb.IoError):
            await opendb.aio.open(tmp_path / "missing", create=False)
        async with opendb.aio.open(tmp_path) as db:
            with pytest.raises(TypeError, match="encode it first"):
                await db.put("text", b"v")  # type: ignore[arg-type]

    asyncio.run(main())
