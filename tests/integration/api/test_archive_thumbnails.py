"""Thumbnails: rows A10, A39 and A40 of the contract, B10 and B12 for them, H01 for their place."""

from __future__ import annotations

import hashlib
import secrets
import threading
from typing import Any

import httpx
import pytest

from tests.records import FUTURE, new_name, record, version
from tests.site import PROPOSAL, Site, eventually

ITEM = ["id", "frame", "size", "basename", "extension", "key", "url"]
NO_THUMBNAIL = {"detail": "No Thumbnail matches the given query."}
REQUIRED, NOT_NULL, NOT_BLANK = "This field is required.", "This field may not be null.", "This field may not be blank."


def payload(frame: str, size: str = "small", **changes: Any) -> dict[str, Any]:
    """A body as the OCS ingester sends it for a thumbnail."""
    picture = version(extension=".jpg")
    body = record(basename=f"{frame}-{size}", frame_basename=frame, size=size, version_set=[picture], area=None)
    return {**body, "headers": {"frame_basename": frame, "size": size}, **changes}


def post(site: Site, body: dict[str, Any]) -> dict[str, Any]:
    answer = site.admin.post("/thumbnails/", json=body)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


def listed(client: httpx.Client, **filters: Any) -> list[dict[str, Any]]:
    answer = client.get("/thumbnails/", params=filters)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["results"]
    return rows


def one(site: Site, frame: str) -> dict[str, Any]:
    """The only thumbnail of a frame."""
    (row,) = listed(site.admin, frame_basename=frame)
    return row


def stored_picture(site: Site, name: str) -> tuple[bytes, dict[str, str]]:
    """A picture where ingesters put it in a directory store, and the version that they post."""
    data = secrets.token_bytes(64)
    file = site.core.settings.data / "files" / "tst/fa01/20240101/thumbnails" / f"{name}.jpg"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    md5 = hashlib.md5(data).hexdigest()
    return data, version(key=md5, md5=md5, extension=".jpg")


@pytest.mark.parametrize("value", ["true", "True", "TRUE"])
def test_a10_include_thumbnails_adds_them_to_list_and_detail(site: Site, value: str) -> None:
    bare, frame = site.post(record(instrument_id=f"th{value}")), site.post(record(instrument_id=f"th{value}"))
    post(site, payload(frame["basename"], "small"))
    post(site, payload(frame["basename"], "large"))
    shown = site.admin.get(f"/frames/{frame['id']}/", params={"include_thumbnails": value}).json()
    assert [(one["size"], list(one), one["frame"]) for one in shown["thumbnails"]] == [
        ("small", ITEM, frame["id"]),
        ("large", ITEM, frame["id"]),
    ]
    names = list(shown)
    assert names.index("thumbnails") == names.index("filename") + 1
    page = site.admin.get("/frames/", params={"include_thumbnails": value, "instrument_id": f"th{value}"}).json()
    assert {row["id"]: row["thumbnails"] for row in page["results"]} == {
        bare["id"]: [],
        frame["id"]: shown["thumbnails"],
    }
    for other in ({}, {"include_thumbnails": "false"}, {"include_thumbnails": "1"}):
        assert "thumbnails" not in site.admin.get(f"/frames/{frame['id']}/", params=other).json()
        assert "thumbnails" not in site.admin.get("/frames/?limit=1", params=other).json()["results"][0]


def test_a39_a_thumbnail_has_seven_keys_in_list_and_detail(site: Site) -> None:
    frame = site.post(record())
    body = payload(frame["basename"])
    post(site, body)
    row = one(site, frame["basename"])
    assert list(row) == ITEM
    assert {**row, "id": 0, "url": ""} == {
        "id": 0,
        "frame": frame["id"],
        "size": "small",
        "basename": body["basename"],
        "extension": ".jpg",
        "key": body["version_set"][0]["key"],
        "url": "",
    }
    assert site.admin.get(f"/thumbnails/{row['id']}/").json() == row
    page = site.admin.get("/thumbnails/").json()
    assert list(page) == ["count", "next", "previous", "results", "count_estimated"]


