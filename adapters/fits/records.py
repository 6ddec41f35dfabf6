"""From a file's headers to its record: names fill gaps, days and public dates are derived, values get their types."""

from __future__ import annotations

from datetime import UTC, datetime

from adapters.fits import lco_names
from adapters.fits.cards import Value
from adapters.fits.file_kinds import FileKind, content_type
from adapters.fits.footprints import footprint
from adapters.fits.header_cleaning import cleaned, is_blank, related_names
from adapters.fits.header_fields import LARGEST_ID, HeaderFields
from adapters.fits.public_dates import ProposalTags, public_from
from adapters.fits.settings import FitsSettings
from adapters.fits.stored_paths import path_of
from application.ports.frame_reader import Described
from domain.errors import InvalidFile, MissingHeader
from domain.frame_record import FrameRecord, split_name


class FrameHeaders:
    """The headers of one frame on their way to a record; what is derived is written into them, as OCS clients do."""

    def __init__(
        self, values: dict[str, Value], *, basename: str, extension: str, kind: FileKind, settings: FitsSettings
    ) -> None:
        self.headers = cleaned(values, settings)
        self._basename = basename
        self._extension = extension
        self._name = basename + extension
        self._kind = kind
        self._settings = settings
        self._fields = HeaderFields(self.headers, self._name)

    def described(self, proposal_tags: ProposalTags | None = None) -> Described:
        """Complete the headers and give the record, with the path to keep the file at.

        Raises MissingHeader and InvalidFile.
        """
        self._infer_type()
        self._repair_day()
        self._fill_public_date(proposal_tags)
        self._mark_catalog()
        self._infer_level()
        record = self._record()
        thumbnail_of, size = self._thumbnail() if self._kind is FileKind.THUMBNAIL else ("", "")
        path = path_of(record, self._extension, self._kind, extension_name=self._fields.text("EXTNAME"))
        return Described(
            record=record,
            headers=self.headers,
            extension=self._extension,
            path=path.lstrip("/"),
            content_type=content_type(self._kind, self._extension),
            thumbnail_of=thumbnail_of,
            thumbnail_size=size,
        )

    def _thumbnail(self) -> tuple[str, str]:
        """Of which frame this is a picture, and its size by name."""
        settings, fields = self._settings, self._fields
        key, size = settings.thumbnail_frame_basename_key, fields.text(settings.thumbnail_size_key)
        frame = split_name(fields.text(key))[0]
        if not frame:
            raise MissingHeader(f"{self._name} has no value in the required header {key}.", field=key)
        if size not in settings.thumbnail_size_choices:
            choices = ", ".join(settings.thumbnail_size_choices)
            raise InvalidFile(f"{self._name} has the size {size[:40]!r}, which isn't one of {choices}.")
        return frame, size

    def _infer_type(self) -> None:
        key = self._settings.configuration_type_key
        catalog = lco_names.is_catalog(self._basename)
        if self._kind.follows_lco_names and not catalog and is_blank(self.headers.get(key)):
            self.headers[key] = lco_names.inferred_type(
                self._basename,
                enclosure=self._fields.text("ENCID"),
                telescope=self._fields.text(self._settings.telescope_id_key),
            )

    def _observed(self) -> datetime | None:
        key = self._settings.observation_date_key
        observed = self._fields.moment(key)
        if observed is None and key in self._settings.required_for(self._kind):
            raise MissingHeader(f"{self._name} has no value in the required header {key}.", field=key)
        return observed

    def _repair_day(self) -> None:
        observed = self._observed()
        key = self._settings.observation_day_key
        if observed is not None and is_blank(self.headers.get(key)):
            self.headers[key] = observed.date().isoformat().replace("-", "")

    def _fill_public_date(self, proposal_tags: ProposalTags | None) -> None:
        settings, observed = self._settings, self._observed()
        if observed is None or not is_blank(self.headers.get(settings.public_date_key)):
            return
        try:
            public = public_from(
                observed,
                proposal=self._fields.text(settings.proposal_id_key),
                configuration_type=self._fields.text(settings.configuration_type_key),
                basename=self._basename,
                settings=settings,
                proposal_tags=proposal_tags,
            )
        except OverflowError:
            key = settings.observation_date_key
            raise InvalidFile(
                f"{self._name} has {key} = {self._fields.text(key)}, too late for a public date."
            ) from None
        if public == observed:
            self.headers[settings.public_date_key] = self._fields.text(settings.observation_date_key)
        else:
            without_zone = public.replace(tzinfo=None) if public.tzinfo is UTC else public
            self.headers[settings.public_date_key] = without_zone.isoformat()

    def _mark_catalog(self) -> None:
        if self._kind.follows_lco_names and lco_names.is_catalog(self._basename):
            self.headers[self._settings.configuration_type_key] = "CATALOG"
            key = self._settings.catalog_target_frame_key
            if is_blank(self.headers.get(key)):
                self.headers[key] = lco_names.frame_of_catalog(self._basename)

    def _infer_level(self) -> None:
        key = self._settings.reduction_level_key
        if self._kind is FileKind.SOAR_FITS:
            level = lco_names.soar_level(self._basename)
            if level is not None:
                self.headers[key] = level
        elif self._kind.follows_lco_names and is_blank(self.headers.get(key)):
            self.headers[key] = lco_names.inferred_level(self._basename, self._extension)

    def _record(self) -> FrameRecord:
        settings, fields = self._settings, self._fields
        observed, public = self._observed(), fields.moment(settings.public_date_key)
        return FrameRecord(
            basename=self._basename,
            observation_day=fields.day(settings.observation_day_key),
            configuration_type=fields.text(settings.configuration_type_key),
            observation_date=observed and observed.astimezone(UTC),
            public_date=public and public.astimezone(UTC),
            proposal_id=fields.text(settings.proposal_id_key),
            instrument_id=fields.text(settings.instrument_id_key),
            target_name=fields.text(settings.target_name_key),
            site_id=fields.text(settings.site_id_key),
            telescope_id=fields.text(settings.telescope_id_key),
            primary_optical_element=fields.text(settings.primary_optical_element_key),
            reduction_level=fields.whole(settings.reduction_level_key, -(1 << 15), (1 << 15) - 1) or 0,
            exposure_time=fields.number(settings.exposure_time_key),
            observation_id=fields.whole(settings.observation_id_key, 0, LARGEST_ID),
            request_id=fields.whole(settings.request_id_key, 0, LARGEST_ID),
            area=footprint(self.headers, settings),
            related=related_names(self.headers, settings),
        )
