"""OpenDB beside the stores that a Python program would otherwise use. `cargo xtask bench --python` builds the package,
installs the others and makes tables of what this prints: one line of JSON about the run, then one for each row of each
store in each round.

Stores take turns in an order of chance, each in a process of its own, so that neither the memory nor the caches that
one has left are another's. Every answer is checked.
"""

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from entries import Entries
from scenes import GROUPS, Plan, Run
from stores import KINDS, Kind

FORMAT = 1


def main() -> None:
    arguments = parse()
    kinds = [kind for kind in KINDS if kind.id in (arguments.stores or [kind.id])]
    arguments.directory.mkdir(parents=True, exist_ok=True)
    if arguments.round is not None:
        measure(arguments, kinds[0])
        return
    missing = {kind.id: reason for kind in kinds if (reason := kind.missing())}
    present = [kind for kind in kinds if kind.id not in missing]
    say(head(arguments, present, [kind for kind in kinds if kind.id in missing]))
    draws = random.Random(arguments.seed)
    for round in range(1, arguments.rounds + 1):
        draws.shuffle(present)
        for kind in present:
            print(f"round {round} of {arguments.rounds}: {kind.name}", file=sys.stderr)
            measure_elsewhere(arguments, kind, round)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="OpenDB beside the stores that a Python program would otherwise use.")
    parser.add_argument("--keys", type=whole, help="how many keys are loaded")
    parser.add_argument("--value-bytes", type=whole, default=100, help="length of a value in bytes, at least 24")
    parser.add_argument("--rounds", type=whole, default=3, help="each measures every store, in a shuffled order")
    parser.add_argument("--seconds", type=float, help="for how long a row is measured, in each round")
    parser.add_argument("--seed", type=whole, default=1, help="start of the random numbers")
    parser.add_argument("--stores", type=list_of({kind.id for kind in KINDS}), help="such as opendb,lmdb; else all")
    parser.add_argument("--only", type=list_of(set(GROUPS)), default=list(GROUPS), help="such as put,get; else all")
    parser.add_argument("--quick", action="store_true", help="fewer keys and less time, for a first look")
    parser.add_argument("--directory", type=Path, default=Path("target/bench"), help="for the files of the stores")
    parser.add_argument("--round", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.value_bytes < 24:
        parser.error("--value-bytes must be at least 24")
    keys, seconds = (100_000, 0.2) if arguments.quick else (1_000_000, 5.0)
    arguments.keys = arguments.keys or keys
    arguments.seconds = arguments.seconds or seconds
    return arguments


def whole(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def list_of(known: set[str]) -> Any:
    def parse_list(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"there is no {unknown[0]}; there are {', '.join(sorted(known))}")
        return names

    return parse_list


def head(arguments: argparse.Namespace, present: list[Kind], missing: list[Kind]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "language": "python",
        "keys": arguments.keys,
        "value_bytes": arguments.value_bytes,
        "seed": arguments.seed,
        "rounds": arguments.rounds,
        "seconds_per_row": arguments.seconds,
        "rows": [row for group, rows in GROUPS.items() if group in arguments.only for row in rows],
        "stores": [kind.profile() for kind in present],
        "not_available": [{"name": kind.name, "reason": kind.missing()} for kind in missing],
    }


def measure_elsewhere(arguments: argparse.Namespace, kind: Kind, round: int) -> None:
    """Measures a store in another process. What that one did not come to has failed."""
    command = [sys.executable, __file__, "--round", str(round), "--stores", kind.id, "--directory", arguments.directory]
    for name in ("keys", "value_bytes", "seed", "seconds"):
        command += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    ended = subprocess.run([*command, "--only", ",".join(arguments.only)], stdout=subprocess.PIPE, text=True)
    seen = set()
    for line in ended.stdout.splitlines():
        sample = json.loads(line)
        seen.add(sample["row"])
        say(sample)
    for row in (row for group in arguments.only for row in GROUPS[group] if row not in seen):
        failure = f"its process ended with {ended.returncode}"
        say({"store": kind.id, "row": row, "round": round, "details": {}, "failed": failure})


def measure(arguments: argparse.Namespace, kind: Kind) -> None:
    entries = Entries(arguments.keys, arguments.value_bytes, arguments.seed)
    plan = Plan(entries, arguments.seconds, arguments.seed, arguments.only, arguments.directory)
    for sample in Run(plan, kind, arguments.round).samples():
        say(sample)


def say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
