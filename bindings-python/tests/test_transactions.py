"""Transactions, transact and batches."""

import gc
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import opendb
import pytest


def finished_calls(transaction: opendb.Transaction) -> list[Callable[[], object]]:
    return [
        lambda: transaction.get("default", b"k"),
        lambda: transaction.put("default", b"k", b"v"),
        lambda: transaction.delete("default", b"k"),
        lambda: transaction.exists("default", b"k"),
        lambda: transaction.scan_prefix("default", b""),
        lambda: transaction.iter("default"),
        lambda: transaction.iter_keys("default"),
        lambda: transaction.commit(),
        lambda: transaction.rollback(),
        lambda: transaction.__enter__(),
    ]


def assert_finished(transaction: opendb.Transaction) -> None:
    for call in finished_calls(transaction):
        with pytest.raises(opendb.InvalidArgumentError, match="committed or rolled back"):
            call()


def test_reads_its_own_writes_and_nobody_elses(db: opendb.OpenDB) -> None:
    db.put(b"a", b"1")
    db.put(b"b", b"1")
    transaction = db.begin_transaction()
    transaction.put("default", b"a", b"2")
    transaction.put("default", b"c", b"2")
    transaction.delete("default", b"b")
    transaction.delete("default", b"absent")
    db.put(b"d", b"of somebody else")
    assert transaction.get("default", b"a") == b"2"
    assert transaction.get("default", b"b") is None
    assert transaction.exists("default", b"c")
    assert not transaction.exists("default", b"d")
    assert transaction.scan_prefix("default", b"") == [(b"a", b"2"), (b"c", b"2")]
    assert list(transaction.iter("default", start=b"b")) == [(b"c", b"2")]
    assert list(transaction.iter("default", b"a", limit=1)) == [(b"a", b"2")]
    assert list(transaction.iter_keys("default", reverse=True)) == [b"c", b"a"]
    assert list(transaction.iter_keys("default", start_after=b"a", stop=b"z")) == [b"c"]
    assert db.get(b"a") == b"1"
    transaction.rollback()
    assert db.get(b"a") == b"1"
    assert_finished(transaction)


def test_an_iterator_sees_the_writes_made_before_it(db: opendb.OpenDB) -> None:
    transaction = db.begin_transaction()
    transaction.put("default", b"a", b"1")
    keys = transaction.iter_keys("default")
    transaction.put("default", b"b", b"1")
    assert list(keys) == [b"a"]
    transaction.commit()


def test_commit_applies_all(db: opendb.OpenDB) -> None:
    db.keyspace("other")
    transaction = db.begin_transaction()
    transaction.put("default", b"a", b"1")
    transaction.put("other", b"b", b"2")
    transaction.commit()
    assert db.get(b"a") == b"1"
    assert db.keyspace("other").get(b"b") == b"2"
    assert_finished(transaction)


def test_a_conflict_applies_nothing(db: opendb.OpenDB) -> None:
    db.put(b"k", b"0")
    first, second = db.begin_transaction(), db.begin_transaction()
    for transaction in (first, second):
        assert transaction.get("default", b"k") == b"0"
        transaction.put("default", b"k", b"1")
    second.put("default", b"other", b"1")
    first.commit()
    with pytest.raises(opendb.TransactionError) as caught:
        second.commit()
    assert caught.value.retryable
    assert db.get(b"other") is None
    assert_finished(second)


def test_a_phantom_is_a_conflict(db: opendb.OpenDB) -> None:
    transaction = db.begin_transaction()
    assert transaction.scan_prefix("default", b"user:") == []
    transaction.put("default", b"users", b"0")
    db.put(b"user:1", b"Alice")
    with pytest.raises(opendb.TransactionError):
        transaction.commit()
    assert db.get(b"users") is None


def test_unknown_keyspace(db: opendb.OpenDB) -> None:
    transaction, batch = db.begin_transaction(), db.batch()
    for call in (
        lambda: transaction.get("nowhere", b"k"),
        lambda: transaction.put("nowhere", b"k", b"v"),
        lambda: transaction.scan_prefix("nowhere", b"k"),
        lambda: transaction.iter_keys("nowhere"),
        lambda: batch.put("nowhere", b"k", b"v"),
        lambda: batch.delete("nowhere", b"k"),
    ):
        with pytest.raises(LookupError, match='keyspace "nowhere" does not exist') as caught:
            call()
        assert isinstance(caught.value, opendb.KeyspaceNotFoundError)
    transaction.put("default", b"k", b"v")
    transaction.commit()
    assert db.get(b"k") == b"v", "the transaction goes on"


