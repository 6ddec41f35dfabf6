"""Whatever people call their projects and targets, a copy stays in its folder under a name that all providers take."""

from __future__ import annotations

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.destination_paths import MAX_PATH_BYTES, beside, clean_part, normalise_folder, render
from domain.errors import InvalidInput
from domain.frame_record import split_name

NASTY = st.sampled_from(
    ["/", "\\", ".", "..", "../", "\x00", "\n", "\u202e", "\u200b", "\u2028", "~", "$USER", "$", ":", "\ud800"]
) | st.sampled_from(
    ["CON", "nul", "e\u0301", "desktop.ini", "\u0338", "\u00a0", ".fits", ".fits.fz", "é" * 200, "x" * 260, "ﷺ" * 90]
)
TEXT = st.one_of(st.text(), st.lists(st.one_of(NASTY, st.text(max_size=8)), max_size=6).map("".join))
PIECES = st.sampled_from(["$USER", "$PROJECT", "$TARGET", "/", "//", "..", ".", " "])
TEMPLATES = st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=30).map("".join)
WINDOWS_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def assert_every_provider_takes(part: str) -> None:
    assert part not in ("", ".", "..")
    assert len(part.encode()) <= 255
    assert unicodedata.is_normalized("NFC", part)
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in part)
    assert not any(unicodedata.bidirectional(character) in BIDI for character in part)
    assert not any(character.isspace() or character in '/\\"*:<>?|' for character in part)
    assert not part.startswith((".", "~"))
    assert part.split(".")[0].casefold() not in WINDOWS_DEVICES
    assert part.casefold() not in ("desktop.ini", "thumbs.db")


@settings(max_examples=150, deadline=None)
@given(TEXT)
def test_s18_any_text_becomes_one_part_that_every_provider_takes(text: str) -> None:
    assert_every_provider_takes(clean_part(text))


@settings(max_examples=150, deadline=None)
@given(TEXT)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert clean_part(clean_part(text)) == clean_part(text)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["/", "/fits-data", "/a/b c/ü"]), TEMPLATES, TEXT, TEXT, TEXT, TEXT)
def test_s18_a_rendered_path_stays_under_its_destination(
    folder: str, template: str, filename: str, user: str, project: str, target: str
) -> None:
    path = render(folder, template, filename, user=user, project=project, target=target)
    root = folder.rstrip("/")
    assert path.startswith(f"{root}/")
    assert len(path.encode()) <= MAX_PATH_BYTES
    for part in path.removeprefix(f"{root}/").split("/"):
        assert_every_provider_takes(part)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300), st.integers(min_value=1, max_value=2**31))
def test_a_name_beside_another_differs_and_is_taken_by_every_provider(text: str, version_id: int) -> None:
    name = clean_part(text)
    other = beside(f"/a/{name}", version_id).removeprefix("/a/")
    assert other != name
    assert_every_provider_takes(other)


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=80), st.sampled_from([".fits", ".fits.fz", ".tar.gz", ""]))
def test_shortening_keeps_the_extension(text: str, extension: str) -> None:
    base = clean_part(text).replace(".", "_") + "x" * 200
    assert split_name(clean_part(base + extension))[1] == extension


@settings(max_examples=150, deadline=None)
@given(TEXT)
def test_s12_a_destination_path_is_either_refused_or_normal(text: str) -> None:
    try:
        folder = normalise_folder(text)
    except InvalidInput:
        return
    assert folder.startswith("/")
    assert folder == "/" or not folder.endswith("/")
    assert normalise_folder(folder) == folder
    assert not {"", ".", ".."} & set(folder[1:].split("/")) or folder == "/"
    assert all(len(part.encode()) <= 255 for part in folder.split("/"))
