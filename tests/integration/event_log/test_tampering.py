"""Whatever is changed behind the program's back is found by `events verify`, and named rightly."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from adapters.event_store.check import LogCheck, Summary
from adapters.event_store.findings import Finding
from adapters.event_store.log import PostgresEventLog
from adapters.event_store.seals import Sealer, seal_named
from application.ports.event_log import Commit
from domain.errors import InvalidInput
from domain.event import Cause
from domain.frames import claims_of
from tests.contract.event_log_harness import NOW, write
from tests.integration.event_log.stories import BY, Story


def change(conninfo: str, *statements: str) -> None:
    with psycopg.connect(conninfo) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def found(conninfo: str, **options: object) -> tuple[list[Finding], Summary]:
    findings: list[Finding] = []
    summary = LogCheck(conninfo, findings.append).run(**options)  # type: ignore[arg-type]
    assert summary.findings + summary.warnings == len(findings)
    return findings, summary


def kinds(conninfo: str, **options: object) -> list[str]:
    return [finding.kind for finding in found(conninfo, **options)[0]]


def blamed(conninfo: str) -> list[str]:
    """What is said of the events and seals alone."""
    return [finding.kind for finding in found(conninfo)[0] if not finding.warning and finding.kind != "claim"]


def seals(conninfo: str) -> list[tuple[int, int]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute("SELECT since, upto FROM starferry.seal ORDER BY upto").fetchall()


EVENTS = "starferry.starferry_events"


def test_an_untouched_log_is_clean_and_holes_are_no_fault(sealed: str) -> None:
    findings, summary = found(sealed)
    assert findings == []
    assert summary.claims_compared
    assert summary.seals == summary.seals_agreeing == len(seals(sealed)) > 8
    assert summary.unsealed == 5
    with psycopg.connect(sealed) as connection:
        assert connection.execute(f"SELECT count(*) < max(notification_id) FROM {EVENTS}").fetchone() == (True,)


def test_several_processes_find_the_same(sealed: str) -> None:
    change(sealed, f"DELETE FROM {EVENTS} WHERE notification_id IN (15, 44)")
    assert found(sealed, jobs=2) == found(sealed)


def test_a_flipped_byte_of_a_state(sealed: str) -> None:
    change(
        sealed,
        f"UPDATE {EVENTS} SET state = set_byte(state, octet_length(state) / 2, "
        "255 - get_byte(state, octet_length(state) / 2)) WHERE notification_id = 25",
    )
    findings, _ = found(sealed)
    assert [finding.kind for finding in findings] == ["unreadable", "changed"]
    assert findings[0].position == 25
    assert findings[1].position <= 25 <= (findings[1].upto or 0)  # type: ignore[operator]


def test_a_state_that_was_replaced_by_a_readable_one(sealed: str) -> None:
    """Nobody but the seal can tell."""
    change(
        sealed,
        f"UPDATE {EVENTS} SET state = (SELECT state FROM {EVENTS} WHERE originator_id = 'frame:late1') "
        "WHERE originator_id = 'frame:f4'",
    )
    assert blamed(sealed) == ["changed"]


def test_a_row_in_the_middle_of_its_stream_is_deleted(sealed: str) -> None:
    change(sealed, f"DELETE FROM {EVENTS} WHERE originator_id = 'frame:f13' AND originator_version = 2")
    findings, _ = found(sealed)
    assert {"order", "missing", "causation"} == {finding.kind for finding in findings} - {"claim"}
    assert next(finding for finding in findings if finding.kind == "order").stream == "frame:f13"
    assert "1 of 10" in next(finding for finding in findings if finding.kind == "missing").what


def test_a_whole_stream_is_deleted(sealed: str) -> None:
    change(sealed, f"DELETE FROM {EVENTS} WHERE originator_id = 'frame:f4'")
    findings, _ = found(sealed)
    assert [finding.kind for finding in findings] == ["missing", "claim", "claim"]
    assert all("is claimed, and nothing in the log takes it" in finding.what for finding in findings[1:])


def test_a_row_is_added_at_a_position_that_was_a_hole(sealed: str) -> None:
    change(
        sealed,
        f"INSERT INTO {EVENTS} SELECT 'frame:forged', 1, topic, state, "
        f"(SELECT min(n) FROM generate_series(1, 60) n WHERE n NOT IN (SELECT notification_id FROM {EVENTS})) "
        f"FROM {EVENTS} WHERE originator_id = 'frame:late1'",
    )
    assert "added" in kinds(sealed)


def test_two_rows_of_a_stream_are_swapped(sealed: str) -> None:
    _swap(sealed, ("frame:f8", 1), ("frame:f8", 2))
    assert blamed(sealed) == ["order", "changed"]


def test_two_rows_of_different_streams_are_swapped(sealed: str) -> None:
    _swap(sealed, ("frame:f4", 1), ("frame:f9", 1))
    assert set(blamed(sealed)) == {"changed"}


def _swap(conninfo: str, one: tuple[str, int], other: tuple[str, int]) -> None:
    with psycopg.connect(conninfo) as connection:
        at = [
            connection.execute(
                f"SELECT notification_id FROM {EVENTS} WHERE (originator_id, originator_version) = (%s, %s)", place
            ).fetchone()[0]  # type: ignore[index]
            for place in (one, other)
        ]
        for statement in _swapped(*at):
            connection.execute(statement.encode())


def _swapped(one: int, other: int) -> list[str]:
    return [
        f"UPDATE {EVENTS} SET notification_id = {after} WHERE notification_id = {before}"
        for before, after in ((one, -1), (other, one), (-1, other))
    ]


def test_a_seals_digest_is_changed(sealed: str) -> None:
    _, upto = seals(sealed)[3]
    change(sealed, f"UPDATE starferry.seal SET digest = sha256('forged') WHERE upto = {upto}")
    findings, summary = found(sealed)
    assert [(finding.kind, finding.upto) for finding in findings] == [("seal", upto)]
    assert summary.seals_agreeing == summary.seals - 1


@pytest.mark.parametrize("column", ["count = count + 1", "upto = upto - 1", "since = since + 1", "upto = upto + 1"])
def test_another_part_of_a_seal_is_changed(sealed: str, column: str) -> None:
    _, upto = seals(sealed)[3]
    change(sealed, f"UPDATE starferry.seal SET {column} WHERE upto = {upto}")
    assert set(kinds(sealed)) == {"seal"}


def test_a_seal_is_removed(sealed: str) -> None:
    _, upto = seals(sealed)[3]
    change(sealed, f"DELETE FROM starferry.seal WHERE upto = {upto}")
    assert kinds(sealed) == ["seal"]


def test_the_last_seal_is_changed(sealed: str) -> None:
    _, upto = seals(sealed)[-1]
    change(sealed, f"UPDATE starferry.seal SET digest = sha256('forged') WHERE upto = {upto}")
    findings, _ = found(sealed)
    assert [finding.kind for finding in findings] == ["changed"]
    assert "or the seal was changed" in findings[0].what


def test_the_tail_is_cut_off_behind_a_seal(sealed: str) -> None:
    since, _ = seals(sealed)[-2]
    change(sealed, f"DELETE FROM {EVENTS} WHERE notification_id > {since + 5}")
    findings, _ = found(sealed)
    told = [finding.what for finding in findings if finding.kind == "truncated"]
    assert len(told) == 2
    assert "policy:DeliverToDestinations has been at" in told[0]
    assert f"was sealed up to {seals(sealed)[-1][1]}" in told[1]
    assert {finding.kind for finding in findings} == {"truncated", "claim"}


def test_the_tail_is_cut_off_where_nothing_was_sealed_but_a_policy_had_been_there(
    sealed: str, log: PostgresEventLog
) -> None:
    log.append_tracked((), "policy:X", log.head())
    change(sealed, f"DELETE FROM {EVENTS} WHERE originator_id = 'frame:late4'", "DELETE FROM starferry.claim")
    findings, _ = found(sealed)
    assert findings[0].kind == "truncated"
    assert "policy:X" in findings[0].what


def test_the_sequence_was_set_back(sealed: str) -> None:
    change(sealed, "SELECT setval('starferry.starferry_events_notification_id_seq', 10)")
    assert kinds(sealed) == ["sequence"]


def test_claims_that_were_removed_or_added(sealed: str) -> None:
    change(sealed, "DELETE FROM starferry.claim WHERE name = 'md5:m10'", "INSERT INTO starferry.claim VALUES ('md5:z')")
    findings, _ = found(sealed)
    assert [finding.kind for finding in findings] == ["claim", "claim"]
    assert {"md5:m10" in finding.what for finding in findings} == {True, False}
    assert next(finding for finding in findings if "m10" in finding.what).stream == "frame:f0"


def test_who_rewrites_the_seals_too_is_found_by_one_that_was_noted(sealed: str, log: PostgresEventLog) -> None:
    _, summary = found(sealed)
    noted = seal_named(summary.seal)
    assert kinds(sealed, expected=noted) == []
    (version,) = log.load("frame:late4")[0].event.versions  # type: ignore[attr-defined]
    md5, key = claims_of(version)
    change(
        sealed,
        "DELETE FROM starferry.seal",
        f"DELETE FROM {EVENTS} WHERE originator_id = 'frame:late4'",
        f"DELETE FROM starferry.claim WHERE name IN ('{md5}', '{key}')",
    )
    Sealer(sealed, segment=10).seal_all()
    assert kinds(sealed) == []
    assert kinds(sealed, expected=noted) == ["expected"]


def test_a_part_is_checked_in_whole_segments(sealed: str) -> None:
    since, upto = seals(sealed)[3]
    _, summary = found(sealed, since=since + 3, to=upto - 2)
    assert (summary.since, summary.upto, summary.seals_agreeing) == (since, upto, 1)
    assert not summary.claims_compared
    change(sealed, f"DELETE FROM {EVENTS} WHERE notification_id = {upto}")
    assert "missing" in kinds(sealed, since=since + 3, to=upto - 2)
    assert kinds(sealed, to=since) == []


def test_what_is_not_there_cannot_be_checked(sealed: str) -> None:
    with pytest.raises(InvalidInput, match="the log ends at"):
        found(sealed, since=10_000)
    with pytest.raises(InvalidInput, match="64 hexadecimal digits"):
        seal_named("abc@12")


@pytest.mark.parametrize("later", [True, False])
def test_a_cause_that_isnt_there_or_comes_later(empty: str, empty_log: PostgresEventLog, later: bool) -> None:
    story = Story(empty_log)
    story.frame("b")
    first = story.frame("a")
    caused = story.transfer("a", first)
    if later:
        change(empty, *_swapped(first, caused))
        first, caused = caused, first
    else:
        change(empty, f"DELETE FROM {EVENTS} WHERE notification_id = {first}")
    findings, _ = found(empty)
    told = [finding for finding in findings if finding.kind == "causation"]
    assert [finding.position for finding in told] == [caused]
    assert told[0].what.endswith("which isn't before it" if later else "which isn't there")


def test_a_policys_event_without_a_cause(empty: str, empty_log: PostgresEventLog) -> None:
    empty_log.append(Commit(writes=(write("a", 0, "x"),), cause=Cause(actor="policy:X", via="policy"), at=NOW))
    findings, _ = found(empty)
    assert [finding.kind for finding in findings] == ["causation"]


def test_a_clock_that_jumps_back_is_only_a_warning(empty: str, empty_log: PostgresEventLog) -> None:
    for stream, minutes in (("a", 0), ("b", -4), ("c", -6), ("d", -7)):
        at = NOW + timedelta(minutes=minutes)
        empty_log.append(Commit(writes=(write(stream, 0, "x"),), cause=BY, at=at))
    findings, summary = found(empty)
    assert [(finding.kind, finding.stream, finding.warning) for finding in findings] == [("time", "c", True)]
    assert (summary.findings, summary.warnings) == (0, 1)
