"""Who may do what. One place for every way in."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from domain.accounts import Account
from domain.errors import Forbidden, Unauthenticated
from domain.frame_record import FrameRecord
from domain.frames import Frame
from domain.groups import Group, GroupKind
from domain.observations import Observation
from domain.standing_deliveries import StandingDelivery
from domain.storage_configs import StorageConfig

DeliveryRight = Literal["own", "copy", "none"]
ConfigAccess = Literal["manage", "select", "none"]
ObservationAccess = Literal["change", "view", "none"]
RuleAccess = Literal["manage", "view", "none"]


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


def principal_of(account: Account) -> Principal:
    """What somebody may do who isn't asking at this moment; nobody for an account that isn't there or active."""
    if not account.exists or not account.active:
        return ANONYMOUS
    return Principal(account.username, account.is_superuser, account.is_staff, tuple(sorted(account.all_proposals)))


def may_see(viewer: Principal, record: FrameRecord | None, now: datetime) -> bool:
    """Whether somebody may see a frame (contracts: visibility): public for longer than now, of an own proposal, or any
    for a superuser; a frame without an observation date is hidden from everybody."""
    if record is None or record.observation_date is None:
        return False
    public = record.public_date is not None and record.public_date < now
    return public or viewer.is_superuser or record.proposal_id in viewer.proposals


def config_access(principal: Principal, config: StorageConfig, group: Group | None) -> ConfigAccess:
    """What the principal may do with a configuration (S06–S08); `group` is its scope's, None for a personal one.

    `manage`: see, edit, test, delete it and see what goes there; `select`: see it and choose it; `none`: not even know
    of it.
    """
    if not config.exists or config.deleted or not principal.authenticated:
        return "none"
    if principal.is_superuser:
        return "manage"
    if group is None:
        return "manage" if config.scope == "personal" and config.owner == principal.username else "none"
    if group.allows(principal.username, *managing(group.kind)):
        return "manage"
    return "select" if group.has_member(principal.username) else "none"


def managing(kind: GroupKind) -> tuple[str, ...]:
    """The permissions each of which lets a member create, edit, test and delete a group's storage configurations."""
    return ("can_manage_storage",) if kind == "organization" else ("can_edit", "can_manage_storage")


def rule_access(principal: Principal, rule: StandingDelivery, project: Group | None) -> RuleAccess:
    """What the principal may do with a standing delivery, as for storage configurations; `project` is its own, None for
    a personal one."""
    if not rule.there or not principal.authenticated:
        return "none"
    if principal.is_superuser:
        return "manage"
    if project is None:
        return "manage" if rule.scope == "personal" and rule.owner == principal.username else "none"
    if project.allows(principal.username, *managing("project")):
        return "manage"
    return "view" if project.has_member(principal.username) else "none"


def may_receive(owner: Account, observation: str, frame: Frame, now: datetime) -> DeliveryRight:
    """What the owner of an observation may have of a file that belongs to it.

    `own`: delivered, and deleted from the server where the destination asks for that; for superusers, members of the
    frame's proposal, and files that were assigned to this observation at ingest. `copy`: delivered only; a public frame
    whose headers name the observation's number. Anything else stays where it is: a number is easily guessed. Whose
    account isn't active gets nothing.
    """
    record = frame.record
    if not (owner.exists and owner.active):
        return "none"
    if owner.is_superuser or observation in frame.assigned_to:
        return "own"
    if record is not None and record.proposal_id in owner.all_proposals:
        return "own"
    public = record is not None and record.public_date is not None and record.public_date < now
    return "copy" if public else "none"


def may_have(
    principal: Principal, record: FrameRecord | None, now: datetime, *, assigned: bool = False
) -> DeliveryRight:
    """What somebody may have of a file that isn't sent for an observation's sake, as `may_receive` has it: `own` for
    superusers, members of the frame's proposal, and whose observation it was `assigned` to; a `copy` of what is public;
    none of what they may not see."""
    if record is None or not (assigned or may_see(principal, record, now)):
        return "none"
    return "own" if assigned or principal.is_superuser or record.proposal_id in principal.proposals else "copy"


class Audience(msgspec.Struct, frozen=True):
    """Who may see a transfer: people by name, and the members of a proposal where there is one. Superusers see all."""

    names: frozenset[str]
    proposal: str = ""

    def includes(self, viewer: Principal) -> bool:
        """Whether this viewer is among them."""
        proposal = bool(self.proposal) and self.proposal in viewer.proposals
        return viewer.is_superuser or viewer.username in self.names or proposal


def observation_access(principal: Principal, observation: Observation, project: Group | None) -> ObservationAccess:
    """What the principal may do with an observation: its owner and those who may edit its project `change` it; members
    of its proposal and those who may view its project `view` it; others don't know of it (`none`)."""
    if not observation.id or not principal.authenticated:
        return "none"
    in_project = project is not None and project.there
    if principal.is_superuser or observation.owner == principal.username:
        return "change"
    if in_project and project is not None:
        if project.allows(principal.username, "can_edit"):
            return "change"
        return "view" if project.allows(principal.username, "can_view") else "none"
    return "view" if observation.project in principal.proposals else "none"
