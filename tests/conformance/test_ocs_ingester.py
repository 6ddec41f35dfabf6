"""The unmodified OCS ingester, in both of its lines, feeds the archive through both kinds of file store."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conftest import REAL, Feeding
from tests.conformance.ingester import IngesterError, command_line
from tests.conformance.made_files import image

MADE = "raw packed reduced master catalog mask guide trailed cube untold circle extensions tar".split()
MADE += ["mask by its extension", "no instrument"]
NUMBERS = ("observation_id", "request_id")
TIMES = ("observation_date", "public_date")
SAME = (
    "basename reduction_level proposal_id instrument_id target_name site_id telescope_id exposure_time "
    "primary_optical_element configuration_type"
).split()
METADATA = {
    "PROPID": "TST2024A-001", "DATE-OBS": "2024-05-17T03:12:45", "DAY-OBS": "20240516", "INSTRUME": "nres01",
    "SITEID": "tst", "TELID": "1m0a", "OBSTYPE": "SPECTRUM", "BLKUID": 77, "REQNUM": 78, "RLEVEL": 92,
}  # fmt: skip


def instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def md5_of(file: Path) -> str:
    return hashlib.md5(file.read_bytes()).hexdigest()


def new_file(folder: Path, number: int = 1, **changes: Any) -> Path:
    """A frame that isn't in any archive yet."""
    file = folder / f"{folder.name}-{number:04}-e00.fits"
    image(NONCE=f"{folder}-{number}", **changes).writeto(file)
    return file


def is_archived(feeding: Feeding, file: Path, sent: dict[str, Any]) -> dict[str, Any]:
    """The archive has what the client sent, and gives the file back."""
    site = feeding.site
    frame: dict[str, Any] = site.admin.get(f"/frames/{sent['frameid']}/").json()
    assert {name: frame[name] for name in SAME} == {name: sent[name] or frame[name] for name in SAME}
    assert [frame[name] and int(frame[name]) for name in NUMBERS] == [
        sent[name] and int(sent[name]) for name in NUMBERS
    ]
    assert [instant(frame[name]) for name in TIMES] == [instant(sent[name]) for name in TIMES]
    assert frame["observation_day"].replace("-", "") == sent["observation_day"]
    assert site.admin.get(f"/frames/{frame['id']}/headers/").json()["data"] == sent["headers"]
    if sent["area"] is None:
        assert "area" not in frame
    else:
        (ours,), (theirs,) = frame["area"]["coordinates"], sent["area"]["coordinates"]
        assert len(ours) == len(theirs)
        for (ra, dec), (sent_ra, sent_dec) in zip(ours, theirs, strict=True):
            assert abs((ra - sent_ra + 180) % 360 - 180) < 1e-9
            assert abs(dec - sent_dec) < 1e-9
    (stored,) = [version for version in frame["version_set"] if version["md5"] == md5_of(file)]
    (version,) = sent["version_set"]
    assert {name: stored[name] for name in ("key", "md5", "extension")} == version
    assert sent["filename"] == file.name
    for link in {sent["url"], stored["url"]}:
        answer = site.anonymous.get(link, follow_redirects=True)
        assert answer.status_code == 200, answer.text
        assert hashlib.md5(answer.content).hexdigest() == version["md5"]
    return frame


@pytest.mark.parametrize("kind", MADE)
def test_f01_f02_d01_a_file_is_stored_recorded_and_downloaded_again(
    feeding: Feeding, made: dict[str, Path], kind: str
) -> None:
    file = made[kind]
    sent = feeding.client.ingest(file)
    is_archived(feeding, file, sent)
    assert not feeding.site.failures()


@pytest.mark.skipif(not REAL.is_dir(), reason="the folder of real FITS files isn't there")
def test_f01_f02_real_frames_are_stored_recorded_and_downloaded_again(feeding: Feeding) -> None:
    files = sorted(file for file in REAL.iterdir() if ".fits" in file.name)
    sent = [(file, feeding.client.ingest(file)) for file in files]
    for file, record in sent:
        frame = feeding.site.admin.get(f"/frames/{record['frameid']}/").json()
        if frame["version_set"][0]["md5"] == md5_of(file):  # else a later file has the same basename
            is_archived(feeding, file, record)
        (version,) = [one for one in frame["version_set"] if one["md5"] == md5_of(file)]
        kept = feeding.site.anonymous.get(version["url"], follow_redirects=True)
        assert hashlib.md5(kept.content).hexdigest() == md5_of(file), file.name
    assert len(files) >= 11
    (summary,) = REAL.glob("*-summary.pdf")
    is_archived(feeding, summary, feeding.client.ingest(summary, file_metadata=METADATA))


