"""Moves what LMDB, a shelf, another dbm or sqlitedict holds into a database: `python migrate.py lmdb OLD NEW`."""

import argparse
import dbm
import pickle
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import opendb


def entries_of_lmdb(path: str) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values stay the bytes that they are."""
    import lmdb

    with lmdb.open(path, readonly=True, lock=False) as environment, environment.begin() as transaction:
        yield from transaction.cursor()


def entries_of_dbm(path: str) -> Iterator[tuple[bytes, bytes]]:
    """Also those of a shelf: its values stay pickled, and `shelve.Shelf(opendb.open(path))` reads them as before."""
    with dbm.open(path, "r") as old:
        for key in old.keys():
            name = key if isinstance(key, bytes) else key.encode()
            yield name, old[name]


def entries_of_sqlitedict(path: str) -> Iterator[tuple[bytes, bytes]]:
    """Keys are text there and become UTF-8, values objects: what comes of it is read with `shelve.Shelf` as well."""
    from sqlitedict import SqliteDict  # type: ignore[import-untyped]

    with SqliteDict(path, flag="r") as old:
        for key, value in old.items():
            yield key.encode(), pickle.dumps(value)


KINDS: dict[str, Callable[[str], Iterator[tuple[bytes, bytes]]]] = {
    "lmdb": entries_of_lmdb,
    "dbm": entries_of_dbm,
    "shelf": entries_of_dbm,
    "sqlitedict": entries_of_sqlitedict,
}


def copy(entries: Iterable[tuple[bytes, bytes]], into: opendb.OpenDB) -> int:
    """Stores entries, a thousand with each commit, and tells how many there were."""
    copied = 0
    rest = iter(entries)
    while some := list(islice(rest, 1000)):
        into.put_many(some)
        copied += len(some)
    into.flush()
    return copied


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Moves what another store holds into a database of OpenDB.")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("old", help="the file or directory of the other store")
    parser.add_argument("new", help="the directory of the database; what it holds already stays")
    arguments = parser.parse_args()
    with opendb.open(arguments.new) as database:
        print(copy(KINDS[arguments.kind](arguments.old), database), "entries")
