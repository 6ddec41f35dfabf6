"""Nothing is lost, doubled, stuck or deleted too early, whatever breaks when; and the simulation would notice."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.__main__ import report
from tests.simulation.broken import RULES, breaking
from tests.simulation.plan import Plan
from tests.simulation.shrink import shrink
from tests.simulation.simulation import replay, simulate

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "200"))
BLOCKS = 4
DIGESTS = """
from tests.simulation.simulation import simulate
for seed in (3, 104, 109, 112, 371):
    print(simulate(seed).digest)
"""

NOTICED = {
    "completes without a checksum": 63,
    "deletes without waiting for one destination": 1,
    "deletes without guards": 740,
    "no worker looks for what is due": 11,
    "what a dead worker held stays": 1,
    "what was held stays": 4,
    "overtaken workers have their say": 324,
    "an upload's session is forgotten": 155,
    "the outbox moves on unconfirmed": 148,
    "bytes are removed too often": 1,
    "earlier files are forgotten": 1,
    "the checkpoint moves before the effect": 1,
    "places aren't given back": 0,
    "sessions of what is over stay": 1,
    "the file store doesn't sync": 4,
}
"""Rules that are broken on purpose, and a seed that shows it, or one shortly before."""


@pytest.mark.parametrize("block", range(BLOCKS))
def test_whatever_breaks_when_all_is_well_in_the_end(block: int) -> None:
    for seed in range(block, SEEDS, BLOCKS):
        outcome = simulate(seed)
        if outcome.failure:
            pytest.fail(report(outcome, shrink(outcome, seconds=20.0)), pytrace=False)


def test_the_same_seed_gives_the_same_trace_in_every_process() -> None:
    def digests(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", DIGESTS], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    first = digests("1")
    assert len(set(first.split())) == 5
    assert digests("2") == first


def test_a_plan_with_its_faults_written_down_gives_the_same_trace() -> None:
    outcome = simulate(7)
    assert outcome.plan.faults
    assert replay(Plan.read(outcome.plan.text())).trace == outcome.trace


@pytest.mark.parametrize("rule", NOTICED)
def test_a_broken_rule_is_noticed(rule: str) -> None:
    with breaking(rule) as broken:
        first = NOTICED[rule]
        assert any(simulate(seed, broken).failure for seed in range(first, first + 100))


def test_every_broken_rule_is_tried() -> None:
    assert set(RULES) == set(NOTICED)


def test_a_failure_is_shrunk_to_what_it_needs() -> None:
    with breaking("the checkpoint moves before the effect") as broken:
        failed = simulate(2, broken)
        small = shrink(failed, broken, seconds=15.0)
        assert small.failure
        assert len(small.plan.items()) < len(failed.plan.items()) / 3
        again = replay(Plan.read(small.plan.text()), broken)
        assert again.trace == small.trace
    text = report(failed, small)
    assert f"seed {failed.plan.seed} FAILED" in text
    assert small.plan.text() in text
    assert not replay(small.plan).failure, "the rule as it is stands this, too"
