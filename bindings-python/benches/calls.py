"""What calls of the package cost beside a call that does nothing, in nanoseconds: the median of rounds in which they take turns.

The call that does nothing is a method of the same kind of class (`ValueReader.readable`).
"""

import random
import statistics
import tempfile
import time
from collections.abc import Callable

import opendb

KEYS = 1_000_000
CALLS = 1000
ROUNDS = 301


def main() -> None:
    keys = [b"user:%019d" % (number * 7919 % KEYS) for number in range(KEYS)]
    draws = random.Random(1)
    with tempfile.TemporaryDirectory() as directory, opendb.open(directory) as db:
        value = draws.randbytes(100)
        for first in range(0, KEYS, CALLS):
            db.put_many((key, value) for key in keys[first : first + CALLS])
        reader = db.value_reader(keys[0])
        assert reader is not None
        nothing, get, get_view, get_many, exists, put = (
            reader.readable,
            db.get,
            db.get_view,
            db.get_many,
            db.exists,
            db.put,
        )
        hot = keys[:CALLS]
        drawn: list[bytes] = []

        def each(call: Callable[[bytes], object], of: list[bytes]) -> Callable[[], None]:
            def calls() -> None:
                for key in of:
                    call(key)

            return calls

        def nothings() -> None:
            for _ in hot:
                nothing()

        def puts() -> None:
            for key in drawn:
                put(key, value)

        def many() -> None:
            get_many(drawn)

        rows: dict[str, Callable[[], None]] = {
            "a call that does nothing": nothings,
            "get, a thousand keys again and again": each(get, hot),
            "get, at random": each(get, drawn),
            "get_many of 1,000, at random, a key": many,
            "get_view, at random": each(get_view, drawn),
            "exists, at random": each(exists, drawn),
            "put, over a key at random": puts,
        }
        times: dict[str, list[float]] = {name: [] for name in rows}
        for _ in range(ROUNDS):
            for name, calls in draws.sample(list(rows.items()), len(rows)):
                drawn[:] = draws.choices(keys, k=CALLS)
                begin = time.perf_counter_ns()
                calls()
                times[name].append((time.perf_counter_ns() - begin) / CALLS)
    base = statistics.median(times["a call that does nothing"])
    for name, measured in times.items():
        median = statistics.median(measured)
        print(f"{name:<40} {median:>8.0f} ns {median / base:>6.1f}")


if __name__ == "__main__":
    main()
