"""When a frame becomes public, where its header doesn't say (OCS contract, chapter 4.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from adapters.fits.settings import FitsSettings

ProposalTags = Callable[[str], set[str]]
"""The tags that an observation portal gives to a proposal; the empty set when it knows none."""

NEVER_IN_A_LIFETIME = timedelta(days=365 * 999)


def public_from(
    observed: datetime,
    *,
    proposal: str,
    configuration_type: str,
    basename: str,
    settings: FitsSettings,
    proposal_tags: ProposalTags | None = None,
) -> datetime:
    """The first rule that fits decides: tags, calibrations and public proposals, private ones, then the usual time.

    Raises OverflowError when the calendar ends before that day.
    """
    tags = proposal_tags(proposal) if proposal_tags and proposal else set()
    if tags.intersection(settings.private_proposal_tags):
        return observed + NEVER_IN_A_LIFETIME
    if tags.intersection(settings.public_proposal_tags):
        return observed
    if configuration_type in settings.calibration_types or _any_in(settings.public_proposals, proposal):
        return observed
    if _any_in(settings.private_proposals, proposal) or _any_in(settings.private_file_types, basename):
        return observed + NEVER_IN_A_LIFETIME
    return observed + timedelta(days=settings.days_until_public)


def _any_in(fragments: Iterable[str], text: str) -> bool:
    return any(fragment in text for fragment in fragments)
