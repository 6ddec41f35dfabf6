"""What people call their things."""

from __future__ import annotations

from domain.errors import InvalidInput

NAME_LENGTH = 200


def clean_name(name: str, what: str, *, field: str = "name") -> str:
    """The name without the white space around it. Raises InvalidInput, in words that begin with `what`, for one that is
    empty, too long, of several lines, or with characters that can't be seen or turn the writing round."""
    name = name.strip()
    if not 1 <= len(name) <= NAME_LENGTH or not name.isprintable():
        raise InvalidInput(f"{what} has 1 to {NAME_LENGTH} printable characters.", field=field)
    return name
