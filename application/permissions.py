"""Who may do what. One place for every way in."""

from __future__ import annotations

import msgspec

from domain.errors import Forbidden, NotFound, Unauthenticated
from domain.observations import Observation
from domain.storage_configs import StorageConfig


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


def must_see_observation(principal: Principal, observation: Observation) -> None:
    """Raise NotFound for an observation that isn't there or isn't the principal's to know of."""
    must_be_known(principal)
    mine = observation.owner == principal.username or observation.project in principal.proposals
    if not observation.id or not (principal.is_superuser or mine):
        raise NotFound("There is no such observation.")
