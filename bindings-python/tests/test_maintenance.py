"""Compaction, verification and backups, and what they tell."""

import asyncio
import threading
from pathlib import Path

import opendb
import pytest

KEYS = [b"key %d" % number for number in range(500)]
# So large that nothing is sealed, and so nothing compacted, before it is asked for.
SEGMENT_BYTES = 16 << 20


@pytest.fixture
def worn(tmp_path: Path) -> opendb.OpenDB:
    """A database most of which was overwritten or deleted."""
    db = opendb.open(tmp_path / "worn", segment_bytes=SEGMENT_BYTES)
    wear(db)
    return db


def wear(db: opendb.OpenDB) -> None:
    for turn in range(4):
        for key in KEYS:
            db.put(key, bytes([turn]) * 1000)
    for key in KEYS[1::2]:
        db.delete(key)


def check(db: opendb.OpenDB) -> opendb.Verification:
    """The database is whole and has what `worn` left."""
    found = db.verify()
    assert found.violations == ()
    assert found.counts_compared
    assert dict(db.iter()) == dict.fromkeys(KEYS[::2], bytes([3]) * 1000)
    return found


def test_compact_gives_back_what_was_overwritten_and_deleted(worn: opendb.OpenDB) -> None:
    before = worn.stats()
    done = worn.compact()
    after = worn.stats()
    assert done.segments_removed == 1
    assert done.bytes_freed > before.log_bytes
    assert after.dead_bytes < before.dead_bytes // 4
    assert after.compactions > before.compactions
    assert after.checkpoints > before.checkpoints
    assert after.bytes_copied >= before.bytes_copied + done.bytes_copied > 0
    assert after.bytes_checkpointed > 0
    check(worn)
    path = worn.path
    worn.close()
    with opendb.open(path) as db:
        assert db.stats().recovery.clean
        check(db)


def test_a_snapshot_keeps_its_moment_across_a_compaction(worn: opendb.OpenDB) -> None:
    with worn.snapshot() as snapshot:
        worn.delete(KEYS[0])
        worn.compact()
        assert snapshot.get(KEYS[0]) == bytes([3]) * 1000
        assert worn.get(KEYS[0]) is None
    worn.compact()
    assert worn.verify().violations == ()


def test_progress_is_told_how_far_it_has_come(worn: opendb.OpenDB) -> None:
    told: list[tuple[int, int]] = []
    worn.compact(progress=lambda done, total: told.append((done, total)))
    assert len(told) > 1
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1] > 0
    assert told == sorted(told), "it never goes back"


def test_progress_stops_with_false(worn: opendb.OpenDB) -> None:
    calls: list[int] = []

    def progress(done: int, total: int) -> bool:
        calls.append(done)
        return False

    assert worn.compact(progress).segments_removed == 0
    assert len(calls) == 1, "at its beginning, and then no more"


def test_progress_goes_on_with_what_is_not_false(worn: opendb.OpenDB) -> None:
    assert worn.compact(lambda done, total: 0).segments_removed > 0


def test_an_exception_of_progress_stops_and_is_raised(worn: opendb.OpenDB) -> None:
    calls: list[int] = []

    def progress(done: int, total: int) -> None:
        calls.append(done)
        raise ZeroDivisionError("of the caller")

    with pytest.raises(ZeroDivisionError, match="of the caller"):
        worn.compact(progress)
    assert calls == [0], "it is not called again"
    check(worn)


def test_progress_must_take_two_numbers(worn: opendb.OpenDB) -> None:
    with pytest.raises(TypeError):
        worn.compact(lambda: None)  # type: ignore[misc,arg-type]
    with pytest.raises(TypeError, match="callable"):
        worn.compact(5)  # type: ignore[arg-type]


def test_progress_reads_and_writes(worn: opendb.OpenDB) -> None:
    def progress(done: int, total: int) -> None:
        assert worn.get(KEYS[0]) is not None
        worn.put(b"written meanwhile", b"%d" % done)

    worn.compact(progress)
    assert worn.get(b"written meanwhile") is not None


def test_other_threads_go_on_while_a_database_is_compacted(worn: opendb.OpenDB) -> None:
    asked, answered = threading.Event(), threading.Event()

    def other() -> None:
        assert asked.wait(30)
        worn.put(b"other", b"thread")
        answered.set()

    thread = threading.Thread(target=other)
    thread.start()

    def progress(done: int, total: int) -> bool:
        asked.set()
        return answered.wait(30)

    worn.compact(progress)
    thread.join()
    assert worn.get(b"other") == b"thread"


def test_verify_counts_what_it_has_looked_at(db: opendb.OpenDB) -> None:
    for key in KEYS:
        db.put(key, b"value")
    found = db.verify()
    assert found.keys == len(KEYS)
    assert found.records >= len(KEYS)
    assert found.segments >= 1
    assert found == db.verify() and hash(found) == hash(db.verify())
    assert repr(found).startswith(f"Verification(segments={found.segments}, records={found.records}, ")


