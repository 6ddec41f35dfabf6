"""What people, pipelines and operators do, and the weather: made from a seed, and carried out from its text."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from application.commands import checks, transfers as transfer_commands
from application.commands.calibration import report_calibration
from application.commands.delete_frames import FrameDeletion
from application.commands.deliver_frames import Backfill
from application.commands.ingest import ingest_file
from application.commands.observations import (
    NewObservation,
    resubmit_observation,
    select_destinations,
    submit_observation,
)
from application.commands.standing_deliveries import (
    NewStandingDelivery,
    change_standing_delivery,
    create_standing_delivery,
    end_standing_delivery,
)
from application.commands.storage_configs import (
    ConfigChange,
    NewStorageConfig,
    create_storage_config,
    delete_storage_config,
    edit_storage_config,
    load_config,
    test_storage_config,
)
from application.permissions import Principal
from application.ports.frame_finder import Found
from domain import frames
from domain.errors import AlreadyExists, NotFound, RetryLater
from domain.event import Cause
from domain.frame_query import FrameQuery
from domain.frame_selection import FrameSelection
from domain.storage_configs import Settings
from tests.simulation.disk import made_file
from tests.simulation.processes import Ports
from tests.simulation.providers import CHUNK, FarSide, Object

PEOPLE = {
    "ana": Principal("ana", proposals=("PROP-1",)),
    "bob": Principal("bob", proposals=("PROP-2",)),
    "root": Principal("root", is_superuser=True),
}
KINDS = ("folder", "cloud", "drive")
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
        steps.append((at(2, draw.choice((5, length))), f"submit {observation} {draw.choice(('ana', 'ana', 'root'))} {','.join(chosen)}"))
    if draw.random() < 0.4:
        steps.append((at(2, length // 2), f"rule r1 ana {','.join(draw.sample(configs, draw.randint(1, len(configs))))}"))
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
        (0.25, lambda: f"select {draw.choice(observations)} {','.join(draw.sample(configs, draw.randint(1, len(configs))))}"),
        (0.15, lambda: f"resubmit {draw.choice(observations)} again{draw.randrange(9)}"),
        (0.2, lambda: f"edit {draw.choice(configs)} {draw.choice(('-', '1', '2'))} {draw.choice(('delete', 'keep'))}"),
        (0.15, lambda: f"disable {draw.choice(configs)}"),
        (0.15, lambda: f"enable {draw.choice(configs)}"),
        (0.12, lambda: f"delete {draw.choice(configs)}"),
        (0.4, lambda: f"authorize {draw.choice(configs)}"),
        (0.3, lambda: f"backfill {draw.choice(configs)} {draw.choice((*observations, 'all'))}"),
        (0.15, lambda: f"deleteframe {draw.choice(frames)} {draw.choice(('spare', 'force'))}"),
        (0.1, lambda: f"meddle {draw.choice(configs)} {draw.randrange(9)} {draw.choice(('remove', 'change', 'place'))}"),
    )  # fmt: skip
    for likely, make in others:
        for _ in range(5):
            if draw.random() < likely:
                steps.append((at(), make()))
                likely *= 0.7
    if draw.random() < 0.4:  # somebody changes their mind just when all has been delivered
        last = draw.choice([(when, step) for when, step in steps if step.startswith(("ingest", "outcome"))])[0]
        second = (
            f"select {draw.choice(observations)} {','.join(configs)}", f"ingest {frames[0]} 3 {observations[0]} 0 150 -",
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
        steps += [(when + draw.randint(0, 10), f"kill core for {draw.choice((1, 4, 20))}") for _ in range(draw.randint(1, 3))]
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
        (0.3, lambda: f"clock {draw.choice(('w1', 'w2', 'core', 'api'))} {draw.choice((-7200, -60, 30, 3600, 90000))}", 800),
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


def cause(who: str, what: str) -> Cause:
    """Of a request."""
    return Cause(actor=who, via="api", correlation=what)


class People:
    """Carries out steps of the workload through the real commands, in one process."""

    def __init__(self, ports: Ports) -> None:
        self.ports = ports
        self.world = ports.world

    def do(self, words: list[str], request: str) -> str:
        """Do what a step says; returns what was acknowledged. Raises what the commands raise."""
        do: Callable[..., Any] = getattr(self, f"_{words[0]}")
        return str(do(cause("root", request), *words[1:]))

    def _config(self, cause: Cause, config: str, owner: str, kind: str, content: Any, deletes: str, most: str, rate: str) -> Any:
        self.world.far.setdefault(config, FarSide(kind))
        new = NewStorageConfig(
            id=config,
            provider="folder",
            settings=Settings(
                display_name=config,
                destination_path="/fits",
                file_content=content,
                delete_from_server=deletes == "delete",
                max_transfers=None if most == "-" else int(most),
                max_bytes_per_second=None if rate == "-" else int(rate),
            ),
            credentials={"root": "/srv"},
        )
        p = self.ports
        if p.log.load(f"storage_config:{config}"):
            return "there"
        return create_storage_config(p.log, p.vault, p.clock, cause, PEOPLE[owner], new, p.destinations)

    def _submit(self, cause: Cause, observation: str, owner: str, destinations: str) -> Any:
        new = NewObservation(
            name="Andromeda", code=observation, observation_id=int(observation), project="PROP-1", target="M31",
            destinations=self._selectable(owner, destinations),
        )  # fmt: skip
        return submit_observation(self.ports.log, self.ports.clock, cause, PEOPLE[owner], new)

    def _select(self, cause: Cause, observation: str, destinations: str) -> Any:
        chosen = self._selectable("root", destinations)
        p = self.ports
        return select_destinations(p.log, p.clock, cause, PEOPLE["root"], observation, chosen)

    def _resubmit(self, cause: Cause, observation: str, code: str) -> Any:
        p = self.ports
        return resubmit_observation(p.log, p.clock, cause, PEOPLE["root"], observation, code)[0]

    def _ingest(self, cause: Cause, name: str, version: str, observation: str, level: str, size: str, raw: str) -> Any:
        header = {"name": name, "version": int(version), "level": int(level), "observation": int(observation)}
        data = made_file({**header, "proposal": "PROP-1"}, int(size))
        p = self.ports
        with p.store.staging() as staging:
            staging.write(data)
            staged = staging.finish()
            try:
                done = ingest_file(
                    staged, f"{name}.fits", reader=p.reader, store=p.store, log=p.log, numbers=p.numbers,
                    clock=p.clock, cause=cause, calibrated_from=None if raw == "-" else raw,
                )  # fmt: skip
            except AlreadyExists:
                if not p.log.load(f"frame:{name}") or not frames.fold(p.log.load(f"frame:{name}")).exists:
                    raise RetryLater("It is about to leave the archive.") from None
                return "there"
        self.world.ingested[staged.hashes.md5] = f"{name} {version} at {done.position}"
        return done.position

    def _outcome(self, cause: Cause, raw: str, outcome: Any) -> Any:
        p = self.ports
        return report_calibration(p.log, p.clock, cause, PEOPLE["root"], raw, outcome, "Said so.")

    def _cancel(self, cause: Cause, number: str) -> Any:
        return self._of_one(transfer_commands.cancel_transfer, cause, number, "pending", "in_progress")

    def _retry(self, cause: Cause, number: str) -> Any:
        return self._of_one(transfer_commands.retry_transfer, cause, number, "failed")

    def _clear(self, cause: Cause, number: str) -> Any:
        return self._of_one(transfer_commands.clear_transfer, cause, number, "failed")

    def _check(self, cause: Cause, number: str) -> Any:
        return self._of_one(checks.check_transfer, cause, number, "completed")

    def _checkall(self, cause: Cause, config: str) -> Any:
        p = self.ports
        return checks.check_config(p.log, p.lookups, p.clock, cause, PEOPLE["root"], config)

    def _retryall(self, cause: Cause, config: str) -> Any:
        p = self.ports
        return len(
            transfer_commands.retry_failed_of_config(p.log, p.lookups, p.clock, cause, PEOPLE["root"], config)
        )

    def _edit(self, cause: Cause, config: str, most: str, deletes: str) -> Any:
        p = self.ports
        settings = msgspec.structs.replace(
            load_config(p.log, config).settings,
            max_transfers=None if most == "-" else int(most),
            delete_from_server=deletes == "delete",
        )
        change = ConfigChange(settings=settings)
        return edit_storage_config(p.log, p.vault, p.clock, cause, PEOPLE["root"], config, change, p.destinations)

    def _disable(self, cause: Cause, config: str, enabled: bool = False) -> Any:
        p = self.ports
        change = ConfigChange(enabled=enabled)
        return edit_storage_config(p.log, p.vault, p.clock, cause, PEOPLE["root"], config, change, p.destinations)

    def _enable(self, cause: Cause, config: str) -> Any:
        return self._disable(cause, config, True)

    def _delete(self, cause: Cause, config: str) -> Any:
        p = self.ports
        return delete_storage_config(p.log, p.vault, p.clock, cause, PEOPLE["root"], config, None)  # type: ignore[arg-type]

    def _authorize(self, cause: Cause, config: str) -> Any:
        p = self.ports
        self._far(config).revoked = False
        return test_storage_config(p.log, p.vault, p.clock, cause, PEOPLE["root"], config, p.destinations)[-1].ok

    def _rule(self, cause: Cause, rule: str, owner: str, destinations: str) -> Any:
        p = self.ports
        if p.log.load(f"standing_delivery:{rule}"):
            return "there"
        new = NewStandingDelivery(
            id=rule, name=rule, query="", conditions=FrameQuery(), destinations=self._selectable(owner, destinations)
        )
        return create_standing_delivery(p.log, p.clock, cause, PEOPLE[owner], new)

    def _pauserule(self, cause: Cause, rule: str, paused: bool = True) -> Any:
        p = self.ports
        return change_standing_delivery(p.log, p.clock, cause, PEOPLE["root"], rule, paused=paused)

    def _resumerule(self, cause: Cause, rule: str) -> Any:
        return self._pauserule(cause, rule, False)

    def _endrule(self, cause: Cause, rule: str) -> Any:
        return end_standing_delivery(self.ports.log, self.ports.clock, cause, PEOPLE["root"], rule)

    def _backfill(self, cause: Cause, config: str, observation: str) -> Any:
        p = self.ports
        backfill = Backfill(
            log=p.log, found=p.lookups, matcher=p.matcher, clock=p.clock, cause=cause, principal=PEOPLE["root"],
            storage_config=config, wanted=FrameQuery() if observation == "all" else observation,
        )  # fmt: skip
        return sum(tally.files for _, tally, _ in backfill.batches())

    def _deleteframe(self, cause: Cause, name: str, how: str) -> Any:
        p = self.ports
        found = [one for one in p.lookups.find(FrameSelection(), after=0, limit=100) if one.basename == name]
        if not found:
            return "not found"
        deletion = FrameDeletion(
            log=p.log, finder=p.lookups, clock=p.clock, cause=cause, selection=FrameSelection(), spare_wanted=how == "spare"
        )
        return ", ".join(fate.kept or "goes" for fate in deletion.run([Found(found[0].id, name)]))

    def _meddle(self, cause: Cause, config: str, number: str, how: str) -> Any:
        """Somebody else does something at the destination."""
        far = self._far(config)
        if how == "place":
            path = f"/fits/raw{int(number) % 4}.fits"
            if far.at(path):
                return "taken"
            far.objects.append(Object(path, far.new_id("x"), "", b"somebody else's", self.world.kernel.now))
            far.meddled.add(path)
            return path
        if not far.objects:
            return "nothing there"
        one = far.objects[int(number) % len(far.objects)]
        far.meddled.add(one.path)
        if how == "remove":
            far.objects.remove(one)
        else:
            one.data += b"!"
        return one.path

    def _far(self, config: str) -> FarSide:
        if config not in self.world.far:
            raise NotFound("There is no such destination.")
        return self.world.far[config]

    def _of_one(self, command: Callable[..., Any], cause: Cause, number: str, *statuses: str) -> Any:
        """Of those that somebody would do this to, as far as there are any."""
        p = self.ports
        rows = self.world.models["transfers"].rows
        known = sorted(name for name, one in rows.items() if one.status in statuses) or sorted(rows)
        if not known:
            raise NotFound("There are no transfers.")
        return command(p.log, p.clock, cause, PEOPLE["root"], known[int(number) % len(known)])

    def _selectable(self, owner: str, destinations: str) -> tuple[str, ...]:
        """Those that there are and that the owner may select: the workload isn't about refusals."""
        chosen = [one for one in destinations.split(",") if self.ports.log.load(f"storage_config:{one}")]
        if PEOPLE[owner].is_superuser:
            return tuple(one for one in chosen if load_config(self.ports.log, one).enabled)
        return tuple(one for one in chosen if (found := load_config(self.ports.log, one)).enabled and found.owner == owner)
