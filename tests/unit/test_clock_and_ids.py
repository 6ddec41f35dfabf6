"""The machine's clock and random names."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from adapters.clock import SystemClock
from adapters.ids import new_id, new_token


def test_the_clock_tells_the_present_in_utc() -> None:
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert now.utcoffset() == timedelta(0)
    assert before <= now <= datetime.now(UTC)


def test_an_id_is_its_prefix_and_twenty_base32_characters() -> None:
    assert re.fullmatch(r"cfg-[a-z2-7]{20}", new_id("cfg"))


def test_a_token_is_forty_hex_characters() -> None:
    assert re.fullmatch(r"[0-9a-f]{40}", new_token())


def test_names_do_not_repeat_and_every_place_of_them_varies() -> None:
    ids = {new_id("x") for _ in range(2000)}
    tokens = {new_token() for _ in range(2000)}
    assert len(ids) == len(tokens) == 2000
    assert [len({name[place] for name in ids}) for place in range(2, 22)] == [32] * 20
    assert [len({token[place] for token in tokens}) for place in range(40)] == [16] * 40
