"""Sessions that hold locks have both sides look after the line (S49: a worker that is gone without a word)."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from adapters.jobs.lock_session import COUNT, IDLE, INTERVAL, lock_session


def test_s49_our_side_probes_a_silent_line(database: str) -> None:
    with lock_session(database) as session:
        chosen = session.info.get_parameters()
    names = ("keepalives_idle", "keepalives_interval", "keepalives_count")
    assert [chosen[name] for name in names] == [str(IDLE), str(INTERVAL), str(COUNT)]


def test_s49_the_server_is_asked_to_probe_it_too(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a Unix socket, which the test's server has, the settings read as 0: what is asked for is looked at."""
    asked: dict[Any, Any] = {}
    execute = psycopg.Connection.execute

    def listening(self: psycopg.Connection[Any], query: Any, parameters: Any = None, **options: Any) -> Any:
        if "set_config" in query:
            asked[parameters[0]] = parameters[1]
        return execute(self, query, parameters, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", listening)
    lock_session(database).close()
    assert asked == {
        "tcp_keepalives_idle": str(IDLE),
        "tcp_keepalives_interval": str(INTERVAL),
        "tcp_keepalives_count": str(COUNT),
    }
