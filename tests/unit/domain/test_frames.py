"""Frames: versions arrive, calibrations are reported, bytes leave the server."""

from __future__ import annotations

import msgspec
import pytest

from domain import frames
from domain.deletion import SafeToDelete
from domain.errors import NotAllowedNow
from domain.event import Event
from domain.frames import (
    CalibrationCompleted,
    CalibrationFailed,
    FileDeletedFromServer,
    FilesRemoved,
    Frame,
    FrameAmended,
    FrameDeleted,
)
from domain.thumbnails import ThumbnailAdded, ThumbnailRemoved
from tests.fakes.samples import file_processed, recorded, thumbnail, version

ARRIVED = file_processed("m31", version(1), observation="obs")
AGAIN = file_processed("m31", version(5), observation="obs")
CALIBRATED = CalibrationCompleted(calibrated="m31-e91", version_id=2, observation="obs")
NO_CALIBRATION = CalibrationFailed(outcome="failed", reason="No flat.", observation="obs")
REMOVED = FileDeletedFromServer(
    frame_id=1000, version_id=1, path="files/1.fits", key="key-1", justified_by=("v1-cfg-a",)
)


def after(*events: Event) -> Frame:
    return frames.fold(recorded(*events))


def test_a_frame_exists_from_its_first_file_on() -> None:
    assert not frames.fold([]).exists
    frame = after(ARRIVED)
    assert (frame.exists, frame.id, frame.observation) == (True, 1000, "obs")
    assert frame.newest == version(1)


def test_a_further_file_adds_a_version_and_keeps_the_first() -> None:
    frame = after(ARRIVED, file_processed("m31", version(2)))
    assert [known.id for known in frame.versions] == [1, 2]
    assert frame.newest == version(2)
    assert frame.version(1) == version(1)
    assert frame.version(3) is None
    assert frame.observation == "obs", "a file that names no observation doesn't take it away"


def test_an_amendment_replaces_the_record_and_keeps_headers_that_it_does_not_give() -> None:
    record = msgspec.structs.replace(ARRIVED.record, target_name="M 31")
    frame = after(ARRIVED, FrameAmended(frame_id=1000, record=record))
    assert frame.record == record
    assert bytes(frame.headers) == b"{}"
    amended = after(ARRIVED, FrameAmended(frame_id=1000, record=record, headers=msgspec.Raw(b'{"A":1}')))
    assert bytes(amended.headers) == b'{"A":1}'


def test_an_amendments_headers_survive_being_stored() -> None:
    for amended in (
        FrameAmended(frame_id=1000, record=ARRIVED.record, headers=msgspec.Raw(b'{"A":1}')),
        FrameAmended(frame_id=1000, record=ARRIVED.record),
    ):
        again = msgspec.json.decode(msgspec.json.encode(amended), type=FrameAmended)
        assert (again, again.has_headers) == (amended, amended.has_headers)


def test_a_deleted_frame_is_gone_but_its_stream_goes_on() -> None:
    frame = after(ARRIVED, FrameDeleted(frame_id=1000, versions=(version(1),)))
    assert (frame.exists, frame.versions, frame.stream_version) == (False, (), 2)


def test_a38_a_deletion_names_all_that_goes_with_the_frame() -> None:
    added = ThumbnailAdded(frame_id=1000, thumbnail=thumbnail(5))
    frame = after(ARRIVED, added)
    (deleted,) = frames.delete(frame)
    assert deleted == FrameDeleted(frame_id=1000, versions=(version(1),), thumbnails=(thumbnail(5),))
    assert isinstance(deleted, FrameDeleted)
    assert frames.names_given_up(deleted) == (*frames.claims_of(version(1)), "thumbnail:small-5")
    assert frames.delete(after(ARRIVED, deleted)) == (), "deleting twice is deleting once"
    assert after(ARRIVED, deleted, FilesRemoved(deletion=2)).removed == {2}


def test_a40_a_thumbnail_is_added_replaced_and_removed() -> None:
    added = ThumbnailAdded(frame_id=1000, thumbnail=thumbnail(5))
    assert after(ARRIVED, added).thumbnail("small-5") == thumbnail(5)
    other = thumbnail(5, "small-5", key="other")
    frame = after(ARRIVED, added, ThumbnailAdded(frame_id=1000, thumbnail=other, replaced=thumbnail(5)))
    assert frame.thumbnails == (other,)
    assert after(ARRIVED, added, ThumbnailRemoved(frame_id=1000, thumbnail=thumbnail(5))).thumbnails == ()


def test_a37_an_edit_that_changes_nothing_is_no_event() -> None:
    frame = after(ARRIVED)
    assert frames.amend(frame, {"target_name": ARRIVED.record.target_name}) == ()
    assert frames.amend(frame, {}) == ()
    (amended,) = frames.amend(frame, {"target_name": "M 33"})
    assert isinstance(amended, FrameAmended)
    assert (amended.record.target_name, amended.has_headers) == ("M 33", False)


def test_a37_another_set_of_related_frames_says_what_is_added_and_removed() -> None:
    frame = after(file_processed("m31", version(1), related=("a", "waiting")))
    (change,) = frames.relate(frame, ("b", "a", "b", "m31"), ("a", "naming"))
    assert (change.added, change.removed) == (("b",), ("waiting", "naming"))
    changed = frames.fold([*recorded(file_processed("m31", version(1), related=("a", "waiting")), change)])
    assert changed.record is not None
    assert changed.record.related == ("a", "b")
    assert frames.relate(frame, ("a", "waiting"), ("a", "waiting")) == ()
    assert frames.relate(frame, (), ())[0].removed == ("a", "waiting")


