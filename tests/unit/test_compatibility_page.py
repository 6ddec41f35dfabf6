"""docs/ocs-compatibility.md and docs/external-storage.md say no more and no less than the tests prove."""

from __future__ import annotations

import pytest

from tests.compatibility import PAGES, Page, column

pytestmark = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def test_the_page_has_every_row_of_the_contract_once(page: Page) -> None:
    assert set(page.rows()) == page.expected()
    text = page.file.read_text()
    assert all(text.count(f"\n| {row} |") == 1 for row in page.expected())


def test_each_row_names_the_tests_that_prove_it(page: Page) -> None:
    found = page.proofs()
    stale = {
        row: (tests, column(found.get(row, set())))
        for row, (_, tests) in page.rows().items()
        if tests.strip() != column(found.get(row, set()))
    }
    assert not stale, "run `python -m tests.compatibility`"


def test_no_row_is_called_done_without_a_test(page: Page) -> None:
    assert not [row for row, (status, tests) in page.rows().items() if status != page.absent and not tests.strip()]


def test_no_test_names_a_row_that_isnt_there(page: Page) -> None:
    assert set(page.proofs()) <= set(page.rows())
