"""The key and the secret of a user's own app at a provider, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from domain.errors import InvalidInput

LONGEST = 2000
"""Far more than any provider's; these go into addresses and forms."""


def check_app(names: Iterable[str], given: Mapping[str, str]) -> None:
    """Raise InvalidInput, naming the field and not what is in it, when one of these can't be right."""
    for name in names:
        value = given.get(name, "")
        # a space, too, is a slip of copying: of all white space only that is printable
        if not 1 <= len(value) <= LONGEST or not value.isprintable() or " " in value:
            raise InvalidInput(
                f"{name} has to be given: 1 to {LONGEST} printable characters without spaces.", field="credentials"
            )
