"""What is done with a store, in two scenes that each begin with an empty one."""

import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clock import Budget, Clock, blocks, each
from entries import Entries, Entry
from stores import Kind, Store

ENTRIES_PER_BATCH = 1000
# How many entries, and how many scans of them at most.
SCANS = [(10, 100_000), (1000, 10_000)]
# Puts get so many times the time of other rows: what they have not put is loaded without being measured, and a half
# empty store would flatter.
PUT_TIMES = 10

# What is measured: the names are those of the Rust benchmark.
GROUPS = {
    "put": ["put-random"],
    "get": ["get-uniform", "get-absent"],
    "overwrite": ["overwrite"],
    "batch": ["batch"],
    "scan": [f"scan-{entries}-iterated-{moment}" for moment in ("fresh", "settled") for entries, _ in SCANS],
}

Sample = dict[str, Any]


class WrongAnswer(Exception):
    """A store has lost or changed something."""


def expect(found: Any, wanted: Any, what: str) -> None:
    if found != wanted:
        raise WrongAnswer(f"{what} gave something else than what was put")


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    entries: Entries
    seconds: float
    seed: int
    groups: list[str]
    directory: Path


class Run:
    """One round of one store."""

    def __init__(self, plan: Plan, kind: Kind, round: int) -> None:
        self.plan = plan
        self.kind = kind
        self.round = round
        self.entries = plan.entries

    def samples(self) -> Iterator[Sample]:
        for groups, scene in ((["put", "get", "overwrite", "batch"], self.points), (["scan"], self.scans)):
            rows = [row for group in groups if group in self.plan.groups for row in GROUPS[group]]
            lacks = [row for row in rows if self.kind.lacks(row)]
            for row in lacks:
                yield self.sample(row, {"lacks": self.kind.lacks(row)})
            missing = [row for row in rows if row not in lacks]
            failure = "it was not measured"
            try:
                for row, clock in self.open(scene) if missing else ():
                    missing.remove(row)
                    yield self.sample(row, clock.timing())
            except Exception as error:
                failure = f"{type(error).__name__}: {error}"
            for row in missing:
                yield self.sample(row, {"failed": failure})

    def sample(self, row: str, outcome: dict[str, Any]) -> Sample:
        return {"store": self.kind.id, "row": row, "round": self.round, "details": {}, **outcome}

    def open(self, scene: Callable[[Store], Iterator[tuple[str, Clock]]]) -> Iterator[tuple[str, Clock]]:
        """Opens the store in a directory of its own, which is deleted afterwards."""
        with tempfile.TemporaryDirectory(dir=self.plan.directory) as directory:
            store = self.kind.open(Path(directory))
            try:
                yield from scene(store)
            finally:
                store.close()

    def budget(self, calls: int, times: int = 1) -> Budget:
        return Budget(max(calls, 1), self.plan.seconds * times)

    def random(self, row: str) -> random.Random:
        """Draws for a row, the same for every store."""
        return random.Random(f"{self.plan.seed} {self.round} {row}")

    def points(self, store: Store) -> Iterator[tuple[str, Clock]]:
        wants = self.plan.groups
        loaded = 0
        if "put" in wants:
            clock = self.puts(store)
            loaded = clock.calls
            yield "put-random", clock
        self.load(store, loaded)
        if "get" in wants:
            yield "get-uniform", self.gets(store)
            yield "get-absent", self.absent_gets(store)
        if "overwrite" in wants:
            yield "overwrite", self.overwrites(store)
        if "batch" in wants:
            yield "batch", self.batches(store)

    def load(self, store: Store, begin: int) -> None:
        for first in range(begin, self.entries.count, ENTRIES_PER_BATCH):
            end = min(first + ENTRIES_PER_BATCH, self.entries.count)
            store.batch([self.entries.entry(number) for number in range(first, end)])

    def puts(self, store: Store) -> Clock:
        def draw(call: int, count: int) -> list[Entry]:
            return [self.entries.entry(number) for number in range(call, call + count)]

        clock = blocks(self.budget(self.entries.count, PUT_TIMES), draw, store.put_each, lambda *_: None)
        self.check(store, {number: 0 for number in range(clock.calls)})
        return clock

    def gets(self, store: Store) -> Clock:
        draws, numbers = self.random("get-uniform"), range(self.entries.count)
        drawn: list[int] = []
        keys = self.entries.keys

        def draw(_call: int, count: int) -> list[bytes]:
            drawn[:] = draws.choices(numbers, k=count)
            return [keys[number] for number in drawn]

        def check(asked: list[bytes], found: list[bytes | None]) -> None:
            # A block is checked as a whole, or call by call from its beginning on.
            answered = [drawn.pop(0) for _ in asked]
            expect(found, [self.entries.value(number, 0) for number in answered], "a get")

        return blocks(self.budget(self.entries.count), draw, store.get_each, check)

    def absent_gets(self, store: Store) -> Clock:
        draws, numbers = self.random("get-absent"), range(self.entries.count)

        def draw(_call: int, count: int) -> list[bytes]:
            return [self.entries.absent(number) for number in draws.choices(numbers, k=count)]

        def check(asked: list[bytes], found: list[bytes | None]) -> None:
            expect(found, [None] * len(asked), "a get of an absent key")

        return blocks(self.budget(self.entries.count), draw, store.get_each, check)

    def overwrites(self, store: Store) -> Clock:
        draws, numbers = self.random("overwrite"), range(self.entries.count)
        versions = {number: 0 for number in numbers}

        def draw(call: int, count: int) -> list[Entry]:
            entries = []
            for version, number in enumerate(draws.choices(numbers, k=count), call + 1):
                versions[number] = version
                entries.append(self.entries.entry(number, version))
            return entries

        clock = blocks(self.budget(self.entries.count), draw, store.put_each, lambda *_: None)
        self.check(store, versions)
        return clock

    def batches(self, store: Store) -> Clock:
        def step(call: int, clock: Clock) -> None:
            begin = self.entries.count + call * ENTRIES_PER_BATCH
            entries = [self.entries.entry(number) for number in range(begin, begin + ENTRIES_PER_BATCH)]
            clock.time(store.batch, entries)

        clock = each(self.budget(self.entries.count // ENTRIES_PER_BATCH), step)
        end = self.entries.count + clock.calls * ENTRIES_PER_BATCH
        self.check(store, {number: 0 for number in range(self.entries.count, end)})
        return clock

    def check(self, store: Store, versions: dict[int, int]) -> None:
        """Reads everything that was written."""
        numbers = list(versions)
        for first in range(0, len(numbers), ENTRIES_PER_BATCH):
            some = numbers[first : first + ENTRIES_PER_BATCH]
            wanted = [self.entries.entry(number, versions[number]) for number in some]
            found = store.get_each([key for key, _ in wanted])
            expect(found, [value for _, value in wanted], "a get after the writes")

    def scans(self, store: Store) -> Iterator[tuple[str, Clock]]:
        self.load(store, 0)
        order = self.entries.in_order()
        yield from self.scans_at(store, order, "fresh")
        store.settle()
        yield from self.scans_at(store, order, "settled")

    def scans_at(self, store: Store, order: list[int], moment: str) -> Iterator[tuple[str, Clock]]:
        for length, scans in SCANS:
            row = f"scan-{length}-iterated-{moment}"
            draws = self.random(row)
            # Not nearer to the end than the scan is long, where there are enough entries.
            places = max(len(order) - length, 1)

            def step(_call: int, clock: Clock) -> None:
                numbers = order[(place := draws.randrange(places)) : place + length]
                wanted = [self.entries.entry(number) for number in numbers]
                found = clock.time(lambda start: store.scan(start, length), wanted[0][0])
                expect(found, wanted, "a scan")

            yield row, each(self.budget(scans), step)
