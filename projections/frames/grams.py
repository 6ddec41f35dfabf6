"""Substring search without an extension: every three characters in a row, hashed to 15 bits, under a GIN index.

A frame whose text contains the wanted one has all of its trigrams; the others are told apart by looking at the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise

import numpy as np

from domain.frame_record import folded

_BASENAME, _TARGET = 0, 7919
"""The two texts of a frame hash differently, so that a target isn't found among basenames."""
_BITS = 15


def basename_grams(basename: str) -> list[int]:
    """Keys of all trigrams of a basename."""
    return _grams(basename.lower(), _BASENAME)


def target_grams(target: str) -> list[int]:
    """Keys of all trigrams of a target name."""
    return _grams(folded(target), _TARGET)


def frame_grams(names: Sequence[tuple[str, str]]) -> list[list[int]]:
    """For each basename and target, all keys of both, sorted: as the two functions above give them, a sixth of the
    time for hundreds of frames."""
    texts = list(chain.from_iterable((basename.lower(), folded(target)) for basename, target in names))
    characters = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)
    text = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    if len(characters) < 3:
        return [[] for _ in names]
    first = text[:-2]
    hashed = characters[:-2] * 961 + characters[1:-1] * 31 + characters[2:] + np.where(first & 1, _TARGET, _BASENAME)
    keys = (first >> 1 << _BITS) | (hashed & (1 << _BITS) - 1)
    keys = np.sort(keys[first == text[2:]])
    keys = keys[np.diff(keys, prepend=-1) != 0]
    bounds = np.searchsorted(keys, np.arange(len(names) + 1) << _BITS).tolist()
    values = (keys & (1 << _BITS) - 1).tolist()
    return [values[start:end] for start, end in pairwise(bounds)]


def _grams(text: str, seed: int) -> list[int]:
    codes = [ord(character) for character in text]
    return sorted(
        {(a * 961 + b * 31 + c + seed) & 0x7FFF for a, b, c in zip(codes, codes[1:], codes[2:], strict=False)}
    )
