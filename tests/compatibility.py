"""Keeps docs/ocs-compatibility.md in step with the tests: which test files prove which row.

A test proves a row when its name begins with the row's id: `test_a24_…`, or several: `test_b10_b12_…`.
`python -m tests.compatibility` writes the last column of the page's tables anew.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "ocs-compatibility.md"
_ROW = re.compile(r"^\| (?P<id>[A-HP]\d\d) \| (?P<feature>.*?) \| (?P<status>.*?) \| (?P<tests>.*?) ?\|$")
_TEST = re.compile(r"^\s*(?:async )?def test_((?:[a-hp]\d\d_)+)", re.MULTILINE)


def proofs() -> dict[str, set[str]]:
    """For each row the test files that prove it, below `tests/`."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for ids in _TEST.findall(file.read_text()):
            for row in ids.upper().strip("_").split("_"):
                found[row].add(file.relative_to(ROOT / "tests").as_posix())
    return found


def rows() -> dict[str, tuple[str, str]]:
    """Status and tests of each row of the page, as they stand there."""
    lines = PAGE.read_text().splitlines()
    return {match["id"]: (match["status"], match["tests"]) for line in lines if (match := _ROW.match(line))}


def column(files: set[str]) -> str:
    """How the page names test files."""
    return ", ".join(f"`{file}`" for file in sorted(files))


def write() -> None:
    """Write the page's last column anew."""
    found = proofs()

    def renewed(line: str) -> str:
        match = _ROW.match(line)
        if not match:
            return line
        tests = column(found.get(match["id"], set()))
        return f"| {match['id']} | {match['feature']} | {match['status']} | {tests} |".replace("|  |", "| |")

    PAGE.write_text("\n".join(renewed(line) for line in PAGE.read_text().splitlines()) + "\n")


if __name__ == "__main__":
    write()
