"""The OCS ingester as a program of its own, driven through its public functions."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conformance.environments import clean_environment, interpreter

SCRIPT = Path(__file__).parent / "ingester_script.py"
VERSIONS = ("3.2", "3.0")


class IngesterError(Exception):
    """The client raised something; `kind` is the name of its class."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message


class Ingester:
    """A running client. Whatever it raises comes as an IngesterError."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def call(self, function: str, file: Path | None = None, **arguments: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        request = {"call": function, "file": str(file) if file else None, "arguments": arguments}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise IngesterError(answer["error"], answer["message"])
        return answer["result"]

    def ingest(self, file: Path, **arguments: Any) -> Any:
        """Store the file and post its record in one step."""
        return self.call("upload_file_and_ingest_to_archive", file, **arguments)

    def record(self, file: Path, **arguments: Any) -> Any:
        """The record that the client makes of a file."""
        return self.call("validate_fits_and_create_archive_record", file, **arguments)


@contextmanager
def running_ingester(version: str, environment: Mapping[str, str]) -> Iterator[Ingester]:
    """A client with these settings in its environment. Raises Unavailable."""
    process = subprocess.Popen(
        [interpreter(f"ocs-ingester-{version}"), SCRIPT],
        env=clean_environment(**environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield Ingester(process)
    finally:
        assert process.stdin
        process.stdin.close()
        process.wait(timeout=15)
        assert process.stdout
        process.stdout.close()


def command_line(version: str, arguments: list[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Exit code and standard output of `ocs_ingest_frame`."""
    program = interpreter(f"ocs-ingester-{version}").parent / "ocs_ingest_frame"
    done = subprocess.run(
        [program, *arguments],
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout
