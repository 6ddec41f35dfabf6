"""The keys of many frames at once are those that a search looks for, and are packed as PostgreSQL reads them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from projections.frames.grams import basename_grams, frame_grams, target_grams
from projections.frames.int_arrays import INT2, INT4

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), max_size=8))
def test_the_keys_of_many_frames_are_those_of_each(names: list[tuple[str, str]]) -> None:
    values, bounds = frame_grams(names)
    found = [values[start:end].tolist() for start, end in pairwise(bounds)]
    assert found == [sorted({*basename_grams(basename), *target_grams(target)}) for basename, target in names]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-(2**15), 2**15 - 1), max_size=5), max_size=5))
def test_packed_arrays_say_the_same_as_text(lists: list[list[int]]) -> None:
    for kind in (INT2, INT4):
        packed = [kind.packed(elements) for elements in kind.elements_of(lists)]
        assert [kind.text(array) for array in packed] == [f"{{{','.join(map(str, one))}}}" for one in lists]
