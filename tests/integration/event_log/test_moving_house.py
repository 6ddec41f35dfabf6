"""A store that was imported goes on where the original was: what is pending goes on, nothing is done or told twice."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from adapters.event_store.check import LogCheck
from adapters.event_store.findings import Finding
from api.bootstrap import Core, open_core
from api.cli import cli
from api.settings import Settings
from application.policies.engine import PolicyEngine
from domain import transfers
from tests.fakes.limits import places_for
from tests.integration.api.deliveries import create, folder_body, observe, transfer
from tests.postgres import fresh_database
from tests.records import fits_bytes
from tests.site import eventually, running_site


class Nudges:
    """A Jobs that only notes who was nudged."""

    def __init__(self) -> None:
        self.transfers: list[str] = []
        self.notices: list[str] = []

    def nudge(self, due: list[tuple[str, object]], sizes: object = None) -> None:
        self.transfers += [name for name, _ in due]

    def nudge_notices(self, due: list[tuple[str, object]]) -> None:
        self.notices += [name for name, _ in due]


def cli_on(conninfo: str, data: Path, *arguments: str) -> str:
    done = CliRunner().invoke(cli, [*arguments, "--data", str(data)], env={"DATABASE_URL": conninfo})
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


@contextmanager
def opened(conninfo: str, data: Path, environment: dict[str, str]) -> Iterator[tuple[Core, Nudges]]:
    """The program on a store, with policies and read models that move when told to."""
    with open_core(Settings({"DATABASE_URL": conninfo, **environment}, data=data), conninfo) as core:
        nudges = Nudges()
        yield msgspec.structs.replace(core, jobs=nudges), nudges  # type: ignore[type-var]


def settle(core: Core) -> None:
    engines: list[PolicyEngine] = [core.policy_engine(), core.notice_engine()]
    moving = True
    while moving:
        core.projection_runner().catch_up()
        moving = sum(engine.step() for engine in engines) > 0


def status(core: Core, transfer_id: str) -> str:
    return transfers.fold(core.log.load(transfers.stream_of(transfer_id))).status


@pytest.mark.timeout(120)
def test_pending_transfers_go_on_and_nothing_is_done_or_told_twice(
    empty: str, cluster: str, template: str, tmp_path: Path
) -> None:
    old, new, path = tmp_path / "old", tmp_path / "new", tmp_path / "log.zst"
    (old / "destinations").mkdir(parents=True)
    environment = {"STARFERRY_FOLDER_ROOTS": str(old / "destinations")}
    with fresh_database(cluster, template=template) as original:
        with running_site(old, original, environment, prepared=True) as site:
            card = create(site.user, folder_body(site))
            hook = site.user.post(
                "/api/v1/webhooks", json={"url": "https://hooks.example.org/x", "interests": ["state"]}
            )
            assert hook.status_code == 201, hook.text
            number = observe(site.user, card["id"])
            site.ingest(fits_bytes(PROPID="P-OWN"), "done.fits", observation=str(number))
            done = transfer(site.user, "completed", frame="done")["id"]
            site.jobs.paused.set()
            site.ingest(fits_bytes(PROPID="P-OWN"), "waits.fits", observation=str(number))
            pending = transfer(site.user, "pending", frame="waits")["id"]
            site.settle()
            asked = site.core.log.load(transfers.stream_of(pending))[0].position
            eventually(lambda: site.core.log.checkpoint("policy:NotifyWebhooks") >= asked, "the webhook isn't noted")
        cli_on(original, old, "events", "export", str(path))
        cli_on(empty, new, "events", "import", str(path))
        shutil.copytree(old / "files", new / "files", dirs_exist_ok=True)
        with opened(empty, new, environment) as (core, nudges):
            imported = core.log.head()
            settle(core)
            assert core.log.head() == imported
            assert nudges.notices == []
            assert msgspec.structs.replace(core.sweep(), jobs=nudges).run()["nudged"] == 1
            assert set(nudges.transfers) == {pending}
            assert (status(core, done), status(core, pending)) == ("completed", "pending")
            msgspec.structs.replace(core.ferry("worker"), limits=places_for(pending)).go_on()
            settle(core)
            assert status(core, pending) == "completed"
            assert all(int(notice.rpartition(".")[2]) > imported for notice in nudges.notices)
    findings: list[Finding] = []
    LogCheck(empty, findings.append).run()
    assert findings == []
