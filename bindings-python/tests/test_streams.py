"""Values that are read and written piece by piece, and keyspaces whose values are compressed."""

import gc
import io
import os
import shutil
from pathlib import Path

import opendb
import pytest

Store = opendb.OpenDB | opendb.Keyspace
LARGE = (1 << 20) + 12345


def reader_of(store: Store | opendb.Snapshot, key: bytes) -> opendb.ValueReader:
    reader = store.value_reader(key)
    assert reader is not None
    return reader


@pytest.mark.parametrize("length", [0, 1, 1000, 1 << 20, LARGE])
def test_a_value_is_written_and_read_piece_by_piece(store: Store, length: int) -> None:
    value = os.urandom(length)
    with store.value_writer(b"k", length) as writer:
        assert (writer.length, writer.tell(), writer.writable(), writer.readable()) == (length, 0, True, False)
        for start in range(0, length, 99_999):
            assert writer.write(memoryview(value)[start : start + 99_999]) == len(value[start : start + 99_999])
        assert writer.tell() == length
        assert not store.exists(b"k"), "nobody sees it before it is finished"
    assert writer.closed
    assert store.get(b"k") == value
    with reader_of(store, b"k") as reader:
        assert (reader.length, reader.tell(), reader.readable(), reader.seekable()) == (length, 0, True, True)
        assert reader.read(10) == value[:10]
        assert reader.read() == value[10:]
        assert reader.read() == b""
        assert reader.seek(0) == 0
        assert reader.readall() == value
        assert reader.seek(-min(5, length), 2) == length - min(5, length)
        assert reader.read(None) == value[-5:]
        assert reader.seek(7, 0) == 7
        assert reader.seek(2, 1) == reader.tell() == 9
        assert reader.read(1) == value[9:10]
    assert reader.closed


def test_a_value_that_does_not_exist(store: Store) -> None:
    assert store.value_reader(b"k") is None


def test_files_are_copied_in_and_out(db: opendb.OpenDB, tmp_path: Path) -> None:
    content = os.urandom(3 * LARGE)
    path = tmp_path / "film"
    path.write_bytes(content)
    with path.open("rb") as source, db.value_writer(b"film", path.stat().st_size, "sync") as writer:
        shutil.copyfileobj(source, writer)
    with reader_of(db, b"film") as reader, (tmp_path / "copy").open("wb") as target:
        shutil.copyfileobj(reader, target)
    assert (tmp_path / "copy").read_bytes() == content


def test_the_readers_and_writers_of_the_standard_library_go_around_them(db: opendb.OpenDB) -> None:
    lines = b"".join(b"line %d\n" % number for number in range(200_000))
    with db.value_writer(b"text", len(lines)) as writer:
        buffered = io.BufferedWriter(writer, 1 << 16)  # type: ignore[type-var,arg-type,unused-ignore]
        for line in io.BytesIO(lines):
            buffered.write(line)
        buffered.flush()
        buffered.detach()
    with reader_of(db, b"text") as reader:
        text = io.BufferedReader(reader)  # type: ignore[type-var,arg-type,unused-ignore]
        assert text.readline() == b"line 0\n"
        assert sum(1 for _ in text) == 199_999
        text.detach()


def test_readinto_fills_what_it_is_given(store: Store) -> None:
    store.put(b"k", b"0123456789")
    reader = reader_of(store, b"k")
    buffer = bytearray(4)
    assert [reader.readinto(buffer), bytes(buffer)] == [4, b"0123"]
    assert [reader.readinto(buffer), bytes(buffer)] == [4, b"4567"]
    assert [reader.readinto(buffer), bytes(buffer)] == [2, b"8967"]
    assert reader.readinto(buffer) == 0
    with pytest.raises(TypeError):
        reader.readinto(b"read-only")
    with pytest.raises(TypeError):
        reader.readinto("text")  # type: ignore[arg-type]


