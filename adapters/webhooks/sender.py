"""One POST to an address that a user chose: its name is looked up once, and what was checked is what is connected to.

The standard library's client, because it follows no redirect, asks no proxy and no .netrc, and lets us connect.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

import structlog

from adapters.public_internet import Address
from adapters.webhooks.addresses import Allowed, may_reach
from domain.errors import GiveUp, InvalidInput, RetryLater

logger = structlog.get_logger()

CONNECT_SECONDS = 5.0
SILENT_SECONDS = 10.0
TOTAL_SECONDS = 15.0
"""Up to the answer's headers, however slowly these come."""
URL_LENGTH = 2000

Resolve = Callable[[str, int], Sequence[str]]


def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, by the system. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class HttpWebhookSender:
    """Implements WebhookSender. Safe to share between threads."""

    def __init__(
        self,
        allowed: Allowed,
        *,
        resolve: Resolve = resolve,
        context: ssl.SSLContext | None = None,
        seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._context = context
        self._seconds = seconds

    def check(self, url: str) -> str:
        """See WebhookSender.check."""
        parts = _parts(url)
        host = parts.hostname or ""
        if parts.scheme == "http" and not self._allowed.names(host):
            raise InvalidInput("The address of a webhook begins with https://.", field="url")
        with contextlib.suppress(ValueError):
            if not may_reach(ip_address(host), self._allowed):
                raise InvalidInput("Webhooks may not reach this address.", field="url")
        return host

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """See WebhookSender.send."""
        try:
            self.check(url)  # the operator may have changed his mind
            parts = _parts(url)
        except InvalidInput as error:
            raise GiveUp(str(error)) from None
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        address = self._address(host, port)
        connection = self._connection(parts.scheme, host, port, address)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            with _deadline(connection, self._seconds) as over:
                connection.connect()
                connection.request("POST", target, body=body, headers=dict(headers))
                status = connection.getresponse().status
            if over.is_set():  # headers that were cut off look like headers
                raise TimeoutError
            return status
        except ssl.SSLCertVerificationError:
            raise RetryLater("The receiver's certificate isn't valid.") from None
        except (OSError, http.client.HTTPException) as error:
            # without its text, which may quote the address
            logger.info("a webhook's receiver can't be reached", host=host, error=type(error).__name__)
            raise RetryLater("The receiver can't be reached, or didn't answer in time.") from None
        finally:
            connection.close()

    def _address(self, host: str, port: int) -> str:
        """The address to connect to. Raises RetryLater, GiveUp."""
        try:
            found = [ip_address(text.partition("%")[0]) for text in self._resolve(host, port)]
        except (OSError, UnicodeError, ValueError):
            raise RetryLater("The receiver's name has no address.") from None
        trusted = self._allowed.names(host)
        good: list[Address] = [one for one in found if trusted or may_reach(one, self._allowed)]
        if not good:
            raise GiveUp("Webhooks may not reach this address.")
        return str(good[0])

    def _connection(self, scheme: str, host: str, port: int, address: str) -> http.client.HTTPConnection:
        if scheme == "http":
            return _Pinned(host, port, address)
        if self._context is None:
            self._context = ssl.create_default_context()
        return _PinnedTls(host, port, address, self._context)


def _connected(address: str, port: int) -> socket.socket:
    sock = socket.create_connection((address, port), CONNECT_SECONDS)
    sock.settimeout(SILENT_SECONDS)
    return sock


class _Pinned(http.client.HTTPConnection):
    """Speaks to `host`, at this address."""

    def __init__(self, host: str, port: int, address: str) -> None:
        super().__init__(host, port)
        self._address = address

    def connect(self) -> None:
        self.sock = _connected(self._address, self.port)


class _PinnedTls(http.client.HTTPSConnection):
    """The same by TLS, with a certificate for the name."""

    def __init__(self, host: str, port: int, address: str, context: ssl.SSLContext) -> None:
        super().__init__(host, port, context=context)
        self._address = address
        self._tls = context

    def connect(self) -> None:
        plain = _connected(self._address, self.port)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host, do_handshake_on_connect=False)
        self.sock.do_handshake()


@contextlib.contextmanager
def _deadline(connection: http.client.HTTPConnection, seconds: float) -> Iterator[threading.Event]:
    """End the connection after so long: a timeout of sockets begins anew with each byte."""
    over = threading.Event()

    def end() -> None:
        over.set()
        with contextlib.suppress(OSError, AttributeError):  # not connected yet, or no longer
            connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield over
    finally:
        timer.cancel()


def _parts(url: str) -> SplitResult:
    """The parts of an address of a webhook. Raises InvalidInput."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or len(url) > URL_LENGTH or not re.fullmatch(r"[\x21-\x7e]+", url):
        raise InvalidInput(f"A webhook has an address such as https://example.org/hook, of at most {URL_LENGTH} "
                           "characters, others than letters, digits and signs encoded.", field="url")  # fmt: skip
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise InvalidInput("The address of a webhook has no user, no password and no fragment.", field="url")
    return parts
