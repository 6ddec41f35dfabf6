"""Says of one frame what the list of frames would say of it: whether a query finds it for somebody, now."""

from __future__ import annotations

from datetime import datetime

import msgspec

from application.permissions import Principal, may_see
from application.ports.sky import Region, Sky
from domain.footprint import Footprint
from domain.frame_query import FrameQuery
from domain.frame_record import FrameRecord

REMEMBERED = 1000
"""Regions that have been read."""


class FrameMatcher:
    """The same conditions as the frames read model's (projections/frames/search.py), decided from a frame's own record;
    a test holds the two together. Safe to share between threads."""

    def __init__(self, sky: Sky) -> None:
        self._sky = sky
        self._regions: dict[str, Region] = {}

    def selects(self, query: FrameQuery, record: FrameRecord, headers: msgspec.Raw) -> bool:
        """Whether the query means this frame, whoever asks."""
        return query.selects(record, headers) and self._lies(query, record.area)

    def shows(
        self, query: FrameQuery, record: FrameRecord, headers: msgspec.Raw, viewer: Principal, now: datetime
    ) -> bool:
        """Whether the query finds this frame for the viewer."""
        return (
            may_see(viewer, record, now)
            and _wanted_publicness(query, record, viewer, now)
            and self.selects(query, record, headers)
        )

    def _lies(self, query: FrameQuery, area: Footprint | None) -> bool:
        if not (query.covers or query.intersects):
            return True
        if area is None:
            return False
        outline = self._sky.normalise(area)
        covers = not query.covers or self._sky.covers(outline, self._region(query.covers, "covers"))
        return covers and (
            not query.intersects or self._sky.intersects(outline, self._region(query.intersects, "intersects"))
        )

    def _region(self, text: str, parameter: str) -> Region:
        known = self._regions.get(text)
        if known is None:
            if len(self._regions) >= REMEMBERED:
                self._regions.clear()
            known = self._regions[text] = self._sky.parse(text, parameter)
        return known


def _wanted_publicness(query: FrameQuery, record: FrameRecord, viewer: Principal, now: datetime) -> bool:
    """The `public` parameter's matrix (contracts: 1.6.1); true and absent change nothing."""
    if query.public is not False:
        return True
    if viewer.is_superuser:
        return record.public_date is None or record.public_date >= now
    if not viewer.authenticated:
        return False
    return not viewer.proposals or record.proposal_id in viewer.proposals
