"""Every error kind of the core is raised as the class of its kind, and nothing else is."""

import copy
import errno
import pickle
import subprocess
import sys
from pathlib import Path

import opendb
import pytest
from opendb import _opendb, errors

# Every kind, written down here once more: a kind that is added to the core fails test_every_kind until it is here, in
# opendb.errors and in the README's list of what a class also is.
CLASSES: dict[str, tuple[int, bool, type[opendb.OpenDBError], type[Exception]]] = {
    "STORAGE": (1, False, opendb.StorageError, Exception),
    "CACHE": (2, False, opendb.CacheError, Exception),
    "TRANSACTION": (3, True, opendb.TransactionError, Exception),
    "CORRUPTION": (4, False, opendb.CorruptionError, Exception),
    "INVALID_ARGUMENT": (5, False, opendb.InvalidArgumentError, ValueError),
    "KEYSPACE_NOT_FOUND": (6, False, opendb.KeyspaceNotFoundError, LookupError),
    "LOCKED": (7, True, opendb.LockedError, Exception),
    "CLOSED": (8, False, opendb.ClosedError, Exception),
    "READ_ONLY": (9, False, opendb.ReadOnlyError, Exception),
    "NO_SPACE": (10, False, opendb.NoSpaceError, OSError),
    "IO": (11, False, opendb.IoError, OSError),
    "POISONED": (12, False, opendb.PoisonedError, Exception),
    "UNSUPPORTED": (13, False, opendb.UnsupportedError, Exception),
    "FORKED": (14, False, opendb.ForkedError, Exception),
    "INTERNAL": (15, False, opendb.InternalError, Exception),
}


def raised(code: int) -> opendb.OpenDBError:
    with pytest.raises(opendb.OpenDBError) as caught:
        _opendb._raise_kind(code)
    return caught.value


def test_every_kind() -> None:
    kinds = _opendb._kinds()
    assert [name for _, name, _ in kinds] == list(CLASSES), "the core's kinds and the classes differ"
    for code, name, retryable in kinds:
        error = raised(code)
        expected_code, expected_retryable, expected_class, also = CLASSES[name]
        assert type(error) is expected_class
        assert isinstance(error, also)
        assert (error.code, error.kind, error.retryable) == (code, name, retryable)
        assert (code, retryable) == (expected_code, expected_retryable)


def test_the_classes_are_as_many_as_the_kinds() -> None:
    classes = {getattr(errors, name) for name in errors.__all__} - {opendb.OpenDBError}
    assert classes == {row[2] for row in CLASSES.values()} == set(opendb.OpenDBError.__subclasses__())
    assert {getattr(opendb, name) for name in errors.__all__} == classes | {opendb.OpenDBError}


def test_an_unknown_code_has_no_kind() -> None:
    for code in (0, -1, len(CLASSES) + 1):
        with pytest.raises(opendb.InvalidArgumentError, match=f"no error kind has the code {code}"):
            _opendb._raise_kind(code)


def test_messages() -> None:
    for code, name, _ in _opendb._kinds():
        message = str(raised(code))
        assert message and not message.endswith("."), name
        assert message[0].islower(), name
        assert message.isprintable(), name


def test_what_some_carry() -> None:
    corruption = raised(4)
    assert isinstance(corruption, opendb.CorruptionError)
    assert (corruption.segment, corruption.offset) == (7, 4096)
    assert "segment 7 at offset 4096" in str(corruption)
    io = raised(11)
    assert isinstance(io, OSError)
    assert io.errno == errno.EIO
    no_space = raised(10)
    assert isinstance(no_space, OSError)
    assert no_space.errno == errno.ENOSPC


def test_errors_can_be_copied_and_pickled() -> None:
    for code, name, _ in _opendb._kinds():
        error = raised(code)
        for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
            assert type(other) is type(error), name
            assert str(other) == str(error), name
            assert vars(other) == vars(error), name


def test_a_real_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(opendb.IoError) as caught:
        opendb.open(tmp_path / "nowhere", create=False)
    assert caught.value.errno == errno.ENOENT
    assert "nowhere" in str(caught.value)
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as refused:
        opendb.open(tmp_path / "file" / "db")
    assert isinstance(refused.value, opendb.IoError)
    assert refused.value.errno == errno.ENOTDIR


@pytest.mark.parametrize("detached", [False, True])
def test_a_panic_is_an_internal_error(db: opendb.OpenDB, detached: bool) -> None:
    with pytest.raises(opendb.InternalError, match="panicked") as caught:
        _opendb._panic(detached)
    assert isinstance(caught.value, Exception)
    db.put(b"k", b"v")
    assert db.get(b"k") == b"v", "the process goes on"


def test_importing_the_errors_alone() -> None:
    program = "from opendb.errors import ClosedError; print(ClosedError.kind)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "CLOSED\n"
