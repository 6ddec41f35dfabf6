"""`/api/v1/audit`: the history of every kind of thing, for those who may see it; and the search, for superusers."""

from __future__ import annotations

import secrets
from typing import Any

import httpx
import pytest

from application.commands.mail_notices import choose_mail_notices
from application.history import KINDS
from application.permissions import Principal
from application.transact import transact
from domain.catalogue import EVENTS
from domain.transfer_events import TransferRecordsExpired
from domain.transfers import UPKEEP_STREAM
from tests.integration.api.deliveries import create, folder_body, observe, transfer
from tests.integration.api.test_own_ingest import is_problem
from tests.records import fits_bytes, new_name
from tests.site import CAUSE, PROPOSAL, Site

AUDIT = "/api/v1/audit"
SECRET = "2099-01-01T00:00:00"
STREAMS = {"group": {"organization", "project"}}
"""Kinds of streams by the first word of topics, where they have another name."""
OWNED = tuple(kind for kind in KINDS if kind != "upkeep")


def test_no_kind_of_stream_is_without_a_history() -> None:
    words = {topic.partition(".")[0] for topic in EVENTS}
    kinds: set[str] = set().union(*(STREAMS.get(word, {word}) for word in words))
    assert kinds | {UPKEEP_STREAM.partition(":")[0]} == set(KINDS)


