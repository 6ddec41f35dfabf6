"""Substring search without an extension: every three characters in a row, hashed to 15 bits, under a GIN index.

A frame whose text contains the wanted one has all of its trigrams; the others are told apart by looking at the text.
"""

from __future__ import annotations

from domain.frame_record import folded

_BASENAME, _TARGET = 0, 7919
"""The two texts of a frame hash differently, so that a target isn't found among basenames."""


def basename_grams(basename: str) -> list[int]:
    """Keys of all trigrams of a basename."""
    return _grams(basename.lower(), _BASENAME)


def target_grams(target: str) -> list[int]:
    """Keys of all trigrams of a target name."""
    return _grams(folded(target), _TARGET)


def _grams(text: str, seed: int) -> list[int]:
    codes = [ord(character) for character in text]
    return sorted(
        {(a * 961 + b * 31 + c + seed) & 0x7FFF for a, b, c in zip(codes, codes[1:], codes[2:], strict=False)}
    )
