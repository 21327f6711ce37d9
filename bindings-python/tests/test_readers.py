"""Handles that only read, beside a writer in this process or in another, which may be killed."""

import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import opendb
import pytest
from children import in_child

ACCOUNTS = 20


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@contextmanager
def beside(work: Callable[[], object]) -> Iterator[None]:
    """Does something again and again in a thread of its own."""
    over = threading.Event()

    def repeat() -> None:
        while not over.is_set():
            work()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_one_that_reads_beside_one_that_writes_in_one_process(tmp_path: Path) -> None:
    with opendb.open(tmp_path) as db, opendb.open(tmp_path) as same:
        with opendb.open(tmp_path, read_only=True) as reading, opendb.open(tmp_path, read_only=True) as other:
            for number in range(100):
                db.put(b"key", b"%d" % number)
                assert same.get(b"key") == b"%d" % number
                same.put(b"other", b"%d" % number)
                assert db.get(b"other") == b"%d" % number
                reading.refresh()
                # Both are on one engine.
                assert reading.get(b"key") == other.get(b"other") == b"%d" % number
            with pytest.raises(opendb.ReadOnlyError):
                reading.put(b"key", b"value")
            db.close()
            same.put(b"key", b"goes on")
            same.close()
            reading.refresh()
            assert reading.get(b"key") == b"goes on"
            with opendb.open(tmp_path) as again:
                again.put(b"key", b"again")
            reading.refresh()
            assert other.get(b"key") == b"again"


def test_a_parents_reader_is_refused_in_the_child_and_one_of_its_own_follows(tmp_path: Path) -> None:
    with opendb.open(tmp_path) as db, opendb.open(tmp_path, read_only=True) as reading:
        db.put(b"key", b"value")
        reading.refresh()
        iterator, snapshot, transaction = reading.iter(), reading.snapshot(), reading.begin_transaction()
        for call in (
            lambda: reading.get(b"key"),
            reading.refresh,
            reading.close,
            lambda: next(iterator),
            lambda: snapshot.get(b"key"),
            lambda: transaction.get("default", b"key"),
        ):
            assert isinstance(in_child(call), opendb.ForkedError)

        def read_beside_the_parent() -> None:
            with opendb.open(tmp_path, read_only=True) as own:
                assert own.get(b"key") == b"value"
                with pytest.raises(opendb.LockedError, match=f"process {os.getppid()}"):
                    opendb.open(tmp_path)

        assert in_child(read_beside_the_parent) is None
        db.put(b"key", b"later")
        reading.refresh()
        assert (reading.get(b"key"), snapshot.get(b"key"), list(iterator)) == (b"later", b"value", [(b"key", b"value")])


TRIES_TO_WRITE = """
import sys, opendb
try:
    opendb.open(sys.argv[1])
except opendb.LockedError as error:
    print(error)
"""


def test_what_a_child_closes_and_drops_stays_the_parents(tmp_path: Path) -> None:
    with opendb.open(tmp_path) as db, opendb.open(tmp_path, read_only=True) as reading:
        with db.batch() as batch:
            for number in range(1000):
                batch.put("default", b"%03d" % number, b"value")
        reading.refresh()
        # Nothing else refers to them: the child drops the last reference.
        transactions = [db.begin_transaction(), reading.begin_transaction()]
        transactions[0].put("default", b"key", b"value")
        scans = [each.iter() for each in (db, reading, db.snapshot(), reading.snapshot())]
        firsts = [next(each) for each in scans]
        others = [db.batch(), db.snapshot(), reading.snapshot(), db.keyspace("default")]

        def close_and_drop() -> None:
            for each in (db, reading):
                with pytest.raises(opendb.ForkedError):
                    each.close()
            scans[0].close()
            for kept in (transactions, scans, others):
                kept.clear()
            gc.collect()

        for _ in range(3):
            assert in_child(close_and_drop) is None
            command = [sys.executable, "-c", TRIES_TO_WRITE, str(tmp_path)]
            refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
            assert f"process {os.getpid()}" in refused.stdout, "the parent has its lock"
        assert [len(list(each)) for each in scans] == [999] * len(firsts)
        for transaction in transactions:
            transaction.commit()
        reading.refresh()
        assert reading.get(b"key") == b"value"
        assert db.verify().violations == reading.verify().violations == ()


def follow(path: Path) -> None:
    """Reads without a refresh until many commits have come: whole ones only, and none before an earlier one."""
    signal.alarm(60)
    with opendb.open(path, read_only=True) as db:
        changes, last = 0, -1
        while changes < 50:
            with db.snapshot() as snapshot:
                states = [[snapshot.get(b"one"), snapshot.get(b"other")]]
            states.append(db.get_many([b"other", b"one"]))
            states.append([value for _, value in db.iter(b"o")])
            for one, other in states:
                assert one is not None and one == other
                assert int(one) >= last
                changes += int(one) > last
                last = int(one)
    signal.alarm(0)


