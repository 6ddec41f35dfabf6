"""PATCH, PUT and DELETE of frames: rows A37 and A38 of the contract, H08 and H09 of storage."""

from __future__ import annotations

import hashlib
import secrets
import threading
from typing import Any

import httpx
import pytest

from application.commands.frames import delete_frame
from tests.integration.api.deliveries import create, folder_body, observe, transfer
from tests.records import FUTURE, fits_bytes, new_name, record, version
from tests.site import CAUSE, PROPOSAL, Site

NO_FRAME = {"detail": "No Frame matches the given query."}
REQUIRED = ["This field is required."]


def change(site: Site, frame: int, **changes: Any) -> dict[str, Any]:
    """PATCH a frame and return the answer."""
    answer = site.admin.patch(f"/frames/{frame}/", json=changes)
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


def refused(site: Site, frame: int, body: Any, method: str = "PATCH") -> Any:
    """What a PATCH or PUT that changes nothing is answered with."""
    before = site.admin.get(f"/frames/{frame}/").json()
    answer = site.admin.request(method, f"/frames/{frame}/", json=body)
    assert answer.status_code == 400, answer.text
    assert site.admin.get(f"/frames/{frame}/").json() == before
    return answer.json()


def related(site: Site, frame: int) -> list[int]:
    ids: list[int] = site.admin.get(f"/frames/{frame}/").json()["related_frames"]
    return ids


def test_a37_patching_a_scalar_field_keeps_the_others(site: Site) -> None:
    created = site.post(record(observation_id=5, headers={"A": 1}))
    before = site.admin.get(f"/frames/{created['id']}/").json()
    changed = change(site, created["id"], target_name=" M 33 ")
    assert list(changed) == list(created), "the same keys as a POST's answer"
    assert changed == {**created, "target_name": "M 33"}
    after = site.admin.get(f"/frames/{created['id']}/").json()
    assert after == {**before, "target_name": "M 33", "OBJECT": "M 33"}
    assert site.admin.get(f"/frames/{created['id']}/headers/").json() == {"data": {"A": 1}}


SCALARS = [
    ("observation_date", "2020-02-02T02:02:02.5", "2020-02-02T02:02:02.500000Z"),
    ("observation_day", "20200202", "2020-02-02"),
    ("public_date", None, None),
    ("proposal_id", "P-NEW", "P-NEW"),
    ("instrument_id", "fa99", "fa99"),
    ("target_name", "", ""),
    ("site_id", "elp", "elp"),
    ("telescope_id", "2m0a", "2m0a"),
    ("primary_optical_element", "gp", "gp"),
    ("reduction_level", "91", 91),
    ("exposure_time", None, None),
    ("observation_id", "0000000012", 12),
    ("request_id", 13, 13),
    ("configuration_type", "BIAS", "BIAS"),
]


@pytest.mark.parametrize(("name", "sent", "stored"), SCALARS)
def test_a37_every_scalar_field_can_be_patched(site: Site, name: str, sent: Any, stored: Any) -> None:
    created = site.post(record(observation_id=1, request_id=2))
    assert change(site, created["id"], **{name: sent})[name] == stored
    assert site.admin.get(f"/frames/{created['id']}/").json()[name] == stored


def test_a37_what_was_patched_is_searched_by_its_new_value(site: Site) -> None:
    square = {"type": "Polygon", "coordinates": [[[200, 0], [201, 0], [201, 1], [200, 1], [200, 0]]]}
    created = site.post(record(telescope_id="patched"))
    changed = change(site, created["id"], area=square, target_name="Ñandú")
    assert changed["area"]["coordinates"][0][0] == [200.0, 0.0]
    for question, count in (
        ({"covers": "POINT(200.5 0.5)"}, 1),
        ({"covers": "POINT(10.5 10.5)"}, 0),
        ({"target_name": "nandu"}, 1),
        ({"OBJECT": "M31"}, 0),
    ):
        assert site.admin.get("/frames/", params={"telescope_id": "patched", **question}).json()["count"] == count
    assert change(site, created["id"], area=None)["area"] is None
    assert "area" not in site.admin.get(f"/frames/{created['id']}/").json()
    assert site.admin.get("/frames/?telescope_id=patched&covers=POINT(200.5%200.5)").json()["count"] == 0


