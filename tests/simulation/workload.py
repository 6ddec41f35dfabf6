"""What is to happen in a seed's world, as text: what people, pipelines and operators do, and the weather."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.simulation.providers import CHUNK

KINDS = ("folder", "cloud", "drive")
MEDDLING = ("remove", "change", "place")
PROCESSES = ("w1", "w2", "core", "api")
HOUR = 3600


def make_steps(seed: int) -> tuple[str, ...]:
    """The workload and the weather of a seed."""
    draw = Random(f"{seed}/plan")
    steps: list[tuple[int, str]] = []
    configs = [f"c{number}" for number in range(1, draw.randint(2, 4))]
    length = draw.choice((600, 2000, HOUR))

    busy = [draw.randint(5, length) for _ in range(draw.randint(1, 6))]

    def at(first: int = 5, last: int = length) -> int:
        """Things happen together, mostly."""
        when = draw.choice(busy) + draw.randint(0, draw.choice((2, 20)))
        return when if draw.random() < 0.7 and first <= when <= last else draw.randint(first, max(first, last))

    def some() -> str:
        return ",".join(draw.sample(configs, draw.randint(1, len(configs))))

    for config in configs:
        owner = draw.choice(("ana", "ana", "ana", "bob"))
        content = draw.choice(("raw", "raw", "calibrated", "raw_and_calibrated", "raw_and_calibrated"))
        words = (
            "config", config, owner, draw.choice(KINDS), content, draw.choice(("delete", "delete", "keep")),
            draw.choice(("-", "-", "1", "2")), draw.choice(("-", "-", "-", "100")),
        )  # fmt: skip
        steps.append((1, " ".join(words)))
    observations = [str(100 + number) for number in range(draw.randint(1, 2))]
    for observation in observations:
        chosen = draw.sample(configs, draw.randint(1, len(configs)))
        steps.append(
            (
                at(2, draw.choice((5, length))),
                f"submit {observation} {draw.choice(('ana', 'ana', 'root'))} {','.join(chosen)}",
            )
        )
    if draw.random() < 0.4:
        steps.append((at(2, length // 2), f"rule r1 ana {some()}"))
        if draw.random() < 0.4:
            when = at()
            steps += [(when, "pauserule r1"), (when + draw.randint(1, 200), "resumerule r1")]
        if draw.random() < 0.2:
            steps.append((at(), "endrule r1"))
    frames: list[str] = []
    at_once: list[str] = []
    for number in range(draw.randint(1, 4)):
        observation, raw = draw.choice(observations), f"raw{number}"
        chunks, when = draw.choice((1, 1, 2, 4, 7)), at()
        steps.append((when, f"ingest {raw} 1 {observation} 0 {chunks * CHUNK - 50} -"))
        frames.append(raw)
        if draw.random() < 0.15:
            steps.append((at(), f"ingest {raw} 1 {observation} 0 {chunks * CHUNK - 50} -"))  # the same bytes again
        if draw.random() < 0.2:
            steps.append((at(when), f"ingest {raw} 2 {observation} 0 {chunks * CHUNK - 50} -"))
        fate = draw.random()
        if fate < 0.6:
            steps.append((at(when), f"ingest cal{number} 1 {observation} 1 {chunks * CHUNK + 150} {raw}"))
            frames.append(f"cal{number}")
        elif fate < 0.9:
            steps.append((at(when), f"outcome {raw} {draw.choice(('failed', 'no_masters'))}"))
    others: tuple[tuple[float, Callable[[], str]], ...] = (
        (0.3, lambda: f"cancel {draw.randrange(20)}"),
        (0.5, lambda: f"retry {draw.randrange(20)}"),
        (0.2, lambda: f"clear {draw.randrange(20)}"),
        (0.3, lambda: f"check {draw.randrange(20)}"),
        (0.2, lambda: f"checkall {draw.choice(configs)}"),
        (0.2, lambda: f"retryall {draw.choice(configs)}"),
        (0.25, lambda: f"select {draw.choice(observations)} {some()}"),
        (0.15, lambda: f"resubmit {draw.choice(observations)} again{draw.randrange(9)}"),
        (0.2, lambda: f"edit {draw.choice(configs)} {draw.choice(('-', '1', '2'))} {draw.choice(('delete', 'keep'))}"),
        (0.15, lambda: f"disable {draw.choice(configs)}"),
        (0.15, lambda: f"enable {draw.choice(configs)}"),
        (0.12, lambda: f"delete {draw.choice(configs)}"),
        (0.4, lambda: f"authorize {draw.choice(configs)}"),
        (0.3, lambda: f"backfill {draw.choice(configs)} {draw.choice((*observations, 'all'))}"),
        (0.15, lambda: f"deleteframe {draw.choice(frames)} {draw.choice(('spare', 'force'))}"),
        (0.1, lambda: f"meddle {draw.choice(configs)} {draw.randrange(9)} {draw.choice(MEDDLING)}"),
    )  # fmt: skip
    for likely, make in others:
        for _ in range(5):
            if draw.random() < likely:
                steps.append((at(), make()))
                likely *= 0.7
    if draw.random() < 0.4:  # somebody changes their mind just when all has been delivered
        last = draw.choice([(when, step) for when, step in steps if step.startswith(("ingest", "outcome"))])[0]
        second = (
            f"select {draw.choice(observations)} {','.join(configs)}",
            f"ingest {frames[0]} 3 {observations[0]} 0 150 -",
            f"retryall {configs[0]}", f"meddle {configs[0]} {draw.randrange(9)} remove", f"checkall {configs[0]}",
            f"cancel {draw.randrange(9)}", f"backfill {configs[-1]} all", f"delete {configs[0]}",
        )  # fmt: skip
        steps += [(last + draw.randint(0, 5), what) for what in draw.sample(second, draw.randint(1, 4))]
        third = (*second, "kill core for 3", "power for 1", f"deleteframe {frames[0]} force", "lock w1 for 100")
        at_once += [f"^{draw.randint(1, 9)} {what}" for what in draw.sample(third, draw.randint(1, 4))]
    if draw.random() < 0.15:  # somebody who can't decide, and looks at each delivery
        for number in range(1, draw.randint(3, 12)):
            chosen = draw.sample(configs, draw.randint(1, len(configs)))
            at_once.append(f"^{number} select {draw.choice(observations)} {','.join(chosen)}")
    if draw.random() < 0.2:  # a file goes, and comes again, while what removes its bytes is in trouble
        when = at()
        steps.append((when, f"deleteframe {draw.choice(frames)} force"))
        steps += [
            (when + draw.randint(0, 10), f"kill core for {draw.choice((1, 4, 20))}") for _ in range(draw.randint(1, 3))
        ]
    if any(step.startswith("deleteframe") for _, step in steps):
        again = {step.split()[1]: step for _, step in steps if step.startswith("ingest")}
        gone = [(when, step.split()[1]) for when, step in steps if step.startswith("deleteframe")]
        steps += [(when + draw.randint(0, 30), again[name]) for when, name in gone if draw.random() < 0.8]
    steps += _weather(draw, length, configs)
    ordered = sorted(enumerate(steps), key=lambda one: (one[1][0], one[0]))
    return (*(f"@{when} {what}" for _, (when, what) in ordered), *at_once)


def _weather(draw: Random, length: int, configs: list[str]) -> list[tuple[int, str]]:
    kinds: tuple[tuple[float, Callable[[], str], int], ...] = (
        (0.3, lambda: f"away {draw.choice(configs)}", draw.choice((60, 900, 4000))),
        (0.15, lambda: f"full {draw.choice(configs)}", 4000),
        (0.15, lambda: f"revoked {draw.choice(configs)}", 1),
        (0.2, lambda: "database", 40),
        (0.3, lambda: f"clock {draw.choice(PROCESSES)} {draw.choice((-7200, -60, 30, 3600, 90000))}", 800),
        (0.3, lambda: f"lock {draw.choice(('w1', 'w2'))}", 300),
        (0.3, lambda: f"stall {draw.choice(('frames', 'transfers', 'storage_configs'))}", 200),
        (0.15, lambda: f"rebuild {draw.choice(('frames', 'transfers', 'storage_configs'))}", 1),
        (0.2, lambda: "broker", 600),
        (0.2, lambda: "receiver", 2000),
        (0.15, lambda: "rival", 600),
        (0.2, lambda: "power", 1),
        (0.5, lambda: f"kill {draw.choice(('w1', 'w2', 'core', 'api'))}", draw.choice((1, 20, 300))),
    )  # fmt: skip
    return [
        (draw.randint(3, length), f"{make()} for {draw.randint(1, longest)}")
        for likely, make, longest in kinds
        if draw.random() < likely
    ]
