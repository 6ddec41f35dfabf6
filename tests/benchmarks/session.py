"""What the benchmarks of one run share."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.frames import Generator, Payload, open_generator
from tests.benchmarks.installation import Installation


class Session:
    """One run: the installation, how many frames it shall have, and where frames come from."""

    def __init__(self, installation: Installation, frames: int, generator: Path | None, client: Path | None) -> None:
        self.installation = installation
        self.frames = frames
        self.generator_path = generator
        self.client = client
        self.generator: Generator = open_generator(generator)
        self._begun = time.monotonic()
        self._kept = installation.data / "benchmarks.json"
        self._state: dict[str, Any] = json.loads(self._kept.read_text()) if self._kept.exists() else {"next": 0}

    def say(self, text: str) -> None:
        """A line of progress."""
        print(f"[{time.monotonic() - self._begun:7.1f} s] {text}", flush=True)

    @property
    def next_frame(self) -> int:
        """The first frame of the generator that isn't in the archive."""
        return int(self._state["next"])

    def loaded(self, upto: int) -> None:
        """All frames below `upto` are in the archive."""
        self._state["next"] = upto
        self._kept.write_text(json.dumps(self._state))

    def take(self, count: int) -> list[Payload]:
        """Frames that the archive doesn't have, for whoever is about to ingest them."""
        first = self.next_frame
        self.loaded(first + count)
        return [self.generator.frame(i) for i in range(first, first + count)]
