"""Who may do what. One place for every way in."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from domain.accounts import Account
from domain.errors import Forbidden, NotFound, Unauthenticated
from domain.frames import Frame
from domain.observations import Observation
from domain.storage_configs import StorageConfig

DeliveryRight = Literal["own", "copy", "none"]


class Principal(msgspec.Struct, frozen=True):
    """Who is asking. An empty username is anonymous."""

    username: str = ""
    is_superuser: bool = False
    is_staff: bool = False
    proposals: tuple[str, ...] = ()

    @property
    def authenticated(self) -> bool:
        """Whether we know who it is."""
        return bool(self.username)


ANONYMOUS = Principal()


def must_be_known(principal: Principal) -> None:
    """Raise Unauthenticated for an anonymous request."""
    if not principal.authenticated:
        raise Unauthenticated("Authentication credentials were not provided.")


def must_be_superuser(principal: Principal) -> None:
    """Raise Unauthenticated or Forbidden unless a superuser asks."""
    must_be_known(principal)
    if not principal.is_superuser:
        raise Forbidden("You do not have permission to perform this action.")


def may_use_config(principal: Principal, config: StorageConfig) -> bool:
    """Whether the principal may see, edit and select a configuration: its owner, or a superuser."""
    return principal.is_superuser or (principal.authenticated and config.owner == principal.username)


def must_see_config(principal: Principal, config: StorageConfig) -> None:
    """Raise NotFound for a configuration that isn't there or isn't the principal's to know of."""
    must_be_known(principal)
    if not config.exists or config.deleted or not may_use_config(principal, config):
        raise NotFound("There is no such storage configuration.")


def may_receive(owner: Account, frame: Frame, now: datetime) -> DeliveryRight:
    """What the owner of an observation may have of a file that belongs to it.

    `own`: delivered, and deleted from the server where the destination asks for that; for superusers, members of the
    frame's proposal, and files that were assigned to the observation at ingest. `copy`: delivered only; a public frame
    whose headers name the observation's number. Anything else stays where it is: a number is easily guessed.
    """
    record = frame.record
    if owner.is_superuser or frame.assigned or (record is not None and record.proposal_id in owner.all_proposals):
        return "own"
    public = record is not None and record.public_date is not None and record.public_date < now
    return "copy" if public else "none"


def must_see_observation(principal: Principal, observation: Observation) -> None:
    """Raise NotFound for an observation that isn't there or isn't the principal's to know of."""
    must_be_known(principal)
    mine = observation.owner == principal.username or observation.project in principal.proposals
    if not observation.id or not (principal.is_superuser or mine):
        raise NotFound("There is no such observation.")
