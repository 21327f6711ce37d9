"""Handles that only read, beside a writer in this process or in another, which may be killed."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import opendb
import pytest
from children import in_child

ACCOUNTS = 20


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def tell(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{text}\n")
    process.stdin.flush()


def test_one_that_reads_beside_one_that_writes_in_one_process(tmp_path: Path) -> None:
    with opendb.open(tmp_path) as db, opendb.open(tmp_path) as same:
        with opendb.open(tmp_path, read_only=True) as reading, opendb.open(tmp_path, read_only=True) as other:
            for number in range(100):
                db.put(b"key", b"%d" % number)
                assert same.get(b"key") == b"%d" % number
                reading.refresh()
                # Both are on one engine.
                assert reading.get(b"key") == other.get(b"key") == b"%d" % number
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


class Samples:
    """A data set as the loaders of training frameworks take it."""

    def __init__(self, path: Path) -> None:
        """Opens the database."""
        self.db = opendb.open(path, read_only=True)

    def __len__(self) -> int:
        return len(self.db)

    def __getitem__(self, index: int) -> bytes:
        value = self.db.get(b"%d" % index)
        if value is None:
            raise IndexError(index)
        return value


def load(samples: Samples, first: int, step: int) -> list[bytes]:
    return [samples[index] for index in range(first, len(samples), step)]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_eight_workers_load_a_data_set_while_it_is_written(tmp_path: Path, method: str) -> None:
    count, workers = 2000, 8
    over = threading.Event()
    with opendb.open(tmp_path) as db:
        with db.batch() as batch:
            for index in range(count):
                batch.put("default", b"%d" % index, b"%d 0" % index)

        def write() -> None:
            version = 0
            while not over.is_set():
                version += 1
                for index in range(count):
                    db.put(b"%d" % index, b"%d %d" % (index, version))
                db.compact()

        # Made before the thread is: a fork has no other threads of its parent, and is warned of where there are some.
        samples = Samples(tmp_path)
        context = multiprocessing.get_context(method)
        with context.Pool(workers) as pool:
            thread = threading.Thread(target=write)
            thread.start()
            try:
                for _ in range(3):
                    parts = pool.starmap(load, [(samples, first, workers) for first in range(workers)])
                    for first, part in enumerate(parts):
                        indices = [int(value.split()[0]) for value in part]
                        assert indices == list(range(first, count, workers))
            finally:
                over.set()
                thread.join()
        samples.db.close()


WRITES = """
import random, sys, opendb
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
    print(db.transact(move), flush=True)
    if generator.random() < 0.01:
        db.compact()
"""

READS = """
import sys, opendb
db = opendb.open(sys.argv[1], read_only=True)
for _ in sys.stdin:
    db.refresh()
    with db.snapshot() as snapshot:
        total = sum(int(value) for _, value in snapshot.iter(b"account "))
        print(total, int(snapshot.get(b"count") or 0), flush=True)
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


def test_a_killed_writer_leaves_its_readers_and_they_follow_the_next(tmp_path: Path) -> None:
    writer = Writer(tmp_path, 1, 0)
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
    writer.kill()


def test_readers_beside_a_writer_any_of_which_is_killed(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    told = f"with seed {seed}"
    generator = random.Random(seed)
    writer = Writer(tmp_path, seed, 0)
    readers: list[tuple[subprocess.Popen[str], list[int]]] = []

    def start() -> None:
        command = [sys.executable, "-c", READS, str(tmp_path)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        readers.append((process, [0]))

    def stop(number: int) -> None:
        process, _ = readers.pop(number)
        process.kill()
        process.communicate(timeout=60)

    try:
        for step in range(600):
            chosen = generator.random()
            if chosen < 0.04:
                acknowledged = writer.kill()
                writer = Writer(tmp_path, seed + step, acknowledged)
            elif chosen < 0.1 and readers:
                stop(generator.randrange(len(readers)))
            elif len(readers) < 4 and chosen < 0.3:
                start()
            elif readers:
                process, seen = generator.choice(readers)
                acknowledged = writer.acknowledged
                tell(process, "look")
                total, count = map(int, line(process).split())
                assert total == 0, told
                assert count >= max(acknowledged, seen[0]), told
                seen[0] = count
    finally:
        writer.kill()
        while readers:
            stop(0)
    with opendb.open(tmp_path) as db:
        assert int(db.get(b"count") or 0) >= writer.acknowledged, told
        assert db.verify().violations == []
