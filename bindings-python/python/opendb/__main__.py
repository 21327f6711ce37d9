"""``python -m opendb``: a database from the command line.

Exit codes: 0 when done, 1 where the answer is no (a key that is absent, a database that is not whole), 2 for a wrong command
line, 3 for an error.
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NoReturn

import opendb

DONE: Final = 0
NO: Final = 1
ERROR: Final = 3

# So many entries are stored with one commit by `load`.
_LOADED_AT_ONCE = 1000


class _InputError(Exception):
    """What was given cannot be read."""


def _given(text: str, arguments: argparse.Namespace) -> bytes:
    """A key or value from the command line, whose bytes are kept as they were typed."""
    if not arguments.hex:
        return os.fsencode(text)
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise _InputError(f"{text!r} is not hexadecimal: give two digits a byte, or leave out --hex") from None


def _shown(data: bytes, arguments: argparse.Namespace) -> str:
    """Bytes in a line of output: text as it is, anything else with Python's escapes."""
    if arguments.hex:
        return data.hex()
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    if text.isprintable() and "\\" not in text and (text or not data):
        return text
    return repr(data)[2:-1]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _json(value: object) -> None:
    print(json.dumps(value))


def _report(record: Any, arguments: argparse.Namespace) -> None:
    """What a call has told, one attribute a line."""
    fields = dataclasses.asdict(record)
    if arguments.json:
        return _json(fields)
    for name, field in fields.items():
        print(f"{name}: {field}")


def _reading(arguments: argparse.Namespace) -> opendb.OpenDB:
    return opendb.open(arguments.database, read_only=True)


def _writing(arguments: argparse.Namespace, *, create: bool = False) -> opendb.OpenDB:
    return opendb.open(arguments.database, create=create, lock_timeout=arguments.lock_timeout)


def _keyspace(database: opendb.OpenDB, arguments: argparse.Namespace) -> opendb.OpenDB | opendb.Keyspace:
    name = arguments.keyspace
    return database if name == "default" else database.keyspace(name)


def _stat(arguments: argparse.Namespace) -> int:
    with _reading(arguments) as database:
        _report(database.stats(), arguments)
    return DONE


def _get(arguments: argparse.Namespace) -> int:
    with _reading(arguments) as database:
        value = _keyspace(database, arguments).get(_given(arguments.key, arguments))
    if arguments.json:
        _json({"value": None if value is None else _base64(value)})
    elif value is not None and (arguments.hex or sys.stdout.isatty()):
        print(_shown(value, arguments))
    elif value is not None:
        sys.stdout.buffer.write(value)
    return DONE if value is not None else NO


def _put(arguments: argparse.Namespace) -> int:
    value = sys.stdin.buffer.read() if arguments.value is None else _given(arguments.value, arguments)
    with _writing(arguments, create=True) as database:
        _keyspace(database, arguments).put(_given(arguments.key, arguments), value, "sync")
    return DONE


def _delete(arguments: argparse.Namespace) -> int:
    with _writing(arguments) as database:
        was_there = _keyspace(database, arguments).take(_given(arguments.key, arguments), "sync") is not None
    return DONE if was_there else NO


def _scan(arguments: argparse.Namespace) -> int:
    names = {"prefix": "prefix", "start": "start", "stop": "end", "start_after": "start_after"}
    texts = {name: getattr(arguments, option) for name, option in names.items()}
    bounds: dict[str, Any] = {name: _given(text, arguments) for name, text in texts.items() if text is not None}
    with _reading(arguments) as database:
        store = _keyspace(database, arguments)
        bounds |= {"reverse": arguments.reverse, "limit": arguments.limit}
        if arguments.keys:
            for key in store.iter_keys(**bounds):
                _json({"key": _base64(key)}) if arguments.json else print(_shown(key, arguments))
            return DONE
        for key, value in store.iter(**bounds):
            if arguments.json:
                _json({"key": _base64(key), "value": _base64(value)})
            else:
                print(_shown(key, arguments), _shown(value, arguments), sep="\t")
    return DONE


def _keyspaces(arguments: argparse.Namespace) -> int:
    with _reading(arguments) as database:
        counts = {name: len(database.keyspace(name)) for name in database.keyspaces()}
    if arguments.json:
        _json(counts)
    else:
        for name, count in counts.items():
            print(name, count, sep="\t")
    return DONE


def _dump(arguments: argparse.Namespace) -> int:
    with _reading(arguments) as database, database.snapshot() as snapshot:
        names = database.keyspaces() if arguments.keyspace is None else [arguments.keyspace]
        for name in names:
            for key, value in snapshot.keyspace(name).iter():
                _json({"keyspace": name, "key": _base64(key), "value": _base64(value)})
    return DONE


