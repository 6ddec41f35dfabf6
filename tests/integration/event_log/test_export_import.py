"""A log goes out to a file and comes in again: events, claims, seals and positions as they were, or it says why not."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psycopg
import pytest
import zstandard

from adapters.event_store import export_format, exporting
from adapters.event_store.check import LogCheck
from adapters.event_store.export_format import Block, Header, Reader, Trailer
from adapters.event_store.exporting import Exporter, export_to
from adapters.event_store.importing import WRITERS, Imported, Importer, alone
from adapters.event_store.log import PostgresEventLog
from adapters.event_store.numbers import BlockNumbers
from adapters.event_store.seals import Sealer
from api.cli.event_import import ANNOUNCING
from domain.errors import Conflict, InvalidInput
from tests.contract.event_log_harness import commit, write
from tests.integration.event_log.stories import Story, contents
from tests.postgres import fresh_database

BLOCK = 7


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "BLOCK_EVENTS", BLOCK)


def exported(conninfo: str, path: Path, since: int = 0, to: int | None = None, streams: Sequence[str] = ()) -> Path:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        exporter = Exporter(connection)
        export_to(path, exporter, lambda: exporter.plan(since, to, streams), overwrite=False, resume=False)
    return path


def imported(log: PostgresEventLog, conninfo: str, *paths: Path, dry_run: bool = False) -> Imported:
    with psycopg.connect(conninfo, autocommit=True) as connection, alone(connection, ()):
        return Importer(connection, BlockNumbers(log.datastore), ANNOUNCING).run(paths, dry_run=dry_run)


def everything(content: bytes) -> tuple[Header, list[Block], Trailer | None]:
    """All that an export says."""
    reader = Reader(io.BytesIO(content))
    return reader.header, list(reader.blocks()), reader.trailer


def positions(conninfo: str) -> dict[str, int]:
    with psycopg.connect(conninfo) as connection:
        return dict(connection.execute("SELECT name, position FROM starferry.consumer").fetchall())


def is_clean(conninfo: str) -> bool:
    findings: list[object] = []
    LogCheck(conninfo, findings.append).run()
    return not findings


def test_all_comes_back_as_it_was(kept: str, empty: str, empty_log: PostgresEventLog, tmp_path: Path) -> None:
    path = exported(kept, tmp_path / "log.zst")
    done = imported(empty_log, empty, path)
    assert contents(empty) == contents(kept)
    assert (done.events, done.known) == (len(contents(kept)["events"]), 0)
    assert is_clean(empty)
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(one.name for one in tmp_path.iterdir()) == ["log.zst"]


def test_what_is_written_next_stands_behind_what_was_imported(
    kept: str, empty: str, empty_log: PostgresEventLog, tmp_path: Path
) -> None:
    numbers = BlockNumbers(empty_log.datastore)
    held = numbers.take()
    imported(empty_log, empty, exported(kept, tmp_path / "log.zst"))
    assert empty_log.append(commit(write("new", 0, "x"))) == contents(kept)["events"][-1][0] + 1
    highest = max(
        version.id for recorded in empty_log.read(0, 1000).events for version in getattr(recorded.event, "versions", ())
    )
    assert held <= highest < BlockNumbers(empty_log.datastore).take()
    with pytest.raises(Conflict, match="md5:m10"):
        empty_log.append(commit(write("other", 0, "x"), claims=["md5:m10"]))


def test_policies_go_on_where_they_were_and_nothing_is_announced_again(
    sealed: str, log: PostgresEventLog, empty: str, empty_log: PostgresEventLog, tmp_path: Path
) -> None:
    head = log.head()
    log.append_tracked((), "policy:NotifyWebhooks", head - 4)
    empty_log.enter("policy:PublishArchived")  # as a start with a broker does
    imported(empty_log, empty, exported(sealed, tmp_path / "log.zst"))
    assert positions(empty) == {
        "policy:DeliverToDestinations": head - 2,
        "policy:NotifyWebhooks": head - 4,
        "policy:PublishArchived": head,
        "policy:NotifyByMail": head,
    }


def test_an_export_that_ends_earlier_leaves_open_what_was_answered_behind_it(
    sealed: str, log: PostgresEventLog, empty: str, empty_log: PostgresEventLog, tmp_path: Path
) -> None:
    """The policy asked for a transfer of frame f35 behind the end of the file: it must ask for it again."""
    frame = log.load("frame:f35")[0].position
    imported(empty_log, empty, exported(sealed, tmp_path / "log.zst", to=frame))
    assert positions(empty)["policy:DeliverToDestinations"] == frame - 1
    assert is_clean(empty)


def test_parts_are_imported_one_after_the_other(
    sealed: str, log: PostgresEventLog, empty: str, empty_log: PostgresEventLog, tmp_path: Path
) -> None:
    Sealer(sealed).seal_all()
    first = exported(sealed, tmp_path / "1.zst")
    end = log.head()
    Story(log, 5000).frame("next")
    Sealer(sealed).seal_all()
    second = exported(sealed, tmp_path / "2.zst", since=end)
    with pytest.raises(InvalidInput, match="begins behind position"):
        imported(empty_log, empty, second)
    with pytest.raises(InvalidInput, match="doesn't go on"):
        imported(empty_log, empty, second, first)
    assert imported(empty_log, empty, first).upto == end
    assert imported(empty_log, empty, second).events == 1
    assert contents(empty) == contents(sealed)
    assert is_clean(empty)


def test_a_part_of_another_log_is_refused(
    sealed: str, log: PostgresEventLog, empty: str, empty_log: PostgresEventLog, tmp_path: Path
) -> None:
    Sealer(sealed).seal_all()
    end = log.head()
    Story(log, 5000).frame("next")
    second = exported(sealed, tmp_path / "2.zst", since=end)
    for number in range(end + 3):
        empty_log.append(commit(write(f"s{number}", 0, "x")))
    Sealer(empty).seal_all()
    with pytest.raises(Conflict, match="another log"):
        imported(empty_log, empty, second)


def test_twice_changes_nothing(kept: str, empty: str, empty_log: PostgresEventLog, tmp_path: Path) -> None:
    path = exported(kept, tmp_path / "log.zst")
    imported(empty_log, empty, path)
    empty_log.append(commit(write("new", 0, "x")))
    before = contents(empty), positions(empty)
    again = imported(empty_log, empty, path)
    assert (again.events, again.known) == (0, len(contents(kept)["events"]))
    assert (contents(empty), positions(empty)) == before


def test_a_store_that_holds_a_beginning_is_completed_and_one_that_differs_is_left_alone(
    sealed: str, log: PostgresEventLog, empty: str, empty_log: PostgresEventLog, tmp_path: Path
) -> None:
    middle = log.load("frame:f20")[0].position
    imported(empty_log, empty, exported(sealed, tmp_path / "begin.zst", to=middle))
    path = exported(sealed, tmp_path / "log.zst")
    assert imported(empty_log, empty, path, dry_run=True).events > 0
    before = contents(empty)
    empty_log.append(commit(write("own", 0, "x")))
    with pytest.raises(Conflict, match=f"differ at position {middle + 1}"):
        imported(empty_log, empty, path)
    with psycopg.connect(empty) as connection:
        connection.execute("DELETE FROM starferry.starferry_events WHERE originator_id = 'own'")
    assert contents(empty) == before
    imported(empty_log, empty, path)
    assert contents(empty)["events"] == contents(sealed)["events"]
    assert contents(empty)["claims"] == contents(sealed)["claims"]
    assert is_clean(empty)


def test_a_dry_run_reads_all_and_changes_nothing(
    kept: str, empty: str, empty_log: PostgresEventLog, tmp_path: Path
) -> None:
    path = exported(kept, tmp_path / "log.zst")
    done = imported(empty_log, empty, path, dry_run=True)
    assert done.events == len(contents(kept)["events"])
    assert contents(empty)["events"] == []
    assert positions(empty) == {}
    damage(path, -40)
    with pytest.raises(InvalidInput, match="damaged"):
        imported(empty_log, empty, path, dry_run=True)


def damage(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 0x40
    path.write_bytes(content)


def test_a_damaged_block_is_refused_by_number_and_a_sound_file_goes_on_from_there(
    kept: str, empty: str, empty_log: PostgresEventLog, tmp_path: Path
) -> None:
    path = exported(kept, tmp_path / "log.zst")
    sound = path.read_bytes()
    with path.open("rb") as file:
        blocks = list(Reader(file).blocks())
    damage(path, blocks[4].offset + 100)
    with pytest.raises(
        InvalidInput, match=rf"block 6 at byte {blocks[4].offset}, behind position {blocks[4].head.upto}"
    ):
        imported(empty_log, empty, path)
    assert empty_log.head() == blocks[4].head.upto
    path.write_bytes(sound)
    assert imported(empty_log, empty, path).known == 5 * BLOCK
    assert contents(empty) == contents(kept)


def test_no_damage_to_a_file_changes_what_is_read(kept: str, tmp_path: Path) -> None:
    """Zstandard leaves bits unused, which say nothing and which nobody can miss: with one of them turned over, the file
    still reads as it was written."""
    sound = exported(kept, tmp_path / "log.zst").read_bytes()
    written = everything(sound)
    assert len(written[1]) > 10
    noticed, offsets = 0, range(0, len(sound), 101)
    for offset in offsets:
        with pytest.raises(InvalidInput):
            everything(sound[:offset])
        changed = bytearray(sound)
        changed[offset] ^= 1 << offset % 8
        try:
            assert everything(bytes(changed)) == written
        except InvalidInput:
            noticed += 1
    assert noticed > 0.8 * len(offsets)
    with pytest.raises(InvalidInput, match="something follows"):
        everything(sound + b"x")


def test_a_file_whose_events_were_changed_with_all_its_checksums_disagrees_with_its_seals(
    kept: str, empty: str, empty_log: PostgresEventLog, tmp_path: Path
) -> None:
    path, forged = exported(kept, tmp_path / "log.zst"), tmp_path / "forged.zst"
    with path.open("rb") as file, forged.open("wb") as out:
        reader = Reader(file)
        writer = export_format.Writer(out)
        writer.header(reader.header)
        for block in reader.blocks():
            lines = block.lines.replace(b'"OBJECT":"M10"', b'"OBJECT":"M99"').splitlines(keepends=True)
            writer.block(block.head.since, lines, block.head.upto, block.head.seals)
        writer.trailer(reader.header.upto)
    with pytest.raises(InvalidInput, match="aren't those that were sealed"):
        imported(empty_log, empty, forged)


def test_a_log_that_isnt_sound_is_not_exported(sealed: str, tmp_path: Path) -> None:
    with psycopg.connect(sealed) as connection:
        connection.execute("DELETE FROM starferry.starferry_events WHERE originator_id = 'frame:f4'")
    with pytest.raises(Conflict, match="run starferry events verify"):
        exported(sealed, tmp_path / "log.zst")
    assert not (tmp_path / "log.zst").exists()


def test_an_export_of_some_streams_is_only_for_looking_at(
    kept: str, empty: str, empty_log: PostgresEventLog, tmp_path: Path
) -> None:
    path = exported(kept, tmp_path / "part.zst", streams=["frame:f4", "frame:f13"])
    with path.open("rb") as file:
        found = [line.s for block in Reader(file).blocks() for line in block.events()]
    assert found == ["frame:f4", "frame:f13", "frame:f13", "frame:f13"]
    with pytest.raises(InvalidInput, match="only some streams"):
        imported(empty_log, empty, path)


def test_a_file_of_a_newer_program_is_refused(
    kept: str, empty: str, empty_log: PostgresEventLog, tmp_path: Path
) -> None:
    path = tmp_path / "newer.zst"
    with path.open("wb") as file, psycopg.connect(kept, autocommit=True) as connection:
        header = Exporter(connection).plan()
        export_format.Writer(file).header(msgspec.structs.replace(header, schemas={"frame.deleted": 2, "frame.new": 1}))
    with pytest.raises(InvalidInput, match=r"newer program \(frame.deleted, frame.new\)"):
        imported(empty_log, empty, path)


def test_anybody_can_read_it_without_this_program(kept: str, tmp_path: Path) -> None:
    path = exported(kept, tmp_path / "log.zst")
    with path.open("rb") as file:
        lines = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read().splitlines()
    told = [msgspec.json.decode(line) for line in lines]
    assert told[0]["starferry_log"] == 1
    assert told[-1]["end"] is True
    events = [line for line in told if "p" in line]
    assert len(events) == len(contents(kept)["events"]) == told[-1]["events"]
    assert events[0]["b"]["e"]["headers"]["OBJECT"] == "M10"
    assert (events[0]["s"], events[0]["n"], events[0]["t"]) == ("frame:f0", 1, "frame.file_processed")


def test_a_body_that_cannot_stand_on_a_line_is_carried_as_text(
    empty: str, empty_log: PostgresEventLog, cluster: str, template: str, tmp_path: Path
) -> None:
    story = Story(empty_log)
    story.headers = msgspec.Raw(b'{"A":\n 1}')
    story.frame("a")
    path = exported(empty, tmp_path / "log.zst")
    with fresh_database(cluster, template=template) as other:
        log = PostgresEventLog(other)
        imported(log, other, path)
        log.close()
        assert contents(other) == contents(empty)


def test_a_file_that_is_there_is_not_overwritten_unasked(kept: str, tmp_path: Path) -> None:
    path = exported(kept, tmp_path / "log.zst")
    before = path.read_bytes()
    with pytest.raises(Conflict, match="--overwrite"):
        exported(kept, path)
    assert path.read_bytes() == before
    path.rename(tmp_path / "log.zst.part")
    with pytest.raises(Conflict, match="--resume"):
        exported(kept, path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.999, 1.0])
def test_an_export_goes_on_behind_its_last_whole_block(kept: str, tmp_path: Path, share: float) -> None:
    whole = exported(kept, tmp_path / "whole.zst").read_bytes()
    path, part = tmp_path / "log.zst", tmp_path / "log.zst.part"
    part.write_bytes(whole[: int(len(whole) * share)])
    with psycopg.connect(kept, autocommit=True) as connection:
        exporter = Exporter(connection)
        export_to(path, exporter, exporter.plan, overwrite=False, resume=True)
    with path.open("rb") as file:
        resumed = Reader(file)
        lines = b"".join(block.lines for block in resumed.blocks())
    with io.BytesIO(whole) as file:
        assert lines == b"".join(block.lines for block in Reader(file).blocks())
    assert share == 0.0 or path.read_bytes() == whole
    assert not part.exists()


def test_an_export_of_another_log_is_not_gone_on_with(
    kept: str, empty: str, empty_log: PostgresEventLog, tmp_path: Path
) -> None:
    for number in range(20):
        empty_log.append(commit(write(f"s{number}", 0, "x")))
    other = exported(empty, tmp_path / "other.zst").read_bytes()
    (tmp_path / "log.zst.part").write_bytes(other[:-200])
    with psycopg.connect(kept, autocommit=True) as connection, pytest.raises(Conflict, match="another log"):
        export_to(tmp_path / "log.zst", Exporter(connection), lambda: Header(), overwrite=False, resume=True)  # type: ignore[call-arg]


def test_an_import_waits_for_no_writer_and_keeps_writers_out(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.event_store.importing.WAIT_SECONDS", 0.1)
    with psycopg.connect(empty, autocommit=True) as one, psycopg.connect(empty, autocommit=True) as other:
        with other.transaction():
            other.execute("SELECT pg_advisory_xact_lock(%s)", (WRITERS,))
            with pytest.raises(Conflict, match="Something writes"), alone(one, ()):
                pass
        other.execute("SELECT pg_advisory_lock(77)")
        with pytest.raises(Conflict, match="projections"), alone(one, (77,)):
            pass
