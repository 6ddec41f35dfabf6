"""Whatever was written comes through an export and an import: the same log, the same claims, the same read models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.event_store import exporting
from adapters.event_store.check import LogCheck
from adapters.event_store.exporting import Exporter, export_to
from adapters.event_store.findings import Finding
from adapters.event_store.importing import Importer, alone
from adapters.event_store.log import PostgresEventLog
from adapters.event_store.numbers import BlockNumbers
from adapters.event_store.seals import Sealer
from adapters.sky.spherical_sky import SphericalSky
from api.cli.event_import import ANNOUNCING
from domain import frames
from projections.frames.projection import FramesProjection
from projections.runner import ProjectionRunner, create_missing
from projections.transfers import TransfersProjection
from tests.integration.event_log.stories import Story, contents
from tests.postgres import fresh_database

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["frame", "frame", "thumbnail", "rename", "move", "delete", "transfer", "burn", "seal"]),
        st.integers(0, 5),
        st.integers(0, 5),
    ),
    min_size=1,
    max_size=25,
)


def tell(story: Story, seal: Callable[[], object], what: str, one: int, other: int) -> None:
    """One step of a random story; those that can't be done now are left out."""
    name, target = f"f{one}", f"f{other}"
    frame = frames.fold(story.log.load(frames.stream_of(name)))
    pictures = frame.thumbnails
    match what:
        case "frame":
            story.frame(name)
        case "thumbnail" if frame.exists:
            story.thumbnail(name, f"picture-{story.number}")
        case "rename" if pictures:
            story.thumbnail(name, f"renamed-{story.log.head()}", pictures[0].id)
        case "move" if pictures and one != other and frames.fold(story.log.load(frames.stream_of(target))).exists:
            story.move_thumbnail(name, pictures[0].basename, target)
        case "delete" if frame.exists:
            story.delete(name)
        case "transfer" if frame.newest and not story.log.load(f"transfer:v{frame.newest.id}-cfg-1"):
            story.transfer(name, story.log.load(frames.stream_of(name))[-1].position)
        case "burn":
            story.burn()
        case "seal":
            seal()
        case _:
            pass


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_a_round_trip(cluster: str, template: str, steps: list[tuple[str, int, int]]) -> None:
    with (
        fresh_database(cluster, template=template) as original,
        fresh_database(cluster, template=template) as copy,
        TemporaryDirectory() as folder,
    ):
        log, other = PostgresEventLog(original), PostgresEventLog(copy)
        story, sealer = Story(log), Sealer(original, segment=4)
        for what, one, another in steps:
            tell(story, sealer.seal_all, what, one, another)
        path = Path(folder) / "log.zst"
        exporting.BLOCK_EVENTS, before = 3, exporting.BLOCK_EVENTS
        try:
            with psycopg.connect(original, autocommit=True) as connection:
                exporter = Exporter(connection)
                export_to(path, exporter, exporter.plan, overwrite=False, resume=False)
        finally:
            exporting.BLOCK_EVENTS = before
        with psycopg.connect(copy, autocommit=True) as connection, alone(connection, ()):
            Importer(connection, BlockNumbers(other.datastore), ANNOUNCING).run([path])
        assert contents(copy) == contents(original)
        findings: list[Finding] = []
        for conninfo in (original, copy):
            LogCheck(conninfo, findings.append).run()
        assert findings == []
        assert read_models(copy, other) == read_models(original, log)
        log.close()
        other.close()


def read_models(conninfo: str, log: PostgresEventLog) -> dict[str, list[object]]:
    """The rows of some read models, made anew."""
    projections = [FramesProjection(SphericalSky()), TransfersProjection()]
    with psycopg.connect(conninfo, autocommit=True) as connection:
        create_missing(connection, projections)
        ProjectionRunner(conninfo, log, projections).catch_up()
        failures = connection.execute("SELECT failure FROM starferry.projection WHERE failure <> ''").fetchall()
        assert failures == []
        tables = ("read_frames.frame", "read_frames.version", "read_frames.thumbnail", "read_transfers.transfer")
        return {
            table: sorted(str(row) for row in connection.execute(f"SELECT to_jsonb(t) FROM {table} t".encode()))
            for table in tables
        }