def _entries(lines: Iterable[bytes]) -> Iterator[tuple[str, bytes, bytes]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            name, key, value = entry.get("keyspace", "default"), entry["key"], entry["value"]
            yield name, base64.b64decode(key, validate=True), base64.b64decode(value, validate=True)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _InputError(
                f"line {number} is no entry: give an object with keyspace, key and value, the last two in base64"
            ) from None


def _load(arguments: argparse.Namespace) -> int:
    loaded = 0
    with _writing(arguments, create=True) as database:
        known = set(database.keyspaces())
        batch = database.batch()
        try:
            for name, key, value in _entries(sys.stdin.buffer):
                if name not in known:
                    database.keyspace(name)
                    known.add(name)
                batch.put(name, key, value)
                if len(batch) >= _LOADED_AT_ONCE:
                    loaded += len(batch)
                    batch.commit()
                    batch = database.batch()
        finally:
            # What stands before a line that cannot be read is loaded.
            loaded += len(batch)
            batch.commit()
            print(f"{loaded} entries loaded", file=sys.stderr)
        database.flush()
    return DONE


def _verify(arguments: argparse.Namespace) -> int:
    with opendb.open(arguments.database, read_damaged=True) as database:
        verification = database.verify()
        damaged = database.stats().recovery.damaged
    if arguments.json:
        _json({"damaged": damaged} | dataclasses.asdict(verification))
    else:
        for damage in damaged:
            print(f"damaged: {damage}")
        for violation in verification.violations:
            print(f"segment {violation.segment}, offset {violation.offset}: {violation.reason}")
        print(f"{verification.records} records and {verification.keys} keys in {verification.segments} segments")
    return NO if damaged or verification.violations else DONE


def _compact(arguments: argparse.Namespace) -> int:
    def progress(done: int, total: int) -> None:
        print(f"\r{done * 100 // max(total, 1)} %", end="", file=sys.stderr, flush=True)

    with _writing(arguments) as database:
        shows = sys.stderr.isatty() and not arguments.json
        compaction = database.compact(progress if shows else None)
        if shows:
            print(file=sys.stderr)
        _report(compaction, arguments)
    return DONE


def _backup(arguments: argparse.Namespace) -> int:
    with _writing(arguments) as database:
        _report(database.backup(arguments.directory), arguments)
    return DONE


def _salvage(arguments: argparse.Namespace) -> int:
    salvage = opendb.OpenDB.salvage(arguments.database, arguments.into)
    _report(salvage, arguments)
    return NO if salvage.lost else DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m opendb",
        description="A database of OpenDB from the command line.",
        epilog="Exit codes: 0 when done, 1 where the answer is no, 2 for a wrong command line, 3 for an error.",
    )
    parser.add_argument("--version", action="version", version=f"opendb {opendb.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, call: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.add_argument("database", help="directory of the database")
        made.set_defaults(call=call)
        return made

    def output(of: argparse.ArgumentParser) -> None:
        of.add_argument("--json", action="store_true", help="print JSON, with keys and values in base64")

    def data(of: argparse.ArgumentParser) -> None:
        of.add_argument("--keyspace", default="default", help="the keyspace (default: %(default)s)")
        of.add_argument("--hex", action="store_true", help="keys and values are hexadecimal")

    def writes(of: argparse.ArgumentParser) -> None:
        of.add_argument(
            "--lock-timeout", type=float, default=0.0, metavar="SECONDS", help="how long to wait for another process"
        )

    stat = command("stat", _stat, "what the database holds and has done")
    get = command("get", _get, "the value of a key; 1 where it is absent")
    get.add_argument("key")
    put = command("put", _put, "stores a value under a key, on the device")
    put.add_argument("key")
    put.add_argument("value", nargs="?", help="without, it is read from standard input")
    delete = command("delete", _delete, "removes a key; 1 where it is absent")
    delete.add_argument("key")
    scan = command("scan", _scan, "keys and values in the order of the keys, a line each")
    for name, text in {
        "prefix": "only keys that begin with it",
        "start": "only keys from this one on",
        "end": "only keys before this one",
        "start-after": "only keys that come after this one, in the direction of the scan",
    }.items():
        scan.add_argument(f"--{name}", metavar="KEY", help=text)
    scan.add_argument("--limit", type=int, metavar="COUNT", help="at most so many")
    scan.add_argument("--reverse", action="store_true", help="from the last key to the first")
    scan.add_argument("--keys", action="store_true", help="keys alone")
    keyspaces = command("keyspaces", _keyspaces, "the keyspaces, and how many keys each has")
    dump = command("dump", _dump, "every entry as a line of JSON, of one moment, with key and value in base64")
    dump.add_argument("--keyspace", help="only this one")
    load = command("load", _load, "stores what dump has printed, from standard input, in steps of a thousand entries")
    verify = command("verify", _verify, "checks everything; 1 where something is wrong")
    compact = command("compact", _compact, "gives back the room of what was overwritten and deleted")
    backup = command("backup", _backup, "makes a database of its own of everything, in another directory")
    backup.add_argument("directory")
    salvage = command("salvage", _salvage, "makes a new database of what can be read of a damaged one; 1 for a loss")
    salvage.add_argument("into")
    for each in (stat, get, scan, keyspaces, verify, compact, backup, salvage):
        output(each)
    for each in (get, put, delete, scan):
        data(each)
    for each in (put, delete, load, compact, backup):
        writes(each)
    return parser


def main(words: list[str] | None = None) -> int:
    """Does what the command line says, and returns the exit code."""
    arguments = _parser().parse_args(words)
    try:
        code: int = arguments.call(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Nobody reads any more, which is for the one who reads to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ERROR
    except KeyboardInterrupt:
        return 128 + 2
    except (opendb.OpenDBError, OSError, _InputError) as error:
        print(f"opendb: {error}", file=sys.stderr)
        return ERROR


def _exit() -> NoReturn:
    sys.exit(main())


if __name__ == "__main__":
    _exit()
