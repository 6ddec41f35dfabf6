"""How long records of transfers stay in the lists, over HTTP (S56)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from api.cli import cli
from api.operations import transfer_expiry
from projections.rebuild import rebuild
from tests.fakes.clock import StillClock
from tests.integration.api.deliveries import create, folder_body, observe, story, transfer, transfers
from tests.integration.api.test_own_ingest import is_problem
from tests.records import fits_bytes, new_name
from tests.site import PROPOSAL, Site, eventually


class Failed:
    """An observation whose file can't arrive: the destination's folder is gone."""

    def __init__(self, site: Site) -> None:
        body = folder_body(site)
        self.root = Path(body["credentials"]["root"])
        self.config = create(site.user, body)["id"]
        self.number = observe(site.user, self.config)
        self.root.rmdir()
        self.name = new_name()
        site.ingest(fits_bytes(BLKUID=self.number), f"{self.name}.fits")
        self.id = transfer(site.user, "failed", observation=self.number)["id"]
        self.route = f"/api/v1/transfers/{self.id}"


def forget(site: Site, days: int) -> int:
    """What a worker would let go of so many days from now."""
    site.settle()
    clock = StillClock(datetime.now(UTC) + timedelta(days=days))
    gone = msgspec.structs.replace(transfer_expiry(site.core), clock=clock).run()
    site.settle()
    return gone


def identical(site: Site) -> bool:
    """Whether the rebuilt read model is the live one, row by row."""
    site.settle()
    model = next(one for one in site.core.projections() if one.name == "transfers")
    return rebuild(site.core.conninfo, site.core.log, model, lambda *_: None).identical


def test_s55_s56_a_completed_record_leaves_after_90_days_and_its_story_stays(site: Site) -> None:
    body = folder_body(site, display_name="My NAS", delete_from_server=True)
    number = observe(site.user, create(site.user, body)["id"])
    name = new_name()
    frame = site.ingest(fits_bytes(BLKUID=number, PROPID=PROPOSAL), f"{name}.fits")
    done = transfer(site.user, "completed", observation=number)
    failed = Failed(site)
    assert forget(site, 89) == 0
    assert transfers(site.user, observation=number) == [done]
    where = gone_from_server(site, frame)
    assert "My NAS" in where
    assert forget(site, 92) >= 1
    assert transfers(site.user, observation=number) == []
    is_problem(site.user.get(f"/api/v1/transfers/{done['id']}"), 404)
    assert site.user.post(f"/api/v1/transfers/{done['id']}/verify").status_code == 404
    assert transfers(site.user, observation=failed.number)[0]["status"] == "failed", "failed ones stay"
    assert gone_from_server(site, frame) == where, "the frame still says where its copies are"
    assert [entry["event"] for entry in story(site.user, "transfer", done["id"])][-1] == "transfer.completed"
    assert "transfer.completed" in [entry["event"] for entry in story(site.user, "frame", name)]
    stranger = site.client(site.new_user("stranger-to-records"))
    is_problem(stranger.get(f"/api/v1/audit/transfer/{done['id']}"), 404)
    assert identical(site)


def gone_from_server(site: Site, frame: dict[str, Any]) -> str:
    """What a download of the frame's file says, once the file is no longer here."""
    url = frame["version_set"][0]["url"]
    answer = eventually(lambda: found if (found := site.user.get(url)).status_code == 404 else None, "the file stayed")
    assert answer is not None
    return answer.text


def test_s56_a_failed_transfer_is_cleared_keeps_its_story_and_can_be_retried(site: Site) -> None:
    failed = Failed(site)
    assert site.user.post(f"{failed.route}/clear").status_code == 204
    assert transfers(site.user, observation=failed.number) == []
    assert site.user.get(f"/api/v1/storage-configs/{failed.config}").json()["transfers"] == {}
    assert site.user.post(f"{failed.route}/clear").status_code == 204, "twice changes nothing"
    assert [entry["event"] for entry in story(site.user, "transfer", failed.id)][-1] == "transfer.cleared"
    assert "transfer.cleared" in [entry["event"] for entry in story(site.user, "frame", failed.name)]
    assert identical(site)
    failed.root.mkdir()
    assert site.user.post(f"{failed.route}/retry").status_code == 200
    transfer(site.user, "completed", observation=failed.number)


def test_s56_a_cleared_transfer_stays_out_of_the_lists_when_its_destination_is_deleted(site: Site) -> None:
    failed = Failed(site)
    assert site.user.post(f"{failed.route}/clear").status_code == 204
    is_problem(site.user.post(f"{failed.route}/cancel"), 409)
    assert site.user.delete(f"/api/v1/storage-configs/{failed.config}").status_code == 204

    def cancelled() -> bool:
        return story(site.user, "transfer", failed.id)[-1]["event"] == "transfer.cancelled"

    eventually(cancelled, "it wasn't cancelled")
    site.settle()
    assert transfers(site.user, observation=failed.number) == []
    assert identical(site)


def test_s56_all_failed_ones_of_a_destination_are_cleared_in_one_call(site: Site) -> None:
    failed = Failed(site)
    cleared = site.user.post(f"/api/v1/storage-configs/{failed.config}/clear-failed")
    assert cleared.json() == {"cleared": [failed.id]}
    assert transfers(site.user, storage_config=failed.config) == []
    assert site.user.post(f"/api/v1/storage-configs/{failed.config}/retry-failed").json() == {"retried": []}


def test_s56_only_failed_or_lost_ones_are_cleared_by_those_who_may_change_them(site: Site) -> None:
    failed = Failed(site)
    number = observe(site.user, create(site.user, folder_body(site))["id"])
    site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")
    done = transfer(site.user, "completed", observation=number)
    is_problem(site.user.post(f"/api/v1/transfers/{done['id']}/clear"), 409)
    is_problem(site.anonymous.post(f"{failed.route}/clear"), 401)
    is_problem(site.client(site.new_user("stranger-who-clears")).post(f"{failed.route}/clear"), 404)
    assert transfers(site.user, observation=failed.number)[0]["status"] == "failed"


@pytest.mark.parametrize("by", ["id", "destination"])
def test_s56_s60_operators_clear_and_verify_on_the_command_line(site: Site, by: str) -> None:
    failed = Failed(site)

    def run(*arguments: str) -> list[str]:
        """The lines that are printed; what the site logs meanwhile may be among them."""
        site.settle()
        done = CliRunner().invoke(
            cli,
            ["transfers", *arguments, "--data", str(site.core.settings.data)],
            env={"DATABASE_URL": site.core.conninfo},
        )
        assert done.exit_code == 0, done.output
        return done.output.splitlines()

    which = [failed.id] if by == "id" else ["--storage-config", failed.config]
    assert "1 transfers were cleared." in run("clear", *which)
    failed.root.mkdir()
    site.user.post(f"{failed.route}/retry")
    transfer(site.user, "completed", observation=failed.number)
    which = [failed.id] if by == "id" else ["--observation", str(failed.number)]
    assert "1 copies are going to be checked." in run("verify", *which)
    transfer(site.user, "completed", observation=failed.number, when=lambda row: row["copy"] == "verified")
    unclear = CliRunner().invoke(cli, ["transfers", "clear"])
    assert unclear.exit_code == 2
    assert "Say which" in unclear.output
