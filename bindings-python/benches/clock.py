"""How long calls take."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter, perf_counter_ns
from typing import Any

# Calls that are made in one loop of the store's own, so that no call of ours stands between them.
CALLS_PER_BLOCK = 64
# One block in so many is timed call by call; of the others only the whole is, since looking at the clock takes as long
# as a part of a get.
BLOCKS_PER_TIMED = 8


@dataclass(frozen=True)
class Budget:
    """So many calls, or as many as there is time for."""

    calls: int
    seconds: float


@dataclass
class Clock:
    """What was timed of a row."""

    wanted: int
    each: list[int] = field(default_factory=list)
    calls: int = 0
    in_blocks: int = 0
    block_nanoseconds: int = 0

    def time(self, call: Callable[[Any], Any], argument: Any) -> Any:
        begin = perf_counter_ns()
        result = call(argument)
        self.each.append(perf_counter_ns() - begin)
        self.calls += 1
        return result

    def time_block(self, call: Callable[[Any], Any], arguments: list[Any]) -> Any:
        begin = perf_counter_ns()
        result = call(arguments)
        self.block_nanoseconds += perf_counter_ns() - begin
        self.in_blocks += len(arguments)
        self.calls += len(arguments)
        return result

    def timing(self) -> dict[str, Any]:
        """The numbers of a line: nanoseconds a call."""
        each = sorted(self.each)
        mean = sum(each) / max(len(each), 1)
        if self.in_blocks:
            mean = self.block_nanoseconds / self.in_blocks

        def quantile(part: float) -> int:
            return each[min(int(len(each) * part), len(each) - 1)] if each else 0

        return {
            "calls": self.calls,
            "complete": self.calls >= self.wanted,
            "mean": mean,
            "p50": quantile(0.5),
            "p99": quantile(0.99),
            "p99.9": quantile(0.999),
            "slowest": each[-1] if each else 0,
        }


def each(budget: Budget, step: Callable[[int, Clock], None]) -> Clock:
    """Runs ``step`` with the number of each call; what it times of it counts."""
    clock, end = Clock(budget.calls), perf_counter() + budget.seconds
    for call in range(budget.calls):
        if perf_counter() > end:
            break
        step(call, clock)
    return clock


def blocks(
    budget: Budget,
    draw: Callable[[int, int], list[Any]],
    call_each: Callable[[list[Any]], Any],
    check: Callable[[list[Any], Any], None],
) -> Clock:
    """Times quick calls. ``draw`` gives the arguments of the calls from a number on, ``call_each`` makes a call with
    each of them, and ``check`` sees what came of it; only ``call_each`` is timed."""
    clock, end, block = Clock(budget.calls), perf_counter() + budget.seconds, 0
    while clock.calls < budget.calls and perf_counter() <= end:
        arguments = draw(clock.calls, min(CALLS_PER_BLOCK, budget.calls - clock.calls))
        if block % BLOCKS_PER_TIMED == 0:
            for argument in arguments:
                check([argument], clock.time(call_each, [argument]))
        else:
            check(arguments, clock.time_block(call_each, arguments))
        block += 1
    return clock