def test_a39_filters_of_the_list(site: Site) -> None:
    proposal = secrets.token_hex(4)
    frames = [site.post(record(proposal_id=proposal, observation_id=900 + n, request_id=800 + n)) for n in range(2)]
    for frame in frames:
        for size in ("small", "large"):
            post(site, payload(frame["basename"], size))
    site.settle()
    first = frames[0]
    for filters, count in (
        ({"frame_basename": first["basename"]}, 2),
        ({"frame_basename": first["basename"][:-1]}, 0),
        ({"proposal_id": proposal}, 4),
        ({"observation_id": 900}, 2),
        ({"observation_id": "0000000901", "size": "large"}, 1),
        ({"request_id": 801, "proposal_id": proposal}, 2),
        ({"proposal_id": proposal, "size": "medium"}, 0),
        ({"proposal_id": proposal, "observation_id": "", "nonsense": "x"}, 4),
    ):
        assert len(listed(site.anonymous, **filters)) == count, filters
    for name in ("frame_basename", "observation_id", "request_id"):
        value = {"frame_basename": first["basename"], "observation_id": 900, "request_id": 800}[name]
        page = site.anonymous.get("/thumbnails/", params={name: value, "limit": 1}).json()
        assert (page["count"], page["count_estimated"]) == (2, False)
    row = one_of(site, first["basename"], "large")
    assert site.admin.get(f"/thumbnails/{row['id']}/?size=large").status_code == 200
    assert site.admin.get(f"/thumbnails/{row['id']}/?size=small").status_code == 404


def one_of(site: Site, frame: str, size: str) -> dict[str, Any]:
    (row,) = listed(site.admin, frame_basename=frame, size=size)
    return row


@pytest.mark.parametrize(
    ("filters", "errors"),
    [({"size": "huge"}, {"size": ["Select a valid choice. huge is not one of the available choices."]}),
     ({"observation_id": "x"}, {"observation_id": ["Enter a number."]}),
     ({"request_id": "1e999"}, {"request_id": ["Enter a number."]}),
     ({"frame_basename": "a\0"}, {"frame_basename": ["Null characters are not allowed."]})],
)  # fmt: skip
def test_a39_a_bad_filter_is_refused_with_its_sentence(site: Site, filters: Any, errors: Any) -> None:
    answer = site.admin.get("/thumbnails/", params=filters)
    assert (answer.status_code, answer.json()) == (400, errors)


@pytest.mark.parametrize("thumbnail", ["999999999", "x", "-1", "99999999999999999999", "00000000000099999999999"])
def test_a39_a_thumbnail_that_is_not_there_is_not_found(site: Site, thumbnail: str) -> None:
    answer = site.admin.get(f"/thumbnails/{thumbnail}/")
    assert answer.status_code == 404
    assert answer.json() == (NO_THUMBNAIL if thumbnail == "999999999" else {"detail": "Not found."})


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_a39_following_next_gives_every_thumbnail_once_while_others_come_and_go(site: Site, limit: int) -> None:
    proposal = secrets.token_hex(4)
    frame = site.post(record(proposal_id=proposal))
    for number in range(6):
        post(site, payload(frame["basename"], basename=f"{frame['basename']}-{number}"))
    first = listed(site.admin, proposal_id=proposal)
    wanted = {row["id"] for row in first[1:]}
    page = site.admin.get("/thumbnails/", params={"proposal_id": proposal, "limit": limit}).json()
    site.admin.delete(f"/thumbnails/{first[0]['id']}/").raise_for_status()
    seen = [row["id"] for row in page["results"]]
    while page["next"]:
        page = site.admin.get(page["next"]).json()
        assert page["results"]
        seen += [row["id"] for row in page["results"]]
    assert len(seen) == len(set(seen))
    assert wanted <= set(seen)
    back = site.admin.get("/thumbnails/", params={"proposal_id": proposal, "limit": 2, "offset": 2}).json()["previous"]
    assert len(site.admin.get(back).json()["results"]) == 2


def test_a40_a_thumbnail_is_answered_with_its_frame_and_without_an_id(site: Site) -> None:
    frame = site.post(record())
    body = payload(frame["basename"], target_name="not the frame's", site_id="xxx")
    created = post(site, body)
    assert set(created) == {"frame", "size", "basename", "url", "key", "extension"}
    assert created["frame"] == frame, "the frame is as it was"
    assert (created["size"], created["extension"], created["basename"]) == ("small", ".jpg", body["basename"])
    assert created["url"] == one(site, frame["basename"])["url"]


