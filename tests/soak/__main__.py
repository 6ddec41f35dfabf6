"""`make four-workers`: 2 000 transfers, four workers; one is killed, one is cut off from the database for a minute.

Prints what arrived at each destination, how often, and in what time. Exit code 1 unless all arrived exactly once.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path

import msgspec
import structlog

from tests.postgres import start_test_cluster
from tests.soak.sharing import Arrivals, Outcome, share


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--transfers", type=int, default=2000, help="half of them go to a folder, half to a bucket")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--cut-seconds", type=float, default=60.0)
    wanted = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory(prefix="starferry-soak-") as folder:
        server = start_test_cluster(Path(folder) / "server", durable=True)
        try:
            outcome = share(
                Path(folder),
                server.start(),
                files=wanted.transfers // 2,
                workers=wanted.workers,
                cut_seconds=wanted.cut_seconds,
                say=lambda line: print(line, flush=True),
            )
        finally:
            server.stop()
    print(table(outcome))
    return 0 if all(one.exactly_once for one in outcome.arrivals) else 1


def table(outcome: Outcome) -> str:
    """What arrived, a line for each destination."""
    names = [*Arrivals.__struct_fields__, "exactly_once"]
    rows = [[*map(str, msgspec.structs.astuple(one)), "yes" if one.exactly_once else "NO"] for one in outcome.arrivals]
    widths = [max(len(row[column]) for row in [names, *rows]) for column in range(len(names))]
    lines = ["  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in [names, *rows]]
    carried = ", ".join(f"{worker}: {number}" for worker, number in outcome.carried.items())
    return "\n".join(
        [
            "",
            *lines,
            "",
            f"carried by {carried}; {outcome.restarts} restarts; {outcome.cut_connections} connections cut off; "
            f"{outcome.seconds:.1f} s in all",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
