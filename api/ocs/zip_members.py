"""What of each frame goes into a zip download, and the manifest from which nginx makes it (contracts: 1.10)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote, urlsplit

import msgspec

from adapters.zip_stream import safe_name
from api.bootstrap import Core
from api.contents import Form, size_of
from api.serving import files_url
from domain.errors import InvalidFile, NotFound
from projections.frames.files import StoredFile

PACKED = ".fits.fz"
CATALOGUED_LEVEL, CATALOGUED_TYPE = 91, "EXPOSE"
MANIFEST_SECONDS = 24 * 3600
STORED = "/zip-files"
"""The location in nginx that stands for the file store."""


class Member(msgspec.Struct, frozen=True):
    """A file of the archive: its name there, its form and size; no size when its bytes aren't on the server."""

    file: StoredFile
    form: Form
    name: str
    size: int | None


def members_of(core: Core, files: Iterable[StoredFile], *, uncompress: bool, catalog_only: bool) -> list[Member]:
    """The members that these files make; one without the catalogue that is asked for makes none.

    Raises InvalidFile for a file that can't be unpacked, RetryLater.
    """
    found = (_member(core, file, *_form(file, uncompress, catalog_only)) for file in files)
    return [member for member in found if member is not None]


def manifest(core: Core, folder: str, members: Sequence[Member]) -> str:
    """One line a file: no checksum, its size, where nginx finds it, and its name in the archive."""
    return "".join(
        f"- {member.size} {_location(core, member)} {folder}/{safe_name(member.name)}\n" for member in members
    )


def _form(file: StoredFile, uncompress: bool, catalog_only: bool) -> tuple[Form, str]:
    """In which form the file is put into the archive, and under which name."""
    if uncompress and file.extension == PACKED:
        return "unpacked", f"{file.basename}.fits"
    if catalog_only and (file.reduction_level, file.configuration_type) == (CATALOGUED_LEVEL, CATALOGUED_TYPE):
        return "catalogue", f"{file.basename}-catalog.fits"
    return "whole", file.name


def _member(core: Core, file: StoredFile, form: Form, name: str) -> Member | None:
    if file.deleted:
        return Member(file, form, name, None)
    try:
        return Member(file, form, name, size_of(core, file, form))
    except NotFound:
        return Member(file, form, name, None)
    except InvalidFile:
        if form == "catalogue":
            return None
        raise


def _location(core: Core, member: Member) -> str:
    """Where nginx, which has no rights of its own, may fetch a member's bytes."""
    file = member.file
    if member.form == "whole":
        link = core.store.url(file.path, file.key, filename=file.name, expires=MANIFEST_SECONDS)
        if not link:
            link = (files_url(core.settings) or "http://files/") + quote(file.path)
        parts = urlsplit(link)
        return link.replace(f"{parts.scheme}://{parts.netloc}", STORED, 1)
    route = "frame-funpack/{}/funpack/" if member.form == "unpacked" else "frame-catalog/{}/catalog/"
    signature = "" if file.public else f"?{core.links.query(file.version_id)}"
    return f"/{route.format(file.frame_id)}{signature}"
