"""P02 and B13: how an operator writes rates, whose address counts, and how windows are counted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
from litestar import Request
from litestar.testing import RequestFactory

from adapters.throttle_counts import Counted, PostgresThrottleCounts
from api.client_address import client_address, from_this_machine, parse_networks
from api.password_pace import BURST, PasswordPace
from api.rates import Rate, parse_rate
from api.settings import Settings
from api.throttles import Throttles
from application.permissions import Principal
from domain.errors import Misconfigured, Throttled

LOOPBACK = parse_networks("127.0.0.0/8,::1")


def request(client: str, *forwarded: str) -> Request[Any, Any, Any]:
    made: Request[Any, Any, Any] = RequestFactory().get("/")
    made.scope["client"] = (client, 1234)
    made.scope["headers"] = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return Request(made.scope)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1000/day", Rate(1000, 86400)),
        ("5/hour", Rate(5, 3600)),
        ("7/minute", Rate(7, 60)),
        ("1/second", Rate(1, 1)),
        (" 10/D ", Rate(10, 86400)),
        ("off", None),
    ],
)
def test_p02_rates_are_settings(text: str, rate: Rate | None) -> None:
    assert parse_rate(text) == rate
    assert Settings({"STARFERRY_THROTTLE_USER": text})["STARFERRY_THROTTLE_USER"] == rate
    if rate is not None:
        assert parse_rate(str(rate)) == rate


@pytest.mark.parametrize(
    "text", ["", "0/day", "-1/day", "10", "10/week", "many/day", "1e3/day", "10/", "/day", "²/day"]
)
def test_p02_a_rate_that_cannot_be_right_stops_the_start(text: str) -> None:
    with pytest.raises(Misconfigured, match="STARFERRY_THROTTLE_ANONYMOUS"):
        Settings({"STARFERRY_THROTTLE_ANONYMOUS": text})


def test_b13_proxies_that_cannot_be_right_stop_the_start() -> None:
    with pytest.raises(Misconfigured, match="STARFERRY_TRUSTED_PROXIES"):
        Settings({"STARFERRY_TRUSTED_PROXIES": "proxy.example.org"})


@pytest.mark.parametrize(
    ("client", "forwarded", "trusted", "address"),
    [
        ("198.51.100.1", (), "127.0.0.1", "198.51.100.1"),
        ("198.51.100.1", ("203.0.113.5",), "127.0.0.1", "198.51.100.1"),
        ("127.0.0.1", ("203.0.113.5",), "127.0.0.1", "203.0.113.5"),
        ("127.0.0.1", ("1.2.3.4, 203.0.113.5",), "127.0.0.1", "203.0.113.5"),
        ("127.0.0.1", ("1.2.3.4", "203.0.113.5, 10.0.0.7"), "127.0.0.1,10.0.0.0/8", "203.0.113.5"),
        ("10.0.0.7", ("203.0.113.5:4711",), "10.0.0.0/8", "203.0.113.5"),
        ("127.0.0.1", ("10.0.0.7",), "127.0.0.1,10.0.0.0/8", "10.0.0.7"),
        ("127.0.0.1", ("nonsense",), "127.0.0.1", "unknown"),
        ("127.0.0.1", ("",), "127.0.0.1", "unknown"),
        ("::1", ("2001:db8:1:2:3:4:5:6",), "::1", "2001:db8:1:2::/64"),
        ("::1", ("[2001:db8:1:2::9]:443",), "::1", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.1", (), "127.0.0.1", "198.51.100.1"),
    ],
)
def test_b13_the_address_is_the_right_most_that_no_trusted_proxy_has(
    client: str, forwarded: tuple[str, ...], trusted: str, address: str
) -> None:
    assert client_address(request(client, *forwarded), parse_networks(trusted)) == address


def test_b13_only_a_request_without_a_proxy_is_of_this_machine() -> None:
    assert from_this_machine(request("127.0.0.1"))
    assert from_this_machine(request("::1"))
    assert not from_this_machine(request("127.0.0.1", "127.0.0.1"))
    assert not from_this_machine(request("198.51.100.1"))


class Seconds:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class OthersToo:
    """Counts as the database would, with what another process has added."""

    def __init__(self, others: int) -> None:
        self.others = others

    async def add(self, counted: Sequence[Counted]) -> Mapping[str, Counted]:
        self.others += sum(one.requests for one in counted)
        return {one.who: Counted(one.who, one.since, one.until, self.others) for one in counted}


def throttles(clock: Seconds, counts: object = None, **rates: Rate | None) -> Throttles:
    given: dict[str, Rate | None] = {"anonymous": Rate(2, 60), "user": Rate(3, 60), **rates}
    return Throttles(cast(PostgresThrottleCounts, counts), trusted=LOOPBACK, now=clock, **given)


def test_b13_a_window_ends_and_what_was_refused_does_not_count() -> None:
    clock = Seconds()
    counting = throttles(clock)
    for _ in range(2):
        counting.count(Principal(), request("198.51.100.1"))
    for _ in range(50):
        with pytest.raises(Throttled) as refused:
            counting.count(Principal(), request("198.51.100.1"))
    assert refused.value.wait == 60
    clock.now += 59.5
    with pytest.raises(Throttled, match=r"Expected available in 1 second\."):
        counting.count(Principal(), request("198.51.100.1"))
    clock.now += 0.5
    counting.count(Principal(), request("198.51.100.1"))


def test_b13_off_is_off() -> None:
    counting = throttles(Seconds(), anonymous=None, user=None)
    for principal in (Principal(), Principal("ada")):
        for _ in range(100):
            counting.count(principal, request("198.51.100.1"))


def test_b13_what_other_processes_counted_counts_here() -> None:
    counting = throttles(Seconds(), OthersToo(others=1))
    counting.count(Principal(), request("198.51.100.1"))
    asyncio.run(counting.flush())
    with pytest.raises(Throttled):
        counting.count(Principal(), request("198.51.100.1"))


def test_b05_wrong_passwords_are_paced_and_right_ones_are_not() -> None:
    clock = Seconds()
    pace = PasswordPace(clock)
    for _ in range(BURST):
        pace.check("ada", "198.51.100.1")
        pace.wrong("ada", "198.51.100.1")
    with pytest.raises(Throttled) as refused:
        pace.check("ada", "198.51.100.1")
    pace.check("ada", "198.51.100.2")
    pace.check("bob", "198.51.100.1")
    clock.now += refused.value.wait
    pace.check("ada", "198.51.100.1")
    for _ in range(1000):
        pace.check("eve", "198.51.100.1")
        pace.wrong("eve", "198.51.100.1")
        pace.right("eve", "198.51.100.1")


def test_b05_guessing_from_many_addresses_is_bounded_too() -> None:
    pace = PasswordPace(Seconds())
    for number in range(100):
        pace.check("ada", f"198.51.100.{number}")
        pace.wrong("ada", f"198.51.100.{number}")
    with pytest.raises(Throttled):
        pace.check("ada", "198.51.100.200")
