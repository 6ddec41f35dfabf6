"""Mail about what failed: chosen over HTTP, gathered, and sent to a server on loopback (row S58)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import httpx
import msgspec
import pytest

from adapters.mail.book import LEASE, PostgresDigests
from application.commands.accounts import change_account
from application.mail_post import MailPost
from application.ports.mail import Complaint
from application.transact import transact
from domain import storage_configs
from domain.event import Event, Recorded
from domain.mail_notices import vault_owner
from domain.storage_configs import StorageConfigEdited
from tests.fakes.clock import StillClock
from tests.integration.api.deliveries import create, folder_body, observe, transfers
from tests.integration.api.test_own_ingest import is_problem
from tests.postgres import fresh_database
from tests.records import fits_bytes, new_name
from tests.site import CAUSE, Site, eventually, running_site
from tests.smtp_server import MailServer, running_mail_server

ROUTE = "/api/v1/mail-notices"
GATHER, PAUSE = timedelta(seconds=60), timedelta(hours=1)


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServer]:
    with running_mail_server() as running:
        yield running


@pytest.fixture(scope="module")
def site(cluster: str, template: str, mail: MailServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    destinations = folder / "destinations"
    destinations.mkdir()
    environment = {
        "STARFERRY_FOLDER_ROOTS": str(destinations),
        "STARFERRY_RETRY_SCHEDULE": "",
        "STARFERRY_SMTP_URL": f"smtp://ferry:right@127.0.0.1:{mail.port}",
        "STARFERRY_MAIL_FROM": "starferry@observatory.example",
        "STARFERRY_MAIL_GATHER_SECONDS": "0.3",
        "STARFERRY_PUBLIC_URL": "https://archive.example.org",
    }
    with (
        fresh_database(cluster, template=template) as conninfo,
        running_site(folder, conninfo, environment, prepared=True) as running,
    ):
        yield running


@pytest.fixture
def name(site: Site) -> str:
    """Somebody who has chosen nothing."""
    return f"person-{secrets.token_hex(4)}"


@pytest.fixture
def person(site: Site, name: str) -> httpx.Client:
    return site.client(site.new_user(name))


def wants_mail(client: httpx.Client, name: str) -> str:
    answer = client.put(ROUTE, json={"enabled": True, "address": f"{name}@example.org"})
    assert answer.status_code == 200, answer.text
    return f"{name}@example.org"


def fail(site: Site, client: httpx.Client, files: int) -> str:
    """So many files on their way to a folder that isn't there any more; returns the configuration's id."""
    body = folder_body(site)
    config = create(client, body)["id"]
    _called_as_one_could_once(site, config)
    Path(body["credentials"]["root"]).rmdir()
    fail_more(site, client, config, files)
    return str(config)


def _called_as_one_could_once(site: Site, config: str) -> None:
    """A name that is refused now, but may stand in a log."""
    core = site.core

    def decide(history: Sequence[Recorded]) -> tuple[Event, ...]:
        state = storage_configs.fold(history)
        odd = msgspec.structs.replace(state.settings, display_name="Copies\r\nBcc: eve@example.org")
        return (StorageConfigEdited(settings=odd, options=state.options),)

    transact(core.log, storage_configs.stream_of(config), decide, cause=CAUSE, now=core.clock.now())


def fail_more(site: Site, client: httpx.Client, config: str, files: int) -> None:
    number = observe(client, config)
    for _ in range(files):
        site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")

    def failed() -> bool:
        return len(transfers(client, observation=number, status="failed")) == files

    eventually(failed, "the transfers didn't fail")


def to(mail: MailServer, address: str) -> list[EmailMessage]:
    return [one for one in mail.got if one["To"] == address]


def test_s58_a_broken_destination_is_one_mail_with_the_count_and_the_reasons(
    site: Site, mail: MailServer, person: httpx.Client, name: str
) -> None:
    address = wants_mail(person, name)
    config = fail(site, person, 7)
    eventually(lambda: to(mail, address), "no mail came")
    (got,) = to(mail, address)
    rows = transfers(person, storage_config=config)
    text = got.get_content()
    assert re.fullmatch(r"Starferry: (1 file|\d files) didn't get to Copies Bcc: eve@example.org", got["Subject"])
    assert got["Bcc"] is None
    told = int(got["Subject"].split()[1])
    assert f"  {told} × {rows[0]['error']}" in text
    assert sum(row["frame"] in text for row in rows) == min(5, told)
    assert f"https://archive.example.org/api/v1/transfers?storage_config={config}" in text
    eventually(lambda: person.get(ROUTE).json()["last_sent_at"], "the mail isn't noted as sent")
    eventually(lambda: _gathered(site, name) == 7 - told, "what the first mail didn't tell doesn't wait for the next")
    state = person.get(ROUTE).json()
    assert (state["enabled"], state["address"], state["available"], state["failure"]) == (True, address, True, None)


def _gathered(site: Site, name: str) -> int:
    with site.core.pool.connection() as connection:
        row = connection.execute("SELECT count(*) FROM starferry.mail_complaint WHERE username = %s", (name,))
        return int((row.fetchone() or (0,))[0])


def test_s58_a_second_wave_waits_for_the_pause(site: Site, mail: MailServer, person: httpx.Client, name: str) -> None:
    address = wants_mail(person, name)
    config = fail(site, person, 1)
    eventually(lambda: to(mail, address), "no mail came")
    fail_more(site, person, config, 2)
    eventually(lambda: _gathered(site, name) == 2, "the failures weren't gathered")
    with site.core.pool.connection() as connection:
        row = connection.execute(
            "SELECT due_at - sent_at FROM starferry.mail_digest WHERE username = %s", (name,)
        ).fetchone()
    assert row == (PAUSE,)
    assert len(to(mail, address)) == 1
    other = fail(site, person, 1)
    eventually(lambda: len(to(mail, address)) == 2, "another destination's mail didn't come")
    assert other in to(mail, address)[1].get_content()


def test_s58_who_chose_nothing_or_may_not_see_it_gets_no_mail(
    site: Site, mail: MailServer, person: httpx.Client, name: str
) -> None:
    stranger, leaver = (f"{kind}-{secrets.token_hex(4)}" for kind in ("stranger", "leaver"))
    addresses = [wants_mail(site.client(site.new_user(one)), one) for one in (stranger, leaver)]
    addresses.append(wants_mail(site.admin, "admin"))
    first = f"first-{secrets.token_hex(4)}"
    watcher = site.client(site.new_user(first))
    silent = wants_mail(person, name)
    assert person.put(ROUTE, json={"enabled": False}).json()["address"] == silent
    change_account(site.core.log, site.core.clock, CAUSE, leaver, active=False)
    fail(site, person, 1)
    seen = wants_mail(watcher, first)
    fail(site, watcher, 1)
    eventually(lambda: to(mail, seen), "no mail came")
    assert not [one for address in (*addresses, silent) for one in to(mail, address)]
    assert _gathered(site, name) == 0
    site.admin.delete(ROUTE)


def test_s58_nothing_is_mailed_that_failed_before(
    site: Site, mail: MailServer, person: httpx.Client, name: str
) -> None:
    config = fail(site, person, 2)
    address = wants_mail(person, name)
    fail_more(site, person, config, 1)
    eventually(lambda: to(mail, address), "no mail came")
    assert to(mail, address)[0]["Subject"].startswith("Starferry: 1 file didn't")


def test_s58_the_address_is_forgotten_with_the_wish(site: Site, person: httpx.Client, name: str) -> None:
    address = wants_mail(person, name)
    assert person.delete(ROUTE).status_code == 204
    assert person.delete(ROUTE).status_code == 204
    assert person.get(ROUTE).json()["address"] is None
    assert not person.get(ROUTE).json()["enabled"]
    assert site.core.vault.get(vault_owner(name)) == {}
    is_problem(person.put(ROUTE, json={"enabled": True}), 400)
    events = site.admin.get("/api/v1/events?limit=1000").text
    assert "mail_notices.chosen" in events
    assert address not in events


def test_s58_a_choice_is_ones_own(site: Site, person: httpx.Client, name: str) -> None:
    wants_mail(person, name)
    for client in (site.user, site.admin):
        assert client.get(ROUTE).json()["address"] != f"{name}@example.org"
    for answer in (
        site.anonymous.get(ROUTE),
        site.anonymous.put(ROUTE, json={"enabled": True, "address": "a@b.example"}),
        site.anonymous.delete(ROUTE),
    ):
        is_problem(answer, 401)
    for body in ({"enabled": True, "address": "a@b\r\nBcc: c@d"}, {"enabled": 1}, {"address": "a@b.example"}):
        is_problem(person.put(ROUTE, json=body), 400)


class Scene:
    """A book and a post with a clock of their own, for somebody whose digest is due."""

    def __init__(self, site: Site, person: httpx.Client, name: str) -> None:
        self.config = create(person, folder_body(site))["id"]
        self.name, self.address = name, wants_mail(person, name)
        self.clock = StillClock(datetime.now(UTC) + timedelta(days=1))
        self.book = PostgresDigests(site.core.pool, gather=GATHER, pause=PAUSE)
        whole = site.core.mail_post()
        assert whole is not None
        self.post: MailPost = msgspec.structs.replace(whole, book=self.book, clock=self.clock, jobs=self)
        self.id = f"mail:{self.config}:{name}"
        self.nudged: list[tuple[str, datetime | None]] = []

    def nudge_notices(self, notices: list[tuple[str, datetime | None]]) -> None:
        self.nudged += notices

    def complain(self, *positions: int) -> list[tuple[str, datetime]]:
        now = self.clock.now()
        return list(
            self.book.add(
                [
                    Complaint(
                        username=self.name,
                        storage_config=self.config,
                        position=position,
                        transfer=f"v{position}",
                        frame=f"frame-{position}",
                        reason="It is full.",
                        at=now,
                    )
                    for position in positions
                ],
                now,
            )
        )


def test_s58_failures_gather_and_then_keep_a_distance(
    site: Site, mail: MailServer, person: httpx.Client, name: str
) -> None:
    scene = Scene(site, person, name)
    start = scene.clock.now()
    assert scene.complain(1, 2) == [(scene.id, start + GATHER)]
    scene.post.send(scene.id)
    assert to(mail, scene.address) == [], "it isn't due yet"
    scene.clock.forward(seconds=30)
    assert scene.complain(3, 4, 5, 6, 7) == [(scene.id, start + GATHER)], "a longer wave isn't a later mail"
    assert scene.complain(3) == [], "what is gathered is gathered once"
    scene.clock.forward(seconds=30)
    assert scene.id in scene.book.due(scene.clock.now())
    scene.post.send(scene.id)
    scene.post.send(scene.id)
    (first,) = to(mail, scene.address)
    assert "  7 × It is full.\n" in first.get_content()
    assert "  frame-5\n  and 2 more\n" in first.get_content()
    assert scene.complain(2, 7) == [], "what was told isn't told again"
    assert scene.complain(8) == [(scene.id, scene.clock.now() + PAUSE)]
    scene.clock.forward(seconds=PAUSE.total_seconds())
    scene.post.send(scene.id)
    assert to(mail, scene.address)[1]["Subject"].startswith("Starferry: 1 file didn't")


def test_s58_a_mail_server_that_is_away_gets_it_later_and_a_refusal_is_shown(
    site: Site, mail: MailServer, person: httpx.Client, name: str
) -> None:
    scene = Scene(site, person, name)
    scene.complain(1)
    scene.clock.forward(seconds=60)
    mail.answers = ["451 come again"] * 2
    scene.post.send(scene.id)
    assert scene.nudged == [(scene.id, scene.clock.now() + timedelta(minutes=1))]
    assert person.get(ROUTE).json()["failure"] == "The mail server can't be used at the moment."
    scene.clock.forward(seconds=60)
    scene.post.send(scene.id)
    assert scene.nudged[1:] == [(scene.id, scene.clock.now() + timedelta(minutes=2))]
    scene.clock.forward(seconds=120)
    scene.post.send(scene.id)
    assert len(to(mail, scene.address)) == 1
    assert person.get(ROUTE).json()["failure"] is None
    mail.refused = {scene.address: "550 no such user"}
    scene.complain(2)
    scene.clock.forward(hours=1)
    scene.post.send(scene.id)
    assert person.get(ROUTE).json()["failure"] == "The mail server refuses this address."
    assert _gathered(site, name) == 0
    assert scene.id not in scene.book.due(scene.clock.now() + timedelta(days=9))


def test_s58_after_a_kill_in_the_middle_the_mail_is_sent_again(
    site: Site, mail: MailServer, person: httpx.Client, name: str
) -> None:
    scene = Scene(site, person, name)
    scene.complain(1)
    scene.clock.forward(seconds=60)
    with pytest.raises(KeyboardInterrupt):
        msgspec.structs.replace(scene.post, mailer=Killed()).send(scene.id)
    assert scene.id not in scene.book.due(scene.clock.now())
    scene.clock.forward(seconds=LEASE.total_seconds())
    scene.post.sweep()
    assert (scene.id, None) in scene.nudged
    scene.post.send(scene.id)
    assert len(to(mail, scene.address)) == 1


class Killed:
    """A Mailer whose process is killed."""

    def send(self, *_: object) -> None:
        raise KeyboardInterrupt
