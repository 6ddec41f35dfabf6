"""What an account's owner has given is given back when nobody here has a use for it any more (S25)."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from application.ports.consent import Consent
from domain.errors import StarferryError
from domain.storage_configs import StorageConfig

logger = structlog.get_logger()


def give_back(consent: Consent, config: StorageConfig, secrets: Mapping[str, str]) -> None:
    """Tell the provider of a deleted configuration that its grant is over, if it had one and the provider can be
    reached. The vault has forgotten the secrets before."""
    if "refresh_token" not in secrets:
        return
    try:
        consent.revoke(config.provider, config.options, secrets)
    except StarferryError as error:  # what can't be revoked can't be read any more either
        logger.warning("the authorization was not revoked at its provider", config=config.id, reason=str(error))
