"""Retention rules: what they delete, what they never do, and what is told of it (row X07); guide frames (row E09)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from click.testing import CliRunner, Result

from adapters.one_at_a_time import RETENTION_LOCK
from api.cli import cli
from api.operations import periodic_retention
from api.settings import Settings
from application.retention import PAUSE
from domain.errors import Misconfigured
from domain.frames import FrameDeleted, stream_of
from tests.fakes.clock import StillClock
from tests.integration.api.deliveries import create, folder_body, observe, transfer
from tests.postgres import fresh_database
from tests.records import fits_bytes, new_name, record
from tests.site import Site, eventually, running_site

NOW = datetime.now(UTC)
RULES = [
    {"name": "old darks", "days": 30, "types": ["DARK"], "exclude_instruments": ["kb99"]},
    {"name": "raw of old nights", "days": 100, "reduction_level": 0, "exclude_types": ["DARK", "BPM", "GUIDE"]},
]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "destinations").mkdir()
    return {
        "STARFERRY_FOLDER_ROOTS": str(tmp_path / "destinations"),
        "STARFERRY_RETENTION": json.dumps(RULES),
        "STARFERRY_GUIDE_DAYS": "365",
        "GUIDE_CAMERAS_TO_PERSIST": "ef99",
    }


@pytest.fixture
def site(cluster: str, template: str, tmp_path: Path, environment: dict[str, str]) -> Iterator[Site]:
    with (
        fresh_database(cluster, template=template) as conninfo,
        running_site(tmp_path, conninfo, environment, prepared=True) as running,
    ):
        yield running


def retention(site: Site, environment: dict[str, str], *arguments: str) -> Result:
    done = CliRunner().invoke(
        cli,
        ["retention", *arguments, "--data", str(site.core.settings.data)],
        env={"DATABASE_URL": site.core.conninfo, **environment},
    )
    assert done.exit_code == 0, done.output
    return done


def kept(site: Site, days: float, **changes: Any) -> str:
    """Record a frame observed so many days ago, and return its name."""
    at = (NOW - timedelta(days=days)).isoformat()
    basename: str = site.post(record(observation_date=at, **changes))["basename"]
    return basename


def left(site: Site) -> set[str]:
    site.settle()
    return {frame["basename"] for frame in site.admin.get("/frames/").json()["results"]}


def causes(site: Site, basename: str) -> list[tuple[str, str, str]]:
    """Who deleted a frame, through which way in, and why."""
    return [
        (recorded.cause.actor, recorded.cause.via, recorded.cause.reason)
        for recorded in site.core.log.load(stream_of(basename))
        if isinstance(recorded.event, FrameDeleted)
    ]


def test_x07_a_dry_run_lists_exactly_what_a_run_deletes_and_the_history_names_the_rule(
    site: Site, environment: dict[str, str]
) -> None:
    darks = [kept(site, 31 + number, configuration_type="DARK") for number in range(3)]
    old = kept(site, 101)
    stay = {
        kept(site, 29, configuration_type="DARK"),
        kept(site, 31, configuration_type="DARK", instrument_id="kb99"),
        kept(site, 99),
        kept(site, 101, reduction_level=91),
        kept(site, 101, configuration_type="GUIDE"),
    }
    tried = retention(site, environment, "run", "--dry-run")
    assert left(site) == {*darks, old, *stay}
    done = retention(site, environment, "run")
    assert done.stdout == tried.stdout
    assert [line.split("\t")[1] for line in done.stdout.splitlines()] == [*darks, old]
    assert left(site) == stay
    ((actor, via, reason),) = causes(site, darks[0])
    assert actor.startswith("os:")
    assert (via, reason) == (
        "cli",
        "retention rule old darks: types DARK; exclude instruments kb99; observed more than 30 days ago",
    )
    assert retention(site, environment, "run").stdout == ""


def test_x07_one_rule_alone_can_be_carried_out_and_all_are_shown_with_what_is_due(
    site: Site, environment: dict[str, str]
) -> None:
    kept(site, 40, configuration_type="DARK")
    old = kept(site, 400)
    shown = retention(site, environment, "show").stdout
    assert shown.splitlines() == [
        "retention rule old darks: types DARK; exclude instruments kb99; observed more than 30 days ago: 1 frames due.",
        "retention rule raw of old nights: reduction level 0; exclude types DARK, BPM, GUIDE; "
        "observed more than 100 days ago: 1 frames due.",
        "retention rule guide-frames: types GUIDE; exclude instruments ef99; "
        "observed more than 365 days ago: 0 frames due.",
    ]
    retention(site, environment, "run", "--rule", "old darks")
    assert left(site) == {old}
    unknown = CliRunner().invoke(
        cli,
        ["retention", "run", "--rule", "nosuch", "--data", str(site.core.settings.data)],
        env={"DATABASE_URL": site.core.conninfo, **environment},
    )
    assert "There is no retention rule nosuch" in str(unknown.exception)


def test_x07_what_a_destination_is_still_to_get_is_kept_and_told_until_it_has_it(
    site: Site, environment: dict[str, str]
) -> None:
    site.jobs.paused.set()
    number = observe(site.user, create(site.user, folder_body(site, file_content="raw"))["id"])
    waiting = site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")["basename"]
    alone = kept(site, 500)
    site.settle()
    pending = transfer(site.user, "pending", observation=number)["id"]
    for options in (("--dry-run",), ()):
        told = retention(site, environment, "run", *options)
        assert f"{waiting}\tkept: the transfer {pending} is pending" in told.stdout
        assert "1 kept" in told.stderr
    assert waiting in left(site)
    assert alone not in left(site)
    site.jobs.paused.clear()
    site.sweep()
    transfer(site.user, "completed", observation=number)
    site.settle()
    assert f"{waiting}\n" in retention(site, environment, "run").stdout
    assert left(site) == set()


def test_x07_a_raw_frame_whose_calibrated_file_is_awaited_is_kept(site: Site, environment: dict[str, str]) -> None:
    config = create(site.user, folder_body(site, file_content="calibrated"))["id"]
    number = observe(site.user, config)
    raw = site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")["basename"]
    site.settle()
    told = retention(site, environment, "run").stdout
    assert told.endswith(f"{raw}\tkept: {config} waits for the calibrated file\n")
    site.admin.post(f"/api/v1/frames/{raw}/calibration", json={"outcome": "failed", "reason": "no stars"})
    site.settle()
    assert "kept" not in retention(site, environment, "run").stdout
    assert left(site) == set()


def test_x07_a_file_that_its_destination_never_got_is_kept(site: Site, environment: dict[str, str]) -> None:
    body = folder_body(site, file_content="raw")
    number = observe(site.user, create(site.user, body)["id"])
    Path(body["credentials"]["root"]).rmdir()
    raw = site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")["basename"]
    eventually(
        lambda: any(
            row["attempts"] for row in site.user.get(f"/api/v1/transfers?observation={number}").json()["results"]
        ),
        "nothing was tried",
    )
    assert f"{raw}\tkept: the transfer " in retention(site, environment, "run").stdout
    assert left(site) == {raw}


def test_x07_a_worker_carries_the_rules_out_once_an_hour_in_its_own_name(site: Site) -> None:
    clock = StillClock(NOW)
    periodic = periodic_retention(msgspec.structs.replace(site.core, clock=clock))  # type: ignore[arg-type]
    first = kept(site, 31, configuration_type="DARK")
    site.settle()
    assert periodic.run() == 1
    ((actor, via, reason),) = causes(site, first)
    assert (actor, via) == ("retention:old darks", "worker")
    assert reason.startswith("retention rule old darks: ")
    told = site.core.log.load(f"frame:{first}")
    assert told[-1].cause.correlation, "all that a run leads to can be found"
    second = kept(site, 32, configuration_type="DARK")
    site.settle()
    assert periodic.run() == 0, "it isn't time yet"
    clock.forward(seconds=PAUSE.total_seconds() + 1)
    assert periodic.run() == 1
    assert causes(site, second)


def test_x07_of_two_workers_one_at_a_time_carries_the_rules_out(site: Site) -> None:
    kept(site, 31, configuration_type="DARK")
    site.settle()
    periodic = periodic_retention(site.core)
    with psycopg.connect(site.core.conninfo, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (RETENTION_LOCK,))
        assert periodic.run() == 0
        other.execute("SELECT pg_advisory_unlock(%s)", (RETENTION_LOCK,))
    assert periodic.run() == 1


def test_x07_a_worker_does_some_at_a_time_and_goes_on_at_the_next_sweep(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("application.retention.BATCHES", 2)
    monkeypatch.setattr("application.retention.BATCH", 2)
    for _ in range(7):
        kept(site, 31, configuration_type="DARK")
    site.settle()
    periodic = periodic_retention(site.core)
    assert [periodic.run() for _ in range(3)] == [4, 3, 0]
    assert left(site) == set()


def test_x07_without_rules_nothing_is_deleted_for_its_age(cluster: str, template: str, tmp_path: Path) -> None:
    with (
        fresh_database(cluster, template=template) as conninfo,
        running_site(tmp_path, conninfo, {"GUIDE_CAMERAS_TO_PERSIST": "ef99"}, prepared=True) as site,
    ):
        old = kept(site, 9999, configuration_type="GUIDE")
        site.settle()
        assert periodic_retention(site.core).run() == 0
        assert "There are no retention rules" in retention(site, {}, "show").stdout
        assert left(site) == {old}


def test_e09_guide_frames_expire_by_a_rule_of_their_own_when_it_is_switched_on(site: Site) -> None:
    old = kept(site, 366, configuration_type="GUIDE")
    stay = {
        kept(site, 366, configuration_type="GUIDE", instrument_id="ef99"),
        kept(site, 364, configuration_type="GUIDE"),
    }
    site.settle()
    assert periodic_retention(site.core).run() == 1
    assert left(site) == stay
    assert [actor for actor, _, _ in causes(site, old)] == ["retention:guide-frames"]


def test_x07_rules_may_stand_in_the_configuration_file(tmp_path: Path) -> None:
    file = tmp_path / "starferry.toml"
    file.write_text(
        'STARFERRY_GUIDE_DAYS = 365\n[[STARFERRY_RETENTION]]\nname = "darks"\ndays = 30\ntypes = ["DARK"]\n'
        '[[STARFERRY_RETENTION]]\nname = "other"\ndays = 31\nsite = "lsc"\n'
    )
    settings = Settings({"STARFERRY_CONFIG": str(file)}, data=tmp_path)
    assert [(rule.name, rule.days, rule.types) for rule in settings["STARFERRY_RETENTION"]] == [
        ("darks", 30, ("DARK",)),
        ("other", 31, ()),
    ]
    assert settings["STARFERRY_GUIDE_DAYS"] == 365


@pytest.mark.parametrize(
    "rules",
    [
        "darks",
        '{"name": "darks"}',
        '[{"name": "darks", "types": ["DARK"]}]',
        '[{"name": "everything", "days": 30}]',
        '[{"name": "", "days": 30, "site": "lsc"}]',
        '[{"name": "now", "days": 0, "site": "lsc"}]',
        '[{"name": "typo", "days": 30, "type": ["DARK"]}]',
        '[{"name": "guide-frames", "days": 30, "site": "lsc"}]',
        '[{"name": "a", "days": 1, "site": "x"}, {"name": "a", "days": 2, "site": "y"}]',
    ],
)
def test_x07_a_rule_that_cant_be_meant_stops_the_start(rules: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="STARFERRY_RETENTION can't be"):
        Settings({"STARFERRY_RETENTION": rules}, data=tmp_path)