def test_a37_related_frames_are_replaced_on_both_sides(site: Site) -> None:
    first, second, third = (site.post(record()) for _ in range(3))
    child = site.post(record(related_frame_filenames=[first["basename"], "not-there-yet"]))
    naming = site.post(record(related_frame_filenames=[child["basename"]]))
    assert related(site, child["id"]) == [first["id"], naming["id"]]
    changed = change(site, child["id"], related_frames=[second["id"], third["id"], second["id"], child["id"]])
    assert changed["related_frames"] == [second["id"], third["id"]]
    assert related(site, child["id"]) == [second["id"], third["id"]]
    assert related(site, second["id"]) == related(site, third["id"]) == [child["id"]]
    assert related(site, first["id"]) == related(site, naming["id"]) == []
    for frame in (child, naming, first):  # nothing of the old comes back with the next change
        change(site, frame["id"], exposure_time=1.5)
        site.post(record(basename=frame["basename"], related_frame_filenames=[]))
    late = site.post(record(basename="not-there-yet"))
    assert related(site, late["id"]) == related(site, naming["id"]) == []
    assert related(site, child["id"]) == [second["id"], third["id"]]
    assert change(site, child["id"], related_frames=[])["related_frames"] == []
    assert related(site, second["id"]) == []
    site.post(record(basename=child["basename"], related_frame_filenames=[first["basename"]]))
    assert related(site, first["id"]) == [child["id"]], "what is named anew is linked anew"


def test_a37_related_filenames_and_unknown_keys_are_ignored(site: Site) -> None:
    other, created = site.post(record()), site.post(record())
    events = site.events()
    change(site, created["id"], related_frame_filenames=[other["basename"]], nonsense=1, PROPID="x", id=7)
    change(site, created["id"])
    change(site, created["id"], basename=created["basename"], target_name="M31")
    assert site.events() == events, "nothing to record"
    assert related(site, created["id"]) == []


BAD = [
    (
        "observation_day",
        "yesterday",
        ["Date has wrong format. Use one of these formats instead: YYYY-MM-DD, YYYYMMDD."],
    ),
    ("observation_day", None, ["This field may not be null."]),
    ("target_name", None, ["This field may not be null."]),
    ("target_name", "x" * 201, ["Ensure this field has no more than 200 characters."]),
    ("reduction_level", "high", ["A valid integer is required."]),
    ("exposure_time", "long", ["A valid number is required."]),
    ("exposure_time", "NaN", ["A valid number is required."]),
    ("configuration_type", "FOO", ['"FOO" is not a valid choice.']),
    ("area", {"type": "Point", "coordinates": [1, 2]}, None),
    ("basename", "", ["This field may not be blank."]),
    ("headers", {"A": 1}, ["Headers can't be changed here; post the frame again with the new ones."]),
    ("headers", None, ["Headers can't be changed here; post the frame again with the new ones."]),
    ("version_set", [], ["Versions can't be changed here; post the frame again with the new version."]),
    ("related_frames", "x", ['Expected a list of items but got type "str".']),
    ("related_frames", None, ["This field may not be null."]),
    ("related_frames", ["x"], ["Incorrect type. Expected pk value, received str."]),
    ("related_frames", [True], ["Incorrect type. Expected pk value, received bool."]),
    ("related_frames", [None], ["This field may not be null."]),
    ("related_frames", [999999999], ['Invalid pk "999999999" - object does not exist.']),
    ("related_frames", [10**30], None),
]


@pytest.mark.parametrize(("name", "value", "sentence"), BAD)
def test_a37_a_bad_value_is_refused_with_its_sentence(site: Site, name: str, value: Any, sentence: Any) -> None:
    created = site.post(record())
    errors = refused(site, created["id"], {name: value, "proposal_id": "must not be stored"})
    assert list(errors) == [name]
    if sentence:
        assert errors == {name: sentence}


@pytest.mark.parametrize("body", [b"{", b"[1]", b"null", b'"x"', b"\xff"])
def test_a37_a_body_that_is_no_object_is_refused(site: Site, body: bytes) -> None:
    created = site.post(record())
    for method in ("PATCH", "PUT"):
        answer = site.admin.request(method, f"/frames/{created['id']}/", content=body)
        assert answer.status_code == 400


def test_a37_a_frame_keeps_its_basename(site: Site) -> None:
    created, other = site.post(record()), site.post(record())
    taken = refused(site, created["id"], {"basename": other["basename"]})
    assert taken == {"basename": ["frame with this basename already exists."]}
    free = refused(site, created["id"], {"basename": new_name()})
    assert free == {
        "basename": ["A frame keeps its basename. Ingest the file under the new name, then delete this frame."]
    }