@contextmanager
def commits(db: opendb.OpenDB) -> Iterator[None]:
    """Commits the next number under two keys, again and again."""
    numbers = iter(range(1 << 62))

    def commit() -> None:
        number = b"%d" % next(numbers)
        with db.transaction() as transaction:
            transaction.put("default", b"one", number)
            transaction.put("default", b"other", number)
        if int(number) % 1000 == 999:
            db.compact()

    commit()
    with beside(commit):
        yield


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_follow_by_themselves(tmp_path: Path, method: str) -> None:
    # A fork is made before there are threads that it would not have: those of the parent that write.
    with opendb.open(tmp_path) as db, multiprocessing.get_context(method).Pool(2) as pool, commits(db):
        pool.map_async(follow, [tmp_path] * 4, chunksize=1).get(60)


# The thread may be in the middle of a commit when the child is made.
def test_a_child_follows_by_itself_what_a_thread_of_its_parent_writes(tmp_path: Path) -> None:
    with opendb.open(tmp_path, segment_bytes=opendb.SEGMENT_BYTES_MIN) as db, commits(db):
        for _ in range(5):
            assert in_child(lambda: follow(tmp_path)) is None


class Samples:
    """A data set as the loaders of training frameworks take it, opened by the first item that it is asked for or before."""

    def __init__(self, path: Path) -> None:
        """Opens nothing yet."""
        self.path = path
        self.opened: opendb.OpenDB | None = None

    @property
    def db(self) -> opendb.OpenDB:
        if self.opened is None:
            self.opened = opendb.open(self.path, read_only=True)
        return self.opened

    def __len__(self) -> int:
        return len(self.db)

    def __getitem__(self, index: int) -> bytes:
        value = self.db.get(b"%d" % index)
        if value is None:
            raise IndexError(index)
        return value


def overwrites(db: opendb.OpenDB, count: int) -> Callable[[], None]:
    """What gives each item of a data set a new value, which tells its index many times."""
    versions = iter(range(1 << 62))

    def write() -> None:
        version = next(versions)
        for index in range(count):
            db.put(b"%d" % index, b"%d %d;" % (index, version) * 50)
        db.compact()

    return write


def index_of(value: bytes) -> int:
    """The index that a whole value has."""
    parts = value.split(b";")
    assert parts == [parts[0]] * 50 + [b""]
    return int(parts[0].split()[0])


def load(samples: Samples, first: int, step: int) -> list[bytes]:
    return [samples[index] for index in range(first, len(samples), step)]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_eight_workers_load_a_data_set_while_it_is_written(tmp_path: Path, method: str) -> None:
    count, workers = 2000, 8
    with opendb.open(tmp_path) as db:
        write = overwrites(db, count)
        write()
        # Made before the thread is: a fork has no other threads of its parent, and is warned of where there are some.
        samples = Samples(tmp_path)
        assert len(samples) == count, "it is open, and pickled as it is"
        context = multiprocessing.get_context(method)
        with context.Pool(workers) as pool, beside(write):
            for _ in range(3):
                loads = [(samples, first, workers) for first in range(workers)]
                for first, part in enumerate(pool.starmap_async(load, loads).get(60)):
                    assert [index_of(value) for value in part] == list(range(first, count, workers))
        samples.db.close()


given: list[Samples] = []


def give(samples: Samples) -> None:
    """What a worker of a loader begins with."""
    given.append(samples)


def item(index: int) -> tuple[int, bytes]:
    (samples,) = given
    return len(samples), samples[index]


def test_eight_workers_each_open_a_data_set_with_their_first_item(tmp_path: Path) -> None:
    count, workers = 1000, 8
    indices = list(range(count))
    with opendb.open(tmp_path) as db:
        write = overwrites(db, count)
        write()
        context = multiprocessing.get_context("spawn")
        with context.Pool(workers, give, (Samples(tmp_path),)) as pool, beside(write):
            for _ in range(3):
                random.shuffle(indices)
                items = pool.map_async(item, indices, chunksize=10).get(60)
                assert [length for length, _ in items] == [count] * count
                assert [index_of(value) for _, value in items] == indices


# A process that waits for anything for longer than a minute is ended, and whoever waits for it with it.
WRITES = """
import random, signal, sys, opendb
signal.alarm(60)
path, seed, accounts = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
generator = random.Random(seed)
db = opendb.open(path, segment_bytes=65536, lock_timeout=60)

def number(transaction, key):
    return int(transaction.get("default", key) or 0)

def move(transaction):
    amount = generator.randrange(100)
    source, target = generator.sample(range(accounts), 2)
    for account, change in ((source, -amount), (target, amount)):
        key = b"account %d" % account
        transaction.put("default", key, b"%d" % (number(transaction, key) + change))
    count = number(transaction, b"count") + 1
    transaction.put("default", b"count", b"%d" % count)
    return count

while True:
    signal.alarm(60)
    print(db.transact(move), flush=True)
    if generator.random() < 0.01:
        db.compact()
"""