def test_a40_posting_again_replaces_and_keeps_one_row(site: Site) -> None:
    frame = site.post(record())
    body = payload(frame["basename"])
    post(site, body)
    before = one(site, frame["basename"])
    events = site.events()
    post(site, body)
    assert site.events() == events, "nothing new in it"
    again = payload(frame["basename"], "large", basename=body["basename"])
    post(site, again)
    after = one(site, frame["basename"])
    assert after == {**before, "size": "large", "key": again["version_set"][0]["key"]}


def test_a40_a_thumbnail_moves_to_another_frame(site: Site) -> None:
    first, second = site.post(record()), site.post(record())
    body = payload(first["basename"])
    post(site, body)
    row = one(site, first["basename"])
    post(site, payload(second["basename"], basename=body["basename"]))
    assert listed(site.admin, frame_basename=first["basename"]) == []
    moved = one(site, second["basename"])
    assert (moved["id"], moved["frame"], moved["basename"]) == (row["id"], second["id"], row["basename"])


def test_c06_a_frame_that_a_thumbnail_makes_is_hidden_until_its_file_arrives(site: Site) -> None:
    name = new_name()
    created = post(site, payload(name, target_name="from the thumbnail"))
    frame = created["frame"]
    assert (frame["basename"], frame["target_name"], frame["version_set"]) == (name, "from the thumbnail", [])
    assert "url" not in frame
    assert site.admin.get("/frames/", params={"basename_exact": name}).json()["results"] == []
    assert site.admin.get(f"/frames/{frame['id']}/").json()["version_set"] == []
    assert one(site, name)["frame"] == frame["id"]
    arrived = site.post(record(basename=name, target_name="from its file"))
    assert arrived["id"] == frame["id"]
    (row,) = site.admin.get("/frames/", params={"basename_exact": name, "include_thumbnails": "true"}).json()["results"]
    assert (row["target_name"], len(row["thumbnails"])) == ("from its file", 1)


MISSING = object()
BAD = [
    ("frame_basename", MISSING, [REQUIRED]),
    ("frame_basename", None, [NOT_NULL]),
    ("frame_basename", " ", [NOT_BLANK]),
    ("size", MISSING, [REQUIRED]),
    ("size", "", ['"" is not a valid choice.']),
    ("size", "huge", ['"huge" is not a valid choice.']),
    ("basename", "", [NOT_BLANK]),
    ("headers", MISSING, [REQUIRED]),
    ("area", MISSING, [REQUIRED]),
    ("configuration_type", "FOO", ['"FOO" is not a valid choice.']),
    ("observation_day", "x", None),
    ("related_frame_filenames", MISSING, [REQUIRED]),
    ("version_set", [], ["A thumbnail needs one version: its key, md5 and extension."]),
    ("version_set", MISSING, [REQUIRED]),
    ("version_set", [{"md5": "x", "extension": ".jpg"}], [{"key": [REQUIRED]}]),
]


@pytest.mark.parametrize(("name", "value", "sentence"), BAD)
def test_a40_a_bad_field_is_refused_and_leaves_nothing(site: Site, name: str, value: Any, sentence: Any) -> None:
    body = payload(new_name())
    if value is MISSING:
        del body[name]
    else:
        body[name] = value
    events = site.events()
    answer = site.admin.post("/thumbnails/", json=body)
    assert answer.status_code == 400, answer.text
    assert list(answer.json()) == [name]
    assert sentence is None or answer.json() == {name: sentence}
    assert site.events() == events


def test_a40_the_bytes_of_a_frame_are_no_thumbnail(site: Site) -> None:
    frame = site.post(record())
    (known,) = frame["version_set"]
    picture = {"key": known["key"], "md5": known["md5"], "extension": ".jpg"}
    answer = site.admin.post("/thumbnails/", json=payload(frame["basename"], version_set=[picture]))
    assert (answer.status_code, set(answer.json()["version_set"][0])) == (400, {"key", "md5"})


def test_a40_thumbnails_are_no_versions(site: Site) -> None:
    frame = site.post(record())
    body = payload(frame["basename"])
    post(site, body)
    assert site.admin.get("/versions/", params={"md5": body["version_set"][0]["md5"]}).json()["count"] == 0


