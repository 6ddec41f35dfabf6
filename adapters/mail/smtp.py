"""Hands mail to an SMTP server (RFC 5321), by TLS wherever that can be had."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

import msgspec
import structlog

from domain.errors import GiveUp, RetryLater

logger = structlog.get_logger()

TIMEOUT_SECONDS = 15.0


class SmtpServer(msgspec.Struct, frozen=True):
    """`implicit` is TLS from the first byte; otherwise it begins by STARTTLS, where the server offers that."""

    host: str
    port: int
    implicit: bool = False
    user: str = ""
    password: str = ""

    @property
    def near(self) -> bool:
        """Whether it is on this machine, where nobody listens in."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_smtp(value: str) -> SmtpServer | None:
    """`smtp://user:password@host:587` or `smtps://…:465`; None for an empty text. Raises ValueError."""
    if not value:
        return None
    parts = urlsplit(value)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError
    implicit = parts.scheme == "smtps"
    return SmtpServer(
        host=parts.hostname,
        port=parts.port or (465 if implicit else 25),
        implicit=implicit,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


class SmtpMailer:
    """Implements Mailer. Safe to share between threads: each mail has a connection of its own."""

    def __init__(self, server: SmtpServer, sender: str, *, context: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._sender = sender
        self._context = context

    def send(self, to: str, subject: str, text: str, message_id: str) -> None:
        """See Mailer.send."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._sender, to, subject
        message["Date"], message["Message-ID"] = formatdate(), f"<{message_id}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"  # nobody is to answer by a machine (RFC 3834)
        message.set_content(text)
        try:
            self._deliver(message, to)
        except smtplib.SMTPRecipientsRefused as error:
            code = next((code for code, _ in error.recipients.values()), 0)
            if code >= 500:
                raise GiveUp("The mail server refuses this address.") from None
            raise RetryLater("The mail server doesn't take mail for this address at the moment.") from None
        except (OSError, smtplib.SMTPException) as error:
            # without its text, which may hold what the server said about the password
            logger.warning("the mail server can't be used", host=self._server.host, error=type(error).__name__)
            raise RetryLater("The mail server can't be used at the moment.") from None

    @property
    def _domain(self) -> str:
        return self._sender.rpartition("@")[2]

    def _deliver(self, message: EmailMessage, to: str) -> None:
        with self._connected() as smtp:
            if not self._server.implicit:
                smtp.ehlo()
                if smtp.has_extn("starttls"):
                    smtp.starttls(context=self._tls())
                elif self._server.user and not self._server.near:
                    raise smtplib.SMTPException("It takes passwords in the clear only.")
            if self._server.user:
                smtp.login(self._server.user, self._server.password)
            smtp.send_message(message, self._sender, [to])

    def _connected(self) -> smtplib.SMTP:
        server = self._server
        if server.implicit:
            return smtplib.SMTP_SSL(
                server.host, server.port, self._domain, timeout=TIMEOUT_SECONDS, context=self._tls()
            )
        return smtplib.SMTP(server.host, server.port, self._domain, timeout=TIMEOUT_SECONDS)

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context()
        return self._context
