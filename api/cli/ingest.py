"""`starferry ingest`: files and folders into the archive, here or through an API. Running it again goes on."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import requests
import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api.bootstrap import Core, open_core
from api.cli.opening import data_option, operator, settings_for
from api.database import opened_database
from api.intake import take_in
from api.logs import configure_logging
from api.settings import Settings
from domain.errors import AlreadyExists, InvalidInput, StarferryError

ENDINGS = (".fits", ".fits.fz", ".fits.gz", ".tar.gz")
"""What is looked for in folders: files that say themselves what they are."""

DESCRIBED_ENDINGS = (*ENDINGS, ".pdf", ".jpg", ".jpeg")
"""The same, when metadata for all files are given."""

PIECE = 1024 * 1024
AHEAD = 64
"""Files handed out before their results are looked at: enough to keep all workers busy."""

FEW = 8
"""Fewer files are done sooner than a second process starts."""


class Given(msgspec.Struct, frozen=True):
    """What is said of all files: the observation that they belong to, and metadata by header key."""

    observation: str | None = None
    metadata: dict[str, str] = {}


Outcome = tuple[str, str]
"""Path and what came of it: '' ingested, 'known' already there, otherwise why not."""


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--api-root", help="Send the files to this Starferry instead of working on the data folder.")
@click.option("--token", help="Token for --api-root.", envvar="STARFERRY_TOKEN")
@click.option("--observation", help="The observation that the files belong to (its id).")
@click.option(
    "--metadata",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="A header of all the files, instead of their own; may be given several times. PDF and JPEG files need them.",
)
@click.option("--jobs", default=os.cpu_count() or 2, show_default=True, help="Files at a time.")
@data_option
@click.pass_context
def ingest(
    context: click.Context,
    paths: tuple[Path, ...],
    api_root: str | None,
    token: str | None,
    observation: str | None,
    pairs: tuple[str, ...],
    jobs: int,
    data: Path | None,
) -> None:
    """Ingest FITS files, and all of them below folders. Files that are in the archive already are skipped."""
    if sys.stderr.isatty():  # the bar and the list at the end say it all
        os.environ.setdefault("STARFERRY_LOG_LEVEL", "error")
    given = Given(observation, _metadata(pairs))
    endings = DESCRIBED_ENDINGS if given.metadata else ENDINGS
    files, missing = _files(paths, endings)
    failed = len(missing)
    if not files and not missing:
        click.echo(f"There is nothing to ingest: no file below ends in {', '.join(endings)}.", err=True)
    for absent in missing:
        click.echo(f"{absent}: there is no such file or folder.", err=True)
    counts = {"": 0, "known": 0}
    columns = (TextColumn("ingesting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        _way_in(files, api_root, token, given, jobs, data) as outcomes,
        Progress(*columns, console=Console(stderr=True)) as progress,
    ):
        task = progress.add_task("ingest", total=len(files))
        for path, outcome in outcomes:
            progress.advance(task)
            if outcome in counts:
                counts[outcome] += 1
            else:
                failed += 1
                progress.console.print(f"{path}: {outcome}", markup=False, highlight=False, soft_wrap=True)
    click.echo(f"{counts['']} ingested, {counts['known']} already there, {failed} failed.")
    context.exit(1 if failed else 0)


def _metadata(pairs: tuple[str, ...]) -> dict[str, str]:
    """The metadata that `KEY=VALUE` options give. Raises InvalidInput."""
    metadata = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip() or not pair.isprintable():
            raise InvalidInput(f"--metadata is KEY=VALUE, like SITEID=coj, but it is {pair[:80]!r}.")
        metadata[key.strip()] = value
    return metadata


def _files(paths: tuple[Path, ...], endings: tuple[str, ...]) -> tuple[list[Path], list[Path]]:
    """All files to ingest, in order, and the paths that don't exist."""
    files: list[Path] = []
    missing: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(found for found in path.rglob("*") if found.name.endswith(endings) and found.is_file())
        elif path.exists():
            files.append(path)
        else:
            missing.append(path)
    return files, missing


