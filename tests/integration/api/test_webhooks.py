"""Webhooks over HTTP, from the event to a receiver on loopback (row S58)."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from adapters.webhooks.book import LEASE, PostgresDeliveries
from application.commands.accounts import change_account
from application.ports.webhooks import Delivery
from application.webhook_post import WebhookPost
from projections.rebuild import rebuild
from projections.webhooks import WebhooksProjection
from tests.fakes.clock import StillClock
from tests.integration.api.deliveries import create, folder_body, observe, transfer
from tests.integration.api.test_own_ingest import is_problem
from tests.postgres import fresh_database
from tests.receivers import Received, Receiver, running_receiver
from tests.records import fits_bytes, new_name
from tests.site import CAUSE, Site, eventually, running_site

HOOKS = "/api/v1/webhooks"


@pytest.fixture(scope="module")
def site(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    destinations = folder / "destinations"
    destinations.mkdir()
    environment = {
        "STARFERRY_FOLDER_ROOTS": str(destinations),
        "STARFERRY_RETRY_SCHEDULE": "0.1",
        "STARFERRY_WEBHOOK_ALLOW": "127.0.0.1",
        "STARFERRY_WEBHOOK_SCHEDULE": "0.1,0.1",
    }
    with (
        fresh_database(cluster, template=template) as conninfo,
        running_site(folder, conninfo, environment, prepared=True) as running,
    ):
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture
def person(site: Site) -> httpx.Client:
    """Somebody without webhooks."""
    return site.client(site.new_user(f"person-{secrets.token_hex(4)}"))


def hook(client: httpx.Client, receiver: Receiver, **form: Any) -> dict[str, Any]:
    answer = client.post(HOOKS, json={"url": receiver.url, **form})
    assert answer.status_code == 201, answer.text
    card: dict[str, Any] = answer.json()
    return card


def deliver(site: Site, client: httpx.Client) -> dict[str, Any]:
    """A file that arrives in a folder; returns the transfer."""
    number = observe(client, create(client, folder_body(site))["id"])
    site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")
    return transfer(client, "completed", observation=number)


def deliveries(client: httpx.Client, card: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.get(f"{HOOKS}/{card['id']}/deliveries")
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["results"]
    return rows


def ended(client: httpx.Client, card: dict[str, Any], count: int = 3) -> list[dict[str, Any]]:
    """The deliveries, oldest first, once so many have been made or given up."""

    def look() -> list[dict[str, Any]]:
        rows = deliveries(client, card)
        return rows[::-1] if sum(row["status"] != "waiting" for row in rows) == count else []

    return eventually(look, "the deliveries didn't end")


def is_signed(got: Received, secret: str) -> bool:
    """As docs/using-the-api.md tells receivers to look at it."""
    signed = got.headers["Starferry-Timestamp"].encode() + b"." + got.body
    expected = "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, got.headers["Starferry-Signature"])


def test_s58_a_webhook_is_told_signed_and_says_what_became_of_it(
    site: Site, person: httpx.Client, receiver: Receiver
) -> None:
    card = hook(person, receiver, name="Pipeline")
    row = deliver(site, person)
    made = ended(person, card)
    assert sorted(receiver.ids()) == sorted(one["id"] for one in made)
    assert [one["event"] for one in made] == ["transfer.requested", "transfer.started", "transfer.completed"]
    assert {(one["status"], one["attempts"], one["http_status"], one["reason"]) for one in made} == {
        ("delivered", 1, 204, None)
    }
    by_event = {got.json["news"]["event"]: got for got in receiver.got}
    news = by_event["transfer.completed"].json["news"]
    assert (news["transfer"], news["status"], news["destination_path"]) == (
        row["id"], "completed", row["destination_path"],
    )  # fmt: skip
    assert all(is_signed(got, card["secret"]) for got in receiver.got)
    assert not is_signed(receiver.got[0], "another")
    sent = datetime.fromtimestamp(int(receiver.got[0].headers["Starferry-Timestamp"]), UTC)
    assert abs(datetime.now(UTC) - sent) < timedelta(minutes=1)
    assert person.get(f"{HOOKS}/{card['id']}").json()["deliveries"] == {"delivered": 3}


def test_s58_what_isnt_taken_in_is_sent_again_with_the_same_id_and_body(
    site: Site, person: httpx.Client, receiver: Receiver
) -> None:
    receiver.answers = [500, 302]
    receiver.location = receiver.url
    card = hook(person, receiver, interests=["failure"])
    fail(site, person)
    (made,) = ended(person, card, 1)
    assert (made["status"], made["attempts"]) == ("delivered", 3)
    assert receiver.ids() == [made["id"]] * 3
    assert len({got.body for got in receiver.got}) == 1
    assert receiver.got[0].json["news"]["error"]
    assert is_signed(receiver.got[2], card["secret"])


def fail(site: Site, client: httpx.Client) -> None:
    """A transfer that fails for good."""
    body = folder_body(site)
    number = observe(client, create(client, body)["id"])
    Path(body["credentials"]["root"]).rmdir()
    site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")
    transfer(client, "failed", observation=number)


def test_s58_a_delivery_is_given_up_where_its_owner_sees_it(
    site: Site, person: httpx.Client, receiver: Receiver
) -> None:
    receiver.answers = [503, 301, 404]
    card = hook(person, receiver, interests=["failure"])
    fail(site, person)
    (made,) = ended(person, card, 1)
    assert (made["status"], made["attempts"], made["http_status"]) == ("failed", 3, 404)
    assert made["reason"] == "The receiver answered with status 404."
    assert made["next_attempt_at"] is None
    assert len(receiver.got) == 3
    assert person.get(HOOKS).json()["results"][0]["deliveries"] == {"failed": 1}


def test_s58_a_receiver_that_is_gone_is_asked_once(site: Site, person: httpx.Client, receiver: Receiver) -> None:
    receiver.answers = [410]
    card = hook(person, receiver, interests=["failure"])
    fail(site, person)
    (made,) = ended(person, card, 1)
    assert (made["status"], made["attempts"]) == ("failed", 1)


def test_s58_others_hear_nothing_and_one_destinations_webhook_of_it_alone(
    site: Site, person: httpx.Client, receiver: Receiver
) -> None:
    stranger = site.client(site.new_user(f"stranger-{secrets.token_hex(4)}"))
    theirs = hook(stranger, receiver)
    config = create(person, folder_body(site))
    narrow = hook(person, receiver, storage_config=config["id"])
    wide = hook(person, receiver)
    deliver(site, person)
    number = observe(person, config["id"])
    site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")
    assert len(ended(person, wide, 6)) == 6
    assert {got.json["news"]["storage_config"] for got in receiver.got if got.json["webhook"] == narrow["id"]} == {
        config["id"]
    }
    assert len(ended(person, narrow, 3)) == 3
    assert deliveries(stranger, theirs) == []


def test_s58_after_a_kill_in_the_middle_it_is_sent_again(site: Site, person: httpx.Client, receiver: Receiver) -> None:
    card = hook(person, receiver, interests=["failure"])
    site.jobs.paused.set()
    try:
        book, clock = PostgresDeliveries(site.core.pool), StillClock(datetime.now(UTC) + timedelta(days=1))
        name = f"{card['id']}.7"
        body = msgspec.json.encode({"delivery": name})
        book.add([Delivery(id=name, webhook=card["id"], position=7, event="e", body=body)] * 2, clock.now())
        post = msgspec.structs.replace(site.core.webhook_post(), clock=clock, sender=Killed())
        with pytest.raises(KeyboardInterrupt):
            post.deliver(name)
        alive = msgspec.structs.replace(site.core.webhook_post(), clock=clock)
        assert name not in book.due(clock.now())
        alive.deliver(name)
        assert receiver.got == [], "the attempt that was killed may still be under way"
        clock.forward(seconds=LEASE.total_seconds())
        assert name in book.due(clock.now())
        alive.deliver(name)
        alive.deliver(name)
        assert receiver.ids() == [name]
        assert deliveries(person, card)[0]["attempts"] == 2
        clock.forward(days=31)
        alive.sweep()
        assert deliveries(person, card) == []
    finally:
        site.jobs.paused.clear()


class Killed:
    """A sender whose process is killed."""

    def check(self, url: str) -> str:
        return ""

    def send(self, *_: object) -> int:
        raise KeyboardInterrupt


def test_s58_a_sweep_finds_what_has_no_job(site: Site, person: httpx.Client, receiver: Receiver) -> None:
    card = hook(person, receiver, interests=["failure"])
    book = PostgresDeliveries(site.core.pool)
    name = f"{card['id']}.8"
    delivery = Delivery(id=name, webhook=card["id"], position=8, event="e", body=b"{}")
    book.add([delivery], datetime.now(UTC))
    post: WebhookPost = msgspec.structs.replace(site.core.webhook_post(), jobs=site.jobs)
    assert post.sweep() >= 1
    assert [one["id"] for one in ended(person, card, 1)] == [name]


def test_s58_a_rebuild_of_read_models_tells_nobody_anything(
    site: Site, person: httpx.Client, receiver: Receiver
) -> None:
    card = hook(person, receiver)
    deliver(site, person)
    before = ended(person, card)
    got = len(receiver.got)
    assert rebuild(site.core.conninfo, site.core.log, WebhooksProjection(), lambda *_: None).identical
    site.settle()
    assert ended(person, card) == before
    assert len(receiver.got) == got


def test_s58_a_test_is_sent_at_once_and_tells_what_came_of_it(
    site: Site, person: httpx.Client, receiver: Receiver
) -> None:
    card = hook(person, receiver)
    assert person.post(f"{HOOKS}/{card['id']}/test").json() == {"ok": True, "status": 204, "reason": ""}
    assert receiver.got[0].json == {"delivery": f"{card['id']}.test", "webhook": card["id"], "news": None}
    assert is_signed(receiver.got[0], card["secret"])
    receiver.answers = [302]
    answer = person.post(f"{HOOKS}/{card['id']}/test").json()
    assert answer == {
        "ok": False, "status": 302, "reason": "The receiver answered with status 302. Redirects aren't followed.",
    }  # fmt: skip
    assert deliveries(person, card) == []


def test_s58_a_deleted_webhook_hears_nothing_more(site: Site, person: httpx.Client, receiver: Receiver) -> None:
    card = hook(person, receiver)
    assert person.delete(f"{HOOKS}/{card['id']}").status_code == 204
    assert site.core.vault.get(card["id"]) == {}
    deliver(site, person)
    site.settle()
    assert receiver.got == []
    is_problem(person.get(f"{HOOKS}/{card['id']}"), 404)
    is_problem(person.delete(f"{HOOKS}/{card['id']}"), 404)
    assert person.get(HOOKS).json()["results"] == []


def test_s58_whoever_may_no_longer_come_in_is_told_nothing(site: Site, receiver: Receiver) -> None:
    name = f"leaver-{secrets.token_hex(4)}"
    leaver = site.client(site.new_user(name, superuser=True))
    hook(leaver, receiver)
    change_account(site.core.log, site.core.clock, CAUSE, name, active=False)
    watcher = hook(site.admin, receiver)
    deliver(site, site.user)
    ended(site.admin, watcher)
    assert {got.json["webhook"] for got in receiver.got} == {watcher["id"]}
    site.admin.delete(f"{HOOKS}/{watcher['id']}")


@pytest.mark.parametrize("role", ["anonymous", "stranger", "owner", "superuser"])
def test_s58_a_webhook_is_its_owners_and_superusers(
    site: Site, person: httpx.Client, receiver: Receiver, role: str
) -> None:
    card = hook(person, receiver)
    stranger = site.client(site.new_user(f"stranger-{secrets.token_hex(4)}"))
    clients = {"anonymous": site.anonymous, "stranger": stranger, "owner": person, "superuser": site.admin}
    client, route = clients[role], f"{HOOKS}/{card['id']}"
    before = site.events()
    refused = {"anonymous": 401, "stranger": 404}.get(role)
    assert client.get(route).status_code == (refused or 200)
    assert client.get(f"{route}/deliveries").status_code == (refused or 200)
    assert client.post(f"{route}/test").status_code == (refused or 200)
    listed = client.get(f"{HOOKS}?limit=1000")
    assert listed.status_code == (401 if role == "anonymous" else 200)
    if role != "anonymous":
        assert (card["id"] in [row["id"] for row in listed.json()["results"]]) is (refused is None)
    assert client.delete(route).status_code == (refused or 204)
    assert (site.events() == before) is (refused is not None)
    assert site.anonymous.post(HOOKS, json={"url": receiver.url}).status_code == 401


def test_s58_neither_the_key_nor_the_address_is_ever_told_again(
    site: Site, person: httpx.Client, receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    receiver.answers = [500] * 3
    card = hook(person, receiver, interests=["failure"])
    fail(site, person)
    ended(person, card, 1)
    person.post(f"{HOOKS}/{card['id']}/test")
    shown = [person.get(HOOKS).text, person.get(f"{HOOKS}/{card['id']}").text]
    shown.append(person.get(f"{HOOKS}/{card['id']}/deliveries").text)
    events = list(site.core.log.load(f"webhook:{card['id']}"))
    shown.append(json.dumps(msgspec.to_builtins(events), default=str))
    assert card["host"] == "127.0.0.1"
    with site.core.pool.connection() as connection:
        shown += [str(row) for row in connection.execute("SELECT * FROM vault.secret").fetchall()]
        shown += [str(row) for row in connection.execute("SELECT * FROM starferry.webhook_delivery").fetchall()]
    logged = "".join(capfd.readouterr())
    assert "given up" in logged
    for text in (*shown, logged):
        assert card["secret"] not in text
        assert "in-the-address" not in text


def test_s58_what_cant_be_a_webhook_is_refused(site: Site, person: httpx.Client, receiver: Receiver) -> None:
    before = site.events()
    for form in (
        {"url": "http://example.org/"},
        {"url": "https://169.254.169.254/"},
        {"url": "https://10.0.0.1/"},
        {"url": receiver.url, "interests": []},
        {"url": receiver.url, "interests": ["everything"]},
        {"url": receiver.url, "name": " "},
        {"url": receiver.url, "name": "x" * 201},
        {"url": receiver.url, "more": 1},
        {},
    ):
        is_problem(person.post(HOOKS, json=form), 400)
    strange = create(site.user, folder_body(site))["id"]
    before = site.events() if strange else before
    is_problem(person.post(HOOKS, json={"url": receiver.url, "storage_config": strange}), 404)
    assert site.events() == before
    for _ in range(20):
        hook(person, receiver)
    assert "20 webhooks already" in is_problem(person.post(HOOKS, json={"url": receiver.url}), 400)["detail"]
