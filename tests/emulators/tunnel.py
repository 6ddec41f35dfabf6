"""An emulator under its provider's own names, for clients that can't be told another address.

It is an HTTPS proxy: a client that is given it as `HTTPS_PROXY` asks for a connection to a host, and speaks TLS with
the emulator at once, by a certificate that `authority` holds. Hosts other than the provider's are refused, so that
nothing leaves this machine.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.emulators.http_server import Emulator, EmulatorServer, Handler


class TunnelServer(EmulatorServer):
    """Serves one emulator to who asks for a tunnel to one of `hosts`; `url` is the proxy's, `authority` a PEM file."""

    def __init__(self, emulator: Emulator, hosts: Sequence[str], folder: Path) -> None:
        super().__init__(emulator)
        self.RequestHandlerClass = _TunnelHandler
        self.hosts = frozenset(hosts)
        self.authority = folder / "authority.pem"
        private = folder / "key.pem"
        _certify(hosts, self.authority, private)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.authority, private)


class _TunnelHandler(Handler):
    server: TunnelServer

    def do_CONNECT(self) -> None:  # noqa: N802
        host, _, port = self.path.rpartition(":")
        known = host in self.server.hosts and port == "443" and self.scheme == "http"
        if not known:
            self.close_connection = True
            self.connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        self.connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb", self.rbufsize)
        self.scheme = "https"
        self.close_connection = False

    def finish(self) -> None:
        super().finish()
        self.connection.close()


@contextmanager
def running_tunnel(emulator: Emulator, hosts: Sequence[str], folder: Path) -> Iterator[TunnelServer]:
    """Serve on loopback until the block ends; the certificate is made in `folder`."""
    server = TunnelServer(emulator, hosts, folder)
    with server.running():
        yield server


def _certify(hosts: Sequence[str], certificate: Path, private: Path) -> None:
    """A certificate for the hosts, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an emulator's own authority")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
