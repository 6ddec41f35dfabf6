"""Typed values out of cleaned headers. Every fault is an InvalidFile whose sentence names file, header and value."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta, timezone

from adapters.fits.cards import Value
from adapters.fits.header_cleaning import is_blank
from domain.errors import InvalidFile

LARGEST_ID = (1 << 31) - 1
_WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
_MOMENT = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d*))?)?)?"
    r"\s*(?:(?P<utc>Z|UTC?)|(?P<sign>[+-])(?P<hours>\d{2}):?(?P<minutes>\d{2}))?",
    re.ASCII,
)
_OLD_DATE = re.compile(r"(\d{2})/(\d{2})/(\d{2})", re.ASCII)


class HeaderFields:
    """The headers of one file."""

    def __init__(self, headers: dict[str, Value], filename: str) -> None:
        self._headers = headers
        self._filename = filename

    def text(self, key: str) -> str:
        """Trimmed; '' when absent."""
        value = self._headers.get(key)
        return "" if value is None else str(value).strip()

    def number(self, key: str) -> float | None:
        """A finite number, or None when blank."""
        value = self._headers.get(key)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self._fault(key, "isn't a number")
        return number

    def whole(self, key: str, lowest: int, highest: int) -> int | None:
        """A whole number, also as text with leading zeros, or None when blank."""
        value = self._headers.get(key)
        if value is None or is_blank(value):
            return None
        is_text = isinstance(value, str) and _WHOLE.fullmatch(value.strip())
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value)
        if not is_text and not is_number:
            raise self._fault(key, "isn't a whole number")
        whole = int(value)
        if not lowest <= whole <= highest:
            raise self._fault(key, f"must be from {lowest} to {highest}")
        return whole

    def moment(self, key: str) -> datetime | None:
        """Aware, in the offset that the header names (UTC when it names none); None when blank."""
        text = self.text(key)
        if not text:
            return None
        try:
            return parse_moment(text)
        except (ValueError, OverflowError):
            raise self._fault(key, "isn't a date and time like 2024-05-17T03:12:45.678") from None

    def day(self, key: str) -> date | None:
        """A night written as YYYYMMDD or YYYY-MM-DD; None when blank."""
        text = self.text(key)
        if not text:
            return None
        digits = text.replace("-", "") if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII) else text
        try:
            if not re.fullmatch(r"\d{8}", digits, re.ASCII):
                raise ValueError
            return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
        except ValueError:
            raise self._fault(key, "isn't a day like 20240517") from None

    def _fault(self, key: str, why: str) -> InvalidFile:
        return InvalidFile(f"{self._filename} has {key} = {self.text(key)[:80]!r}, which {why}.", field=key)


def parse_moment(text: str) -> datetime:
    """A FITS date (standard 4.0, section 4.4.2, the DD/MM/YY of before 2000 included), aware; without offset UTC.

    More than six digits of a second are cut off; second 60 is the first of the next minute. Raises ValueError, or
    OverflowError at the ends of the calendar.
    """
    text = text.strip()
    old = _OLD_DATE.fullmatch(text)
    if old:
        return datetime(1900 + int(old[3]), int(old[2]), int(old[1]), tzinfo=UTC)
    match = _MOMENT.fullmatch(text)
    if not match:
        raise ValueError(text)
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    microsecond = int((match[7] or "")[:6].ljust(6, "0"))
    zone: timezone = UTC
    if match["sign"]:
        offset = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"]))
        zone = timezone(-offset if match["sign"] == "-" else offset)
    leap = timedelta(seconds=1) if second == 60 else timedelta(0)
    moment = datetime(year, month, day, hour, minute, min(second, 59) if leap else second, microsecond, zone) + leap
    moment.astimezone(UTC)
    return moment
