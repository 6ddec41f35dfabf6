"""`make crashes KILLS=200 [SEED=…]`: random `kill -9` of everything under load, and a judgement of what came of it.

Exit code 1 unless no acknowledged file was lost, and nothing is doubled, stuck or left behind.
"""

from __future__ import annotations

import argparse
import logging
import secrets
import sys
import tempfile
from pathlib import Path

import msgspec
import structlog

from tests.crashes.run import Outcome, crash


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crashes")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, help="draws the same victims at the same moments; a new one if not given")
    parser.add_argument("--pause", type=float, default=0.7, help="seconds between two files of a sender")
    parser.add_argument("--senders", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="a new folder for everything, which stays; a passing one otherwise")
    wanted = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if wanted.seed is None else wanted.seed
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="starferry-crashes-") as passing:
        folder = wanted.keep or Path(passing)
        folder.mkdir(parents=True, exist_ok=True)
        outcome = crash(
            folder.absolute(),
            kills=wanted.kills,
            seed=seed,
            pause=wanted.pause,
            senders=wanted.senders,
            say=lambda line: print(line, flush=True),
        )
    print(told(outcome))
    return 1 if outcome.wrong else 0


def told(outcome: Outcome) -> str:
    """What a person reads at the end."""
    facts = msgspec.structs.asdict(outcome)
    wrong = facts.pop("wrong")
    blows = facts.pop("blows")
    lines = [f"{name.replace('_', ' '):>22}  {round(value, 1)}" for name, value in facts.items()]
    killed = ", ".join(f"{number} × {whom}" for whom, number in blows.items())
    verdict = [f"WRONG: {one}" for one in wrong[:50]] or ["nothing is lost, doubled, stuck or left behind"]
    return "\n".join(["", *lines, f"{'blows':>22}  {sum(blows.values())}: {killed}", "", *verdict])


if __name__ == "__main__":
    sys.exit(main())
