"""Throttles: rows B13, B14, E11 and P02 of the contract."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg_pool import AsyncConnectionPool

from adapters.event_store import group_commit
from adapters.event_store.group_commit import GroupCommitLog
from adapters.throttle_counts import standing
from api.cli import cli
from application.commands.accounts import change_account
from application.ports.event_log import Commit, Write
from domain import accounts
from domain.errors import RetryLater
from tests.postgres import fresh_database
from tests.records import record
from tests.site import CAUSE, Site, eventually, running_site, served

PROXY = "127.0.0.1"
RATES = {"STARFERRY_THROTTLE_ANONYMOUS": "3/day", "STARFERRY_THROTTLE_USER": "5/hour"}


@pytest.fixture(scope="module")
def site(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with (
        fresh_database(cluster, template=template) as conninfo,
        running_site(tmp_path_factory.mktemp("site"), conninfo, RATES, prepared=True) as running,
    ):
        yield running


def counted(site: Site) -> dict[str, int]:
    with psycopg.connect(site.core.conninfo) as connection:
        return {one.who: one.requests for one in standing(connection)}


def test_b13_p02_an_address_is_refused_beyond_its_rate_with_when_to_come_again(site: Site) -> None:
    client = site.client(X_Forwarded_For="198.51.100.1")
    assert [client.get("/frames/").status_code for _ in range(3)] == [200] * 3
    refused = client.get("/frames/")
    assert refused.status_code == 429
    wait = int(refused.headers["retry-after"])
    assert 86_300 <= wait <= 86_400
    assert refused.json() == {"detail": f"Request was throttled. Expected available in {wait} seconds."}
    assert client.get("/frames/1/").status_code == 429
    own = client.get("/api/v1/observations")
    assert (own.status_code, own.headers["content-type"]) == (429, "application/problem+json")
    assert site.client(X_Forwarded_For="198.51.100.2").get("/frames/").status_code == 200


def test_b13_what_is_exempt_answers_the_throttled_too(site: Site) -> None:
    client = site.client(X_Forwarded_For="198.51.100.3")
    assert [client.get("/frames/").status_code for _ in range(4)][-1] == 429
    for route in ("/profile/", "/health/", "/healthz", "/readyz", "/metrics", "/api-auth/login/"):
        assert client.get(route).status_code == 200, route
    assert client.post("/authprofile/addupdateuser/", json={}).status_code == 403
    assert client.post("/api-token-auth/", json={}).status_code == 400


def test_b13_a_user_has_a_rate_of_their_own_wherever_they_are(site: Site) -> None:
    token = site.new_user("often")
    clients = [site.client(token, X_Forwarded_For=f"198.51.100.{number}") for number in (10, 11)]
    statuses = [clients[number % 2].get("/frames/").status_code for number in range(6)]
    assert statuses == [200] * 5 + [429]
    assert int(clients[0].get("/frames/").headers["retry-after"]) <= 3600
    assert site.client(X_Forwarded_For="198.51.100.10").get("/frames/").status_code == 200


def test_b13_b14_staff_and_superusers_are_never_throttled(site: Site) -> None:
    core = site.core
    token = site.new_user("staffer")
    change_account(core.log, core.clock, CAUSE, "staffer", is_staff=True)
    site.settle()
    for known in (token, site.admin_token):
        client = site.client(known, X_Forwarded_For="198.51.100.20")
        assert {client.get("/frames/").status_code for _ in range(12)} == {200}
    ingester = site.client(site.admin_token, X_Forwarded_For="198.51.100.20")
    assert [ingester.post("/frames/", json=record()).status_code for _ in range(12)] == [201] * 12
    assert {ingester.get("/versions/", params={"md5": "0" * 32}).status_code for _ in range(12)} == {200}


def test_b13_requests_of_this_machine_itself_are_not_throttled(site: Site) -> None:
    assert {site.anonymous.get("/frames/").status_code for _ in range(12)} == {200}


def test_b13_what_a_client_writes_into_the_header_is_not_believed(site: Site) -> None:
    statuses = [
        site.client(X_Forwarded_For=f"10.9.8.{number}, 198.51.100.30, {PROXY}").get("/frames/").status_code
        for number in range(4)
    ]
    assert statuses == [200, 200, 200, 429]


def test_b13_processes_share_their_counts(site: Site) -> None:
    with (
        served(site.core.settings, site.core.conninfo) as one,
        served(site.core.settings, site.core.conninfo) as two,
    ):
        first = site.client(url=one, X_Forwarded_For="198.51.100.40")
        second = site.client(url=two, X_Forwarded_For="198.51.100.40")
        assert [first.get("/frames/").status_code for _ in range(3)] == [200] * 3
        eventually(lambda: counted(site).get("address:198.51.100.40") == 3, "the count wasn't shared")
        assert second.get("/frames/").status_code == 200, "hasn't heard yet"
        eventually(lambda: second.get("/frames/").status_code == 429, "the other process never heard")
    with served(site.core.settings, site.core.conninfo) as restarted:
        again = site.client(url=restarted, X_Forwarded_For="198.51.100.40")
        eventually(lambda: again.get("/frames/").status_code == 429, "a restart forgets")


def test_b13_a_window_that_is_over_begins_anew(site: Site) -> None:
    client = site.client(X_Forwarded_For="198.51.100.50")
    assert [client.get("/frames/").status_code for _ in range(4)][-1] == 429
    who = "address:198.51.100.50"
    eventually(lambda: counted(site).get(who) == 3, "the count wasn't shared")
    with site.core.pool.connection() as connection:
        connection.execute("UPDATE starferry.throttle SET until = now() WHERE who = %s", (who,))
    with served(site.core.settings, site.core.conninfo) as fresh:
        later = site.client(url=fresh, X_Forwarded_For="198.51.100.50")
        assert later.get("/frames/").status_code == 200
        eventually(lambda: counted(site).get(who) == 1, "the new window wasn't shared")


def test_e11_showthrottle_shows_rates_and_counters(site: Site, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = site.client(X_Forwarded_For="198.51.100.60")
    assert [client.get("/frames/").status_code for _ in range(2)] == [200] * 2
    eventually(lambda: counted(site).get("address:198.51.100.60") == 2, "the count wasn't shared")
    monkeypatch.setenv("DATABASE_URL", site.core.conninfo)
    monkeypatch.setenv("STARFERRY_THROTTLE_ANONYMOUS", "3/day")
    shown = CliRunner().invoke(cli, ["showthrottle", "--data", str(tmp_path)], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    assert "Anonymous addresses: 3/day. Users: 50000/day." in shown.output
    assert "address:198.51.100.60" in shown.output
    as_json = CliRunner().invoke(cli, ["showthrottle", "--json", "--data", str(tmp_path)])
    rows = [json.loads(line) for line in as_json.output.splitlines()]
    assert rows[0] == {"anonymous": "3/day", "user": "50000/day"}
    mine = next(row for row in rows[1:] if row["who"] == "address:198.51.100.60")
    assert mine["requests"] == 2
    assert 86_000 < mine["seconds_left"] <= 86_400


def test_b14_appends_beyond_what_can_wait_are_told_to_come_again(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MOST_WAITING", 10)

    async def flood() -> list[int | BaseException]:
        async with AsyncConnectionPool(database, min_size=1, max_size=2, open=False) as pool:
            log = GroupCommitLog(pool)
            event = accounts.AccountCreated(username="x")
            commits = [
                Commit(writes=(Write(f"account:{n}", 0, (event,)),), cause=CAUSE, at=datetime.now(UTC))
                for n in range(200)
            ]
            return await asyncio.gather(*map(log.append, commits), return_exceptions=True)

    results = asyncio.run(flood())
    refused = [result for result in results if isinstance(result, BaseException)]
    assert refused
    assert all(isinstance(error, RetryLater) and error.retry_after for error in refused)
    assert len(results) - len(refused) >= 10, "the others are stored"


def test_b14_an_overloaded_ingest_gets_503_and_when_to_come_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "MOST_WAITING", 0)
    answer = site.admin.post("/frames/", json=record())
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    monkeypatch.undo()
    assert site.admin.post("/frames/", json=record()).status_code == 201
