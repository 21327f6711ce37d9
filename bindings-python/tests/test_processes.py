"""Where interpreters and processes begin and end: subinterpreters, workers of `multiprocessing`, forks beside threads, signals in
the middle of long calls, and the end of an interpreter."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import opendb
import pytest

ROUNDS = 5


def run(program: str, *arguments: Path | str) -> str:
    """What a program prints that ends well and has nothing to complain of."""
    command = [sys.executable, "-W", "ignore", "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


IN_A_SUBINTERPRETER = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
import opendb
path = sys.argv[1]
db = opendb.open(path)
db.put(b"k", b"v")
program = '''
try:
    import opendb
    db = opendb.open(PATH)
    print("used", db.get(b"k"))
    db.close()
except ImportError as error:
    print("refused")
'''.replace("PATH", repr(path))
for _ in range(3):
    other = interpreters.create()
    failed = interpreters.run_string(other, program)
    assert failed is None, failed
    sys.stdout.flush()
    interpreters.destroy(other)
    assert db.get(b"k") == b"v"
db.close()
print("main")
"""


def test_a_subinterpreter_is_refused_and_the_main_one_goes_on(tmp_path: Path) -> None:
    printed = run(IN_A_SUBINTERPRETER, tmp_path)
    assert printed in ("refused\n" * 3 + "main\n", "used b'v'\n" * 3 + "main\n")


WORKERS = """
import multiprocessing, pickle, sys, opendb

def count(path, number):
    try:
        db = opendb.open(path)
    except opendb.LockedError:
        return "locked"
    with db:
        db.put(b"%d" % number, b"v", durability="sync")
        return len(db)

def use(db):
    try:
        return db.get(b"k")
    except opendb.ForkedError:
        return "forked"
    except opendb.LockedError:
        return "locked"

if __name__ == "__main__":
    method, ours, theirs = sys.argv[1:]
    context = multiprocessing.get_context(method)
    with opendb.open(ours) as db, context.Pool(1, maxtasksperchild=2) as pool:
        db.put(b"k", b"v")
        print([pool.apply(count, (theirs, number)) for number in range(5)])
        print(pool.apply(count, (ours, 0)))
        # What was pickled opens with its first use, there, with the options that it was opened with here.
        print(pool.apply(use, (db,)))
        with opendb.open(ours, read_only=True) as reading:
            print(pool.apply(use, (reading,)))
        print(db.get(b"k"))
    if method == "fork":
        with opendb.open(ours) as db:
            queue = context.Queue()
            child = context.Process(target=lambda: queue.put(use(db)))
            child.start()
            print(queue.get(timeout=60), child.join(60), child.exitcode, db.get(b"k"))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing(tmp_path: Path, method: str) -> None:
    program = tmp_path / "workers.py"
    program.write_text(WORKERS)
    command = [sys.executable, "-W", "ignore", str(program), method, str(tmp_path / "ours"), str(tmp_path / "theirs")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    expected = "[1, 2, 3, 4, 5]\nlocked\nlocked\nb'v'\nb'v'\n" + ("forked None 0 b'v'\n" if method == "fork" else "")
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


FORKS_BESIDE_THREADS = """
import gc, os, signal, sys, threading, opendb
ours, theirs = sys.argv[1:]
db = opendb.open(ours)
over = threading.Event()
def work(number):
    while not over.is_set():
        db.transact(lambda transaction: transaction.put("default", b"%d" % number, b"v"))
        with db.snapshot() as snapshot:
            list(snapshot.iter())
        list(db.iter_keys())
        db.flush()
        if number == 0:
            db.compact()
threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads:
    thread.start()
for number in range(30):
    kept = [db.iter(), db.begin_transaction(), db.batch(), db.snapshot()]
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        with opendb.open(theirs) as own:
            own.put(b"k", b"%d" % number)
            del kept
            gc.collect()
            assert own.get(b"k") == b"%d" % number
        # As a child usually ends: what is left of its parent's is collected.
        os._exit(0) if number % 2 else sys.exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, number
over.set()
for thread in threads:
    thread.join()
assert db.verify().violations == ()
db.close()
print(opendb.open(theirs).get(b"k"))
"""


def test_forks_while_threads_are_inside_of_calls(tmp_path: Path) -> None:
    assert run(FORKS_BESIDE_THREADS, tmp_path / "ours", tmp_path / "theirs") == "b'29'\n"


# The signal comes from another process, when it likes.
INTERRUPTED = """
import os, signal, sys, threading, opendb
from contextlib import suppress
path, what = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)
db = opendb.open(path, segment_bytes=opendb.SEGMENT_BYTES_MIN)
def fill():
    for turn in range(3):
        with db.batch() as batch:
            for number in range(3000):
                batch.put("default", b"%05d" % number, b"%d" % turn * 100)
fill()
calls = {
    "scan": lambda: db.scan_prefix(b""),
    "iterator": lambda: list(db.iter()),
    "compact": lambda: (fill(), db.compact()),
    "transact": lambda: db.transact(lambda transaction: list(transaction.iter("default"))),
    "block": lambda: block(),
}
def block():
    with db.transaction() as transaction:
        transaction.put("default", b"from the block", b"v")
        while True:
            transaction.get("default", b"00001")
for _ in range(5):
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        while True:
            calls[what]()
    except KeyboardInterrupt:
        timer.join()
    else:
        raise AssertionError("not interrupted")
assert db.get(b"from the block") is None
assert db.stats().snapshots == 0
found = db.verify()
assert found.violations == () and len(db) == 3000
db.close()
with opendb.open(path) as db:
    print(len(db), db.verify().violations)
