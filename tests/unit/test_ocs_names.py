"""A configuration that was made for the OCS archive is accepted as it is, and `starferry config` tells what it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.fits.settings import FitsSettings
from api.ocs_names import WITHOUT_EFFECT
from api.setting_list import SETTINGS
from api.settings import Settings

ARCHIVE = {
    "SECRET_KEY": "a-secret-of-theirs",
    "DEBUG": "True",
    "DB_HOST": "db.example.org",
    "DB_HOST_READER": "replica.example.org",
    "DB_PORT": "5433",
    "DB_NAME": "science",
    "DB_USER": "archivist",
    "DB_PASS": "a-password-of-theirs",
    "CACHE_LOC": "memcached.archiveapi:11211",
    "CACHE_BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
    "OAUTH_TOKEN_URL": "http://127.0.0.1:8001/o/token/",
    "OAUTH_PROFILE_URL": "http://127.0.0.1:8001/api/profile/",
    "OAUTH_CLIENT_ID": "client",
    "OAUTH_CLIENT_SECRET": "a-client-secret-of-theirs",
    "OAUTH_SERVER_KEY": "a-server-key-of-theirs",
    "QUEUE_BROKER_URL": "amqp://somebody:a-broker-password@127.0.0.1:5672",
    "PROCESSED_EXCHANGE_ENABLED": "True",
    "PROCESSED_EXCHANGE_NAME": "archived_fits",
    "CONFIGDB_URL": "http://127.0.0.1:8002",
    "CONFIGURATION_TYPES": "BIAS,EXPOSE,ARC",
    "SCIENCE_CONFIGURATION_TYPES": "EXPOSE",
    "ZIP_DOWNLOAD_FILENAME_BASE": "their_data",
    "ZIP_DOWNLOAD_MAX_UNCOMPRESSED_FILES": "5",
    "THUMBNAIL_SIZE_CHOICES": "small,large",
    "NAVBAR_TITLE_TEXT": "Their archive",
    "NAVBAR_TITLE_URL": "https://archive.example.org",
    "TERMS_OF_SERVICE_URL": "https://example.org/terms",
    "DOCUMENTATION_URL": "https://example.org/docs",
    "PAGINATION_DEFAULT_LIMIT": "50",
    "PAGINATION_MAX_LIMIT": "500",
    "GUIDE_CAMERAS_TO_PERSIST": "kb99,kb98",
}
"""All names of the contract's chapter 1.13, with values as operators have them."""

LIBRARY = {
    "FILESTORE_TYPE": "s3",
    "FILESYSTEM_STORAGE_ROOT_DIR": "/srv/frames",
    "FILESYSTEM_STORAGE_BASE_URL": "http://files.example.org/",
    "BUCKET": "frames",
    "AWS_ACCESS_KEY_ID": "an-access-key-of-theirs",
    "AWS_SECRET_ACCESS_KEY": "an-aws-secret-of-theirs",
    "AWS_DEFAULT_REGION": "us-west-2",
    "S3_ENDPOINT_URL": "http://127.0.0.1:9000",
    "S3_SIGNATURE_VERSION": "s3v4",
    "S3_ADDRESSING_STYLE": "path",
    "S3_DAYS_TO_IA_STORAGE": "30",
    "OBSERVATION_PORTAL_BASE_URL": "http://127.0.0.1:8001",
    "OBSERVATION_PORTAL_API_TOKEN": "a-portal-token-of-theirs",
    "PRIVATE_PROPOSAL_TAGS": "private",
    "PUBLIC_PROPOSAL_TAGS": "public",
    "FILETYPE_MAPPING_OVERRIDES": "{'.tar.gz': 'ocs_archive.input.lcotarwithfitsfile.LcoTarWithFitsFile'}",
    "IGNORED_CHARS": "-l00,tstnrs",
    "HEADER_BLACKLIST": "HISTORY,COMMENT",
    "REQUIRED_HEADERS": "PROPID,DATE-OBS",
    "REQUIRED_THUMBNAIL_METADATA": "frame_basename,size",
    "NULL_HEADER_VALUES": "N/A",
    "CALIBRATION_TYPES": "BIAS",
    "PUBLIC_PROPOSALS": "EPO",
    "PRIVATE_PROPOSALS": "LCOEngineering",
    "PRIVATE_FILE_TYPES": "-t00",
    "DAYS_UNTIL_PUBLIC": "30",
    **{
        f"{name}_KEY": "OTHER"
        for name in (
            "OBSERVATION_DATE OBSERVATION_DAY OBSERVATION_END_TIME REDUCTION_LEVEL EXPOSURE_TIME INSTRUMENT_ID SITE_ID "
            "TELESCOPE_ID OBSERVATION_ID CONFIGURATION_ID REQUEST_ID REQUESTGROUP_ID PRIMARY_OPTICAL_ELEMENT "
            "TARGET_NAME CONFIGURATION_TYPE PROPOSAL_ID PUBLIC_DATE CATALOG_TARGET_FRAME THUMBNAIL_FRAME_BASENAME "
            "THUMBNAIL_SIZE RADIUS RA DEC"
        ).split()
    },
    "RELATED_FRAME_KEYS": "FLAT,DARK",
}
"""All names of chapter 4.6 and the keys of 4.2."""

NAMES = {**ARCHIVE, **LIBRARY}
HIDDEN = [value for value in NAMES.values() if "theirs" in value] + ["a-broker-password"]


def test_e13_the_whole_configuration_of_an_archive_is_accepted(tmp_path: Path) -> None:
    shown = {name: (value, source) for name, value, source, _ in Settings(NAMES, data=tmp_path).shown()}
    assert NAMES.keys() <= shown.keys()
    for name, text in NAMES.items():
        value, source = shown[name]
        assert source == ("environment" if name in SETTINGS or name in FitsSettings.variables() else "no effect"), name
        assert value in (text, "********", ""), name
    FitsSettings.from_environment(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_e13_each_name_is_in_force_or_known_to_change_nothing(name: str, tmp_path: Path) -> None:
    row = next(row for row in Settings({name: NAMES[name]}, data=tmp_path).shown() if row[0] == name)
    assert row[3].strip()
    assert (row[2] == "no effect") == (name not in SETTINGS and name not in FitsSettings.variables())
    if row[2] == "no effect":
        assert row[3] == WITHOUT_EFFECT[name]


def test_e13_no_secret_of_such_a_configuration_is_shown(tmp_path: Path) -> None:
    shown = repr(Settings(NAMES, data=tmp_path).shown())
    assert not [secret for secret in HIDDEN if secret in shown]


def test_e13_a_configuration_file_may_hold_them_too(tmp_path: Path) -> None:
    file = tmp_path / "starferry.toml"
    file.write_text("".join(f"{name} = {value!r}\n" for name, value in NAMES.items() if "'" not in value))
    shown = {row[0]: row for row in Settings({"STARFERRY_CONFIG": str(file)}, data=tmp_path).shown()}
    assert shown["SITE_ID_KEY"][1:3] == ("OTHER", "file")
    assert shown["PAGINATION_MAX_LIMIT"][1:3] == ("500", "file")


def test_e13_each_name_is_shown_once(tmp_path: Path) -> None:
    names = [row[0] for row in Settings({}, data=tmp_path).shown()]
    assert len(names) == len(set(names))
