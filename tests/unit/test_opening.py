"""What can't be right of a destination's credentials is refused before anything is opened, and tells nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.destinations.opening import Destinations, Endpoints
from domain.errors import InvalidInput

NOWHERE: Any = None
OUTSIDE = "isn't below a root that the operator allows"


@pytest.fixture
def destinations(tmp_path: Path) -> Destinations:
    (tmp_path / "allowed" / "mine").mkdir(parents=True)
    (tmp_path / "private").mkdir()
    (tmp_path / "allowed" / "way-out").symlink_to(tmp_path / "private")
    (tmp_path / "allowed" / "round").symlink_to("round")
    (tmp_path / "allowed" / "file").write_text("x")
    return Destinations([tmp_path / "allowed"], NOWHERE, Endpoints())


def refusal(destinations: Destinations, root: str) -> str:
    with pytest.raises(InvalidInput) as refused:
        destinations.check("folder", {"root": root}, {})
    assert refused.value.field == "credentials"
    return str(refused.value)


def test_s04_folders_below_an_allowed_root_may_be_used(destinations: Destinations, tmp_path: Path) -> None:
    for name in ("", "mine", "mine/../mine"):
        destinations.check("folder", {"root": str(tmp_path / "allowed" / name)}, {})


def test_s04_all_that_is_outside_gets_the_same_answer_whether_or_not_it_is_there(
    destinations: Destinations, tmp_path: Path
) -> None:
    there = [tmp_path, tmp_path / "private", tmp_path / "allowed/way-out", Path("/proc/1/root"), Path("/")]
    not_there = [tmp_path / "nothing", tmp_path / "allowed/../nothing", tmp_path / ("x" * 300), Path("/a\0b")]
    answers = {refusal(destinations, str(root)) for root in (*there, *not_there)}
    assert len(answers) == 1
    assert OUTSIDE in answers.pop()


def test_s04_what_is_inside_and_no_folder_is_named(destinations: Destinations, tmp_path: Path) -> None:
    for name in ("file", "missing", "x" * 300, "round/below"):
        told = refusal(destinations, str(tmp_path / "allowed" / name))
        assert "There is no folder" in told or OUTSIDE in told