def test_f03_frame_exists_is_false_before_and_true_after(feeding: Feeding, tmp_path: Path) -> None:
    file = new_file(tmp_path)
    assert feeding.client.call("frame_exists", file) is False
    feeding.client.ingest(file)
    assert feeding.client.call("frame_exists", file) is True


def test_f04_the_three_steps_do_what_the_one_does(feeding: Feeding, tmp_path: Path) -> None:
    file = new_file(tmp_path)
    record = feeding.client.record(file)
    version = feeding.client.call("upload_file_to_file_store", file)
    assert version["md5"] == md5_of(file)
    sent = feeding.client.call("ingest_archive_record", version=version, record=record)
    is_archived(feeding, file, sent)


def test_f05_the_same_bytes_again_are_refused_without_harm(feeding: Feeding, tmp_path: Path) -> None:
    file = new_file(tmp_path)
    feeding.client.ingest(file)
    for name in (file.name, "another-name-e00.fits"):
        with pytest.raises(IngesterError) as refusal:
            feeding.client.ingest(file, path=name)
        assert refusal.value.kind == "NonFatalDoNotRetryError"
        assert refusal.value.message == "Version with this md5 already exists"


def test_f08_a_pdf_is_archived_with_the_metadata_of_its_sender(feeding: Feeding, tmp_path: Path) -> None:
    file = tmp_path / f"{tmp_path.name}-e92-summary.pdf"
    file.write_bytes(b"%PDF-1.4 " + str(tmp_path).encode())
    sent = feeding.client.ingest(file, file_metadata=METADATA)
    frame = is_archived(feeding, file, sent)
    assert (frame["filename"], frame["configuration_type"], frame["reduction_level"]) == (file.name, "SPECTRUM", 92)


def test_h06_version_ids_of_any_store_are_accepted(feeding: Feeding, tmp_path: Path) -> None:
    sent = feeding.client.ingest(new_file(tmp_path))
    (version,) = sent["version_set"]
    assert len(version["key"]) == (36 if feeding.store == "s3" else 32), "the emulator's are UUIDs, as MinIO's"


def test_h09_links_of_older_versions_keep_working_when_the_record_changes(feeding: Feeding, tmp_path: Path) -> None:
    first, second = new_file(tmp_path, 1), new_file(tmp_path, 2, INSTRUME="fa99", RLEVEL=91)
    name = f"{tmp_path.name}-changing-e00.fits"
    feeding.client.ingest(first, path=name)
    sent = feeding.client.ingest(second, path=name)
    versions = feeding.site.admin.get(f"/frames/{sent['frameid']}/").json()["version_set"]
    assert [version["md5"] for version in versions] == [md5_of(second), md5_of(first)]
    for version in versions:
        kept = feeding.site.anonymous.get(version["url"], follow_redirects=True)
        assert hashlib.md5(kept.content).hexdigest() == version["md5"]


def test_f06_the_command_line_prints_the_link_and_exits_as_it_should(feeding: Feeding, tmp_path: Path) -> None:
    file = new_file(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        return command_line(feeding.version, [str(file), *arguments], feeding.environment)

    assert run("--check-only") == (1, "False")
    code, link = run()
    assert code == 0
    assert link == link.strip()
    kept = feeding.site.anonymous.get(link, follow_redirects=True)
    assert hashlib.md5(kept.content).hexdigest() == md5_of(file)
    assert run("--check-only") == (0, "True")
    assert run() == (0, "Version with this md5 already exists")
    code, text = run("--auth-token", "wrong")
    assert code == 1
    assert text.startswith("Exception uploading file: 401 Client Error")
    code, text = run("--check-only", "--auth-token", feeding.site.user_token)
    assert code == 1
    assert text.startswith("403 Client Error")
    code, text = command_line(feeding.version, [str(tmp_path / "absent.fits")], feeding.environment)
    assert (code, text[:9]) == (1, "[Errno 2]")