def test_a40_fields_of_a_thumbnail_can_be_changed(site: Site) -> None:
    frame, other = site.post(record()), site.post(record())
    name = f"{frame['basename']}-small"
    data, picture = stored_picture(site, name)
    post(site, payload(frame["basename"], version_set=[picture]))
    row = one(site, frame["basename"])
    route = f"/thumbnails/{row['id']}/"
    changed = site.admin.patch(route, json={"size": "medium"})
    assert changed.status_code == 200
    assert changed.json() == site.admin.get(route).json() == {**row, "size": "medium"}
    renamed = site.admin.patch(route, json={"basename": f"{name}-2"}).json()
    assert renamed["basename"] == f"{name}-2"
    assert site.anonymous.get(renamed["url"]).content == data, "its bytes stay where they are"
    assert site.admin.patch(route, json={"frame": other["id"]}).json()["frame"] == other["id"]
    assert one(site, other["basename"])["id"] == row["id"]
    assert site.admin.patch(route, json={}).status_code == 200
    full = {"size": "large", "basename": name, "extension": ".jpg", "key": picture["key"]}
    assert site.admin.put(route, json=full).json()["size"] == "large"
    assert site.admin.put(route, json={"size": "large"}).json() == {
        field: [REQUIRED] for field in ("basename", "extension", "key")
    }
    for body, errors in (
        ({"size": "huge"}, {"size": ['"huge" is not a valid choice.']}),
        ({"frame": 999999999}, {"frame": ['Invalid pk "999999999" - object does not exist.']}),
        ({"frame": "x"}, {"frame": ["Incorrect type. Expected pk value, received str."]}),
        ({"key": None}, {"key": [NOT_NULL]}),
    ):
        answer = site.admin.patch(route, json=body)
        assert (answer.status_code, answer.json()) == (400, errors)
    post(site, payload(frame["basename"], basename="another"))
    taken = site.admin.patch(route, json={"basename": "another"})
    assert (taken.status_code, list(taken.json())) == (400, ["basename"])
    post(site, payload(frame["basename"], basename=f"{name}-2")), "the name that it had is free"


def test_a40_a_deleted_thumbnail_takes_its_picture_along_and_may_come_again(site: Site) -> None:
    frame = site.post(record())
    name = f"{frame['basename']}-small"
    for _ in range(2):
        data, picture = stored_picture(site, name)
        created = post(site, payload(frame["basename"], version_set=[picture]))
        assert site.anonymous.get(created["url"]).content == data
        row = one(site, frame["basename"])
        answer = site.admin.delete(f"/thumbnails/{row['id']}/")
        assert (answer.status_code, answer.content) == (204, b"")
        assert not [file for file in site.files() if file.name.startswith(name)]
        assert site.admin.get(f"/thumbnails/{row['id']}/").status_code == 404
        assert site.admin.delete(f"/thumbnails/{row['id']}/").json() == NO_THUMBNAIL
        assert site.anonymous.get(created["url"]).status_code == 404


def test_a40_a_replaced_picture_leaves_the_store(site: Site) -> None:
    frame = site.post(record())
    name = f"{frame['basename']}-small"
    _, first = stored_picture(site, name)
    post(site, payload(frame["basename"], version_set=[first]))
    data, second = stored_picture(site, name)  # as an OCS directory store does: over the old one
    created = post(site, payload(frame["basename"], version_set=[second]))
    site.settle()
    assert site.anonymous.get(created["url"]).content == data
    bigger = {**second, "extension": ".jpeg"}
    post(site, payload(frame["basename"], version_set=[bigger]))
    eventually(lambda: not [file for file in site.files() if file.name == f"{name}.jpg"], "the old picture stays")


def test_a38_a_deleted_frame_takes_its_thumbnails_along(site: Site) -> None:
    frame = site.post(record())
    name = f"{frame['basename']}-small"
    _, picture = stored_picture(site, name)
    created = post(site, payload(frame["basename"], version_set=[picture]))
    row = one(site, frame["basename"])
    assert site.admin.delete(f"/frames/{frame['id']}/").status_code == 204
    assert not [file for file in site.files() if file.name.startswith(name)]
    assert site.admin.get(f"/thumbnails/{row['id']}/").status_code == 404
    assert site.anonymous.get(created["url"]).status_code == 404
    post(site, payload(new_name(), basename=name)), "its name is free"


