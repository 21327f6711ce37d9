"""The programs that the documentation prints, each run as a reader would."""

import dbm.dumb
import os
import pickle
import re
import shelve
import subprocess
import sys
from pathlib import Path

import opendb
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
OUTPUTS = {
    "quickstart": ["user:1 is b'Alice'", "b'user:1' = b'Alice'", "b'user:2' = b'Bob'", "visits: 1"],
    "cache": ["ghent b'rain'", "porto None", "oslo None", "dropped 1"],
    "job_queue": [
        "done 100 different 100",
        "put back 1 claimed again (b'\\x00\\x00\\x00\\x00\\x00\\x00\\x00e', b'left behind')",
    ],
    "features": ["user 8 begins [1.0, 2.0, 3.0]", "total 22079616.0", "wanted 22079616.0"],
}


def run(example: str, *arguments: str | os.PathLike[str]) -> list[str]:
    program = [sys.executable, EXAMPLES / f"{example}.py", *arguments]
    done = subprocess.run(program, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("example", OUTPUTS)
def test_an_example_prints_what_it_should(tmp_path: Path, example: str) -> None:
    assert run(example) == OUTPUTS[example]
    assert run(example, tmp_path / "db") == OUTPUTS[example]


def test_every_example_is_run() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*OUTPUTS, "migrate"}


def test_entries_of_lmdb(tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb")
    wanted = {b"%d" % number: b"value" * number for number in range(2500)}
    with lmdb.open(str(tmp_path / "old"), map_size=64 << 20) as old, old.begin(write=True) as transaction:
        for key, value in wanted.items():
            if key != b"0":
                transaction.put(key, value)
    del wanted[b"0"]
    assert run("migrate", "lmdb", tmp_path / "old", tmp_path / "new") == ["2499 entries"]
    with opendb.open(tmp_path / "new", create=False) as db:
        assert dict(db) == wanted


def test_entries_of_a_shelf_and_of_a_dbm(tmp_path: Path) -> None:
    with shelve.open(tmp_path / "old") as shelf:
        shelf["one"] = {"deep": [1, 2, 3]}
        shelf["two"] = None
    assert run("migrate", "shelf", tmp_path / "old", tmp_path / "new") == ["2 entries"]
    with opendb.open(tmp_path / "new", create=False) as db:
        shelf = shelve.Shelf(db)
        assert dict(shelf) == {"one": {"deep": [1, 2, 3]}, "two": None}
    with dbm.dumb.open(str(tmp_path / "other"), "c") as other:
        other[b"\xff\x00"] = b"bytes"
    assert run("migrate", "dbm", tmp_path / "other", tmp_path / "new") == ["1 entries"]
    with opendb.open(tmp_path / "new", create=False) as db:
        assert db[b"\xff\x00"] == b"bytes"
        assert len(db) == 3


def test_entries_of_sqlitedict(tmp_path: Path) -> None:
    sqlitedict = pytest.importorskip("sqlitedict")
    with sqlitedict.SqliteDict(str(tmp_path / "old.db")) as old:
        old["user é"] = {"name": "Ada"}
        old.commit()
    assert run("migrate", "sqlitedict", tmp_path / "old.db", tmp_path / "new") == ["1 entries"]
    with opendb.open(tmp_path / "new", create=False) as db:
        assert pickle.loads(db["user é".encode()]) == {"name": "Ada"}


def test_another_store_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("lmdb")
    absent, new = str(tmp_path / "absent"), str(tmp_path / "new")
    program = [sys.executable, str(EXAMPLES / "migrate.py"), "lmdb", absent, new]
    assert subprocess.run(program, capture_output=True).returncode != 0
    with opendb.open(tmp_path / "new", create=False) as db:
        assert len(db) == 0


def test_the_lines_of_the_guide_run_one_after_the_other(tmp_path: Path) -> None:
    guide = EXAMPLES.parent.parent / "docs" / "python.md"
    if not guide.exists():
        pytest.skip("only the checkout has the guide")
    # What stands between markers is one of the examples above.
    own_text = re.sub(r"<!-- file:.*?<!-- /file -->", "", guide.read_text(), flags=re.DOTALL)
    programs = re.findall(r"```python\n(.*?)```", own_text, flags=re.DOTALL)
    assert len(programs) > 8
    done = subprocess.run([sys.executable, "-c", "".join(programs)], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
