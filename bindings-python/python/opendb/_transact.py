"""Functions that are run in a transaction each time they are called."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, Literal, ParamSpec, TypeVar, final

if TYPE_CHECKING:
    from opendb._opendb import OpenDB, Transaction

_P = ParamSpec("_P")
_T = TypeVar("_T")


@final
class Transacting:
    """The decorator that ``OpenDB.transact`` gives where it is called without work."""

    def __init__(self, database: OpenDB, retries: int | None, durability: Literal["buffered", "sync"] | None) -> None:
        self._database = database
        self._retries = retries
        self._durability: Literal["buffered", "sync"] | None = durability

    def __call__(self, work: Callable[Concatenate[Transaction, _P], _T]) -> Callable[_P, _T]:
        @functools.wraps(work)
        def transacted(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            def with_arguments(transaction: Transaction) -> _T:
                return work(transaction, *args, **kwargs)

            return self._database.transact(with_arguments, retries=self._retries, durability=self._durability)

        return transacted