def test_a37_put_takes_a_complete_record_and_names_what_is_missing(site: Site) -> None:
    created = site.post(record())
    assert refused(site, created["id"], {"target_name": "x"}, "PUT") == dict.fromkeys(
        ("basename", "area", "observation_day", "configuration_type"), REQUIRED
    )
    full = record(basename=created["basename"], target_name="put", area=None)
    assert set(refused(site, created["id"], full, "PUT")) == {"headers", "version_set"}
    del full["headers"], full["version_set"]
    answer = site.admin.put(f"/frames/{created['id']}/", json=full)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["target_name"], answer.json()["area"]) == ("put", None)
    assert answer.json()["version_set"] == created["version_set"]


def test_a37_a_form_can_patch_too(site: Site) -> None:
    created = site.post(record())
    answer = site.admin.patch(f"/frames/{created['id']}/", data={"target_name": "form", "reduction_level": "91"})
    assert answer.status_code == 200
    assert (answer.json()["target_name"], answer.json()["reduction_level"]) == ("form", 91)
    as_curl_sends_it = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = site.admin.patch(f"/frames/{created['id']}/", content=b'{"target_name": "a=b"}', headers=as_curl_sends_it)
    assert answer.json()["target_name"] == "a=b"
    assert (
        site.admin.patch(f"/frames/{created['id']}/", content=b"x", headers={"Content-Type": "text/csv"}).status_code
        == 415
    )


