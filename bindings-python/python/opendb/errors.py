"""The exceptions of OpenDB: one class for each kind of error, under one base.

The class tells the kind, and ``kind``, ``code`` and ``retryable`` are the same in every language that OpenDB speaks.
The message says what was being done, to what, and what to do about it; it never contains bytes of keys or values.
"""

import errno as _errno
import os as _os
from typing import Any as _Any
from typing import ClassVar

__all__ = [
    "CacheError",
    "ClosedError",
    "CorruptionError",
    "ForkedError",
    "InternalError",
    "InvalidArgumentError",
    "IoError",
    "KeyspaceNotFoundError",
    "LockedError",
    "NoSpaceError",
    "OpenDBError",
    "PoisonedError",
    "ReadOnlyError",
    "StorageError",
    "TransactionError",
    "UnsupportedError",
]


class OpenDBError(Exception):
    """The base of every error that OpenDB raises. Only the classes below are raised."""

    kind: ClassVar[str]
    """The stable name of the kind, such as ``INVALID_ARGUMENT``."""

    code: ClassVar[int]
    """The stable number of the kind."""

    retryable: ClassVar[bool] = False
    """Whether the same work, done again from its beginning, may succeed without anybody's help."""


class _SystemError(OSError):
    """What the errors that come from the operating system share.

    ``errno`` and ``strerror`` are what the system said, where it said anything; ``filename`` is the path that was being
    opened, where a path was. The message, ``str(error)``, tells all of it.
    """

    message: str

    def __init__(
        self, message: str, errno: int | None = None, strerror: str | None = None, filename: str | None = None
    ) -> None:
        if strerror is None and errno is not None:
            strerror = _os.strerror(errno)
        # A file name of None is none that is unknown: OSError would take it for one.
        super().__init__(errno, strerror, *([] if filename is None else [filename]))
        self.message = message

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[_Any, ...]:
        return type(self), (self.message, self.errno, self.strerror, self.filename), vars(self)


class StorageError(OpenDBError):
    """The files of the database are not what they have to be, or an internal limit of the storage was reached."""

    kind = "STORAGE"
    code = 1


class CacheError(OpenDBError):
    """The cache could not do its work. The data in the log are not affected."""

    kind = "CACHE"
    code = 2


class TransactionError(OpenDBError):
    """The transaction conflicts with one that committed after it began.

    Nothing of it was applied; run it again. ``OpenDB.transact`` does that by itself.
    """

    kind = "TRANSACTION"
    code = 3
    retryable = True


class CorruptionError(OpenDBError):
    """Bytes that had been durable do not pass their checksum or break the format."""

    kind = "CORRUPTION"
    code = 4

    segment: int
    """Serial of the damaged segment; 0 names the manifest."""

    offset: int
    """Byte offset in that file at which the damage was met."""

    def __init__(self, message: str, segment: int, offset: int) -> None:
        super().__init__(message, segment, offset)
        self.segment = segment
        self.offset = offset

    def __str__(self) -> str:
        return str(self.args[0])


class InvalidArgumentError(OpenDBError, ValueError):
    """An argument is outside its limits, or options contradict the engine that already has the directory open.

    Also raised by a transaction, batch or snapshot that is finished already.
    """

    kind = "INVALID_ARGUMENT"
    code = 5


class KeyspaceNotFoundError(OpenDBError, LookupError):
    """A transaction, batch or snapshot named a keyspace that was never created."""

    kind = "KEYSPACE_NOT_FOUND"
    code = 6


class LockedError(OpenDBError):
    """Another process has the directory open for writing."""

    kind = "LOCKED"
    code = 7
    retryable = True


class ClosedError(OpenDBError):
    """The database was closed."""

    kind = "CLOSED"
    code = 8


class ReadOnlyError(OpenDBError):
    """The database is open for reading only."""

    kind = "READ_ONLY"
    code = 9


class NoSpaceError(OpenDBError, _SystemError):
    """The device is full. Nothing of the write is there, and the same database goes on once there is room.

    As an ``OSError`` it has ``errno.ENOSPC`` as its ``errno``, and ``strerror`` and ``filename`` as ``IoError`` has them.
    """

    kind = "NO_SPACE"
    code = 10


class IoError(OpenDBError, _SystemError):
    """The operating system refused a call.

    As an ``OSError`` it has the system's ``errno`` and ``strerror``, and as ``filename`` the path that was being opened;
    each is None where it is not known. It is also a ``FileNotFoundError``, ``PermissionError``, ``FileExistsError`` or
    ``NotADirectoryError`` where the system said so.
    """

    kind = "IO"
    code = 11


class _FileNotFoundIoError(IoError, FileNotFoundError):
    """An ``IoError`` that ``except FileNotFoundError`` catches."""


class _PermissionIoError(IoError, PermissionError):
    """An ``IoError`` that ``except PermissionError`` catches."""


class _FileExistsIoError(IoError, FileExistsError):
    """An ``IoError`` that ``except FileExistsError`` catches."""


class _NotADirectoryIoError(IoError, NotADirectoryError):
    """An ``IoError`` that ``except NotADirectoryError`` catches."""


_IO_ERRORS: dict[int | None, type[IoError]] = {
    _errno.ENOENT: _FileNotFoundIoError,
    _errno.EACCES: _PermissionIoError,
    _errno.EPERM: _PermissionIoError,
    _errno.EEXIST: _FileExistsIoError,
    _errno.ENOTDIR: _NotADirectoryIoError,
}


def _io_error(message: str, errno: int | None, strerror: str | None, filename: str | None) -> IoError:
    """The ``IoError`` for what the system said."""
    return _IO_ERRORS.get(errno, IoError)(message, errno, strerror, filename)


class PoisonedError(OpenDBError):
    """An earlier write or sync failed, so what reached the device is not known.

    Reads go on; writes are refused until the database is opened again.
    """

    kind = "POISONED"
    code = 12


class UnsupportedError(OpenDBError):
    """The directory was written by a newer version of the format. Nothing in it was touched."""

    kind = "UNSUPPORTED"
    code = 13


class ForkedError(OpenDBError):
    """The database was opened before a ``fork`` and is used in the child. Open it again there."""

    kind = "FORKED"
    code = 14


class InternalError(OpenDBError):
    """OpenDB broke one of its own rules. This is a bug; please report it."""

    kind = "INTERNAL"
    code = 15
