"""What becomes of a message that names a file: ingested, tried again later, or a dead letter with the reason."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

import msgspec
import structlog

from adapters.broker.ingest_queue import Delivery
from adapters.ingest_metrics import IngestMetrics
from api.bootstrap import Core
from api.correlation import new_correlation
from api.intake import take_in
from domain.errors import AlreadyExists, InvalidInput, StarferryError
from domain.event import Cause

logger = structlog.get_logger()


class FileMessage(msgspec.Struct):
    """`{"filepath": …}`, or `{"path": …}`; anything else in it is ignored."""

    filepath: str | None = None
    path: str | None = None


class Listener:
    """Handles messages. Safe to share between threads."""

    def __init__(self, core: Core, metrics: IngestMetrics) -> None:
        self._core = core
        self._metrics = metrics
        self._roots = [root.resolve() for root in core.settings["STARFERRY_INGEST_ROOTS"]]
        self._schedule = core.settings["STARFERRY_INGEST_SCHEDULE"]

    def handle(self, delivery: Delivery) -> None:
        """Ingest the file and acknowledge the message, in this order."""
        try:
            path = self._path(delivery.body)
            with self._open(path) as source:
                cause = Cause(actor="listener", via="listen", correlation=new_correlation())
                take_in(self._core, source, path.name, cause, metrics=self._metrics)
        except AlreadyExists:
            delivery.done()
        except InvalidInput as error:
            logger.error("message set aside", errors=str(error))
            delivery.dead(str(error))
        except StarferryError as error:
            self._again(delivery, str(error))
        except OSError as error:
            self._again(delivery, f"The file can't be read: {error.strerror}.")
        except Exception as error:  # a bug: not this message's fault, perhaps mended by the last try
            logger.exception("a message could not be handled")
            self._again(delivery, f"The program failed ({type(error).__name__}); its log says where.")
        else:
            delivery.done()

    def _again(self, delivery: Delivery, reason: str) -> None:
        if delivery.tries < len(self._schedule):
            seconds = self._schedule[delivery.tries]
            logger.warning("message is tried again later", errors=reason, tries=delivery.tries + 1, seconds=seconds)
            delivery.again(seconds, reason)
        else:
            logger.error("message set aside", errors=reason, tries=delivery.tries + 1)
            delivery.dead(reason)

    def _path(self, body: bytes) -> Path:
        try:
            message = msgspec.json.decode(body, type=FileMessage)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise InvalidInput('The message isn\'t JSON of the form {"filepath": "/absolute/path"}.') from None
        named = message.filepath or message.path or ""
        if not named.startswith("/") or "\0" in named:
            raise InvalidInput("The message names no file by an absolute path.")
        return Path(named)

    def _open(self, path: Path) -> BinaryIO:
        """The file, which must be a regular one below an allowed root, wherever symbolic links lead."""
        self._must_be_below_a_root(path.resolve())  # even a look at what lies elsewhere could do something
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._must_be_below_a_root(Path(os.readlink(f"/proc/self/fd/{opened}")))
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                raise InvalidInput(f"{path.name} isn't a regular file.")
            return os.fdopen(opened, "rb")
        except BaseException:
            os.close(opened)
            raise

    def _must_be_below_a_root(self, path: Path) -> None:
        if not any(path.is_relative_to(root) for root in self._roots):
            raise InvalidInput("The message names a file that isn't below one of STARFERRY_INGEST_ROOTS.")
