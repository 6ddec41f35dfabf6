"""Frames under any order of commands: versions, records, relations, thumbnails, calibration, copies and deletion.

No two versions anywhere have the same bytes or key; and the names that a deletion gives up are free only when the bytes
have left the file store.
"""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from application.commands.calibration import report_calibration
from application.commands.frames import Relations, amend_frame, delete_frame
from application.commands.ingest import FrameArrival, NewVersion, decide_arrival
from application.commands.thumbnails import ThumbnailArrival, change_thumbnail, put_thumbnail, remove_thumbnail
from application.permissions import Principal
from application.policies.remove_deleted_files import RemoveDeletedFiles
from application.transact import transact
from domain import frames
from domain.deletion import SafeToDelete
from domain.errors import AlreadyExists, Forbidden, NotAllowedNow, NotFound, RetryLater, StarferryError
from domain.event import Event
from domain.frame_record import FrameRecord
from domain.frames import CalibrationOutcome, FileDeletedFromServer, Frame
from tests.fakes.file_store import HeldFiles
from tests.fakes.lookups import LogLookups
from tests.property.aggregate_machine import CAUSE, FEW, AggregateMachine
from tests.unit.policies.running import run

ROOT, ADA = Principal("root", is_superuser=True), Principal("ada")
NAMES = ("a", "b", "c")
FRAMES = st.sampled_from(NAMES)
BYTES = st.sampled_from(["m1", "m2", "m3", "m4"])
PICTURES = ("p1", "p2")
TARGETS = st.sampled_from(["M31", "M33"])
DESTINATIONS = st.sampled_from(["cfg-1", "cfg-2"])
OUTCOMES: st.SearchStrategy[CalibrationOutcome] = st.sampled_from(["failed", "no_masters"])
HEADERS = msgspec.Raw(b'{"OBJECT":"M31"}')


class Sheet(msgspec.Struct):
    """What a person would note of a frame: its versions' bytes by number, and what became of them."""

    target: str
    versions: dict[int, str] = msgspec.field(default_factory=dict)
    gone: set[int] = msgspec.field(default_factory=set)
    related: set[str] = msgspec.field(default_factory=set)
    copies: set[tuple[int, str]] = msgspec.field(default_factory=set)
    calibrated: set[tuple[str, int]] = msgspec.field(default_factory=set)
    failed: bool = False
    due: bool = True


class Numbers:
    """Implements Numbers."""

    def __init__(self) -> None:
        self.last = 0

    def take(self) -> int:
        """See Numbers.take."""
        self.last += 1
        return self.last


def place(name: str) -> str:
    return f"files/{name}.fits"


