"""Keeps the pages that have a row for each promise in step with the tests: which test files prove which row.

A test proves a row when its name begins with the row's id: `test_a24_…`, or several: `test_b10_b12_…`.
`python -m tests.compatibility` writes the last column of the pages' tables anew.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[1]
_ROW = re.compile(r"^\| (?P<id>[A-Z]\d\d) \| (?P<feature>.*?) \| (?P<status>.*?) \| (?P<tests>.*?) ?\|$")
_TEST = re.compile(r"^\s*(?:async )?def test_((?:[a-z]\d\d_)+)", re.MULTILINE)


class Page(msgspec.Struct, frozen=True):
    """A page below `docs/`. `counts` says how many rows its contract has, by their letter; `absent` is the status of a
    row that isn't kept."""

    name: str
    counts: dict[str, int]
    absent: str

    @property
    def file(self) -> Path:
        """Where it is."""
        return ROOT / "docs" / self.name

    def expected(self) -> set[str]:
        """The ids of all rows of the contract."""
        return {f"{letter}{number:02}" for letter, count in self.counts.items() for number in range(1, count + 1)}

    def rows(self) -> dict[str, tuple[str, str]]:
        """Status and tests of each row, as they stand there."""
        lines = self.file.read_text().splitlines()
        return {match["id"]: (match["status"], match["tests"]) for line in lines if (match := _ROW.match(line))}

    def proofs(self) -> dict[str, set[str]]:
        """For each of its rows the test files that prove it, below `tests/`."""
        found: dict[str, set[str]] = defaultdict(set)
        for file in sorted((ROOT / "tests").rglob("test_*.py")):
            for ids in _TEST.findall(file.read_text()):
                for row in ids.upper().strip("_").split("_"):
                    if row[0] in self.counts:
                        found[row].add(file.relative_to(ROOT / "tests").as_posix())
        return found

    def write(self) -> None:
        """Write the last column anew."""
        found = self.proofs()

        def renewed(line: str) -> str:
            match = _ROW.match(line)
            if not match:
                return line
            tests = column(found.get(match["id"], set()))
            return f"| {match['id']} | {match['feature']} | {match['status']} | {tests} |".replace("|  |", "| |")

        self.file.write_text("\n".join(renewed(line) for line in self.file.read_text().splitlines()) + "\n")


ARCHIVE = Page(
    "ocs-compatibility.md", {"A": 46, "B": 14, "C": 14, "D": 12, "E": 16, "F": 11, "G": 19, "H": 10, "P": 5}, "no"
)
STORAGE = Page("external-storage.md", {"S": 63}, "not yet")
PAGES = (ARCHIVE, STORAGE)


def column(files: set[str]) -> str:
    """How a page names test files."""
    return ", ".join(f"`{file}`" for file in sorted(files))


if __name__ == "__main__":
    for page in PAGES:
        page.write()
