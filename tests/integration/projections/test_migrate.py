"""`starferry migrate` as an operator meets it, on stores that earlier releases have left."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from adapters.event_store.log import PostgresEventLog
from adapters.postgres.migrate import migrate
from adapters.sky.spherical_sky import SphericalSky
from api.bootstrap import open_core
from api.cli import cli
from api.cli.migrate import needs_building
from api.settings import Settings
from domain.errors import Misconfigured, StarferryError
from projections.builds import build_of, kept
from projections.frames.projection import FramesProjection
from projections.rebuild import rebuild
from projections.runner import ProjectionRunner
from tests.integration.projections import stores
from tests.integration.projections.conftest import Writer, all_projections, write_a_little_of_everything
from tests.postgres import fresh_database

OWN, NEXT = FramesProjection.version, stores.NextFrames.version


def starferry(database: str, tmp_path: Path, *arguments: str) -> Result:
    environment = {"DATABASE_URL": database, "STARFERRY_DATA": str(tmp_path / "data")}
    return CliRunner().invoke(cli, list(arguments), env=environment)


def projected(database: str, log: PostgresEventLog) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        runner = ProjectionRunner(database, log, all_projections())
        while runner.step(connection):
            pass


def everything_but_read_models(database: str) -> dict[str, object]:
    """What a policy would have changed: the log, all checkpoints, jobs, and what is to be told to people."""
    tables = (
        "starferry.starferry_events", "starferry.consumer", "starferry.dead_letter", "starferry.webhook_delivery",
        "starferry.mail_complaint", "starferry.mail_digest", "starferry.waiting_transfer",
        "procrastinate.procrastinate_jobs",
    )  # fmt: skip
    with psycopg.connect(database) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables}


@pytest.fixture(scope="module")
def todays(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The read models of all samples in today's form, projected event by event as they come."""
    with fresh_database(cluster, template=template) as database:
        stores.write_as_today(database, stores.every_sample())
        with open_core(Settings({"DATABASE_URL": database}, data=tmp_path_factory.mktemp("today")), database) as core:
            core.projection_runner().catch_up()
            with core.pool.connection() as connection:
                failures = connection.execute("SELECT name, failure FROM starferry.projection WHERE failure <> ''")
                assert failures.fetchall() == []
        found = stores.contents(database)
    filled = [table for table, (rows, _) in found.items() if rows]
    assert len(filled) > 14, filled
    return found


@pytest.mark.parametrize("release", stores.BEFORE_VERSIONS)
def test_a_store_of_every_earlier_event_version_is_brought_up_to_date(
    cluster: str, todays: dict[str, object], tmp_path: Path, release: str
) -> None:
    with fresh_database(cluster) as database:
        stores.migrated_to(database, release)
        stores.write_as_then(database, stores.every_sample())
        done = starferry(database, tmp_path, "migrate")
        assert done.exit_code == 0, done.output
        assert "migration 0013_read_model_versions: an older program can go on" in done.output
        assert stores.contents(database) == todays
        again = starferry(database, tmp_path, "migrate")
        assert "All read models are of this program's versions." in again.output


def test_a_release_with_the_same_read_models_has_nothing_to_build(
    database: str, log: PostgresEventLog, connection: psycopg.Connection, tmp_path: Path
) -> None:
    write_a_little_of_everything(Writer(log))
    projected(database, log)
    connection.execute("DROP TABLE starferry.projection_build, starferry.projection_kept")
    connection.execute("ALTER TABLE starferry.projection DROP COLUMN version")
    connection.execute("DELETE FROM starferry.migration WHERE name = '0013_read_model_versions'")
    before = stores.contents(database)
    with stores.release_with(stores.FirstFrames(SphericalSky()), stores.FirstStorageConfigs()):
        done = starferry(database, tmp_path, "migrate")
    assert done.exit_code == 0, done.output
    assert "read models: none is to be built" in done.output
    assert stores.contents(database) == before


def test_frames_of_the_first_version_are_compared_in_what_they_have_and_what_is_not_there_yet_is_built(
    database: str, log: PostgresEventLog, connection: psycopg.Connection, tmp_path: Path
) -> None:
    write_a_little_of_everything(Writer(log))
    projected(database, log)
    today = stores.contents(database)
    stores.make_frames_first(database)
    connection.execute("DROP SCHEMA read_audit CASCADE")
    connection.execute("DELETE FROM starferry.projection WHERE name = 'audit'")
    older = stores.contents(database)
    told = starferry(database, tmp_path, "migrate", "--dry-run").output
    assert [line.partition(",")[0] for line in told.splitlines()][:2] == ["frames: version 1 -> 2", "audit: new"]
    staged = starferry(database, tmp_path, "migrate")
    assert staged.exit_code == 0, staged.output
    assert "frames: the same as before in all that both versions have" in staged.output
    assert {table: sum_ for table, sum_ in stores.contents(database).items() if "audit" not in table} == older
    build = build_of(connection, "frames")
    assert build is not None
    equal = {table: same for table, (_, same) in build.comparison["tables"].items()}
    assert equal == dict.fromkeys(("frame", "version", "thumbnail", "link", "waiting"), True) | dict.fromkeys(
        ("past_frame", "past_version", "past_thumbnail", "past_link"), None
    )
    swapped = starferry(database, tmp_path, "migrate", "--swap")
    assert swapped.exit_code == 0, swapped.output
    assert stores.contents(database) == today
    assert [(one.name, one.version) for one in kept(connection)] == [("frames", 1)]