@pytest.mark.parametrize("begin", ["transaction", "begin_transaction"])
def test_the_block_commits(db: opendb.OpenDB, begin: str) -> None:
    with getattr(db, begin)(durability="sync") as transaction:
        transaction.put("default", b"k", b"v")
        assert db.get(b"k") is None
    assert db.get(b"k") == b"v"
    assert_finished(transaction)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_the_block_rolls_back(db: opendb.OpenDB, error: type[BaseException]) -> None:
    with pytest.raises(error):
        with db.transaction() as transaction:
            transaction.put("default", b"k", b"v")
            raise error
    assert db.get(b"k") is None
    assert_finished(transaction)


def test_the_block_may_finish_by_itself(db: opendb.OpenDB) -> None:
    with db.transaction() as transaction:
        transaction.put("default", b"a", b"1")
        transaction.commit()
    assert db.get(b"a") == b"1"
    with db.transaction() as transaction:
        transaction.put("default", b"b", b"1")
        transaction.rollback()
    assert db.get(b"b") is None
    with pytest.raises(ZeroDivisionError):
        with db.transaction() as transaction:
            transaction.put("default", b"c", b"1")
            transaction.commit()
            raise ZeroDivisionError
    assert db.get(b"c") == b"1"


def test_a_conflict_at_the_end_of_the_block_is_raised(db: opendb.OpenDB) -> None:
    with pytest.raises(opendb.TransactionError):
        with db.transaction() as transaction:
            transaction.get("default", b"k")
            db.put(b"k", b"of somebody else")
            transaction.put("default", b"k", b"v")
    assert db.get(b"k") == b"of somebody else"


def test_a_block_of_what_is_closed_is_not_entered(db: opendb.OpenDB) -> None:
    transaction, batch, snapshot = db.begin_transaction(), db.batch(), db.snapshot()
    db.close()
    for closed in (db, transaction, batch, snapshot):
        with pytest.raises(opendb.ClosedError):
            with closed:
                pytest.fail("the block was entered")


def test_closing_inside_the_block(db: opendb.OpenDB) -> None:
    with pytest.raises(opendb.ClosedError):
        with db.transaction():
            db.close()
    with opendb.open(db.path) as other:
        with other.transaction() as committed:
            committed.put("default", b"k", b"v")
            committed.commit()
            other.close()
    with pytest.raises(ZeroDivisionError):
        with opendb.open(db.path) as other:

            def work(transaction: opendb.Transaction) -> None:
                other.close()
                raise ZeroDivisionError

            other.transact(work)
    with pytest.raises(opendb.ClosedError):
        with opendb.open(db.path) as other, other.batch():
            other.close()
    with pytest.raises(ZeroDivisionError):
        with opendb.open(db.path) as other, other.transaction():
            other.close()
            raise ZeroDivisionError


def test_dropped_is_rolled_back(db: opendb.OpenDB) -> None:
    transaction = db.begin_transaction()
    transaction.put("default", b"k", b"v")
    del transaction
    assert db.get(b"k") is None


def test_transact(db: opendb.OpenDB) -> None:
    def work(transaction: opendb.Transaction) -> str:
        transaction.put("default", b"k", b"v")
        return "result"

    assert db.transact(work) == "result"
    assert db.get(b"k") == b"v"
    assert db.transact(lambda transaction: transaction.get("default", b"k")) == b"v"


def test_transact_tries_again(db: opendb.OpenDB) -> None:
    attempts = []

    def work(transaction: opendb.Transaction) -> int:
        attempts.append(transaction)
        before = transaction.get("default", b"k")
        if len(attempts) < 3:
            db.put(b"k", b"of somebody else %d" % len(attempts))
        transaction.put("default", b"k", (before or b"") + b"!")
        return len(attempts)

    assert db.transact(work) == 3
    assert db.get(b"k") == b"of somebody else 2!"
    for transaction in attempts:
        assert_finished(transaction)


def test_transact_rolls_back(db: opendb.OpenDB) -> None:
    attempts = []

    def work(transaction: opendb.Transaction) -> None:
        attempts.append(transaction)
        transaction.put("default", b"k", b"v")
        raise ZeroDivisionError("of the work")

    with pytest.raises(ZeroDivisionError, match="of the work"):
        db.transact(work)
    assert len(attempts) == 1
    assert db.get(b"k") is None
    assert_finished(attempts[0])


