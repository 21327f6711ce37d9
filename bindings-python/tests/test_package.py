"""The package: its names, its stubs' documentation, its examples, and what its classes refuse."""

import ast
import copy
import dataclasses
import importlib.metadata
import inspect
import json
import pickle
import re
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import opendb
import pytest
from opendb import _opendb

STUBS = Path(opendb.__file__).parent / "_opendb.pyi"


def test_names() -> None:
    # Modules are there once they were imported.
    of_package = {name: thing for name, thing in vars(opendb).items() if not inspect.ismodule(thing)}
    public = {name for name in of_package if not name.startswith("_")}
    assert public == set(opendb.__all__) - {"__version__"}
    extension = {name for name in _opendb.__all__ if not name.startswith("_")}
    assert extension <= set(opendb.__all__), "the package exports all of the extension module"
    for name in opendb.__all__:
        thing = getattr(opendb, name)
        if inspect.isclass(thing) and not issubclass(thing, Exception):
            assert thing.__module__ == "opendb"


def test_version() -> None:
    assert opendb.__version__ == importlib.metadata.version("opendb")
    assert re.fullmatch(r"\d+\.\d+\.\d+", opendb.__version__)


def test_typed() -> None:
    assert (Path(opendb.__file__).parent / "py.typed").exists()


def documented(tree: ast.Module) -> dict[str, str | None]:
    documentation: dict[str, str | None] = {}
    for node in tree.body:
        # What only the stubs have are types.
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            documentation[node.name] = ast.get_docstring(node)
            for member in node.body:
                if isinstance(member, ast.FunctionDef):
                    # Of overloads the first one has it.
                    documentation.setdefault(f"{node.name}.{member.name}", ast.get_docstring(member))
        elif isinstance(node, ast.FunctionDef):
            documentation[node.name] = ast.get_docstring(node)
    return documentation


def test_the_stubs_say_what_the_module_says() -> None:
    stubs = documented(ast.parse(STUBS.read_text()))
    assert len(stubs) > 80
    for name, text in stubs.items():
        thing: object = _opendb
        for part in name.split("."):
            thing = inspect.getattr_static(thing, part)
        if isinstance(thing, staticmethod):
            thing = thing.__func__
        is_special = re.search(r"__\w+__$", name) is not None
        if text is None:
            assert is_special, f"{name} has no documentation"
        else:
            assert text == inspect.cleandoc(thing.__doc__ or ""), f"{name} says something else in the module"


def test_everything_is_documented() -> None:
    for name in opendb.__all__:
        thing = getattr(opendb, name)
        if not callable(thing):
            continue
        assert inspect.getdoc(thing), name
        members = vars(thing).items() if inspect.isclass(thing) else ()
        for member, value in members:
            if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                assert inspect.getdoc(value), f"{name}.{member}"


def test_open_has_the_signature_of_the_class() -> None:
    one, other = inspect.signature(opendb.open), inspect.signature(opendb.OpenDB)
    assert [(each.name, each.kind, each.default) for each in one.parameters.values()] == [
        (each.name, each.kind, each.default) for each in other.parameters.values()
    ]


def everything(db: opendb.OpenDB) -> list[object]:
    db.put(b"read", b"value")
    reader = db.value_reader(b"read")
    assert reader is not None
    return [
        db,
        db.keyspace("other"),
        db.begin_transaction(),
        db.batch(),
        db.snapshot(),
        reader,
        db.value_writer(b"written", 1),
        db.iter(),
        db.iter_keys(),
    ]


def records(db: opendb.OpenDB) -> list[Any]:
    backup = db.path.parent / f"backup {time.monotonic_ns()}"
    return [db.stats(), db.stats().recovery, db.compact(), db.verify(), db.backup(backup)]


def test_records_are_dataclasses(db: opendb.OpenDB) -> None:
    for record in records(db):
        assert dataclasses.is_dataclass(type(record))
        assert pickle.loads(pickle.dumps(record)) == copy.copy(record) == record
        assert hash(record) == hash(dataclasses.replace(record))
        assert json.loads(json.dumps(dataclasses.asdict(record)))
        name, *_ = dataclasses.asdict(record)
        with pytest.raises(AttributeError):
            setattr(record, name, 1)


def test_pickling_and_copying_are_refused_but_for_the_database(db: opendb.OpenDB) -> None:
    for thing in everything(db)[1:]:
        for call in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=f"cannot pickle '(opendb\\.)?{type(thing).__name__}' object"):
                call(thing)


def test_only_the_database_is_made_by_its_class(db: opendb.OpenDB) -> None:
    for thing in everything(db)[1:]:
        with pytest.raises(TypeError, match="cannot create"):
            type(thing)()
        with pytest.raises(TypeError, match="not an acceptable base type"):
            type("Derived", (type(thing),), {})


def test_attributes_cannot_be_set(db: opendb.OpenDB) -> None:
    for thing in everything(db):
        with pytest.raises(AttributeError):
            setattr(thing, "something", 1)


def test_a_subclass(tmp_path: Path) -> None:
    class Users(opendb.OpenDB):
        """A store with a call of its own."""

        def rename(self, number: int, name: str) -> None:
            self.put(b"user:%d" % number, name.encode())

    with Users(tmp_path, durability="sync") as users:
        assert isinstance(users, Users)
        users.rename(1, "Alice")
        assert users.get(b"user:1") == b"Alice"
        assert repr(users).startswith("<opendb.Users ")


def test_weak_references(tmp_path: Path) -> None:
    db = opendb.open(tmp_path)
    reference = weakref.ref(db)
    assert reference() is db
    del db
    assert reference() is None


AT_EXIT = """
import sys, threading, opendb
db = opendb.open(sys.argv[1])
db.put(b"k", b"v")
entries, transaction, snapshot, batch = db.iter(), db.begin_transaction(), db.snapshot(), db.batch()
def work():
    while True:
        db.transact(lambda transaction: transaction.put("default", b"k", b"v"))
        db.scan_prefix(b"")
        db.flush()
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
print("done")
"""


def test_a_process_may_end_with_everything_open(tmp_path: Path) -> None:
    for _ in range(5):
        command = [sys.executable, "-c", AT_EXIT, str(tmp_path / "db")]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert (done.stdout, done.stderr) == ("done\n", "")


def test_representations(db: opendb.OpenDB) -> None:
    transaction, batch, snapshot = db.begin_transaction(), db.batch(), db.snapshot()
    assert repr(db) == f'<opendb.OpenDB "{db.path}">'
    assert repr(db.keyspace("other")) == f'<opendb.Keyspace "other" of "{db.path}">'
    assert repr(transaction) == "<opendb.Transaction open>"
    transaction.rollback()
    assert repr(transaction) == "<opendb.Transaction finished>"
    batch.put("default", b"secret key", b"secret value")
    assert repr(batch) == "<opendb.Batch writes=1>"
    batch.commit()
    assert repr(batch) == "<opendb.Batch finished>"
    assert repr(snapshot) == '<opendb.Snapshot of "default">'
    snapshot.close()
    assert repr(snapshot) == '<opendb.Snapshot of "default" released>'
    writer, reader = db.value_writer(b"secret key", 5), db.value_reader(b"secret key")
    assert [repr(writer), repr(reader)] == ["<opendb.ValueWriter length=5>", "<opendb.ValueReader length=12>"]
    writer.close()
    assert repr(writer) == "<opendb.ValueWriter length=5 finished>"
    db.close()
    assert repr(db) == f'<opendb.OpenDB "{db.path}" closed>'
