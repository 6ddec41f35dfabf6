"""The queries of the OCS surface with 16 clients, beside a handler that only reads and encodes 100 rows (or one)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from urllib.parse import urlencode

import psycopg

from tests.benchmarks import load, machine
from tests.benchmarks.frames import Payload, centre
from tests.benchmarks.http_load import Measured, get, measure
from tests.benchmarks.installation import Installation
from tests.benchmarks.minimal import minimal
from tests.benchmarks.report import MIB, Row
from tests.benchmarks.session import Session

CLIENTS, SECONDS, SAMPLES = 16, 4.0, 200
LIST_SHARE, DETAIL_SHARE, CPU_MS, MEMORY = 1 / 3, 1 / 4, 11.3, 150 * MIB
PEER = {"site and instrument, 30 days": 12, "target contains": 3, "observation_id": 40, "covers hit": 11.9}
"""Requests a second of the OCS Science Archive on two cores with a million frames; goals are multiples of them."""
MULTIPLE = {"target contains": 100}


def run(session: Session) -> Iterator[Row]:
    """See the module."""
    load.ensure(session)
    installation = session.installation
    token = installation.token()
    postgres = installation.postmaster()
    sampled = _samples(session)
    ids = _ids(installation, [frame["basename"] for frame in sampled])
    with (
        minimal(session) as (least, least_pid),
        installation.process("projections"),
        installation.api() as (address, pid),
    ):
        machine.reset_peak(pid)
        roots = {"api": pid, "postgres": postgres}
        beside = {"minimal": least_pid, "postgres": postgres}
        for who, credentials in (("superuser", token), ("anonymous", "")):
            page = _measure(least, ["/full"], "", beside)
            found = _measure(address, ["/frames/?limit=100"], credentials, roots)
            yield _beside(f"list 100, {who}", found, page, LIST_SHARE)
            yield _cpu(f"list 100, {who}, CPU", found)
        for name, paths in _cases(sampled).items():
            found = _measure(address, paths, token, roots)
            yield _against_peer(name, found, page)
        detail = _measure(least, [f"/one/{number}" for number in ids.values()], "", beside)
        found = _measure(address, [f"/frames/{number}/" for number in ids.values()], token, roots)
        yield _beside("detail", found, detail, DETAIL_SHARE)
        yield Row(
            name="memory of the API process",
            figure=machine.resident(pid) / MIB,
            unit="MiB",
            goal="<= 150",
            reached=machine.resident(pid) <= MEMORY,
            peak=machine.peak(pid),
            note="resident after all the queries above",
        )
        if session.client:
            _other_client(session, address, pid, postgres, token)


def _cases(sampled: list[Payload]) -> dict[str, list[str]]:
    chance = Random(7)
    points = [point for frame in sampled if (point := centre(frame))]
    anywhere = [(chance.uniform(0, 360), chance.uniform(-85, 85)) for _ in sampled]
    return {
        "covers hit": [_path(covers=f"POINT({ra:.5f} {dec:.5f})") for ra, dec in points],
        "covers random": [_path(covers=f"POINT({ra:.5f} {dec:.5f})") for ra, dec in anywhere],
        "site and instrument, 30 days": [_path(**_month(frame)) for frame in sampled],
        "target contains": [_path(target_name=frame["target_name"][1:].lower()) for frame in sampled],
        "observation_id": [_path(observation_id=frame["observation_id"]) for frame in sampled],
    }


def _month(frame: Payload) -> dict[str, str]:
    middle = datetime.fromisoformat(frame["observation_date"])
    return {
        "site_id": frame["site_id"],
        "instrument_id": frame["instrument_id"],
        "start": f"{middle - timedelta(days=15):%Y-%m-%dT%H:%M:%S}",
        "end": f"{middle + timedelta(days=15):%Y-%m-%dT%H:%M:%S}",
    }


def _path(**parameters: object) -> str:
    return f"/frames/?{urlencode({'limit': 100, **parameters})}"


def _samples(session: Session) -> list[Payload]:
    """Science frames all over the archive."""
    chance = Random(7)
    found: list[Payload] = []
    while len(found) < SAMPLES:
        frame = session.generator.frame(chance.randrange(session.frames))
        if frame["area"] and frame["target_name"]:
            found.append(frame)
    return found


def _ids(installation: Installation, basenames: list[str]) -> dict[str, int]:
    with psycopg.connect(installation.conninfo) as connection:
        statement = "SELECT basename, id FROM read_frames.frame WHERE basename = ANY(%s)"
        return {str(name): int(number) for name, number in connection.execute(statement, (basenames,))}


def _measure(address: str, paths: list[str], token: str, roots: dict[str, int]) -> Measured:
    requests = [get(address, path, token) for path in paths]
    warm_up = [requests[number % len(requests)] for number in range(10 * CLIENTS)]
    return measure(address, requests, clients=CLIENTS, processes=roots, seconds=SECONDS, warm_up=warm_up)


def _beside(name: str, found: Measured, least: Measured, share: float) -> Row:
    return Row(
        name=name,
        figure=found.rate,
        unit="req/s",
        partner="minimal handler",
        partner_figure=least.rate,
        goal=f">= 1/{1 / share:.0f} of it",
        reached=found.rate >= share * least.rate,
        note=f"{found.note()}; minimal: {least.note()}",
    )


def _cpu(name: str, found: Measured) -> Row:
    used = sum(found.cpu_ms.values())
    return Row(name=name, figure=used, unit="ms/request", goal=f"<= {CPU_MS}", reached=used <= CPU_MS)


def _against_peer(name: str, found: Measured, page: Measured) -> Row:
    goal = PEER[name] * MULTIPLE.get(name, 40) if name in PEER else None
    return Row(
        name=name,
        figure=found.rate,
        unit="req/s",
        partner="minimal page",
        partner_figure=page.rate,
        goal=f">= {goal:.0f}" if goal else "",
        reached=found.rate >= goal if goal else None,
        note=found.note(),
    )


def _other_client(session: Session, address: str, pid: int, postgres: int, token: str) -> None:
    """Run another program's query suite against the same server; its own report is its output."""
    assert session.client is not None
    out = session.installation.data / "other_client.json"
    kept = session.installation.data / "token"
    session.say(f"running {session.client.name}; its report goes to {out}")
    assert kept.read_text() == token
    arguments = ["--token-file", str(kept), "--suite", "query", "--total", str(session.frames), "--out", str(out)]
    arguments += ["--cpu", f"web={pid},pg={postgres}", "--runs", "1", "--secs", "2"]
    skipped = ["--skip", "aggregate|zip|funpack|versions", "--files", ""]
    subprocess.run([sys.executable, str(session.client), address, *arguments, *skipped], check=True)
