"""A feature store for training: one process writes vectors of floats, and the workers of a loader read them by their keys."""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from array import array

import opendb

USERS = 10_000
FEATURES = 64


def key_of(user: int) -> bytes:
    return b"user:%08d" % user


def features_of(user: int) -> array[float]:
    return array("f", (user % 7 + at for at in range(FEATURES)))


def write(path: str) -> None:
    with opendb.open(path) as database:
        # An array is a buffer, and is stored as it is. A thousand at a time are one commit.
        for first in range(0, USERS, 1000):
            users = range(first, min(first + 1000, USERS))
            database.put_many((key_of(user), features_of(user)) for user in users)


class Loader:
    """What a worker has: a handle of its own, for reading, which shares the pages of the files with all the others."""

    def __init__(self, path: str) -> None:
        self._database = opendb.open(path, read_only=True)

    def batch(self, users: range) -> list[array[float]]:
        found = self._database.get_many(key_of(user) for user in users)
        return [array("f", value) for value in found if value is not None]

    def one(self, user: int) -> memoryview[float] | None:
        """A vector where it lies, without a copy. With NumPy: `np.frombuffer(view, np.float32)`."""
        view = self._database.get_view(key_of(user))
        return None if view is None else view.cast("f")


def total(work: tuple[str, range]) -> float:
    path, users = work
    return sum(sum(vector) for vector in Loader(path).batch(users))


if __name__ == "__main__":
    path = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()
    write(path)
    loader = Loader(path)
    one = loader.one(8)
    print("user 8 begins", one[:3].tolist() if one else None)

    work = [(path, range(first, first + 1000)) for first in range(0, USERS, 1000)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print("total", sum(pool.map(total, work)))
    print("wanted", sum(sum(features_of(user)) for user in range(USERS)))