# What was acknowledged comes in eight bytes each time. It is read before the refresh, so what is seen may not be behind it.
READS = """
import os, select, signal, sys, opendb
signal.alarm(60)
db = opendb.open(sys.argv[1], read_only=True)
acknowledged = seen = looks = 0
over = False
while not over:
    signal.alarm(60)
    if select.select([0], [], [], 0)[0]:
        told = os.read(0, 65536)
        over = told == b""
        acknowledged = max(acknowledged, int.from_bytes(told[-8:], "little"))
    db.refresh()
    with db.snapshot() as snapshot:
        total = sum(int(value) for _, value in snapshot.iter(b"account "))
        count = int(snapshot.get(b"count") or 0)
    assert total == 0, f"{total} in all accounts together"
    assert count >= acknowledged, f"{count} behind {acknowledged}, which was acknowledged"
    assert count >= seen, f"{count} behind {seen}, which was seen before"
    seen = count
    looks += 1
print(looks, seen)
"""


class Writer:
    """A process that moves amounts between accounts, and the last commit that it has acknowledged."""

    def __init__(self, path: Path, seed: int, acknowledged: int) -> None:
        """Starts the process, and waits for its first commit."""
        arguments = [str(path), str(seed), str(ACCOUNTS)]
        self.process = subprocess.Popen([sys.executable, "-c", WRITES, *arguments], stdout=subprocess.PIPE, text=True)
        self.acknowledged = int(line(self.process))
        # One more may have been committed than was acknowledged before the kill.
        assert self.acknowledged in (acknowledged + 1, acknowledged + 2)
        self.thread = threading.Thread(target=self.listen)
        self.thread.start()

    def listen(self) -> None:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            # A line that the kill has cut is no number of a commit.
            if text.endswith("\n"):
                self.acknowledged = int(text)

    def kill(self) -> int:
        self.process.kill()
        assert self.process.wait(timeout=60) == -signal.SIGKILL
        self.thread.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.acknowledged


class Reader:
    """A process that looks again and again at what a writer does, and ends by itself where something is wrong."""

    def __init__(self, path: Path) -> None:
        """Starts the process."""
        command = [sys.executable, "-c", READS, str(path)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def tell(self, acknowledged: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(acknowledged.to_bytes(8, "little"))

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=60)
        assert self.process.returncode == -signal.SIGKILL

    def end(self) -> tuple[int, int]:
        """How often it has looked, and the last count that it has seen."""
        printed, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0
        looks, seen = map(int, printed.split())
        return looks, seen


def test_a_killed_writer_leaves_its_readers_and_they_follow_the_next(tmp_path: Path) -> None:
    writer = Writer(tmp_path, 1, 0)
    try:
        with opendb.open(tmp_path, read_only=True) as reading:
            for seed in range(2, 5):
                acknowledged = writer.kill()
                reading.refresh()
                count = int(reading.get(b"count") or 0)
                assert count in (acknowledged, acknowledged + 1)
                assert len(list(reading.iter(b"account "))) > 0
                writer = Writer(tmp_path, seed, acknowledged)
                reading.refresh()
                assert int(reading.get(b"count") or 0) > count
    finally:
        writer.kill()


# Readers look while the writer is killed and while the next one recovers, and are killed in the middle of looking.
def test_readers_beside_a_writer_any_of_which_is_killed(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    generator = random.Random(seed)
    writer = Writer(tmp_path, seed, 0)
    readers: list[Reader] = []
    try:
        for step in range(200):
            time.sleep(generator.uniform(0, 0.05))
            chosen = generator.random()
            if chosen < 0.1:
                writer = Writer(tmp_path, seed + step, writer.kill())
            elif chosen < 0.2 and readers:
                readers.pop(generator.randrange(len(readers))).kill()
            elif chosen < 0.5 and len(readers) < 4:
                readers.append(Reader(tmp_path))
            for reader in readers:
                reader.tell(writer.acknowledged)
        readers.append(Reader(tmp_path))
        while readers:
            acknowledged = writer.acknowledged
            reader = readers[-1]
            reader.tell(acknowledged)
            looks, seen = reader.end()
            assert looks > 0 and seen >= acknowledged
            readers.pop()
    finally:
        writer.kill()
        for reader in readers:
            reader.process.kill()
            reader.process.communicate(timeout=60)
    with opendb.open(tmp_path) as db:
        assert int(db.get(b"count") or 0) >= writer.acknowledged
        assert db.verify().violations == ()
