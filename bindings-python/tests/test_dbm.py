"""opendb.dbm has the interface of the standard modules: where dbm.dumb answers something, it answers the same."""

import dbm.dumb
import os
import shelve
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import opendb
import opendb.dbm
import pytest


def fill(db: Any) -> None:
    db["text"] = "wörter"
    db[b"bytes"] = b"\x00\xff"
    db["empty"] = b""


def test_as_the_standard_one(tmp_path: Path) -> None:
    calls: list[Callable[[Any], object]] = [
        lambda db: sorted(db.keys()),
        lambda db: sorted(db),
        lambda db: [db["text"], db[b"text"], db["bytes"], db[b"empty"]],
        lambda db: ["text" in db, b"text" in db, "absent" in db],
        lambda db: [db.get("text"), db.get("absent"), db.get("absent", b"instead")],
        lambda db: [db.setdefault("text", b"other"), db.setdefault("new", b"value"), db["new"]],
        lambda db: [db.pop("new"), db.pop("new", None)],
        lambda db: len(db),
        lambda db: sorted(db.items()),
        lambda db: sorted(db.values()),
        lambda db: db.__delitem__("text"),
        lambda db: "text" in db,
        lambda db: db.update({"more": b"1", b"most": b"2"}),
        lambda db: sorted(db.keys()),
        lambda db: db.sync(),
        lambda db: db.clear(),
        lambda db: len(db),
    ]
    answers = []
    with dbm.dumb.open(str(tmp_path / "dumb"), "c") as dumb, opendb.dbm.open(tmp_path / "db", "c") as ours:
        for db in (dumb, ours):
            fill(db)
            answers.append([call(db) for call in calls])
            for call in (lambda: db["absent"], lambda: db.__delitem__("absent")):
                with pytest.raises(KeyError):
                    call()
    assert answers[0] == answers[1]


def test_flags(tmp_path: Path) -> None:
    path = tmp_path / "db"
    flags: tuple[Literal["r", "w"], ...] = ("r", "w")
    for flag in flags:
        with pytest.raises(opendb.dbm.error):
            opendb.dbm.open(path, flag)
    assert not path.exists()
    umask = os.umask(0o022)
    try:
        with opendb.dbm.open(path, "c", 0o775) as db:
            fill(db)
    finally:
        os.umask(umask)
    assert path.stat().st_mode & 0o777 in (0o755, 0o700), "the umask is taken off; the engine may be stricter"
    with opendb.dbm.open(path) as db:
        assert len(db) == 3
        with pytest.raises(opendb.ReadOnlyError):
            db["k"] = b"v"
    with opendb.dbm.open(path, "w") as db:
        del db["empty"]
    with opendb.dbm.open(path, "c") as db:
        assert (len(db), db.firstkey(), db.nextkey("bytes"), db.nextkey(b"text")) == (2, b"bytes", b"text", None)
        db.reorganize()
    with opendb.dbm.open(path, "n") as db:
        assert (len(db), db.firstkey()) == (0, None)
    with pytest.raises(ValueError, match="flag is 'x'"):
        opendb.dbm.open(path, "x")  # type: ignore[arg-type]
    with pytest.raises(opendb.ClosedError):
        db["k"]


def test_a_shelf_over_it(tmp_path: Path) -> None:
    with shelve.Shelf[Any](opendb.dbm.open(tmp_path / "db", "c"), writeback=True) as shelf:
        shelf["list"] = [1]
        shelf["list"].append(2)
        shelf.sync()
    with shelve.Shelf[Any](opendb.dbm.open(tmp_path / "db")) as shelf:
        assert dict(shelf) == {"list": [1, 2]}
