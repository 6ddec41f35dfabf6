"""What can't be right of a destination's credentials is refused before anything is opened, and tells nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters.destinations.opening import Destinations, Endpoints
from domain.errors import InvalidInput
from domain.storage_configs import Provider

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
    return refused(destinations, "folder", {"root": root}, {})


def refused(
    destinations: Destinations, provider: Provider, options: Mapping[str, str], secrets: Mapping[str, str]
) -> str:
    with pytest.raises(InvalidInput) as error:
        destinations.check(provider, options, secrets)
    assert error.value.field == "credentials"
    return str(error.value)


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


KEY = {"type": "service_account", "client_email": "a@b.iam.gserviceaccount.com", "private_key": "hush"}


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "{", "[" * 100_000, '{"a":' * 100_000, "9" * 5000,
        json.dumps({**KEY, "type": "authorized_user"}),
        json.dumps({name: value for name, value in KEY.items() if name != "type"}),
        json.dumps({**KEY, "private_key": 1}), json.dumps({**KEY, "client_email": None}),
    ],
)  # fmt: skip
def test_s03_what_is_no_service_accounts_key_is_refused_without_repeating_it(
    destinations: Destinations, text: str
) -> None:
    told = refused(destinations, "google_cloud_storage", {"bucket": "frames"}, {"service_account_json": text})
    assert told == "service_account_json isn't the JSON key of a Google service account."


@pytest.mark.parametrize("bucket", ["abc", "frames-2026", "a.b_c-d", "0" * 222])
def test_s03_buckets_have_names_as_google_allows_them(destinations: Destinations, bucket: str) -> None:
    destinations.check("google_cloud_storage", {"bucket": bucket}, {"service_account_json": json.dumps(KEY)})


@pytest.mark.parametrize(
    "bucket", ["", "ab", "0" * 223, "Frames", "a/b", "a..b", "-ab", "ab-", ".ab", "a b", "ab\n", "a?b", "größe"]
)
def test_s03_other_names_are_refused(destinations: Destinations, bucket: str) -> None:
    secrets = {"service_account_json": json.dumps(KEY)}
    assert "bucket" in refused(destinations, "google_cloud_storage", {"bucket": bucket}, secrets)


APPS: tuple[tuple[Provider, str, str], ...] = (
    ("dropbox", "app_key", "app_secret"),
    ("google_drive", "client_id", "client_secret"),
)


@pytest.mark.parametrize("value", ["", " hush", "hu sh", "hush\n", "hu\tsh", "hu\0sh", "hu\u202esh", "x" * 2001])
@pytest.mark.parametrize(("provider", "key", "secret"), APPS)
def test_s01_s02_an_apps_key_and_secret_are_one_printable_word(
    destinations: Destinations, provider: Provider, key: str, secret: str, value: str
) -> None:
    for options, secrets, name in (({key: value}, {secret: "x"}, key), ({key: "x"}, {secret: value}, secret)):
        told = refused(destinations, provider, options, secrets)
        assert told.startswith(f"{name} has to be given")
        assert "sh" not in told
    destinations.check(provider, {key: "x" * 2000}, {secret: "!~"})