def test_an_exception_gives_the_value_up(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.value_writer(b"k", LARGE) as writer:
        writer.write(b"some of it")
        raise ZeroDivisionError
    assert writer.closed
    assert not store.exists(b"k")


def test_more_or_less_than_announced_is_refused(store: Store) -> None:
    writer = store.value_writer(b"k", 10)
    with pytest.raises(opendb.InvalidArgumentError, match="11 bytes"):
        writer.write(b"x" * 11)
    writer.write(b"x" * 9)
    with pytest.raises(opendb.InvalidArgumentError, match="9 bytes"):
        writer.finish()
    with pytest.raises(opendb.InvalidArgumentError, match="finished"):
        writer.write(b"x")
    assert not store.exists(b"k")
    for length in (-1, 1 << 32, 1 << 200):
        with pytest.raises(opendb.InvalidArgumentError, match="length"):
            store.value_writer(b"k", length)
    with pytest.raises(TypeError, match="length"):
        store.value_writer(b"k", None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="data"):
        store.value_writer(b"k", 1).write("x")  # type: ignore[arg-type]


def test_seeking_where_nothing_is(store: Store) -> None:
    store.put(b"k", b"value")
    reader = reader_of(store, b"k")
    for offset, whence in ((-1, 0), (-1, 1), (-6, 2), (0, 3)):
        with pytest.raises(opendb.InvalidArgumentError):
            reader.seek(offset, whence)
    assert reader.seek(100) == 100
    assert reader.read() == b""


def test_a_reader_keeps_its_value_and_a_snapshot_has_its_own(db: opendb.OpenDB) -> None:
    old, new = os.urandom(LARGE), os.urandom(LARGE)
    db.put(b"k", old)
    reader, snapshot = reader_of(db, b"k"), db.snapshot()
    db.put(b"k", new)
    assert reader.readall() == old
    assert reader_of(snapshot, b"k").readall() == old
    assert reader_of(db, b"k").readall() == new
    assert snapshot.value_reader(b"other") is None


def test_a_close_of_the_database_ends_them(db: opendb.OpenDB) -> None:
    db.put(b"k", b"v")
    reader, large, short = reader_of(db, b"k"), db.value_writer(b"l", LARGE), db.value_writer(b"s", 1)
    large.write(b"half")
    db.close()
    assert reader.closed and large.closed and short.closed
    for call in (reader.read, lambda: large.write(b"x"), short.finish, lambda: db.value_writer(b"k", 1)):
        with pytest.raises(opendb.ClosedError):
            call()
    reader.close()
    large.close()


def test_a_value_that_is_dropped_is_given_up(db: opendb.OpenDB) -> None:
    for _ in range(50):
        writer = db.value_writer(b"k", LARGE)
        writer.write(b"x" * 1000)
        del writer
        gc.collect()
    assert db.stats().segments <= 3
    assert not db.exists(b"k")


def test_nobody_waits_for_a_value_that_is_half_written(db: opendb.OpenDB) -> None:
    with db.value_writer(b"stream", LARGE) as writer:
        writer.write(b"x" * LARGE)
        db.put(b"small", b"v", "sync")
        db.put(b"large", b"y" * LARGE)
        assert db.get(b"large") == b"y" * LARGE
    assert db.get(b"stream") == b"x" * LARGE


def test_compression_stays_with_the_keyspace(tmp_path: Path) -> None:
    text = b"the same line once more\n" * 4000
    with opendb.open(tmp_path) as db:
        pages = db.keyspace("pages", compression="lz4")
        assert (pages.compression, db.keyspace("plain").compression) == ("lz4", "none")
        pages.put(b"a", text)
        with db.keyspace("pages").value_writer(b"b", len(text)) as writer:
            writer.write(text)
        assert db.stats().live_bytes < len(text) // 10
        assert [pages.get(b"a"), reader_of(pages, b"b").read()] == [text, text]
    with opendb.open(tmp_path) as db:
        pages = db.keyspace("pages")
        assert (pages.compression, pages.get(b"a")) == ("lz4", text)
        assert db.keyspace("pages", compression="none").compression == "none"
        assert (pages.compression, pages.get(b"a")) == ("none", text)
        assert db.keyspace("default", compression="lz4").compression == "lz4"
        with pytest.raises(opendb.InvalidArgumentError, match="compression"):
            db.keyspace("pages", compression="zip")  # type: ignore[arg-type]
