"""DeliverStandingQueries: a file that arrives goes where the standing deliveries that select it say (S36).

Decided from the frame's record, and from what the standing delivery's owner may see and use at that moment. The frame's
own stream says that the copy is wanted, in the same commit: its file isn't deleted before the copy is there (S54). What
was taken over from another archive hasn't arrived just now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from application.frame_matching import FrameMatcher
from application.permissions import may_have
from application.policies.policy import cause_of
from application.ports.event_log import Commit, EventLog, Write
from application.standing_deliveries import POLICY, Means, load_listing, load_means
from application.transfer_requests import Wish, with_free_paths
from domain import destination_paths, frames, transfers
from domain.event import Recorded
from domain.frames import FileProcessed, Frame, FrameVersion, is_calibrated
from domain.standing_deliveries import StandingDelivery
from domain.storage_configs import Content


class _Match(msgspec.Struct, frozen=True):
    """A file that a standing delivery may want."""

    trigger: Recorded
    event: FileProcessed
    rule: StandingDelivery


class _Wanted(msgspec.Struct, frozen=True):
    """A copy, with what led to it."""

    wish: Wish
    match: _Match


class DeliverStandingQueries:
    """See the module."""

    name = POLICY
    topics = frozenset({FileProcessed.topic})

    def __init__(self, log: EventLog, matcher: FrameMatcher) -> None:
        self._log = log
        self._matcher = matcher

    def react(self, batch: Sequence[Recorded], taken: frozenset[str], now: datetime) -> Sequence[Commit]:
        """See Policy.react."""
        rules = load_listing(self._log).rules
        matches = list(self._matches(batch, rules)) if rules else []
        if not matches:
            return []
        means = load_means(self._log, [match.rule for match in matches])
        histories = self._log.load_many(sorted({match.trigger.stream for match in matches}))
        current = {stream: frames.fold(history) for stream, history in histories.items()}
        wanted: dict[str, _Wanted] = {}
        for match in matches:
            for wish in self._wishes(match, current[match.trigger.stream], means, now):
                wanted.setdefault(wish.id, _Wanted(wish, match))
        there = self._log.load_many([transfers.stream_of(transfer) for transfer in wanted])
        new = [one.wish for one in wanted.values() if transfers.stream_of(one.wish.id) not in there]
        return _commits(with_free_paths(self._log, new, taken), wanted, current, now)

    def _matches(self, batch: Sequence[Recorded], rules: Sequence[StandingDelivery]) -> Iterator[_Match]:
        for recorded in batch:
            event = recorded.event
            if not isinstance(event, FileProcessed) or recorded.cause.via == "import":
                continue
            for rule in rules:
                if rule.concerns(recorded.position) and self._matcher.selects(
                    rule.conditions, event.record, event.headers
                ):
                    yield _Match(recorded, event, rule)

    def _wishes(self, match: _Match, frame: Frame, means: Means, now: datetime) -> Iterator[Wish]:
        """What may go of a file, as its frame stands now: it may have changed or left the server since it came."""
        rule, owner = match.rule, means.owner(match.rule)
        if frame.record is None or not self._matcher.shows(rule.conditions, frame.record, frame.headers, owner, now):
            return
        project = means.project(rule)
        for version in _left(match.event, frame):
            content: Content = "calibrated" if is_calibrated(match.event) else "raw"
            for config in means.destinations(rule):
                if config.settings.wants(content):
                    yield Wish(
                        frame_id=frame.id,
                        record=frame.record,
                        version=version,
                        content=content,
                        config=config,
                        owner=rule.owner,
                        user=rule.owner,
                        project=project.name if project else "",
                        delete=may_have(owner, frame.record, now) == "own",
                    )


def _left(event: FileProcessed, frame: Frame) -> list[FrameVersion]:
    """The versions that came with this event and are still on the server."""
    return [
        version
        for version in event.versions
        if frame.version(version.id) is not None and version.id not in frame.deleted_from_server
    ]


def _commits(
    placed: Sequence[tuple[Wish, str]], wanted: Mapping[str, _Wanted], current: Mapping[str, Frame], now: datetime
) -> list[Commit]:
    """One commit a frame: no stream may be written twice."""
    by_frame: dict[str, list[tuple[Wish, str]]] = {}
    for wish, path in placed:
        by_frame.setdefault(frames.stream_of(wish.record.basename), []).append((wish, path))
    commits = []
    for stream, copies in by_frame.items():
        frame = current[stream]
        rules = [wanted[wish.id].match.rule.id for wish, _ in copies]
        said = [
            event
            for (wish, _), rule in zip(copies, rules, strict=True)
            for event in frames.want_copy(frame, wish.version.id, wish.config.id, rule)
        ]
        cause = cause_of(POLICY, wanted[copies[-1][0].id].match.trigger)
        commits.append(
            Commit(
                writes=(
                    *((Write(stream, frame.stream_version, tuple(said)),) if said else ()),
                    *(Write(transfers.stream_of(wish.id), 0, (wish.requested(path),)) for wish, path in copies),
                ),
                cause=msgspec.structs.replace(cause, reason=f"standing delivery {', '.join(dict.fromkeys(rules))}"),
                at=now,
                claims=tuple(destination_paths.path_claim(wish.config.id, path) for wish, path in copies),
            )
        )
    return commits
