"""A client of one S3-compatible service with one pair of access keys, which calls no address that it must not call."""

from __future__ import annotations

import functools
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import boto3
from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from botocore.config import Config
from botocore.exceptions import ClientError
from urllib3.exceptions import NameResolutionError, NewConnectionError, ProtocolError

from adapters.destinations.endpoint_addresses import may_call
from adapters.destinations.s3_errors import code_of
from adapters.public_internet import Network
from domain.errors import GiveUp

UNKNOWN_HEADER = {"NotImplemented", "InvalidArgument", "InvalidRequest", "UnsupportedArgument"}

LONGEST_ANSWER = 8 << 20
"""Bytes of an answer that isn't an object: a thousand parts are a third of a MiB."""

_making = threading.Lock()
_session = functools.cache(boto3.session.Session)
"""Reads the description of the service once, 90 ms; a client more takes 4 ms. Not made for several threads."""

# At DEBUG these log signatures, and addresses with the ids of uploads.
for _name in ("botocore", "boto3", "urllib3.connectionpool"):
    logging.getLogger(_name).setLevel(logging.INFO)


class S3Account:
    """Safe to share between threads. Nothing is sent when it is made.

    Without `endpoint` the service is Amazon's. An endpoint is called only at public addresses and with TLS, or in the
    networks that the operator allows. `timeout` is in seconds, for each step that the network takes. Raises GiveUp when
    no client can be made of these.
    """

    def __init__(
        self,
        endpoint: str,
        region: str,
        access_key: str,
        secret_key: str,
        allowed: Sequence[Network] = (),
        timeout: float = 60.0,
    ) -> None:
        if not access_key or not secret_key:  # boto3 would look for the operator's
            raise GiveUp("There are no access keys for the S3 service.")
        try:
            self.client = _client(endpoint, region, access_key, secret_key, timeout)
        except Exception:
            raise GiveUp("No S3 client can be made of this endpoint and this region.") from None
        if endpoint:
            self.client._endpoint.http_session._manager.pool_classes_by_scheme = _guarded(tuple(allowed))
        self._refused: set[str] = set()
        self._is_amazons = not endpoint
        self._keeping: dict[str, bool] = {}

    def ask(self, call: Callable[..., Any], newer: Mapping[str, Any], **request: Any) -> Any:
        """`call` with `request` and the `newer` parameters, which not every service knows: one that refuses them is
        asked without, and from then on only so. Raises what boto3 raises."""
        name = call.__name__
        if name in self._refused:
            return call(**request)
        try:
            return call(**request, **newer)
        except ClientError as exc:
            if code_of(exc) not in UNKNOWN_HEADER:
                raise
        if "Body" in request:
            request["Body"].seek(0)
        answer = call(**request)
        self._refused.add(name)
        return answer

    def never_replaces(self, bucket: str) -> bool | None:
        """Whether a write on the condition that nothing is there is known to be refused where something is: Amazon's
        documents say so, others are tried once. None when that is still to be done."""
        if "put_object" in self._refused:
            return False
        return True if self._is_amazons else self._keeping.get(bucket)

    def saw_replacing(self, bucket: str, *, refused: bool) -> None:
        """What came of writing on that condition where something was."""
        self._keeping[bucket] = refused

    def close(self) -> None:
        """Close all connections."""
        self.client.close()


def _client(endpoint: str, region: str, access_key: str, secret_key: str, timeout: float) -> Any:
    with _making:
        return _session().client(
            "s3",
            endpoint_url=endpoint or None,
            region_name=region or "us-east-1",
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path" if endpoint else "auto"},
                retries={"mode": "standard", "total_max_attempts": 1},  # the transfer's schedule decides
                connect_timeout=min(timeout, 10.0),
                read_timeout=timeout,
                max_pool_connections=16,
                # what is called without TLS is near, and a proxy might reach more than we would
                proxies={} if endpoint.lower().startswith("http:") else None,
                ignore_configured_endpoint_urls=True,  # type: ignore[call-arg]  # its stubs are behind
                # the checksums are ours; boto3's own, sent as a trailer, are refused by many services
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


class _Guard:
    """Makes no connection but to an address that may be called. The address is looked up once, so that a name can't
    mean another one when it is called than when it was checked."""

    allowed: tuple[Network, ...] = ()
    encrypted = False
    _dns_host: str
    host: str
    port: int

    def _new_conn(self) -> socket.socket:
        name = self._dns_host
        try:
            found = socket.getaddrinfo(name, self.port, type=socket.SOCK_STREAM)
        except socket.gaierror as exc:
            raise NameResolutionError(self.host, self, exc) from exc  # type: ignore[arg-type]
        addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
        callable_ = [one for one in addresses if may_call(one, self.allowed, encrypted=self.encrypted)]
        if not callable_:
            raise GiveUp(
                "The endpoint isn't at a public address with https; others have to be allowed by the operator "
                "(STARFERRY_S3_NETWORKS)."
            )
        try:
            for address in callable_[:-1]:
                self._dns_host = address
                try:
                    return self._connect()
                except NewConnectionError:
                    continue
            self._dns_host = callable_[-1]
            return self._connect()
        finally:
            self._dns_host = name  # which the certificate must hold

    def _connect(self) -> socket.socket:
        made: socket.socket = super()._new_conn()  # type: ignore[misc]
        return made


class _Bounded:
    """Takes no longer answers than S3's are. botocore reads whole what isn't an object's bytes, and the endpoint may be
    anybody's."""

    def urlopen(self, *args: Any, **named: Any) -> Any:
        """See urllib3."""
        response = super().urlopen(*args, **named)  # type: ignore[misc]
        response.stream = functools.partial(_bounded, response.stream)
        return response


def _bounded(stream: Callable[..., Iterator[bytes]], *args: Any, **named: Any) -> Iterator[bytes]:
    left = LONGEST_ANSWER
    for piece in stream(*args, **named):
        left -= len(piece)
        if left < 0:
            raise ProtocolError("the answer is too long")
        yield piece


def _guarded(networks: tuple[Network, ...]) -> dict[str, type]:
    class Plain(_Guard, AWSHTTPConnection):  # type: ignore[misc]
        allowed = networks

    class Encrypted(_Guard, AWSHTTPSConnection):  # type: ignore[misc]
        allowed = networks
        encrypted = True

    class PlainPool(_Bounded, AWSHTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(_Bounded, AWSHTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}
