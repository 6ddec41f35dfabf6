"""What people, pipelines and operators do: steps of the workload, carried out through the real commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from application.commands import checks
from application.commands import transfers as transfer_commands
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
from tests.simulation.providers import FarSide, Object

PEOPLE = {
    "ana": Principal("ana", proposals=("PROP-1",)),
    "bob": Principal("bob", proposals=("PROP-2",)),
    "root": Principal("root", is_superuser=True),
}


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

    def _config(
        self, cause: Cause, config: str, owner: str, kind: str, content: Any, deletes: str, most: str, rate: str
    ) -> Any:
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
        return self._of_one(transfer_commands.cancel_transfer, cause, number, "pending", "in_progress", "failed")

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
        return len(transfer_commands.retry_failed_of_config(p.log, p.lookups, p.clock, cause, PEOPLE["root"], config))

    def _edit(self, cause: Cause, config: str, most: str, deletes: str) -> Any:
        p = self.ports
        settings = {"max_transfers": None if most == "-" else int(most), "delete_from_server": deletes == "delete"}
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
        nobody: Any = None  # folders have nothing to give back
        return delete_storage_config(p.log, p.vault, p.clock, cause, PEOPLE["root"], config, nobody, nobody)

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
            log=p.log,
            finder=p.lookups,
            clock=p.clock,
            cause=cause,
            selection=FrameSelection(),
            spare_wanted=how == "spare",
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
        return tuple(
            one for one in chosen if (found := load_config(self.ports.log, one)).enabled and found.owner == owner
        )
