"""The Python door as a driver: one command a line on standard input, one answer a line on standard output.

The protocol stands in tests/src/protocol.rs. This program knows the calls of the package and no right answers.
"""

import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import opendb


class Failure(Exception):
    """The driver cannot do as told."""


def to_word(data: bytes) -> str:
    return "x" + data.hex()


def from_word(word: str) -> bytes:
    if not word.startswith("x"):
        raise Failure("not a word of bytes")
    return bytes.fromhex(word[1:])


def to_text(word: str) -> str:
    return from_word(word).decode()


def optional(word: str) -> bytes | None:
    return None if word == "-" else from_word(word)


def durability(word: str) -> dict[str, str]:
    return {} if word == "default" else {"durability": word}


def scan_arguments(words: list[str]) -> dict[str, Any]:
    prefix, start, stop, start_after, limit, direction = words
    bounds = {"prefix": prefix, "start": start, "stop": stop, "start_after": start_after}
    arguments: dict[str, Any] = {name: optional(word) for name, word in bounds.items() if word != "-"}
    if limit != "-":
        arguments["limit"] = int(limit)
    return arguments | {"reverse": direction == "reverse"}


def setting(word: str) -> tuple[str, Any]:
    name, value = word.split("=", 1)
    if value in ("true", "false"):
        return name, value == "true"
    if name == "lock_timeout":
        return name, int(value) / 1000
    return name, int(value) if value.isdigit() else value


def entries(items: Iterator[tuple[bytes, bytes]]) -> str:
    return " ".join(["entries", *(f"{to_word(key)}={to_word(value)}" for key, value in items)])


def keys(items: Iterator[bytes]) -> str:
    return " ".join(["keys", *map(to_word, items)])


class Database:
    """A handle, and those of its keyspaces, which are kept so that they are used after a close too."""

    def __init__(self, path: str, settings: dict[str, Any]) -> None:
        self.handle = opendb.open(path, **settings)
        self.keyspaces: dict[str, opendb.Keyspace] = {}

    def keyspace(self, name: str) -> opendb.Keyspace:
        if name not in self.keyspaces:
            self.keyspaces[name] = self.handle.keyspace(name)
        return self.keyspaces[name]