def test_a37_patches_at_the_same_time_are_all_kept(site: Site) -> None:
    created = site.post(record())
    fields = {"target_name": "a", "proposal_id": "b", "site_id": "c", "telescope_id": "d", "instrument_id": "e"}
    answers: list[int] = []

    def patch(name: str, value: str) -> None:
        with httpx.Client(base_url=site.url, headers=site.admin.headers, trust_env=False, timeout=60) as client:
            answers.append(client.patch(f"/frames/{created['id']}/", json={name: value}).status_code)

    threads = [threading.Thread(target=patch, args=pair) for pair in fields.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * len(fields)
    site.settle()
    frame = site.admin.get(f"/frames/{created['id']}/").json()
    assert {name: frame[name] for name in fields} == fields


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
def test_b11_only_superusers_change_and_delete(site: Site, method: str) -> None:
    mine = site.post(record(proposal_id=PROPOSAL))
    site.settle()
    events = site.events()
    for client, status in ((site.anonymous, 401), (site.user, 403)):
        assert client.request(method, f"/frames/{mine['id']}/", content=b"{").status_code == status
    for frame in ("999999999", "x", "99999999999999999999"):
        assert site.admin.request(method, f"/frames/{frame}/", json={}).status_code == 404
    hidden = site.post(record(observation_date=None))
    answer = site.admin.request(method, f"/frames/{hidden['id']}/", json={})
    assert (answer.status_code, answer.json()) == (404, NO_FRAME), "hidden from everybody"
    answer = site.admin.request(method, f"/frames/{mine['id']}/?site_id=other", json={})
    assert (answer.status_code, answer.json()) == (404, NO_FRAME), "filters also decide here"
    assert site.events() == events + 1


def test_a38_a_frame_just_created_is_deleted_with_all_that_belongs_to_it(site: Site) -> None:
    name = new_name()
    other = site.post(record())
    frame = site.ingest(fits_bytes(), f"{name}.fits")
    site.post(record(basename=other["basename"], related_frame_filenames=[name], version_set=[]))
    assert related(site, other["id"]) == [frame["id"]]
    link = frame["url"]
    assert site.anonymous.get(link).status_code == 200
    stored = [file for file in site.files() if file.name.startswith(name)]
    assert stored
    answer = site.admin.delete(f"/frames/{frame['id']}/")
    assert (answer.status_code, answer.content) == (204, b"")
    assert not [file for file in stored if file.exists()], "the bytes are gone when the answer comes"
    for route in ("", "headers/", "related/"):
        gone = site.admin.get(f"/frames/{frame['id']}/{route}")
        assert (gone.status_code, gone.json()) == (404, NO_FRAME)
    assert site.admin.get("/frames/", params={"basename_exact": name}).json()["count"] == 0
    md5 = frame["version_set"][0]["md5"]
    assert site.admin.get("/versions/", params={"md5": md5}).json()["count"] == 0
    assert site.admin.get(f"/versions/{frame['version_set'][0]['id']}/").status_code == 404
    assert related(site, other["id"]) == []
    assert site.anonymous.get(link).status_code == 404
    assert site.admin.delete(f"/frames/{frame['id']}/").status_code == 404, "deleting twice"


def test_a38_the_same_bytes_may_come_again_at_once(site: Site) -> None:
    data, name = fits_bytes(), f"{new_name()}.fits"
    frame = site.ingest(data, name)
    for _ in range(3):
        assert site.admin.delete(f"/frames/{frame['id']}/").status_code == 204
        again = site.ingest(data, name)
        assert again["id"] != frame["id"]
        assert site.anonymous.get(again["url"]).content == data
        frame = again
    body = record()
    for _ in range(3):
        created = site.post(body)
        assert site.admin.delete(f"/frames/{created['id']}/").status_code == 204
    site.settle()
    assert site.anonymous.get(frame["url"]).content == data, "no late removal takes the new bytes"


def test_a38_a_version_of_another_frame_cannot_take_a_deleted_name_before_it_is_free(site: Site) -> None:
    item = version()
    created = site.post(record(version_set=[item]))
    assert site.admin.delete(f"/frames/{created['id']}/").status_code == 204
    other = site.post(record(version_set=[item]))
    assert other["version_set"][0]["md5"] == item["md5"]


def test_a38_versions_with_different_extensions_all_leave_the_store(site: Site) -> None:
    """As OCS ingesters do: they store the file by themselves and post its record."""
    name, items = new_name(), []
    for extension in (".fits", ".fits.fz"):
        data = secrets.token_bytes(100)
        file = site.core.settings.data / "files" / "tst/fa01/20240101/raw" / f"{name}{extension}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        md5 = hashlib.md5(data).hexdigest()
        items.append(version(key=md5, md5=md5, extension=extension))
        frame = site.post(record(basename=name, version_set=items[-1:]))
        site.settle()
        assert site.anonymous.get(frame["url"]).content == data
    assert len([file for file in site.files() if file.name.startswith(name)]) == 2
    assert site.admin.delete(f"/frames/{frame['id']}/").status_code == 204
    assert not [file for file in site.files() if file.name.startswith(name)]


def test_h08_deleting_one_frame_leaves_the_files_of_others(site: Site) -> None:
    kept_data, gone_data = fits_bytes(), fits_bytes()
    kept = site.ingest(kept_data, f"{new_name()}.fits")
    gone = site.ingest(gone_data, f"{new_name()}.fits")
    assert site.admin.delete(f"/frames/{gone['id']}/").status_code == 204
    assert site.anonymous.get(kept["url"]).content == kept_data


def test_h09_edits_of_the_record_keep_links_and_files(site: Site) -> None:
    data = fits_bytes()
    frame = site.ingest(data, f"{new_name()}.fits")
    old = frame["url"]
    changed = change(
        site, frame["id"], site_id="elp", instrument_id="fa99", observation_day="2020-01-01", reduction_level=91
    )
    assert site.anonymous.get(old).content == data
    assert site.anonymous.get(changed["url"]).content == data
    again = fits_bytes(SITEID="cpt", INSTRUME="xx01")
    newer = site.ingest(again, frame["filename"])
    assert site.anonymous.get(newer["version_set"][1]["url"]).content == data, "the older version's own bytes"
    assert site.anonymous.get(newer["url"]).content == again


def test_a38_unfinished_transfers_are_cancelled_with_the_reason(site: Site) -> None:
    card = create(site.user, folder_body(site))
    number = observe(site.user, card["id"])
    site.jobs.paused.set()
    try:
        frame = site.ingest(fits_bytes(BLKUID=number, PROPID=PROPOSAL), f"{new_name()}.fits")
        transfer(site.user, "pending", observation=number)
        assert site.admin.delete(f"/frames/{frame['id']}/").status_code == 204
        cancelled = transfer(site.user, "cancelled", observation=number)
    finally:
        site.jobs.paused.clear()
    assert cancelled["error"] == "Its frame was deleted from the archive."
    site.settle()
    assert not site.failures()


def test_a38_of_two_deletions_at_once_one_finds_nothing(site: Site) -> None:
    created = site.post(record())
    answers: list[int] = []

    def remove() -> None:
        with httpx.Client(base_url=site.url, headers=site.admin.headers, trust_env=False, timeout=60) as client:
            answers.append(client.delete(f"/frames/{created['id']}/").status_code)

    threads = [threading.Thread(target=remove) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [204, 404, 404, 404]


def test_a38_a_frame_that_was_deleted_elsewhere_is_not_found(site: Site) -> None:
    created = site.post(record(public_date=FUTURE))
    site.settle()
    delete_frame(site.core.log, site.core.clock, CAUSE, created["basename"])
    assert site.admin.patch(f"/frames/{created['id']}/", json={"target_name": "x"}).status_code == 404
    site.settle()
    assert site.admin.get(f"/frames/{created['id']}/").status_code == 404
    assert not site.failures()
