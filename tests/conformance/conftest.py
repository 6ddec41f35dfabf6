"""A site that an unmodified OCS ingester feeds, through each kind of file store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from tests.conformance.environments import Unavailable
from tests.conformance.ingester import VERSIONS, Ingester, running_ingester
from tests.conformance.made_files import make_files
from tests.postgres import fresh_database
from tests.s3_emulator import ACCESS_KEY, SECRET_KEY, S3Emulator, running_s3
from tests.site import Site, running_site

COMBINATIONS = [(version, store) for version in VERSIONS for store in ("directory", "s3")]
REAL = Path(__file__).resolve().parents[2].parent / "shared" / "fits"


class Feeding(msgspec.Struct, frozen=True):
    """A site, the client, and the environment that the client was given."""

    site: Site
    client: Ingester
    version: str
    store: str
    environment: dict[str, str]


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Emulator]:
    with running_s3() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of every sort."""
    return make_files(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module", params=COMBINATIONS, ids=["-".join(pair) for pair in COMBINATIONS])
def feeding(
    request: pytest.FixtureRequest, cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Feeding]:
    """The client and the service share nothing but the file store and the API."""
    version, store = request.param
    folder = tmp_path_factory.mktemp("site")
    shared = _directory(folder) if store == "directory" else _bucket(request.getfixturevalue("s3"))
    with ExitStack() as stack:
        conninfo = stack.enter_context(fresh_database(cluster, template=template))
        site = stack.enter_context(running_site(folder, conninfo, shared, prepared=True))
        environment = {**shared, "API_ROOT": f"{site.url}/", "AUTH_TOKEN": site.admin_token}
        try:
            client = stack.enter_context(running_ingester(version, environment))
        except Unavailable as error:
            pytest.skip(str(error))
        yield Feeding(site, client, version, store, environment)


def _directory(folder: Path) -> dict[str, str]:
    root = folder / "store"
    root.mkdir()
    return {"FILESTORE_TYPE": "local", "FILESYSTEM_STORAGE_ROOT_DIR": str(root)}


def _bucket(s3: S3Emulator) -> dict[str, str]:
    return {
        "FILESTORE_TYPE": "s3",
        "BUCKET": s3.new_bucket(),
        "S3_ENDPOINT_URL": s3.endpoint,
        "S3_ADDRESSING_STYLE": "path",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