class Driver:
    """The objects by name."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}

    def object(self, name: str) -> Any:
        if name not in self.objects:
            raise Failure(f"there is no object {name}")
        return self.objects[name]

    def reader(self, name: str, keyspace: str) -> tuple[Any, tuple[str, ...]]:
        """What to call for a keyspace of an object, and with what first arguments."""
        target = self.object(name)
        if isinstance(target, Database):
            return (target.handle if keyspace == "default" else target.keyspace(keyspace)), ()
        if isinstance(target, opendb.Snapshot):
            return (target if keyspace == "default" else target.keyspace(keyspace)), ()
        return target, (keyspace,)

    # Making and ending objects.

    def do_open(self, name: str, path: str, *settings: str) -> str:
        self.objects[name] = Database(to_text(path), dict(map(setting, settings)))
        return "ok"

    def do_begin(self, name: str, database: str) -> str:
        self.objects[name] = self.object(database).handle.begin_transaction()
        return "ok"

    def do_snapshot(self, name: str, database: str) -> str:
        self.objects[name] = self.object(database).handle.snapshot()
        return "ok"

    def do_batch(self, name: str, database: str) -> str:
        self.objects[name] = self.object(database).handle.batch()
        return "ok"

    def do_cursor(self, name: str, source: str, keyspace: str, what: str, *scan: str) -> str:
        target, first = self.reader(source, to_text(keyspace))
        call = target.iter_keys if what == "keys" else target.iter
        self.objects[name] = call(*first, **scan_arguments(list(scan)))
        return "ok"

    def do_reader(self, name: str, source: str, keyspace: str, key: str) -> str:
        target, first = self.reader(source, to_text(keyspace))
        reader = target.value_reader(*first, from_word(key))
        if reader is None:
            return "none"
        self.objects[name] = reader
        return "ok"

    def do_read(self, name: str, offset: str, length: str) -> str:
        reader = self.object(name)
        reader.seek(int(offset))
        return f"value {to_word(reader.read(int(length)))}"

    def do_writer(self, name: str, source: str, keyspace: str, key: str, length: str) -> str:
        target, first = self.reader(source, to_text(keyspace))
        self.objects[name] = target.value_writer(*first, from_word(key), int(length))
        return "ok"

    def do_write(self, name: str, piece: str) -> str:
        self.object(name).write(from_word(piece))
        return "ok"

    def do_commit(self, name: str, wait: str) -> str:
        target = self.object(name)
        del self.objects[name]
        end = target.finish if isinstance(target, opendb.ValueWriter) else target.commit
        end(**durability(wait))
        return "ok"

    def do_rollback(self, name: str) -> str:
        target = self.object(name)
        del self.objects[name]
        target.rollback()
        return "ok"

    def do_drop(self, name: str) -> str:
        self.object(name)
        del self.objects[name]
        return "ok"

    # The database.

    def do_close(self, name: str) -> str:
        self.object(name).handle.close()
        return "ok"

    def do_refresh(self, name: str) -> str:
        self.object(name).handle.refresh()
        return "ok"

    def do_flush(self, name: str) -> str:
        self.object(name).handle.flush()
        return "ok"

    def do_compact(self, name: str) -> str:
        self.object(name).handle.compact()
        return "ok"

    def do_verify(self, name: str) -> str:
        return f"count {len(self.object(name).handle.verify().violations)}"

    def do_keyspaces(self, name: str) -> str:
        names = self.object(name).handle.keyspaces()
        return " ".join(["names", *(to_word(each.encode()) for each in names)])

    def do_keyspace(self, name: str, keyspace: str) -> str:
        database = self.object(name)
        database.keyspaces[to_text(keyspace)] = database.handle.keyspace(to_text(keyspace))
        return "ok"

    def do_compress(self, name: str, keyspace: str, compression: Any) -> str:
        database = self.object(name)
        made = database.handle.keyspace(to_text(keyspace), compression=compression)
        database.keyspaces[to_text(keyspace)] = made
        return "ok"

    def do_len(self, name: str, keyspace: str) -> str:
        return f"count {len(self.reader(name, to_text(keyspace))[0])}"

    # Reads and writes.

    def do_get(self, name: str, keyspace: str, key: str) -> str:
        target, first = self.reader(name, to_text(keyspace))
        value = target.get(*first, from_word(key))
        return "none" if value is None else f"value {to_word(value)}"

    def do_many(self, name: str, keyspace: str, *keys: str) -> str:
        target, first = self.reader(name, to_text(keyspace))
        values = target.get_many(*first, [from_word(key) for key in keys])
        return " ".join(["values", *("-" if value is None else to_word(value) for value in values)])

    def do_exists(self, name: str, keyspace: str, key: str) -> str:
        target, first = self.reader(name, to_text(keyspace))
        return "yes" if target.exists(*first, from_word(key)) else "no"

    def do_scan(self, name: str, keyspace: str, prefix: str) -> str:
        target, first = self.reader(name, to_text(keyspace))
        return entries(target.scan_prefix(*first, from_word(prefix)))

    def do_iter(self, name: str, keyspace: str, *scan: str) -> str:
        target, first = self.reader(name, to_text(keyspace))
        return entries(target.iter(*first, **scan_arguments(list(scan))))

    def do_keys(self, name: str, keyspace: str, *scan: str) -> str:
        target, first = self.reader(name, to_text(keyspace))
        return keys(target.iter_keys(*first, **scan_arguments(list(scan))))

    def do_next(self, name: str, count: str) -> str:
        cursor = self.object(name)
        show: Callable[[Any], str] = keys if isinstance(cursor, opendb.Keys) else entries
        return show(islice(cursor, int(count)))

    def do_put(self, name: str, keyspace: str, key: str, value: str, wait: str) -> str:
        target, first = self.reader(name, to_text(keyspace))
        target.put(*first, from_word(key), from_word(value), **durability(wait))
        return "ok"

    def do_delete(self, name: str, keyspace: str, key: str, wait: str) -> str:
        target, first = self.reader(name, to_text(keyspace))
        target.delete(*first, from_word(key), **durability(wait))
        return "ok"

    def do_swap(self, name: str, keyspace: str, key: str, expected: str, new: str, wait: str) -> str:
        target, _ = self.reader(name, to_text(keyspace))
        old, replacement = (None if word == "-" else from_word(word) for word in (expected, new))
        swapped = target.compare_and_swap(from_word(key), old, replacement, **durability(wait))
        return "yes" if swapped else "no"

    def do_take(self, name: str, keyspace: str, key: str, wait: str) -> str:
        target, _ = self.reader(name, to_text(keyspace))
        value = target.take(from_word(key), **durability(wait))
        return "none" if value is None else f"value {to_word(value)}"

    def do_increment(self, name: str, keyspace: str, key: str, by: str, wait: str) -> str:
        target, _ = self.reader(name, to_text(keyspace))
        return f"number {target.increment(from_word(key), int(by), **durability(wait))}"

    def answer(self, line: str) -> str:
        verb, *words = line.split(" ")
        call = getattr(self, f"do_{verb}", None)
        if call is None:
            return f"failure unknown verb {verb}"
        try:
            return str(call(*words))
        except opendb.OpenDBError as error:
            return f"error {error.code} {error.kind}"
        except Exception as error:  # Whatever else is raised is a finding for the runner to show.
            return f"failure {type(error).__name__}: {error}".replace("\n", " ")


def main() -> None:
    driver = Driver()
    for line in sys.stdin:
        print(driver.answer(line.rstrip("\n")), flush=True)


if __name__ == "__main__":
    main()
