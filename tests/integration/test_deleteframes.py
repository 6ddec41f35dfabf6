"""`starferry deleteframes` and `expireguideframes`: which frames go, which stay, and what is told of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from api.cli import cli
from api.operations import frame_deletion
from domain.frame_record import FrameRecord
from domain.frame_selection import FrameSelection
from domain.frames import FrameDeleted, stream_of
from projections.frames.finder import ReadModelFinder
from tests.postgres import fresh_database
from tests.records import fits_bytes, new_name, record, version
from tests.site import CAUSE, Site, eventually, running_site

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def shared(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("deleteframes")
    with (
        fresh_database(cluster, template=template) as conninfo,
        running_site(folder, conninfo, prepared=True) as running,
    ):
        yield running


@pytest.fixture
def site(shared: Site) -> Site:
    """The shared site without frames of earlier tests."""
    starferry(shared, "deleteframes", "--days-old", "0", "--yes")
    starferry(shared, "deleteframes", "--start", "0001-01-01", "--end", "9999-12-31", "--yes")
    shared.settle()
    return shared


def starferry(site: Site, *arguments: str, stdin: str = "", **environment: str) -> Result:
    """Run a command beside the running site."""
    return CliRunner().invoke(
        cli,
        [*arguments, "--data", str(site.core.settings.data)],
        env={"DATABASE_URL": site.core.conninfo, **environment},
        input=stdin,
    )


def kept(site: Site, **changes: Any) -> str:
    """Record a frame, and return its name."""
    basename: str = site.post(record(**changes))["basename"]
    return basename


def days_ago(days: float) -> str:
    return (NOW - timedelta(days=days)).isoformat()


def names(result: Result) -> list[str]:
    """The frames that a command has told of."""
    return [line.split("\t")[1] for line in result.stdout.splitlines() if "\t" in line]


def left(site: Site) -> set[str]:
    site.settle()
    return {frame["basename"] for frame in site.admin.get("/frames/?limit=1000").json()["results"]}


def test_e08_frames_older_than_so_many_days_go_and_0_days_means_all_of_the_past(site: Site) -> None:
    old, young = kept(site, observation_date=days_ago(11)), kept(site, observation_date=days_ago(9))
    future = kept(site, observation_date=days_ago(-1))
    assert names(starferry(site, "deleteframes", "--days-old", "10")) == [old]
    assert left(site) == {young, future}
    assert names(starferry(site, "deleteframes", "--days-old", "0")) == [young]
    assert left(site) == {future}


def test_e08_of_the_nights_both_ends_stay(site: Site) -> None:
    nights = {day: kept(site, observation_day=f"2024-01-0{day}") for day in range(1, 6)}
    done = starferry(site, "deleteframes", "--start", "2024-01-02", "--end", "20240105")
    assert names(done) == [nights[3], nights[4]]
    assert left(site) == {nights[1], nights[2], nights[5]}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "Say how old: either --days-old, or --start and --end."),
        (["--days-old", "1", "--start", "2024-01-01", "--end", "2024-02-01"], "Say how old: either"),
        (["--days-old", "1", "--end", "2024-02-01"], "Say how old: either"),
        (["--start", "2024-01-01"], "--start and --end go together"),
        (["--days-old", "99999999"], "There was nothing 99999999 days ago."),
    ],
)
def test_e08_ages_that_contradict_each_other_are_refused(site: Site, options: list[str], sentence: str) -> None:
    frame = kept(site)
    refused = starferry(site, "deleteframes", *options)
    assert refused.exit_code == 1
    assert sentence in str(refused.exception)
    assert left(site) == {frame}


@pytest.mark.parametrize("options", [["--days-old", "-1"], ["--start", "tomorrow", "--end", "2024-01-01"]])
def test_e08_ages_that_make_no_sense_are_refused(site: Site, options: list[str]) -> None:
    frame = kept(site)
    assert starferry(site, "deleteframes", *options).exit_code == 2
    assert left(site) == {frame}


def test_e08_each_selector_narrows_and_0_is_a_value(site: Site) -> None:
    kept_by_selector = {
        ("--reduction-level", "0"): ({"reduction_level": 0}, {"reduction_level": 91}),
        ("--request-id", "0"): ({"request_id": 0}, {"request_id": 1}),
        ("--observation-id", "0"): ({"observation_id": 0}, {"observation_id": None}),
        ("--site", "LSC"): ({"site_id": "lsc"}, {"site_id": "cpt"}),
        ("--telescope", "1M0a"): ({"telescope_id": "1m0a"}, {"telescope_id": "2m0a"}),
        ("--include-types", "BIAS", "DARK"): ({"configuration_type": "DARK"}, {"configuration_type": "EXPOSE"}),
        ("--exclude-types", "EXPOSE"): ({"configuration_type": "BIAS"}, {"configuration_type": "EXPOSE"}),
        ("--include-proposals", "A,B"): ({"proposal_id": "B"}, {"proposal_id": "AB"}),
        ("--exclude-proposals", "A"): ({"proposal_id": "B"}, {"proposal_id": "A"}),
        ("--include-instruments", "fa01"): ({"instrument_id": "fa01"}, {"instrument_id": "fa02"}),
        ("--exclude-instruments", "fa02", "fa03"): ({"instrument_id": "fa01"}, {"instrument_id": "fa03"}),
    }
    for options, (going, staying) in kept_by_selector.items():
        goes, stays = kept(site, **going), kept(site, **staying)
        done = starferry(site, "deleteframes", "--days-old", "1", *options)
        assert names(done) == [goes], options
        assert left(site) == {stays}, options
        starferry(site, "deleteframes", "--days-old", "0")


def test_e08_the_query_and_the_last_look_mean_the_same(site: Site) -> None:
    records = [
        FrameRecord(
            basename=new_name(),
            observation_day=day,
            observation_date=at,
            configuration_type=kind,
            site_id=place,
            reduction_level=level,
            observation_id=number,
            instrument_id="fa01",
        )
        for day, at in ((date(2024, 1, 1), NOW - timedelta(days=5)), (date(2024, 1, 3), NOW + timedelta(days=5)))
        for kind, place, level, number in (("BIAS", "lsc", 0, None), ("EXPOSE", "LSC", 91, 0), ("GUIDE", "", 0, 7))
    ]
    for one in records:
        kept(
            site,
            basename=one.basename,
            observation_day=str(one.observation_day),
            observation_date=one.observation_date.isoformat() if one.observation_date else None,
            configuration_type=one.configuration_type,
            site_id=one.site_id,
            reduction_level=one.reduction_level,
            observation_id=one.observation_id,
        )
    site.settle()
    finder = ReadModelFinder(site.core.pool)
    for selection in (
        FrameSelection(),
        FrameSelection(observed_before=NOW),
        FrameSelection(after_night=date(2024, 1, 1), before_night=date(2024, 1, 4)),
        FrameSelection(site="Lsc"),
        FrameSelection(reduction_level=0, not_types=("GUIDE",)),
        FrameSelection(observation_id=0),
        FrameSelection(types=("GUIDE", "BIAS"), not_instruments=("fa01",)),
    ):
        found = {one.basename for one in finder.find(selection, after=0, limit=100)}
        told = {one.basename for one in records if selection.selects(one)}
        assert found == told, selection
        assert finder.count(selection) == len(told)


def test_e08_a_dry_run_lists_exactly_what_a_run_deletes_in_the_same_order(site: Site) -> None:
    for number in range(7):
        kept(site, observation_date=days_ago(number), configuration_type="DARK" if number % 2 else "BIAS")
    options = ("deleteframes", "--days-old", "2", "--include-types", "BIAS")
    tried = starferry(site, *options, "--dry-run")
    assert "3 frames would be deleted." in tried.stderr
    assert len(left(site)) == 7
    done = starferry(site, *options)
    assert "3 frames deleted." in done.stderr
    assert tried.stdout == done.stdout
    assert len(names(done)) == 3
    assert len(left(site)) == 4
    assert names(starferry(site, *options)) == []


def test_e08_a_deleted_frame_is_gone_with_its_files_and_the_history_tells_who(site: Site) -> None:
    frame = site.ingest(data := fits_bytes(), f"{new_name()}.fits")
    site.settle()
    assert len(site.files()) == 1
    done = starferry(site, "deleteframes", "--days-old", "0")
    assert done.exit_code == 0
    eventually(lambda: site.files() == [], "the file stays")
    assert site.admin.get(f"/frames/{frame['id']}/").status_code == 404
    (deleted,) = [
        recorded
        for recorded in site.core.log.load(stream_of(frame["basename"]))
        if isinstance(recorded.event, FrameDeleted)
    ]
    assert (deleted.cause.via, deleted.cause.reason) == ("cli", "deleteframes")
    assert deleted.cause.actor.startswith("os:")
    site.settle()
    site.ingest(data, f"{new_name()}.fits")  # the same bytes may come again


def test_h08_deleting_frames_leaves_the_files_of_the_others(site: Site) -> None:
    old = site.ingest(fits_bytes(DATE_OBS="2016-01-01T00:00:00"), f"{new_name()}.fits")
    young = site.ingest(bytes_left := fits_bytes(DATE_OBS=days_ago(1)[:19]), f"{new_name()}.fits")
    assert names(starferry(site, "deleteframes", "--days-old", "100")) == [old["basename"]]
    eventually(lambda: len(site.files()) == 1, "the old file stays")
    assert site.admin.get(young["url"]).content == bytes_left


def test_e08_batches_of_many_frames_and_all_their_versions_go(site: Site) -> None:
    basenames = {kept(site, version_set=[version(), version()]) for _ in range(1203)}
    done = starferry(site, "deleteframes", "--days-old", "0")
    assert set(names(done)) == basenames
    assert left(site) == set()
    with site.core.pool.connection() as connection:
        assert connection.execute("SELECT count(*) FROM read_frames.version").fetchone() == (0,)


def test_e08_a_frame_that_changed_after_it_was_found_is_looked_at_again(site: Site) -> None:
    goes, changes = kept(site, configuration_type="BIAS"), kept(site, configuration_type="BIAS")
    site.settle()
    finder = ReadModelFinder(site.core.pool)
    selection = FrameSelection(types=("BIAS",))
    found = finder.find(selection, after=0, limit=100)
    site.post(record(basename=changes, configuration_type="EXPOSE", version_set=[]))
    fates = frame_deletion(site.core, selection, CAUSE).run(found)
    assert [fate.frame.basename for fate in fates] == [goes]
    assert left(site) == {changes}


def test_e08_without_a_running_program_it_works_too_and_asks_only_on_a_terminal(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "STARFERRY_DATA": str(tmp_path / "data")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "api.cli", *arguments],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    (tmp_path / f"{(name := new_name())}.fits").write_bytes(fits_bytes())
    assert run("ingest", str(tmp_path / f"{name}.fits")).returncode == 0
    done = run("deleteframes", "--days-old", "0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [done.stdout.split()[0], name]
    assert run("deleteframes", "--days-old", "0").stdout == ""


def test_e08_on_a_terminal_a_no_deletes_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = kept(site)
    monkeypatch.setattr("api.cli.deletion_options._on_a_terminal", lambda: True)
    refused = starferry(site, "deleteframes", "--days-old", "0", stdin="n\n")
    assert "Delete 1 frames" in refused.stderr
    assert "Nothing was deleted." in refused.stderr
    assert left(site) == {frame}
    starferry(site, "deleteframes", "--days-old", "0", stdin="y\n")
    assert left(site) == set()


def test_e09_guide_frames_older_than_a_year_go_but_those_of_cameras_to_persist(site: Site) -> None:
    guide = {"configuration_type": "GUIDE"}
    old = kept(site, **guide, observation_date=days_ago(366), instrument_id="kb01")
    persists = kept(site, **guide, observation_date=days_ago(366), instrument_id="kb99")
    young = kept(site, **guide, observation_date=days_ago(364))
    science = kept(site, observation_date=days_ago(3660))
    elsewhere = kept(site, **guide, observation_date=days_ago(400), site_id="cpt")
    persist = {"GUIDE_CAMERAS_TO_PERSIST": "kb98, kb99"}
    tried = starferry(site, "expireguideframes", "--site", "TST", "--dry-run", **persist)
    done = starferry(site, "expireguideframes", "--site", "TST", **persist)
    assert names(tried) == names(done) == [old]
    assert left(site) == {persists, young, science, elsewhere}
    assert names(starferry(site, "expireguideframes", **persist)) == [elsewhere]
