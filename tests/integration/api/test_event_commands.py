"""`starferry events list` and `starferry history`, beside a running site."""

from __future__ import annotations

import csv
import io
import json
import secrets
from typing import Any

import pytest
from click.testing import CliRunner, Result

from api.cli import cli
from api.cli.event_output import COLUMNS
from application.transact import transact
from domain import transfers
from domain.errors import InvalidInput
from domain.event import Cause
from domain.transfer_events import TransferHeld
from tests.integration.api.test_own_ingest import is_problem
from tests.records import record
from tests.site import Site


def starferry(site: Site, *arguments: str) -> Result:
    data = str(site.core.settings.data)
    return CliRunner().invoke(cli, [*arguments, "--data", data], env={"DATABASE_URL": site.core.conninfo})


def listed(site: Site, *options: str) -> list[dict[str, Any]]:
    result = starferry(site, "events", "list", "--json", *options)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module")
def log(site: Site) -> list[dict[str, Any]]:
    for _ in range(4):
        site.post(record())
    site.settle()
    entries: list[dict[str, Any]] = site.admin.get("/api/v1/events", params={"limit": 1000}).json()["results"]
    return entries


def test_events_are_listed_by_what_surrounds_them(site: Site, log: list[dict[str, Any]]) -> None:
    frames = [entry for entry in log if entry["event"] == "frame.file_processed"]
    middle = frames[1]
    assert listed(site) == log[:100]
    assert listed(site, "--reverse") == log[::-1][:100]
    assert listed(site, "--kind", "frame") == frames
    assert listed(site, "--kind", "frame.file_processed", "--kind", "account") == log
    assert listed(site, "--actor", "admin", "--limit", "2") == frames[:2]
    assert listed(site, "--actor", "admin", "--limit", "2", "--reverse") == frames[::-1][:2]
    assert listed(site, "--via", "ocs") == frames
    assert listed(site, "--stream", middle["stream"]) == [middle]
    assert listed(site, "--stream", middle["stream"], "--reverse") == [middle]
    assert listed(site, "--correlation", middle["correlation"]) == [middle]
    assert listed(site, "--since", middle["at"], "--kind", "frame") == frames[1:]
    assert listed(site, "--until", middle["at"], "--kind", "frame") == frames[:2]
    bounds = ("--after", str(frames[0]["position"]), "--to", str(frames[2]["position"]))
    assert listed(site, *bounds) == frames[1:3]
    assert listed(site, *bounds, "--reverse") == frames[2:0:-1]
    assert listed(site, "--after", str(log[-1]["position"] + 5)) == []


def test_the_table_has_a_line_an_event(site: Site, log: list[dict[str, Any]]) -> None:
    result = starferry(site, "events", "list", "--kind", "frame")
    heading, *lines = result.stdout.splitlines()
    assert heading.split() == ["position", "at", "event", "by", "via", "because", "correlation", "stream"]
    frames = [entry for entry in log if entry["event"] == "frame.file_processed"]
    assert len(lines) == len(frames)
    for line, entry in zip(lines, frames, strict=True):
        assert line.split()[0] == str(entry["position"])
        for name in ("event", "actor", "via", "correlation", "stream"):
            assert entry[name] in line


def test_csv_is_what_json_is_and_no_cell_is_a_formula(site: Site) -> None:
    transfer = f"v1-cfg-{secrets.token_hex(4)}"
    evil = '=HYPERLINK("http://evil.example","a, \n b")'
    cause = Cause(actor="@SUM(1)", via="api", correlation="plain-0001", reason=evil)
    held = (TransferHeld(reason=evil),)
    stream = transfers.stream_of(transfer)
    transact(site.core.log, stream, lambda history: () if history else held, cause=cause, now=site.core.clock.now())
    for command in (("history", "transfer", transfer), ("events", "list", "--stream", stream)):
        as_json = json.loads(starferry(site, *command, "--json").stdout)
        result = starferry(site, *command, "--csv")
        rows = list(csv.DictReader(io.StringIO(result.stdout)))
        assert list(rows[0]) == list(COLUMNS)
        (row,) = rows
        assert row["reason"] == f"'{evil}"
        assert row["actor"] == "'@SUM(1)"
        assert json.loads(row["data"]) == as_json["data"] == {"reason": evil}
        assert {name: row[name] for name in ("position", "at", "event", "stream", "correlation")} == {
            name: str(as_json[name]) for name in ("position", "at", "event", "stream", "correlation")
        }
        assert row["causation"] == ""


def test_csv_and_the_table_have_their_heading_when_there_is_nothing(site: Site) -> None:
    assert starferry(site, "events", "list", "--csv", "--actor", "nobody").stdout == ",".join(COLUMNS) + "\n"
    assert len(starferry(site, "events", "list", "--actor", "nobody").stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--kind", "planet"), "There is no kind of event planet; there are account, frame, "),
        (("--via", "pigeon"), "There is no way in pigeon; there are api, ocs, "),
        (("--since", "yesterday"), "--since yesterday isn't a time such as 2026-11-20T12:00:00Z."),
        (("--since", "2026-02-02", "--until", "2026-02-01"), "since is later than until: "),
        (("--after", "7", "--to", "7"), "No event is after position 7 and not after 7."),
        (("--json", "--csv"), "Choose one of --json and --csv."),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(site: Site, options: tuple[str, ...], sentence: str) -> None:
    result = starferry(site, "events", "list", *options)
    assert isinstance(result.exception, InvalidInput)
    assert str(result.exception).startswith(sentence)


@pytest.mark.parametrize("options", [("--limit", "0"), ("--after", "-1"), ("--to", "x"), ("--limit", "many")])
def test_what_is_no_number_is_refused(site: Site, options: tuple[str, ...]) -> None:
    assert starferry(site, "events", "list", *options).exit_code == 2


def test_history_tells_of_every_kind(site: Site) -> None:
    hook = site.user.post("/api/v1/webhooks", json={"url": "https://hooks.example.org/x"}).json()["id"]
    told = starferry(site, "history", "webhook", hook)
    assert "webhook.created  by alice via api  (event " in told.stdout
    told = starferry(site, "history", "account", "alice", "--at", "2001-01-01")
    assert (told.exit_code, told.stdout) == (0, "")
    is_problem(site.admin.get("/api/v1/audit/webhook/none"), 404)
