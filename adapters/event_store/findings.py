"""What a check of the log may find, and what to do about each kind of it."""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal[
    "unreadable",
    "order",
    "causation",
    "time",
    "seal",
    "missing",
    "added",
    "changed",
    "truncated",
    "sequence",
    "claim",
    "expected",
]

_BACKUP = "compare with a backup or an export of before"

ADVICE: dict[Kind, str] = {
    "unreadable": f"its bytes are damaged, or a newer program wrote it: run that program, or {_BACKUP}",
    "order": f"an event was removed, added or moved by hand: {_BACKUP}",
    "causation": f"an event was removed or changed by hand: {_BACKUP}",
    "time": "look at the clocks of the hosts that run Starferry; nothing depends on this order",
    "seal": "the table of seals was changed: compare it with a backup, and with seals noted elsewhere (--expect)",
    "missing": f"events were removed since they were sealed: {_BACKUP}",
    "added": f"events were added at positions that were sealed before: {_BACKUP}",
    "changed": f"events were changed since they were sealed: {_BACKUP}",
    "truncated": f"the end of the log was removed, or tables were restored from different times: {_BACKUP}",
    "sequence": "the next event would get a position that is taken: stop all processes and set the sequence "
    "starferry.starferry_events_notification_id_seq behind the log's last position",
    "claim": "the table starferry.claim was changed by hand, or events were: " + _BACKUP,
    "expected": f"the log, with its seals, isn't the one that the seal was noted of: {_BACKUP}",
}


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that isn't as it should be. A `warning` alone is no reason to doubt the log."""

    kind: Kind
    what: str
    position: int | None = None
    upto: int | None = None
    stream: str = ""
    warning: bool = False

    @property
    def advice(self) -> str:
        """What to do."""
        return ADVICE[self.kind]
