"""API processes of one host that listen on one port."""

from __future__ import annotations

import socket

import pytest

from api.http_server import shared_socket
from domain.errors import Misconfigured


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_several_processes_can_have_one_port(host: str) -> None:
    with shared_socket(host, 0) as first, shared_socket(host, first.getsockname()[1]) as second:
        assert first.getsockname() == second.getsockname()


def test_a_port_that_somebody_has_alone_is_refused_with_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured, match=f"Port {port} on 127.0.0.1 can't be shared .*choose another --port"):
            shared_socket("127.0.0.1", port)
