"""`python -m tests.simulation`: simulate many seeds, one with its trace, or a plan that a failure printed."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.broken import RULES, breaking
from tests.simulation.plan import Plan
from tests.simulation.shrink import shrink
from tests.simulation.simulation import Outcome, replay, simulate

TAIL = 40
BLOCK = 50


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first (default: 0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--replay", metavar="PLAN", help="a plan as a failure printed it, or @FILE that holds it")
    parser.add_argument("--trace", action="store_true", help="print all that happened")
    parser.add_argument(
        "--break", dest="rule", choices=RULES, metavar="RULE", help=f"break one first: {'; '.join(RULES)}"
    )
    parser.add_argument("--shrink", type=float, default=60.0, metavar="SECONDS", help="for a failure (default: 60)")
    given = parser.parse_args()
    if given.seed is None and given.replay is None:
        return _many(given)
    with breaking(given.rule or "") as broken:
        if given.replay is not None:
            text = given.replay
            if text.startswith("@"):
                with open(text[1:]) as file:
                    text = file.read()
            outcome = replay(Plan.read(text), broken)
        else:
            outcome = simulate(given.seed, broken)
        if given.trace:
            print("\n".join(outcome.trace))
        if not outcome.failure:
            told = f"{outcome.events} events, {len(outcome.trace)} steps; trace {outcome.digest[:16]}"
            seconds = f"{outcome.seconds:.0f} simulated seconds"
            print(f"seed {outcome.plan.seed}: all well after {seconds}, {told}", file=sys.stderr)
            return 0
        print(report(outcome, shrink(outcome, broken, given.shrink), given.rule), file=sys.stderr)
    return 1


def report(failed: Outcome, small: Outcome, rule: str | None = None) -> str:
    """What whoever meets a failure needs."""
    breaks = f" --break {shlex.quote(rule)}" if rule else ""
    return "\n".join(
        (
            f"seed {failed.plan.seed} FAILED: {failed.failure}",
            f"  again: python -m tests.simulation --seed {failed.plan.seed} --trace{breaks}",
            f"  shrunk from {len(failed.plan.items())} steps and faults to {len(small.plan.items())}:",
            *(f"    {item}" for item in small.plan.items()),
            f"  then: {small.failure}",
            f"  again: python -m tests.simulation --trace{breaks} --replay '{small.plan.text()}'",
            f"  the last of its {len(small.trace)} steps:",
            *(f"  {line[:200]}" for line in small.trace[-TAIL:]),
        )
    )


def _many(given: argparse.Namespace) -> int:
    begun, done, events, failures = time.monotonic(), 0, 0, 0
    for outcomes in _blocks(given):
        for outcome, size in outcomes:
            done, events = done + 1, events + size
            if outcome is None:
                continue
            failures += 1
            if failures == 1:
                with breaking(given.rule or "") as broken:
                    small = shrink(outcome, broken, given.shrink)
                print("\r" + report(outcome, small, given.rule))
            else:
                print(f"\rseed {outcome.plan.seed} FAILED: {outcome.failure}")
        rate = done / (time.monotonic() - begun)
        print(f"\r{done} of {given.seeds} seeds, {rate:.0f} a second, {failures} failed ", end="", file=sys.stderr)
    print(file=sys.stderr)
    last = given.first + given.seeds - 1
    print(f"seeds {given.first} to {last}: {failures} failed, {events} events in {time.monotonic() - begun:.0f} s")
    return 1 if failures else 0


def _blocks(given: argparse.Namespace) -> Iterator[list[tuple[Outcome | None, int]]]:
    end = given.first + given.seeds
    blocks = [range(first, min(first + BLOCK, end)) for first in range(given.first, end, BLOCK)]
    if given.jobs == 1:
        yield from (_block(block, given.rule) for block in blocks)
        return
    with ProcessPoolExecutor(given.jobs) as pool:
        yield from pool.map(_block, blocks, [given.rule] * len(blocks))


def _block(seeds: range, rule: str | None) -> list[tuple[Outcome | None, int]]:
    with breaking(rule or "") as broken:
        outcomes = [simulate(seed, broken) for seed in seeds]
    return [(outcome if outcome.failure else None, outcome.events) for outcome in outcomes]


if __name__ == "__main__":
    sys.exit(main())
