"""Waiting for another process, and databases that were pickled or copied."""

import copy
import math
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import opendb
import pytest

# Has the database open until a line comes.
HOLDER = """
import sys, opendb
with opendb.open(sys.argv[1]) as db:
    print("open", flush=True)
    sys.stdin.readline()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def test_an_opening_waits_for_another_process(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        began = time.monotonic()
        with pytest.raises(opendb.LockedError, match=f"process {process.pid}"):
            opendb.open(tmp_path, lock_timeout=0.2)
        assert time.monotonic() - began >= 0.2
        assert process.stdin is not None
        ends = threading.Timer(0.2, process.stdin.close)
        ends.start()
        with opendb.open(tmp_path, lock_timeout=math.inf) as db:
            db.put(b"key", b"value")
        ends.join()


def test_ctrl_c_ends_the_wait(tmp_path: Path) -> None:
    # Whoever runs the tests may ignore the signal, and then so does this program unless it says otherwise.
    listens = "import opendb, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{listens}; print('waits', flush=True); opendb.open(sys.argv[1], lock_timeout=600)"
    with holder(tmp_path) as process:
        command = [sys.executable, "-c", program, str(tmp_path)]
        waiting = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "waits\n"
        time.sleep(0.2)
        waiting.send_signal(signal.SIGINT)
        _, error = waiting.communicate(timeout=60)
        assert "KeyboardInterrupt" in error
        process.communicate("\n", timeout=60)


@pytest.mark.parametrize(("timeout", "refused"), [("1", TypeError), (None, TypeError), (-1, ValueError), (math.nan, ValueError)])
def test_a_timeout_is_a_number_of_seconds(tmp_path: Path, timeout: float, refused: type[Exception]) -> None:
    with pytest.raises(refused, match="lock_timeout"):
        opendb.open(tmp_path / "db", lock_timeout=timeout)
    assert not (tmp_path / "db").exists()


class Counted(opendb.OpenDB):
    """A subclass with something of its own."""

    count = 0


def test_what_was_pickled_or_copied_opens_with_its_first_use(tmp_path: Path) -> None:
    path = tmp_path / "db"
    options = {"durability": "sync", "append": "write", "cache_bytes": 4096, "segment_bytes": 1 << 20, "lock_timeout": 0.5}
    db = Counted(path, mapped_reads=False, **options)  # type: ignore[arg-type]
    db.count = 7
    db.put(b"key", b"value")
    pickled = pickle.dumps(db)
    for other in (pickle.loads(pickled), copy.copy(db), copy.deepcopy(db)):
        assert (type(other), other.count, other.path) == (Counted, 7, db.path)
        assert other.get(b"key") == b"value"
        # Another handle on the same engine, which ends with its last one.
        other.put(b"other", b"handle")
        assert db.get(b"other") == b"handle"
        other.close()
        assert db.get(b"key") == b"value"
    db.close()
    assert "closed" in repr(db)
    later = pickle.loads(pickled)
    assert "closed" not in repr(later)
    with later as entered:
        assert entered.stats().append == "write"
        assert pickle.loads(pickle.dumps(later)).__getnewargs_ex__() == later.__getnewargs_ex__()
    assert "closed" in repr(later)
    with pytest.raises(opendb.ClosedError):
        later.get(b"key")


IMPORTS_NOTHING = """
import copyreg, pickle, sys, opendb
with opendb.open(sys.argv[1]) as db:
    before = set(sys.modules)
    pickle.loads(pickle.dumps(db)).get(b"key")
    print(sorted(set(sys.modules) - before))
"""


# A pool pickles in a thread of its own, while another one forks a worker. The path was pickled as a Path, for which pathlib was imported:
# the worker had the lock of that import, which nobody would give back, and waited for it when it unpickled.
def test_nothing_is_imported_for_a_pickled_database(tmp_path: Path) -> None:
    command = [sys.executable, "-c", IMPORTS_NOTHING, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_one_that_is_closed_before_its_first_use_is_never_opened(tmp_path: Path) -> None:
    db = opendb.open(tmp_path / "db")
    pickled = pickle.dumps(db)
    db.close()
    (tmp_path / "db").rename(tmp_path / "elsewhere")
    other = pickle.loads(pickled)
    other.close()
    other.close()
    assert "closed" in repr(other)
    for call in (lambda: other.get(b"key"), other.flush, other.__enter__, lambda: len(other)):
        with pytest.raises(opendb.ClosedError):
            call()
    assert not (tmp_path / "db").exists()


def test_what_goes_wrong_is_told_by_the_first_use(tmp_path: Path) -> None:
    with opendb.open(tmp_path / "db") as db:
        pickled = pickle.dumps(db)
    with holder(tmp_path / "db") as process:
        other = pickle.loads(pickled)
        for _ in range(2):
            with pytest.raises(opendb.LockedError, match=f"process {process.pid}"):
                other.get(b"key")
        process.communicate("\n", timeout=60)
    assert other.get(b"key") is None
    other.close()


def test_threads_that_use_it_first_at_the_same_time_get_one_engine(tmp_path: Path) -> None:
    with opendb.open(tmp_path) as db:
        pickled = pickle.dumps(db)
    other = pickle.loads(pickled)
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        barrier.wait()
        other.put(b"%d" % number, b"value")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(other) == 8
    other.close()
    with opendb.open(tmp_path, read_only=True) as reading:
        assert len(reading) == 8
