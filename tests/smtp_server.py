"""A mail server on loopback that keeps what it gets: as much of RFC 5321 as smtplib speaks, with STARTTLS and AUTH."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast


class MailServer:
    """`answers` are what it says to the data of the next messages, `250 OK` when there are none; `refused` are
    recipients with what it says of them."""

    def __init__(self) -> None:
        self.got: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.answers: list[str] = []
        self.refused: dict[str, str] = {}
        self.logins: list[tuple[str, str, bool]] = []
        self.encrypted: list[bool] = []
        self.port = 0


class _Session(socketserver.StreamRequestHandler):
    mail: MailServer
    context: ssl.SSLContext | None
    implicit: bool

    def handle(self) -> None:
        with suppress(OSError):
            if self.implicit:
                self._encrypt()
            self._say("220 loopback ESMTP")
            self._talk()

    def _talk(self) -> None:
        while line := self.rfile.readline().decode().strip():
            verb = line.split(" ")[0].upper()
            match verb:
                case "EHLO":
                    offers = ["STARTTLS"] if self.context and not self._encrypted else []
                    for offer in ["loopback", *offers]:
                        self._say(f"250-{offer}")
                    self._say("250 AUTH PLAIN")
                case "STARTTLS":
                    self._say("220 go ahead")
                    self._encrypt()
                case "AUTH":
                    _, user, password = base64.b64decode(line.split(" ")[2]).decode().split("\0")
                    self.mail.logins.append((user, password, self._encrypted))
                    self._say("235 OK" if password == "right" else f"535 {password} is wrong")
                case "RCPT":
                    to = line.partition("<")[2].partition(">")[0]
                    said = self.mail.refused.get(to, "250 OK")
                    if said.startswith("250"):
                        self.mail.recipients.append(to)
                    self._say(said)
                case "DATA":
                    self._say("354 go ahead")
                    self._data()
                case "QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("250 OK")

    def _data(self) -> None:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append((line.removeprefix(b".") if line.startswith(b"..") else line).replace(b"\r\n", b"\n"))
        said = self.mail.answers.pop(0) if self.mail.answers else "250 OK"
        if said.startswith("250"):
            self.mail.got.append(cast(EmailMessage, message_from_bytes(b"".join(lines), policy=policy.default)))
            self.mail.encrypted.append(self._encrypted)
        self._say(said)

    @property
    def _encrypted(self) -> bool:
        return isinstance(self.request, ssl.SSLSocket)

    def _encrypt(self) -> None:
        assert self.context is not None
        self.request = self.context.wrap_socket(self.request, server_side=True)
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", 0)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def running_mail_server(context: ssl.SSLContext | None = None, *, implicit: bool = False) -> Iterator[MailServer]:
    mail = MailServer()
    session = type("Session", (_Session,), {"mail": mail, "context": context, "implicit": implicit})
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), session)
    server.daemon_threads = True
    mail.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield mail
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
