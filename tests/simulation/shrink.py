"""Makes a failing plan small: what isn't needed for the failure is left out (delta debugging; Zeller and Hildebrandt,
"Simplifying and Isolating Failure-Inducing Input", 2002)."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.simulation.plan import Plan
from tests.simulation.simulation import Break, Outcome, replay


def shrink(failed: Outcome, broken: Break | None = None, seconds: float = 60.0) -> Outcome:
    """The smallest failing outcome that is found within so many seconds. Another failure of the same kind will do: what
    counts is the sentence without its names."""
    deadline = time.monotonic() + seconds
    wanted = kind_of(failed.failure)
    best = failed

    def fails(plan: Plan) -> bool:
        nonlocal best
        if time.monotonic() > deadline:
            return False
        outcome = replay(plan, broken)
        if not outcome.failure or kind_of(outcome.failure) != wanted:
            return False
        best = outcome
        return True

    items = failed.plan.items()
    # faults first, all at once: many failures need none
    if not fails(failed.plan.only(list(failed.plan.steps))):
        items = _reduced(items, lambda kept: fails(failed.plan.only(kept)))
    else:
        items = _reduced(list(failed.plan.steps), lambda kept: fails(failed.plan.only(kept)))
    return best


def kind_of(failure: str) -> str:
    """What a failure is about: its sentence without names and numbers."""
    return " ".join(word for word in failure.split(":")[0].split() if word.isalpha())


def _reduced(items: list[str], fails: Callable[[list[str]], bool]) -> list[str]:
    size = max(1, len(items) // 2)
    while items:
        for first in range(0, len(items), size):
            kept = items[:first] + items[first + size :]
            if fails(kept):
                items = kept
                break
        else:
            if size == 1:
                break
            size = max(1, size // 2)
    return items
