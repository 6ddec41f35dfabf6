"""A saved query for frames: the filters of the list of frames, resolved, as they stand in events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime

import msgspec

from domain.frame_record import FrameRecord, folded, submitter_of

EXACT = {"basename_exact": "basename"} | {
    name: name
    for name in (
        "proposal_id instrument_id site_id telescope_id primary_optical_element configuration_type observation_id "
        "request_id reduction_level observation_date observation_day public_date"
    ).split()
}
"""Conditions that ask for one value, and the field of the record that must have it."""


class FrameQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Conditions, all of which must hold; what is left out selects all.

    Times are aware and include their own instant. `basename` and `target` are parts of names, in any case;
    `target_folded` also without regard to accents; `target_exact` and `submitter` are alternatives; `exposure_time` is
    a lower bound in seconds. `covers` and `intersects` are regions of the sky as they were written, and `public`
    depends on who asks: application/frame_matching.py looks at these. `never` says that the conditions contradict each
    other.
    """

    never: bool = False
    basename_exact: str | None = None
    proposal_id: str | None = None
    instrument_id: str | None = None
    site_id: str | None = None
    telescope_id: str | None = None
    primary_optical_element: str | None = None
    configuration_type: str | None = None
    observation_id: int | None = None
    request_id: int | None = None
    reduction_level: int | None = None
    observation_date: datetime | None = None
    observation_day: date | None = None
    public_date: datetime | None = None
    start: datetime | None = None
    end: datetime | None = None
    basename: str = ""
    target: str = ""
    target_folded: str = ""
    target_exact: tuple[str, ...] = ()
    empty_target: bool = False
    exposure_time: float | None = None
    types_in: tuple[str, ...] = ()
    types_not_in: tuple[str, ...] = ()
    submitter: tuple[str, ...] = ()
    public: bool | None = None
    covers: str = ""
    intersects: str = ""

    def selects(self, record: FrameRecord, headers: msgspec.Raw) -> bool:
        """Whether a frame with this record and header is meant, as far as the two alone can tell."""
        return not self.never and all(self._holds(record, headers))

    def _holds(self, record: FrameRecord, headers: msgspec.Raw) -> Iterator[bool]:
        for name, field in EXACT.items():
            wanted = getattr(self, name)
            yield wanted is None or getattr(record, field) == wanted
        observed = record.observation_date
        yield self.start is None or (observed is not None and observed >= self.start)
        yield self.end is None or (observed is not None and observed <= self.end)
        yield self.exposure_time is None or (
            record.exposure_time is not None and record.exposure_time >= self.exposure_time
        )
        yield _contains(record.basename, self.basename, str.lower)
        yield _contains(record.target_name, self.target, str.lower)
        yield _contains(record.target_name, self.target_folded, folded)
        yield not self.target_exact or record.target_name in self.target_exact
        yield not (self.empty_target and record.target_name)
        yield not self.types_in or record.configuration_type in self.types_in
        yield record.configuration_type not in self.types_not_in
        yield not self.submitter or (submitter_of(headers) or None) in self.submitter


def _contains(text: str, part: str, form: Callable[[str], str]) -> bool:
    return not part or form(part) in form(text)
