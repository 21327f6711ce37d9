"""The runner of `cargo xtask bench --python` and the search for leaks, at a size at which little of what is measured means
anything."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHES = Path(__file__).parent.parent / "benches"
SIZES = ["--keys", "2000", "--rounds", "1", "--seconds", "0.02"]

SPOILED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from entries import Entries
from scenes import GROUPS, Plan, Run
from stores import KINDS, Sqlite

{spoil}
kind = next(kind for kind in KINDS if kind.id == "sqlite3")
plan = Plan(Entries(500, 100, 7), 0.02, 7, list(GROUPS), Path(sys.argv[2]))
for sample in Run(plan, kind, 1).samples():
    print(sample["row"], sample.get("failed"))
"""


def run(*arguments: str) -> list[dict[str, Any]]:
    ended = subprocess.run([sys.executable, BENCHES / "run.py", *arguments], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_every_row_comes_out_with_nothing_installed(tmp_path: Path) -> None:
    head, *samples = run(*SIZES, "--stores", "opendb,sqlite3,dict", "--directory", str(tmp_path))
    rows = head["rows"]
    assert {store["id"] for store in head["stores"]} == {"opendb", "sqlite3", "dict"}
    for store in ("opendb", "sqlite3"):
        measured = [sample for sample in samples if sample["store"] == store]
        assert [sample["row"] for sample in measured] == rows
        assert all(sample["calls"] > 0 and sample["mean"] > 0 for sample in measured), measured
    floor = {sample["row"]: sample for sample in samples if sample["store"] == "dict"}
    assert set(floor) == set(rows)
    assert floor["get-uniform"]["calls"] > 0
    assert floor["scan-10-iterated-fresh"]["lacks"] == "no order"
    assert list(tmp_path.iterdir()) == [], "stores were left behind"


@pytest.mark.parametrize(
    ("spoil", "row"),
    [
        ("Sqlite.put_each = lambda self, entries: None", "put-random"),
        ("Sqlite.get_each = lambda self, keys: [bytes(100) for _ in keys]", "get-absent"),
        ("Sqlite.scan = lambda self, start, limit: []", "scan-10-iterated-fresh"),
    ],
)
def test_a_wrong_answer_is_found(tmp_path: Path, spoil: str, row: str) -> None:
    program = [sys.executable, "-c", SPOILED.format(spoil=spoil), str(BENCHES), str(tmp_path)]
    lines = subprocess.run(program, capture_output=True, text=True, check=True).stdout.splitlines()
    outcomes = dict(line.split(" ", 1) for line in lines)
    assert "gave something else than what was put" in outcomes[row]


def test_nothing_leaks() -> None:
    # What is left once for each call is seen after some hundred calls, whatever it is but memory of the core.
    ended = subprocess.run([sys.executable, BENCHES / "leaks.py", "--calls", "1000"], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.endswith("nothing leaks\n")
