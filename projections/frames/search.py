"""What can be asked of the frames read model, and how it becomes SQL. One visibility predicate for every route."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from application.permissions import Principal
from application.ports.sky import Region
from domain.frame_record import folded
from projections.frames.grams import basename_grams, target_grams

ORDERINGS = frozenset(
    "id basename observation_date primary_optical_element configuration_type proposal_id instrument_id target_name "
    "reduction_level exposure_time".split()
)
EQUALITIES = frozenset(
    "proposal_id instrument_id site_id telescope_id primary_optical_element configuration_type observation_id "
    "request_id reduction_level observation_date observation_day public_date basename".split()
)


class FrameSearch(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions, all of which must hold. Times are aware; `exposure_time` is a lower bound in seconds;
    `target_exact` and `submitter` are alternatives; `never` says that the conditions contradict each other."""

    never: bool = False
    equal: Mapping[str, Any] = {}
    start: datetime | None = None
    end: datetime | None = None
    basename: str = ""
    target: str = ""
    target_folded: str = ""
    target_exact: tuple[str, ...] = ()
    empty_target: bool = False
    exposure_time: float | None = None
    types_in: tuple[str, ...] = ()
    types_not_in: tuple[str, ...] = ()
    public: bool | None = None
    submitter: tuple[str, ...] = ()
    covers: Region | None = None
    intersects: Region | None = None

    def only(self, *names: str) -> bool:
        """Whether there is nothing to choose frames by but these."""
        return replace(self, **{name: getattr(_ALL, name) for name in names}) == _ALL

    @property
    def only_texts(self) -> bool:
        """Whether there is nothing to choose frames by but a part of their basename or target."""
        return any(getattr(self, name) for name in _TEXTS) and self.only(*_TEXTS, "public")

    @property
    def broad(self) -> bool:
        """Whether it asks for nothing but parts of texts and equal values."""
        return self.only(*_TEXTS, "equal", "public")

    @property
    def grams(self) -> list[int]:
        """The trigrams of all its texts."""
        targets = [text for text in (self.target if self.target.isascii() else "", self.target_folded) if text]
        return [*basename_grams(self.basename), *(gram for text in targets for gram in target_grams(text))]

    @property
    def geometric(self) -> bool:
        """Whether rows must be tested exactly after the index has found them."""
        return self.covers is not None or self.intersects is not None


_ALL = FrameSearch()
_TEXTS = ("basename", "target", "target_folded")
Choose = Callable[[list[int]], list[int]]


class Where(msgspec.Struct):
    """Conditions and their parameters, in step."""

    conditions: list[str]
    parameters: list[Any]

    def add(self, condition: str, *parameters: Any) -> None:
        """One more condition."""
        self.conditions.append(condition)
        self.parameters.extend(parameters)

    def copy(self) -> Where:
        """The same, to be narrowed by itself."""
        return Where([*self.conditions], [*self.parameters])

    def sql(self) -> str:
        """The whole WHERE clause."""
        return f"WHERE {' AND '.join(self.conditions)}" if self.conditions else ""


def visible_to(viewer: Principal, now: datetime, where: Where, alias: str = "f") -> None:
    """Keep what the viewer may see (contracts: visibility): public for longer than now, of an own proposal, or all
    for a superuser; a frame without an observation date is hidden from everybody."""
    where.add(f"{alias}.observation_date IS NOT NULL")
    if viewer.is_superuser:
        return
    if viewer.proposals:
        where.add(f"({alias}.public_date < %s OR {alias}.proposal_id = ANY(%s))", now, list(viewer.proposals))
    else:
        where.add(f"{alias}.public_date < %s", now)


def conditions(search: FrameSearch, viewer: Principal, now: datetime, choose: Choose = list) -> Where:
    """The search as SQL over `read_frames.frame f`, without geometry's exact part.

    Of a text's trigrams those are looked for that `choose` gives; without any it is looked for row by row.
    """
    where = Where([], [])
    visible_to(viewer, now, where)
    if search.never:
        where.add("false")
    for column, value in search.equal.items():
        if column not in EQUALITIES:
            raise ValueError(column)
        where.add(f"f.{column} = %s", value)
    if search.start is not None:
        where.add("f.observation_date >= %s", search.start)
    if search.end is not None:
        where.add("f.observation_date <= %s", search.end)
    _text_conditions(search, where, choose)
    if search.exposure_time is not None:
        where.add("f.exposure_time >= %s", search.exposure_time)
    if search.submitter:
        where.add("f.submitter <> '' AND f.submitter = ANY(%s)", list(search.submitter))
    if search.types_in:
        where.add("f.configuration_type = ANY(%s)", list(search.types_in))
    if search.types_not_in:
        where.add("f.configuration_type <> ALL(%s)", list(search.types_not_in))
    _publicness(search, viewer, now, where)
    return where


def _text_conditions(search: FrameSearch, where: Where, choose: Choose) -> None:
    if search.basename:
        if grams := choose(basename_grams(search.basename)):
            where.add("f.grams @> %s::smallint[]", grams)
        where.add("position(lower(%s) in lower(f.basename)) > 0", search.basename)
    if search.target:
        if search.target.isascii() and (grams := choose(target_grams(search.target))):
            where.add("f.grams @> %s::smallint[]", grams)
        where.add("position(lower(%s) in lower(f.target_name)) > 0", search.target)
    if search.target_folded:
        if grams := choose(target_grams(search.target_folded)):
            where.add("f.grams @> %s::smallint[]", grams)
        where.add("position(%s in f.target_folded) > 0", folded(search.target_folded))
    if search.target_exact:
        if len(search.target_exact) == 1:  # an index gives the wanted order for one name, not for several
            where.add("f.target_name = %s", search.target_exact[0])
        else:
            where.add("f.target_name = ANY(%s)", list(search.target_exact))
    if search.empty_target:
        where.add("f.target_name = ''")


def _publicness(search: FrameSearch, viewer: Principal, now: datetime, where: Where) -> None:
    """The `public` parameter's matrix (contracts: 1.6.1); true and absent change nothing."""
    if search.public is not False:
        return
    if viewer.is_superuser:
        where.add("(f.public_date >= %s OR f.public_date IS NULL)", now)
    elif not viewer.authenticated:
        where.add("false")
    elif viewer.proposals:
        where.add("f.proposal_id = ANY(%s)", list(viewer.proposals))