@contextmanager
def _way_in(
    files: list[Path],
    api_root: str | None,
    token: str | None,
    given: Given,
    jobs: int,
    data: Path | None,
) -> Iterator[Iterator[Outcome]]:
    """What comes of each file, through an API or into the data folder. What can't work is said before it begins."""
    if api_root:
        if not token:
            raise InvalidInput("--api-root needs a token: give --token or set STARFERRY_TOKEN.")
        url = f"{api_root.rstrip('/')}/api/v1/ingest"
        with ThreadPoolExecutor(jobs) as threads:
            yield _spread(threads, lambda path: _send(path, url, token, given), files)
        return
    settings = _settings(data)
    with opened_database(settings) as conninfo, open_core(settings, conninfo) as core:
        if len(files) < FEW or jobs == 1:
            yield ((str(path), _ingest_one(core, path, given)) for path in files)
            return
        spawning = multiprocessing.get_context("spawn")  # a fork would share database connections
        with ProcessPoolExecutor(jobs, spawning, _start_worker, (data, conninfo, given)) as processes:
            yield _spread(processes, _work, files)


def _spread(executor: Executor, work: Callable[[Path], Outcome], files: list[Path]) -> Iterator[Outcome]:
    """Results in order, with a bounded number of files under way."""
    rest = iter(files)
    under_way = [executor.submit(work, path) for path in islice(rest, AHEAD)]
    while under_way:
        yield under_way.pop(0).result()
        under_way += [executor.submit(work, path) for path in islice(rest, 1)]


def _settings(data: Path | None) -> Settings:
    """As everywhere; but on a terminal the progress bar and the list of failures say what the log would."""
    settings = settings_for(data)
    if sys.stderr.isatty():
        configure_logging("error")
    return settings


_worker: dict[str, Any] = {}


def _start_worker(data: Path | None, conninfo: str, given: Given) -> None:
    _worker["context"] = open_core(_settings(data), conninfo)
    _worker["core"] = _worker["context"].__enter__()
    _worker["given"] = given


def _work(path: Path) -> Outcome:
    return str(path), _ingest_one(_worker["core"], path, _worker["given"])


def _ingest_one(core: Core, path: Path, given: Given) -> str:
    try:
        with path.open("rb") as source:
            take_in(core, source, path.name, operator(), observation=given.observation, metadata=given.metadata)
    except AlreadyExists:
        return "known"
    except StarferryError as error:
        return str(error)
    except OSError as error:
        return f"{path.name} can't be read: {error.strerror}."
    return ""


def _send(path: Path, url: str, token: str, given: Given) -> Outcome:
    fields = {"observation": given.observation} if given.observation else {}
    if given.metadata:
        fields["metadata"] = msgspec.json.encode(given.metadata).decode()
    try:
        with path.open("rb") as source:
            body = _Multipart(source, path, fields)
            answer = requests.post(
                url,
                data=body,
                timeout=600,
                headers={"Authorization": f"Token {token}", "Content-Type": body.content_type},
            )
    except requests.RequestException as error:
        return str(path), f"The API can't be reached: {type(error).__name__}."
    except OSError as error:
        return str(path), f"{path.name} can't be read: {error.strerror}."
    if answer.status_code == 201:
        return str(path), ""
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    if answer.status_code == 409 and problem.get("type") == "urn:starferry:AlreadyExists":
        return str(path), "known"
    return str(path), problem.get("detail") or f"The API answered {answer.status_code}."


class _Multipart:
    """A multipart body that is read from the file as it is sent."""

    def __init__(self, source: BinaryIO, path: Path, fields: dict[str, str]) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        quoted = path.name.replace('"', "%22")
        head += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{quoted}"\r\n\r\n'
        self._head, self._tail = head.encode(), f"\r\n--{boundary}--\r\n".encode()
        self._source = source
        self._size = os.fstat(source.fileno()).st_size

    def __len__(self) -> int:
        return len(self._head) + self._size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        while piece := self._source.read(PIECE):
            yield piece
        yield self._tail
