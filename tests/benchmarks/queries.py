"""The queries of the OCS surface with 16 clients, beside a handler that only reads and encodes 100 rows (or one)."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from random import Random

import psycopg
import requests

from tests.benchmarks import load, machine
from tests.benchmarks.frames import Payload
from tests.benchmarks.http_load import Measured, get, measure
from tests.benchmarks.installation import Installation
from tests.benchmarks.minimal import minimal
from tests.benchmarks.query_cases import Case, cases, offsets
from tests.benchmarks.report import MIB, Row
from tests.benchmarks.session import Session

CLIENTS, SECONDS, SAMPLES = 16, 3.0, 200
LIST_SHARE, DETAIL_SHARE, CPU_MS, MEMORY, COLD_SECONDS = 1 / 3, 1 / 4, 11.3, 150 * MIB, 1.0
VISITORS = 250
"""Addresses that visitors come from, as a proxy would tell, so that nobody is throttled."""


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
        yield _cold(address)
        machine.reset_peak(pid)
        roots = {"api": pid, "postgres": postgres}
        beside = {"minimal": least_pid, "postgres": postgres}
        for who, credentials in (("superuser", token), ("visitor", "")):
            page = _measure(least, ["/full"], "", beside)
            found = _measure(address, ["/frames/?limit=100"], credentials, roots)
            yield _beside(f"list 100, {who}", found, page, LIST_SHARE)
            yield _cpu(f"list 100, {who}, CPU", found)
        yield from _cursor(address, token, roots, sampled)
        for case in [*cases(sampled, ids), offsets(session.frames)]:
            yield _against_peer(case, "superuser", _measure(address, case.paths, token, roots))
            if case.visitors:
                yield _against_peer(case, "visitor", _measure(address, case.paths, "", roots))
        detail = _measure(least, [f"/one/{number}" for number in ids.values()], "", beside)
        found = _measure(address, [f"/frames/{number}/" for number in ids.values()], token, roots)
        yield _beside("detail", found, detail, DETAIL_SHARE)
        yield _memory(pid)
        if session.client:
            _other_client(session, address, pid, postgres, token)


def _samples(session: Session) -> list[Payload]:
    """Science frames all over the archive that anybody may see."""
    chance = Random(7)
    found: list[Payload] = []
    now = datetime.now().isoformat()
    while len(found) < SAMPLES:
        frame = session.generator.frame(chance.randrange(session.frames))
        if frame["area"] and frame["target_name"] and frame["public_date"] < now:
            found.append(frame)
    return found


def _ids(installation: Installation, basenames: list[str]) -> dict[str, int]:
    with psycopg.connect(installation.conninfo) as connection:
        statement = "SELECT basename, id FROM read_frames.frame WHERE basename = ANY(%s)"
        return {str(name): int(number) for name, number in connection.execute(statement, (basenames,))}


def _measure(address: str, paths: list[str], token: str, roots: dict[str, int]) -> Measured:
    if token:
        asked = [get(address, path, token) for path in paths]
    else:
        asked = [
            get(address, paths[number % len(paths)], forwarded_for=f"198.51.100.{number % VISITORS + 1}")
            for number in range(max(VISITORS, len(paths)))
        ]
    warm_up = [asked[number % len(asked)] for number in range(10 * CLIENTS)]
    return measure(address, asked, clients=CLIENTS, processes=roots, seconds=SECONDS, warm_up=warm_up)


def _cold(address: str) -> Row:
    """The first aggregate of a process, which reads all facets."""
    begun = time.perf_counter()
    requests.get(f"{address}/frames/aggregate/", timeout=60).raise_for_status()
    seconds = time.perf_counter() - begun
    return Row(
        name="aggregate, first of a process", figure=seconds, unit="s", goal="<= 1", reached=seconds <= COLD_SECONDS
    )


def _cursor(address: str, token: str, roots: dict[str, int], sampled: list[Payload]) -> Iterator[Row]:
    """Pages deep in the list by cursor, beside the first one."""
    style = "/frames/?limit=100&pagination_style=cursor"
    headers = {"Authorization": f"Token {token}"}
    paths = []
    for frame in sampled[:50]:
        answer = requests.get(f"{address}{style}&end={frame['observation_date']}", headers=headers, timeout=60)
        following = answer.json()["next"]
        if following:
            paths.append(f"{style}&cursor={following.partition('cursor=')[2].partition('&')[0]}")
    first = _measure(address, [style], token, roots)
    deep = _measure(address, paths, token, roots)
    yield Row(
        name="by cursor, anywhere",
        figure=deep.rate,
        unit="req/s",
        partner="first page",
        partner_figure=first.rate,
        goal=">= 0.8 of it",
        reached=deep.rate >= 0.8 * first.rate,
        note=deep.note(),
    )


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


def _against_peer(case: Case, who: str, found: Measured) -> Row:
    return Row(
        name=f"{case.name}, {who}",
        figure=found.rate,
        unit="req/s",
        partner="peer",
        partner_figure=case.peer,
        goal=f">= {case.goal:.0f}" if case.goal else "",
        reached=found.rate >= case.goal if case.goal else None,
        note=found.note(),
    )


def _memory(pid: int) -> Row:
    return Row(
        name="memory of the API process",
        figure=machine.proportional(pid) / MIB,
        unit="MiB",
        goal=f"<= {MEMORY / MIB:.0f}",
        reached=machine.proportional(pid) <= MEMORY,
        peak=machine.peak(pid),
        note=f"its share (PSS) after all the queries above; resident {machine.resident(pid) / MIB:.0f}",
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
    skipped = ["--skip", "zip|funpack", "--files", ""]
    subprocess.run([sys.executable, str(session.client), address, *arguments, *skipped], check=True)
