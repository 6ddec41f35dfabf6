"""An advisory lock is given back when what it was for has ended, not when its session has."""

from __future__ import annotations

import psycopg
import pytest

from adapters.postgres.advisory_lock import trying, waiting
from projections.upgrade import others_connected

LOCK = 4711


def connected(database: str) -> psycopg.Connection:
    return psycopg.connect(database, autocommit=True)


def test_it_is_given_back_at_the_end_and_after_an_error(database: str) -> None:
    with connected(database) as one, connected(database) as other:
        with trying(one, LOCK) as held, trying(other, LOCK) as held_too:
            assert (held, held_too) == (True, False)
        with pytest.raises(psycopg.errors.DivisionByZero), waiting(other, LOCK):
            other.execute("SELECT 1 / 0")
        with trying(one, LOCK) as held:
            assert held


def test_a_session_that_is_gone_takes_its_lock_with_it_and_its_error_is_told(database: str) -> None:
    with connected(database) as one, connected(database) as other:
        with pytest.raises(psycopg.OperationalError), waiting(one, LOCK):
            one.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        with waiting(other, LOCK):
            pass


def test_a_session_that_has_just_ended_is_no_other_one(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(database) as one, connected(database) as ending, connected(database):
        monkeypatch.setattr("projections.upgrade.time.sleep", lambda _: ending.close())
        assert others_connected(one) == 1
