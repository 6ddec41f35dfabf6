"""`make fuzz`: many requests made up from the OpenAPI documents, others each time. Exit code 1 when any went wrong."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.emulators.gcs import running_gcs
from tests.fuzz.fuzzing import fuzz
from tests.postgres import start_test_cluster
from tests.site import running_site


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--requests", type=int, default=20_000)
    wanted = parser.parse_args().requests
    with tempfile.TemporaryDirectory(prefix="starferry-fuzz-") as folder:
        server = start_test_cluster(Path(folder) / "server")
        conninfo = server.start()
        copies = Path(folder) / "copies"
        copies.mkdir()
        try:
            with running_gcs(Path(folder) / "gcs") as gcs:
                environment = {"STARFERRY_FOLDER_ROOTS": str(copies), "STARFERRY_GCS_URL": gcs.url}
                with running_site(Path(folder) / "site", conninfo, environment) as site:
                    outcome = fuzz(site, wanted, derandomize=False)
                    failures = site.failures()
        finally:
            server.stop()
    print(f"{outcome.requests} requests: {dict(sorted(outcome.statuses.items()))}")
    for title, fault in outcome.faults.items():
        print(f"\n* {title}\n{fault}")
    for failure in failures:
        print(f"\n* {failure}")
    return 1 if outcome.faults or failures else 0


if __name__ == "__main__":
    sys.exit(main())
