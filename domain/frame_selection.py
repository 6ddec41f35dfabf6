"""Which frames an operator means, when many are to be deleted: by age or nights, and by what their records say."""

from __future__ import annotations

from datetime import date, datetime

import msgspec

from domain.frame_record import FrameRecord


class FrameSelection(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions, all of which must hold; what is left out selects all.

    Age: observed before `observed_before` (aware); or nights strictly between `after_night` and `before_night`. Sites
    and telescopes are compared without regard to case. A frame of which the time or night asked about isn't known is
    never selected.
    """

    observed_before: datetime | None = None
    after_night: date | None = None
    before_night: date | None = None
    reduction_level: int | None = None
    observation_id: int | None = None
    request_id: int | None = None
    site: str = ""
    telescope: str = ""
    types: tuple[str, ...] = ()
    not_types: tuple[str, ...] = ()
    proposals: tuple[str, ...] = ()
    not_proposals: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    not_instruments: tuple[str, ...] = ()

    def selects(self, record: FrameRecord) -> bool:
        """Whether a frame with this record is meant."""
        return self._in_time(record) and self._narrowed(record)

    def _in_time(self, record: FrameRecord) -> bool:
        observed, night = record.observation_date, record.observation_day
        if self.observed_before is not None and (observed is None or observed >= self.observed_before):
            return False
        if self.after_night is not None and (night is None or night <= self.after_night):
            return False
        return self.before_night is None or (night is not None and night < self.before_night)

    def _narrowed(self, record: FrameRecord) -> bool:
        equal = (
            self.reduction_level in (None, record.reduction_level)
            and self.observation_id in (None, record.observation_id)
            and self.request_id in (None, record.request_id)
            and self.site.lower() in ("", record.site_id.lower())
            and self.telescope.lower() in ("", record.telescope_id.lower())
        )
        chosen = (
            (self.types, record.configuration_type),
            (self.proposals, record.proposal_id),
            (self.instruments, record.instrument_id),
        )
        spared = (
            (self.not_types, record.configuration_type),
            (self.not_proposals, record.proposal_id),
            (self.not_instruments, record.instrument_id),
        )
        return (
            equal
            and all(not wanted or value in wanted for wanted, value in chosen)
            and all(value not in unwanted for unwanted, value in spared)
        )