class FrameMachine(AggregateMachine):
    aggregate, prefix = frames, "frame:"

    def __init__(self) -> None:
        super().__init__()
        self.numbers = Numbers()
        self.store = HeldFiles()
        self.policy = RemoveDeletedFiles(self.store, self.log, self.clock)
        self.sheets: dict[str, Sheet] = {}
        self.pictures: dict[str, tuple[str, str]] = {}
        """Frame and bytes, by the picture's name."""
        self.held: set[str] = set()
        """Bytes whose names are taken, also those of deleted frames until the bytes are gone."""
        self.leaving: set[str] = set()
        """Pictures whose names are still taken although nobody has them."""

    @rule(name=FRAMES, data=BYTES, aim=TARGETS)
    def arrive(self, name: str, data: str, aim: str) -> None:
        def act() -> None:
            new = NewVersion(key=data, md5=data, extension=".fits", path=place(data), size=1)
            arrival = FrameArrival(record=FrameRecord(basename=name, target_name=aim), headers=HEADERS,
                                   versions=(new,), supplied=frozenset({"target_name"}))  # fmt: skip
            history = self.log.load(frames.stream_of(name))
            commit, _ = decide_arrival(history, arrival, self.numbers, cause=CAUSE, now=self.clock.now())
            self.log.append(commit)

        refused = AlreadyExists if data in self.held else None
        if self.command(act, refused=refused, again=AlreadyExists):
            sheet = self.sheets.setdefault(name, Sheet(aim))
            sheet.target = aim
            newest = self.state(name).newest
            assert newest is not None
            sheet.versions[newest.id] = data
            sheet.failed, sheet.due = False, True
            self.held.add(data)
            self.store.files[place(data), data] = data.encode()

    @rule(name=FRAMES, aim=TARGETS)
    def amend(self, name: str, aim: str) -> None:
        sheet = self.sheets.get(name)
        if self.command(
            lambda: amend_frame(self.log, self.clock, CAUSE, name, {"target_name": aim}),
            refused=None if sheet else NotFound,
            changes=sheet is not None and sheet.target != aim,
        ):
            assert sheet
            sheet.target = aim

    @rule(name=FRAMES, wanted=st.sets(st.sampled_from([*NAMES, "elsewhere"])))
    def relate(self, name: str, wanted: set[str]) -> None:
        """Links go both ways, to frames that are there."""
        sheet = self.sheets.get(name)
        linked = self._linked(name)
        relations = Relations(tuple(sorted(wanted)), tuple(sorted(linked)))
        new = wanted - {name}
        ghosts = sheet.related - linked if sheet else set()
        if self.command(
            lambda: amend_frame(self.log, self.clock, CAUSE, name, {}, relations),
            refused=None if sheet else NotFound,
            changes=sheet is not None and (new != linked or bool(ghosts - wanted) or bool(new - linked)),
            again=True,  # what is linked has changed meanwhile
        ):
            assert sheet
            dropped = (sheet.related | linked) - wanted
            sheet.related = (sheet.related - dropped) | (new - linked)
            for other in dropped & self.sheets.keys():
                self.sheets[other].related.discard(name)

    @rule(name=FRAMES, picture=st.sampled_from(PICTURES), data=BYTES)
    def put_picture(self, name: str, picture: str, data: str) -> None:
        path = f"thumbnails/{picture}~{data}.jpg"
        arrival = ThumbnailArrival(record=FrameRecord(basename=name, target_name="M31"), headers=HEADERS,
                                   basename=picture, extension=".jpg", size="small", key=data, path=path)  # fmt: skip

        if self.command(
            lambda: put_thumbnail(
                self.log, LogLookups(self.log, self.clock), self.numbers, self.clock, CAUSE, arrival
            ),
            refused=RetryLater if picture in self.leaving else None,
            changes=self.pictures.get(picture) != (name, data),
        ):  # fmt: skip
            self.sheets.setdefault(name, Sheet("M31"))
            self.pictures[picture] = (name, data)
            self.store.files[path, data] = data.encode()

    @rule(picture=st.sampled_from(PICTURES), to=FRAMES)
    def move_picture(self, picture: str, to: str) -> None:
        if picture not in self.pictures:
            return
        name, data = self.pictures[picture]
        known = self.state(name).thumbnail(picture)
        assert known is not None
        if self.command(
            lambda: change_thumbnail(self.log, self.clock, CAUSE, name, known.id, {}, moved_to=to),
            refused=None if to in self.sheets else NotFound,
            changes=to != name,
            again=NotFound if to != name else False,
        ):
            self.pictures[picture] = (to, data)

    @rule(picture=st.sampled_from(PICTURES))
    def remove_picture(self, picture: str) -> None:
        if picture not in self.pictures:
            return
        name, _ = self.pictures[picture]
        known = self.state(name).thumbnail(picture)
        assert known is not None
        self.command(lambda: remove_thumbnail(self.log, self.clock, CAUSE, name, known.id), again=NotFound)
        del self.pictures[picture]
        self.leaving.add(picture)

    @rule(name=FRAMES, outcome=OUTCOMES, who=st.sampled_from([ROOT, ADA]))
    def fail_calibration(self, name: str, outcome: CalibrationOutcome, who: Principal) -> None:
        sheet = self.sheets.get(name)
        refused: type[StarferryError] | None = None
        if who == ADA:
            refused = Forbidden
        elif sheet is None:
            refused = NotFound
        elif sheet.calibrated and not sheet.due:
            refused = NotAllowedNow
        if self.command(
            lambda: report_calibration(self.log, self.clock, CAUSE, who, name, outcome, ""),
            refused=refused,
            changes=sheet is not None and not sheet.failed,
        ):
            assert sheet
            sheet.failed, sheet.due = True, False

    @rule(name=FRAMES, version=st.sampled_from([501, 502]))
    def complete_calibration(self, name: str, version: int) -> None:
        sheet = self.sheets.get(name)
        if sheet is None:
            return
        changes = ("cal", version) not in sheet.calibrated
        self._decide(name, lambda frame: frames.complete_calibration(frame, "cal", version), changes=changes)
        sheet.calibrated.add(("cal", version))
        sheet.due = sheet.due and not changes

    @rule(name=FRAMES, which=st.integers(0, 3), destination=DESTINATIONS)
    def want_copy(self, name: str, which: int, destination: str) -> None:
        sheet, version = self._version(name, which)
        if sheet is None:
            return
        there = version in sheet.versions and version not in sheet.gone
        if self._decide(
            name,
            lambda frame: frames.want_copy(frame, version, destination),
            refused=None if there else NotAllowedNow,
            changes=(version, destination) not in sheet.copies,
        ):
            sheet.copies.add((version, destination))

    @rule(name=FRAMES, which=st.integers(0, 3))
    def leave_the_server(self, name: str, which: int) -> None:
        sheet, version = self._version(name, which)
        if sheet is None:
            return
        leaves = version in sheet.versions and version not in sheet.gone
        safe = SafeToDelete(name, version, (f"v{version}-cfg-1",))
        self._decide(name, lambda frame: frames.delete_from_server(frame, safe), changes=leaves)
        if leaves:
            sheet.gone.add(version)

    @rule(name=FRAMES, at_once=st.booleans())
    def delete(self, name: str, at_once: bool) -> None:
        if self.command(
            lambda: delete_frame(self.log, self.clock, CAUSE, name),
            refused=None if name in self.sheets else NotFound,
            again=NotFound,
        ):
            del self.sheets[name]
            left = {picture for picture, (frame, _) in self.pictures.items() if frame == name}
            self.leaving |= left
            for picture in left:
                del self.pictures[picture]
            if at_once:
                self.the_policy_has_its_turn()

    @rule()
    def the_policy_has_its_turn(self) -> None:
        run(self.policy, self.log)
        self.leaving.clear()
        self.held = {data for sheet in self.sheets.values() for data in sheet.versions.values()}
        there = {
            (place(data), data)
            for sheet in self.sheets.values()
            for version, data in sheet.versions.items()
            if version not in sheet.gone
        }
        pictures = {(f"thumbnails/{name}~{data}.jpg", data) for name, (_, data) in self.pictures.items()}
        assert self.store.files.keys() == there | pictures

    def _decide(self, name: str, decide: object, **expected: object) -> bool:
        """What policies decide."""
        stream = frames.stream_of(name)

        def act() -> int:
            def of(frame: Frame) -> tuple[Event, ...]:
                return decide(frame)  # type: ignore[operator, no-any-return]

            return transact(
                self.log, stream, lambda history: of(frames.fold(history)), cause=CAUSE, now=self.clock.now()
            )

        return self.command(act, **expected)  # type: ignore[arg-type]

    def _version(self, name: str, which: int) -> tuple[Sheet | None, int]:
        """One of the frame's versions, or one that it doesn't have."""
        sheet = self.sheets.get(name)
        known = sorted(sheet.versions) if sheet else []
        return sheet, known[which] if which < len(known) else 999

    def _linked(self, name: str) -> set[str]:
        """The frames that are there and linked to this one, from either side."""
        mine = self.sheets[name].related if name in self.sheets else set()
        return {
            other for other in self.sheets if other != name and (other in mine or name in self.sheets[other].related)
        }

    @invariant()
    def agrees_with_the_model(self) -> None:
        for name in NAMES:
            frame, sheet = self.state(name), self.sheets.get(name)
            assert frame.exists is (sheet is not None)
            if sheet is None:
                assert (frame.versions, frame.thumbnails, frame.copies) == ((), (), frozenset())
                continue
            assert frame.record.target_name == sheet.target
            assert {version.id: version.md5 for version in frame.versions} == sheet.versions
            assert frame.deleted_from_server == sheet.gone
            assert set(frame.record.related) == sheet.related
            assert frame.copies == sheet.copies
            assert (set(frame.calibrated), frame.calibration_failed) == (sheet.calibrated, sheet.failed)
            assert frame.expects_calibration() is sheet.due
            mine = {picture: data for picture, (owner, data) in self.pictures.items() if owner == name}
            assert {one.basename: one.key for one in frame.thumbnails} == mine

    @invariant()
    def names_are_taken_exactly_as_long_as_the_bytes_may_be_there(self) -> None:
        claims = {f"md5:{data}": data in self.held for data in ("m1", "m2", "m3", "m4")}
        claims |= {f"thumbnail:{name}": name in self.pictures or name in self.leaving for name in PICTURES}
        assert self.log.claimed(tuple(claims)) == {claim for claim, taken in claims.items() if taken}

    @invariant()
    def no_two_versions_are_the_same(self) -> None:
        versions = [version for name in NAMES for version in self.state(name).versions]
        assert len({version.id for version in versions}) == len(versions)
        assert len({version.md5 for version in versions}) == len({version.key for version in versions}) == len(versions)

    @invariant()
    def a_deletion_says_what_justified_it(self) -> None:
        for events in self.log.handed_in.values():
            assert all(event.justified_by for event in events if isinstance(event, FileDeletedFromServer))


FrameMachine.TestCase.settings = FEW
TestFrameMachine = FrameMachine.TestCase
