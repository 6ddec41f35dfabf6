"""docs/ocs-compatibility.md says no more and no less than the tests prove."""

from __future__ import annotations

from tests import compatibility

COUNTS = {"A": 46, "B": 14, "C": 14, "D": 12, "E": 16, "F": 11, "G": 19, "H": 10, "P": 5}
"""How many rows the contract has, by their letter."""


def test_the_page_has_every_row_of_the_contract_once() -> None:
    expected = {f"{letter}{number:02}" for letter, count in COUNTS.items() for number in range(1, count + 1)}
    assert set(compatibility.rows()) == expected
    text = compatibility.PAGE.read_text()
    assert all(text.count(f"\n| {row} |") == 1 for row in expected)


def test_each_row_names_the_tests_that_prove_it() -> None:
    found = compatibility.proofs()
    stale = {
        row: (tests, compatibility.column(found.get(row, set())))
        for row, (_, tests) in compatibility.rows().items()
        if tests.strip() != compatibility.column(found.get(row, set()))
    }
    assert not stale, "run `python -m tests.compatibility`"


def test_no_row_is_called_done_without_a_test() -> None:
    assert not [row for row, (status, tests) in compatibility.rows().items() if status != "no" and not tests.strip()]


def test_no_test_names_a_row_that_isnt_there() -> None:
    assert set(compatibility.proofs()) <= set(compatibility.rows())