def test_the_stream_follows_from_the_basename() -> None:
    assert frames.stream_of("m31") == "frame:m31"


def test_a_version_claims_its_md5_and_its_key() -> None:
    assert frames.claims_of(version(1)) == (f"md5:{version(1).md5}", "key:key-1")


def test_the_observation_is_the_one_given_at_ingest_else_the_number_in_the_headers() -> None:
    assert frames.observation_of(file_processed("a", version(1), observation="obs", number=7)) == "obs"
    assert frames.observation_of(file_processed("a", version(1), number=7)) == "7"
    assert frames.observation_of(file_processed("a", version(1), number=0)) == "0"
    assert frames.observation_of(file_processed("a", version(1))) is None


def test_a_file_is_calibrated_when_it_names_its_raw_frame_or_has_a_reduction_level() -> None:
    assert not frames.is_calibrated(ARRIVED)
    assert frames.is_calibrated(file_processed("b", version(1), calibrated_from="m31"))
    assert frames.is_calibrated(file_processed("b", version(1), level=91))
    assert after(ARRIVED).is_raw
    assert not after(file_processed("b", version(1), calibrated_from="m31")).is_raw
    assert not after(file_processed("b", version(1), level=91)).is_raw


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([ARRIVED], True),
        ([ARRIVED, CALIBRATED], False),
        ([ARRIVED, NO_CALIBRATION], False),
        ([ARRIVED, CALIBRATED, AGAIN], True),
        ([ARRIVED, NO_CALIBRATION, AGAIN], True),
        ([ARRIVED, AGAIN, CALIBRATED], False),
        ([ARRIVED, AGAIN, msgspec.structs.replace(CALIBRATED, outdated=True)], True),
        ([ARRIVED, CALIBRATED, AGAIN, NO_CALIBRATION], False),
        ([file_processed("m31", version(1), level=91)], False),
    ],
)
def test_s54_only_a_raw_frame_without_a_verdict_on_its_newest_version_expects_one(
    events: list[Event], expected: bool
) -> None:
    assert after(*events).expects_calibration() is expected


def test_a_failed_calibration_is_recorded_once_with_its_reason() -> None:
    assert frames.report_calibration_failure(after(ARRIVED), "failed", "No flat.") == (NO_CALIBRATION,)
    assert frames.report_calibration_failure(after(ARRIVED, NO_CALIBRATION), "no_masters", "") == ()


def test_a_calibration_that_has_come_cannot_have_failed() -> None:
    with pytest.raises(NotAllowedNow, match="calibrated file already"):
        frames.report_calibration_failure(after(ARRIVED, CALIBRATED), "failed", "")


def test_a_calibrated_file_completes_the_calibration_once_a_version() -> None:
    assert frames.complete_calibration(after(ARRIVED), "m31-e91", 2) == (CALIBRATED,)
    assert frames.complete_calibration(after(ARRIVED, CALIBRATED), "m31-e91", 2) == ()
    (again,) = frames.complete_calibration(after(ARRIVED, CALIBRATED), "m31-e91", 3)
    assert after(ARRIVED, CALIBRATED, again).calibrated == (("m31-e91", 2), ("m31-e91", 3))


def test_a_calibrated_file_that_came_before_the_newest_raw_version_is_of_an_earlier_one() -> None:
    frame = after(ARRIVED, AGAIN)
    assert (frame.first_arrived, frame.arrived) == (1, 2)
    for at in (None, 0, 3):  # before the raw frame came at all: the two were ingested in that order
        assert frames.complete_calibration(frame, "m31-e91", 2, at=at) == (CALIBRATED,)
    frame = msgspec.structs.replace(frame, arrived=5)
    assert frames.complete_calibration(frame, "m31-e91", 2, at=3) == (
        msgspec.structs.replace(CALIBRATED, outdated=True),
    )


def test_a_later_versions_calibration_may_fail_though_an_earlier_one_came() -> None:
    (failed,) = frames.report_calibration_failure(after(ARRIVED, CALIBRATED, AGAIN), "failed", "No flat.")
    assert failed == NO_CALIBRATION
    assert frames.report_calibration_failure(after(ARRIVED, NO_CALIBRATION, AGAIN), "failed", "No flat.") == (failed,)


def test_a_calibrated_file_may_come_after_a_failure() -> None:
    assert frames.complete_calibration(after(ARRIVED, NO_CALIBRATION), "m31-e91", 2) == (CALIBRATED,)


def test_the_removal_of_bytes_names_the_transfers_that_justify_it() -> None:
    safe = SafeToDelete("m31", 1, ("v1-cfg-a",))
    assert frames.delete_from_server(after(ARRIVED), safe) == (REMOVED,)
    frame = after(ARRIVED, REMOVED)
    assert frame.exists, "the frame stays searchable"
    assert frame.deleted_from_server == {1}
    assert frames.delete_from_server(frame, safe) == (), "removing twice is removing once"


def test_a_version_that_the_frame_does_not_have_is_not_removed() -> None:
    assert frames.delete_from_server(after(ARRIVED), SafeToDelete("m31", 9, ())) == ()
