"""Every error kind of the core is raised as the class of its kind, and nothing else is."""

import copy
import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path

import opendb
import pytest
from children import in_child
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
    for code, number in ((11, errno.EIO), (10, errno.ENOSPC)):
        error = raised(code)
        assert isinstance(error, OSError)
        assert (error.errno, error.strerror, error.filename) == (number, os.strerror(number), None)
        assert "raised by a test" in str(error)


def test_errors_can_be_copied_and_pickled() -> None:
    for code, name, _ in _opendb._kinds():
        error = raised(code)
        for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
            assert type(other) is type(error), name
            assert str(other) == str(error), name
            assert vars(other) == vars(error), name


def refused_to_open(path: Path, standard: type[OSError], *, create: bool = True) -> OSError:
    """The error of opening a directory, which is caught as Python's own."""
    with pytest.raises(standard) as caught:
        opendb.open(path, create=create)
    error = caught.value
    assert isinstance(error, opendb.IoError)
    assert error.errno is not None
    assert error.strerror == os.strerror(error.errno)
    assert error.filename == str(path)
    assert str(path) in str(error) and error.strerror.lower() in str(error).lower()
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (again.errno, again.strerror, again.filename) == (error.errno, error.strerror, error.filename)
    return error


# The errors had a number of the system but neither its words nor the path, and only `except OSError` caught them.
def test_what_the_system_said(tmp_path: Path) -> None:
    refused_to_open(tmp_path / "nowhere", FileNotFoundError, create=False)
    (tmp_path / "file").touch()
    refused_to_open(tmp_path / "file" / "db", NotADirectoryError)
    assert isinstance(refused_to_open(tmp_path / "file", OSError), FileExistsError | NotADirectoryError)
    error = refused_to_open(tmp_path / ("n" * 300), OSError)
    assert type(error) is opendb.IoError
    assert error.errno == errno.ENAMETOOLONG


def test_a_directory_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    def work() -> None:
        if os.geteuid() == 0:
            os.setuid(65534)  # everything is permitted to the administrator
        opendb.open(tmp_path / "db")

    error = in_child(work)
    tmp_path.chmod(0o700)
    assert isinstance(error, opendb.IoError) and isinstance(error, PermissionError)
    assert (error.errno, error.filename) == (errno.EACCES, str(tmp_path / "db"))


def test_errors_of_the_system_as_pythons_own() -> None:
    standard: list[type[OSError]] = [FileNotFoundError, PermissionError, FileExistsError, NotADirectoryError]
    for number in (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR, errno.EIO):
        error = errors._io_error("what was done", number, None, None)
        # OSError itself knows which of its classes belongs to a number.
        own = type(OSError(number, ""))
        assert [each for each in standard if isinstance(error, each)] == [each for each in standard if each is own]
        assert (error.kind, error.code, error.retryable) == ("IO", 11, False)
        for same in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):
            assert type(same) is type(error)
            assert str(same) == "what was done"
            assert (same.errno, same.strerror, same.filename) == (number, os.strerror(number), None)


def test_an_error_that_the_system_has_no_number_for() -> None:
    error = errors._io_error("what was done", None, "what was said", None)
    for same in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(same) is opendb.IoError
        assert (str(same), same.errno, same.strerror, same.filename) == ("what was done", None, "what was said", None)


def test_notes_survive_pickling() -> None:
    error = raised(11)
    error.add_note("in the second attempt")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["in the second attempt"]


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
