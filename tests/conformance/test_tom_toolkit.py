"""The unmodified TOM Toolkit finds and downloads the data products of a request."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.environments import Unavailable, clean_environment, interpreter
from tests.postgres import fresh_database
from tests.records import FUTURE, fits_bytes, new_name, record
from tests.site import PROPOSAL, Site, running_site

SCRIPT = Path(__file__).parent / "tom_script.py"
PAGE = 20
"""Rows that the archive gives at most; the toolkit asks for 1000 and follows the links."""


@pytest.fixture(scope="module")
def python() -> Path:
    try:
        return interpreter("tomtoolkit-3.1")
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def site(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with (
        fresh_database(cluster, template=template) as conninfo,
        running_site(folder, conninfo, {"PAGINATION_MAX_LIMIT": str(PAGE)}, prepared=True) as running,
    ):
        yield running


def ask(python: Path, site: Site, token: str, *questions: tuple[str, int, int | None]) -> list[Any]:
    """What the toolkit answers."""
    done = subprocess.run(
        [python, SCRIPT, site.url, token, json.dumps(questions)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return answers


def test_p04_the_products_of_a_request_are_found_on_all_pages_and_downloaded(python: Path, site: Site) -> None:
    data = fits_bytes(REQNUM=4711, DATE_OBS="2024-01-02T03:04:05.678")
    frame = site.ingest(data, f"{new_name()}.fits")
    for _ in range(2 * PAGE):
        site.post(record(request_id=4711))
    site.post(record(request_id=4712))
    ocs, lco, nothing, one = ask(
        python, site, site.admin_token, ("OCS", 4711, None), ("LCO", 4711, None), ("OCS", 1, None),
        ("OCS", 4711, frame["id"]),
    )  # fmt: skip
    assert len(ocs) == len({product["id"] for product in ocs}) == 2 * PAGE + 1
    assert {product["id"] for product in lco} == {product["id"] for product in ocs}
    assert nothing == []
    (product,) = [product for product in ocs if product["id"] == frame["id"]]
    assert product.keys() == {"id", "filename", "created", "url"}
    assert product["filename"] == frame["filename"]
    assert datetime.fromisoformat(product["created"]) == datetime.fromisoformat("2024-01-02T03:04:05.678Z")
    assert one == [product]
    assert site.anonymous.get(product["url"]).content == data


def test_b10_the_toolkit_sees_what_its_token_may_see(python: Path, site: Site) -> None:
    own = site.post(record(request_id=5001, proposal_id=PROPOSAL, public_date=FUTURE))
    site.post(record(request_id=5001, proposal_id="P-OTHER", public_date=FUTURE))
    public = site.post(record(request_id=5001))
    expected = {site.user_token: {own["id"], public["id"]}, "": {public["id"]}}
    for token, ids in expected.items():
        (products,) = ask(python, site, token, ("OCS", 5001, None))
        assert {product["id"] for product in products} == ids
    (refused,) = ask(python, site, "wrong", ("OCS", 5001, None))
    assert refused.startswith("ImproperCredentialsException")


def test_p04_lists_have_what_clients_know_that_know_no_count_estimated(site: Site) -> None:
    for _ in range(3):
        site.post(record(observation_id=6001))
    page = site.admin.get("/frames/", params={"BLKUID": 6001, "limit": 2}).json()
    known = {name: page[name] for name in ("count", "next", "previous", "results")}
    assert (known["count"], len(known["results"]), known["previous"]) == (3, 2, None)
    rest = site.admin.get(known["next"]).json()
    assert (len(rest["results"]), rest["next"]) == (1, None)
    assert set(page) - set(known) == {"count_estimated"}, "one key more, which they don't look at"
