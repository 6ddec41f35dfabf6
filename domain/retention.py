"""How long an operator keeps which frames: rules, and the one for guide frames that the OCS archive once had."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from domain.frame_selection import FrameSelection

GUIDE_RULE = "guide-frames"
GUIDE_TYPE = "GUIDE"


class RetentionRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Frames of this kind go when they were observed more than `days` days ago. `name` stands in the history of each
    frame that went."""

    name: str
    days: int
    reduction_level: int | None = None
    site: str = ""
    telescope: str = ""
    types: tuple[str, ...] = ()
    exclude_types: tuple[str, ...] = ()
    proposals: tuple[str, ...] = ()
    exclude_proposals: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    exclude_instruments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError for a rule that can't be meant: without a name, without an age, or for all frames."""
        if not self.name.strip() or self.days < 1:
            raise ValueError("a retention rule has a name, and days of at least 1")
        if self._narrowing() == FrameSelection():
            raise ValueError("a retention rule says which frames it means")

    def selection(self, now: datetime) -> FrameSelection:
        """The frames that are due."""
        return msgspec.structs.replace(self._narrowing(), observed_before=now - timedelta(days=self.days))

    def _narrowing(self) -> FrameSelection:
        return FrameSelection(
            reduction_level=self.reduction_level,
            site=self.site,
            telescope=self.telescope,
            types=self.types,
            not_types=self.exclude_types,
            proposals=self.proposals,
            not_proposals=self.exclude_proposals,
            instruments=self.instruments,
            not_instruments=self.exclude_instruments,
        )

    def described(self) -> str:
        """The rule in words, for people and for the history."""
        parts = [
            f"{field.replace('_', ' ')} {', '.join(value) if isinstance(value, tuple) else value}"
            for field in self.__struct_fields__[2:]
            if (value := getattr(self, field)) not in ((), "", None)
        ]
        return f"retention rule {self.name}: {'; '.join(parts)}; observed more than {self.days} days ago"


def guide_rule(days: int, persist: tuple[str, ...]) -> RetentionRule:
    """Guide frames go after `days`, but for those of the cameras named in `persist`."""
    return RetentionRule(name=GUIDE_RULE, days=days, types=(GUIDE_TYPE,), exclude_instruments=persist)
