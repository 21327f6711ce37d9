"""LangChain's own suites of its stores."""

from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import opendb
import pytest
from langchain_core.stores import BaseStore
from langchain_tests.integration_tests.base_store import BaseStoreAsyncTests, BaseStoreSyncTests
from opendb.ext.langchain import OpenDBByteStore

VALUES = (b"foo", b"", b"\x00\xff")


class TestSync(BaseStoreSyncTests[bytes]):
    """The calls that are made at once."""

    @pytest.fixture
    def kv_store(self, tmp_path: Path) -> Generator[BaseStore[str, bytes], None, None]:
        with opendb.open(tmp_path) as database:
            yield OpenDBByteStore(database)

    @pytest.fixture
    def three_values(self) -> tuple[bytes, bytes, bytes]:
        return VALUES


class TestAsync(BaseStoreAsyncTests[bytes]):
    """The calls that are awaited."""

    @pytest.fixture
    async def kv_store(self, tmp_path: Path) -> AsyncGenerator[BaseStore[str, bytes], None]:
        with opendb.open(tmp_path) as database:
            yield OpenDBByteStore(database, keyspace="other")

    @pytest.fixture
    def three_values(self) -> tuple[bytes, bytes, bytes]:
        return VALUES