def test_a40_the_same_thumbnail_posted_many_times_at_once_is_one(site: Site) -> None:
    first, second = site.post(record()), site.post(record())
    answers: list[int] = []
    basename = f"{first['basename']}-race"

    def send(frame: str) -> None:
        with httpx.Client(base_url=site.url, headers=site.admin.headers, trust_env=False, timeout=20) as client:
            answers.append(client.post("/thumbnails/", json=payload(frame, basename=basename)).status_code)

    threads = [threading.Thread(target=send, args=(frame["basename"],)) for frame in (first, second) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {201, 503}
    assert 201 in answers
    site.settle()
    rows = [row for frame in (first, second) for row in listed(site.admin, frame_basename=frame["basename"])]
    assert len(rows) == 1
    assert not site.failures()


def test_h01_a_thumbnail_lies_beside_the_nights_frames(site: Site) -> None:
    frame = site.post(record())
    body = payload(frame["basename"], site_id="lsc", instrument_id="fa15", observation_day="20200131")
    post(site, body)
    site.settle()
    with site.core.pool.connection() as connection:
        row = connection.execute(
            "SELECT path FROM read_frames.thumbnail WHERE basename = %s", (body["basename"],)
        ).fetchone()
    assert row == (f"lsc/fa15/20200131/thumbnails/{body['basename']}.jpg",)


def test_b10_thumbnails_are_seen_with_their_frame(site: Site) -> None:
    frames = {
        "public": record(),
        "own": record(public_date=FUTURE, proposal_id=PROPOSAL),
        "other": record(public_date=FUTURE, proposal_id="P-OTHER"),
        "never": record(public_date=None),
        "undated": record(observation_date=None),
    }
    seen = {"anonymous": {"public"}, "user": {"public", "own"}, "admin": {"public", "own", "other", "never"}}
    pictures: dict[str, dict[str, Any]] = {}
    for name, body in frames.items():
        site.post(body)
        pictures[name] = post(site, payload(body["basename"]))
    site.settle()
    clients = {"anonymous": site.anonymous, "user": site.user, "admin": site.admin}
    for viewer, client in clients.items():
        for name, body in frames.items():
            rows = listed(client, frame_basename=body["basename"])
            assert bool(rows) == (name in seen[viewer]), (viewer, name)
            with site.core.pool.connection() as connection:
                found = connection.execute(
                    "SELECT id FROM read_frames.thumbnail WHERE basename = %s", (pictures[name]["basename"],)
                ).fetchone()
            assert found
            answer = client.get(f"/thumbnails/{found[0]}/")
            assert answer.status_code == (200 if name in seen[viewer] else 404)
            if answer.status_code == 404:
                assert answer.json() == NO_THUMBNAIL


def test_b12_a_thumbnails_link_opens_it_alone(site: Site) -> None:
    frame = site.post(record(public_date=FUTURE))
    name = f"{frame['basename']}-small"
    data, picture = stored_picture(site, name)
    link = httpx.URL(post(site, payload(frame["basename"], version_set=[picture]))["url"])
    site.settle()
    assert site.anonymous.get(link).content == data
    assert site.anonymous.get(link, headers={"Range": "bytes=0-9"}).content == data[:10]
    number = link.path.split("/")[3]
    for forged in (
        link.copy_remove_param("signature"),
        link.copy_set_param("signature", "0" * 40),
        link.copy_with(path=link.path.replace(number, str(int(number) + 1))),
        link.copy_with(path=f"/files/{number}/{name}.jpg"),
    ):
        assert site.admin.get(forged).status_code == 403, forged
    version_link = httpx.URL(frame["url"])
    version_id = frame["version_set"][0]["id"]
    swapped = version_link.copy_with(path=f"/files/thumbnails/{version_id}/x.jpg")
    assert site.admin.get(swapped).status_code == 403, "a version's link is no thumbnail's"


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_b11_only_superusers_write_thumbnails(site: Site, method: str) -> None:
    frame = site.post(record(proposal_id=PROPOSAL))
    post(site, payload(frame["basename"]))
    row = one(site, frame["basename"])
    route = "/thumbnails/" if method == "POST" else f"/thumbnails/{row['id']}/"
    site.settle()
    events = site.events()
    for client, status in ((site.anonymous, 401), (site.user, 403)):
        assert client.request(method, route, content=b"{").status_code == status
    assert site.events() == events
    if method != "DELETE":
        assert site.admin.request(method, route, content=b"{").status_code == 400
    if method != "POST":
        assert site.admin.request(method, "/thumbnails/999999999/", json={}).status_code == 404