def test_transact_commits_by_itself(db: opendb.OpenDB) -> None:
    refused = []

    def work(transaction: opendb.Transaction) -> None:
        transaction.put("default", b"k", b"v")
        for call in (transaction.commit, transaction.rollback, transaction.__enter__):
            with pytest.raises(opendb.InvalidArgumentError, match="transact commits the transaction itself"):
                call()
            refused.append(call)

    db.transact(work)
    assert len(refused) == 3
    assert db.get(b"k") == b"v"


def test_transact_raises_what_the_store_raised(db: opendb.OpenDB) -> None:
    with pytest.raises(opendb.KeyspaceNotFoundError):
        db.transact(lambda transaction: transaction.get("nowhere", b"k"))
    with pytest.raises(TypeError):
        db.transact(7)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        db.transact(lambda: None)  # type: ignore[arg-type, misc]
    with pytest.raises(opendb.ClosedError):
        db.transact(lambda transaction: db.close())


# The body of such a function runs only once somebody waits for its result. Nobody did, so the transaction was committed
# as empty as it was.
def test_transact_refuses_work_that_is_not_done_when_it_returns(db: opendb.OpenDB) -> None:
    ran = []

    async def coroutine(transaction: opendb.Transaction) -> None:
        ran.append(transaction)

    async def asynchronous_generator(transaction: opendb.Transaction) -> AsyncIterator[int]:
        ran.append(transaction)
        yield 1

    def generator(transaction: opendb.Transaction) -> Iterator[int]:
        ran.append(transaction)
        yield 1

    class Later(Awaitable[None]):
        def __await__(self) -> Iterator[None]:  # type: ignore[override]
            yield

    def later(transaction: opendb.Transaction) -> Later:
        return Later()

    works: list[Callable[[opendb.Transaction], object]] = [coroutine, asynchronous_generator, generator, later]
    for work in works:

        def attempt(transaction: opendb.Transaction) -> object:
            transaction.put("default", b"k", b"v")
            return work(transaction)

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for refused in (work, attempt):
                with pytest.raises(TypeError, match="transact needs work that is done when it returns.*plain function"):
                    db.transact(refused)
            gc.collect()
        assert db.get(b"k") is None
    assert ran == []


def test_transact_within_transact(db: opendb.OpenDB) -> None:
    def inner(transaction: opendb.Transaction) -> None:
        transaction.put("default", b"inner", b"v")

    def outer(transaction: opendb.Transaction) -> None:
        transaction.put("default", b"outer", b"v")
        db.transact(inner)

    db.transact(outer)
    assert db.get(b"inner") == db.get(b"outer") == b"v"


def test_batch(db: opendb.OpenDB) -> None:
    db.put(b"a", b"1")
    db.keyspace("other")
    batch = db.batch()
    batch.delete("default", b"a")
    batch.put("default", b"b", b"1")
    batch.put("default", b"b", b"2")
    batch.put("other", b"c", b"1")
    assert len(batch) == 4
    assert db.get(b"b") is None
    batch.commit(durability="sync")
    assert db.get(b"a") is None
    assert db.get(b"b") == b"2"
    assert db.keyspace("other").get(b"c") == b"1"


def test_the_batch_block(db: opendb.OpenDB) -> None:
    with db.batch() as batch:
        batch.put("default", b"a", b"1")
    assert db.get(b"a") == b"1"
    with pytest.raises(ZeroDivisionError):
        with db.batch(durability="sync") as discarded:
            discarded.put("default", b"b", b"1")
            raise ZeroDivisionError
    assert db.get(b"b") is None
    with db.batch() as own:
        own.put("default", b"c", b"1")
        own.commit()
    assert db.get(b"c") == b"1"
    for finished in (batch, discarded, own):
        for call in (
            lambda: finished.put("default", b"k", b"v"),
            lambda: finished.delete("default", b"k"),
            lambda: finished.commit(),
            lambda: len(finished),
            lambda: finished.__enter__(),
        ):
            with pytest.raises(opendb.InvalidArgumentError, match="committed or discarded"):
                call()


def test_a_dropped_batch_does_nothing(db: opendb.OpenDB) -> None:
    batch = db.batch()
    batch.put("default", b"k", b"v")
    del batch
    assert db.get(b"k") is None
