"""docs/external-storage.md names what is there: messages as the code has them, settings, placeholders and routes."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from api.setting_list import SETTINGS
from api.v1.description import operations
from domain.destination_paths import VARIABLES
from tests.compatibility import ROOT, STORAGE

PAGE = STORAGE.file.read_text()
_, _, _AFTER = PAGE.partition("## Troubleshooting\n")
SYMPTOMS = re.findall(r"^\| `([^`]+)` \|", _AFTER.partition("\n## ")[0], re.MULTILINE)


@cache
def texts() -> tuple[str, ...]:
    """Every text in the program, those between the holes of f-strings too."""
    folders = ("domain", "application", "adapters", "api")
    trees = (ast.parse(file.read_text()) for folder in folders for file in (ROOT / folder).rglob("*.py"))
    constants = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return tuple(node.value for node in constants if isinstance(node.value, str))


def test_many_symptoms_are_told() -> None:
    assert len(SYMPTOMS) >= 15
    assert len(set(SYMPTOMS)) == len(SYMPTOMS)


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_a_symptom_is_a_message_of_the_program(symptom: str) -> None:
    """`…` stands for what differs from case to case."""
    for piece in filter(None, (part.strip() for part in symptom.split("…"))):
        assert any(piece in text for text in texts()), piece


def test_a_symptom_that_nobody_says_would_be_noticed() -> None:
    assert not any("The destination is on the moon." in text for text in texts())


def test_every_setting_that_is_named_is_there() -> None:
    assert set(re.findall(r"STARFERRY_[A-Z0-9_]+", PAGE)) <= SETTINGS.keys()


def test_all_placeholders_of_templates_are_told() -> None:
    assert all(f"\n| `${name}` |" in PAGE for name in VARIABLES)


def test_every_route_that_is_named_is_there() -> None:
    known = [re.sub(r"\{[^}]*\}", "[^/]+", operation.path) for operation in operations()]
    named = set(re.findall(r"(?<=\$A)(/api/v1/[^\s\"'?`]+)", PAGE))
    assert named
    assert [route for route in named if not any(re.fullmatch(pattern, route) for pattern in known)] == []


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGE):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        text = (STORAGE.file.parent / name).read_text() if name else PAGE
        titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}
        assert not anchor or anchor in anchors, target
