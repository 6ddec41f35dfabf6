"""Mail is handed to a server as it must be, by TLS wherever that can be had (row S58)."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.mail.smtp import SmtpMailer, SmtpServer, parse_smtp
from domain.errors import GiveUp, InvalidInput, RetryLater
from domain.mail_notices import check_address
from tests.ports import free_port
from tests.smtp_server import MailServer, running_mail_server
from tests.tls import tls

SENDER = "starferry@observatory.example"


def mailer(mail: MailServer, **server: object) -> SmtpMailer:
    return SmtpMailer(SmtpServer("127.0.0.1", mail.port, **server), SENDER)  # type: ignore[arg-type]


def send(sender: SmtpMailer, to: str = "ada@example.org") -> None:
    sender.send(to, "5 files didn't get to Übersicht", "Why:\n  5 × It is full.\n.\n", "0123")


def test_s58_a_mail_arrives_whole() -> None:
    with running_mail_server() as mail:
        send(mailer(mail))
    (got,) = mail.got
    assert mail.recipients == ["ada@example.org"]
    assert (got["From"], got["To"], got["Subject"]) == (SENDER, "ada@example.org", "5 files didn't get to Übersicht")
    assert (got["Message-ID"], got["Auto-Submitted"]) == ("<0123@observatory.example>", "auto-generated")
    assert got["Date"]
    assert got.get_content() == "Why:\n  5 × It is full.\n.\n"


@pytest.mark.parametrize("implicit", [True, False])
def test_s58_mail_and_password_go_by_tls_where_the_server_has_it(tmp_path: Path, implicit: bool) -> None:
    server, client = tls(tmp_path, "127.0.0.1")
    with running_mail_server(server, implicit=implicit) as mail:
        where = SmtpServer("127.0.0.1", mail.port, implicit, "ferry", "right")
        send(SmtpMailer(where, SENDER, context=client))
        assert mail.encrypted == [True]
        assert mail.logins == [("ferry", "right", True)]
        with pytest.raises(RetryLater):  # whose certificate nobody vouches for
            send(SmtpMailer(where, SENDER))
    assert len(mail.got) == len(mail.logins) == 1


def test_s58_a_password_goes_to_no_other_machine_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SmtpServer("localhost", 25).near
    assert not SmtpServer("mail.example.org", 25).near
    with running_mail_server() as mail:
        monkeypatch.setattr(SmtpServer, "near", False)
        with pytest.raises(RetryLater):
            send(mailer(mail, user="ferry", password="right"))
        assert mail.logins == mail.got == []


def test_s58_a_refused_address_is_given_up_and_all_else_is_tried_again(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with running_mail_server() as mail:
        mail.refused = {"gone@example.org": "550 no such user", "busy@example.org": "450 greylisted"}
        with pytest.raises(GiveUp):
            send(mailer(mail), "gone@example.org")
        with pytest.raises(RetryLater):
            send(mailer(mail), "busy@example.org")
        mail.answers = ["451 come again"]
        with pytest.raises(RetryLater):
            send(mailer(mail))
        with pytest.raises(RetryLater) as wrong:
            send(mailer(mail, user="ferry", password="hunter2"))
    assert mail.logins
    assert mail.got == []
    with pytest.raises(RetryLater):
        send(SmtpMailer(SmtpServer("127.0.0.1", free_port()), SENDER))
    logged = "".join(capfd.readouterr())
    assert "can't be used" in logged
    assert "hunter2" not in str(wrong.value) + logged
    assert wrong.value.__cause__ is None


def test_the_setting_names_a_server_or_none() -> None:
    assert parse_smtp("") is None
    assert parse_smtp("smtp://mail.example.org") == SmtpServer("mail.example.org", 25)
    assert parse_smtp("smtps://a%40b:p%2Fw@mail.example.org") == SmtpServer("mail.example.org", 465, True, "a@b", "p/w")
    for wrong in (
        "mail.example.org",
        "http://mail.example.org",
        "smtp://",
        "smtp://h/path",
        "smtp://h:x",
        "smtp://h?a",
    ):
        with pytest.raises(ValueError):
            parse_smtp(wrong)


@pytest.mark.parametrize(
    "address",
    ["", "ada", "@example.org", "ada@", "ada@example.org\r\nBcc: eve@example.org", "Ada <ada@example.org>",
     "ada@example.org, eve@example.org", "ada@exämple.org", "a" * 65 + "@example.org", "a@" + "b" * 253, "a@-b"],
)  # fmt: skip
def test_s58_an_address_is_one_plain_address(address: str) -> None:
    with pytest.raises(InvalidInput):
        check_address(address)
    check_address("ada.lovelace+frames@mail.example.org")
