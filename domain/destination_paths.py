"""Where a copy lands: destination folder, template and file name, made safe for every provider alike (S12–S19).

Each substituted value is cleaned before it is joined, so a target named `../x` can never climb out, and the same
template gives the same tree at every provider. The forbidden sets are the union of what Dropbox, Google Drive,
Google Cloud Storage, S3 and Windows clients refuse.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from domain.errors import InvalidInput
from domain.frame_record import split_name

MAX_PART_BYTES = 255
MAX_PATH_BYTES = 1024
VARIABLES = ("USER", "PROJECT", "TARGET")

_FORBIDDEN = frozenset('/\\"*:<>?|#[]')
_RESERVED_STEMS = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"] + [port + n for port in ("com", "lpt") for n in "123456789¹²³"]
)
_IGNORED_BY_DROPBOX = frozenset(
    ["desktop.ini", "thumbs.db", ".ds_store", "icon\r", ".dropbox", ".dropbox.attr", ".dropbox.cache"]
)
_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")


def clean_part(text: str) -> str:
    """One path part out of any text: NFC, no separators, control, bidirectional or forbidden characters, spaces as
    `_`, never empty or reserved, at most 255 bytes of UTF-8."""
    kept = "".join(_clean_character(character) for character in unicodedata.normalize("NFC", text))
    kept = kept.strip(".") or "unknown"
    return _shorten(f"_{kept}" if _is_reserved(kept) else kept)


def normalise_folder(text: str) -> str:
    """A destination folder that begins with a slash and doesn't end with one (`/` alone is the root).

    Raises InvalidInput for `..` and for control characters.
    """
    parts = [part for part in map(str.strip, text.replace("\\", "/").split("/")) if part not in ("", ".")]
    if ".." in parts:
        raise InvalidInput("The destination path can't contain '..'.", field="destination_path")
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs") for part in parts for character in part):
        raise InvalidInput("The destination path can't contain control characters.", field="destination_path")
    folder = "/" + "/".join(_shorten(unicodedata.normalize("NFC", part)) for part in parts)
    if len(folder.encode()) > MAX_PATH_BYTES // 2:
        raise InvalidInput("The destination path is longer than 512 bytes.", field="destination_path")
    return folder


def check_template(template: str) -> None:
    """Raise InvalidInput naming a variable that doesn't exist, or for a `$` that begins none (S13)."""
    known = ", ".join(f"${variable}" for variable in VARIABLES)
    for name in _VARIABLE.findall(template):
        if name not in VARIABLES:
            message = f"The template has an unknown variable ${name}; known are {known}."
            raise InvalidInput(message, field="path_template")
    if "$" in _VARIABLE.sub("", template):
        message = f"The template has a $ that no variable's name follows; known are {known}."
        raise InvalidInput(message, field="path_template")
    if len(template) > 500:
        raise InvalidInput("The path template is longer than 500 characters.", field="path_template")


def render(destination: str, template: str, filename: str, *, user: str, project: str, target: str) -> str:
    """The full path of a copy. A missing project or target becomes `no_project` or `no_target`.

    Where the whole would be longer than 1024 bytes, the subfolders become a single shortened one.
    """
    values = {"USER": user or "no_user", "PROJECT": project or "no_project", "TARGET": target or "no_target"}
    cleaned = {name: clean_part(value) for name, value in values.items()}
    rendered = _VARIABLE.sub(lambda match: cleaned.get(match[1], match[0]), template.replace("\\", "/"))
    folders = [clean_part(part) for part in rendered.split("/") if part.strip() not in ("", ".", "..")]
    base, extension = split_name(filename)
    name = clean_part(base + extension)
    root = "" if destination == "/" else destination
    path = "/".join([root, *folders, name])
    if len(path.encode()) > MAX_PATH_BYTES:
        path = "/".join([root, _shorten("_".join(folders)), name])
    return path


def calibrated_name(filename: str) -> str:
    """`x_calibrated.fits.fz` for `x.fits.fz` (S19)."""
    base, extension = split_name(filename)
    return filename if base.endswith("_calibrated") else f"{base}_calibrated{extension}"


def beside(path: str, version_id: int) -> str:
    """The path for a version whose name is taken by another at that destination: `x~v42.fits` beside `x.fits`."""
    folder, _, name = path.rpartition("/")
    base, extension = split_name(name)
    mark = f"~v{version_id}"
    excess = len(name.encode()) + len(mark) - MAX_PART_BYTES
    if excess > 0:
        base, extension = (base, extension) if len(extension.encode()) <= 32 else (name, "")
        base = base.encode()[:-excess].decode(errors="ignore")
    return f"{folder}/{base}{mark}{extension}"


def path_claim(storage_config: str, path: str) -> str:
    """The name that one copy at one path claims. Case-folded: Dropbox and Windows see no difference."""
    folded = unicodedata.normalize("NFC", path).casefold()
    if len(folded.encode()) > 2 * MAX_PATH_BYTES:  # some letters fold to three; the log's names have a limit
        folded = hashlib.sha256(folded.encode()).hexdigest()
    return f"path:{storage_config}:{folded}"


def _is_reserved(part: str) -> bool:
    reserved = part.split(".", 1)[0].casefold() in _RESERVED_STEMS or part.casefold() in _IGNORED_BY_DROPBOX
    return reserved or part.startswith("~")  # which Dropbox takes for a temporary file


def _clean_character(character: str) -> str:
    if character in _FORBIDDEN or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
        return "_"
    return "_" if character.isspace() else character


def _shorten(part: str) -> str:
    if len(part.encode()) <= MAX_PART_BYTES:
        return part
    base, extension = split_name(part)
    digest = hashlib.sha256(part.encode()).hexdigest()[:8]
    tail = f"~{digest}{extension}" if len(extension.encode()) <= 32 else f"~{digest}"
    return base.encode()[: MAX_PART_BYTES - len(tail.encode())].decode(errors="ignore") + tail
