"""What the tests share: an open database, and something with the key-value calls."""

from collections.abc import Iterator
from pathlib import Path

import opendb
import pytest


@pytest.fixture
def db(tmp_path: Path) -> Iterator[opendb.OpenDB]:
    """A new database, closed after the test."""
    with opendb.open(tmp_path / "db") as database:
        yield database


@pytest.fixture(params=["database", "keyspace"])
def store(request: pytest.FixtureRequest, db: opendb.OpenDB) -> opendb.OpenDB | opendb.Keyspace:
    """The database itself, and a keyspace of it: the same calls over another key space."""
    return db if request.param == "database" else db.keyspace("other")
