"""The child of a fork: the parent's database is the parent's, and what the child does of its own is not disturbed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import opendb
import pytest
from children import in_child


@pytest.fixture
def many(db: opendb.OpenDB) -> opendb.OpenDB:
    with db.batch() as batch:
        for number in range(1000):
            batch.put("default", b"%04d" % number, b"v")
    return db


def test_calls_in_the_child_are_refused(db: opendb.OpenDB) -> None:
    transaction, batch, snapshot, keyspace = db.begin_transaction(), db.batch(), db.snapshot(), db.keyspace("other")
    calls: list[Callable[[], object]] = [
        lambda: db.get(b"k"),
        lambda: db.put(b"k", b"v"),
        lambda: db.iter(),
        lambda: db.transact(lambda transaction: None),
        lambda: db.close(),
        lambda: db.__enter__(),
        lambda: keyspace.get(b"k"),
        lambda: transaction.get("default", b"k"),
        lambda: transaction.put("default", b"k", b"v"),
        lambda: transaction.__enter__(),
        lambda: transaction.commit(),
        lambda: batch.put("default", b"k", b"v"),
        lambda: batch.__enter__(),
        lambda: batch.commit(),
        lambda: snapshot.get(b"k"),
        lambda: snapshot.__enter__(),
    ]
    for call in calls:
        assert isinstance(in_child(call), opendb.ForkedError)


# Leaving a block in the child raised ForkedError, in place of whatever had ended the block: also of the SystemExit with
# which a child ends.
def test_leaving_a_block_in_the_child_raises_nothing(db: opendb.OpenDB) -> None:
    def leave(block: opendb.OpenDB | opendb.Transaction | opendb.Batch | opendb.Snapshot) -> None:
        block.__exit__(None, None, None)

    blocks = (db.begin_transaction(), db.batch(), db.snapshot(), db)
    for block in blocks:
        assert in_child(lambda: leave(block)) is None
        raised = in_child(lambda: block.__exit__(SystemExit, SystemExit(3), None))
        assert raised is None
    db.put(b"k", b"v")
    assert db.get(b"k") == b"v", "the parent goes on"


ENDS_INSIDE = """
import os, sys, opendb
path = sys.argv[1]
with opendb.open(path) as db, db.transaction() as transaction, db.snapshot(), db.batch() as batch:
    transaction.put("default", b"transaction", b"v")
    batch.put("default", b"batch", b"v")
    child = os.fork()
    if child == 0:
        sys.exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
with opendb.open(path) as db:
    print(list(db.iter_keys()))
"""


def test_a_child_that_ends_inside_the_blocks(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", ENDS_INSIDE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[b'batch', b'transaction']\n", ""), "the parent has committed both"


# The child was given the rest of the page that the parent had read ahead, and only then ForkedError.
@pytest.mark.parametrize("consumed", [0, 1, 4, 5, 20])
def test_an_iterator_is_refused_at_its_first_step_in_the_child(many: opendb.OpenDB, consumed: int) -> None:
    for scan in (many.iter(), many.iter_keys(), many.snapshot().iter(), many.begin_transaction().iter_keys("default")):
        for _ in range(consumed):
            next(scan)
        assert isinstance(in_child(lambda: next(scan)), opendb.ForkedError)
        assert in_child(scan.close) is None
        assert len(list(scan)) == 1000 - consumed, "the parent's iterator goes on"


def test_closing_in_the_child_does_not_close_its_iterators(many: opendb.OpenDB) -> None:
    keys = many.iter_keys()
    next(keys)

    def work() -> None:
        with pytest.raises(opendb.ForkedError):
            many.close()
        next(keys)

    assert isinstance(in_child(work), opendb.ForkedError), "and not ClosedError"


CHILD_OPENS = """
import os, signal, sys, opendb
ours, theirs = sys.argv[1:]
db = opendb.open(ours)
for number in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        with opendb.open(theirs) as own:
            own.put(b"k", b"%d" % number, durability="sync")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    db.put(b"k", b"v")
print(opendb.open(theirs).get(b"k"))
"""


# A lock of the background's threads, which a child does not have, made the child wait for them for ever.
def test_a_child_opens_a_database_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", CHILD_OPENS, str(tmp_path / "ours"), str(tmp_path / "theirs")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("b'19'\n", "")


ORPHAN = """
import os, sys, time, opendb
db = opendb.open(sys.argv[1])
if os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
os._exit(0)
"""


# A child that outlived its parent held the lock in the dead parent's name.
def test_a_child_that_outlives_its_parent_does_not_keep_the_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", ORPHAN, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as parent:
        assert parent.wait(timeout=60) == 0
        with opendb.open(tmp_path) as db:
            db.put(b"k", b"v")


DROPS_THE_PARENTS = """
import os, signal, sys, opendb
ours, theirs = sys.argv[1:]
for number in range(20):
    db = opendb.open(ours)
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        own = opendb.open(theirs)
        del db
        own.put(b"k", b"%d" % number)
        own.close()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    db.close()
print(opendb.open(theirs).get(b"k"))
"""


# The handles of the parent's threads, dropped in the child, were those of the child's own threads by number, and its
# close failed.
def test_a_child_that_drops_the_parents_database_closes_its_own(tmp_path: Path) -> None:
    command = [
        sys.executable, "-W", "ignore", "-c", DROPS_THE_PARENTS, str(tmp_path / "ours"), str(tmp_path / "theirs"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("b'19'\n", "")