@pytest.fixture(scope="module")
def owned(site: Site) -> dict[str, str]:
    """One thing of each kind that is alice's, by kind."""
    user, core, name = site.user, site.core, new_name()
    config = create(user, folder_body(site))["id"]
    number = observe(user, config)
    site.ingest(fits_bytes(BLKUID=number, PROPID=PROPOSAL, L1PUBDAT=SECRET), f"{name}.fits")
    alice = Principal("alice")
    choose_mail_notices(core.log, core.vault, core.clock, CAUSE, alice, True, "alice@example.org")
    expired = (TransferRecordsExpired(completed_before=core.clock.now().replace(year=2001)),)
    transact(core.log, UPKEEP_STREAM, lambda history: () if history else expired, cause=CAUSE, now=core.clock.now())

    def made(route: str, body: dict[str, Any]) -> str:
        answer = user.post(f"/api/v1/{route}", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    return {
        "frame": name,
        "transfer": transfer(user, "completed", observation=number)["id"],
        "observation": str(number),
        "storage_config": config,
        "standing_delivery": made(
            "standing-deliveries", {"name": "Ours", "query": "site_id=nowhere", "destinations": [config]}
        ),
        "organization": made("organizations", {"name": secrets.token_hex(4)}),
        "project": made("projects", {"name": secrets.token_hex(4)}),
        "webhook": made("webhooks", {"url": "https://hooks.example.org/x"}),
        "account": "alice",
        "mail_notices": "alice",
        "upkeep": "transfers",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_everybody_may_ask_about_what_is_theirs_and_nobody_learns_what_there_is_otherwise(
    site: Site, owned: dict[str, str], kind: str
) -> None:
    route, absent = f"{AUDIT}/{kind.replace('_', '-')}/{owned[kind]}", f"{AUDIT}/{kind.replace('_', '-')}/no-such-one"
    stranger = site.client(site.new_user(f"stranger-{secrets.token_hex(4)}"))
    for client, sees in ((site.admin, True), (site.user, kind in OWNED), (stranger, False)):
        answer = client.get(route)
        if sees:
            assert answer.status_code == 200, answer.text
            told = answer.json()
            assert told["results"][0]["stream"] == f"{kind}:{owned[kind]}"
            assert (told["kind"], told["id"]) == (kind, owned[kind])
        else:
            hidden, nothing = is_problem(answer, 404), is_problem(client.get(absent), 404)
            assert hidden["detail"].replace(owned[kind], "no-such-one") == nothing["detail"]
    is_problem(site.anonymous.get(route), 401)
    is_problem(stranger.get(f"{AUDIT}/planet/x"), 400)


def test_a_deleted_webhooks_history_stays_its_owners(site: Site) -> None:
    hook = site.user.post("/api/v1/webhooks", json={"url": "https://hooks.example.org/y"}).json()["id"]
    site.user.delete(f"/api/v1/webhooks/{hook}")
    told = site.user.get(f"{AUDIT}/webhook/{hook}").json()["results"]
    assert [entry["event"] for entry in told] == ["webhook.created", "webhook.deleted"]


def test_tokens_are_only_hinted_at(site: Site) -> None:
    issued = [entry for entry in site.user.get(f"{AUDIT}/account/alice").json()["results"]
              if entry["event"] == "account.token_issued"]  # fmt: skip
    assert issued
    assert {len(entry["data"]["hash"]) for entry in issued} == {8}


def found(client: httpx.Client, **filters: Any) -> list[dict[str, Any]]:
    """All pages of the search, three rows at a time."""
    entries: list[dict[str, Any]] = []
    cursor = ""
    while True:
        query = {**filters, "limit": 3, **({"cursor": cursor} if cursor else {})}
        answer = client.get(AUDIT, params=query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        entries += page["results"]
        cursor = page["next_cursor"]
        if not cursor:
            return entries


def test_superusers_search_by_who_when_what_and_which_request(site: Site, owned: dict[str, str]) -> None:
    site.settle()
    log = site.admin.get("/api/v1/events", params={"limit": 1000}).json()["results"][::-1]
    assert found(site.admin) == log
    requested = next(entry for entry in log if entry["event"] == "transfer.requested")
    middle = log[len(log) // 2]["at"]
    for filters in (
        {"actor": "alice"},
        {"via": "policy"},
        {"kind": "transfer.requested"},
        {"kind": ["storage_config", "transfer.completed"]},
        {"stream": requested["stream"]},
        {"correlation": requested["correlation"]},
        {"since": middle},
        {"until": middle},
        {"since": middle, "until": middle, "kind": log[len(log) // 2]["event"]},
        {"actor": "alice", "via": "api", "kind": "observation", "since": "2001-01-01"},
        {"actor": "nobody-at-all"},
        {"actor": "alice", "via": "listen"},
        {"kind": "standing_delivery.ended"},
        {"since": "0001-01-01T00:00:00Z", "until": "9999-12-31T23:59:59Z"},
    ):
        wanted = [entry for entry in log if admits(filters, entry)]
        assert found(site.admin, **filters) == wanted, filters
        forward = site.admin.get("/api/v1/events", params={**filters, "limit": 1000}).json()
        assert forward["results"] == wanted[::-1], filters
        assert forward["next"] == forward["head"] == log[0]["position"]
    is_problem(site.user.get(AUDIT), 403)
    is_problem(site.user.get(AUDIT, params={"actor": "alice"}), 403)
    is_problem(site.anonymous.get(AUDIT), 401)


def admits(filters: dict[str, Any], entry: dict[str, Any]) -> bool:
    """The filters' meaning, told anew."""
    kinds = filters.get("kind", entry["event"])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return (
        any(entry["event"] == kind or entry["event"].startswith(f"{kind}.") for kind in kinds)
        and all(entry[name] == filters[name] for name in ("actor", "via", "stream", "correlation") if name in filters)
        and filters.get("since", "") <= entry["at"] <= filters.get("until", "9")
    )


@pytest.mark.parametrize(
    "query",
    ["kind=planet", "via=carrier-pigeon", "since=yesterday", "until=2026-13-01", "since=2026-02-02&until=2026-02-01",
     "limit=0", "cursor=nonsense", "actr=alice", "since=9999-12-31T23:59:59-12:00"],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_in_a_sentence(site: Site, query: str) -> None:
    assert is_problem(site.admin.get(f"{AUDIT}?{query}"), 400)["detail"].endswith(".")
    if not query.startswith("cursor"):
        is_problem(site.admin.get(f"/api/v1/events?{query}"), 400)
