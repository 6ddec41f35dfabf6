"""What an account's owner has given is given back when nobody here has a use for it any more (S25)."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from application.ports.consent import Consent
from application.ports.lookups import StorageConfigLookup
from domain.errors import StarferryError
from domain.storage_configs import StorageConfig

logger = structlog.get_logger()


def give_back(
    consent: Consent, lookup: StorageConfigLookup, config: StorageConfig, secrets: Mapping[str, str], deleted_at: int
) -> None:
    """Tell the provider of a configuration that was deleted at a position that its grant is over, if it had one and the
    provider can be reached. The vault has forgotten the secrets before.

    Google ends all that an account has given to an app, whichever token it is told: while another configuration lives
    on that, nothing is ended. Of two that are deleted at the same time the later one finds no other.
    """
    if "refresh_token" not in secrets:
        return
    try:
        if lookup.with_same_grant(config.provider, config.options, config.account, at_least=deleted_at):
            logger.info("another configuration needs the authorization", config=config.id)
            return
        consent.revoke(config.provider, config.options, secrets)
    except StarferryError as error:  # what can't be revoked can't be read any more either
        logger.warning("the authorization was not revoked at its provider", config=config.id, reason=str(error))