@pytest.mark.parametrize(("soon", "needed"), [(5, True), (5_000, False)])
def test_a_read_model_that_is_missing_is_built_before_a_start_only_when_filling_it_takes_long(
    database: str,
    log: PostgresEventLog,
    connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    soon: int,
    needed: bool,
) -> None:
    monkeypatch.setattr("api.cli.migrate.SOON", soon)
    write_a_little_of_everything(Writer(log))
    projected(database, log)
    assert not needs_building(database)
    connection.execute("DROP SCHEMA read_audit CASCADE")
    connection.execute("DELETE FROM starferry.projection WHERE name = 'audit'")
    assert needs_building(database) is needed


def test_a_dry_run_tells_and_changes_nothing(cluster: str, tmp_path: Path) -> None:
    with fresh_database(cluster) as database:
        stores.migrated_to(database, stores.BEFORE_VERSIONS[-1])
        stores.write_as_then(database, stores.every_sample())
        told = starferry(database, tmp_path, "migrate", "--dry-run")
        assert told.exit_code == 0
        assert "migration 0013_read_model_versions: an older program can go on" in told.output
        assert "frames: new, " in told.output
        with psycopg.connect(database) as connection:
            assert connection.execute("SELECT to_regclass('starferry.projection_build')").fetchone() == (None,)
            assert connection.execute("SELECT 1 FROM pg_namespace WHERE nspname LIKE 'read_%'").fetchall() == []


def test_read_models_are_left_ready_beside_an_older_program_and_swapped_in_by_the_newer_ones_start(
    database: str, log: PostgresEventLog, connection: psycopg.Connection, tmp_path: Path
) -> None:
    writer = Writer(log)
    write_a_little_of_everything(writer)
    projected(database, log)
    untouched = everything_but_read_models(database)
    settings = Settings({"DATABASE_URL": database}, data=tmp_path)
    with stores.release_with(stores.NextFrames(SphericalSky())):
        told = starferry(database, tmp_path, "migrate", "--dry-run").output
        assert f"frames: version {OWN} -> {NEXT}, " in told
        assert "other connections use the database, so each is left ready" in told
        staged = starferry(database, tmp_path, "migrate")
        assert staged.exit_code == 0, staged.output
        assert "frames: the same as before in all that both versions have" in staged.output
        assert "ready but for 0 events" in starferry(database, tmp_path, "migrate", "--dry-run").output
        assert (
            "ready to be swapped in, 0 events behind" in starferry(database, tmp_path, "projections", "status").output
        )
        assert everything_but_read_models(database) == untouched, "something acted on a build"
        with (
            pytest.raises(Misconfigured, match="swapped in when the processes of this program start"),
            open_core(settings, database),
        ):
            pass
        head = writer.file(77)
        projected(database, log)  # the older program goes on
        with open_core(settings, database, serving=True):
            pass
        row = connection.execute("SELECT version, position FROM starferry.projection WHERE name = 'frames'").fetchone()
        assert row == (NEXT, head)
        assert "was live until" in starferry(database, tmp_path, "projections", "status").output
    with pytest.raises(Misconfigured, match="is of a newer program"), open_core(settings, database, serving=True):
        pass
    back = starferry(database, tmp_path, "projections", "rollback", "frames")
    assert back.output.splitlines()[-1].startswith(f"frames: the earlier one is live again (version {OWN})")
    assert kept(connection)[0].version == NEXT
    dry = starferry(database, tmp_path, "projections", "forget", "frames", "--dry-run")
    assert "frames: the one before (old_frames, " in dry.output
    assert kept(connection)
    assert starferry(database, tmp_path, "projections", "forget", "all").output.endswith("Dropped.\n")
    assert not kept(connection)


def test_policies_see_nothing_of_a_rebuild(database: str, log: PostgresEventLog, tmp_path: Path) -> None:
    write_a_little_of_everything(Writer(log))
    with open_core(Settings({"DATABASE_URL": database}, data=tmp_path), database) as core:
        engine = core.policy_engine()

        def follow() -> None:
            """What the process that follows the log does, until there is nothing more to do."""
            head = -1
            while head < core.log.head():
                head = core.log.head()
                core.projection_runner().catch_up()
                while engine.step():
                    pass

        follow()
        assert set(engine.positions().values()) == {core.log.head()}
        before = everything_but_read_models(database)
        assert before["starferry.waiting_transfer"]
        for projection in core.projections():
            assert rebuild(database, log, projection, lambda *_: None, restart=True).swapped
            follow()
        assert everything_but_read_models(database) == before


def test_a_migration_that_an_older_program_cannot_go_on_after_waits_until_that_is_stopped(
    cluster: str, tmp_path: Path
) -> None:
    with fresh_database(cluster) as database:
        stores.migrated_to(database, "0009_transfer_limits")
        with psycopg.connect(database):
            refused = starferry(database, tmp_path, "migrate")
            assert isinstance(refused.exception, StarferryError)
            assert "stop that program first" in str(refused.exception)
            assert starferry(database, tmp_path, "migrate", "--swap").exit_code == 0


def test_an_older_program_goes_on_after_a_migration_that_only_adds(
    database: str, connection: psycopg.Connection
) -> None:
    connection.execute("INSERT INTO starferry.migration (name, additive) VALUES ('9998_adds', true)")
    assert migrate(database) == []
    connection.execute("INSERT INTO starferry.migration (name) VALUES ('9999_breaks')")
    with pytest.raises(Misconfigured, match="9999_breaks"):
        migrate(database)
