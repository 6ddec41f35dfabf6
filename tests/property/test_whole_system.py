"""The whole system on a real PostgreSQL, moved step by step in any order: files, versions, calibration, observations,
destinations, transfers that fail and workers that die, cancelling, retrying, deletion, standing deliveries, time.

Beside it a person would keep a few dictionaries: which files there are, who wants them, what destinations were told.
From them follows what must be seen, what must have been delivered, and above all what may have been deleted.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from api.bootstrap import open_core
from api.settings import Settings as OperatorSettings
from application.commands.accounts import create_user
from application.commands.calibration import report_calibration
from application.commands.frames import delete_frame
from application.commands.observations import NewObservation, select_destinations, submit_observation
from application.commands.standing_deliveries import (
    NewStandingDelivery,
    change_standing_delivery,
    create_standing_delivery,
    end_standing_delivery,
)
from application.commands.storage_configs import (
    NewStorageConfig,
    create_storage_config,
    delete_storage_config,
    load_config,
)
from application.commands.storage_configs import test_storage_config as try_destination
from application.commands.thumbnails import ThumbnailArrival, put_thumbnail
from application.commands.transfers import cancel_transfer, retry_transfer
from application.permissions import Principal
from domain import transfers
from domain.errors import (
    AlreadyExists,
    DestinationPaused,
    GiveUp,
    NeedsAuthorization,
    NotAllowedNow,
    RetryLater,
    StarferryError,
)
from domain.frame_query import FrameQuery
from domain.frame_record import FrameRecord
from domain.frames import FileDeletedFromServer
from domain.storage_configs import FileContent, Settings
from domain.transfer_events import TransferCompleted, TransferRequested, TransferRetried
from domain.transfers import Transfer
from tests.fakes.destination import Fault
from tests.postgres import fresh_database
from tests.property.effort import searching
from tests.property.system_world import CAUSE, WorkerDied, World
from tests.property.test_storage_config_machine import NoConsent
from tests.records import fits_bytes

ROOT = Principal("root", is_superuser=True)
CONFIGS: dict[str, tuple[FileContent, bool]] = {
    "raw": ("raw", False),
    "both": ("raw_and_calibrated", True),
    "moved": ("raw", True),
    "cal": ("calibrated", False),
}
"""What each takes, and whether files are deleted from the server then."""
CHOICES = st.lists(st.sampled_from(sorted(CONFIGS)), min_size=1, max_size=3, unique=True).map(tuple)
NUMBERS = st.sampled_from([1, 2])
WHICH = st.integers(0, 20)


def died() -> None:
    raise WorkerDied


FAULTS: dict[str, Callable[[], Fault]] = {
    "busy": lambda: RetryLater("Busy."),
    "refused": lambda: GiveUp("No."),
    "locked out": lambda: NeedsAuthorization("Revoked."),
    "full": lambda: DestinationPaused("Full."),
    "died": lambda: died,
}


class Version(msgspec.Struct):
    """Bytes, and whether they are on the server."""

    data: bytes
    on_server: bool = True


class Sheet(msgspec.Struct):
    """What a person would note of a frame; `raw` is the frame that it is the calibrated one of."""

    number: int
    versions: dict[int, Version] = msgspec.field(default_factory=dict)
    raw: str = ""
    calibrated: set[str] = msgspec.field(default_factory=set)
    answered: bool = False
    pictures: set[str] = msgspec.field(default_factory=set)


class WholeSystem(RuleBasedStateMachine):
    def __init__(self, cluster: str, template: str, folder: Path) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.world = World(cluster, template, folder / secrets.token_hex(4), self.stack)
        self.files = 0
        self.frames: dict[str, Sheet] = {}
        self.data: dict[int, bytes] = {}
        """Of every version that there ever was."""
        self.selected: dict[int, tuple[str, ...]] = {}
        """By number; what isn't here wasn't submitted."""
        self.ever: dict[int, set[str]] = {1: set(), 2: set()}
        self.gone: set[str] = set()
        self.standing: dict[str, tuple[str, ...]] = {}
        self.ever_standing: set[str] = set()
        self.cancelled: set[str] = set()
        self.requested: dict[str, TransferRequested] = {}
        self.completions: Counter[str] = Counter()
        self.retries: Counter[str] = Counter()
        self.seen = 0
        core, clock = self.world.core, self.world.clock
        create_user(core.log, core.passwords, clock, CAUSE, "root", is_superuser=True)
        for name, (content, delete) in CONFIGS.items():
            settings = Settings(display_name=name, file_content=content, delete_from_server=delete)
            new = NewStorageConfig(id=name, provider="folder", settings=settings, credentials={"root": "/srv"})
            create_storage_config(core.log, core.vault, clock, CAUSE, ROOT, new, core.destinations)

    # --- files ---

    @rule(number=NUMBERS)
    def ingest(self, number: int) -> None:
        self.files += 1
        self._comes_in(f"f{self.files}", number)

    @precondition(lambda self: self.frames)
    @rule(which=WHICH)
    def ingest_a_new_version(self, which: int) -> None:
        name = self._raw(which)
        if name:
            self._comes_in(name, self.frames[name].number)

    @precondition(lambda self: self.frames)
    @rule(which=WHICH)
    def ingest_again_what_is_there(self, which: int) -> None:
        name = sorted(self.frames)[which % len(self.frames)]
        version = next(iter(self.frames[name].versions.values()))
        head = self.world.log.head()
        with pytest.raises(AlreadyExists):
            self.world.ingest(f"{name}.fits", version.data)
        assert self.world.log.head() == head

    @precondition(lambda self: self.frames)
    @rule(which=WHICH)
    def ingest_a_calibrated_file(self, which: int) -> None:
        raw = self._raw(which)
        if raw and (f"{raw}-cal" not in self.frames or not self.frames[raw].answered):
            self._comes_in(f"{raw}-cal", self.frames[raw].number, raw=raw)
            self.frames[raw].calibrated.add(f"{raw}-cal")
            self.frames[raw].answered = True

    @precondition(lambda self: self.frames)
    @rule(which=WHICH)
    def fail_a_calibration(self, which: int) -> None:
        raw = self._raw(which)
        if not raw:
            return
        log, clock = self.world.log, self.world.clock
        try:
            report_calibration(log, clock, CAUSE, ROOT, raw, "no_masters", "")
            self.frames[raw].answered = True
        except NotAllowedNow:
            assert self.frames[raw].calibrated

    @precondition(lambda self: self.frames)
    @rule(which=WHICH)
    def add_a_thumbnail(self, which: int) -> None:
        name = self._raw(which)
        if not name:
            return
        core, picture = self.world.core, f"{name}-small"
        arrival = ThumbnailArrival(record=FrameRecord(basename=name), headers=msgspec.Raw(b"{}"), basename=picture,
                                   extension=".jpg", size="small", key=f"key-{picture}", path="")  # fmt: skip
        try:
            put_thumbnail(core.log, core.lookups, core.numbers, core.clock, CAUSE, arrival)
        except RetryLater:
            return  # the one of a frame of this name, deleted before, still goes
        self.frames[name].pictures.add(picture)

    @precondition(lambda self: self.frames)
    @rule(which=WHICH)
    def delete_a_frame(self, which: int) -> None:
        name = sorted(self.frames)[which % len(self.frames)]
        delete_frame(self.world.log, self.world.clock, CAUSE, name)
        del self.frames[name]

    # --- wishes ---

    @rule(number=NUMBERS, chosen=CHOICES)
    def submit(self, number: int, chosen: tuple[str, ...]) -> None:
        log, clock = self.world.log, self.world.clock
        new = NewObservation(name="Night", code="unused", observation_id=number, destinations=chosen)
        self._wishes(number, chosen, lambda: submit_observation(log, clock, CAUSE, ROOT, new),
                     refused=number in self.selected or bool(self.gone & set(chosen)))  # fmt: skip

    @precondition(lambda self: self.selected)
    @rule(which=WHICH, chosen=CHOICES)
    def select(self, which: int, chosen: tuple[str, ...]) -> None:
        log, clock = self.world.log, self.world.clock
        number = sorted(self.selected)[which % len(self.selected)]
        fresh = set(chosen) - set(self.selected[number])
        self._wishes(number, chosen, lambda: select_destinations(log, clock, CAUSE, ROOT, str(number), chosen),
                     refused=bool(self.gone & fresh))  # fmt: skip

    @rule(chosen=CHOICES)
    def let_a_standing_delivery_begin(self, chosen: tuple[str, ...]) -> None:
        if self.gone & set(chosen) or len(self.ever_standing) > 2:
            return
        name = f"rule-{len(self.ever_standing)}-{len(self.standing)}-{self.world.log.head()}"
        new = NewStandingDelivery(id=name, name="All", query="", conditions=FrameQuery(), destinations=chosen)
        create_standing_delivery(self.world.log, self.world.clock, CAUSE, ROOT, new)
        self.standing[name] = chosen
        self.ever_standing |= set(chosen)

    @precondition(lambda self: self.standing)
    @rule(which=WHICH, paused=st.booleans(), end=st.booleans())
    def let_a_standing_delivery_rest_or_end(self, which: int, paused: bool, end: bool) -> None:
        name = sorted(self.standing)[which % len(self.standing)]
        if end:
            end_standing_delivery(self.world.log, self.world.clock, CAUSE, ROOT, name)
            del self.standing[name]
        else:
            change_standing_delivery(self.world.log, self.world.clock, CAUSE, ROOT, name, paused=paused)

    @precondition(lambda self: not self.gone)
    @rule(config=st.sampled_from(sorted(CONFIGS)), really=st.integers(0, 3))
    def delete_a_destination(self, config: str, really: int) -> None:
        if really:
            return  # rarely, for it ends much
        core, consent = self.world.core, cast(Any, NoConsent())
        delete_storage_config(core.log, core.vault, core.clock, CAUSE, ROOT, config, consent, core.lookups)
        self.gone.add(config)

    @precondition(lambda self: self.requested)
    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        name = self._transfer(which)
        if self._may(lambda: cancel_transfer(self.world.log, self.world.clock, CAUSE, ROOT, name)):
            self.cancelled.add(name)

    @precondition(lambda self: self.requested)
    @rule(which=WHICH)
    def retry(self, which: int) -> None:
        name = self._transfer(which)
        self._may(lambda: retry_transfer(self.world.log, self.world.clock, CAUSE, ROOT, name))

    # --- what goes on by itself ---

    @rule(which=WHICH, most=st.integers(1, 40))
    def a_policy_has_its_turn(self, which: int, most: int) -> None:
        policies = self.world.policies
        self.world.advance_policy(policies[which % len(policies)], most)

    @rule()
    def all_policies_and_read_models_have_their_turn(self) -> None:
        for policy in self.world.policies:
            self.world.project()
            self.world.advance_policy(policy, 500)

    @rule()
    def read_models_have_their_turn(self) -> None:
        self.world.project()

    @rule()
    def policies_crash_and_come_back(self) -> None:
        self.world.restart_policies()

    @rule()
    def sweep(self) -> None:
        self.world.sweep()

    @precondition(lambda self: self.world.jobs.nudges)
    @rule(
        which=WHICH,
        fault=st.sampled_from(["", "", "", *FAULTS]),
        where=st.sampled_from(["begin", "put", "finish"]),
    )
    def carry(self, which: int, fault: str, where: str) -> None:
        nudges = self.world.jobs.nudges
        transfer, _ = nudges.pop(which % len(nudges))
        if fault and transfer in self.requested:
            place = self.requested[transfer].storage_config
            with self.world.places(self._config(place), {}) as destination:
                destination.script(where, FAULTS[fault]())
        self.world.carry(transfer)

    @precondition(lambda self: self.world.jobs.nudges)
    @rule()
    def carry_all(self) -> None:
        self.world.carry_all()

    @rule(which=WHICH)
    def a_job_is_lost(self, which: int) -> None:
        if nudges := self.world.jobs.nudges:
            nudges.pop(which % len(nudges))

    @rule(minutes=st.sampled_from([1, 5, 20, 600]))
    def time_passes(self, minutes: int) -> None:
        self.world.clock.forward(minutes=minutes)

    # --- what must be so all the time ---

    @invariant()
    def what_happened_was_allowed(self) -> None:
        happened, self.seen = self.world.events(self.seen)
        for recorded in happened:
            name = recorded.stream.removeprefix("transfer:")
            match recorded.event:
                case TransferRequested() as event:
                    assert name not in self.requested, "wanted twice"
                    self.requested[name] = event
                case TransferCompleted():
                    self.completions[name] += 1
                    assert self.completions[name] <= 1 + self.retries[name], "completed twice"
                    request = self.requested[name]
                    assert self.world.places.holds(request.storage_config, self.data[request.version_id])
                case TransferRetried():
                    self.retries[name] += 1
                case FileDeletedFromServer() as event:
                    self._may_be_deleted(recorded.stream.removeprefix("frame:"), event)

    def _may_be_deleted(self, name: str, event: FileDeletedFromServer) -> None:
        """S54, for what the dictionaries say."""
        sheet, version = self.frames[name], event.version_id
        data = self.data[version]
        raw = self.frames[sheet.raw] if sheet.raw else sheet
        living = [config for config in self.selected.get(sheet.number, ()) if config not in self.gone]
        content = "calibrated" if sheet.raw else "raw"
        takers = {config for config in living if CONFIGS[config][0] in (content, "raw_and_calibrated")}
        takers |= {one.storage_config for one in self.requested.values() if one.version_id == version}
        for config in takers:
            dropped = f"v{version}-{config}" in self.cancelled or config in self.gone
            assert dropped or self.world.places.holds(config, data), f"{config} doesn't have it"
        if any(CONFIGS[config][0] != "raw" for config in living):
            assert raw.answered, "a calibrated file is still expected"
        assert any(CONFIGS[config][1] and self.world.places.holds(config, data) for config in CONFIGS), "nobody asked"
        assert event.justified_by
        assert sheet.versions[version].on_server
        sheet.versions[version].on_server = False

    # --- what must be so in the end ---

    def teardown(self) -> None:
        try:
            self._end_all_troubles()
            self.world.settle(self._nothing_is_open)
            self.what_happened_was_allowed()
            self._everything_wanted_was_asked_for()
            self._destinations_have_what_was_completed()
            self._files_are_there_that_should_be()
            self._the_read_models_show_it()
            assert not self.world.dead_letters.letters
            assert self.world.differing_read_models() == []
        finally:
            self.stack.close()

    def _end_all_troubles(self) -> None:
        core = self.world.core
        for config in CONFIGS.keys() - self.gone:
            with self.world.places(self._config(config), {}) as destination:
                destination.faults.clear()
            try_destination(core.log, core.vault, core.clock, CAUSE, ROOT, config, core.destinations)

    def _nothing_is_open(self) -> bool:
        return all(self._state(name).status not in ("pending", "in_progress") for name in self.requested)

    def _everything_wanted_was_asked_for(self) -> None:
        must = {
            f"v{version}-{config}"
            for sheet in self.frames.values()
            for version, one in sheet.versions.items()
            for config in self.selected.get(sheet.number, ())
            if one.on_server
            and config not in self.gone
            and CONFIGS[config][0] in ("calibrated" if sheet.raw else "raw", "raw_and_calibrated")
        }
        assert must <= self.requested.keys(), must - self.requested.keys()
        may = set().union(*self.ever.values()) | self.ever_standing
        assert {request.storage_config for request in self.requested.values()} <= may

    def _destinations_have_what_was_completed(self) -> None:
        for name, request in self.requested.items():
            if self._state(name).status == "completed":
                assert self.world.places.holds(request.storage_config, self.data[request.version_id])
        for place in self.world.places.of.values():
            assert set(place.objects.values()) <= set(self.data.values())
            assert len(set(place.objects.values())) == len(place.objects), "an object is there twice"

    def _files_are_there_that_should_be(self) -> None:
        wanted = Counter(one.data for sheet in self.frames.values() for one in sheet.versions.values() if one.on_server)
        root = self.world.core.settings.data / "files"
        there = [path for path in root.rglob("*") if path.is_file() and ".incoming" not in path.parts]
        assert Counter(path.read_bytes() for path in there) == wanted
        assert [path.name for path in (root / ".incoming").iterdir() if path.name != "lock"] == []

    def _the_read_models_show_it(self) -> None:
        shown = self.world.rows(
            "SELECT f.basename, v.id FROM read_frames.frame f JOIN read_frames.version v ON v.frame_id = f.id"
        )
        assert sorted(shown) == sorted((name, one) for name, sheet in self.frames.items() for one in sheet.versions)
        pictures = self.world.rows("SELECT basename FROM read_frames.thumbnail ORDER BY 1")
        assert [row[0] for row in pictures] == sorted(one for sheet in self.frames.values() for one in sheet.pictures)
        listed = dict(self.world.rows("SELECT id, status FROM read_transfers.transfer"))
        assert listed == {name: self._state(name).status for name in self.requested}
        destinations = self.world.rows("SELECT id FROM read_storage_configs.storage_config WHERE NOT deleted")
        assert {row[0] for row in destinations} == CONFIGS.keys() - self.gone

    # --- shorthand ---

    def _comes_in(self, name: str, number: int, raw: str = "") -> None:
        data = fits_bytes(BLKUID=number, NONCE=f"{name}-{len(self.data)}", RLEVEL=91 if raw else 0)
        version = self.world.ingest(f"{name}.fits", data, calibrated_from=raw or None).frame.newest
        assert version is not None
        sheet = self.frames.setdefault(name, Sheet(number, raw=raw))
        sheet.versions[version.id] = Version(data)
        sheet.answered = False
        self.data[version.id] = data

    def _wishes(self, number: int, chosen: tuple[str, ...], act: Callable[[], Any], *, refused: bool) -> None:
        if self._may(act):
            assert not refused
            self.selected[number] = chosen
            self.ever[number] |= set(chosen)
        else:
            assert refused

    def _may(self, act: Callable[[], Any]) -> bool:
        try:
            act()
        except StarferryError:
            return False
        return True

    def _raw(self, which: int) -> str:
        names = sorted(name for name, sheet in self.frames.items() if not sheet.raw)
        return names[which % len(names)] if names else ""

    def _transfer(self, which: int) -> str:
        return sorted(self.requested)[which % len(self.requested)]

    def _state(self, name: str) -> Transfer:
        return transfers.fold(self.world.log.load(transfers.stream_of(name)))

    def _config(self, name: str) -> Any:
        return load_config(self.world.log, name)


@pytest.fixture(scope="module")
def grown(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a database with read models, to copy."""
    with fresh_database(cluster, template=template) as conninfo:
        settings = OperatorSettings({"DATABASE_URL": conninfo}, data=tmp_path_factory.mktemp("grown"))
        with open_core(settings, conninfo):
            pass
        yield conninfo.rpartition("dbname=")[2].split()[0]


def test_the_whole_system_keeps_its_promises(cluster: str, grown: str, tmp_path: Path) -> None:
    run_state_machine_as_test(lambda: WholeSystem(cluster, grown, tmp_path), settings=searching(2, 30))
