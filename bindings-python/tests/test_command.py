"""python -m opendb: each command, its output and its exit code."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import opendb
import pytest


def run(*words: object, given: bytes = b"", code: int = 0) -> str:
    command = [sys.executable, "-m", "opendb", *(os.fspath(word) if isinstance(word, Path) else str(word) for word in words)]
    done = subprocess.run(command, input=given, capture_output=True)
    assert done.returncode == code, done.stderr.decode()
    assert code == 3 or b"Traceback" not in done.stderr
    return (done.stderr if code in (2, 3) else done.stdout).decode()


def objects(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_keys_and_values(tmp_path: Path) -> None:
    db = tmp_path / "db"
    run("put", db, "user:1", "Ada")
    run("put", db, "user:2", given=b"from\nstdin\x00")
    run("put", db, "--hex", "00ff", "c3a4")
    run("put", db, "--keyspace", "logs", "wörter", "text")
    assert run("get", db, "user:1") == "Ada"
    assert run("get", db, "user:2") == "from\nstdin\x00"
    assert run("get", db, "--hex", "00ff") == "c3a4\n"
    assert run("get", db, "--keyspace", "logs", "wörter") == "text"
    assert run("get", db, "absent", code=1) == ""
    assert objects(run("get", db, "--json", "absent", code=1)) == [{"value": None}]
    assert objects(run("get", db, "--json", "user:1")) == [{"value": base64.b64encode(b"Ada").decode()}]
    assert run("scan", db) == "\\x00\\xff\tä\nuser:1\tAda\nuser:2\tfrom\\nstdin\\x00\n"
    assert run("scan", db, "--prefix", "user:", "--reverse", "--keys") == "user:2\nuser:1\n"
    assert run("scan", db, "--start", "user:1", "--end", "user:2", "--hex", code=3)
    assert run("scan", db, "--start", "75", "--hex", "--limit", 1) == "757365723a31\t416461\n"
    assert run("scan", db, "--start-after", "user:1", "--keys") == "user:2\n"
    assert objects(run("scan", db, "--keys", "--json", "--limit", 1)) == [{"key": "AP8="}]
    assert run("keyspaces", db) == "default\t3\nlogs\t1\n"
    assert objects(run("keyspaces", db, "--json")) == [{"default": 3, "logs": 1}]
    run("delete", db, "user:1")
    run("delete", db, "user:1", code=1)


def test_dump_and_load(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    with opendb.open(one) as db:
        db.put_many((b"%d" % number, os.urandom(number % 50)) for number in range(2500))
        db.keyspace("späte")[b"\xff"] = b"value"
    dumped = run("dump", one)
    assert len(dumped.splitlines()) == 2501
    run("load", other, given=dumped.encode())
    assert run("dump", other) == dumped
    assert objects(run("dump", one, "--keyspace", "späte")) == [{"keyspace": "späte", "key": "/w==", "value": "dmFsdWU="}]
    for wrong in ("no json", "[]", '{"key": "AP8="}', '{"key": "AP8=", "value": "?"}', '{"key": 7, "value": ""}'):
        lines = f'{{"key": "YQ==", "value": ""}}\n\n{wrong}\n'
        assert "line 3 is no entry" in run("load", tmp_path / "third", given=lines.encode(), code=3)
        assert run("scan", tmp_path / "third") == "a\t\n", "what stands before it is there"


def test_maintenance(tmp_path: Path) -> None:
    db = tmp_path / "db"
    for number in range(3):
        run("put", db, "k", number)
    assert "keys: 1\n" in run("stat", db)
    assert objects(run("stat", db, "--json"))[0]["recovery"]["clean"] is True
    assert "1 keys in" in run("verify", db)
    assert objects(run("verify", db, "--json"))[0]["violations"] == []
    assert "bytes_freed" in run("compact", db)
    assert objects(run("backup", db, tmp_path / "backup", "--json"))[0]["sequence"] == 3
    assert run("get", tmp_path / "backup", "k") == "2"
    assert "keys: 1\n" in run("salvage", db, tmp_path / "salvaged")
    with opendb.open(db) as open_here:
        assert run("get", db, "k") == "2", "beside whoever writes"
        assert "open" in run("put", db, "k", "v", code=3)
        assert open_here[b"k"] == b"2"


def test_a_damaged_database(tmp_path: Path) -> None:
    db = tmp_path / "db"
    with opendb.open(db) as fresh:
        fresh.put_many((b"%d" % number, b"v" * 100) for number in range(1000))
    segment = max(db.iterdir(), key=lambda path: path.stat().st_size)
    damaged = bytearray(segment.read_bytes())
    damaged[20_000] ^= 1
    segment.write_bytes(damaged)
    assert run("verify", db, code=1) != ""
    assert objects(run("verify", db, "--json", code=1))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "COMMAND"),
        (["fly"], 2, "unrecognized subcommand"),
        (["get"], 2, "required"),
        (["get", "missing", "k"], 3, "missing"),
        (["stat", ""], 2, "a value is required"),
        (["put", "db", "--hex", "0", "0"], 3, "not hexadecimal"),
        (["scan", "missing", "--limit", "x"], 2, "limit"),
    ],
)
def test_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in run(*words, code=code)


def test_whoever_reads_may_stop(tmp_path: Path) -> None:
    with opendb.open(tmp_path) as db:
        db.put_many((b"%d" % number, bytes(100)) for number in range(20_000))
    command = [sys.executable, "-m", "opendb", "dump", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as dumping:
        assert dumping.stdout is not None
        assert dumping.stderr is not None
        dumping.stdout.readline()
        dumping.stdout.close()
        assert dumping.stderr.read() == b""
    assert run("--version").startswith("opendb ")