def test_verify_tells_the_place_of_damage(tmp_path: Path) -> None:
    with opendb.open(tmp_path, append="write") as db:
        for key in KEYS:
            db.put(key, b"the value of it")
        db.flush()
        [segment] = [path for path in tmp_path.glob("*.segment") if b"the value of it" in path.read_bytes()]
        contents = segment.read_bytes()
        at = contents.index(b"the value of it", contents.rindex(b"the value of it") // 2)
        with segment.open("r+b") as file:
            file.seek(at)
            file.write(b"T")
        violations = db.verify().violations
        assert violations
        assert any(one.segment == int(segment.name.split(".")[0], 16) and 0 < one.offset <= at for one in violations)
        assert all(one.reason for one in violations)
        assert repr(violations[0]).startswith("Violation(segment=")


def test_a_backup_is_a_database_of_its_own(worn: opendb.OpenDB, tmp_path: Path) -> None:
    made = worn.backup(tmp_path / "backups" / "first")
    assert made.sequence == worn.stats().last_sequence
    assert made.segments_linked + made.segments_copied > 0
    worn.put(b"later", b"value")
    with opendb.open(tmp_path / "backups" / "first") as backup:
        check(backup)
        backup.put(b"of the backup", b"value")
    assert worn.get(b"of the backup") is None


def test_a_backup_needs_an_empty_directory_outside(worn: opendb.OpenDB, tmp_path: Path) -> None:
    for directory in (worn.path, worn.path / "inside"):
        with pytest.raises(opendb.InvalidArgumentError):
            worn.backup(directory)
    worn.backup(str(tmp_path / "there"))
    with pytest.raises(opendb.InvalidArgumentError, match="not empty"):
        worn.backup(tmp_path / "there")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(opendb.OpenDBError):
        worn.backup(tmp_path / "file")


def test_amplification_is_told(worn: opendb.OpenDB) -> None:
    before = worn.stats()
    assert before.space_amplification > 2
    assert before.write_amplification >= 1
    beside = before.bytes_checkpointed + before.bytes_hinted + before.bytes_ordered
    written = before.bytes_appended + before.bytes_copied + beside
    assert before.write_amplification == written / before.bytes_appended
    worn.compact()
    after = worn.stats()
    assert after.write_amplification > before.write_amplification
    assert f"write_amplification={after.write_amplification!r}" in repr(after)


def test_the_oldest_snapshot_has_an_age(db: opendb.OpenDB) -> None:
    assert db.stats().oldest_snapshot_seconds == 0
    with db.snapshot():
        db.put(b"k", b"1")
        assert db.stats().oldest_snapshot_seconds < 60


def test_a_closed_database_does_none_of_it(worn: opendb.OpenDB, tmp_path: Path) -> None:
    worn.close()
    for call in (worn.compact, worn.verify, lambda: worn.backup(tmp_path / "backup")):
        with pytest.raises(opendb.ClosedError):
            call()
    assert not (tmp_path / "backup").exists()


def test_what_is_only_readable_is_verified_and_not_compacted(worn: opendb.OpenDB) -> None:
    worn.close()
    with opendb.open(worn.path, read_damaged=True) as db:
        assert db.verify().violations == ()
        with pytest.raises(opendb.ReadOnlyError):
            db.compact()


def test_maintenance_beside_an_event_loop(worn: opendb.OpenDB) -> None:
    async def work() -> opendb.Compaction:
        return await asyncio.to_thread(worn.compact)

    assert asyncio.run(work()).segments_removed > 0


def test_salvage_brings_over_what_can_be_read(worn: opendb.OpenDB, tmp_path: Path) -> None:
    damaged = worn.path
    with pytest.raises(opendb.LockedError):
        opendb.OpenDB.salvage(damaged, tmp_path / "early")
    worn.flush()
    worn.close()
    (damaged / "MANIFEST").unlink()
    with pytest.raises(opendb.CorruptionError):
        opendb.open(damaged)
    done = opendb.OpenDB.salvage(damaged, tmp_path / "new")
    assert done.keys == len(KEYS) // 2
    assert done.keyspaces == 1
    assert all("MANIFEST" in sentence or "manifest" in sentence for sentence in done.lost)
    assert repr(done).startswith("Salvage(keys=250, keyspaces=1, lost=(")
    with opendb.open(tmp_path / "new") as db:
        check(db)
    with pytest.raises(opendb.InvalidArgumentError, match="not empty"):
        opendb.OpenDB.salvage(damaged, tmp_path / "new")
    with pytest.raises(opendb.IoError):
        opendb.OpenDB.salvage(tmp_path / "nowhere", tmp_path / "other")
