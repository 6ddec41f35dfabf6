"""What clients ask of an archive, each with what the OCS Science Archive does and what is to be reached.

Constants come from frames all over the archive, so that questions have answers. The peer gives requests a second
of 16 clients with a superuser's token, on two cores like these with a million frames; where it was also measured with
persistent connections, the larger figure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import count
from random import Random
from urllib.parse import quote, urlencode

import msgspec

from tests.benchmarks.frames import Payload, centre

FILTERED = 12
"""What the peer reaches for a filtered page at best. The goal for one is 40 times that, or 40 times less."""
MANY = 4000
"""Different ranges for an aggregate, so that no cache of answers could help."""


class Case(msgspec.Struct, frozen=True):
    """Paths to ask for in turn; the peer's rate, and ours to reach. Some are for superusers alone."""

    name: str
    paths: list[str]
    peer: float | None = None
    goal: float | None = None
    visitors: bool = True


def cases(sampled: list[Payload], ids: Mapping[str, int]) -> list[Case]:
    """All of them; `ids` are the frames' numbers by basename."""
    return [*_pages(sampled), *_texts(sampled), *_sky(sampled), *_aggregates(sampled), *_single(sampled, ids)]


def _pages(sampled: list[Payload]) -> list[Case]:
    def each(parameters: Callable[[Payload], Mapping[str, object]]) -> list[str]:
        return [_page(**parameters(frame)) for frame in sampled]

    def camera(days: float) -> list[str]:
        return each(
            lambda frame: {
                "site_id": frame["site_id"],
                "instrument_id": frame["instrument_id"],
                **_range(_moment(frame), days),
            }
        )

    return [
        Case("list 100 without related", [_page(include_related_frames="false")], 19.9),
        Case("list 100 by cursor", [_page(pagination_style="cursor")], 11.3),
        Case("list 10", ["/frames/?limit=10"], 19.5),
        _filtered("site and instrument, 30 days", camera(30), 10.0),
        _filtered("site and instrument, 5 days", camera(5), 11.9),
        _filtered("instrument", each(lambda frame: {"instrument_id": frame["instrument_id"]}), 11.8),
        _filtered("proposal", each(lambda frame: {"proposal_id": frame["proposal_id"]}), 10.4),
        _filtered("target, exactly", each(lambda frame: {"target_name_exact": frame["target_name"]}), 8.6),
        Case("observation_id", each(lambda frame: {"observation_id": frame["observation_id"]}), 39.9, 1600),
        Case("basename, exactly", each(lambda frame: {"basename_exact": frame["basename"]}), 95.4),
    ]


def offsets(frames: int) -> Case:
    """Pages from the middle of the list on: of a million frames, from the 500 000th."""
    return Case("offset 500 000", [_page(offset=frames // 2 + k) for k in range(1000)], 1.4, 70)


def _texts(sampled: list[Payload]) -> list[Case]:
    def night(frame: Payload) -> str:
        return f"{frame['instrument_id']}-{frame['observation_day'].replace('-', '')}"

    return [
        Case("target contains, common", [_page(target_name=f"ngc {k}") for k in range(1, 10)], 9.1, 300),
        Case("target contains, rare", [_page(target_name=one["target_name"][1:].lower()) for one in sampled], 3.2, 300),
        Case("target contains, none", [_page(target_name=f"nosuchtarget{k}") for k in range(500)], 4.4, 300),
        Case("basename contains", [_page(basename=night(one)) for one in sampled], 3.3, 300),
        Case("basename contains, none", [_page(basename=f"nosuch{k}") for k in range(500)], 2.9, 300),
    ]


def _sky(sampled: list[Payload]) -> list[Case]:
    chance = Random(7)
    points = [point for frame in sampled if (point := centre(frame))]
    anywhere = [(chance.uniform(0, 360), chance.uniform(-80, 80)) for _ in sampled]

    def about(half: float) -> list[str]:
        return [_page(intersects=_box(ra, max(-85 + half, min(85 - half, dec)), half)) for ra, dec in anywhere]

    return [
        _filtered("covers, hit", [_page(covers=f"POINT({ra:.5f} {dec:.5f})") for ra, dec in points], 11.9),
        _filtered("covers, anywhere", [_page(covers=f"POINT({ra:.5f} {dec:.5f})") for ra, dec in anywhere], 46.4),
        _filtered("intersects, 1 degree", about(0.5), 22.3),
        _filtered("intersects, 10 degrees", about(5), 5.9),
    ]


def _aggregates(sampled: list[Payload]) -> list[Case]:
    minutes = count()

    def month() -> list[str]:
        frames = [sampled[k % len(sampled)] for k in range(MANY)]
        return [
            _aggregate(site_id=frame["site_id"], **_range(_moment(frame) + timedelta(minutes=next(minutes)), 30))
            for frame in frames
        ]

    def year() -> list[str]:
        frames = [sampled[k % len(sampled)] for k in range(MANY)]
        return [_aggregate(**_range(_moment(frame) + timedelta(minutes=next(minutes)), 360)) for frame in frames]

    return [
        Case("aggregate, everything", ["/frames/aggregate/"], 822.9),
        Case("aggregate, 30 days of a site", month(), 8, 400),
        Case("aggregate, 360 days", year(), 8, 400),
    ]


def _single(sampled: list[Payload], ids: Mapping[str, int]) -> list[Case]:
    numbers = list(ids.values())
    md5s = [frame["version_set"][0]["md5"] for frame in sampled]
    return [
        Case("headers", [f"/frames/{number}/headers/" for number in numbers], 248),
        Case("related", [f"/frames/{number}/related/" for number in numbers], 41),
        Case("versions by md5", [f"/versions/?md5={md5}" for md5 in md5s], 4.4, visitors=False),
        Case("versions by md5, none", [f"/versions/?md5={k:032x}" for k in range(500)], 4.3, visitors=False),
    ]


def _filtered(name: str, paths: list[str], peer: float) -> Case:
    return Case(name, paths, peer, 40 * min(peer, FILTERED))


def _moment(frame: Payload) -> datetime:
    return datetime.fromisoformat(frame["observation_date"])


def _range(middle: datetime, days: float) -> dict[str, str]:
    half = timedelta(days=days / 2)
    return {"start": f"{middle - half:%Y-%m-%dT%H:%M:%S}", "end": f"{middle + half:%Y-%m-%dT%H:%M:%S}"}


def _box(ra: float, dec: float, half: float) -> str:
    corners = ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))
    return f"POLYGON(({','.join(f'{ra + x * half:.4f} {dec + y * half:.4f}' for x, y in corners)}))"


def _page(**parameters: object) -> str:
    return f"/frames/?{urlencode({'limit': 100, **parameters}, quote_via=quote)}"


def _aggregate(**parameters: str) -> str:
    return f"/frames/aggregate/?{urlencode({'public': 'true', **parameters})}"