"""


@pytest.mark.parametrize("what", ["scan", "iterator", "compact", "transact", "block"])
def test_a_signal_in_the_middle_leaves_everything_whole(tmp_path: Path, what: str) -> None:
    assert run(INTERRUPTED, tmp_path, what) == "3000 ()\n"


# Compaction looks at signals by itself: no function has to be given for that.
LONG_COMPACTION = """
import itertools, signal, sys, _thread, opendb
signal.signal(signal.SIGINT, signal.default_int_handler)
db = opendb.open(sys.argv[1], segment_bytes=opendb.SEGMENT_BYTES_MIN)
for turn in range(4):
    for number in range(500):
        db.put(b"%05d" % number, b"%d" % turn * 1000)
given = []
try:
    # In C from the interruption to the compaction: the bytecode loop, which looks at signals too, does not run in between.
    given.extend(itertools.chain(map(_thread.interrupt_main, [signal.SIGINT]), map(type(db).compact, [db])))
except KeyboardInterrupt:
    print(given, db.verify().violations, db.compact() is not None, len(db))
"""


def test_a_compaction_without_a_function_can_be_interrupted(tmp_path: Path) -> None:
    assert run(LONG_COMPACTION, tmp_path) == "[None] () True 500\n"


# A thread that is a daemon stays inside of its call when the interpreter goes.
ENDS = """
import atexit, sys, threading, time, opendb
path, how = sys.argv[1:]
db = opendb.open(path)
class Late:
    def __init__(self):
        self.db, self.entries = db, db.iter()
        self.transaction = db.begin_transaction()
    def __del__(self):
        self.transaction.put("default", b"late", b"v")
        self.transaction.rollback()
        list(self.entries)
late = Late()
late.itself = late
def work():
    while True:
        with db.batch() as batch:
            for number in range(500):
                batch.put("default", b"%d" % number, bytes(1000))
        db.compact()
        list(db.iter())
        db.verify()
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
if how == "exit handler":
    atexit.register(db.close)
elif how == "closed":
    db.close()
elif how == "abandoned":
    del db
print("done")
"""


@pytest.mark.parametrize("how", ["open", "exit handler", "closed", "abandoned"])
def test_an_interpreter_ends_while_threads_are_inside_of_calls(tmp_path: Path, how: str) -> None:
    for _ in range(ROUNDS):
        command = [sys.executable, "-W", "ignore", "-c", ENDS, str(tmp_path / "db"), how]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
        # Whoever was inside of a call may say what happened to it, in Python's words.
        assert "panic" not in done.stderr and "Fatal" not in done.stderr
        with opendb.open(tmp_path / "db") as db:
            assert db.verify().violations == ()
            assert db.get(b"late") is None


def test_what_is_left_is_dropped_in_other_threads_while_the_database_is_closed(tmp_path: Path) -> None:
    for _ in range(ROUNDS):
        db = opendb.open(tmp_path)
        db.put(b"k", b"v")

        def things(database: opendb.OpenDB = db) -> list[object]:
            made: list[object] = []
            for _ in range(40):
                made += [database.iter(), database.iter_keys(), database.begin_transaction(), database.batch()]
                made.append(database.snapshot())
            return made

        lists = [things() for _ in range(4)]
        with ThreadPoolExecutor(5) as pool:
            done = [pool.submit(each.clear) for each in lists]
            done.append(pool.submit(db.close))
            for each in done:
                each.result(timeout=60)
        with opendb.open(tmp_path) as again:
            assert again.get(b"k") == b"v"
            assert again.stats().snapshots == 0


READS_BESIDE = """
import sys
import opendb
db = opendb.open(sys.argv[1], read_only=True)
for line in sys.stdin:
    db.refresh()
    with db.snapshot() as snapshot:
        print(len(db), snapshot.get(line.strip().encode()), flush=True)
for call in (lambda: db.put(b"key", b"value"), lambda: db.delete(b"key"), db.flush, db.compact, lambda: db.batch().put("default", b"a", b"b")):
    try:
        call()
    except opendb.ReadOnlyError:
        continue
    print("not refused")
try:
    opendb.open(sys.argv[1])
except opendb.LockedError:
    print("locked")
"""


def test_a_second_process_reads_while_the_first_one_writes(tmp_path: Path) -> None:
    with opendb.open(tmp_path / "db") as db:
        command = [sys.executable, "-c", READS_BESIDE, str(tmp_path / "db")]
        reader = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert reader.stdin is not None and reader.stdout is not None
        for number in range(200):
            db.put(f"key {number}".encode(), f"value {number}".encode())
            reader.stdin.write(f"key {number}\n")
            reader.stdin.flush()
            assert reader.stdout.readline() == f"{number + 1} b'value {number}'\n"
            if number % 50 == 49:
                db.compact()
        rest, _ = reader.communicate(timeout=60)
        assert (rest, reader.returncode) == ("locked\n", 0)


def test_what_is_not_there_or_not_writable_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        opendb.open(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()
    path = tmp_path / "db"
    with opendb.open(path) as db:
        db.put(b"key", b"value")
    before = {file: file.read_bytes() for file in path.iterdir()}
    path.chmod(0o500)
    try:
        with opendb.open(path, read_only=True) as db:
            assert db.get(b"key") == b"value"
            assert db.scan_prefix(b"") == [(b"key", b"value")]
            assert db.verify().violations == ()
    finally:
        path.chmod(0o700)
    assert {file: file.read_bytes() for file in path.iterdir()} == before
